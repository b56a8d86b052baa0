"""Timers: expiry, reminders, escalation, the morning digest. APScheduler runs them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bot.approvals.graduation import GraduationService
from bot.config.policy import Schedule
from bot.pipeline.count_check import check_counts_nightly
from bot.proposals.call_results import LOOK_AFTER
from bot.services import Queue, Services
from bot.slack.client import Slack, SlackError
from bot.ui.digest import digest, doubt, escalation, reminder
from bot.ui.elements import Message
from bot.ui.graduation import runs_block
from store.audit_log.log import head
from store.messages.outbox import add_to_outbox, is_in_outbox
from store.models import Proposal
from store.proposals.stats import daily_stats, decided_between, waiting_since
from store.proposals.timers import call_people, expire, in_doubt, to_escalate, to_remind

log = logging.getLogger(__name__)

_CHART_DAYS = 7
# A digest missed in the morning (the program was down) is not posted in the evening.
_DIGEST_UNTIL = timedelta(hours=6)
_LINKED = 10
_EACH_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)

Say = Callable[[Sequence[Proposal]], Message]
Step = Callable[[Services], Awaitable[None]]


@asynccontextmanager
async def timers(
    services: Services, more: Mapping[str, tuple[Step, float]], *, speed: float = 1.0
) -> AsyncIterator[None]:
    """Run every step at its interval until the block ends; what a step needs to know is in the store.

    `more` are steps of others with their seconds; `speed` divides every interval, for a clock that runs fast.
    """
    scheduler = AsyncIOScheduler(
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}, timezone="UTC"
    )
    for name, (step, seconds) in {**_STEPS, **more}.items():
        scheduler.add_job(
            partial(_until_stopped, step, services), "interval", seconds=seconds / speed, id=name
        )
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)


async def _until_stopped(step: Step, services: Services) -> None:
    """Run a step. A stop during it is not logged as an error, because all state is stored."""
    with suppress(asyncio.CancelledError):
        await step(services)


async def close_late(services: Services) -> None:
    """Close the proposals that nobody decided in time. It is no decision: the card and the thread say so."""
    while closed := await services.store.do(expire, now=services.clock()):
        log.info("%s proposals expired undecided", len(closed))
        services.notify(Queue.ANNOUNCE)


async def remind(services: Services) -> None:
    """One reminder in the channel for all that waits, again after a while, never in quiet hours."""
    schedule, now = services.rules.policy.schedule, services.clock()
    if quiet_until(schedule, now) is not None:
        return
    waiting = await services.store.read(
        to_remind,
        older_than=now - schedule.remind_after,
        reminded_before=now - schedule.remind_every,
        now=now,
    )
    if waiting:
        say = partial(reminder, links=await _links(services.slack, waiting))
        await _call(services, "reminder", waiting, say, schedule.remind_every)


async def remind_of_doubt(services: Services) -> None:
    """Tell of calls that no look could settle: in the channel at once and every so often, and named people
    once it lasts; never in quiet hours.
    """
    schedule, now = services.rules.policy.schedule, services.clock()
    if quiet_until(schedule, now) is not None:
        return
    looks = len(LOOK_AFTER) + 1
    found = await services.store.read(in_doubt, looks=looks, again=now - schedule.remind_every)
    if found:
        say = partial(doubt, people=(), links=await _links(services.slack, found))
        await _call(services, "doubt", found, say, _EACH_MINUTE)
    if not schedule.escalate_to:
        return
    late = now - schedule.escalate_after
    found = await services.store.read(in_doubt, looks=looks, again=late, escalated=True)
    if found:
        say = partial(doubt, people=schedule.escalate_to, links=await _links(services.slack, found))
        await _call(services, "doubt escalation", found, say, _EACH_MINUTE)


async def escalate(services: Services) -> None:
    """Call named people for what waits too long, or would end while everybody sleeps."""
    schedule, now = services.rules.policy.schedule, services.clock()
    if not schedule.escalate_to:
        return
    over = quiet_until(schedule, now)
    older_than = now - schedule.escalate_after
    waiting = await services.store.read(to_escalate, older_than=older_than, deadline_before=over, now=now)
    if over is not None:  # quiet: only what cannot wait for the morning
        waiting = [one for one in waiting if one.deadline is not None and one.deadline <= over]
    if waiting:
        say = partial(escalation, people=schedule.escalate_to, links=await _links(services.slack, waiting))
        await _call(services, "escalation", waiting, say, _EACH_MINUTE)


async def _call(
    services: Services, kind: str, waiting: Sequence[Proposal], say: Say, window: timedelta
) -> None:
    await services.store.do(
        call_people, kind, waiting, lambda shown: say(shown).content, services.clock(), window=window
    )
    services.notify(Queue.OUTBOX)


async def _links(slack: Slack, waiting: Sequence[Proposal]) -> Mapping[str, str]:
    """The links to the cards; without Slack's answer the list goes without them."""
    links = {}
    for one in waiting[:_LINKED]:
        if one.card_ts is not None and one.channel is not None:
            try:
                links[one.id] = await slack.permalink(one.channel, one.card_ts)
            except SlackError as error:
                log.info("no link to the card of %s: %s", one.id, error)
    return links


async def morning(services: Services) -> None:
    """Yesterday's numbers, once a day, at the time of day that the policy names."""
    schedule, now = services.rules.policy.schedule, services.clock()
    if schedule.digest is None:
        return
    local = now.astimezone(schedule.timezone)
    due = datetime.combine(local.date(), schedule.digest, schedule.timezone)
    name = f"digest:{local.date().isoformat()}"
    if not due <= local < due + _DIGEST_UNTIL or await services.store.read(is_in_outbox, name):
        return
    message = await _digest(services, local.date() - timedelta(days=1))
    if message is not None:
        await services.store.do(add_to_outbox, name, kind="digest", message=message.content, at=now)
        services.notify(Queue.OUTBOX)


async def _digest(services: Services, day: date) -> Message | None:
    """The digest of a day; None when nothing happened and nothing is left over."""
    zone = services.rules.policy.schedule.timezone
    start, end = _bounds(day, zone)
    of_day = await services.store.read(daily_stats, start, end)
    waiting = await services.store.read(waiting_since, end)
    since = services.clock() - _DAY
    ran = runs_block(await GraduationService(services).ran(since), services.rules.policy.caps, "digest")
    if not (of_day.asked or of_day.decided or waiting or ran):
        return None
    chart = []
    for back in reversed(range(_CHART_DAYS)):
        one = day - timedelta(days=back)
        chart.append((one, await services.store.read(decided_between, *_bounds(one, zone))))
    seq, digest_of_log = await services.store.read(head)
    more = [] if ran is None else [ran]
    return digest(day, of_day, waiting, chart, more=more, seal=f"{seq} rows, {digest_of_log[:16]}")


def _bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The beginning and the end of a day where the team is."""
    return (
        datetime.combine(day, time.min, zone),
        datetime.combine(day + timedelta(days=1), time.min, zone),
    )


def quiet_until(schedule: Schedule, now: datetime) -> datetime | None:
    """The end of the quiet hours that `now` is in; None outside of them."""
    if schedule.quiet_hours is None:
        return None
    begin, end = schedule.quiet_hours
    local = now.astimezone(schedule.timezone)
    for day in (local.date() - timedelta(days=1), local.date()):
        starts = datetime.combine(day, begin, schedule.timezone)
        last = day if end > begin else day + timedelta(days=1)
        over = datetime.combine(last, end, schedule.timezone)
        if starts <= local < over:
            return over
    return None


_STEPS: Mapping[str, tuple[Step, float]] = {
    "expire": (close_late, 15),
    "remind": (remind, 60),
    "escalate": (escalate, 60),
    "doubt": (remind_of_doubt, 60),
    "morning": (morning, 60),
    "check counts": (check_counts_nightly, 600),
}
