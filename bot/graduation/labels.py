"""What one decided case says for or against its kind (graduation.md 3.3). Pure."""

from datetime import datetime, timedelta

from store.models import Decision, Mode, OutcomeKind, ProposalState, Verdict
from store.models.graduation import CaseHistory, Label

TOO_FAST = timedelta(seconds=2)
YES = "yes"
# Kept and shown, but worth nothing: nobody may have looked, or the case was no fair sample.
FAST, BULK, FORCED = "yes in less than 2 s", "yes by one tap for several", "yes to an unusual case"
RESTATED = "yes to a question that had changed"  # its kind of case is that of the question before
UNSEEN = (FAST, BULK, RESTATED)  # nothing is learnt from these either
BROKEN = "yes, but it was not done"  # a kind that Polar refuses has not shown that it works
_OUTCOMES = {
    OutcomeKind.UNDONE: "undone",
    OutcomeKind.REVERSED: "reversed",
    OutcomeKind.DISPUTED: "disputed",
    OutcomeKind.FAILED: "went wrong",
}
_NOT_DONE = (ProposalState.FAILED, ProposalState.UNKNOWN)
_NO_LABEL = (ProposalState.PENDING, ProposalState.EXPIRED, ProposalState.WITHDRAWN)


def label(case: CaseHistory, window: timedelta) -> Label | None:
    """The label of a case, or None: it says nothing (yet).

    What is bad counts at once and always. A yes counts once `window` has passed without it being undone,
    reversed or disputed, and only when somebody can have looked: one press is at most one yes.
    """
    decided = case.decisions[-1] if case.decisions else None
    bad = _bad(case, decided, window)
    if bad is not None:
        why, at = bad
        decided_at = at if decided is None else decided.at
        return Label(case.proposal_id, case.case_kind, True, True, why, _audit(case), decided_at, at)
    if decided is None or case.state in _NO_LABEL:
        return None
    worthless = _worthless(case, decided)
    return Label(
        proposal_id=case.proposal_id,
        case_kind=case.case_kind,
        bad=False,
        counted=worthless is None,
        why=worthless or YES,
        audit=_audit(case),
        decided_at=decided.at,
        matures_at=decided.at + window,
    )


def _bad(case: CaseHistory, decided: Decision | None, window: timedelta) -> tuple[str, datetime] | None:
    """Why a case speaks against its kind, and since when."""
    if decided is not None and decided.verdict == Verdict.DECLINE:
        return "declined", decided.at
    approved = decided is not None and case.state not in (ProposalState.PENDING, ProposalState.EXPIRED)
    if approved and decided is not None and case.edited_by:
        return "changed before it was approved", decided.at
    since = None if decided is None else decided.at
    for outcome in case.outcomes:
        # What ran on its own has no decision: whatever came of it counts.
        if since is None or outcome.at - since <= window:
            return _OUTCOMES[outcome.kind], outcome.at
    return None


def _worthless(case: CaseHistory, decided: Decision) -> str | None:
    seen = decided.shown_at or case.first_shown_at
    pressed = decided.clicked_at or decided.at  # looking at Polar takes longer than two seconds at times
    if case.hasty or (seen is not None and pressed - seen < TOO_FAST):
        return FAST
    if not case.first_of_tap:
        return BULK
    if case.restated:
        return RESTATED
    if case.state in _NOT_DONE:
        return BROKEN
    return FORCED if case.forced else None


def _audit(case: CaseHistory) -> bool:
    return case.mode == Mode.AUDIT
