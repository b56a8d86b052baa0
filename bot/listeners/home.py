"""The Home tab: drawn when it is opened, after a click on it, and while it is open when something changes."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.approvals.service import ApprovalService
from bot.checks.checklist import SetUp
from bot.listeners.acknowledge import Interaction, listen, nothing
from bot.listeners.buttons import VERDICTS, click_of
from bot.listeners.workspace import HealthSource
from bot.pipeline.announce import view_of
from bot.pipeline.worker import QueueWorker
from bot.proposals.reads import midnight
from bot.services import Queue, Services
from bot.slack.client import SlackError, SlackRefused
from bot.slack.permalinks import Links
from bot.ui.card import card
from bot.ui.elements import Block, Text
from bot.ui.ephemeral import about, decision, refused
from bot.ui.home import HOME_LOOK, HOME_OPEN, Home, home_view, outside_view
from bot.ui.states import approver_line
from store.engine.errors import StoreError
from store.messages.outbox import claim_drawing, forget_viewer, home_viewers, opened_home
from store.models import Proposal, canonical_json, sha256
from store.models.worth import worth
from store.proposals.lists import candidates, queue
from store.proposals.proposals import get_proposal
from store.proposals.stats import today

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
# Blocks of another part of the program for the Home tab, given midnight of today.
Panel = Callable[[datetime], Awaitable[Sequence[Block]]]
SOON = timedelta(days=2)  # a deadline within this is due soon: it goes before money
_BASE = 10.0  # dollars; the value of a card without money, so that its deadline still raises its rank
_HURRY = 100.0  # the factor for the money of a card whose deadline is now
EVERY = timedelta(seconds=10)  # a change renders a tab again at most this often
_OPEN_FOR = timedelta(hours=1)  # Slack does not say when a tab is closed
_AT_ONCE = 20
_LOOK = ""  # the row that stands for a look at the set-up; the other rows are user ids
_NO_TAB = frozenset({"not_enabled", "user_not_found", "invalid_user", "user_disabled", "user_not_visible"})
_ON_HOME = re.compile(r"home\..*")


class HomeTab:
    """The Home tab: renders it and handles its clicks. `panels` add blocks below today's automatic runs."""

    def __init__(
        self,
        services: Services,
        approvals: ApprovalService,
        *,
        health: HealthSource,
        links: Links,
        set_up: SetUp,
        panels: Sequence[Panel] = (),
    ) -> None:
        self._services, self._approvals = services, approvals
        self._health, self._links, self._set_up = health, links, set_up
        self._panels, self._every = panels, EVERY
        # user id -> the digest of what their tab shows, and Slack's hash of it
        self._shown: dict[str, tuple[str, str | None]] = {}

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners; before those of the cards, which have the same buttons."""
        services = self._services
        listen(services, app.event("app_home_opened"), lambda on: self._opened(on.payload), failed={})
        on_home: dict[str, str | re.Pattern[str]] = {"type": "block_actions", "block_id": _ON_HOME}
        for action_id in VERDICTS:
            listen(services, app.action(on_home | {"action_id": action_id}), self._decide)
        listen(services, app.action(HOME_OPEN), nothing)  # a link to a card: Slack tells of it too
        listen(services, app.action(HOME_LOOK), self._look_again)

    def queue_worker(self) -> QueueWorker[tuple[str, Home | None]]:
        """The worker of the queue `home`: draws again what is open and has changed."""
        return QueueWorker(
            Queue.HOME, self._claim, self._redraw, width=4, idle=max(self._every.total_seconds() / 2, 0.05)
        )

    # --- Actions ------------------------------------------------------------------------------------

    async def _opened(self, event: Payload) -> None:
        """Somebody opened the app's home."""
        if event.get("tab", "home") != "home" or not event.get("user"):
            return
        await self._draw(str(event["user"]))
        self._services.notify(Queue.HOME)

    async def _decide(self, on: Interaction) -> None:
        """Approve or Decline was clicked on the Home tab: the result is said on top of it."""
        click = click_of(on)
        result = await self._approvals.decide(click, VERDICTS[on.payload["action_id"]], on.stored)
        await self._draw(click.user.id, click.proposal_id, decision(result))

    async def _look_again(self, _: Interaction) -> None:
        """The button that runs the set-up checks now was clicked."""
        self._set_up.forget()
        self._services.notify(Queue.HOME)

    async def _draw(self, user: str, decided: str | None = None, result: Text | None = None) -> None:
        """Draw a tab that was opened or clicked on, with the result of the click. It does not wait until the
        viewer is noted.
        """
        store = self._services.store
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(store.do(opened_home, user, self._services.clock()))
                found = None if decided is None else await store.read(get_proposal, decided)
                said = about(found, result) if found is not None and result is not None else result
                await self._publish(user, await self.gather(said))
        except* StoreError as errors:
            log.error("the Home tab of %s is not drawn: %s", user, errors.exceptions[0])

    # --- Content ------------------------------------------------------------------------------------

    async def gather(self, result: Text | None = None) -> Home:
        """Everything the tab shows, the same for everybody. Raises StoreError."""
        store, now = self._services.store, self._services.clock()
        since = midnight(now, self._services.rules.policy)
        up = next_card(await store.read(candidates, now), now)
        health = await self._health.health()
        waits = await store.read(queue, which="", person="", now=now, soon=now + SOON)
        whole = None if up is None else await store.read(get_proposal, up.id)
        shown = [*waits.found, *([whole] if whole is not None else [])]
        return Home(
            now=now,
            health=health,
            counts=health.counts,
            deciders=approver_line(await self._services.authority.describe(whole)),
            next_up=whole,
            next_card=None if whole is None else card(whole, await view_of(self._services, whole)),
            waiting=waits.found,
            links=await self._links.of(shown),
            today=await store.read(today, since),
            panels=[block for panel in self._panels for block in await panel(since)],
            steps=await self._set_up.steps(),
            result=() if result is None else result.elements,
        )

    async def _publish(self, user: str, home: Home) -> None:
        """Draw one tab; somebody who has none is not drawn again."""
        _, hash_ = self._shown.get(user, ("", None))
        # The tab shows customers' names and amounts.
        refusal = await self._services.authority.refusal_to_read(user, None)
        view = home_view(home) if refusal is None else outside_view(refused(refusal).plain)
        try:
            hash_ = await self._services.slack.publish_home(user, view, hash_)
            self._shown[user] = (_digest(home), hash_)
        except SlackRefused as error:
            if error.code == "hash_conflict":  # drawn meanwhile by a click or another replica: look again
                self._shown.pop(user, None)
                return
            log.info("the Home tab of %s is not drawn: %s", user, error)
            if error.code in _NO_TAB:
                self._shown.pop(user, None)
                await self._services.store.do(forget_viewer, user)
        except SlackError as error:
            log.info("the Home tab of %s is not drawn: %s", user, error)

    # --- The queue ----------------------------------------------------------------------------------

    async def _claim(self, room: int) -> Sequence[tuple[str, Home | None]]:
        """The users whose open tab was not rendered lately and is out of date."""
        now = self._services.clock()
        open_ = await self._services.store.read(
            home_viewers, opened_since=now - _OPEN_FOR, drawn_before=now, limit=_AT_ONCE
        )
        if not open_:
            self._shown.clear()
            return ()
        if self._set_up.due:
            return ((_LOOK, None),)
        ready = await self._services.store.read(
            home_viewers, opened_since=now - _OPEN_FOR, drawn_before=now - self._every, limit=_AT_ONCE
        )
        if not ready:
            return ()
        home = await self.gather()
        digest = _digest(home)
        stale = [user for user in ready if self._shown.get(user, ("",))[0] != digest]
        return [(user, home) for user in stale[:room]]

    async def _redraw(self, row: tuple[str, Home | None]) -> None:
        user, home = row
        if home is None:
            await self._set_up.look()
            self._services.notify(Queue.HOME)  # now the tabs
            return
        now = self._services.clock()
        if await self._services.store.do(claim_drawing, user, drawn_before=now - self._every, at=now):
            await self._publish(user, home)


def _digest(home: Home) -> str:
    """A digest of a tab that leaves out ages, budgets and the time, which change by themselves."""
    last = home.health.backlog.last
    still = replace(home.health, now=last.received_at if last else home.now, polar_left=0)
    view = home_view(replace(home, health=still, result=(), links={}))
    kept = [block for block in view["blocks"] if block["block_id"] not in ("home.as_of", "home.result")]
    return sha256(canonical_json(kept))


# --- Which card to decide next ------------------------------------------------------------------------------


def rank(proposal: Proposal, now: datetime) -> float:
    """The rank of a proposal in the queue; a higher rank is shown sooner.

    Money is in rough dollars (store.proposals.lists: orders of magnitude, for the order only). Hurry is 1
    without a deadline, grows as it comes near (about 2 four days ahead, 5 a day ahead) and is greatest once
    it passed.
    """
    due = proposal.deadline or proposal.expires_at
    hours = max((due - now) / timedelta(hours=1), 0.0) if due is not None else None
    hurry = 1.0 if hours is None else 1.0 + _HURRY / (1.0 + hours)
    return (_BASE + worth(proposal.amount, proposal.currency)) * hurry


def next_card(found: Iterable[Proposal], now: datetime) -> Proposal | None:
    """The one to decide next; of equal ones the oldest."""
    ordered = sorted(found, key=lambda each: (-rank(each, now), each.created_at, each.id))
    return ordered[0] if ordered else None
