"""A form filled in with a call that is there already, so that it can be changed. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from bot.forms.fields import Form, Group, Kind, Leaf, Series, all_leaves, form_of, walk, ways
from bot.forms.modal import LONGEST_TEXT, choices
from bot.forms.values import compose, currencies, scalar
from bot.ui.elements import option
from polar import redaction
from polar.catalog import Call, operations
from polar.text.words import ZERO_DECIMAL

_MISSING = object()
_CENT = Decimal("0.01")
_ROUNDS = 4  # rounds to find every question: each choice may lead to another one


@dataclass(frozen=True, slots=True)
class Filled:
    """The content of a draft: the choices, the questions added under "More", and every answer."""

    picks: dict[str, str]
    added: frozenset[str]
    answers: dict[str, Mapping[str, Any]]


def prefill(call: Call, currency: str | None, labels: Mapping[str, str]) -> Filled | None:
    """The answers that mean exactly this call; None when the form cannot say it, or a value is secret.

    `currency` is that of the object an amount is about; `labels` are words for ids, by id.
    """
    operation = operations()[call.operation]
    for way in range(max(len(ways(operation)), 1)):
        filled = _fitting(call, str(way), currency, labels)
        if filled is None:
            continue
        form = form_of(operation, filled.picks, filled.added)
        if any(redaction.is_secret(one.name) or one.path in redaction.HOST_ONLY for one in all_leaves(form)):
            continue
        if any(len(str(state.get("value") or "")) > LONGEST_TEXT for state in filled.answers.values()):
            continue  # Slack would not open it
        composed = compose(form, filled.answers, currency)
        if not composed.errors and same_call(composed.call, call):
            return filled
    return None


def ids_in(call: Call) -> list[tuple[str, str]]:
    """The objects that the call names by id: (source to look it up, id)."""
    operation = operations()[call.operation]
    found = []
    for way in range(max(len(ways(operation)), 1)):
        filled = _fitting(call, str(way), None, {})
        for leaf in all_leaves(form_of(operation, filled.picks, filled.added)) if filled else ():
            value = _at(call, leaf.path)
            if leaf.source and value is not _MISSING:
                found += [(leaf.source, str(one)) for one in (value if isinstance(value, list) else [value])]
    return list(dict.fromkeys(found))


def same_call(one: Call, other: Call) -> bool:
    """Tell whether both send the same request."""
    return replace(one, body=one.body or None) == replace(other, body=other.body or None)


def _fitting(call: Call, way: str, currency: str | None, labels: Mapping[str, str]) -> Filled | None:
    """The form of one way, or None when a value is of another kind than this way asks for."""
    operation, picks = operations()[call.operation], {"body": way}
    query = {f"query.{name}" for name in call.query}
    more = form_of(operation, picks).more
    added = frozenset(path for path in more if path in query or _at(call, path) is not _MISSING)
    try:
        for _ in range(_ROUNDS):
            form = form_of(operation, picks, added)
            found = picks | dict(_picks(form.body, call))
            if found == picks:
                break
            picks = found
        return Filled(picks, added, _answers(form, call, currency, labels))
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        return None


def _picks(body: Group | None, call: Call) -> Iterator[tuple[str, str]]:
    """The choices inside a body: which alternative an object is, how many entries a list has."""
    for node in walk(body):
        value = _at(call, node.path)
        if isinstance(node, Group) and node.pick is not None and isinstance(value, Mapping):
            yield node.path, str(_alternative(node, value, call))
        elif isinstance(node, Series) and isinstance(value, list):
            yield f"{node.path}#", str(len(value))


def _alternative(group: Group, value: Mapping[str, Any], call: Call) -> int:
    """The alternative whose constants and fields fit what is there."""
    operation = operations()[call.operation]
    assert group.pick is not None  # noqa: S101 - the caller has looked
    held = set(value)
    best, chosen = -1, group.pick.current or 0
    for number in range(len(group.pick.options)):
        body = form_of(operation, {"body": "0", group.path: str(number)}).body
        groups = (one for one in walk(body) if isinstance(one, Group) and one.path == group.path)
        if (found := next(groups, None)) is None:
            continue
        fits = sum(value.get(name) == constant for name, constant in found.fixed.items())
        fits = -1 if fits < len(found.fixed) else fits + len(held & set(found.members))
        if fits > best:
            best, chosen = fits, number
    return chosen


def _answers(
    form: Form, call: Call, currency: str | None, labels: Mapping[str, str]
) -> dict[str, Mapping[str, Any]]:
    """Every answer; the currencies first, for amounts are shown in them."""
    answers: dict[str, Mapping[str, Any]] = {}
    for money in (False, True):
        known = currencies(form, answers, currency)
        for leaf in all_leaves(form):
            value = _at(call, leaf.path)
            if bool(leaf.currency) is money and value is not _MISSING and value is not None:
                answers[leaf.path] = _state(leaf, value, known.get(leaf.path), labels)
    return answers


def _at(call: Call, path: str) -> Any:
    """The value at "body.prices.0.amount", or _MISSING."""
    where, *parts = path.split(".")
    found: Any = getattr(call, where)
    for part in parts:
        if isinstance(found, Mapping) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return _MISSING
    return found


# --- The element's state for a value: what `bot.forms.values` reads, the other way round --------------------


def _state(leaf: Leaf, value: Any, currency: str | None, labels: Mapping[str, str]) -> dict[str, Any]:
    several = leaf.kind in (Kind.CHOICES, Kind.MANY)
    if several or leaf.kind in (Kind.CHOICE, Kind.ONE, Kind.YES_NO):
        offered = {} if leaf.source else {one["value"]: one for one in choices(leaf)}
        if leaf.kind == Kind.YES_NO:
            value = "yes" if value else "no"
        held = [str(one) for one in (value if isinstance(value, list) else [value])]
        found = [offered.get(one) or option(labels.get(one, one), one) for one in held]
        return {"selected_options": found} if several else {"selected_option": found[0]}
    if leaf.kind == Kind.TICK:
        return {"selected_options": [option("Yes", "yes")] if value else []}
    if leaf.kind == Kind.MOMENT:
        return {"selected_date_time": int(datetime.fromisoformat(str(value)).timestamp())}
    return {"selected_date": str(value)} if leaf.kind == Kind.DAY else {"value": _text(leaf, value, currency)}


def _text(leaf: Leaf, value: Any, currency: str | None) -> str:
    match leaf.kind:
        case Kind.MONEY | Kind.UNIT_PRICE:
            return _major(value, currency)
        case Kind.PERCENT:
            return format(Decimal(value) / 100, "f")
        case Kind.LINES:
            return "\n".join(str(one) for one in value)
        case Kind.PAIRS:
            return "\n".join(f"{name} = {_scalar(one)}" for name, one in value.items())
        case Kind.AMOUNTS:
            return "\n".join(f"{name} = {_major(one, name)}" for name, one in value.items())
        case Kind.JSON:
            return json.dumps(value, ensure_ascii=False)
        case Kind.SCALAR:
            return _scalar(value)
    return str(value)


def _major(value: Any, currency: str | None) -> str:
    if currency in ZERO_DECIMAL:
        return format(Decimal(str(value)), "f")
    number = Decimal(str(value)) / 100
    cents = number.quantize(_CENT)
    return format(cents if cents == number else number, "f")


def _scalar(value: Any) -> str:
    said = isinstance(value, str) and scalar(value) == value
    return str(value) if said else json.dumps(value, ensure_ascii=False)
