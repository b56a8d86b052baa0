"""From approved to an outcome: who may decide, who may send, and what a late or dead worker leaves behind."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from store import Store, open_store
from store.engine.leases import expire_all_leases
from store.models import (
    CallState,
    Decision,
    NewProposal,
    Proposal,
    ProposalState,
    Verdict,
)
from store.models.reasons import Reason, ReasonCode
from store.proposals.decisions import all_decisions, decide
from store.proposals.execution import (
    begin_call,
    claim_approved,
    claim_unknown,
    end_call,
    finish_execution,
    recover_stranded,
)
from store.proposals.proposals import advance, get_proposal
from tests.fixtures.store_beside import beside

MINUTE = timedelta(minutes=1)
Make = Callable[..., Any]


async def _approved(store: Store, store_proposal: Make, at: datetime, *given: NewProposal) -> str:
    made = await store.do(store_proposal, *given)
    await store.do(decide, Decision(made.id, "U1", Verdict.APPROVE, "button", at))
    return made.id


async def _proposal(store: Store, proposal_id: str) -> Proposal:
    found = await store.do(get_proposal, proposal_id)
    assert found is not None
    return found


async def test_rivals_never_execute_the_same_proposal(
    database_url: str, store_proposal: Make, now: datetime
) -> None:
    async with AsyncExitStack() as stack:
        rivals = [await stack.enter_async_context(open_store(database_url))]
        rivals += [await stack.enter_async_context(beside(database_url)) for _ in range(3)]
        for _ in range(40):
            await _approved(rivals[0], store_proposal, now)

        async def take(number: int, rival: Store) -> list[str]:
            taken, time = [], {"now": now, "until": now + MINUTE}
            while some := await rival.do(claim_approved, token=f"t{number}", limit=6, **time):
                taken += [
                    p.id for p in some if await rival.do(begin_call, p.id, 0, token=f"t{number}", now=now)
                ]
            return taken

        taken = await asyncio.gather(*(take(*each) for each in enumerate(rivals)))
        every = [id_ for some in taken for id_ in some]
        assert len(every) == len(set(every)) == 40


async def test_of_rival_deciders_each_proposal_has_exactly_one_winner(
    database_url: str, store_proposal: Make, now: datetime
) -> None:
    async with AsyncExitStack() as stack:
        rivals = [await stack.enter_async_context(open_store(database_url))]
        rivals += [await stack.enter_async_context(beside(database_url)) for _ in range(3)]
        made = await asyncio.gather(*(rivals[0].do(store_proposal) for _ in range(200)))
        taps = [
            rival.do(decide, Decision(one.id, f"U{number}", verdict, "button", now))
            for number, rival in enumerate(rivals)
            # Each goes through them in an order of its own, so that rivals lock each other's next.
            for one in (made if number % 2 else reversed(made))
            for verdict in [Verdict.APPROVE if number % 3 else Verdict.DECLINE]
        ]
        outcomes = await asyncio.gather(*taps)
        assert sum(won for won, _ in outcomes) == 200
        kept = {
            decision.proposal_id: decision
            for decision in await rivals[0].do(lambda c: list(all_decisions(c)))
        }
        assert len(kept) == 200
        for _won, seen in outcomes:
            assert seen is not None
            assert seen.decided_by == kept[seen.id].actor
            assert seen.row_version == 2
            assert (kept[seen.id].verdict is Verdict.APPROVE) == (seen.state is ProposalState.APPROVED)


async def test_a_call_is_begun_once_and_only_by_the_holder_in_time(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    id_ = await _approved(store, store_proposal, now)
    assert not await store.do(begin_call, id_, 0, token="a", now=now)
    until = now + MINUTE
    assert len(await store.do(claim_approved, token="a", now=now, until=until, limit=9)) == 1
    assert not await store.do(begin_call, id_, 0, token="b", now=now)
    assert not await store.do(begin_call, id_, 1, token="a", now=now)
    assert not await store.do(begin_call, id_, 0, token="a", now=until)
    assert await store.do(begin_call, id_, 0, token="a", now=now)
    assert not await store.do(begin_call, id_, 0, token="a", now=now)


async def test_a_call_that_was_certainly_not_sent_may_be_begun_again(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    id_ = await _approved(store, store_proposal, now)
    pause = now + MINUTE
    await store.do(claim_approved, token="a", now=now, until=now + MINUTE, limit=9)
    assert await store.do(begin_call, id_, 0, token="a", now=now)
    await store.do(
        end_call,
        id_,
        0,
        token="a",
        state=CallState.PLANNED,
        now=now,
        reason=Reason(ReasonCode.POLAR_UNREACHABLE),
    )
    back = {"token": "a", "now": now, "reason": Reason(ReasonCode.POLAR_UNREACHABLE), "due_at": pause}
    assert await store.do(finish_execution, id_, ProposalState.APPROVED, **back) == 4
    assert await store.do(claim_approved, token="b", now=now, until=pause, limit=9) == []
    (again,) = await store.do(claim_approved, token="b", now=pause, until=pause + MINUTE, limit=9)
    assert again.attempts == 2
    assert await store.do(begin_call, id_, 0, token="b", now=pause)


async def test_what_is_done_stays_done_whatever_a_late_answer_says(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    id_ = await _approved(store, store_proposal, now)
    await store.do(claim_approved, token="a", now=now, until=now + MINUTE, limit=9)
    await store.do(begin_call, id_, 0, token="a", now=now)
    await store.do(end_call, id_, 0, token="a", state=CallState.DONE, now=now, status=200, answer={"id": 1})
    for late in (CallState.PLANNED, CallState.UNKNOWN, CallState.REFUSED):
        assert not await store.do(end_call, id_, 0, token="a", state=late, now=now)
    (call,) = (await _proposal(store, id_)).calls
    assert (call.state, call.status, call.answer) == (CallState.DONE, 200, {"id": 1})


async def test_a_holder_whose_claim_was_recovered_can_neither_send_nor_finish(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    id_ = await _approved(store, store_proposal, now)
    until = now + MINUTE
    await store.do(claim_approved, token="slow", now=now, until=until, limit=9)
    early = until - timedelta(microseconds=1)
    assert await store.do(recover_stranded, now=early) == 0
    assert await store.do(recover_stranded, now=until) == 1
    end = {"token": "slow", "now": until, "reason": None}
    assert not await store.do(begin_call, id_, 0, token="slow", now=now)
    assert await store.do(finish_execution, id_, ProposalState.SUCCEEDED, **end) is None
    await store.do(claim_approved, token="next", now=until, until=until + MINUTE, limit=9)
    assert not await store.do(begin_call, id_, 0, token="slow", now=until)
    assert await store.do(finish_execution, id_, ProposalState.SUCCEEDED, **end) is None
    assert await store.do(begin_call, id_, 0, token="next", now=until)


async def test_a_late_answer_of_a_lost_claim_does_not_free_the_call_its_successor_is_sending(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    id_ = await _approved(store, store_proposal, now)
    until = now + MINUTE
    await store.do(claim_approved, token="slow", now=now, until=until, limit=9)
    await store.do(begin_call, id_, 0, token="slow", now=now)
    await store.do(recover_stranded, now=until)
    await store.do(_found_not_done, id_, until)
    await store.do(claim_approved, token="next", now=until, until=until + MINUTE, limit=9)
    assert await store.do(begin_call, id_, 0, token="next", now=until)
    # The slow one wakes: its own attempt never got a connection. Its successor's is on the wire.
    await store.do(
        end_call,
        id_,
        0,
        token="slow",
        state=CallState.PLANNED,
        now=until,
        reason=Reason(ReasonCode.POLAR_UNREACHABLE),
    )
    (call,) = (await _proposal(store, id_)).calls
    assert call.state == CallState.SENDING


def _found_not_done(connection: Connection, proposal_id: str, now: datetime) -> None:
    claim_unknown(connection, token="look", now=now, until=now + MINUTE, limit=9, most_attempts=9)
    end_call(connection, proposal_id, 0, token="look", state=CallState.PLANNED, now=now)
    states = (ProposalState.UNKNOWN, ProposalState.APPROVED)
    advance(connection, proposal_id, *states, actor="reconcile", at=now, due_at=now, lease_token=None)


@pytest.mark.parametrize(
    ("noted", "becomes"),
    [
        (None, ProposalState.UNKNOWN),
        (CallState.UNKNOWN, ProposalState.UNKNOWN),
        (CallState.PLANNED, ProposalState.APPROVED),
    ],
    ids=["killed while sending", "killed after noting that no answer came", "killed after noting not sent"],
)
async def test_a_stranded_proposal_is_in_doubt_while_any_of_its_calls_is(
    store: Store,
    store_proposal: Make,
    now: datetime,
    noted: CallState | None,
    becomes: ProposalState,
) -> None:
    id_ = await _approved(store, store_proposal, now)
    await store.do(claim_approved, token="a", now=now, until=now + MINUTE, limit=9)
    await store.do(begin_call, id_, 0, token="a", now=now)
    if noted is not None:
        await store.do(end_call, id_, 0, token="a", state=noted, now=now)
    await store.do(expire_all_leases)
    assert await store.do(recover_stranded, now=now) == 1
    found = await _proposal(store, id_)
    assert found.state == becomes
    assert found.calls[0].state == (noted or CallState.UNKNOWN)
