"""What the gate was told of one case and what it said, in words. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from bot.graduation.blinding import BLIND
from polar.text.money import format_money
from store.models import Proposal

Gate = Mapping[str, Any]
_VERDICTS = {"ask": "asked a person", "audit": "asked a person, as an audit", "run": "ran on its own"}
_TELLING = frozenset({"Verdict", "Why", "Chance of an audit"})


def gate_rows(proposal: Proposal) -> list[tuple[str, str]]:
    """(label, words) for whatever the gate kept; see `bot.graduation.gate` for what that is."""
    gate = proposal.gate or {}
    # A kind that asks anyway has no audits: why it asks gives nothing away.
    hidden = proposal.state in BLIND and gate.get("state") == "graduated"
    rows = [(label, said(gate)) for label, needs, said in _ROWS if set(needs) <= gate.keys()]
    return [(label, said) for label, said in rows if said and not (hidden and label in _TELLING)]


def _why(gate: Gate) -> str:
    why = gate["why"]
    return "; ".join(map(str, why)) if isinstance(why, list | tuple) else str(why)


def _points(gate: Gate) -> str:
    target = gate.get("target")
    bar = f", the bar is {target:g}" if isinstance(target, int | float) else ""
    return f"{gate['score']:.1f}{bar}"


def _audits(gate: Gate) -> str:
    agreed, total = gate["audits"]
    return f"{agreed:,} of {total:,} agreed" if total else ""


def _chance(gate: Gate) -> str:
    return "" if gate["pi"] is None else f"{gate['pi']:.0%}"


def _moved(gate: Gate) -> str:
    amount, currency = gate["amount"], gate["currency"]
    return format_money(amount, currency) if amount and currency else ""


def _spent(gate: Gate) -> str:
    """What of each cap was used up when it was judged."""
    named = (("customer", "for this customer"), ("case_kind", "of this kind today"), ("day", "in all today"))
    return ", ".join(f"{gate['spent'][key][0]:,} of {gate['caps'][key][0]:,} {whose}" for key, whose in named)


# The label, what it needs, the words.
_ROWS: tuple[tuple[str, tuple[str, ...], Callable[[Gate], str]], ...] = (
    ("Verdict", ("verdict",), lambda gate: _VERDICTS.get(gate["verdict"], str(gate["verdict"]))),
    ("Why", ("why",), _why),
    ("Score", ("score",), _points),
    ("Said", ("n", "k"), lambda gate: f"{gate['n'] - gate['k']:,} yes, {gate['k']:,} no"),
    ("Audits", ("audits",), _audits),
    ("Chance of an audit", ("pi",), _chance),
    ("Money it moves", ("amount", "currency"), _moved),
    ("Caps used", ("spent", "caps"), _spent),
)
