"""A call without an answer, and its Retry: what was done is not done twice, and "nothing was done" is never said of it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bot.config.policy import Policy
from bot.demo.polar.errors import rule
from bot.demo.polar.standin import HANDLERS
from bot.results import FollowupResult, FollowupStatus
from bot.slack.client import SlackUser
from bot.ui.card import card
from bot.ui.states import CardView
from polar.was_done import MARK
from store.models import CallState, PlannedCall, Proposal, ProposalState
from store.models.reasons import Reason, ReasonCode
from store.proposals.decisions import cancel_approved
from tests.fixtures.line import line
from tests.integration.test_followups import ADA, REFUND, After

BEA, CLEO = SlackUser("U0BEA", "T1"), SlackUser("U0CLEO", "T1")
NOTHING = "Nothing was done"


@pytest.fixture
async def after(tmp_path, database_url) -> AsyncIterator[After]:
    async with line(tmp_path, url=database_url) as made:
        yield After(made)


def refund(order: dict[str, Any], **more: Any) -> PlannedCall:
    body = {"order_id": order["id"], "reason": "customer_request", "amount": 1_000}
    return PlannedCall(REFUND, {}, {}, body | {"metadata": {MARK: "p1"}} | more)


def refunds(after: After, order: dict[str, Any]) -> list[dict[str, Any]]:
    return list(after.polar.shop.rows("refunds", order_id=order["id"]))


async def doubtful(after: After, call: PlannedCall, fault: str) -> Proposal:
    """A call without an answer, of which somebody says that it was not done."""
    after.polar.standin.fail_next(fault, only=REFUND)
    doubt = await after.ran(call)
    assert doubt.state == ProposalState.UNKNOWN
    assert await after.followups.mark_not_done(ADA, doubt.id) == FollowupResult(FollowupStatus.MARKED)
    return await after.now(doubt)


async def again(after: After, of: Proposal, user: SlackUser = ADA) -> Proposal:
    """Retry, and what comes of it."""
    assert await after.followups.retry(user, of.id) == FollowupResult(FollowupStatus.RETRIED)
    after.clock.advance(minutes=1)
    return await after.line.carry_out(of)


async def duplicate(after: After) -> dict[str, Any]:
    """A second order like the first, which the rule that ships would refund."""
    first = after.polar.order()
    await after.line.deliver()
    after.clock.advance(minutes=1)
    second = after.polar.order()
    for each in (first, second):
        after.line.tell("order.created", "orders", each)
    await after.line.deliver()
    return second


def words(found: Proposal, after: After) -> str:
    return str(card(found, CardView(now=after.clock())).blocks)


async def test_check_again_sees_the_refund_that_was_made(after):
    order = after.polar.order()
    after.polar.standin.fail_next("drop-after", only=REFUND)
    doubt = await after.ran(refund(order))

    assert await after.followups.check(ADA, doubt.id) == FollowupResult(FollowupStatus.FOUND_DONE)


async def test_not_done_and_retry_do_not_pay_twice(after):
    order = after.polar.order()
    done = await again(after, await doubtful(after, refund(order), "drop-after"))

    assert (done.state, done.status_reason) == (ProposalState.SUCCEEDED, Reason(ReasonCode.FOUND_DONE))
    assert [one["amount"] for one in refunds(after, order)] == [1_000]


async def test_a_rules_refund_that_was_paid_is_not_called_withdrawn(after):
    order = await duplicate(after)
    proposal = await after.line.only("refund-duplicate-order")
    after.polar.standin.fail_next("drop-after", only=REFUND)
    doubt = await after.line.approve(proposal)
    assert doubt.state == ProposalState.UNKNOWN
    await after.followups.mark_not_done(ADA, doubt.id)

    done = await again(after, doubt)

    assert (done.state, done.status_reason) == (ProposalState.SUCCEEDED, Reason(ReasonCode.FOUND_DONE))
    assert len(refunds(after, order)) == 1
    assert NOTHING not in words(done, after)


async def test_what_no_longer_applies_after_a_doubtful_call_is_not_called_nothing(after):
    order = await duplicate(after)
    proposal = await after.line.only("refund-duplicate-order")
    after.polar.standin.fail_next("drop-before", only=REFUND)
    doubt = await after.line.approve(proposal)
    await after.followups.mark_not_done(ADA, doubt.id)
    theirs = {"order_id": order["id"], "reason": "other", "amount": order["net_amount"]}
    await after.polar.call("POST", "/v1/refunds/", theirs)

    found = await again(after, doubt)

    assert found.state == ProposalState.FAILED
    assert found.status_reason is not None
    assert found.status_reason.code is ReasonCode.STILL_IN_DOUBT
    assert NOTHING not in words(found, after)
    assert len(refunds(after, order)) == 1


async def test_what_is_like_it_is_shown_and_asked_and_not_sent(after):
    order = after.polar.order()
    failed = await doubtful(after, refund(order), "drop-before")
    theirs = {"order_id": order["id"], "reason": "other", "amount": 1_000}
    await after.polar.call("POST", "/v1/refunds/", theirs)

    asked = await again(after, failed)

    assert asked.state == ProposalState.FAILED
    assert asked.status_reason is not None
    assert asked.status_reason.code is ReasonCode.LIKE_IT_THERE
    assert "Polar shows one like it" in words(asked, after)
    assert len(refunds(after, order)) == 1

    done = await again(after, asked)  # a person has seen it, and wants another one
    assert done.state == ProposalState.SUCCEEDED
    assert len(refunds(after, order)) == 2


async def test_what_was_not_done_is_sent_once_more(after):
    order = after.polar.order()
    done = await again(after, await doubtful(after, refund(order), "drop-before"))

    assert (done.state, len(refunds(after, order))) == (ProposalState.SUCCEEDED, 1)
    assert done.status_reason is None


async def test_a_refusal_of_the_second_try_leaves_the_first_in_doubt(after, monkeypatch):
    order = after.polar.order()
    failed = await doubtful(after, refund(order), "drop-before")

    def refuse(_call):
        raise rule(409, "Conflict", "On holiday.")

    with monkeypatch.context() as patched:
        patched.setitem(HANDLERS, REFUND, refuse)
        refused = await again(after, failed)
    assert (refused.state, refused.in_doubt) == (ProposalState.FAILED, True)
    assert NOTHING not in words(refused, after)
    late = {"order_id": order["id"], "reason": "customer_request", "amount": 1_000}
    await after.polar.call("POST", "/v1/refunds/", late | {"metadata": {MARK: "p1"}})  # the first one lands

    done = await again(after, refused)

    assert (done.state, done.status_reason) == (ProposalState.SUCCEEDED, Reason(ReasonCode.FOUND_DONE))
    assert len(refunds(after, order)) == 1


@pytest.mark.parametrize("fault", ["drop-before", "500-before", "429"])
async def test_while_polar_cannot_be_read_nothing_is_said_of_what_was_done(after, fault):
    order = after.polar.order()
    failed = await doubtful(after, refund(order), "drop-after")
    after.polar.standin.fail_next(fault, 9, only="refunds:list")

    waits = await again(after, failed)

    assert waits.in_doubt
    assert NOTHING not in words(waits, after)
    assert len(refunds(after, order)) == 1


async def test_while_the_list_cannot_be_read_nothing_is_sent(after):
    order = after.polar.order()
    failed = await doubtful(after, refund(order), "drop-after")
    after.polar.standin.fail_next("429", 9, only="refunds:list", seconds=900)

    waits = await again(after, failed)

    assert waits.state == ProposalState.APPROVED
    assert len(refunds(after, order)) == 1


async def test_a_retry_that_was_not_sent_looks_again_at_its_next_try(after, monkeypatch):
    order = after.polar.order()
    failed = await doubtful(after, refund(order), "drop-before")
    after.polar.standin.fail_next("429", only=REFUND, seconds=1)
    waits = await again(after, failed)
    assert (waits.state, waits.in_doubt) == (ProposalState.APPROVED, True)

    # The first request, which was on its way for so long, is carried out now.
    await after.polar.call("POST", "/v1/refunds/", dict(failed.calls[0].body or {}))
    after.clock.advance(minutes=10)
    done = await after.line.carry_out(failed)

    assert (done.state, len(refunds(after, order))) == (ProposalState.SUCCEEDED, 1)


async def test_undone_in_time_after_a_doubtful_call_is_not_called_nothing(after):
    failed = await doubtful(after, refund(after.polar.order()), "drop-after")
    await after.followups.retry(ADA, failed.id)

    in_time, found = await after.services.store.do(cancel_approved, failed.id, actor=ADA.id, at=after.clock())

    assert in_time
    assert NOTHING not in words(found, after)


# --- Retry is a new question ---------------------------------------------------------------------------


@pytest.fixture
def two(after: After) -> After:
    """Everything takes two people."""
    policy = Policy.model_validate({"two_people": {"risk": ["R1", "R2", "R3", "R4"]}})
    after.services = replace(after.services, rules=replace(after.services.rules, policy=policy))
    after.line.services = after.services
    after.followups._services = after.services
    return after


async def test_what_took_two_people_takes_two_others_to_be_sent_again(two):
    failed = await doubtful(two, refund(two.polar.order()), "drop-before")

    assert await two.followups.retry(ADA, failed.id) == FollowupResult(FollowupStatus.NOT_YOURS)
    assert await two.followups.retry(BEA, failed.id) == FollowupResult(FollowupStatus.FIRST_RETRY)
    asked = await two.now(failed)
    assert (asked.state, asked.retry_by) == (ProposalState.FAILED, BEA.id)
    assert "It takes two" in words(asked, two)
    assert await two.followups.retry(BEA, failed.id) == FollowupResult(FollowupStatus.FIRST_RETRY)
    assert (await two.now(failed)).state == ProposalState.FAILED

    assert await two.followups.retry(CLEO, failed.id) == FollowupResult(FollowupStatus.RETRIED)
    sent = await two.now(failed)
    assert (sent.state, sent.retry_by) == (ProposalState.APPROVED, None)


async def test_what_is_like_it_takes_two_people_again(two):
    order = two.polar.order()
    failed = await doubtful(two, refund(order), "drop-before")
    await two.polar.call(
        "POST", "/v1/refunds/", {"order_id": order["id"], "reason": "other", "amount": 1_000}
    )
    for user in (BEA, CLEO):
        await two.followups.retry(user, failed.id)
    two.clock.advance(minutes=1)
    asked = await two.line.carry_out(failed)
    assert (asked.state, asked.retry_by) == (ProposalState.FAILED, None)

    assert await two.followups.retry(ADA, asked.id) == FollowupResult(FollowupStatus.NOT_YOURS)
    assert await two.followups.retry(BEA, asked.id) == FollowupResult(FollowupStatus.FIRST_RETRY)


async def test_whoever_proposed_it_is_none_of_the_two(two):
    failed = await doubtful(two, refund(two.polar.order()), "drop-before")
    assert failed.proposer == "U0BOB"

    told = await two.followups.retry(SlackUser("U0BOB", "T1"), failed.id)

    assert told == FollowupResult(FollowupStatus.NOT_YOURS)


async def test_a_first_of_two_who_may_no_longer_decide_does_not_count(two, monkeypatch):
    failed = await doubtful(two, refund(two.polar.order()), "drop-before")
    await two.followups.retry(BEA, failed.id)
    may = two.services.authority.refusal

    async def refusal(user: str, team: str | None, proposal: Any = None) -> Any:
        return await may("U0STRANGER" if user == BEA.id else user, team, proposal)

    monkeypatch.setattr(two.services.authority, "refusal", refusal)

    assert await two.followups.retry(CLEO, failed.id) == FollowupResult(FollowupStatus.FIRST_RETRY)
    assert (await two.now(failed)).retry_by == CLEO.id


async def test_what_took_one_takes_one_and_whoever_said_not_done_may(after):
    failed = await doubtful(after, refund(after.polar.order()), "drop-before")

    assert await after.followups.retry(ADA, failed.id) == FollowupResult(FollowupStatus.RETRIED)
    assert (await after.now(failed)).calls[0].state == CallState.PLANNED
