"""The composition root: opens the store and both clients, wires the services, serves until stopped."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
from aiohttp import web
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.approvals.actions import wake_snoozed
from bot.approvals.erasure import carry_out_approved, erase_nightly
from bot.approvals.service import ApprovalService
from bot.checks.checklist import SetUp
from bot.config.settings import Settings
from bot.counts import Counts
from bot.forms.service import Proposing
from bot.listeners.acknowledge import finish
from bot.listeners.bundles import Bundles
from bot.listeners.buttons import register
from bot.listeners.card_menu import CardMenu
from bot.listeners.commands import SlashCommand
from bot.listeners.graduation import GraduationScreen
from bot.listeners.home import HomeTab
from bot.listeners.threads import Threads
from bot.listeners.workspace import HealthSource, Workspace
from bot.logs import remembered
from bot.metrics import POLAR_SECONDS, STORE_RETRIES
from bot.permissions import Authority, ByRuleAndClass, Readers
from bot.pipeline.timers import Step, timers
from bot.pipeline.worker import QueueWorker, Worker, answers_within, renewing
from bot.rules import RulesError, RuleSet, load_rules
from bot.services import Notify, Queue, Services
from bot.slack.client import TIMEOUT, RateLimits, Slack, SlackError
from bot.slack.permalinks import Links
from bot.slack.socket_mode import SocketModeFailed, Supervisor
from bot.ui.reports import removal_text
from bot.web import (
    Bodies,
    Probe,
    health,
    listening,
    metrics,
    slack_events,
    webhook,
)
from polar.client import PolarClient
from polar.webhooks import Verifier
from store import Store, open_store
from store.engine.clock import DatabaseClock, clock_of, require_right_clock
from store.engine.errors import StoreError, StoreFailed
from store.engine.leases import expire_all_leases
from store.engine.notifications import Notifications, notifications
from store.engine.shared_pace import shared_pace_of
from store.events.events import keep_rules, retry_changed
from store.graduation.learn import retry_all
from store.proposals.execution import recover_stranded

log = logging.getLogger(__name__)

_HEALTH_FOR = timedelta(seconds=15)


# What the person who starts the program can fix; anything else is a defect and shows its traceback.
CANNOT_RUN = (StoreError, RulesError, SocketModeFailed, OSError)


def utc_now() -> datetime:
    """The clock of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Running:
    """The program as it runs: where it listens and what it is made of."""

    url: str
    metrics_url: str | None  # None: METRICS_PORT is not set
    services: Services
    approvals: ApprovalService


async def serve(
    settings: Settings, *, clock: Callable[[], datetime] | None = None, speed: float = 1.0
) -> None:
    """Run until SIGINT or SIGTERM. Raises what keeps it from starting or going on, in words."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, _stop_or_end, stop)
    async with running(settings, clock=clock, speed=speed) as (app, background):
        log.info("listening on %s", app.url)
        if app.metrics_url is not None:
            log.info("metrics on %s/metrics", app.metrics_url)
        stopping = asyncio.create_task(stop.wait(), name="wait for a signal")
        done, _ = await asyncio.wait({stopping, background}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if background in done:
            background.result()
        log.info("stopping")


def _stop_or_end(stop: asyncio.Event) -> None:
    """Stop in order; at once when asked a second time. Every step is safe from that: see `kill -9`."""
    if stop.is_set():
        log.warning("ended at once: what was under way is taken up at the next start")
        os._exit(1)
    stop.set()


@asynccontextmanager
async def running(
    settings: Settings, *, clock: Callable[[], datetime] | None = None, speed: float = 1.0
) -> AsyncIterator[tuple[Running, asyncio.Task[None]]]:
    """The whole program, listening; the task does the work in the background and ends only by failing.

    Without a `clock` it goes by the database's where replicas share it, else by this machine's. `speed` is
    how much faster than real time `clock` runs, for what is done every so often.
    """
    rules = load_rules(settings.rules_file)
    if rules.policy.left_to_approvers and not (settings.approvers.users or settings.approvers.groups):
        log.warning("APPROVERS is empty: cards will be posted, and nobody may decide")
    async with AsyncExitStack() as stack:
        url = settings.database_url.get_secret_value()
        store = await stack.enter_async_context(open_store(url, on_retry=STORE_RETRIES.inc))
        if clock is None:
            await require_right_clock(store, utc_now)
            clock = await clock_of(store, utc_now)
        await _take_over(store, rules, clock())
        worker = Worker(speed)
        others = await stack.enter_async_context(notifications(url, partial(_heard, worker)))
        notify = worker.notify if others is None else partial(_tell, worker, others)
        services, client = await assemble(stack, settings, store, rules, clock=clock, notify=notify)
        await stack.enter_async_context(renewing(services))
        slack_app = _bolt(settings, client)
        approvals, token = ApprovalService(services), settings.slack_app_token
        supervisor = None if token is None else Supervisor(slack_app, token.get_secret_value(), clock)
        health_source = HealthSource(services, stack.enter_context(remembered(settings.secrets)), supervisor)
        worker.add(_listen(slack_app, services, approvals, health_source, SetUp(services, settings)))
        slack_probe = _slack_probe(services.slack, supervisor, health_source)
        probes = {"store": _store_probe(store), "slack": slack_probe}
        stack.push_async_callback(finish)
        url, metrics_url = await stack.enter_async_context(
            _http(settings, services, slack_app, probes, health_source.counts)
        )
        background = asyncio.create_task(
            _work(
                services,
                worker,
                health_source.counts,
                supervisor,
                speed=speed,
                retention_days=settings.retention_days,
            ),
            name="work",
        )
        stack.push_async_callback(_stop, background)
        yield Running(url, metrics_url, services, approvals), background


def _listen(
    slack_app: AsyncApp, services: Services, approvals: ApprovalService, health: HealthSource, set_up: SetUp
) -> QueueWorker[Any]:
    """Attach every listener; the queue worker that draws Home tabs."""
    links, proposing = Links(services.store, services.slack), Proposing(services)
    graduation = GraduationScreen(services)
    panels = (graduation.panel,)
    home = HomeTab(services, approvals, health=health, links=links, set_up=set_up, panels=panels)
    register(
        slack_app,
        services,
        approvals,
        proposing,
        SlashCommand(services, health, links, proposing),
        home,
        Workspace(services, health),
        graduation,
        CardMenu(services, proposing, links),
        Threads(services, approvals),
        Bundles(services, approvals),
    )
    return home.queue_worker()


def _heard(worker: Worker, names: Sequence[str]) -> None:
    """Wake the queues that another replica has told; a newer one may have queues that this one has not."""
    worker.notify(*(queue for queue in Queue if queue in names))


def _tell(worker: Worker, others: Notifications, *queues: Queue) -> None:
    """Wake queues, here and in the other replicas."""
    worker.notify(*queues)
    others.tell(queues)


async def _take_over(store: Store, rules: RuleSet, now: datetime) -> None:
    """Keep the rules as they are now, and close what a dead process left behind."""
    if store.sole_owner:
        await store.do(expire_all_leases)
    await store.do(recover_stranded, now=now, answers_within=answers_within(store))
    sources = {rule.version: (rule.name, rule.source) for rule in rules.rules}
    await store.do(keep_rules, sources, now)
    while again := await store.do(retry_changed, list(sources), now):
        log.info("%s webhooks on which rules had failed are asked again: the rules have changed", len(again))
    await store.do(retry_all, now)


def _bolt(settings: Settings, client: AsyncWebClient) -> AsyncApp:
    # Bolt reads these by itself, and with the last two it switches to OAuth and ignores our token.
    for name in ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"):
        os.environ.pop(name, None)
    secret = settings.slack_signing_secret
    # A bad signature makes Bolt log the whole body.
    logging.getLogger("slack_bolt.AsyncRequestVerification").setLevel(logging.WARNING)
    return AsyncApp(
        client=client,
        signing_secret=secret.get_secret_value() if secret else None,
        request_verification_enabled=not settings.socket_mode,
        ignoring_self_events_enabled=True,
        process_before_response=True,  # see bot.listeners.acknowledge
    )


async def _work(
    services: Services,
    worker: Worker,
    counts: Counts,
    supervisor: Supervisor | None,
    *,
    speed: float,
    retention_days: int | None,
) -> None:
    more: dict[str, tuple[Step, float]] = {
        "snoozes": (wake_snoozed, 15),
        "clock": (_set_clock, 15),
        "erasures": (carry_out_approved, 15),
        "retention": (partial(erase_nightly, days=retention_days), 60),
    }
    async with timers(services, more, speed=speed), asyncio.TaskGroup() as group:
        group.create_task(_introduce(services), name="auth.test")
        group.create_task(worker.run(services), name="worker")
        group.create_task(counts.run(), name="counts")
        if supervisor is not None:
            group.create_task(supervisor.run(), name="socket mode")


async def _set_clock(services: Services) -> None:
    """Look at the database's clock again, where the program goes by it."""
    if isinstance(services.clock, DatabaseClock):
        await services.clock.look(services.store)


async def _introduce(services: Services) -> None:
    """Learn which workspace is ours; tried until Slack answers."""
    pause = 1.0
    while services.authority.team_id is None:
        try:
            # Without a team (no Slack answers so) everybody is a stranger, and the log says why.
            services.authority.team_id = str((await services.slack.whoami()).get("team_id", "unknown"))
        except SlackError as error:
            log.error("auth.test: %s. Nobody can decide until Slack accepts SLACK_BOT_TOKEN.", error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 60.0)


async def _stop(background: asyncio.Task[None]) -> None:
    background.cancel()
    await asyncio.gather(background, return_exceptions=True)


@asynccontextmanager
async def _http(
    settings: Settings, services: Services, slack_app: AsyncApp, probes: dict[str, Probe], counts: Counts
) -> AsyncIterator[tuple[str, str | None]]:
    """Our routes on HOST and PORT, the metrics on METRICS_PORT; both addresses."""
    bodies, store, clock = Bodies(), services.store, services.clock
    verifier = Verifier(*settings.polar_webhook_secrets)
    routes = [
        web.post("/polar/webhooks", webhook(verifier, store, clock, services.notify, bodies)),
        web.get("/healthz", health(probes)),
    ]
    if not settings.socket_mode and settings.slack_signing_secret is not None:
        secret = settings.slack_signing_secret.get_secret_value()
        routes.append(web.post("/slack/events", slack_events(slack_app, secret, bodies)))
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(listening(routes, settings.host, settings.port))
        if (place := settings.metrics_port) is None:
            yield url, None
            return
        route = web.get("/metrics", metrics(store, counts))
        yield url, await stack.enter_async_context(listening([route], place.host, place.port))


def _store_probe(store: Store) -> Probe:
    async def probe() -> str | None:
        try:
            await asyncio.wait_for(store.ping(), 5)
        except StoreFailed:
            return "the database takes no write"
        except (StoreError, TimeoutError) as error:
            return f"the database does not answer ({type(error).__name__})"
        return None

    return probe


def _slack_probe(slack: Slack, supervisor: Supervisor | None, source: HealthSource) -> Probe:
    """Tell whether Slack can be reached: by the socket if there is one, else by `auth.test` now and then."""
    asked_at: datetime | None = None
    found: str | None = None

    async def probe() -> str | None:
        nonlocal asked_at, found
        if source.removed is not None:
            return removal_text(source.removed)
        if supervisor is not None:
            return None if supervisor.connected else "the Socket Mode connection is down"
        # Anybody may ask for our health; Slack is not asked each time.
        if asked_at is None or utc_now() - asked_at > _HEALTH_FOR:
            asked_at = utc_now()
            try:
                await slack.whoami()
                found = None
            except SlackError as error:
                found = str(error)
        return found

    return probe


async def assemble(
    stack: AsyncExitStack,
    settings: Settings,
    store: Store,
    rules: RuleSet,
    *,
    clock: Callable[[], datetime],
    notify: Notify,
) -> tuple[Services, AsyncWebClient]:
    """The services, closed with the stack; and Slack's client, for whoever listens to Slack too."""
    shared = await shared_pace_of(store, settings.database_url.get_secret_value(), clock)
    polar = await stack.enter_async_context(
        PolarClient(
            settings.polar_access_token.get_secret_value(),
            settings.polar_base_url,
            per_minute=settings.polar_per_minute,
            measure=POLAR_SECONDS.labels,
            shared_pace=shared,
        )
    )
    session = await stack.enter_async_context(aiohttp.ClientSession(timeout=TIMEOUT))
    client = _slack_client(settings, session)
    slack = Slack(client, RateLimits(asyncio.get_running_loop().time, settings.slack_tiers, shared))
    deciders = ByRuleAndClass(settings.approvers, rules, store)
    authority = Authority(slack, clock, deciders, Readers(settings.readers, settings.slack_channel))
    services = Services(store, polar, slack, rules, authority, settings.slack_channel, clock, notify)
    return services, client


def _slack_client(settings: Settings, session: aiohttp.ClientSession) -> AsyncWebClient:
    return AsyncWebClient(
        settings.slack_bot_token.get_secret_value(),
        base_url=settings.slack_api_url,
        session=session,
        user_agent_prefix="polar-approvals",
        # The SDK's own retry sends chat.postMessage again after a dropped connection: two cards.
        retry_handlers=[],
    )
