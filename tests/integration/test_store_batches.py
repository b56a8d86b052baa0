"""Many events concluded in one transaction: what comes of them is what comes of one after the other."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select, update

from bot.config.policy import Caps, Policy, Trust
from bot.demo.polar import stock
from bot.demo.polar.orders import tell_order
from bot.demo.polar.shop import Row, Told
from bot.graduation.gate import Gate
from bot.pipeline import propose
from bot.pipeline.learn import Assessor
from bot.services import Queue
from store import Store, open_store
from store.audit_log.log import Entry, append, append_all, head
from store.audit_log.verify import verify
from store.engine.engines import in_process_engine, make_engine
from store.events.conclusions import Conclusion, conclude_events, surroundings
from store.events.events import claim_events, insert_events, keep_rules, keep_subject_states
from store.graduation.admission import insert_with_policy
from store.graduation.case_kinds import change, note_human
from store.models import (
    CaseKindState,
    EventState,
    Mode,
    NewEvent,
    NewProposal,
    RuleMatch,
    RuleMatchState,
    RuleResult,
    SubjectState,
)
from store.models.reasons import Reason, ReasonCode
from store.schema import events, metadata, proposals, rule_matches
from store.schema.graduation import case_kinds
from tests.fixtures.case_kinds import all_case_kinds
from tests.fixtures.graduation import AMOUNTS, CAPS, POLICY, busy, case, fix_draw, fixed_salt
from tests.fixtures.line import Line, line
from tests.fixtures.statements import statements
from tests.integration.test_graduation_machine import ON

NOW = datetime.fromisoformat("2026-11-21T12:00:00+00:00")
WHY = Reason(ReasonCode.NOTHING_PROPOSED)
ONCE_A_WEEK = Policy(caps=CAPS, graduation=Trust(opt_in=("refunds:create",), ask_first_of_week=True))
PLENTY = Policy(caps=Caps(customer_count=999, case_kind_count=999, day_count=999))
# What an event may tell of its customer's order, refund or dispute.
TOLD = {
    "order": ("paid", "refunded", "pending"),
    "refund": ("succeeded", "failed"),
    "dispute": ("needs_response", "won"),
}


@dataclass(frozen=True)
class Came:
    """One event: the case that a rule makes of it, and what it tells."""

    kind: str = "invoice"
    who: int = 1
    amount: int = AMOUNTS[0]
    after: float = 1.0  # seconds since the one before
    told: tuple[str, str, int] = ("order", "paid", 1)
    same_change: bool = False  # it tells of the change of the first event: of another endpoint


_STATES = [(kind, status) for kind, words in TOLD.items() for status in words]
_CAME = st.builds(
    Came,
    kind=st.sampled_from(["invoice", "invoice", "refund", "lost seat"]),
    who=st.integers(1, 3),
    amount=st.sampled_from([*AMOUNTS, 2_500]),
    after=st.sampled_from([0.0, 1.0, 1.0, 5.0, -4_000.0, 4_000.0, 86_400.0, 200 * 86_400.0]),
    told=st.builds(lambda one, number: (*one, number), st.sampled_from(_STATES), st.integers(1, 3)),
    same_change=st.sampled_from([False, False, False, True]),
)


def _conclusions(came: Sequence[Came], policy: Policy) -> list[Conclusion]:
    found, now = [], NOW
    for number, one in enumerate(came, 100):
        now += timedelta(seconds=one.after)
        proposal, event = case(one.kind, number, one.who, one.amount, now)
        if one.same_change and found:
            first = _proposal(found[0])
            proposal = replace(proposal, fact_key=first.fact_key, id=first.id)
        match = RuleMatch(
            proposal.fact_key, "a-rule", "v1", f"evt_{number}", RuleMatchState.PROPOSED, matched_at=now
        )
        kind, status, subject = one.told
        told = SubjectState(
            f"{kind}:{one.who}_{subject}", False, now, 0, {"status": status}, f"customer_{one.who}"
        )
        found.append(
            Conclusion(
                event_id=f"evt_{number}",
                token="t",
                now=now,
                state=EventState.DONE,
                reason=WHY,
                evaluator=Gate(policy, event, "production"),
                results=[RuleResult(match, proposal)],
                subject_state=told,
            )
        )
    return found


def _prepare(connection: Connection) -> None:
    """A busy shop in which every kind of case runs on its own, and so many claimed events."""
    fix_draw(connection)
    keep_rules(connection, {"v1": ("a-rule", {})}, NOW)
    insert_events(
        connection, [NewEvent(f"evt_{n}", "order.paid", b"%d" % n, "", NOW, NOW) for n in range(200)]
    )
    earlier = NOW - timedelta(days=8)
    cases = [_case_before(connection, number, earlier) for number in range(12)]
    orders = [SubjectState(f"order:{who}_9", False, earlier, 0, {"status": "paid"}) for who in (1, 2, 3)]
    keep_subject_states(
        connection,
        [("evt_0", replace(one, customer_id=f"customer_{who}")) for who, one in enumerate(orders, 1)],
    )
    cases += [_case_before(connection, number, earlier) for number in range(12, 24)]
    connection.execute(update(case_kinds).values(approved_values=Assessor(POLICY).learn(cases)))
    busy(connection, NOW)
    for one in all_case_kinds(connection):
        change(connection, one.hash, ON, actor="U1", at=earlier)
    note_human(connection, "U1", NOW + timedelta(seconds=2))  # by a clock that ran ahead
    claim_events(connection, token="t", now=NOW, until=NOW + timedelta(minutes=5), limit=200)


def _case_before(connection: Connection, number: int, at: datetime) -> NewProposal:
    kind, amount = ("invoice", "refund")[number % 2], AMOUNTS[number // 2 % 2]
    proposal, event = case(kind, number, number // 4 % 3 + 1, amount, at)
    insert_with_policy(connection, proposal, Gate(POLICY, event, "production"))
    return proposal


@pytest.fixture(scope="module")
def shop() -> Iterator[Engine]:
    """A prepared database; whoever writes to it rolls back."""
    with tempfile.TemporaryDirectory() as folder:
        engine = in_process_engine(make_engine(f"sqlite+aiosqlite:///{folder}/shop.db"))
        with engine.begin() as connection:
            metadata.create_all(connection)
            _prepare(connection)
        yield engine
        engine.dispose()


def _outcome(shop: Engine, batches: Sequence[Sequence[Conclusion]]) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table after these batches."""
    with shop.connect() as connection, fixed_salt():
        for batch in batches:
            assert all(one.held for one in conclude_events(connection, batch))
        assert verify(connection).problems == ()
        rows = {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
        }
        connection.rollback()
    return rows


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.lists(_CAME, min_size=2, max_size=12), st.sampled_from([POLICY, ONCE_A_WEEK]))
@example([Came()] * 9, POLICY)  # a cap is reached, and reached again: the kind is paused
@example([Came(who=n % 3 + 1) for n in range(9)], ONCE_A_WEEK)
@example([Came(told=("dispute", "needs_response", 1)), Came(), Came(told=("refund", "succeeded", 1))], POLICY)
@example([Came(after=0.0), Came(after=-4_000.0), Came(after=200 * 86_400.0), Came()], POLICY)
def test_a_batch_leaves_what_one_after_the_other_leaves(
    shop: Engine, came: Sequence[Came], policy: Policy
) -> None:
    conclusions = _conclusions(came, policy)

    together = _outcome(shop, [conclusions])
    apart = _outcome(shop, [[one] for one in conclusions])

    for name, rows in apart.items():
        assert together[name] == rows, name


def test_a_cap_holds_within_a_batch(shop: Engine) -> None:
    rows = _outcome(shop, [_conclusions([Came()] * 9, POLICY)])

    mode = [one.name for one in proposals.columns].index("mode")
    new = Counter(row[mode] for row in rows["proposals"] if int(row[0][1:]) >= 100)
    assert 0 < new[Mode.AUTO] <= CAPS.case_kind_count
    states = {row[[one.name for one in case_kinds.columns].index("state")] for row in rows["case_kinds"]}
    assert CaseKindState.PAUSED in states


def test_what_many_events_cost_does_not_grow_with_their_number(shop: Engine) -> None:
    counts = []
    for many in (4, 32):
        came = [Came(who=number % 3 + 1, told=("order", "paid", number)) for number in range(many)]
        with shop.connect() as connection, statements() as found:
            conclude_events(connection, _conclusions(came, PLENTY))
        counts.append(len(found))

    assert counts[0] == counts[1]


# --- through the line


async def test_32_events_that_come_together_cost_at_most_two_statements_each(tmp_path: Path) -> None:
    async with line(tmp_path) as shop:
        await _stored(shop, [_paid(shop, number) for number in range(32)])

        with statements() as found:
            claimed = await propose.claim(shop.services, 32)
            await asyncio.gather(*(propose.propose(shop.services, one) for one in claimed))

        assert len(await shop.proposals()) == len(claimed) == 32
        assert len(found) <= 64, Counter(found).most_common(9)


def _paid(shop: Line, number: int) -> Told:
    buyer = stock.add_customer(shop.shop, "Ada", f"customer{number}@example.com")
    order = stock.add_order(shop.shop, buyer, shop.shop.get("products", shop.polar.order()["product_id"]))
    shop.seen()
    tell_order(shop.shop, "order.paid", order)
    (told,) = shop.seen()
    return told


async def _stored(shop: Line, told: Sequence[Told]) -> None:
    for number, each in enumerate(told):
        now = shop.clock()
        await shop.store.record(NewEvent(f"msg_{number}", each.type, each.payload, "", now, now))


async def test_an_event_that_was_claimed_with_its_predecessor_is_compared_with_it(tmp_path: Path) -> None:
    """Neither was known when the rules were asked of both: the later one is asked again."""
    async with line(tmp_path) as shop:
        subscription = stock.add_subscription(shop.shop, shop.polar.customer, shop.polar.monthly, seats=2)
        seat = _seat(shop, subscription)
        shop.seen()
        shop.tell("customer_seat.assigned", "customer-seats", seat)
        shop.clock.advance(seconds=1)
        shop.tell("customer_seat.revoked", "customer-seats", seat)
        await _stored(shop, shop.seen())
        woken: list[Queue] = []
        services = replace(shop.services, notify=lambda *queues: woken.extend(queues))

        claimed = await propose.claim(services, 9)
        await asyncio.gather(*(propose.propose(services, one) for one in claimed))

        assert len(claimed) == 2
        assert Queue.PROPOSE in woken
        (again,) = await propose.claim(services, 9)
        assert again.row.type == "customer_seat.revoked"
        await propose.propose(services, again)
        assert await propose.claim(services, 9) == []


class _Between:
    """A store that lets something happen once an event has been looked around for."""

    def __init__(self, store: Store, happens: Callable[[], Awaitable[None]]) -> None:
        self._store, self._happens = store, happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def do_together(self, query: Any, *given: Any) -> Any:
        found = await self._store.do_together(query, *given)
        if query is surroundings:
            await self._happens()
        return found


async def test_an_event_concluded_just_after_its_predecessor_is_compared_with_it(
    database_url: str, tmp_path: Path
) -> None:
    """Its predecessor was not known when the rules were asked, and is when their answer is to be kept."""
    async with line(tmp_path, url=database_url) as shop:
        subscription = stock.add_subscription(shop.shop, shop.polar.customer, shop.polar.monthly, seats=2)
        seat = _seat(shop, subscription)
        shop.seen()
        shop.tell("customer_seat.assigned", "customer-seats", seat)
        shop.clock.advance(seconds=1)
        shop.tell("customer_seat.revoked", "customer-seats", seat)
        await _stored(shop, shop.seen())
        first, later = await propose.claim(shop.services, 9)
        woken: list[Queue] = []
        between: Any = _Between(shop.store, partial(propose.propose, shop.services, first))
        services = replace(shop.services, store=between, notify=lambda *queues: woken.extend(queues))

        await propose.propose(services, later)

        assert woken == [Queue.PROPOSE]
        (again,) = await propose.claim(shop.services, 9)
        assert again.row.id == later.row.id
        await propose.propose(shop.services, again)
        assert await propose.claim(shop.services, 9) == []
        matched = select(rule_matches.c.rule).where(rule_matches.c.event_id == later.row.id)
        assert await shop.store.do(lambda c: c.execute(matched).scalars().all()) == ["restore-seat"]


def _seat(shop: Line, subscription: Row) -> Row:
    member = next(shop.shop.rows("members", customer_id=shop.polar.customer["id"]))
    return shop.shop.add(
        "customer-seats", subscription_id=subscription["id"], order_id=None, status="pending",
        member_id=member["id"], customer_id=shop.polar.customer["id"], email="jane@example.com",
        customer_email="jane@example.com", invitation_token_expires_at=shop.shop.now(hours=24),
        claimed_at=None, revoked_at=None, seat_metadata={},
    )  # fmt: skip


# --- leases


async def test_nothing_is_kept_of_an_event_whose_lease_was_lost(store: Store) -> None:
    await store.do(_prepare)
    held, lost = _conclusions([Came(), Came(who=2)], POLICY)

    concluded = await store.do(conclude_events, [held, replace(lost, token="another")])

    assert [one.held for one in concluded] == [True, False]
    states = await store.do(lambda c: {row.id: row.state for row in c.execute(select(events))})
    assert (states[held.event_id], states[lost.event_id]) == (EventState.DONE, EventState.NEW)
    ids = await store.do(lambda c: set(c.execute(select(proposals.c.id)).scalars()))
    assert _proposal(held).id in ids
    assert _proposal(lost).id not in ids


def _proposal(conclusion: Conclusion) -> NewProposal:
    made = conclusion.results[0].proposal
    assert made is not None
    return made


# --- the log


async def test_rows_added_together_are_those_added_one_by_one(tmp_path: Path) -> None:
    entries = [
        Entry("test", None if n % 2 else f"p{n}", {"number": n}, NOW + timedelta(seconds=n)) for n in range(5)
    ]
    heads = []
    for name in ("together", "apart"):
        async with open_store(f"sqlite+aiosqlite:///{tmp_path / name}.db") as store:
            if name == "together":
                with statements() as found:
                    await store.do(append_all, entries)
                assert len([one for one in found if "BEGIN" not in one]) <= 5  # the first row makes the head
            else:
                for one in entries:
                    await store.do(append, one.kind, one.subject, one.body, one.at)
            heads.append(await store.do(head))
            assert (await store.do(verify)).problems == ()
    assert heads[0] == heads[1]
