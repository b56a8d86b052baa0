"""What has changed is said field by field, in words, and whatever changed is said."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.proposals.recheck import changes
from store.models import NewProposal, PlannedCall, Proposal, ProposalCall, ProposalState

NOW = datetime(2026, 11, 21, tzinfo=UTC)
KEY = PlannedCall("license_keys:update", path={"id": "k1"}, body={"status": "disabled"})
REFUND = PlannedCall("refunds:create", body={"order_id": "o1", "amount": 2_900, "reason": "other"})
CALLS = st.lists(
    st.sampled_from([KEY, replace(KEY, path={"id": "k2"}), replace(KEY, body={"status": "granted"}), REFUND]),
    max_size=3,
)
WORDS = st.sampled_from(["a", "b", "c"])


def shown(**fields: Any) -> Proposal:
    """A proposal as its card shows it."""
    asked = {"title": "Refund?", "reasons": (), "facts": (), "calls": (), "currency": "usd"} | fields
    asked["calls"] = tuple(
        ProposalCall(c.operation, c.path, c.query, c.body, number=n) for n, c in enumerate(asked["calls"])
    )
    rest = {"decided_by": None, "decided_at": None, "channel": None, "card_ts": None, "rendered_version": 1}
    rest |= {
        "status_reason": None,
        "attempts": 0,
        "verify_attempts": 0,
        "row_version": 1,
        "state": ProposalState.PENDING,
    }
    return Proposal(**_who(), **asked, **rest)


def now(**fields: Any) -> NewProposal:
    """The same one as it would be asked now."""
    asked = {"title": "Refund?", "reasons": (), "facts": (), "calls": (), "currency": "usd"} | fields
    return NewProposal(**_who(), **asked)


def _who() -> dict[str, Any]:
    who = {"id": "p1", "fact_key": "f", "event_id": "e", "rule": "r", "rule_version": "v"}
    return who | {"subject": None, "risk": "R2", "always_asks": None, "created_at": NOW}


def test_each_field_that_a_person_sees_is_named() -> None:
    before = shown(title="Refund $29.00?", reasons=("It is new", "It is double"), facts=(("Left", "$29.00"),))
    after = now(title="Refund $12.00?", reasons=("It is double",), facts=(("Left", "$12.00"),))

    assert changes(before, after) == (
        ("Question", "Refund $29.00?", "Refund $12.00?"),
        ("Left", "$29.00", "$12.00"),
        ("Reason", "It is new", "–"),
    )


def test_amounts_are_said_as_money() -> None:
    less = replace(REFUND, body={**REFUND.body, "amount": 1_200})

    assert changes(shown(calls=(REFUND,)), now(calls=(less,))) == (("Amount", "$29.00", "$12.00"),)


def test_more_or_fewer_calls_are_counted_and_other_objects_said() -> None:
    other = replace(KEY, path={"id": "k9"})

    assert changes(shown(calls=(KEY, KEY)), now(calls=(KEY,))) == (
        ("Does", "Disable a license key × 2", "Disable a license key"),
    )
    assert changes(shown(calls=(KEY, KEY)), now(calls=(KEY, other))) == (
        ("Objects", "2 as shown", "1 of them another"),
    )


@given(CALLS, CALLS, st.lists(WORDS, max_size=3), st.lists(WORDS, max_size=3))
def test_something_is_always_said_and_every_part_is_text(
    before: list[PlannedCall], after: list[PlannedCall], reasons: list[str], others: list[str]
) -> None:
    said = changes(
        shown(calls=tuple(before), reasons=tuple(reasons)), now(calls=tuple(after), reasons=tuple(others))
    )

    assert said
    assert all(len(change) == 3 and all(isinstance(part, str) and part for part in change) for change in said)
