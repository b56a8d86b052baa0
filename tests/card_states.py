"""Every state a card can be in, by name: for the tests that read cards and for the pictures of them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.cards import CardView, Message, card
from store.models import Call, CallState, Mode, Proposal, ProposalKind, ProposalState

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(days=6, hours=2)
_S = ProposalState
_REFUND = Call("refunds:create", {}, {}, {"order_id": "o1", "amount": 2900, "reason": "customer_request"})
_KEY = Call("license_keys:update", {"id": "k1"}, {}, {"status": "disabled"})
_TODAY = (("Customer gets", "$34.51, tax included"), ("Refunds today", "$120.00 of $200.00"))


def asked(**changes: Any) -> Proposal:
    """A refund that waits for a decision: money, and it cannot be taken back."""
    given = Proposal(
        id="p7k2m4q6s8t3", fact_key="f", event_id="e", rule="refund-duplicate-order", rule_version="v1",
        subject="order:o1", title="Refund $34.51 to Marta Kowalczyk, who paid twice for Pro?",
        because=("Two orders of the same product within 4 minutes", "The second one has not been used"),
        facts=(("Customer", "Marta Kowalczyk (marta@kowalczyk.example)"), ("Order", "INV-2041, $34.51, 21 Nov")),
        risk="R2", always_asks=None, created_at=NOW, state=_S.PENDING, version=1, note=None, attempts=0, looks=0,
        decided_by=None, decided_at=None, channel=None, card_ts=None, drawn=0, amount=3451, currency="usd",
        calls=(_REFUND,),
    )  # fmt: skip
    return replace(given, **changes)


def decided(state: ProposalState, **changes: Any) -> Proposal:
    """The same, approved (or declined) by Anna."""
    return asked(**{"state": state, "version": 3, "decided_by": "U0ANNA", "decided_at": NOW} | changes)


def _keys(state: ProposalState, **changes: Any) -> Proposal:
    """Something that can be undone, in a state."""
    done = tuple(
        replace(_KEY, path={"id": f"k{number}"}, number=number, state=CallState.DONE) for number in (1, 2)
    )
    keys = {
        "title": "Disable 2 license keys of Bob Lind, $29.00 refunded?", "calls": done,
        "rule": "disable-keys-of-refunded-order", "because": ("The refund left 2 keys granted",),
        "facts": (("Customer", "Bob Lind (bob@lind.example)"), ("Amount", "$29.00")),
    }  # fmt: skip
    return decided(state, **keys | changes)


def _graduation(state: ProposalState = _S.PENDING, **changes: Any) -> Proposal:
    about = {
        "kind": ProposalKind.GRADUATION, "rule": None, "calls": (), "state": state,
        "title": "Let “Generate the invoice, paid order, under $32” run without asking?",
        "because": ("50 yes, 0 no since 3 May; score 91.8, the bar is 90",
                    "Had it been on for 90 days: 74 on its own, none you declined, 25 min saved"),
        "facts": (("Audits", "I keep asking about 1 in 10, at first every other one"),
                  ("Caps", "50 a day; no money moves")), "risk": "R1", "amount": None,
    }  # fmt: skip
    return asked(**about | changes)


_ASK = CardView(deciders="Anna Berg, Ben Okafor may decide", today=_TODAY, now=NOW,
                score="score 91.8 · 50 yes 0 no · 35 more to 95")  # fmt: skip
_REFUSED = replace(_REFUND, state=CallState.REFUSED, status=409, error="The order is under dispute")
_EDITED = (("Amount", "$34.51", "$20.00"), ("Reason", "customer request", "satisfaction guarantee"))

STATES: Mapping[str, tuple[Proposal, CardView]] = {
    "pending": (asked(deadline=LATER), _ASK),
    "one of two": (asked(version=2), replace(_ASK, needs_two=True, approvals=("U0BEN",))),
    "edited": (asked(edition=2, version=2, changes=_EDITED, edited_by="U0ANNA", title="Refund $20.00 to Marta Kowalczyk, who paid twice for Pro?"), _ASK),
    "changed": (asked(edition=2, version=2, changes=(("Left to refund", "$34.51", "$14.51"),)), _ASK),
    "snoozed": (asked(version=2, snoozed_until=LATER, snoozed_by="U0BEN"), _ASK),
    "assigned": (asked(version=2, assignee="U0BEN"), _ASK),
    "on hold": (asked(version=2, on_hold_by="U0BEN"), _ASK),
    "always asks": (asked(risk="R4", always_asks="irreversible"), _ASK),
    "being decided": (asked(version=2, deciding_by="U0ANNA"), _ASK),
    "approved, held": (decided(_S.APPROVED, held_until=NOW + timedelta(seconds=15)), _ASK),
    "approved, later": (decided(_S.APPROVED, note="Polar could not be reached. Nothing was done."), _ASK),
    "running": (decided(_S.EXECUTING), _ASK),
    "done": (decided(_S.SUCCEEDED), _ASK),
    "done, undo": (_keys(_S.SUCCEEDED), replace(_ASK, undo=True, audit="audit: agreed, 31/31")),
    "being undone": (_keys(_S.SUCCEEDED), replace(_ASK, undo=True, undone=_keys(_S.EXECUTING, decided_by="U0BEN"))),
    "undone": (_keys(_S.SUCCEEDED, undone_at=NOW), replace(_ASK, undone=_keys(_S.SUCCEEDED, decided_by="U0BEN"))),
    "refused": (decided(_S.FAILED, note="Polar refused: The order is under dispute", calls=(_REFUSED,)), _ASK),
    "no answer": (decided(_S.UNKNOWN), _ASK),
    "declined": (decided(_S.DECLINED), _ASK),
    "declined, why": (decided(_S.DECLINED), replace(_ASK, reasons=("Settled another way",))),
    "expired": (asked(state=_S.EXPIRED, version=2, expires_at=NOW), _ASK),
    "withdrawn": (
        decided(_S.WITHDRAWN, note="Checked just before the call: it no longer applies (size(each) > 0)."), _ASK
    ),
    "undone in time": (decided(_S.WITHDRAWN, note="Undone by U0ANNA in time. Nothing was done."), _ASK),
    "failed on its own": (
        _keys(_S.FAILED, decided_by="policy", mode=Mode.AUTO, note="Polar refused: It is gone",
              calls=(replace(_KEY, state=CallState.DONE), replace(_KEY, number=1, state=CallState.REFUSED, status=404))),
        _ASK,
    ),
    "graduation": (_graduation(), replace(_ASK, today=(), score=None)),
    "turned on": (_graduation(_S.SUCCEEDED, decided_by="U0ANNA", decided_at=NOW), replace(_ASK, score=None)),
}  # fmt: skip


def message_of(name: str) -> Message:
    """The card of that state."""
    return card(*STATES[name])
