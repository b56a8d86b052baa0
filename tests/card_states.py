"""Every state a card can be in, by name: for the tests that read cards and for the pictures of them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.config.policy import Policy
from bot.graduation.score import words as score_words
from bot.pipeline.learn import Assessor
from bot.proposals.money import refund_facts, refund_sum, today_lines
from bot.ui.card import CardView, Message, card
from store.models import Call, CallState, CaseKindState, Mode, Proposal, ProposalState
from store.models.graduation import CaseKind, Rehearsal

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(days=6, hours=2)
_S = ProposalState
_REFUND = Call("refunds:create", {}, {}, {"order_id": "o1", "amount": 3451, "reason": "duplicate"})
_KEY = Call("license_keys:update", {"id": "k1"}, {}, {"status": "disabled"})
_POLICY = Policy()
_TODAY = today_lines({"usd": 12_000}, "usd", _POLICY)
_ORDER = {
    "currency": "usd", "refundable_amount": 3451, "refundable_tax_amount": 0, "net_amount": 3451,
    "tax_amount": 0, "platform_fee_amount": 178,
}  # fmt: skip


def _sum(amount: int) -> tuple[tuple[str, str], ...]:
    return refund_facts([refund_sum(_ORDER, amount)])


def asked(**changes: Any) -> Proposal:
    """A refund that waits for a decision: money, and it cannot be taken back."""
    given = Proposal(
        id="p7k2m4q6s8t3", fact_key="f", event_id="e", rule="refund-duplicate-order", rule_version="v1",
        subject="order:o1", title="Refund $34.51 to Marta Kowalczyk, who paid twice for Pro?",
        because=("The same customer bought the same product twice within ten minutes", "The benefits stay"),
        facts=(*_sum(3451), ("Customer", "Marta Kowalczyk (marta@kowalczyk.example)")),
        risk="R3", always_asks=None, created_at=NOW, state=_S.PENDING, row_version=1, note=None, attempts=0, verify_attempts=0,
        decided_by=None, decided_at=None, channel=None, card_ts=None, rendered_version=0, amount=3451, currency="usd",
        calls=(_REFUND,),
    )  # fmt: skip
    return replace(given, **changes)


def decided(state: ProposalState, **changes: Any) -> Proposal:
    """The same, approved (or declined) by Anna."""
    return asked(**{"state": state, "row_version": 3, "decided_by": "U0ANNA", "decided_at": NOW} | changes)


def _keys(state: ProposalState, **changes: Any) -> Proposal:
    """Something that can be undone, in a state."""
    done = tuple(
        replace(_KEY, path={"id": f"k{number}"}, number=number, state=CallState.DONE) for number in (1, 2)
    )
    keys = {
        "title": "Disable 2 license keys of Bob Lind, $29.00 refunded?", "calls": done,
        "rule": "disable-keys-of-refunded-order", "because": ("The refund left 2 keys granted",),
        "facts": (("Customer", "Bob Lind (bob@lind.example)"), ("Amount", "$29.00")), "risk": "R2",
    }  # fmt: skip
    return decided(state, **keys | changes)


def _graduation(state: ProposalState = _S.PENDING, **changes: Any) -> Proposal:
    offer = Assessor(_POLICY).offer(_INVOICES, Rehearsal(74, 0, {}, None), NOW)
    names = ("title", "because", "facts", "risk", "always_asks", "kind", "proposer", "rule", "calls")
    about = {name: getattr(offer, name) for name in names} | {"state": state, "amount": None}
    return asked(**about | changes)


_INVOICES = CaseKind(
    hash="5" * 64, family="f", fields={"action": [["POST", "/v1/orders/{id}/invoice", []]], "amount": [11, "usd"]}, risk="R1", state=CaseKindState.ASKING, manual_override=False,
    words="Generate the invoice of an order · order paid, purchase · Pro monthly · $20.48 to $40.95 · returning customer",
    generation=0, generation_at=NOW, n=50, k=0, customers=38, first_at=NOW - timedelta(days=202), approvals_since_rejection=50,
    audits_agreed=0, audits=0, seen={}, offered_at=None, used_at=NOW, changed_at=None, cause=None,
)  # fmt: skip
_ASK = CardView(deciders="Anna Berg, Ben Okafor may decide", today=_TODAY, now=NOW,
                score="always asks: high risk, and not opted in")  # fmt: skip
_ACCESS = replace(_ASK, today=(), score=score_words(50, 0, 0, 95.0))
_REFUSED = replace(_REFUND, state=CallState.REFUSED, status=409, error="The order is under dispute")
_EDITED = (("Amount before tax", "$34.51", "$20.00"), ("Reason", "Duplicate", "Satisfaction guarantee"))

STATES: Mapping[str, tuple[Proposal, CardView]] = {
    "pending": (asked(deadline=LATER), _ASK),
    "one of two": (asked(row_version=2), replace(_ASK, needs_two=True, approvals=("U0BEN",))),
    "edited": (asked(revision=2, row_version=2, changes=_EDITED, edited_by="U0ANNA", facts=(*_sum(2000), ("Customer", "Marta Kowalczyk (marta@kowalczyk.example)")), always_asks="a person edited it", title="Refund $20.00 to Marta Kowalczyk, who paid twice for Pro (edited)?"), _ASK),
    "changed": (asked(revision=2, row_version=2, changes=(("Fees", "$1.50, not returned by Polar", "$1.78, not returned by Polar"),)), _ASK),
    "snoozed": (asked(row_version=2, snoozed_until=LATER, snoozed_by="U0BEN"), _ASK),
    "assigned": (asked(row_version=2, assignee="U0BEN"), _ASK),
    "on hold": (asked(row_version=2, held_by="U0BEN"), _ASK),
    "always asks": (asked(risk="R4", always_asks="irreversible"), _ASK),
    "being decided": (asked(row_version=2, approval_checking_by="U0ANNA"), _ASK),
    "approved, held": (decided(_S.APPROVED, cancellable_until=NOW + timedelta(seconds=15)), _ASK),
    "approved, later": (decided(_S.APPROVED, note="Polar could not be reached. Nothing was done."), _ASK),
    "running": (decided(_S.EXECUTING), _ASK),
    "done": (decided(_S.SUCCEEDED), _ASK),
    "done, undo": (_keys(_S.SUCCEEDED), replace(_ACCESS, undo=True, audit="audit: agreed, 31/31")),
    "being undone": (_keys(_S.SUCCEEDED), replace(_ACCESS, undo=True, undone=_keys(_S.EXECUTING, decided_by="U0BEN"))),
    "undone": (_keys(_S.SUCCEEDED, undone_at=NOW), replace(_ACCESS, undone=_keys(_S.SUCCEEDED, decided_by="U0BEN"))),
    "refused": (decided(_S.FAILED, note="Polar refused: The order is under dispute", calls=(_REFUSED,)), _ASK),
    "no answer": (decided(_S.UNKNOWN), _ASK),
    "declined": (decided(_S.DECLINED), _ASK),
    "declined, why": (decided(_S.DECLINED), replace(_ASK, reasons=("Settled another way",))),
    "expired": (asked(state=_S.EXPIRED, row_version=2, expires_at=NOW), _ASK),
    "withdrawn": (
        decided(_S.WITHDRAWN, note="Checked just before the call: it no longer applies (size(each) > 0)."), _ASK
    ),
    "undone in time": (decided(_S.WITHDRAWN, note="Undone by U0ANNA in time. Nothing was done."), _ASK),
    "failed on its own": (
        _keys(_S.FAILED, decided_by="policy", mode=Mode.AUTO, note="Polar refused: It is gone",
              calls=(replace(_KEY, state=CallState.DONE), replace(_KEY, number=1, state=CallState.REFUSED, status=404))),
        _ACCESS,
    ),
    "graduation": (_graduation(), replace(_ASK, today=(), score=None)),
    "turned on": (_graduation(_S.SUCCEEDED, decided_by="U0ANNA", decided_at=NOW), replace(_ASK, score=None)),
}  # fmt: skip


def message_of(name: str) -> Message:
    """The card of that state."""
    return card(*STATES[name])
