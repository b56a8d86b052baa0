"""The states of proposals and calls in words, one wording for each; and the status line of a card. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bot.results import (
    ApproverNames,
)
from bot.ui.elements import Element, emoji, filled, glue, joined, line, person, when, words
from bot.ui.reasons import nothing_done, plain, sentence
from polar.catalog import Call, Operation, operations
from store.models import Actor, CallState, Proposal, ProposalCall, ProposalKind, ProposalState
from store.models.reasons import Reason, ReasonCode

_S = ProposalState


@dataclass(frozen=True, slots=True)
class _StateWords:
    """The words for one state. `title` begins the title of a card; `phrase` is for lists and counts.

    `mark` (an emoji) and `status` are for the card; `undoing` is for the card of what an undo in this state
    takes back. `verb` is what the person did who decided; `otherwise` is the reason without a stored one.
    """

    title: str
    phrase: str
    mark: str = ""
    status: str = ""
    undoing: str = "An undo was proposed, but it was not carried out."
    verb: str = "Approved"
    otherwise: str = ""


_UNKNOWN = (
    " Polar gave no answer: the call may or may not have been carried out. It is not sent again. "
    "Tap Check again to read Polar. If you have looked in Polar, tap Was done or Not done. {why}\n"
    "{by}{progress}"
)
_UNKNOWN_UNDO = "Polar gave no answer to the undoing: it may or may not be undone."
_REFUSED = "Polar refused."  # for a refusal that an earlier version stored without a reason
_FAILED = " {why} It is not tried again by itself. {next}{retry}\n{by}{progress}"
_FIRST_RETRY = "\n{who} would have it sent again. It takes two: one more person has to tap Retry."
_DONE = " Done. {note}{by}{progress}{undone}"
_EXPIRED = " Expired{expired}. {why} Nothing was done. If it is still wanted: /polar propose."
_LATE, _GONE = "Nobody decided in time.", "It no longer applies."
_WITHDRAWN = " Withdrawn. {nothing} {why}{approved}"
_UNDONE_IN_TIME = " Undone by {back} in time. {nothing}{approved}"
_WORKS, _BACK = "hourglass_flowing_sand", "leftwards_arrow_with_hook"
_UNDER_WAY = "Being undone{by}…"
# In the order of a proposal's states, which is the order of every list.
STATES: Mapping[ProposalState, _StateWords] = {
    _S.PENDING: _StateWords("", "waiting", undoing="The undo waits for an approval on its own card."),
    _S.APPROVED: _StateWords("Approved: ", "approved", _WORKS, " {by}{then}", _UNDER_WAY),
    _S.EXECUTING: _StateWords("Running: ", "running", _WORKS, " Running now. {by}", _UNDER_WAY),
    _S.UNKNOWN: _StateWords("No answer: ", "no answer", "grey_question", _UNKNOWN, _UNKNOWN_UNDO),
    _S.FAILED: _StateWords(
        "Failed: ", "failed", "x", _FAILED, "Could not be undone: {why}", otherwise=_REFUSED
    ),
    _S.SUCCEEDED: _StateWords("Done: ", "done", "white_check_mark", _DONE, "Undone{by}{at}."),
    _S.DECLINED: _StateWords(
        "Declined: ", "declined", "no_entry_sign", " Nothing was done. {by}{reasons}", verb="Declined"
    ),
    _S.EXPIRED: _StateWords("Expired: ", "expired", "hourglass", _EXPIRED, otherwise=_LATE),
    _S.WITHDRAWN: _StateWords("Withdrawn: ", "withdrawn", _BACK, _WITHDRAWN, otherwise=_GONE),
}
DECIDING = _StateWords("Deciding: ", "being decided")  # pending, with an approval that is still checked
# The words of a question about a kind of case, where they differ.
_OF_GRADUATION: Mapping[ProposalState, _StateWords] = {
    _S.SUCCEEDED: replace(
        STATES[_S.SUCCEEDED],
        title="Turned on: ",
        status=" Such cases now run on their own. {note}{by}{progress}{undone}",
        verb="Turned on",
    ),
    _S.DECLINED: replace(
        STATES[_S.DECLINED],
        title="Keeps asking: ",
        status=" I keep asking about such cases. {by}{reasons}",
    ),
}
_OF_KIND = {
    ProposalKind.GRADUATION: _OF_GRADUATION,
    ProposalKind.ERASURE: {
        _S.SUCCEEDED: replace(STATES[_S.SUCCEEDED], title="Erased: ", status=" Erased. {by}"),
    },
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


def erased_title(called: Sequence[str]) -> str:
    """The title of a proposal whose texts are erased: what its calls do, to nobody in particular."""
    known = [operations()[name].title if name in operations() else name for name in dict.fromkeys(called)]
    return f"Erased: {'; '.join(known)}" if known else erasure_title(None)


def erasure_title(email: str | None) -> str:
    """The question whether to erase what is kept of a customer."""
    return f"Erase what is kept of {email or 'a deleted customer'}?"


_RISK = {
    "R0": "none, only reads",
    "R1": "low",
    "R2": "some money or access, bounded",
    "R3": "high",
    "R4": "highest",
}


def does(p: Proposal) -> str:
    """The effect of an approval: "Disable a license key × 2"."""
    if p.kind == ProposalKind.ERASURE:
        return "Erases names, addresses, messages and webhooks of this customer here. Polar is not called"
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
    never = (
        ". Two approvers are needed, so it cannot be approved: add an approver, or decline it"
        if too_few
        else ""
    )
    return f"{', '.join(found.names[:5])}{more} may decide{never}"


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CardView:
    """The facts that a card shows and that its proposal does not hold.

    `deciders` names the approvers in words. With `needs_two`, `approvals` are the actors who approved so far.
    `reasons` are the reasons of the decline. `undo` is True if the calls can be undone; `undone` is the
    proposal that undoes them. `today` are money lines of today (label, value). `score` and `spot_check` are
    small print.
    """

    deciders: str = ""
    approvals: tuple[str, ...] = ()
    needs_two: bool = False
    decline_reasons: tuple[str, ...] = ()
    undo: bool = False
    undone: Proposal | None = None
    today: tuple[tuple[str, str], ...] = ()
    score: str | None = None
    spot_check: str | None = None
    now: datetime = _LONG_AGO


_REASON = 500  # characters of one call's reason in the thread

# The next step after a refusal, by Polar's status. It follows Polar's own reason.
_NEXT: Mapping[int | None, str] = {
    401: "Then Retry.",
    404: "Check in Polar whether the object still exists. Retry sends the call once more.",
    409: "Look at it in Polar, and Retry once its state allows this.",
    410: "The object is closed in Polar. If you still want a change, use /polar propose.",
    412: "Look at it in Polar, and Retry once its state allows this.",
    422: "Polar would refuse the same call again. Propose a different call with /polar propose.",
    None: "Correct the cause, then tap Retry.",
}
_NEXT_IN_DOUBT: Mapping[ReasonCode, str] = {
    ReasonCode.LIKE_IT_THERE: "Retry sends another one.",
    ReasonCode.STILL_IN_DOUBT: "Look in Polar. Retry reads Polar again.",
    ReasonCode.NOT_DONE_BY_HAND: "Retry reads Polar once more before it sends it again.",
}
_NEXT_OTHERWISE = "Retry once that has changed, or propose it differently with /polar propose."


def prefix(p: Proposal, view: CardView) -> str:
    """The beginning of the line for a notification."""
    if p.state == ProposalState.PENDING:
        causes = (
            (p.approval_checking_by, DECIDING.title),
            (p.held_by, "On hold: "),
            (view.needs_two and view.approvals, "One more yes: "),
            (p.changes, "Changed: "),
        )
        return next((said for holds, said in causes if holds), "")
    if p.state == ProposalState.WITHDRAWN and undone_by(p.status_reason):
        return "Undone: "
    if view.undone is not None and view.undone.state == ProposalState.SUCCEEDED:
        return "Undone: "
    return _words_of(p).title


def status(p: Proposal, view: CardView, limit: int) -> list[Element]:
    """One section for each fact; none while a proposal only waits. `limit` is the length of a reason."""
    if p.state == ProposalState.PENDING:
        return [line(*said) for said in _waiting(p, view)]
    said, back = _words_of(p), undone_by(p.status_reason) if p.state == _S.WITHDRAWN else None
    by, reason = _by(p, view, said.verb), p.status_reason
    why = sentence(reason, limit) if reason else [words(said.otherwise)] if said.otherwise else []
    reasons, told = view.decline_reasons, _UNDONE_IN_TIME if back else said.status
    elements = filled(
        told,
        by=by,
        nothing=nothing_done(reason, doubt=p.in_doubt),
        approved=[glue(" "), *by] if p.decided_by else [],
        why=why,
        note=[*why, glue(" ")] if reason else [],
        then=_then(p, view, limit),
        next=_next(p),
        retry=filled(_FIRST_RETRY, who=person(p.retry_by)) if p.retry_by else [],
        progress=_progress(p),
        undone=_undone(p, view, limit),
        reasons=[glue("\nWhy: "), words("; ".join(reasons), limit)] if reasons else [],
        expired=[glue(", "), when(p.expires_at)] if p.expires_at else [],
        back=person(back or ""),
    )
    return [line(emoji(said.mark), *elements)]


def _words_of(p: Proposal) -> _StateWords:
    own = _OF_KIND.get(p.kind, STATES)
    return own.get(p.state, STATES[p.state])


def _waiting(p: Proposal, view: CardView) -> list[list[Element]]:
    """The cause that delays a pending proposal, or the people it waits for."""
    release = " Nobody can approve it until somebody mentions me with “release” in the thread."
    said: list[list[Element]] = []
    if view.needs_two and view.approvals:
        two = " {who} said yes. It takes two: one more person has to approve."
        said.append([emoji("ballot_box_with_check"), *filled(two, who=_people(view.approvals))])
    if p.approval_checking_by:
        asked = " Deciding… {who} said yes; Polar is asked whether anything has changed."
        said.append([emoji("hourglass_flowing_sand"), *filled(asked, who=person(p.approval_checking_by))])
    if p.held_by:
        said.append([emoji("pushpin"), *filled(f" On hold by {{who}}.{release}", who=person(p.held_by))])
    if p.assignee:
        said.append([emoji("point_right"), *filled(" Assigned to {who}.", who=person(p.assignee))])
    if p.snoozed_until and view.now < p.snoozed_until:
        by = [glue(" by "), person(p.snoozed_by)] if p.snoozed_by else []
        until = " Snoozed until {at}{by}. It can still be decided."
        said.append([emoji("zzz"), *filled(until, at=when(p.snoozed_until), by=by)])
    return said


def _people(actors: tuple[str, ...]) -> list[Element]:
    return joined([[person(actor)] for actor in actors[:3]], " and ")


def _by(p: Proposal, view: CardView, verb: str) -> list[Element]:
    """The approver and the time of the decision: Approved by @Ada, 21 Nov 12:31."""
    if p.decided_by is None or p.decided_at is None:
        return []
    if p.decided_by == Actor.POLICY:
        return filled("Approved automatically, {at}: this kind of case is turned on.", at=when(p.decided_at))
    everybody = view.approvals if p.decided_by in view.approvals else (p.decided_by,)
    edited = [glue(", as edited by "), person(p.edited_by)] if p.edited_by else []
    at = when(p.decided_at)
    return filled(f"{verb} by {{who}}, {{at}}{{edited}}.", who=_people(everybody), at=at, edited=edited)


def _then(p: Proposal, view: CardView, limit: int) -> list[Element]:
    """Name the thing that an approved proposal waits for."""
    if p.held_by:
        return filled("\nOn hold by {who}: it does not run until released.", who=person(p.held_by))
    if p.cancellable_until is not None and is_held(p, view):
        at = when(p.cancellable_until, seconds=True)
        return filled("\nRuns {at}. Until then Undo takes it back.", at=at)
    if p.status_reason and is_put_off(p):
        why = sentence(p.status_reason, limit)
        return [*filled("\nNot done yet: {why} Trying again.", why=why), *_progress(p)]
    return [glue(" It is about to run.")]


def _undone(p: Proposal, view: CardView, limit: int) -> list[Element]:
    """The result of the undo."""
    undo = view.undone
    arrow = [glue("\n"), emoji(_BACK), glue(" ")]
    if undo is None:
        return [*arrow, *filled("Undone, {at}.", at=when(p.undone_at))] if p.undone_at else []
    actor, at = undo.decided_by or undo.proposer, p.undone_at or undo.decided_at
    said = filled(
        STATES[undo.state].undoing,
        by=[glue(" by "), person(actor)] if actor else [],
        at=[glue(", "), when(at)] if at else [],
        why=sentence(undo.status_reason, limit) if undo.status_reason else [words(_REFUSED)],
    )
    return [*arrow, *said]


def _next(p: Proposal) -> str:
    if p.status_reason is not None and p.status_reason.code in _NEXT_IN_DOUBT:
        return _NEXT_IN_DOUBT[p.status_reason.code]
    refused = [call for call in p.calls if call.state == CallState.REFUSED]
    return _NEXT.get(refused[-1].status if refused else None, _NEXT_OTHERWISE)


def undone_by(reason: Reason | None) -> str | None:
    """The person who undid an approval before a call was sent, if that is the reason."""
    taken_back = reason is not None and reason.code is ReasonCode.UNDONE_IN_TIME
    return str(reason.args.get("actor")) if reason is not None and taken_back else None


def _progress(p: Proposal) -> list[Element]:
    """The number of calls in each state, "1 done, 1 refused", for several calls that are not all done."""
    if len(p.calls) < 2 or all(call.state == CallState.DONE for call in p.calls):
        return []
    counts = Counter(CALLS[call.state] for call in p.calls)
    listed = ", ".join(f"{count} {state}" for state, count in counts.items())
    return [glue(f"\nOf {len(p.calls)} calls: {listed}.")]


def outcome(call: ProposalCall) -> str:
    """The result of one call, in words for the thread."""
    said = CALLS[call.state] + (f" ({call.status})" if call.status and call.state != CallState.DONE else "")
    return f"{said}: {plain(call.reason, _REASON, 'A person')}" if call.reason else said


def is_held(p: Proposal, view: CardView) -> bool:
    """Tell whether it is approved and waits for the end of its undo window."""
    until = p.cancellable_until
    return p.state == ProposalState.APPROVED and until is not None and view.now < until


def is_put_off(p: Proposal) -> bool:
    """Tell whether a failed run is tried again. The approver's own reason does not count."""
    put_off = p.status_reason is not None and p.status_reason.code is not ReasonCode.GIVEN
    return p.state == ProposalState.APPROVED and put_off
