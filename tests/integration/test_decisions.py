"""Many taps in any order: one decision wins for an revision, and nothing runs that nobody approved as it is."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, select

from bot.config.policy import ends
from store import Store
from store.audit_log.log import read_row
from store.engine.errors import StoreFailed
from store.messages.cards import CardDrawn, cards_drawn, claim_outgoing
from store.models import CallState, Decision, NewProposal, PlannedCall, ProposalState, Verdict
from store.models.reasons import Reason, ReasonCode
from store.proposals.actions import Act, NewRevision, edit, restate, withdraw
from store.proposals.decisions import (
    Added,
    ApprovalRequirements,
    Closing,
    DecisionError,
    LeaseLost,
    PendingApproval,
    add_pending_approvals,
    all_decisions,
    cancel_approved,
    claim_pending_approvals,
    close_pending_approval,
    decide,
    decide_and_close,
    decision_error,
    postpone_pending_approval,
)
from store.proposals.details import approvals, decisions_of, revision_at
from store.proposals.execution import begin_call, claim_approved, end_call, finish_execution
from store.proposals.proposals import get_proposal, touch, trail
from store.schema import metadata, pending_approvals
from store.schema.graduation import audit_log
from tests.integration.conftest import NOW, _new_proposal, _store_proposal

APPROVE, DECLINE = Verdict.APPROVE, Verdict.DECLINE
HOUR = timedelta(hours=1)
_STEPS = st.one_of(
    st.tuples(
        st.sampled_from(["tap"]),
        st.sampled_from(["U1", "U2", "U3"]),
        st.sampled_from([APPROVE, APPROVE, APPROVE, DECLINE]),
        st.integers(0, 4),
    ),
    st.tuples(st.sampled_from(["restate", "hold", "release", "undo", "run", "wait", "withdraw"])),
)


@contextmanager
def database() -> Iterator[Connection]:
    """An empty database in memory."""
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def asking(proposal: NewProposal, revision: int) -> NewProposal:
    """The same proposal, about another object with each revision."""
    call = PlannedCall("orders:generate_invoice", path={"id": f"of revision {revision}"})
    return replace(proposal, title=f"Revision {revision}?", calls=(call,), content_hash=str(revision))


@given(
    st.lists(_STEPS, max_size=30),
    st.sampled_from(
        [
            ApprovalRequirements(),
            ApprovalRequirements(2),
            ApprovalRequirements(1, HOUR),
            ApprovalRequirements(2, HOUR),
        ]
    ),
)
def test_whatever_the_order_an_revision_is_decided_once_and_nothing_unapproved_runs(
    steps: list[tuple[Any, ...]], terms: ApprovalRequirements
) -> None:
    with database() as connection:
        made = asking(_new_proposal(), 1)
        _store_proposal(connection, made)
        now, won = NOW, []
        for step in steps:
            now += timedelta(seconds=1)
            if step[0] == "tap":
                decision = Decision(made.id, step[1], step[2], "button", now, revision=step[3])
                before = get_proposal(connection, made.id)
                counts, after = decide(connection, decision, terms)
                assert before is not None
                assert after is not None
                assert not counts or (before.state, before.revision) == ("pending", step[3])
                assert not (counts and step[2] == APPROVE and before.held_by)
                won += [decision] if counts else []
            else:
                now = _other(connection, made, step[0], now, won=won, terms=terms)
        _check(connection, made.id, won, terms)


def _other(
    connection: Connection,
    made: NewProposal,
    name: str,
    now: Any,
    *,
    won: list[Decision],
    terms: ApprovalRequirements,
) -> Any:
    found = get_proposal(connection, made.id)
    assert found is not None
    match name:
        case "restate":
            new = asking(made, found.revision + 1)
            restate(connection, found.revision, new, changes=(("Question", "a", "b"),), at=now)
        case "hold" | "release":
            touch(connection, made.id, now, held_by="U9" if name == "hold" else None)
        case "undo":
            cancel_approved(connection, made.id, actor="U1", at=now)
        case "withdraw":
            withdraw(connection, made.id, found.revision, reason=Reason(ReasonCode.RULE_GONE), at=now)
        case "wait":
            return now + 2 * HOUR
        case "run":
            for taken in claim_approved(connection, token="t", now=now, until=now + HOUR, limit=9):
                yes = {one.actor for one in won if one.verdict == APPROVE and one.revision == taken.revision}
                assert len(yes) >= terms.people
                assert taken.calls[0].path == {"id": f"of revision {taken.revision}"}
                assert taken.decided_at is not None
                assert now >= taken.decided_at + terms.hold
    return now


def _check(
    connection: Connection, proposal_id: str, won: list[Decision], terms: ApprovalRequirements
) -> None:
    kept = list(all_decisions(connection))
    assert [(each.actor, each.verdict, each.revision) for each in kept] == [
        (each.actor, each.verdict, each.revision) for each in won
    ]
    settled = [
        each
        for each in trail(connection, proposal_id)
        if each.from_ == "pending" and each.to in ("approved", "declined")
    ]
    assert len(settled) <= 1
    for revision in {each.revision for each in won}:
        yes = approvals(connection, proposal_id, revision)
        assert len(yes) == len(set(yes)) <= terms.people
    rows = connection.execute(select(audit_log.c.body).where(audit_log.c.kind == "decision")).scalars()
    assert [json.loads(row)["actor"] for row in rows] == [each.actor for each in won]


# --- One by one -----------------------------------------------------------------------------------------


@pytest.fixture
async def pending(store: Store, store_proposal: Callable[..., NewProposal]) -> NewProposal:
    """A proposal that waits."""
    return await store.do(store_proposal)


def approval(proposal: NewProposal, actor: str = "U1", revision: int = 1) -> Decision:
    return Decision(proposal.id, actor, APPROVE, "button", NOW, revision=revision, interaction_id="press")


async def test_an_approval_waits_for_its_hold_and_says_until_when(store: Store, pending: NewProposal) -> None:
    won, found = await store.do(decide, approval(pending), ApprovalRequirements(1, timedelta(seconds=15)))
    early = await store.do(
        claim_approved, token="a", now=NOW + timedelta(seconds=14), until=NOW + HOUR, limit=1
    )
    late = await store.do(
        claim_approved, token="a", now=NOW + timedelta(seconds=15), until=NOW + HOUR, limit=1
    )

    assert won
    assert found is not None
    assert found.cancellable_until == NOW + timedelta(seconds=15)
    assert early == []
    assert [each.id for each in late] == [pending.id]


async def test_a_decision_is_in_the_log_with_what_was_seen(store: Store, pending: NewProposal) -> None:
    await store.do(touch, pending.id, NOW, first_shown_at=NOW - HOUR, content_hash="abc")
    await store.do(decide, approval(pending))
    [row] = await store.do(lambda c: c.execute(select(audit_log).where(audit_log.c.kind == "decision")).all())
    [kept] = await store.do(lambda c: list(all_decisions(c)))

    _, said = read_row(row.kind, row.body, row.personal)
    assert (said["actor"], said["verdict"], said["content_hash"], said["revision"]) == (
        "U1",
        "approve",
        "abc",
        1,
    )
    assert said["shown_at"] == (NOW - HOUR).isoformat()
    assert kept.shown_at == NOW - HOUR


async def test_another_revision_is_another_question(store: Store, pending: NewProposal) -> None:
    new = asking(pending, 2)
    done, now = await store.do(restate, 1, new, changes=(("Question", "a", "b"),), at=NOW)
    again, _ = await store.do(restate, 1, new, changes=(), at=NOW)
    won, found = await store.do(decide, approval(pending))

    assert (done, again, won) == (True, False, False)
    assert now is not None
    assert (now.title, now.revision, now.changes) == ("Revision 2?", 2, (("Question", "a", "b"),))
    assert [call.path for call in now.calls] == [{"id": "of revision 2"}]
    assert found is not None
    assert decision_error(found, APPROVE, 1) is DecisionError.CHANGED
    assert (await store.do(decide, approval(pending, revision=2)))[0]


async def test_a_yes_to_the_revision_before_is_no_yes_to_this_one(store: Store, pending: NewProposal) -> None:
    await store.do(decide, approval(pending), ApprovalRequirements(2))
    await store.do(restate, 1, asking(pending, 2), changes=(), at=NOW)
    await store.do(decide, approval(pending, "U2", 2), ApprovalRequirements(2))
    found = await store.do(get_proposal, pending.id)

    assert found is not None
    assert found.state == ProposalState.PENDING


async def test_two_programs_at_once_decide_once(
    rivals: list[Store], store_proposal: Callable[..., NewProposal]
) -> None:
    made = await rivals[0].do(store_proposal)
    came = await asyncio.gather(
        *(rival.do(decide, approval(made, f"U{number}")) for number, rival in enumerate(rivals))
    )

    assert sorted(won for won, _ in came) == [False, False, False, True]


async def test_a_tap_is_kept_once_claimed_once_and_closed_by_its_holder(
    store: Store, pending: NewProposal
) -> None:
    tap = PendingApproval("press:p", pending.id, 1, "U1", "button", NOW, "press")
    [first] = await store.do(add_pending_approvals, [tap], token="mine", until=NOW + HOUR)
    [again] = await store.do(add_pending_approvals, [tap])
    [nowhere] = await store.do(add_pending_approvals, [replace(tap, id="x", proposal_id="nothing")])
    claimed = {"token": "other", "until": NOW + 2 * HOUR, "limit": 9}
    early = await store.do(claim_pending_approvals, now=NOW, **claimed)
    late = await store.do(claim_pending_approvals, now=NOW + 2 * HOUR, **claimed)
    old = await store.do(close_pending_approval, tap.id, token="mine", result="Done.", at=NOW)
    new = await store.do(close_pending_approval, tap.id, token="other", result="Approved.", at=NOW)

    assert (first, again, nowhere) == (Added.NEW, Added.REPEATED, Added.NO_PROPOSAL)
    assert (early, late) == ([], [tap])
    assert (old, new) == (False, True)
    assert await store.do(
        lambda c: c.execute(select(pending_approvals.c.id, pending_approvals.c.result)).all()
    ) == [(tap.id, "Approved.")]


async def test_a_decision_closes_its_approval_with_it_while_the_lease_is_held(
    store: Store, store_proposal: Callable[..., NewProposal]
) -> None:
    two, one = ApprovalRequirements(2), ApprovalRequirements(1)
    made = [(await store.do(store_proposal)).id for _ in range(4)]

    async def approved(id_: str, token: str, required: ApprovalRequirements) -> tuple[bool, Any]:
        tap = PendingApproval(f"press:{id_}", id_, 1, "U1", "button", NOW)
        await store.do(add_pending_approvals, [tap], token="t", until=NOW + HOUR)
        closing = Closing(tap.id, token, "first", "approved")
        decision = Decision(id_, "U1", APPROVE, "button", NOW)
        counts, _ = await store.do(decide_and_close, closing, decision, required)
        result = select(pending_approvals.c.result).where(pending_approvals.c.id == tap.id)
        return counts, await store.do(lambda c: c.execute(result).scalar())

    await store.do(decide, Decision(made[3], "U9", DECLINE, "button", NOW))
    assert await approved(made[0], "t", one) == (True, "approved")
    assert await approved(made[1], "t", two) == (True, "first")
    with pytest.raises(LeaseLost):
        await approved(made[2], "lost", one)
    assert await store.do(decisions_of, made[2]) == []
    assert await approved(made[3], "t", one) == (False, None)


async def test_a_tap_put_off_is_claimed_again_when_its_time_has_come(
    store: Store, pending: NewProposal
) -> None:
    tap = PendingApproval("press:p", pending.id, 1, "U1", "button", NOW, "press")
    await store.do(add_pending_approvals, [tap], token="mine", until=NOW + HOUR)
    minute = HOUR / 60
    claimed = {"token": "other", "until": NOW + HOUR, "limit": 9}

    assert not await store.do(postpone_pending_approval, tap.id, token="other", due_at=NOW + minute)
    assert await store.do(postpone_pending_approval, tap.id, token="mine", due_at=NOW + minute)
    assert await store.do(claim_pending_approvals, now=NOW + minute / 2, **claimed) == []
    assert await store.do(claim_pending_approvals, now=NOW + 2 * minute, **claimed) == [tap]


async def test_a_closed_tap_gives_the_card_its_buttons_back_unless_somebody_else_decides(
    store: Store, pending: NewProposal
) -> None:
    both = [PendingApproval(f"press:{actor}", pending.id, 1, actor, "button", NOW) for actor in ("U1", "U2")]
    came = await store.do(add_pending_approvals, both, token="t", until=NOW + HOUR)
    await store.do(touch, pending.id, NOW, approval_checking_by="U2")

    async def deciding(tap: PendingApproval) -> str | None:
        assert await store.do(close_pending_approval, tap.id, token="t", result="No.", at=NOW)
        found = await store.do(get_proposal, pending.id)
        assert found is not None
        return found.approval_checking_by

    assert came == [Added.NEW, Added.NEW]
    assert [await deciding(tap) for tap in both] == ["U2", None]


async def test_of_several_taps_all_are_kept_or_none(store: Store, pending: NewProposal) -> None:
    good = PendingApproval("press:p", pending.id, 1, "U1", "button", NOW)
    bad = replace(good, id="x", actor=None)  # type: ignore[arg-type] - what the database refuses
    with pytest.raises(StoreFailed):
        await store.do(add_pending_approvals, [good, bad], token="t", until=NOW + HOUR)

    assert await store.do(lambda c: c.execute(select(pending_approvals.c.id)).all()) == []


async def test_the_yes_of_somebody_who_may_decide_no_more_does_not_count(
    store: Store, pending: NewProposal
) -> None:
    two = ApprovalRequirements(2)
    first = await store.do(decide, approval(pending, "U1"), two)
    second = await store.do(decide, approval(pending, "U2"), two, without={"U1"})
    third = await store.do(decide, approval(pending, "U3"), two, without={"U1"})

    assert [(won, found and found.state) for won, found in (first, second, third)] == [
        (True, ProposalState.PENDING),
        (True, ProposalState.PENDING),
        (True, ProposalState.APPROVED),
    ]
    assert await store.do(approvals, pending.id, 1) == ["U1", "U2", "U3"]


async def test_two_yes_that_both_count_again_are_carried_through_by_either(
    store: Store, pending: NewProposal
) -> None:
    two = ApprovalRequirements(2)
    await store.do(decide, approval(pending, "U1"), two)
    await store.do(decide, approval(pending, "U2"), two, without={"U1"})
    won, found = await store.do(decide, approval(pending, "U1"), two)

    assert won
    assert found is not None
    assert found.state == ProposalState.APPROVED


async def test_a_new_revision_is_seen_once_its_card_is_drawn(store: Store, pending: NewProposal) -> None:
    async def drawn(revision: int, at: datetime) -> Any:
        [card] = (
            await store.do(claim_outgoing, token="c", now=at, until=at + HOUR, redraws=9, posts=9)
        ).cards
        drawn = CardDrawn(card.id, "c", card.row_version, revision, "C1", "1.1", at)
        assert await store.do(cards_drawn, [drawn]) != [None]
        return await store.do(get_proposal, pending.id)

    assert (await drawn(1, NOW)).first_shown_at == NOW
    changed = NewRevision(1, "Another?", (), pending.calls, (), "d" * 16, "R1", None, None, None)
    late = NOW + HOUR
    await store.do(edit, Act(pending.id, "U9", "Edited.", late), changed)
    assert await store.do(revision_at, pending.id, late + HOUR) == 1  # nobody was shown the second
    assert (await drawn(1, late + HOUR)).first_shown_at is None  # a redraw that was on its way
    await store.do(touch, pending.id, late)
    assert (await drawn(2, late + 2 * HOUR)).first_shown_at == late + 2 * HOUR
    await store.do(touch, pending.id, late)
    assert (await drawn(2, late + 3 * HOUR)).first_shown_at == late + 2 * HOUR  # first shown
    assert await store.do(revision_at, pending.id, late + 2 * HOUR - HOUR / 2) == 1
    assert await store.do(revision_at, pending.id, late + 2 * HOUR) == 2
    won, _ = await store.do(decide, replace(approval(pending), revision=2, at=late + 4 * HOUR))
    [said] = await store.do(decisions_of, pending.id)

    assert won
    assert said.shown_at == late + 2 * HOUR


async def test_what_is_partly_done_is_not_taken_back(store: Store, pending: NewProposal) -> None:
    await store.do(decide, approval(pending))
    await store.do(claim_approved, token="a", now=NOW, until=NOW + HOUR, limit=1)
    await store.do(begin_call, pending.id, 0, token="a", now=NOW)
    await store.do(end_call, pending.id, 0, token="a", state=CallState.DONE, now=NOW)
    back = {"token": "a", "now": NOW, "reason": None, "due_at": NOW + HOUR}
    await store.do(finish_execution, pending.id, ProposalState.APPROVED, **back)
    in_time, found = await store.do(cancel_approved, pending.id, actor="U1", at=NOW)

    assert not in_time
    assert found is not None
    assert found.state == ProposalState.APPROVED


async def test_what_is_being_checked_is_taken_back_and_then_not_sent(
    store: Store, pending: NewProposal
) -> None:
    await store.do(decide, approval(pending))
    await store.do(claim_approved, token="a", now=NOW, until=NOW + HOUR, limit=1)
    in_time, found = await store.do(cancel_approved, pending.id, actor="U1", at=NOW)

    assert in_time
    assert found is not None
    assert found.state == ProposalState.WITHDRAWN
    assert not await store.do(begin_call, pending.id, 0, token="a", now=NOW)
    late = {"token": "a", "now": NOW, "reason": None}
    assert await store.do(finish_execution, pending.id, ProposalState.APPROVED, **late) is None
    assert (await store.do(get_proposal, pending.id)) == found


async def test_what_is_being_sent_is_not_taken_back(store: Store, pending: NewProposal) -> None:
    await store.do(decide, approval(pending))
    await store.do(claim_approved, token="a", now=NOW, until=NOW + HOUR, limit=1)
    await store.do(begin_call, pending.id, 0, token="a", now=NOW)
    in_time, found = await store.do(cancel_approved, pending.id, actor="U1", at=NOW)

    assert not in_time
    assert found is not None
    assert found.state == ProposalState.EXECUTING


async def test_a_deadline_that_moved_closes_it_then(store: Store, pending: NewProposal) -> None:
    sooner = NOW + 3 * HOUR
    new = replace(asking(pending, 2), deadline=sooner, expires_at=ends(NOW, 24 * HOUR, sooner))
    done, found = await store.do(restate, 1, new, changes=(), at=NOW)

    assert done
    assert found is not None
    assert (found.deadline, found.expires_at) == (sooner, sooner)
    assert ends(NOW, HOUR, sooner) == NOW + HOUR
    assert ends(NOW, HOUR, None) == NOW + HOUR
