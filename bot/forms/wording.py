"""A filled-in form in words: the question on the card and what it sets. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from bot.forms.fields import Form, Kind, Leaf, all_leaves
from bot.forms.values import EMPTY, Answers, NotUsable, entry, minor_units
from polar import redaction
from polar.catalog import Call
from polar.text.words import format_money, plain

_TITLE = 200
_VALUE = 400
_BESIDE = 100  # characters of a value that the card shows whole beside its label
_FACTS = 4  # as many as a card shows beside what it does and its risk
_BULLET = 450
_BULLETS = 4
_SUBJECTS = ("name", "email", "description", "label", "code", "url", "slug")


def title(form: Form, call: Call, answers: Answers, currencies: Mapping[str, str]) -> str:
    """The title with action, amount and customer: "Refund an order: $9.00, INV-7 · Jane Doe"."""
    told = [(leaf, shown(leaf, answers, currencies.get(leaf.path))) for leaf in all_leaves(form)]
    amounts = [text for leaf, text in told if leaf.kind == Kind.MONEY and text][:1]
    subjects = [text for leaf, text in told if leaf.kind == Kind.ONE and text]
    subjects += [text for leaf, text in told if leaf.name in _SUBJECTS and leaf.kind == Kind.TEXT and text]
    about = ", ".join([*amounts, *subjects[:1]])
    said = form.operation.describe(call).title
    return plain(f"{said}: {about}" if about else said, _TITLE)


def facts(form: Form, answers: Answers, currencies: Mapping[str, str]) -> list[tuple[str, str]]:
    """Every value that was put in, as (label, value) in plain words; secrets are not repeated."""
    found = []
    for leaf in all_leaves(form):
        text = shown(leaf, answers, currencies.get(leaf.path))
        if not text and leaf.path in form.added:
            text = "no" if leaf.kind == Kind.TICK else "cleared"
        if text:
            found.append((plain(leaf.label, 60), text))
    return found


def split(found: list[tuple[str, str]]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
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
    if leaf.name in redaction.SECRET:
        return redaction.HIDDEN
    if leaf.path in redaction.HOST_ONLY:
        return plain(redaction.host(str(held)), _VALUE)
    return plain(_words(leaf, held, currency), _VALUE)


def _words(leaf: Leaf, held: Any, currency: str | None) -> str:
    if leaf.kind in (Kind.MONEY, Kind.UNIT_PRICE):
        return _amount(held, currency)
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


def _amount(held: Any, currency: str | None) -> str:
    try:
        return format_money(minor_units(Decimal(str(held)), currency), currency or "")
    except (NotUsable, InvalidOperation):
        return f"{held} {(currency or '').upper()}"
