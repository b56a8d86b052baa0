"""The answers to `/polar`: lists, one proposal, the health of everything; and the pause of automatic runs."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from bot.listeners.graduation import GraduationScreen
from bot.logs import LastErrors
from bot.pipeline.card_view import view_of
from bot.results import Purpose
from bot.services import Queue, Services
from bot.slack.client import SlackUser
from bot.slack.permalinks import Links
from bot.ui import ephemeral
from bot.ui.card import card
from bot.ui.elements import Message
from bot.ui.lists import (
    QUEUES,
    Pages,
    history_heading,
    history_message,
    mine_message,
    not_found_message,
    queue_message,
    show_message,
)
from bot.ui.rules_page import reasons, rule_lines, rules_message
from bot.ui.status_page import (
    Health,
    Removal,
    nothing_to_resume,
    paused_message,
    resumed_message,
    status_message,
)
from polar.client import VERSION
from store.events.events import rule_activity
from store.graduation.gate import pause, paused, resume
from store.models import Proposal
from store.models.graduation import Paused
from store.proposals.lists import beginning, history, mine, queue, whole, worth
from store.proposals.stats import backlog, count_proposals

SOON = timedelta(days=2)  # a deadline within this is due soon: it goes before money
_BASE = 10.0  # dollars; the value of a card without money, so that its deadline still raises its rank
_HURRY = 100.0  # the factor for the money of a card whose deadline is now
_USER = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")
_MAIL = re.compile(r"<mailto:([^|>]+)(?:\|[^>]*)?>")
_BECAUSE = re.compile(r"^(?:because\b|:)[\s:]*", re.IGNORECASE)
_LONGEST = 200  # of what is looked for, and of why something is paused


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """The filter of a history: `by` and `value` as in the store's `history`."""

    by: str
    value: str


class Screens:
    """Everything that can be looked up. Every method raises StoreError when the database does not answer."""

    def __init__(self, services: Services, health: "HealthSource", links: Links) -> None:
        self._services, self._health, self._links = services, health, links
        self._graduation = GraduationScreen(services)

    async def queue(self, user: SlackUser, which: str, page: int = 1) -> Message:
        """The open proposals, or those of a filter in QUEUES; an unknown filter shows all."""
        now, which = self._services.clock(), which if which in QUEUES else ""
        store = self._services.store
        found = await store.do(queue, which=which, person=user.id, now=now, soon=now + SOON, page=page)
        return queue_message(
            found.found,
            await self._links.of(found.found),
            pages=Pages("queue", which, found.number, found.more),
            total=found.total or 0,
            counts=await store.do(count_proposals),
            now=now,
        )

    async def mine(self, user: SlackUser, page: int = 1) -> Message:
        """The unfinished proposals that are assigned to somebody, or that they proposed or approved."""
        now = self._services.clock()
        found = await self._services.store.do(mine, person=user.id, soon=now + SOON, page=page)
        groups = (
            ("Assigned to you", found.assigned),
            ("Proposed by you", found.proposed),
            ("Approved by you", found.approved),
        )
        shown = [proposal for _, part in groups for proposal in part.found]
        return mine_message(
            [(heading, part.found) for heading, part in groups],
            await self._links.of(shown),
            pages=Pages("mine", "", max(page, 1), any(part.more for _, part in groups)),
            now=now,
        )

    async def show(self, typed: str) -> Message:
        """One proposal by its id or the start of it: what its card says, and every step since."""
        start = typed.strip().strip("`").casefold()[:_LONGEST]
        ids = await self._services.store.do(beginning, start) if start else []
        found = await self._services.store.do(whole, ids[0]) if len(ids) == 1 else None
        if found is None:
            return not_found_message(typed, ids)
        proposal, steps = found
        shown = await self.card_of(proposal)
        return show_message(proposal, shown, steps, (await self._links.of([proposal])).get(proposal.id))

    async def card_of(self, proposal: Proposal) -> Message:
        """The card of a proposal as it would be drawn now."""
        return card(proposal, await view_of(self._services, proposal))

    async def history(self, typed: str, page: int = 1) -> Message:
        """The last decisions; of one customer, rule or person if `typed` names one."""
        wanted = read_history(typed, self._services.rules.origins)
        value = wanted.value
        if wanted.by == "person":
            value = await self._services.authority.name(value)
        found = await self._services.store.do(history, by=wanted.by, value=wanted.value, page=page)
        return history_message(
            history_heading(wanted.by, value),
            found.found,
            await self._links.of(found.found),
            pages=Pages("history", typed.strip()[:_LONGEST], found.number, found.more),
            now=self._services.clock(),
        )

    async def rules(self, page: int) -> Message:
        """One page of the rules, with what they have done."""
        activity = await self._services.store.do(rule_activity)
        return rules_message(rule_lines(self._services.rules, activity), reasons(self._services.rules), page)

    async def trust(self, about: str, page: int) -> Message:
        """The kinds of case, each with its state on the way to automatic runs."""
        return await self._graduation.answer(about, page)

    async def status(self) -> Message:
        """Tell whether all is well."""
        return status_message(await self._health.health())

    async def pause(self, user: SlackUser, why: str) -> Message:
        """Stop all automatic runs; only for approvers. The channel is told."""
        if (refused := await self._refusal(user)) is not None:
            return refused
        because = _BECAUSE.sub("", " ".join(why.split()))[:_LONGEST]
        wanted = Paused(user.id, self._services.clock(), because)
        store, notice = self._services.store, _notice(paused_message(wanted))
        made = await store.do(pause, by=wanted.by, why=wanted.why, at=wanted.at, notice=notice)
        self._wake()
        before = await store.do(paused)
        return paused_message(before or wanted, already=not made)

    async def resume(self, user: SlackUser) -> Message:
        """Allow automatic runs again; only for approvers. The channel is told."""
        if (refused := await self._refusal(user)) is not None:
            return refused
        by = user.id

        def notice(before: Paused) -> Mapping[str, Any]:
            return _notice(resumed_message(by, before))

        before = await self._services.store.do(resume, by=by, at=self._services.clock(), notice=notice)
        self._wake()
        return resumed_message(by, before) if before else nothing_to_resume()

    async def outsider(self, user: SlackUser) -> Message | None:
        """The reason why somebody may see nothing here; None for a member of the workspace."""
        found = await self._services.authority.outsider(user.id, user.team_id, Purpose.VIEW)
        return None if found is None else Message(ephemeral.refused_command(found).mrkdwn, ())

    async def _refusal(self, user: SlackUser) -> Message | None:
        authority = self._services.authority
        found = await authority.refusal(user.id, user.team_id)
        if found is None:
            return None
        found = replace(found, approvers=await authority.describe())
        return Message(ephemeral.refused(found).mrkdwn, ())

    def _wake(self) -> None:
        self._services.notify(Queue.OUTBOX, Queue.HOME)


def read_history(typed: str, rules: Mapping[str, object]) -> HistoryFilter:
    """The filter typed after `/polar history`: a mention, an address, `rule NAME`, a customer's id."""
    text = " ".join(typed.split())[:_LONGEST]
    if (user := _USER.match(text)) is not None:
        return HistoryFilter("person", user[1])
    mail = _MAIL.search(text)
    kind, _, rest = text.partition(" ")
    value = mail[1] if mail else rest.strip() if kind in ("rule", "customer") and rest else text
    if not value:
        return HistoryFilter("", "")
    if (kind == "rule" and rest) or ("@" not in value and value in rules):
        return HistoryFilter("rule", value)
    if "@" in value:
        return HistoryFilter("customer", value.lower())
    return HistoryFilter("customer_id", value)


def _notice(message: Message) -> dict[str, Any]:
    return {"text": message.text, "blocks": list(message.blocks)}


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


# --- Health -----------------------------------------------------------------------------------------------


class Socket(Protocol):
    """The way to Slack by Socket Mode, as far as its health goes."""

    connected: bool
    last_envelope_at: datetime | None


class HealthSource:
    """Looks at the store, both services and the log. `removed` is set once the app was taken out of Slack."""

    def __init__(
        self, services: Services, errors: LastErrors | None = None, supervisor: Socket | None = None
    ) -> None:
        self._services, self._errors, self._supervisor = services, errors, supervisor
        self.removed: Removal | None = None

    async def health(self) -> Health:
        """The present health. Raises StoreError."""
        store, polar, socket = self._services.store, self._services.polar, self._supervisor
        left, limit, pause = polar.budget()
        return Health(
            version=VERSION,
            now=self._services.clock(),
            backlog=await store.do(backlog),
            counts=await store.do(count_proposals),
            writes=store.backlog,
            socket=None if socket is None else socket.connected,
            heard_at=None if socket is None else socket.last_envelope_at,
            removed=self.removed,
            slack_paused=tuple(self._services.slack.limits.pauses().items()),
            polar_left=left,
            polar_limit=limit,
            polar_paused=pause,
            paused=await store.do(paused),
            errors=[]
            if self._errors is None
            else [(one.at, one.level, one.said) for one in self._errors.lines],
        )
