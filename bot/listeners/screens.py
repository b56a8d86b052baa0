"""What `/polar` answers: lists, one proposal, the state of everything; and the pause of automatic runs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.listeners.graduation import TrustScreen
from bot.listeners.priority import SOON
from bot.listeners.status import Feed, said
from bot.pipeline.card_view import view_of
from bot.services import Queue, Services
from bot.slack.permalinks import Links
from bot.slack.user import Person
from bot.ui import ephemeral
from bot.ui.card import Message, card
from bot.ui.lists import (
    QUEUES,
    Pages,
    history_message,
    mine_message,
    not_found_message,
    queue_message,
    show_message,
)
from bot.ui.rule_lines import reasons, rule_lines
from bot.ui.rules_page import rules_message
from bot.ui.status_page import (
    Pause,
    nothing_to_resume,
    paused_message,
    refused_message,
    resumed_message,
    status_message,
)
from bot.ui.text import escape
from store.events.rule_stats import rule_activity
from store.graduation.pause import Paused, pause, paused, resume
from store.models import Proposal
from store.proposals.lists import beginning, history, mine, queue, whole
from store.proposals.proposals import count_proposals

_USER = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")
_MAIL = re.compile(r"<mailto:([^|>]+)(?:\|[^>]*)?>")
_BECAUSE = re.compile(r"^(?:because\b|:)[\s:]*", re.IGNORECASE)
_LONGEST = 200  # of what is looked for, and of why something is paused


@dataclass(frozen=True, slots=True)
class Looked:
    """Whose past is looked for: `by` as in the store's `history`, `about` in words for the heading."""

    by: str
    value: str
    about: str


class Screens:
    """Everything that can be looked up. Every method raises StoreError when the database does not answer."""

    def __init__(self, services: Services, feed: Feed, links: Links) -> None:
        self._services, self._feed, self._links = services, feed, links
        self._trust = TrustScreen(services)

    async def queue(self, person: Person, which: str, page: int = 1) -> Message:
        """What waits, or one of the filters in QUEUES; an unknown filter shows all."""
        now, which = self._services.clock(), which if which in QUEUES else ""
        store = self._services.store
        found = await store.do(queue, which=which, person=person.user_id, now=now, soon=now + SOON, page=page)
        return queue_message(
            found.found,
            await self._links.of(found.found),
            pages=Pages("queue", which, found.number, found.more),
            total=found.total or 0,
            counts=await store.do(count_proposals),
            now=now,
        )

    async def mine(self, person: Person, page: int = 1) -> Message:
        """What is assigned to, was proposed by or approved by somebody, and is not finished."""
        now = self._services.clock()
        found = await self._services.store.do(mine, person=person.user_id, soon=now + SOON, page=page)
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
        asked = read_history(typed, self._services.rules.origins)
        about = asked.about
        if asked.by == "person":
            about = f"what {await self._services.authority.name(asked.value)} decided"
        found = await self._services.store.do(history, by=asked.by, value=asked.value, page=page)
        return history_message(
            about,
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
        """How far each kind of case is trusted."""
        return await self._trust.answer(about, page)

    async def status(self) -> Message:
        """Whether all is well."""
        return status_message(await self._feed.health())

    async def pause(self, person: Person, why: str) -> Message:
        """Stop everything that would run on its own; only for who may decide. The channel is told."""
        if (refused := await self._refusal(person)) is not None:
            return refused
        asked = Pause(
            person.user_id, self._services.clock(), _BECAUSE.sub("", " ".join(why.split()))[:_LONGEST]
        )
        store, notice = self._services.store, _notice(paused_message(asked))
        made = await store.do(pause, by=asked.by, why=asked.why, at=asked.at, notice=notice)
        self._told()
        before = said(await store.do(paused))
        return paused_message(before or asked, already=not made)

    async def resume(self, person: Person) -> Message:
        """Let what is trusted run on its own again; only for who may decide. The channel is told."""
        if (refused := await self._refusal(person)) is not None:
            return refused
        by = person.user_id

        def notice(before: Paused) -> Mapping[str, Any]:
            return _notice(resumed_message(by, Pause(before.by, before.at, before.why)))

        before = await self._services.store.do(resume, by=by, at=self._services.clock(), notice=notice)
        self._told()
        return resumed_message(by, Pause(before.by, before.at, before.why)) if before else nothing_to_resume()

    async def outsider(self, person: Person) -> Message | None:
        """Why somebody may look at nothing here; None for everybody who works here."""
        reason = await self._services.authority.outsider(person.user_id, person.team_id, "look at this")
        return (
            None if reason is None else refused_message(escape(f"{reason} /polar help works for everybody."))
        )

    async def _refusal(self, person: Person) -> Message | None:
        authority = self._services.authority
        reason = await authority.refusal(person.user_id, person.team_id)
        if reason is None:
            return None
        return refused_message(ephemeral.refusal(reason, await authority.describe()))

    def _told(self) -> None:
        self._services.notify(Queue.OUTBOX, Queue.HOME)


def read_history(typed: str, rules: Mapping[str, object]) -> Looked:
    """What somebody typed after `/polar history`: a mention, an address, `rule NAME`, a customer's id."""
    text = " ".join(typed.split())[:_LONGEST]
    if (user := _USER.match(text)) is not None:
        return Looked("person", user[1], "")
    mail = _MAIL.search(text)
    kind, _, rest = text.partition(" ")
    value = mail[1] if mail else rest.strip() if kind in ("rule", "customer") and rest else text
    if not value:
        return Looked("", "", "")
    if kind == "rule" and rest:
        return Looked("rule", value, f"rule {value}")
    if "@" in value:
        return Looked("customer", value.lower(), value.lower())
    if value in rules:
        return Looked("rule", value, f"rule {value}")
    return Looked("customer_id", value, f"customer {value}")


def _notice(message: Message) -> dict[str, Any]:
    return {"text": message.text, "blocks": list(message.blocks)}
