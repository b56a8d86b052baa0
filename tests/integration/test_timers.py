"""What time brings, on a clock that tests move: expiry, reminders, calls for people, quiet hours, the digest."""

import json
from dataclasses import replace
from datetime import time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from bot.config.policy import Policy, Schedule
from bot.demo.polar.orders import tell_order
from bot.pipeline.timers import close_late, escalate, morning, quiet_until, remind, remind_of_doubt
from bot.slack.client import SlackNoAnswer
from store.models import Decision, NewProposal, PlannedCall, Proposal, ProposalState, Verdict
from store.models.reasons import Reason, ReasonCode
from store.proposals.actions import Act, mark_done
from store.proposals.decisions import decide
from store.proposals.proposals import get_proposal, insert_proposal, touch, trail
from store.proposals.timers import call_people, expire
from store.schema import outbox
from tests.fixtures.line import MAYA, START, line

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
async def world(tmp_path, database_url):
    async with line(tmp_path, url=database_url) as found:
        found.services = replace(found.services, slack=NoLinks())
        yield found


class NoLinks:
    """Where Slack would be: it has no links."""

    async def permalink(self, channel, ts):
        raise SlackNoAnswer("Slack did not answer.")


def policy(world, **schedule) -> None:
    """Go by this schedule from now on."""
    rules = replace(world.services.rules, policy=Policy(schedule=Schedule(**schedule)))
    world.services = replace(world.services, rules=rules)


async def asked(world, **columns) -> Proposal:
    """A proposal that waits, with these columns."""
    before = {each.id for each in await world.proposals()}
    tell_order(world.shop, "order.paid", world.polar.order())
    await world.deliver()
    (found,) = [each for each in await world.proposals() if each.id not in before]
    if columns:
        await world.store.do(touch, found.id, world.clock(), **columns)
    return await world.store.do(get_proposal, found.id)


async def said(world, kind=None) -> list[str]:
    def query(connection):
        rows = connection.execute(select(outbox).order_by(outbox.c.created_at))
        return [json.dumps(row.message) for row in rows if kind in (None, row.kind)]

    return await world.store.do(query)


async def test_what_nobody_decides_expires_after_two_weeks_and_says_so(world):
    proposal = await asked(world)

    world.clock.advance(days=13, hours=23)
    await close_late(world.services)
    assert (await world.store.do(get_proposal, proposal.id)).state == ProposalState.PENDING
    world.clock.advance(hours=2)
    await close_late(world.services)

    found = await world.store.do(get_proposal, proposal.id)
    assert found.state == ProposalState.EXPIRED
    assert found.status_reason == Reason(ReasonCode.EXPIRED)
    assert found.decided_by is None
    assert [change.to for change in await world.store.do(trail, proposal.id)][-1] == ProposalState.EXPIRED


async def test_a_deadline_closes_it_earlier(world):
    deadline = START + timedelta(hours=5)
    proposal = await asked(world, deadline=deadline, expires_at=deadline)

    world.clock.advance(hours=6)
    await close_late(world.services)

    assert (await world.store.do(get_proposal, proposal.id)).status_reason == Reason(
        ReasonCode.DEADLINE_PASSED
    )


async def test_a_decision_in_time_is_not_undone_by_the_deadline(world):
    deadline = START + timedelta(hours=5)
    proposal = await asked(world, deadline=deadline, expires_at=deadline)
    await world.store.do(decide, Decision(proposal.id, MAYA, Verdict.DECLINE, "button", world.clock()))

    world.clock.advance(hours=6)

    assert await world.store.do(expire, now=world.clock()) == []


async def test_one_reminder_for_all_and_the_next_only_after_a_while(world):
    for _ in range(3):
        await asked(world)
    await remind(world.services)
    assert await said(world) == []

    world.clock.advance(hours=5)
    await remind(world.services)
    await remind(world.services)
    world.clock.advance(hours=3)
    await remind(world.services)
    assert len(await said(world, "reminder")) == 1
    assert "3 proposals still wait" in (await said(world))[0]

    world.clock.advance(hours=2)
    await remind(world.services)
    assert len(await said(world, "reminder")) == 2


async def test_what_sleeps_or_is_decided_is_in_no_reminder(world):
    await asked(world, snoozed_until=START + timedelta(days=2))
    decided = await asked(world)
    await world.store.do(decide, Decision(decided.id, MAYA, Verdict.DECLINE, "button", world.clock()))

    world.clock.advance(hours=10)
    await remind(world.services)

    assert await said(world) == []


async def test_nobody_is_called_in_quiet_hours_except_for_what_ends_before_morning(world):
    # 09:00 UTC at the start is 10:00 in Berlin; quiet until 08:00 the next day
    policy(
        world,
        timezone="Europe/Berlin",
        quiet_hours="20:00-08:00",
        escalate_after="12h",
        escalate_to=["U0BOSS"],
    )
    await asked(world)
    await asked(world, deadline=START + timedelta(hours=20))
    world.clock.advance(hours=14)  # midnight in Berlin

    await remind(world.services)
    await escalate(world.services)

    (call,) = await said(world)
    assert "U0BOSS" in call
    assert "1 proposal waits too long" in call
    world.clock.advance(hours=9)
    await escalate(world.services)
    await escalate(world.services)
    assert len(await said(world, "escalation")) == 2  # the other one, in the morning, once


async def test_of_what_another_replica_called_for_meanwhile_only_the_rest_is_called_for(world):
    waiting = [await asked(world), await asked(world)]
    at, hour = world.clock(), timedelta(hours=1)

    async def call(kind, which, at):
        def say(called):
            return {"text": ",".join(each.id for each in called), "blocks": []}

        return await world.store.do(call_people, kind, which, say, at, window=hour)

    assert await call("escalation", waiting[:1], at)
    assert not await call("escalation", waiting, at)  # in the same window: the rest waits for the next
    assert await call("escalation", waiting, at + hour)
    assert not await call("escalation", waiting, at + 2 * hour)
    calls = [json.loads(one)["text"] for one in await said(world, "escalation")]
    assert calls == [waiting[0].id, waiting[1].id]

    assert await call("reminder", waiting, at)
    assert not await call("reminder", waiting, at + hour / 2)
    assert await call("reminder", waiting, at + hour)


async def test_without_named_people_nobody_is_called(world):
    await asked(world)
    world.clock.advance(days=3)
    await escalate(world.services)
    assert await said(world) == []


async def test_the_digest_comes_once_a_morning_with_yesterdays_numbers(world):
    policy(world, timezone="UTC", digest=time(8, 30))
    first, _ = await asked(world), await asked(world)
    await world.store.do(decide, Decision(first.id, MAYA, Verdict.DECLINE, "button", world.clock()))
    await morning(world.services)  # today's: the day before brought nothing, so nothing is said
    world.clock.advance(days=1, minutes=-40)  # 08:20
    await morning(world.services)
    assert await said(world, "digest") == []

    world.clock.advance(minutes=15)
    await morning(world.services)
    world.clock.advance(minutes=1)
    await morning(world.services)

    digests = await said(world, "digest")
    assert len(digests) == 1
    assert "2 new, 1 decided, 1 left over" in digests[0]
    assert "1 declined." in digests[0]


async def test_a_program_that_was_down_all_morning_does_not_say_it_in_the_evening(world):
    world.clock.advance(hours=8)
    await morning(world.services)
    assert await said(world) == []


@given(
    st.tuples(st.times(), st.times()),
    st.integers(0, 365 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes)),
    st.sampled_from([ZoneInfo("UTC"), BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")]),
)
def test_quiet_hours_end_when_they_say_and_hold_at_their_times_of_day(quiet, now, zone):
    begin, end = (one.replace(second=0, microsecond=0) for one in quiet)
    found = quiet_until(Schedule(timezone=zone, quiet_hours=(begin, end)), now)

    at = now.astimezone(zone)
    moment = at.time()
    inside = begin <= moment < end if begin < end else (moment >= begin or moment < end)
    if at.utcoffset() == (at - timedelta(days=1)).utcoffset() == (at + timedelta(days=1)).utcoffset():
        assert (found is not None) == (inside or begin == end)
    if found is not None:
        assert found > now
        assert found.astimezone(zone).time() == end or found.utcoffset() != at.utcoffset()


def test_without_quiet_hours_it_is_never_quiet():
    assert quiet_until(Schedule(), START) is None


# --- What nobody knows ----------------------------------------------------------------------------------


async def doubtful(world, amount: int, **columns) -> Proposal:
    """A refund that Polar never answered, after every look."""
    body = {"order_id": world.polar.order()["id"], "reason": "other", "amount": amount}
    number = len(await world.proposals())
    made = NewProposal(
        f"p{number}", f"fact{number}", None, None, None, None, f"Refund {amount}?", (), (), "R2", None,
        (PlannedCall("refunds:create", {}, {}, body),), world.clock(), amount=amount, currency="usd",
    )  # fmt: skip
    await world.store.do(insert_proposal, made)
    world.polar.standin.fail_next("drop-before", only="refunds:create")
    found = await world.approve(await world.store.do(get_proposal, made.id))
    assert found.state == ProposalState.UNKNOWN
    await world.store.do(touch, made.id, world.clock(), **({"verify_attempts": 4} | columns))
    return found


async def test_after_the_last_look_people_are_told_money_first_and_again_after_a_while(world):
    await doubtful(world, 500, reminded_at=None)
    await doubtful(world, 2_000)
    await doubtful(world, 9_999_999, verify_attempts=3)  # it is looked at once more

    await remind_of_doubt(world.services)
    await remind_of_doubt(world.services)
    (told,) = await said(world, "doubt")
    assert "Polar never answered 2 proposals" in told
    assert told.index("Refund 2000?") < told.index("Refund 500?")

    world.clock.advance(hours=5)
    await remind_of_doubt(world.services)
    assert len(await said(world, "doubt")) == 2
    assert await said(world, "doubt escalation") == []


async def test_named_people_are_called_once_for_what_nobody_settles(world):
    policy(world, escalate_to=("U0BOSS",))
    found = await doubtful(world, 500)
    await remind_of_doubt(world.services)
    assert await said(world, "doubt escalation") == []

    world.clock.advance(days=2)
    await remind_of_doubt(world.services)
    world.clock.advance(days=2)
    await remind_of_doubt(world.services)

    (told,) = await said(world, "doubt escalation")
    assert "U0BOSS" in told
    assert found.title in told


async def test_in_quiet_hours_and_once_it_is_settled_nobody_is_told(world):
    policy(world, quiet_hours="00:00-23:59")
    found = await doubtful(world, 500)
    await remind_of_doubt(world.services)
    policy(world)
    await world.store.do(mark_done, Act(found.id, MAYA, "It was done.", world.clock()))
    await remind_of_doubt(world.services)

    assert await said(world, "doubt") == []


async def test_what_was_told_of_the_decision_says_nothing_of_the_result(world):
    """It was called for while it waited; it is called for anew when nobody knows its result."""
    proposal = await asked(world)
    at = world.clock()
    await world.store.do(touch, proposal.id, at, reminded_at=at, escalated_at=at)
    world.polar.standin.fail_next("drop-before", only="orders:generate_invoice")
    found = await world.approve(proposal)

    assert found.state == ProposalState.UNKNOWN
    assert (found.reminded_at, found.escalated_at) == (None, None)
