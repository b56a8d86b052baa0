"""The label of a decided case: for its kind, against it, or neither. Pure."""

from datetime import datetime, timedelta

from store.models import Decision, Mode, ProposalState, Verdict
from store.models.graduation import CaseHistory, Label
from store.models.reasons import LabelReason

TOO_FAST = timedelta(seconds=2)
_NOT_DONE = (ProposalState.FAILED, ProposalState.UNKNOWN)
_NO_LABEL = (ProposalState.PENDING, ProposalState.EXPIRED, ProposalState.WITHDRAWN)


def label_of(case: CaseHistory, window: timedelta) -> Label | None:
    """The label of a case, or None while it has none.

    A rejection counts at once and always. An approval counts after `window` if the case was not undone,
    reversed or disputed. It counts only if its approver had time to read. One press is at most one approval.
    A spot check that ended undecided is none of both: it counts as a spot check not agreed with.
    """
    decided = case.decisions[-1] if case.decisions else None
    rejected = _rejection(case, decided, window)
    if rejected is not None:
        reason, matures_at = rejected
        at = matures_at if decided is None else decided.at
    elif decided is None and case.lapsed_at is not None and case.mode == Mode.SPOT_CHECK:
        reason, at, matures_at = LabelReason.LAPSED, case.lapsed_at, case.lapsed_at + window
    elif decided is None or case.state in _NO_LABEL:
        return None
    else:
        reason = _not_counted(case, decided) or LabelReason.APPROVED
        at, matures_at = decided.at, decided.at + window
    return Label(
        proposal_id=case.proposal_id,
        case_kind=case.case_kind,
        is_rejection=rejected is not None,
        is_counted=rejected is not None or reason == LabelReason.APPROVED,
        reason=reason,
        is_spot_check=case.mode == Mode.SPOT_CHECK,
        decided_at=at,
        matures_at=matures_at,
    )


def _rejection(
    case: CaseHistory, decided: Decision | None, window: timedelta
) -> tuple[LabelReason, datetime] | None:
    """The reason why a case counts against its kind, and the time from which it does."""
    if decided is not None and decided.verdict == Verdict.DECLINE:
        return LabelReason.DECLINED, decided.at
    undecided = case.state in (ProposalState.PENDING, ProposalState.EXPIRED)
    if decided is not None and case.edited_by and not undecided:
        return LabelReason.EDITED, decided.at
    for outcome in case.outcomes:
        # An automatic run has no decision, so every outcome of it counts.
        if decided is None or outcome.at - decided.at <= window:
            return LabelReason(outcome.kind), outcome.at
    return None


def _not_counted(case: CaseHistory, decided: Decision) -> LabelReason | None:
    """The reason why an approval is kept and shown, but not counted."""
    shown = decided.shown_at or case.first_shown_at
    pressed = decided.clicked_at or decided.at  # a read of Polar sometimes takes more than two seconds
    if case.hasty or (shown is not None and pressed - shown < TOO_FAST):
        return LabelReason.TOO_FAST
    if not case.first_of_tap:
        return LabelReason.BULK
    if case.restated:
        return LabelReason.RESTATED
    if case.state in _NOT_DONE:
        return LabelReason.NOT_DONE
    return LabelReason.UNUSUAL if case.unusual else None
