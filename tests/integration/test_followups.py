"""After a call was made: undo, retry, check, mark, over the wire to a stand-in, each once and by who may."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bot.approvals.followups import Followups
from bot.demo.polar import stock
from bot.demo.polar.errors import rule
from bot.demo.polar.orders import tell_order
from bot.demo.polar.standin import HANDLERS
from bot.pipeline import execute, worker
from bot.proposals.call_results import examine
from bot.proposals.own_calls import can_undo
from bot.proposals.reads import Reads, read_money, today
from bot.proposals.recheck import as_shown
from bot.results import (
    ApproverNames,
    DecisionStatus,
    FollowupResult,
    FollowupStatus,
    Refusal,
    RefusalCode,
)
from bot.slack.client import SlackUser
from bot.ui.card import can_be_taken_back, outbox_message
from bot.ui.states import CardView
from polar.catalog import Call
from store.models import CallState, NewProposal, PlannedCall, Proposal, ProposalState, Transition
from store.models.details import CommentKind
from store.models.reasons import Reason, ReasonCode
from store.proposals.decisions import cancel_approved
from store.proposals.details import comments_of
from store.proposals.proposals import get_proposal, insert_proposal, trail
from store.schema import outbox
from tests.fixtures.line import MAYA, Line, line

ADA, STRANGER = SlackUser("U0ADA", "T1"), SlackUser("U0STRANGER", "T9")
SUBSCRIPTION, KEY, REFUND = "subscriptions:update", "license_keys:update", "refunds:create"


class Everybody:
    """Who may decide: all but the stranger. Names are made of the ids."""

    async def refusal(self, user: str, team: str | None, proposal: Proposal | None = None) -> Refusal | None:
        assert proposal is not None
        return Refusal(RefusalCode.OTHER_WORKSPACE) if user == STRANGER.id else None

    async def describe(self, proposal: Proposal | None = None) -> ApproverNames:
        return ApproverNames(("Maya",), "APPROVERS")

    async def name(self, user: str) -> str:
        return user.removeprefix("U0").title()


class After:
    """The line with somebody who presses the buttons of what is done, failed or in doubt."""

    def __init__(self, made: Line) -> None:
        self.line, self.polar, self.clock = made, made.polar, made.clock
        self.line.services = self.services = replace(made.services, authority=Everybody())  # type: ignore[arg-type]
        self.followups = Followups(self.services)
        self._count = 0

    async def ran(self, *calls: PlannedCall) -> Proposal:
        """A person's proposal, approved and carried out."""
        self._count += 1
        proposal = NewProposal(
            f"p{self._count}", f"fact{self._count}", None, None, None, None, "Do it?", (), (), "R2", None,
            calls, self.clock(), proposer="U0BOB",
        )  # fmt: skip
        await self.services.store.do(insert_proposal, proposal)
        return await self.line.approve(await self.now(proposal.id))

    async def now(self, of: Proposal | str | None) -> Proposal:
        assert of is not None
        found = await self.services.store.do(get_proposal, of if isinstance(of, str) else of.id)
        assert found is not None
        return found

    async def undo(self, of: Proposal, user: SlackUser = ADA) -> DecisionStatus:
        return await self.followups.undo(user, await self.now(of))

    async def trail(self, of: Proposal) -> list[Transition]:
        return await self.services.store.do(trail, of.id)

    async def lines(self) -> list[str]:
        """What threads are to be told once there are cards."""
        rows = await self.services.store.do(lambda c: c.execute(select(outbox.c.message)).scalars().all())
        return [outbox_message(message).text for message in rows]

    def key(self) -> dict[str, Any]:
        order = self.polar.order()
        return stock.add_grant(self.polar.shop, order, self.polar.benefit)[1]

    def subscription(self, **more: Any) -> dict[str, Any]:
        return stock.add_subscription(self.polar.shop, self.polar.customer, self.polar.monthly, **more)


@pytest.fixture
async def after(tmp_path, database_url) -> AsyncIterator[After]:
    async with line(tmp_path, url=database_url) as made:
        yield After(made)


def disable(key: dict[str, Any]) -> PlannedCall:
    return PlannedCall(KEY, {"id": key["id"]}, {}, {"status": "disabled"})


def change(found: dict[str, Any], **body: Any) -> PlannedCall:
    return PlannedCall(SUBSCRIPTION, {"id": found["id"]}, {}, body)


def refuse(
    monkeypatch: pytest.MonkeyPatch, operation: str, text: str = "Not while the moon is full."
) -> None:
    def no(_call: object) -> None:
        raise rule(409, "Conflict", text)

    monkeypatch.setitem(HANDLERS, operation, no)


# --- Undo ---------------------------------------------------------------------------------------------


async def test_a_disabled_key_works_again_and_who_undid_it_is_on_both(after):
    key = after.key()
    done = await after.ran(disable(key))
    assert (key["status"], can_undo(done)) == ("disabled", True)

    assert await after.undo(done) == DecisionStatus.UNDO_STARTED
    [claimed] = await execute.claim(after.services, 5)
    assert (claimed.row.undo_of_id, claimed.row.has_card) == (done.id, False)
    await execute.execute(after.services, claimed)

    original, undo = await after.now(done), await after.now(claimed.row)
    assert key["status"] == "granted"
    assert (undo.state, undo.decided_by, undo.has_card, undo.title) == (
        "succeeded",
        "U0ADA",
        False,
        "Undo: Do it",
    )
    assert (original.undo_id, original.state) == (undo.id, "succeeded")
    assert original.undone_at is not None
    assert original.row_version > done.row_version
    assert await after.lines() == ["Undone by <@U0ADA>: what it was before is back."]
    assert not can_undo(original)
    assert not can_undo(undo)


async def test_the_echo_of_an_undo_is_ours_and_proposes_nothing(after):
    found = after.subscription()
    await after.polar.call("PATCH", f"/v1/subscriptions/{found['id']}", {"cancel_at_period_end": True})
    done = await after.ran(change(found, cancel_at_period_end=False))
    after.clock.advance(hours=1)
    earlier = len(after.line.echoes())
    await after.undo(done)
    undo = await after.line.carry_out(await after.now((await after.now(done)).undo_id))

    told = [each for each in after.line.echoes()[earlier:] if each.type == "subscription.canceled"]
    [event] = [await after.line.event(each) for each in await after.line.deliver(told)]
    assert event.reason == Reason(ReasonCode.ECHO, {"proposal": undo.id})
    assert len(await after.line.proposals()) == 2


async def test_keeping_a_subscription_is_undone_with_the_reason_it_was_canceled_for(after):
    found = after.subscription()
    await after.polar.call(
        "PATCH",
        f"/v1/subscriptions/{found['id']}",
        {
            "cancel_at_period_end": True,
            "customer_cancellation_reason": "too_expensive",
            "customer_cancellation_comment": "Too dear",
        },
    )
    done = await after.ran(change(found, cancel_at_period_end=False))
    assert done.calls[0].before == {
        "customer_cancellation_reason": "too_expensive",
        "customer_cancellation_comment": "Too dear",
    }
    await after.undo(done)
    await after.line.carry_out(done)

    assert after.line.sent()[-1][2] == {
        "cancel_at_period_end": True,
        "customer_cancellation_reason": "too_expensive",
        "customer_cancellation_comment": "Too dear",
    }
    assert found["customer_cancellation_comment"] == "Too dear"


async def test_metadata_is_put_back_and_nothing_else_of_the_object_is_kept(after):
    found = after.subscription(metadata={"plan": "old"})
    done = await after.ran(change(found, metadata={"plan": "new"}))
    assert done.calls[0].before == {"metadata": {"plan": "old"}}
    await after.undo(done)
    await after.line.carry_out(done)

    assert found["metadata"] == {"plan": "old"}


async def test_without_the_state_before_the_call_is_made_and_there_is_no_undo(after, monkeypatch):
    found = after.subscription(metadata={"plan": "old"})
    call, reads = change(found, metadata={"plan": "new"}), []
    read = HANDLERS["subscriptions:get"]

    def second_read_fails(asked):
        reads.append(asked)
        if len(reads) == 2:  # the first is the look whether it is still there
            raise rule(403, "NotPermitted", "Not today.")
        return read(asked)

    monkeypatch.setitem(HANDLERS, "subscriptions:get", second_read_fails)
    done = await after.ran(call)

    assert (done.state, done.status_reason) == (ProposalState.SUCCEEDED, Reason(ReasonCode.CANNOT_BE_UNDONE))
    assert not can_undo(done)
    assert await after.undo(done) == DecisionStatus.NOTHING_TO_UNDO


async def test_several_calls_are_taken_back_in_reverse_and_what_was_so_before_is_left(after):
    first, second = after.subscription(), after.subscription()
    await after.polar.call("PATCH", f"/v1/subscriptions/{second['id']}", {"cancel_at_period_end": True})
    third = after.key()
    cancel = [change(each, cancel_at_period_end=True) for each in (first, second)]
    done = await after.ran(*cancel, disable(third))
    before = len(after.line.sent())
    await after.undo(done)
    await after.line.carry_out(done)

    assert [path for _, path, _ in after.line.sent()[before:]] == [
        f"/v1/license-keys/{third['id']}",
        f"/v1/subscriptions/{first['id']}",
    ]
    assert second["cancel_at_period_end"] is True


async def test_two_people_at_once_undo_once(after):
    done = await after.ran(disable(after.key()))

    told = await asyncio.gather(after.undo(done), after.undo(done, SlackUser(MAYA, "T1")))
    await after.line.carry_out(done)

    assert sorted(told, key=str) == sorted(
        [DecisionStatus.UNDO_STARTED, DecisionStatus.UNDO_UNDER_WAY], key=str
    )
    assert [body for _, _, body in after.line.sent()] == [{"status": "disabled"}, {"status": "granted"}]
    assert await after.undo(done) == DecisionStatus.NOTHING_TO_UNDO


async def test_an_undo_is_not_undone_and_a_refund_cannot_be(after):
    done = await after.ran(disable(after.key()))
    await after.undo(done)
    undo = await after.line.carry_out(await after.now((await after.now(done)).undo_id))
    order = after.polar.order()
    body = {"order_id": order["id"], "reason": "other", "amount": 900}
    refund = await after.ran(PlannedCall(REFUND, {}, {}, body))
    assert refund.state == ProposalState.SUCCEEDED

    assert (
        await after.followups.undo(ADA, replace(undo, undo_of_id=None, calls=()))
        == DecisionStatus.NOTHING_TO_UNDO
    )
    assert await after.undo(refund) == DecisionStatus.NOTHING_TO_UNDO
    assert not can_undo(refund)


async def test_a_stranger_retries_and_settles_nothing(after, monkeypatch):
    refuse(monkeypatch, SUBSCRIPTION)
    failed = await after.ran(change(after.subscription(), metadata={"a": "b"}))
    before = await after.line.proposals()

    told = [await after.followups.retry(STRANGER, failed.id)]
    for press in (after.followups.check, after.followups.mark_done, after.followups.mark_not_done):
        told.append(await press(STRANGER, failed.id))

    assert [each.refusal.code for each in told] == [RefusalCode.OTHER_WORKSPACE] * 4
    assert await after.line.proposals() == before


async def test_an_undo_that_polar_refuses_gets_a_card_and_may_be_retried_or_pressed_anew(after, monkeypatch):
    key = after.key()
    done = await after.ran(disable(key))
    with monkeypatch.context() as patched:
        refuse(patched, KEY)
        await after.undo(done)
        undo = await after.line.carry_out(await after.now((await after.now(done)).undo_id))

    original = await after.now(done)
    assert (undo.state, undo.has_card) == (ProposalState.FAILED, True)
    assert "moon" in str(undo.status_reason)
    assert (original.undo_id, original.undone_at) == (None, None)
    assert can_undo(original)
    assert await after.lines() == ["Not undone: nothing was changed. Its own card says why."]

    assert await after.followups.retry(ADA, undo.id) == FollowupResult(FollowupStatus.RETRIED)
    assert await after.undo(done) == DecisionStatus.UNDO_UNDER_WAY  # the retry is on its way
    assert (await after.line.carry_out(undo)).state == ProposalState.SUCCEEDED
    assert key["status"] == "granted"
    assert (await after.now(done)).undo_id == undo.id


async def test_a_failed_undo_is_not_retried_once_another_has_worked(after, monkeypatch):
    done = await after.ran(disable(after.key()))
    with monkeypatch.context() as patched:
        refuse(patched, KEY)
        await after.undo(done)
        first = await after.line.carry_out(await after.now((await after.now(done)).undo_id))
    assert await after.undo(done) == DecisionStatus.UNDO_STARTED
    second = await after.line.carry_out(await after.now((await after.now(done)).undo_id))

    assert (second.state, second.id != first.id) == (ProposalState.SUCCEEDED, True)
    assert await after.followups.retry(ADA, first.id) == FollowupResult(FollowupStatus.NOTHING_TO_RETRY)
    assert [body["status"] for _, _, body in after.line.sent()] == ["disabled", "granted", "granted"]


async def test_an_undo_that_was_half_done_is_for_its_own_retry(after, monkeypatch):
    keys = [after.key(), after.key()]
    done = await after.ran(*map(disable, keys))
    carry_out, sent = HANDLERS[KEY], []

    def refuse_the_second(call):
        sent.append(call)
        if len(sent) == 2:
            raise rule(409, "Conflict", "On holiday.")
        return carry_out(call)

    monkeypatch.setitem(HANDLERS, KEY, refuse_the_second)
    await after.undo(done)
    undo = await after.line.carry_out(await after.now((await after.now(done)).undo_id))
    assert undo.state == ProposalState.FAILED
    assert await after.undo(done) == DecisionStatus.UNDO_UNDER_WAY

    await after.followups.retry(ADA, undo.id)
    await after.line.carry_out(undo)
    assert [key["status"] for key in keys] == ["granted", "granted"]
    assert len(sent) == 3
    assert (await after.now(done)).undone_at is not None


async def test_a_kill_during_an_undo_leaves_a_card_that_can_be_checked(after):
    key = after.key()
    done = await after.ran(disable(key))
    after.polar.standin.fail_next("drop-after", only=KEY)
    await after.undo(done)
    undo = await after.line.carry_out(await after.now((await after.now(done)).undo_id))
    assert (undo.state, undo.has_card) == (ProposalState.UNKNOWN, True)
    assert (await after.now(done)).undo_id == undo.id

    told = await after.followups.check(ADA, undo.id)
    assert told == FollowupResult(FollowupStatus.FOUND_DONE)
    assert (await after.now(undo)).state == ProposalState.SUCCEEDED
    assert (await after.now(done)).undone_at is not None
    assert len(after.line.sent()) == 2


async def test_a_worker_that_dies_in_an_undo_is_found_out(after, monkeypatch):
    done = await after.ran(disable(after.key()))
    await after.undo(done)
    [claimed] = await execute.claim(after.services, 1)

    async def killed(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(after.services.polar, "send", killed)
        with pytest.raises(asyncio.CancelledError):
            await execute.execute(after.services, claimed)
    after.clock.advance(minutes=6)
    await worker.recover(after.services)
    after.clock.advance(
        minutes=6
    )  # on PostgreSQL another program may have sent it, whose answer may still come

    undo = await after.now(claimed.row)
    assert (undo.state, undo.has_card) == (ProposalState.UNKNOWN, True)
    assert await after.followups.mark_not_done(ADA, undo.id) == FollowupResult(FollowupStatus.MARKED)
    assert (await after.now(done)).undo_id is None
    assert await after.undo(done) == DecisionStatus.UNDO_STARTED
    await after.line.carry_out(done)
    assert [body["status"] for _, _, body in after.line.sent()] == ["disabled", "granted"]


# --- Retry --------------------------------------------------------------------------------------------


async def test_what_polar_refused_is_retried_and_what_was_done_is_not_sent_twice(after, monkeypatch):
    keys = [after.key(), after.key()]
    carry_out = HANDLERS[KEY]

    def refuse_the_second(call):
        if call.id == keys[1]["id"]:
            raise rule(409, "Conflict", "On holiday.")
        return carry_out(call)

    with monkeypatch.context() as patched:
        patched.setitem(HANDLERS, KEY, refuse_the_second)
        failed = await after.ran(*map(disable, keys))
    assert failed.state == ProposalState.FAILED

    after.clock.advance(days=3)  # a retry may start anew, however long ago the yes was
    assert await after.followups.retry(ADA, failed.id) == FollowupResult(FollowupStatus.RETRIED)
    assert await after.followups.retry(SlackUser(MAYA, "T1"), failed.id) == FollowupResult(
        FollowupStatus.NOTHING_TO_RETRY
    )
    after.polar.standin.fail_next("429", only=KEY, seconds=1)
    waiting = await after.line.carry_out(failed)
    assert waiting.state == ProposalState.APPROVED, waiting.status_reason
    after.clock.advance(minutes=1)
    done = await after.line.carry_out(failed)

    assert done.state == ProposalState.SUCCEEDED
    assert [path for _, path, _ in after.line.sent()].count(f"/v1/license-keys/{keys[0]['id']}") == 1
    retried = [(each.from_, each.to, each.actor) for each in await after.trail(done)]
    assert ("failed", "approved", "U0ADA") in retried
    [comment] = await after.services.store.do(comments_of, done.id, (CommentKind.ACT,))
    assert (comment.author, comment.text) == ("U0ADA", "Retried it.")


# --- No answer ----------------------------------------------------------------------------------------


async def in_doubt(after: After, fault: str) -> Proposal:
    after.polar.standin.fail_next(fault, only=KEY)
    found = await after.ran(disable(after.key()))
    assert found.state == ProposalState.UNKNOWN
    return found


async def test_check_again_finds_what_was_done(after):
    doubt = await in_doubt(after, "drop-after")

    assert await after.followups.check(ADA, doubt.id) == FollowupResult(FollowupStatus.FOUND_DONE)

    assert (await after.now(doubt)).state == ProposalState.SUCCEEDED
    assert await after.followups.check(ADA, doubt.id) == FollowupResult(FollowupStatus.NOT_UNKNOWN)


async def test_check_again_finds_no_trace_and_says_what_to_do(after):
    doubt = await in_doubt(after, "drop-before")
    after.clock.advance(days=2)

    told = await after.followups.check(ADA, doubt.id)

    assert told == FollowupResult(FollowupStatus.NO_TRACE)
    now = await after.now(doubt)
    assert (now.state, now.verify_attempts) == (ProposalState.UNKNOWN, 1)
    after.polar.standin.fail_next("500-before", 99)
    assert await after.followups.check(ADA, doubt.id) == FollowupResult(FollowupStatus.NO_ANSWER)
    assert len(after.line.sent()) == 1


async def test_while_somebody_looks_a_second_press_is_told_so(after):
    doubt = await in_doubt(after, "drop-after")
    after.clock.advance(minutes=1)
    [_] = await worker.claim_unknown_results(after.services, 1)

    assert await after.followups.check(ADA, doubt.id) == FollowupResult(FollowupStatus.BEING_CHECKED)


async def test_marked_done_it_is_done_by_that_persons_word(after):
    doubt = await in_doubt(after, "drop-before")

    assert await after.followups.mark_done(ADA, doubt.id) == FollowupResult(FollowupStatus.MARKED)
    assert await after.followups.mark_not_done(ADA, doubt.id) == FollowupResult(FollowupStatus.NOT_UNKNOWN)

    now = await after.now(doubt)
    assert (now.state, now.status_reason) == (
        ProposalState.SUCCEEDED,
        Reason(ReasonCode.DONE_BY_HAND, {"actor": "U0ADA"}),
    )
    assert [call.state for call in now.calls] == [CallState.DONE]
    assert can_undo(now)


async def test_marked_not_done_it_may_be_retried_and_is_then_sent_once_more(after):
    doubt = await in_doubt(after, "drop-before")
    after.clock.advance(minutes=1)
    [looking] = await worker.claim_unknown_results(after.services, 1)

    assert await after.followups.mark_not_done(ADA, doubt.id) == FollowupResult(FollowupStatus.MARKED)
    await examine(after.services, looking)  # its claim is gone: it changes nothing
    failed = await after.now(doubt)
    assert (failed.state, failed.status_reason) == (
        ProposalState.FAILED,
        Reason(ReasonCode.NOT_DONE_BY_HAND, {"actor": "U0ADA"}),
    )
    assert [call.state for call in failed.calls] == [CallState.REFUSED]

    assert await after.followups.retry(ADA, doubt.id) == FollowupResult(FollowupStatus.RETRIED)
    assert (await after.line.carry_out(doubt)).state == ProposalState.SUCCEEDED
    assert len(after.line.sent()) == 2


async def test_marked_done_the_calls_that_were_never_sent_go_on(after):
    after.polar.standin.fail_next("drop-before", only=KEY)
    doubt = await after.ran(*(disable(after.key()) for _ in range(2)))
    assert [call.state for call in doubt.calls] == [CallState.UNKNOWN, CallState.PLANNED]

    assert await after.followups.mark_done(ADA, doubt.id) == FollowupResult(FollowupStatus.MARKED)
    assert (await after.now(doubt)).state == ProposalState.APPROVED
    assert (await after.line.carry_out(doubt)).state == ProposalState.SUCCEEDED
    assert len(after.line.sent()) == 2


async def test_a_button_of_something_unknown_is_out_of_date(after):
    for press in (after.followups.retry, after.followups.check, after.followups.mark_done):
        assert await press(ADA, "pnobody") == FollowupResult(FollowupStatus.NOT_FOUND)


# --- Money --------------------------------------------------------------------------------------------


async def test_what_was_refunded_today_counts_in_its_currency_and_refused_ones_do_not(after):
    order = after.polar.order(tax=551)
    body = {"order_id": order["id"], "reason": "other", "amount": 900}
    done = await after.ran(PlannedCall(REFUND, {}, {}, body))
    await after.ran(PlannedCall(REFUND, {}, {}, body | {"amount": 9_000}))

    assert await today(after.services, replace(done, currency="usd")) == (
        ("Refunded today", "$9.00 before tax; at most $200.00 a day without asking"),
    )
    assert await today(after.services, replace(done, calls=())) == ()
    after.clock.advance(days=1)
    [(_, said)] = await today(after.services, replace(done, currency="usd"))
    assert said.startswith("$0.00")


async def test_the_card_of_a_refund_says_what_the_customer_gets_and_a_change_of_it_shows(after):
    shop = after.polar.shop
    tell_order(shop, "order.created", after.polar.order())
    after.clock.advance(minutes=3)
    second = after.polar.order(tax=551, platform_fee_amount=157, platform_fee_currency="usd")
    tell_order(shop, "order.created", second)
    await after.line.deliver()

    proposal = await after.line.only("refund-duplicate-order")
    assert proposal.facts[:3] == (
        ("Customer gets", "$34.51, of it $5.51 tax"),
        ("Fees", "$1.57, not returned by Polar"),
        ("Left afterwards", "nothing"),
    )
    assert await as_shown(after.services, proposal) is None
    shop.change(second, tax_amount=600)
    changed = await as_shown(after.services, proposal)
    assert isinstance(changed, NewProposal)
    assert changed.facts[0] == ("Customer gets", "$35.00, of it $6.00 tax")


async def test_the_recorded_formula_is_what_the_stand_in_gives_back(after):
    order = after.polar.order(tax=551)
    asked = PlannedCall(REFUND, {}, {}, {"order_id": order["id"], "reason": "other", "amount": 1_000})
    facts = dict((await read_money(Reads(after.services.polar), [Call.of(asked)])).facts)
    await after.ran(asked)
    rest = replace(asked, body={**(asked.body or {}), "amount": 1_900})
    last = dict((await read_money(Reads(after.services.polar), [Call.of(rest)])).facts)
    await after.ran(rest)

    refunds = after.polar.shop.rows("refunds", order_id=order["id"])
    given = [row["amount"] + row["tax_amount"] for row in refunds]
    assert facts["Customer gets"] == f"${given[0] / 100:.2f}, of it $1.90 tax"
    assert last["Customer gets"] == f"${given[1] / 100:.2f}, of it $3.61 tax"
    assert sum(given) == 2_900 + 551


async def test_a_retry_of_money_waits_like_an_approval_and_can_be_undone_meanwhile(after, monkeypatch):
    order = after.polar.order()
    body = {"order_id": order["id"], "reason": "other", "amount": 900}
    with monkeypatch.context() as patched:
        refuse(patched, REFUND)
        failed = await after.ran(PlannedCall(REFUND, {}, {}, body))
    assert failed.state == ProposalState.FAILED
    asked = after.clock()

    assert await after.followups.retry(ADA, failed.id) == FollowupResult(FollowupStatus.RETRIED)

    waits = await after.now(failed)
    assert waits.state == ProposalState.APPROVED
    assert waits.cancellable_until >= asked + timedelta(seconds=15)
    assert can_be_taken_back(waits, CardView(deciders="", now=asked))
    assert await execute.claim(after.services, 5) == []
    back = {"actor": "U0ADA", "at": asked}
    in_time, found = await after.services.store.do(cancel_approved, failed.id, **back)
    assert (in_time, found.state) == (True, ProposalState.WITHDRAWN)
