"""The straight line without Slack: events go in, proposals come out, an approval makes the calls at a stand-in.

async with line(folder) as line:
    line.tell("order.paid", "orders", order)     # as the stand-in's shop would
    await line.deliver()                         # stored and put before the rules
    (proposal,) = await line.proposals()
    proposal = await line.approve(proposal)      # decided by MAYA and carried out
"""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from bot.demo.polar.shop import Row, Told
from bot.demo.polar.traffic import Received
from bot.demo.polar.wire import wire
from bot.pipeline import delayed, execute, learn, poll, propose
from bot.rules import load_rules
from bot.services import Services
from bot.slack.client import SlackNoAnswer
from polar.client import PolarClient
from store import Store, open_store
from store.events.events import get_event
from store.events.rule_matches import keep_rules
from store.models import Decision, NewEvent, Proposal, ProposalState, StoredEvent, Verdict
from store.proposals.decisions import decide
from store.proposals.proposals import all_proposals, get_proposal
from store.schema import rule_matches, subjects
from tests.polar_fixture import Polar, running

MAYA = "U0MAYA"
START = datetime(2026, 11, 21, 9, tzinfo=UTC)


class Clock:
    """A time that moves a millisecond whenever somebody looks, and further when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def advance(self, **time: float) -> None:
        self.now += timedelta(**time)


class Whispers:
    """Where Slack would be: keeps what single people were told, and knows no way to tell a channel."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.down = False

    async def whisper(self, channel: str, user: str, text: str, thread_ts: str | None = None) -> None:
        if self.down:
            raise SlackNoAnswer
        self.told.append((user, text))


class Line:
    """See the module."""

    def __init__(self, services: Services, polar: Polar, clock: Clock, whispers: Whispers) -> None:
        self.services, self.store, self.polar, self.clock = services, services.store, polar, clock
        self.shop, self.whispers = polar.shop, whispers
        self._numbers = count(1)

    # --- Polar's side

    def tell(self, type_: str, table: str, row: Row) -> None:
        """Polar tells of a row of the shop."""
        self.shop.tell(type_, wire(self.shop, table, row))

    def seen(self) -> list[Told]:
        """What the shop told since the last look."""
        told, _ = self.shop.take()
        return told

    def echoes(self) -> list[Told]:
        """What the stand-in told because of our own writes."""
        return [each.told for each in self.polar.standin.webhooks.newest]

    @property
    def writes(self) -> list[Received]:
        return [each for each in self.polar.standin.requests if each.method != "GET"]

    def sent(self) -> list[tuple[str, str, Any]]:
        """Every write that arrived: operation, path, body."""
        return [(each.operation, each.path, each.body) for each in self.writes]

    # --- our side

    async def deliver(self, told: Iterable[Told] | None = None) -> list[str]:
        """Store events (by default what the shop told) one after the other, and put them before the rules."""
        ids = []
        for each in self.seen() if told is None else told:
            id_, now = f"msg_{next(self._numbers)}", self.clock()
            await self.store.record(NewEvent(id_, each.type, each.payload, "", sent_at=now, received_at=now))
            await self.work()
            ids.append(id_)
        return ids

    async def work(self) -> None:
        """Let every step up to the card do what is due."""
        while claimed := await propose.claim(self.services, 10):
            for one in claimed:
                await propose.propose(self.services, one)
        while waited := await delayed.claim(self.services, 10):
            for one in waited:
                await delayed.ask_again(self.services, one)

    async def assess(self) -> None:
        """Learn from what was decided."""
        await learn.claim(self.services, 1)

    async def later(self, **time: float) -> None:
        """Let time pass, then do what is due."""
        self.clock.advance(**time)
        await self.work()

    async def poll(self) -> None:
        """Let the next look be due; look up what has no webhook until nothing more is."""
        await poll.claim(self.services, 2)  # a new program waits a minute before its first look
        self.clock.advance(minutes=11)
        while feeds := await poll.claim(self.services, 2):
            for feed in feeds:
                await poll.poll(self.services, feed)
        await self.work()

    async def proposals(self) -> list[Proposal]:
        return await self.store.do(_all)

    async def rules(self) -> list[str]:
        return [str(each.rule) for each in await self.proposals()]

    async def only(self, rule: str) -> Proposal:
        """The one proposal there is of a rule."""
        (found,) = [each for each in await self.proposals() if each.rule == rule]
        return found

    async def approve(self, proposal: Proposal, by: str = MAYA) -> Proposal:
        """Approve, and carry out; the proposal as it then is."""
        decision = Decision(proposal.id, by, Verdict.APPROVE, "button", self.clock())
        won, _ = await self.store.do(decide, decision)
        assert won
        return await self.carry_out(proposal)

    async def carry_out(self, proposal: Proposal) -> Proposal:
        for claimed in await execute.claim(self.services, 10):
            await execute.execute(self.services, claimed)
        found = await self.store.do(get_proposal, proposal.id)
        assert found is not None
        return found

    async def event(self, id_: str) -> StoredEvent:
        found = await self.store.do(get_event, id_)
        assert found is not None
        return found

    async def outcome(self) -> tuple[dict[str, Any], set[tuple[str, str]]]:
        """The final states of all subjects, and the (rule, business change) of all proposals."""
        return await self.store.do(_outcome)


def done(proposal: Proposal) -> bool:
    """Whether it succeeded without a word of doubt."""
    return proposal.state == ProposalState.SUCCEEDED and proposal.note is None


def _all(connection: Connection) -> list[Proposal]:
    return list(all_proposals(connection))


def _outcome(connection: Connection) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    states = {row.subject: (row.occurred_at, row.state) for row in connection.execute(select(subjects))}
    spoken = {
        (row.rule, row.fact_key)
        for row in connection.execute(select(rule_matches).where(rule_matches.c.state == "proposed"))
    }
    return states, spoken


@asynccontextmanager
async def line(folder: Path, name: str = "line", *, url: str | None = None) -> AsyncIterator[Line]:
    """A fresh stand-in, an empty database in `folder` (or the one at `url`), the rules that ship."""
    clock, whispers, rules = Clock(), Whispers(), load_rules()
    async with (
        running(clock=clock) as polar,
        open_store(url or f"sqlite+aiosqlite:///{folder / name}.db") as store,
        PolarClient(polar.standin.token, str(polar.client.base_url), per_minute=600_000) as client,
    ):
        polar.standin.connect("http://127.0.0.1:9/polar/webhooks")
        polar.standin.webhooks.receiver = None
        await store.do(keep_rules, {rule.version: (rule.name, rule.source) for rule in rules.rules}, START)
        parts = Services(
            store=store,
            polar=client,
            slack=whispers,  # type: ignore[arg-type]  # a fake: only `whisper` is used
            rules=rules,
            authority=None,  # type: ignore[arg-type]  # nothing is announced
            channel="C0CARDS",
            clock=clock,
            wake=lambda lane: None,
        )
        polar.shop.take()
        yield Line(parts, polar, clock, whispers)


async def everything_stored(store: Store) -> str:
    """Every row of every table as one text, to look for what must not be in it."""
    return await store.do(_dump)


def _dump(connection: Connection) -> str:
    from store.schema import metadata

    rows = [
        dict(row._mapping) for table in metadata.sorted_tables for row in connection.execute(select(table))
    ]
    return json.dumps(rows, default=str)
