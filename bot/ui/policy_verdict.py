"""The judgement of the policy over one case, as rows of its details. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from bot.graduation.gate import ASK, RUN, SPOT_CHECK
from bot.graduation.spot_checks import BLIND
from bot.ui.graduation_words import reason_words
from polar.text.money import format_money
from store.models import CaseKindState, Proposal
from store.models.trust_codes import read_policy_reason

Gate = Mapping[str, Any]
_VERDICTS = {ASK: "asked a person", SPOT_CHECK: "asked a person, as a spot check", RUN: "ran on its own"}
_TELLING = frozenset({"Verdict", "Why", "Chance of a spot check"})


def gate_rows(proposal: Proposal) -> list[tuple[str, str]]:
    """The pairs (label, words) for the facts that the gate kept; `bot.graduation.gate` lists them."""
    gate = proposal.gate or {}
    # A kind that asks has no spot checks, so its reason to ask reveals none.
    hidden = proposal.state in BLIND and gate.get("state") == CaseKindState.GRADUATED
    rows = [(label, said(gate)) for label, needs, said in _ROWS if set(needs) <= gate.keys()]
    return [(label, said) for label, said in rows if said and not (hidden and label in _TELLING)]


def _points(gate: Gate) -> str:
    target = gate.get("target")
    of = f", the threshold is {target:g}" if isinstance(target, int | float) else ""
    return f"{gate['score']:.1f}{of}"


def _said(gate: Gate) -> str:
    return f"{gate['cases'] - gate['rejections']:,} yes, {gate['rejections']:,} no"


def _spot_checks(gate: Gate) -> str:
    agreed, total = gate["spot_checks"]
    return f"{agreed:,} of {total:,} agreed" if total else ""


def _chance(gate: Gate) -> str:
    chance = gate["spot_check_probability"]
    return "" if chance is None else f"{chance:.0%}"


def _moved(gate: Gate) -> str:
    amount, currency = gate["amount"], gate["currency"]
    return format_money(amount, currency) if amount and currency else ""


def _spent(gate: Gate) -> str:
    """The used part of each cap when the case arrived."""
    named = (("customer", "for this customer"), ("case_kind", "of this kind today"), ("day", "in all today"))
    return ", ".join(f"{gate['spent'][key][0]:,} of {gate['caps'][key][0]:,} {whose}" for key, whose in named)


# The label, the names it needs, the words.
_ROWS: tuple[tuple[str, tuple[str, ...], Callable[[Gate], str]], ...] = (
    ("Verdict", ("verdict",), lambda gate: _VERDICTS.get(gate["verdict"], str(gate["verdict"]))),
    ("Why", ("reason",), lambda gate: reason_words(read_policy_reason(gate["reason"]))),
    ("Score", ("score",), _points),
    ("Said", ("cases", "rejections"), _said),
    ("Spot checks", ("spot_checks",), _spot_checks),
    ("Chance of a spot check", ("spot_check_probability",), _chance),
    ("Money it moves", ("amount", "currency"), _moved),
    ("Caps used", ("spent", "caps"), _spent),
)
