"""What the policy approved is looked at once more before it is sent; a person's yes is the person's own."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from bot.config.policy import Policy, Trust
from bot.graduation.gate import guard_of
from store import Store
from store.graduation.case_kinds import change, last_human, note_human
from store.graduation.past_cases import case_ids
from store.graduation.reducer import TrustChange
from store.models import (
    CallState,
    CaseKindState,
    Decision,
    Mode,
    NewProposal,
    Proposal,
    ProposalState,
    Verdict,
)
from store.models.graduation import CaseKind, ExecutionGuard
from store.models.reasons import ChangeCause, ChangeCode
from store.proposals.actions import Act, retry
from store.proposals.decisions import ApprovalRequirements, decide
from store.proposals.execution import begin_call, claim_approved, end_call, finish_execution, revert_to_manual
from store.proposals.proposals import get_proposal
from store.schema import proposals
from tests.fixtures.case_kinds import all_case_kinds
from tests.fixtures.past_cases import MAYA, Past, past

HOUR = timedelta(hours=1)


@pytest.fixture
async def lived(tmp_path: Path) -> AsyncIterator[Past]:
    async with past(tmp_path) as made:
        await made.earn()
        yield made


async def _running(made: Past) -> Proposal:
    """A case that the policy has just approved."""
    for number in range(60):
        id_ = await made.case(number % 3)
        found = await made.store.do(get_proposal, id_)
        assert found is not None
        if found.mode is Mode.AUTO:
            return found
        await made.says(id_)
        made.now += timedelta(hours=7)
    raise AssertionError("nothing ran on its own")


async def _claim(made: Past, guard: ExecutionGuard, **later: float) -> list[str]:
    now = made.now + timedelta(**later)
    taken = await made.store.do(claim_approved, token="t", now=now, until=now + HOUR, limit=99, guard=guard)
    return [one.id for one in taken if one.decided_by == "policy"]


async def _state(made: Past, id_: str) -> ProposalState:
    found = await made.store.do(get_proposal, id_)
    assert found is not None
    return found.state


@pytest.mark.parametrize(
    ("policy", "later", "runs"),
    [
        (Policy(), {"minutes": 59}, True),
        (Policy(), {"minutes": 61}, False),
        (Policy(graduation=Trust(max_idle=timedelta(minutes=1))), {"minutes": 0}, False),
        (Policy(graduation=Trust(never=("orders:generate_invoice",))), {"minutes": 1}, False),
        (Policy(graduation=Trust(R1=99)), {"minutes": 1}, False),
        (Policy(graduation=Trust(R1=100)), {"minutes": 1}, False),
        (Policy.model_validate({"two_people": {"risk": ["R1"]}}), {"minutes": 1}, False),
    ],
    ids=["at once", "an hour later", "nobody there", "never", "another bar", "score 100", "two people"],
)
async def test_what_waited_or_is_no_longer_allowed_asks_instead(
    lived: Past, policy: Policy, later: dict[str, float], runs: bool
) -> None:
    ran = await _running(lived)
    lived.now += timedelta(minutes=2)
    later = {"minutes": later["minutes"] - 2} if later["minutes"] else later
    assert (ran.id in await _claim(lived, guard_of(policy), **later)) is runs
    wanted = ProposalState.EXECUTING if runs else ProposalState.PENDING
    assert await _state(lived, ran.id) is wanted


async def test_a_policy_changed_between_taking_and_sending_holds_the_call_back(lived: Past) -> None:
    ran = await _running(lived)
    assert ran.id in await _claim(lived, guard_of(Policy()))
    now, never = lived.now, guard_of(Policy(graduation=Trust(never=("orders:generate_invoice",))))
    assert not await lived.store.do(begin_call, ran.id, 0, token="t", now=now, guard=never)
    assert await lived.store.do(begin_call, ran.id, 0, token="t", now=now, guard=guard_of(Policy()))


async def test_the_yes_of_the_policy_is_not_one_of_two(lived: Past) -> None:
    ran = await _running(lived)
    await lived.store.do(revert_to_manual, ran.id, lived.now)
    yes = Decision(ran.id, MAYA, Verdict.APPROVE, "button", lived.now)
    won, after = await lived.store.do(decide, yes, ApprovalRequirements(people=2))
    assert won
    assert after is not None
    assert after.state is ProposalState.PENDING


async def test_what_a_person_tries_again_is_that_persons(lived: Past) -> None:
    ran = await _running(lived)
    assert ran.id in await _claim(lived, guard_of(Policy()))
    own: dict[str, Any] = {"token": "t", "now": lived.now}
    await lived.store.do(begin_call, ran.id, 0, **own)
    await lived.store.do(end_call, ran.id, 0, state=CallState.REFUSED, **own)
    await lived.store.do(finish_execution, ran.id, ProposalState.FAILED, reason=None, **own)
    won, again = await lived.store.do(retry, Act(ran.id, "U0JONAS", "tried again", lived.now))
    assert won
    assert again is not None
    assert again.decided_by == "U0JONAS"
    await _claim(lived, ExecutionGuard(allows=lambda *_: False), minutes=1)
    assert await _state(lived, ran.id) is ProposalState.EXECUTING


async def test_a_tap_under_a_clock_that_ran_ahead_does_not_switch_the_dead_man_off(store: Store) -> None:
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    await store.do(note_human, "U1", now + timedelta(days=400))
    assert await store.do(last_human, now) == now
    assert await store.do(last_human, now + timedelta(days=4)) == now
    await store.do(note_human, "U1", now + HOUR)
    assert await store.do(last_human, now + timedelta(days=4)) == now + HOUR


async def test_the_newest_cases_are_those_decided_last_and_not_those_never_decided(
    store: Store,
    now: datetime,
    store_proposal: Callable[..., NewProposal],
    new_proposal: Callable[..., NewProposal],
) -> None:
    decided, waits = new_proposal(), new_proposal()
    for one in (decided, waits):
        await store.do(store_proposal, one)
    await store.do(_same_kind)
    await store.do(decide, Decision(decided.id, "U1", Verdict.APPROVE, "button", now))
    assert await store.do(case_ids, case_kind="s", most=1) == [decided.id]


def _same_kind(connection: Connection) -> None:
    connection.execute(update(proposals).values(case_kind="s"))


async def test_a_busy_kind_with_a_no_now_and_then_comes_to_its_clean_tail(tmp_path: Path) -> None:
    """Ten after the last no are enough, though none of them is a week old."""
    async with past(tmp_path) as made:
        await made.earn(cases=80)
        await made.store.do(_turn_off)
        await made.says(await made.case(1), Verdict.DECLINE)
        before = await _kind(made)
        for number in range(9):
            await made.says(await made.case(number))
        made.now += HOUR
        await made.learn()
        after = await _kind(made)
        assert (
            before.rejections,
            before.approvals_since_rejection,
            after.rejections,
            after.approvals_since_rejection,
        ) == (
            1,
            0,
            1,
            9,
        )
        assert after.cases == before.cases  # the score waits for the window


async def _kind(made: Past) -> CaseKind:
    (found,) = await made.store.do(all_case_kinds)
    return found


def _turn_off(connection: Connection) -> None:
    for case_kind in all_case_kinds(connection):
        off = TrustChange(CaseKindState.ASKING, ChangeCause.of(ChangeCode.TURNED_OFF, by="Maya"))
        change(connection, case_kind.hash, off, actor=MAYA, at=case_kind.generation_at)
