"""The words for the states of proposals and calls, with one wording for each state. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.results import (
    ApproverNames,
)
from polar.catalog import Call, Operation, operations
from store.models import CallState, Proposal, ProposalCall, ProposalKind, ProposalState

_S = ProposalState


@dataclass(frozen=True, slots=True)
class _StateWords:
    """The words for one state. `title` begins the title of a card; `phrase` is for lists and counts."""

    title: str
    phrase: str


# In the order of a proposal's states, which is the order of every list.
STATES: Mapping[ProposalState, _StateWords] = {
    _S.PENDING: _StateWords("", "waiting"),
    _S.APPROVED: _StateWords("Approved: ", "approved"),
    _S.EXECUTING: _StateWords("Running: ", "running"),
    _S.UNKNOWN: _StateWords("No answer: ", "no answer"),
    _S.FAILED: _StateWords("Failed: ", "failed"),
    _S.SUCCEEDED: _StateWords("Done: ", "done"),
    _S.DECLINED: _StateWords("Declined: ", "declined"),
    _S.EXPIRED: _StateWords("Expired: ", "expired"),
    _S.WITHDRAWN: _StateWords("Withdrawn: ", "withdrawn"),
}
# The title of a question about a kind of case, where it differs.
OF_GRADUATION: Mapping[ProposalState, str] = {
    _S.SUCCEEDED: "Turned on: ",
    _S.DECLINED: "Keeps asking: ",
}
CALLS: Mapping[CallState, str] = {
    CallState.PLANNED: "not sent",
    CallState.SENDING: "being sent",
    CallState.DONE: "done",
    CallState.REFUSED: "refused",
    CallState.UNKNOWN: "no answer",
    CallState.SKIPPED: "skipped, no longer applies",
}


def phrase(state: ProposalState) -> str:
    """The state in a list or after a count: "no answer", "3 no answer"."""
    return STATES[state].phrase


def title(state: ProposalState) -> str:
    """The beginning of a title: "Declined: ", empty while the proposal waits."""
    return STATES[state].title


def open_problems(counts: Mapping[str, int]) -> list[tuple[ProposalState, str]]:
    """The states in which a person has to act, with the number in each: "3 no answer"."""
    states = (_S.UNKNOWN, _S.FAILED)
    return [(state, f"{counts[state]:,} {phrase(state)}") for state in states if counts.get(state)]


def counted(counts: Mapping[Any, int]) -> str:
    """The number in each state: "3 waiting, 1 failed, 8 done"; empty without any."""
    listed = [(counts.get(state, 0), words.phrase) for state, words in STATES.items()]
    return ", ".join(f"{count:,} {said}" for count, said in listed if count)


_RISK = {
    "R0": "none, only reads",
    "R1": "low",
    "R2": "some money or access, bounded",
    "R3": "high",
    "R4": "highest",
}


def does(p: Proposal) -> str:
    """The effect of an approval: "Disable a license key × 2"."""
    if p.kind == ProposalKind.GRADUATION:
        return "Lets such cases run without asking, except for spot checks and what is over a cap"
    titles = list(dict.fromkeys(call_title(call) for call in p.calls))
    count = f" × {len(p.calls)}" if len(p.calls) > 1 else ""
    return "; ".join(titles) + count


def risk_words(p: Proposal) -> str:
    """The risk, and the possibility of an undo."""
    if p.kind == ProposalKind.GRADUATION:
        return "ends by itself at the first bad case; /polar pause stops it"
    effects = [effect for call in p.calls if (effect := effect_of(call)) is not None]
    undo = "can be undone" if effects and all(effect.reversible for effect in effects) else "cannot be undone"
    return _RISK.get(p.risk, p.risk) + ("" if p.risk == "R0" else f", {undo}")


def call_title(call: ProposalCall) -> str:
    """The effect of one call, as a command: "Disable a license key"."""
    effect = effect_of(call)
    return call.operation if effect is None else effect.title


def effect_of(call: ProposalCall) -> Operation | None:
    """The operation of exactly this call; None for one that this version does not know."""
    known = operations().get(call.operation)
    return None if known is None else known.describe(Call.of(call))


def approver_line(found: ApproverNames, *, too_few: bool = False) -> str:
    """The approvers, without a mention, so that a card does not notify all of them.

    `too_few`: two approvers are needed, and there is one.
    """
    if not found.names:
        return f"Nobody may decide: {found.source} is empty"
    more = f" and {len(found.names) - 5} more" if len(found.names) > 5 else ""
    never = ", so it can never be approved: two have to, add somebody or decline it" if too_few else ""
    return f"{', '.join(found.names[:5])}{more} may decide{never}"
