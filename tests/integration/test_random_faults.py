"""300 random faults on writes that create: each is made once, unless a person was shown it and asked for another.

A case is drawn from its number: a call, a fault of its request (dropped before or after it was done, slow, killed),
then what time, other replicas and hasty people do, who say Not done and Retry whatever Polar shows. On SQLite one
program is restarted, and its clock is set to and fro. On PostgreSQL two replicas go by the database's clock.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.approvals.followups import Followups
from bot.pipeline import execute, worker
from bot.proposals.call_results import examine
from bot.results import ON_THE_CARD
from bot.services import Services
from bot.ui.card import card, thread_line
from bot.ui.states import CardView
from polar.catalog import Call
from polar.client import ANSWER_WITHIN, PolarClient
from polar.errors import NoAnswer, NotSent
from polar.was_done import MARK, marked
from store import Store
from store.engine.leases import Held, expire_all_leases
from store.models import Decision, NewProposal, PlannedCall, Proposal, ProposalState, Verdict
from store.models.reasons import ReasonCode
from store.proposals.actions import Act, mark_done
from store.proposals.decisions import cancel_approved, decide
from store.proposals.execution import recover_stranded
from store.proposals.proposals import get_proposal, insert_proposal, trail
from tests.fixtures.line import Line, line
from tests.fixtures.store_beside import beside
from tests.integration.test_followups import ADA, Everybody

CASES, CHUNKS = 300, 6
FAULTS = (
    "",
    "500-before",
    "500-after",
    "drop-before",
    "drop-after",
    "not sent",
    "slow",
    "kill before",
    "kill after",
)
_ALWAYS = ("time", "clock", "recover", "look", "work")
# What leads further from a state.
_OFTEN = {
    ProposalState.APPROVED: ("time", "work", "work", "work", "person"),
    ProposalState.EXECUTING: ("time", "slow", "slow"),
    ProposalState.UNKNOWN: ("time", "person", "person", "person"),
    ProposalState.FAILED: ("person",) * 5,
}
_OUR_END = ("not sent", "slow", "kill before", "kill after")
_MOVES = (ProposalState.APPROVED, ProposalState.EXECUTING)
NOTHING = "Nothing was done"
TABLES = {
    "refunds:create": "refunds",
    "discounts:create": "discounts",
    "checkouts:create": "checkouts",
    "checkout-links:create": "checkout-links",
}


class Wire:
    """Polar's client of a replica, whose next write can be slow or the last thing that the process does."""

    def __init__(self, client: PolarClient) -> None:
        self._client, self.fault = client, ""
        self.go_on: asyncio.Event | None = None
        self.left = asyncio.Event()
        self.gave_up = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, call: Call) -> Any:
        fault, self.fault = self.fault, ""
        if fault == "kill before":
            raise asyncio.CancelledError
        if fault == "not sent":
            raise NotSent
        if fault == "slow":
            self.go_on, self.gave_up = asyncio.Event(), False
            self.left.set()
            await self.go_on.wait()
            if self.gave_up:
                raise NoAnswer
        answer = await self._client.send(call)
        if fault == "kill after":
            raise asyncio.CancelledError
        return answer


class Replica:
    """A program that works when it is told to."""

    def __init__(self, made: Services, store: Store) -> None:
        self.wire = Wire(made.polar)
        self.services = replace(
            made, store=store, polar=self.wire, authority=Everybody(), held=Held()  # type: ignore[arg-type]
        )  # fmt: skip
        self.followups = Followups(self.services)


class World:
    """One case: its replicas, its proposal, the request that is under way, and what people saw."""

    def __init__(self, made: Line, stores: list[Store], seed: int) -> None:
        self.made, self.random, self.id = made, random.Random(seed), f"case{seed}"  # noqa: S311 - it draws cases
        self.clock, self.shop = made.clock, made.shop
        self.replicas = [Replica(made.services, store) for store in stores]
        self.slow: tuple[Replica, asyncio.Task[Any], float] | None = None
        self.elapsed = 0.0  # seconds, by a clock that nobody sets
        self.asked_for_another = 0
        self.log: list[str] = []

    @property
    def alone(self) -> bool:
        return len(self.replicas) == 1

    # --- what is there

    def call(self) -> Call:
        order = self.made.polar.order()
        calls = [
            Call("refunds:create", {}, {}, {"order_id": order["id"], "reason": "other", "amount": 500}),
            Call("discounts:create", {}, {}, {"name": self.id, "type": "percentage", "duration": "once", "basis_points": 500}),
            Call("checkouts:create", {}, {}, {"products": [self.made.polar.product["id"]], "customer_id": self.made.polar.customer["id"]}),
            Call("checkout-links:create", {}, {}, {"payment_processor": "stripe", "products": [self.made.polar.product["id"]]}),
        ]  # fmt: skip
        return marked(self.random.choice(calls), self.id)

    def done(self) -> int:
        """How often Polar carried it out."""
        rows = [row for table in TABLES.values() for row in self.shop.rows(table)]
        return sum((row.get("metadata") or {}).get(MARK) == self.id for row in rows)

    async def now(self) -> Proposal:
        found = await self.replicas[0].services.store.read(get_proposal, self.id)
        assert found is not None
        return found

    async def looked_at(self) -> Proposal:
        """Nobody is told that nothing was done once something was, and it is done once."""
        found, done = await self.now(), self.done()
        changes = await self.replicas[0].services.store.read(trail, self.id)
        told = [str(card(found, CardView(now=self.clock.now)).blocks)]
        told += [str(line_) for change in changes[-1:] if (line_ := thread_line(found, change)) is not None]
        assert not done or not any(NOTHING in text for text in told), (self.log, told)
        assert done <= 1 + self.asked_for_another, self.log
        return found

    # --- what happens

    async def begin(self) -> None:
        call = self.call()
        made = NewProposal(
            self.id, self.id, None, None, None, None, "Do it?", (), (), "R2", None, (PlannedCall.of(call),),
            self.clock(), proposer="U0BOB",
        )  # fmt: skip
        store = self.replicas[0].services.store
        await store.do(insert_proposal, made)
        await store.do(decide, Decision(self.id, "U0MAYA", Verdict.APPROVE, "button", self.clock()))
        self.operation = call.operation
        await self.work(self.random.choice(FAULTS))

    async def work(self, fault: str = "") -> None:
        """A replica takes what is due and makes its call, which meets a fault."""
        one = self.random.choice(self.replicas)
        for claimed in await execute.claim(one.services, 9):
            self.log.append(f"executes, {fault or 'no fault'}")
            one.wire.fault = fault if fault in _OUR_END else ""
            if fault and not one.wire.fault:
                self.made.polar.standin.fail_next(fault, only=self.operation)
            task = asyncio.create_task(execute.execute(one.services, claimed))
            left = asyncio.create_task(one.wire.left.wait())
            await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
            left.cancel()
            if task.done() and task.cancelled():
                await self.restart(one)
            elif not task.done():
                self.slow = (one, task, self.elapsed)
            else:
                task.result()

    async def restart(self, one: Replica) -> None:
        """A replica was killed: a new one begins with what is stored."""
        self.log.append("is killed and begins anew")
        new = Replica(self.made.services, one.services.store)
        self.replicas[self.replicas.index(one)] = new
        if self.alone:
            await new.services.store.do(expire_all_leases)
            await new.services.store.do(recover_stranded, now=self.clock())

    async def end_slow(self, *, killed: bool = False, late: bool = False) -> None:
        if self.slow is None:
            return
        one, task, _ = self.slow
        self.slow = None
        self.log.append("the slow request " + ("is killed" if killed else "gives up" if late else "goes on"))
        if killed:
            task.cancel()
        assert one.wire.go_on is not None
        one.wire.gave_up = late
        one.wire.left = asyncio.Event()
        one.wire.go_on.set()
        await asyncio.gather(task, return_exceptions=True)
        if killed:
            await self.restart(one)

    async def elapse(self, seconds: float) -> None:
        """Time passes: a client waits for no answer longer than a minute."""
        if self.slow is not None and self.elapsed + seconds - self.slow[2] >= ANSWER_WITHIN:
            await self.end_slow(late=True)
        self.elapsed += seconds
        self.clock.advance(seconds=seconds)

    async def step(self) -> None:
        """One thing of all that may happen."""
        found = await self.now()
        happens = self.random.choice(_ALWAYS + _OFTEN.get(found.state, ()))
        one = self.random.choice(self.replicas)
        self.log.append(f"{found.state}: {happens}")
        match happens:
            case "time":
                await self.elapse(self.random.choice((1, 6, 25, 61, 700)))
            case "clock" if self.alone:
                self.clock.now += timedelta(seconds=self.random.choice((-7_200, -360, 360, 7_200)))
            case "recover":
                await worker.keep_held(one.services)
                await worker.recover(one.services)
            case "look":
                for claimed in await worker.claim_unknown_results(one.services, 9):
                    await examine(one.services, claimed)
            case "work" if self.slow is None:
                await self.work(self.random.choice(FAULTS))
            case "slow":
                await self.end_slow(killed=self.random.random() < 0.3)
            case "person":
                await self.person(one, found)

    async def person(self, one: Replica, found: Proposal) -> None:
        """Somebody in a hurry: says that it was not done without a look, and has it sent again."""
        match found.state:
            case ProposalState.UNKNOWN:
                press = self.random.choice((one.followups.check, one.followups.mark_not_done))
                self.log.append(str((await press(ADA, self.id)).status))
            case ProposalState.FAILED:
                shown = (
                    found.status_reason is not None and found.status_reason.code is ReasonCode.LIKE_IT_THERE
                )
                result = await one.followups.retry(ADA, self.id)
                self.asked_for_another += shown and result.status in ON_THE_CARD
                self.log.append(f"retry: {result.status}{' of what is shown' if shown else ''}")
            case ProposalState.APPROVED if self.random.random() < 0.2:
                act = {"actor": ADA.id, "at": self.clock()}
                await one.services.store.do(cancel_approved, self.id, **act)

    async def end(self) -> None:
        """Nothing more happens: it comes to rest, and is settled."""
        await self.end_slow()
        for _ in range(4):
            await self.elapse(700)
            for one in self.replicas:
                await worker.keep_held(one.services)
                await worker.recover(one.services)
            await self.work()
            await self.end_slow()
            if (await self.looked_at()).state not in _MOVES:
                break
        act = Act(self.id, ADA.id, "Settled.", self.clock())
        await self.replicas[0].services.store.do(mark_done, act)


async def lived_through(made: Line, stores: list[Store], seed: int) -> str:
    """One case from its beginning to its end; the state that it ends in."""
    case = World(made, stores, seed)
    await case.begin()
    await case.looked_at()
    for _ in range(case.random.randint(5, 16)):
        await case.step()
        await case.looked_at()
    await case.end()
    return str((await case.now()).state)


@pytest.fixture
async def made(tmp_path, database_url) -> AsyncIterator[tuple[Line, list[Store]]]:
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(line(tmp_path, url=database_url))
        stores = [here.store]
        if not here.store.sole_owner:
            stores.append(await stack.enter_async_context(beside(database_url)))
        yield here, stores


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_what_creates_is_made_once_whatever_goes_wrong(made, chunk):
    here, stores = made
    ends = [await lived_through(here, stores, seed) for seed in range(chunk, CASES, CHUNKS)]

    assert {"succeeded", "failed"} & set(ends)
