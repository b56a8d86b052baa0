"""Leases and answers: what this process executes stays its own, and an answer of Polar's counts for more than a guess."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from bot.pipeline import execute, worker
from bot.pipeline.worker import claim_unknown_results
from bot.proposals.call_results import examine
from bot.results import FollowupResult, FollowupStatus
from bot.ui.card import MARK_NOT_DONE, buttons
from bot.ui.states import CardView
from polar.client import ANSWER_WITHIN
from store.models import (
    CallState,
    Decision,
    NewProposal,
    PlannedCall,
    Proposal,
    ProposalState,
    Verdict,
)
from store.models.reasons import ReasonCode
from store.proposals.decisions import decide
from store.proposals.execution import recover_stranded
from store.proposals.proposals import insert_proposal
from tests.fixtures.line import MAYA, line
from tests.integration.test_followups import ADA, REFUND, After, disable


@pytest.fixture
async def after(tmp_path, database_url) -> AsyncIterator[After]:
    async with line(tmp_path, url=database_url) as made:
        yield After(made)


async def approved(after: After, *calls: PlannedCall) -> None:
    made = NewProposal(
        "px", "factx", None, None, None, None, "Do it?", (), (), "R2", None, calls, after.clock(), proposer="U0BOB"
    )  # fmt: skip
    await after.services.store.do(insert_proposal, made)
    await after.services.store.do(decide, Decision("px", MAYA, Verdict.APPROVE, "button", after.clock()))


def refund(after: After) -> PlannedCall:
    order = after.polar.order()
    body = {"order_id": order["id"], "reason": "customer_request", "amount": 1_000}
    return PlannedCall(REFUND, {}, {}, body | {"metadata": {"polar_approvals": "px"}})


class Held:
    """A request that does not leave before it is told to, and whose answer does not come before that too."""

    def __init__(self, after: After, monkeypatch: pytest.MonkeyPatch, *, then: str = "answers") -> None:
        self.left, self.go_on = asyncio.Event(), asyncio.Event()
        send = after.services.polar.send

        async def first(call: Any) -> Any:
            monkeypatch.setattr(after.services.polar, "send", send)
            if then == "refused":
                after.polar.shop.tables["orders"][call.body["order_id"]]["status"] = "refunded"
            answer = asyncio.create_task(send(call)) if then != "late" else None
            if answer is not None:
                await asyncio.wait({answer})
            self.left.set()
            await self.go_on.wait()
            return await (answer or send(call))

        monkeypatch.setattr(after.services.polar, "send", first)


async def in_flight(after: After, monkeypatch: pytest.MonkeyPatch, **how: Any) -> tuple[Held, Any]:
    held = Held(after, monkeypatch, **how)
    await approved(after, refund(after))
    (claimed,) = await execute.claim(after.services, 1)
    running = asyncio.create_task(execute.execute(after.services, claimed))
    await held.left.wait()
    return held, running


async def taken_by_others(after: After, within: float | None = ANSWER_WITHIN) -> None:
    """Another replica finds that the lease has expired."""
    after.clock.advance(minutes=6)
    last = None if within is None else timedelta(seconds=within)
    found = await after.services.store.do(recover_stranded, now=after.clock(), answers_within=last)
    assert found == 1


async def test_twelve_slow_calls_that_are_answered_stay_known(after, monkeypatch):
    """13 s for each read and each write; after each, recovery looks in this same process."""
    send, read = after.services.polar.send, after.services.polar.read

    async def slow_send(call: Any, **more: Any) -> Any:
        answer = await send(call, **more)
        after.clock.advance(seconds=13)
        await worker.recover(after.services)
        return answer

    async def slow_read(call: Any, **more: Any) -> Any:
        answer = await read(call, **more)
        after.clock.advance(seconds=13)
        return answer

    monkeypatch.setattr(after.services.polar, "send", slow_send)
    monkeypatch.setattr(after.services.polar, "read", slow_read)
    await approved(after, *[disable(after.key()) for _ in range(12)])
    (claimed,) = await execute.claim(after.services, 1)
    await execute.execute(after.services, claimed)

    now = await after.now("px")
    assert now.state == ProposalState.SUCCEEDED
    assert [call.state for call in now.calls] == [CallState.DONE] * 12
    assert len(after.line.sent()) == 12


@pytest.mark.parametrize("step", [timedelta(minutes=6), -timedelta(hours=2)])
async def test_a_clock_step_takes_nothing_from_the_process_that_executes_it(after, monkeypatch, step):
    held, running = await in_flight(after, monkeypatch)
    after.clock.now += step
    await worker.recover(after.services)
    assert (await after.now("px")).state == ProposalState.EXECUTING

    held.go_on.set()
    await running
    assert (await after.now("px")).state == ProposalState.SUCCEEDED
    assert len(after.line.sent()) == 1


async def test_an_answer_counts_for_more_than_the_guess_of_a_recovery(after, monkeypatch):
    held, running = await in_flight(after, monkeypatch)
    await taken_by_others(after)
    assert (await after.now("px")).state == ProposalState.UNKNOWN

    held.go_on.set()
    await running

    done = await after.now("px")
    assert (done.state, done.calls[0].state, done.calls[0].status) == ("succeeded", "done", 201)
    assert done.calls[0].answer["amount"] == 1_000


async def test_a_late_refusal_counts_too(after, monkeypatch):
    held, running = await in_flight(after, monkeypatch, then="refused")
    await taken_by_others(after)
    held.go_on.set()
    await running

    failed = await after.now("px")
    assert (failed.state, failed.calls[0].state, failed.calls[0].status) == ("failed", "refused", 403)
    assert failed.status_reason is not None
    assert failed.status_reason.code is ReasonCode.CALLS_REFUSED
    assert not failed.in_doubt


@pytest.mark.parametrize("retried", [False, True])
async def test_an_answer_counts_for_more_than_a_persons_word(after, monkeypatch, retried):
    held, running = await in_flight(after, monkeypatch)
    await taken_by_others(after)
    after.clock.advance(seconds=ANSWER_WITHIN + 1)
    assert await after.followups.mark_not_done(ADA, "px") == FollowupResult(FollowupStatus.MARKED)
    if retried:
        assert await after.followups.retry(ADA, "px") == FollowupResult(FollowupStatus.RETRIED)
    held.go_on.set()
    await running

    after.clock.advance(minutes=1)
    done = await after.line.carry_out(await after.now("px"))
    assert (done.state, done.calls[0].status) == (ProposalState.SUCCEEDED, 201)
    assert len(after.line.sent()) == 1


async def test_not_done_is_not_offered_while_an_answer_may_come(after, monkeypatch):
    held, running = await in_flight(after, monkeypatch, then="late")
    await taken_by_others(after)
    doubt = await after.now("px")
    assert not _offers(doubt, after)
    assert await after.followups.mark_not_done(ADA, "px") == FollowupResult(FollowupStatus.IN_FLIGHT)
    assert await after.followups.retry(ADA, "px") == FollowupResult(FollowupStatus.NOTHING_TO_RETRY)
    held.go_on.set()
    await running
    assert (await after.now("px")).state == ProposalState.SUCCEEDED


async def test_once_no_answer_can_come_the_next_look_has_the_card_offer_not_done(after, monkeypatch):
    _, running = await in_flight(after, monkeypatch, then="late")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await taken_by_others(after)
    versions = []
    for wait in (1, 6, 61):
        after.clock.advance(seconds=wait)
        for looking in await claim_unknown_results(after.services, 1):
            await examine(after.services, looking)
        doubt = await after.now("px")
        versions.append((doubt.row_version, _offers(doubt, after)))

    (first, offered), (second, still), (third, at_last) = versions
    assert (first == second < third, offered, still, at_last) == (True, False, False, True)


async def test_after_a_restart_of_the_only_process_nothing_is_in_flight(after, monkeypatch):
    _, running = await in_flight(after, monkeypatch, then="late")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await taken_by_others(after, within=None)

    assert _offers(await after.now("px"), after)
    assert await after.followups.mark_not_done(ADA, "px") == FollowupResult(FollowupStatus.MARKED)


def _offers(found: Proposal, after: After) -> bool:
    row = buttons(found, CardView(now=after.clock()))
    return row is not None and MARK_NOT_DONE in [one["action_id"] for one in row["elements"]]


async def test_what_was_left_executing_before_the_clock_was_set_back_is_taken_up(after, monkeypatch):
    _, running = await in_flight(after, monkeypatch, then="late")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    after.clock.now -= timedelta(hours=2)
    await worker.recover(after.services)

    assert (await after.now("px")).state == ProposalState.UNKNOWN
