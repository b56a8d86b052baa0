"""The kind of case of a proposal, and the label of a decided case. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from polar.catalog import Call, operations
from polar.events import Event
from polar.text.words import clean, format_money
from store.models import (
    Decision,
    Mode,
    NewCaseKind,
    NewProposal,
    PlannedCall,
    ProposalState,
    Verdict,
    canonical_json,
    sha256,
)
from store.models.graduation import CaseHistory, Label, Past
from store.models.reasons import LabelReason

# The fields that give the reason of an event. The first field that is present counts.
_SUB_REASONS = ("billing_reason", "customer_cancellation_reason", "reason")
_OFTEN = {None: "", "day": "daily", "week": "weekly", "month": "monthly", "year": "yearly"}
_REFUNDS = {0: "no refund before", 1: "1 refund before", 2: "2 or more refunds before"}

TOO_FAST = timedelta(seconds=2)
_NOT_DONE = (ProposalState.FAILED, ProposalState.UNKNOWN)
_NO_LABEL = (ProposalState.PENDING, ProposalState.EXPIRED, ProposalState.WITHDRAWN)


def case_kind_of(proposal: NewProposal, event: Event, past: Past, *, environment: str) -> NewCaseKind:
    """The kind of case of a rule's proposal about `event`. `environment` is "production" or "sandbox"."""
    data = event.data
    fields: dict[str, Any] = {
        "action": _action(proposal.calls),
        "trigger": _trigger(event, proposal.calls),
        "product": _text(data.get("product_id")) or _text(_part(data, "product").get("id")),
        "interval": _interval(data),
        "amount": _band(proposal.amount, proposal.currency),
        "customer": {
            "orders": "first" if past.orders == 0 else "returning",
            "refunds": min(past.refunds, 2),
            "dispute": past.dispute,
        },
        "rule": proposal.rule_version,
        "environment": environment,
        "risk": proposal.risk,
    }
    family = sha256(canonical_json({"action": fields["action"], "trigger": fields["trigger"]}))
    label = " · ".join(filter(None, (clean(part, 120) for part in _labelled(fields, proposal, data))))
    return NewCaseKind(sha256(canonical_json(fields)), family, fields, label, proposal.risk)


def _action(calls: Sequence[PlannedCall]) -> list[list[Any]]:
    """The method, the path template and the names of the set fields: each different call once, sorted."""
    known = [(operations()[call.operation], sorted([*(call.body or {}), *call.query])) for call in calls]
    found = [[operation.method, operation.path, fields] for operation, fields in known]
    return sorted({canonical_json({"": one}): one for one in found}.values())


def _trigger(event: Event, calls: Sequence[PlannedCall]) -> list[str]:
    """The type of the event, its reason, and for refunds the share of the order."""
    data = event.data
    why = next((said for name in _SUB_REASONS if (said := _text(data.get(name)))), None)
    return [part for part in (event.type, why, _extent(event, calls)) if part]


def _extent(event: Event, calls: Sequence[PlannedCall]) -> str | None:
    data = event.data
    if event.type == "order.refunded":
        return "partial" if data.get("status") == "partially_refunded" else "full"
    refunded = [
        call.body.get("amount")
        for call in calls
        if call.operation == "refunds:create" and call.body is not None
    ]
    whole = data.get("refundable_amount", data.get("net_amount"))
    if not refunded or not isinstance(whole, int):
        return None
    return "full" if any(isinstance(one, int) and one >= whole for one in refunded) else "partial"


def _interval(data: Mapping[str, Any]) -> str | None:
    for part in (data, _part(data, "product"), _part(data, "subscription")):
        if unit := _text(part.get("recurring_interval")):
            count = part.get("recurring_interval_count")
            return f"{count} {unit}" if isinstance(count, int) and count > 1 else unit
    return None


def _band(amount: int | None, currency: str | None) -> list[Any] | None:
    """The floor of the base-2 logarithm of minor units, with the currency; -1 for 0; None without money."""
    if amount is None or currency is None:
        return None
    return [abs(amount).bit_length() - 1, currency.lower()]


def _labelled(fields: Mapping[str, Any], proposal: NewProposal, data: Mapping[str, Any]) -> list[str]:
    titles = dict.fromkeys(
        operations()[call.operation].describe(Call.of(call)).title for call in proposal.calls
    )
    kind, *more = fields["trigger"]
    said = [kind.replace(".", " ").replace("_", " "), *(one.replace("_", " ") for one in more)]
    product = _text(_part(data, "product").get("name")) or fields["product"]
    interval = fields["interval"]
    how_often = _OFTEN.get(interval, f"every {interval}s")
    said_already = how_often and product is not None and how_often in product.lower()
    sold = " ".join(filter(None, (product, "" if said_already else how_often)))
    customer = fields["customer"]
    who = "first order" if customer["orders"] == "first" else "returning customer"
    if customer["refunds"]:
        who += f", {_REFUNDS[customer['refunds']]}"
    if customer["dispute"]:
        who += ", open dispute"
    sandbox = "sandbox" if fields["environment"] == "sandbox" else ""
    return ["; ".join(titles), ", ".join(said), sold, _range(fields["amount"]), who, sandbox]


def _range(band: Sequence[Any] | None) -> str:
    if band is None:
        return ""
    exponent, currency = band
    if exponent < 0:
        return format_money(0, currency)
    return f"{format_money(2**exponent, currency)} to {format_money(2 ** (exponent + 1) - 1, currency)}"


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = data.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(value: Any) -> str | None:
    return value[:200] if isinstance(value, str) and value else None


# --- The label: an approval or a rejection of the case's kind ---------------------------------------------


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
