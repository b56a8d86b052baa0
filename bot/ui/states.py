"""The words for the states of proposals and calls, with one wording for each state. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from store.models import CallState, ProposalState

_S = ProposalState


@dataclass(frozen=True, slots=True)
class StateWords:
    """The words for one state. `title` begins the title of a card; `phrase` is for lists and counts."""

    title: str
    phrase: str


# In the order of a proposal's states, which is the order of every list.
STATES: Mapping[ProposalState, StateWords] = {
    _S.PENDING: StateWords("", "waiting"),
    _S.APPROVED: StateWords("Approved: ", "approved"),
    _S.EXECUTING: StateWords("Running: ", "running"),
    _S.UNKNOWN: StateWords("No answer: ", "no answer"),
    _S.FAILED: StateWords("Failed: ", "failed"),
    _S.SUCCEEDED: StateWords("Done: ", "done"),
    _S.DECLINED: StateWords("Declined: ", "declined"),
    _S.EXPIRED: StateWords("Expired: ", "expired"),
    _S.WITHDRAWN: StateWords("Withdrawn: ", "withdrawn"),
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


def counted(counts: Mapping[Any, int]) -> str:
    """The number in each state: "3 waiting, 1 failed, 8 done"; empty without any."""
    listed = [(counts.get(state, 0), words.phrase) for state, words in STATES.items()]
    return ", ".join(f"{count:,} {said}" for count, said in listed if count)
