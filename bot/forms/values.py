"""The answers of a form as the values of a call, with problems by question, and as words of a card. Pure."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from bot.forms import names
from bot.forms.fields import Form, Group, Kind, Leaf, Node, Series, all_leaves, leaves
from polar import redaction
from polar.catalog import Call, check_call
from polar.catalog.schema import Problem, problems
from polar.text.words import ZERO_DECIMAL, format_money, plain

Answers = Mapping[str, Mapping[str, Any]]  # Slack's state of each element, by the question's path

_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?")
# Of the contract's: at most five digits and twelve behind the point, in the smallest unit.
_UNIT_PRICE = re.compile(r"0*\d{0,5}(\.\d{0,12}0*)?")

_TITLE = 200
_VALUE = 400
_BESIDE = 100  # characters of a value that the card shows whole beside its label
_FACTS = 4  # as many as a card shows beside what it does and its risk
_BULLET = 450
_BULLETS = 4
_SUBJECTS = ("name", "email", "description", "label", "code", "url", "slug")


NOTHING: Any = object()  # stands for a value that is not sent at all
EMPTY: tuple[Any, ...] = (None, "", [])  # of an element that was left empty


class NotUsable(Exception):
    """The text that somebody typed cannot be used."""


@dataclass(frozen=True, slots=True)
class Composed:
    """The call, or what keeps it from being one: sentences by question path ("" when by none)."""

    call: Call
    errors: Mapping[str, str]


def compose(form: Form, answers: Answers, object_currency: str | None) -> Composed:
    """The call that the answers mean. `object_currency` is that of the object an amount is about."""
    reader = _Reader(answers, object_currency)
    path = {leaf.name: reader.value(leaf) for leaf in form.places}
    query = {leaf.name: reader.value(leaf) for leaf in form.asked}
    body = None if form.body is None else reader.group(form.body)
    for name, source in names.REPEATS.get(form.operation.id, {}).items():
        if isinstance(body, dict):
            body[name] = path.get(source.partition(".")[2])
    known = form.operation.body
    if body is NOTHING or (known is not None and not known.required and not body):
        body = None
    call = Call(form.operation.id, _given(path), _given(query), body)
    errors = reader.errors
    if form.complete and not errors:
        errors = _by_question(form, check_call(form.operation, call.path, call.query, call.body))
    return Composed(call, errors)


def currencies(form: Form, answers: Answers, object_currency: str | None) -> dict[str, str]:
    """The currencies of the amounts, as far as they are known, by question."""
    reader = _Reader(answers, object_currency)
    found = {leaf.path: reader.currency(leaf) for leaf in all_leaves(form) if leaf.currency}
    return {path: currency for path, currency in found.items() if currency}


def check(shown: Sequence[Leaf], answers: Answers, object_currency: str | None) -> dict[str, str]:
    """The problems of the questions of one step, taken alone."""
    reader = _Reader(answers, object_currency)
    for leaf in shown:
        value = reader.value(leaf)  # NOTHING where it cannot be read
        if value is not NOTHING and (found := problems(leaf.shape, value, (leaf.path,))):
            reader.errors[leaf.path] = plainly(found[0])
    return reader.errors


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not NOTHING}


def _by_question(form: Form, found: list[Problem]) -> dict[str, str]:
    """Each problem under the question it is about: the one whose path its place begins with."""
    paths = sorted((leaf.path for leaf in all_leaves(form)), key=len, reverse=True)
    errors: dict[str, str] = {}
    for problem in found:
        where = ".".join(map(str, problem.place))
        path = next((one for one in paths if where == one or where.startswith(f"{one}.")), None)
        path = path or next((one for one in reversed(paths) if where and one.startswith(f"{where}.")), "")
        errors.setdefault(path, plainly(problem) if path else str(problem).replace("`", ""))
    return errors


def plainly(problem: Problem) -> str:
    """The problem of a parameter in words for the input it stands under."""
    return f"This {problem.words.replace('`', '')}."


class _Reader:
    def __init__(self, answers: Answers, object_currency: str | None) -> None:
        self._answers = answers
        self._object_currency = object_currency
        self.errors: dict[str, str] = {}

    def node(self, node: Node) -> Any:
        if isinstance(node, Leaf):
            return self.value(node)
        return self.group(node) if isinstance(node, Group) else self._series(node)

    def value(self, leaf: Leaf) -> Any:
        """The value to send for a question; NOTHING when it was left empty and may be."""
        entered = entry(self._answers.get(leaf.path))
        if entered in EMPTY:
            return _empty(leaf)
        try:
            value = _READERS[leaf.kind](entered, self.currency(leaf))
        except NotUsable as error:
            self.errors[leaf.path] = str(error)
            return NOTHING
        pattern, words = names.PATTERNS.get(leaf.name, ("", ""))
        if leaf.kind == Kind.TEXT and pattern and not re.fullmatch(pattern, value):
            self.errors[leaf.path] = words
            return NOTHING
        return value

    def currency(self, leaf: Leaf) -> str | None:
        """The currency of an amount, in small letters; None when it is not known."""
        if leaf.currency.startswith("="):
            return leaf.currency[1:]
        if leaf.currency == "@":
            return self._object_currency
        chosen = entry(self._answers.get(leaf.currency))
        return str(chosen["value"]) if isinstance(chosen, Mapping) else None

    def group(self, group: Group) -> Any:
        asked = leaves(group)
        only_ticks = bool(asked) and all(leaf.kind == Kind.TICK for leaf in asked)
        if not self._touched(group) and not (group.required and (only_ticks or not group.nullable)):
            return None if group.required else NOTHING
        members = {name: self.node(member) for name, member in group.members.items()}
        return {**group.fixed, **_given(members)}

    def _touched(self, node: Node) -> bool:
        return any(entry(self._answers.get(leaf.path)) not in EMPTY for leaf in leaves(node))

    def _series(self, series: Series) -> Any:
        filled = [
            one
            for number, one in enumerate(series.entries)
            if (number == 0 and series.required) or self._touched(one)
        ]
        if series.nullable and not self._touched(series):
            filled = []
        found = [value for one in filled if (value := self.node(one)) is not NOTHING]
        if found or not series.required:
            return found or NOTHING
        return None if series.nullable else []


def _empty(leaf: Leaf) -> Any:
    if not leaf.required:
        return NOTHING
    if leaf.kind == Kind.TICK:
        return False
    if leaf.shape.nullable and leaf.shape.type != "any":
        return None
    if leaf.kind in (Kind.MANY, Kind.CHOICES, Kind.LINES):
        return []
    return {} if leaf.kind in (Kind.PAIRS, Kind.AMOUNTS) else NOTHING


def entry(state: Mapping[str, Any] | None) -> Any:
    """The content of an element of Slack: a text, an option, a list of options, seconds, a date; or None."""
    if state is None:
        return None
    keys = ("value", "selected_option", "selected_options", "selected_date_time", "selected_date")
    return next((state[key] for key in keys if state.get(key) is not None), None)


# --- One reader for each kind: (what was entered, currency) to the value ------------------------------------


def _number(text: Any) -> Decimal:
    said = str(text).strip()
    if not _NUMBER.fullmatch(said):
        raise NotUsable("Write a number with a point for the fraction, such as 29.50.")
    return Decimal(said)


def _integral(number: Decimal, otherwise: str) -> int:
    if number != number.to_integral_value():
        raise NotUsable(otherwise)
    return int(number)


def _decimal(entered: Any) -> int | float:
    number = _number(entered)
    return int(number) if number == number.to_integral_value() else float(number)


def minor_units(amount: Decimal, currency: str | None) -> int:
    """An amount as people write it, in the smallest unit of its currency. Raises NotUsable."""
    scaled, name = amount * _scale(currency), str(currency).upper()
    if currency in ZERO_DECIMAL:
        return _integral(scaled, f"{name} has no smaller unit: write a whole number.")
    return _integral(scaled, f"{name} has two digits after the point, no more.")


def _scale(currency: str | None) -> int:
    if currency is None:
        raise NotUsable("Its currency is not known: choose it first, or try again in a moment.")
    return 1 if currency in ZERO_DECIMAL else 100


def _unit_price(entered: Any, currency: str | None) -> str:
    """Polar takes fractions of the smallest unit here, as text so that nothing is rounded."""
    scaled = _number(entered) * _scale(currency)
    if scaled <= 0:
        raise NotUsable("Write an amount of more than nothing.")
    text = format(scaled, "f")
    if not _UNIT_PRICE.fullmatch(text):
        raise NotUsable(
            "A price by usage is less than 1,000 and has fourteen digits after the point at most."
        )
    return text.rstrip("0").rstrip(".") if "." in text else text


def _lines(entered: Any) -> list[str]:
    return [line.strip() for line in str(entered).splitlines() if line.strip()]


def _split(entered: Any) -> list[tuple[str, str]]:
    pairs: dict[str, str] = {}
    for line in _lines(entered):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name:
            raise NotUsable('Write one "name = value" on each line.')
        if name in pairs:
            raise NotUsable("One of the names is there twice.")
        pairs[name] = value
    return list(pairs.items())


def scalar(text: str) -> Any:
    """A value of metadata: a number, true or false, what is in quotes or braces as JSON; else the text."""
    if text in ("true", "false") or text[:1] in ('"', "{", "[") or _NUMBER.fullmatch(text):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _json(entered: Any) -> Any:
    try:
        return json.loads(str(entered))
    except (ValueError, RecursionError) as error:
        raise NotUsable("This is not JSON.") from error


_READERS: Mapping[Kind, Callable[[Any, str | None], Any]] = {
    Kind.TEXT: lambda entered, _: str(entered).strip("\r\n"),
    Kind.LINES: lambda entered, _: _lines(entered),
    Kind.PAIRS: lambda entered, _: {name: scalar(value) for name, value in _split(entered)},
    Kind.AMOUNTS: lambda entered, _: {
        name.lower(): minor_units(_number(value), name.lower()) for name, value in _split(entered)
    },
    Kind.JSON: lambda entered, _: _json(entered),
    Kind.SCALAR: lambda entered, _: scalar(str(entered).strip()),
    Kind.WHOLE: lambda entered, _: _integral(_number(entered), "Write a whole number."),
    Kind.DECIMAL: lambda entered, _: _decimal(entered),
    Kind.MONEY: lambda entered, currency: minor_units(_number(entered), currency),
    Kind.UNIT_PRICE: _unit_price,
    Kind.PERCENT: lambda entered, _: _integral(
        _number(entered) * 100, "A percentage has two digits after the point, no more."
    ),
    Kind.CHOICE: lambda entered, _: entered["value"],
    Kind.CHOICES: lambda entered, _: [one["value"] for one in entered],
    Kind.TICK: lambda entered, _: bool(entered),
    Kind.YES_NO: lambda entered, _: bool(entered["value"] == "yes"),
    Kind.MOMENT: lambda entered, _: datetime.fromtimestamp(int(entered), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    Kind.DAY: lambda entered, _: str(entered),
    Kind.ONE: lambda entered, _: entered["value"],
    Kind.MANY: lambda entered, _: [one["value"] for one in entered],
}


# --- The answers in words: the question on the card and what it sets --------------------------------------


def card_title(form: Form, call: Call, answers: Answers, currencies: Mapping[str, str]) -> str:
    """The title with action, amount and customer: "Refund an order: $9.00, INV-7 · Jane Doe"."""
    texts = [(leaf, shown(leaf, answers, currencies.get(leaf.path))) for leaf in all_leaves(form)]
    amounts = [text for leaf, text in texts if leaf.kind == Kind.MONEY and text][:1]
    subjects = [text for leaf, text in texts if leaf.kind == Kind.ONE and text]
    subjects += [text for leaf, text in texts if leaf.name in _SUBJECTS and leaf.kind == Kind.TEXT and text]
    about = ", ".join([*amounts, *subjects[:1]])
    said = form.operation.describe(call).title
    return plain(f"{said}: {about}" if about else said, _TITLE)


def card_facts(form: Form, answers: Answers, currencies: Mapping[str, str]) -> list[tuple[str, str]]:
    """Every value that was put in, as (label, value) in plain words; secrets are not repeated."""
    found = []
    for leaf in all_leaves(form):
        text = shown(leaf, answers, currencies.get(leaf.path))
        if not text and leaf.path in form.added:
            text = "no" if leaf.kind == Kind.TICK else "cleared"
        if text:
            found.append((plain(leaf.label, 60), text))
    return found


def split_facts(found: list[tuple[str, str]]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The facts beside the card's own fields, and the rest as bullets. Those left out are counted."""
    beside = [fact for fact in found if len(fact[1]) <= _BESIDE][:_FACTS]
    rest = [fact for fact in found if fact not in beside]
    bullets: list[str] = []
    for number, (label, value) in enumerate(rest):
        piece = f"{label}: {value}"
        if bullets and len(bullets[-1]) + len(piece) + 2 <= _BULLET:
            bullets[-1] += f"; {piece}"
        elif len(bullets) < _BULLETS:
            bullets.append(piece)
        else:
            bullets[-1] += f"; and {len(rest) - number} more values, see `polar-approvals export proposals`"
            break
    return tuple(beside), tuple(bullets)


def shown(leaf: Leaf, answers: Answers, currency: str | None) -> str:
    """A value as people read it; empty when there is none."""
    held = entry(answers.get(leaf.path))
    if held in EMPTY:
        return ""
    if redaction.is_secret(leaf.name):
        return redaction.HIDDEN
    if leaf.path in redaction.HOST_ONLY:
        return plain(redaction.host(str(held)), _VALUE)
    return plain(_words(leaf, held, currency), _VALUE)


def _words(leaf: Leaf, held: Any, currency: str | None) -> str:
    if leaf.kind in (Kind.MONEY, Kind.UNIT_PRICE):
        try:
            return format_money(minor_units(Decimal(str(held)), currency), currency or "")
        except (NotUsable, InvalidOperation):
            return f"{held} {(currency or '').upper()}"
    if leaf.kind == Kind.MOMENT:
        return f"{datetime.fromtimestamp(int(held), UTC):%d %b %Y %H:%M} UTC"
    if leaf.kind == Kind.TICK:
        return "yes"
    if leaf.kind == Kind.PERCENT:
        return f"{held}%"
    if isinstance(held, Mapping):
        return str(held["text"]["text"])
    if isinstance(held, list):
        return ", ".join(str(one["text"]["text"]) for one in held)
    return "; ".join(str(held).splitlines())
