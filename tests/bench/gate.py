"""The gate and learning over a long history: a million decided cases of one kind, and what one more costs."""

import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, update

from bot.config.policy import Caps, Policy
from bot.graduation.case_kind import case_kind_of
from bot.graduation.gate import Gate
from bot.pipeline.learn import Assessor
from polar.events import Event
from store import Store, open_store
from store.events.events import insert_events, keep_rules
from store.graduation.admission import evaluate, insert_with_policy
from store.graduation.case_kinds import change, note_case_kind, note_human
from store.graduation.learn import assess
from store.graduation.reducer import TrustChange, day, of_customer
from store.models import (
    CaseKindState,
    Decision,
    Mode,
    NewEvent,
    NewProposal,
    PlannedCall,
    ProposalState,
    Verdict,
)
from store.models.graduation import Past
from store.models.reasons import ChangeCause, ChangeCode, LabelReason
from store.proposals.decisions import decide
from store.proposals.proposals import insert_proposal
from store.schema import decisions, proposals, subjects
from store.schema.graduation import cap_usage, case_kinds, case_labels
from tests.bench.filling import Filling, fill
from tests.bench.report import Row, at_most, milliseconds
from tests.bench.yardstick import Yardstick

DECISIONS = 1_000_000
_CUSTOMERS, _SUBJECTS, _ASKED, _LEARNT = 20_000, 80_000, 1_000, 30
_LONG_ENOUGH = 10.0  # seconds of learning: were it slow, thirty would take minutes
_APART = timedelta(
    seconds=14
)  # a million in half a year: 257 an hour, so two thousand more are no unusual volume
_PLENTY = 10**9  # no cap is reached: what is measured is the gate of a kind that runs
_POLICY = Policy(caps=Caps(customer_count=_PLENTY, case_kind_count=_PLENTY, day_count=_PLENTY))
_NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
_EVENT = Event(
    type="order.paid",
    timestamp=_NOW,
    raw={"type": "order.paid", "data": {"id": "o", "billing_reason": "purchase", "product_id": "pro"}},
)


async def gate(yardstick: Yardstick, rounds: int) -> AsyncGenerator[Row]:
    """Stores the history once, then lets cases through the gate, each in its own transaction, and has some
    of them decided and learnt from.
    """
    del yardstick  # a commit alone is in the report already
    with tempfile.TemporaryDirectory(prefix="polar-approvals-bench-") as folder:
        path, begun = Path(folder) / "gate.db", time.perf_counter()
        async with open_store(f"sqlite+aiosqlite:///{path}") as store:
            await store.do(_prepare)
        await fill(path, _past)
        yield Row(f"{DECISIONS:,} decisions of one kind: filled", time.perf_counter() - begun, "s")
        async with open_store(f"sqlite+aiosqlite:///{path}") as store:
            judge, took, asked = Gate(_POLICY, _EVENT, "production"), [], []
            for number in range(DECISIONS, DECISIONS + _ASKED * rounds):
                took.append(await store.do(_timed, _case(number), judge))
                asked += [number] if took[-1].mode is Mode.SPOT_CHECK else []
            for row in _rows(took):
                yield row
            learnt = await _learn(store, asked[:_LEARNT])
        name = f"learning from one of {DECISIONS:,} labels"
        yield at_most(f"{name}, p50", milliseconds(learnt, 0.5), "ms", 5)
        yield Row("    the longest", max(learnt) * 1_000, "ms")


def _rows(took: list["_Judged"]) -> Iterator[Row]:
    judged, busy = [one.judged for one in took], [one.busy for one in took]
    yield Row("the gate's reads and judgement, p50", milliseconds(judged, 0.5), "ms")
    yield at_most("the gate's reads and judgement, p99", milliseconds(judged, 0.99), "ms", 5)
    yield Row("    of which the processor's, p99", milliseconds(busy, 0.99), "ms")
    for share in (0.5, 0.99):
        name = f"judged, stored, counted and logged, p{share * 100:.0f}"
        yield Row(name, milliseconds((one.stored for one in took), share), "ms")


async def _learn(store: Store, asked: list[int]) -> list[float]:
    """Seconds of each step that learns from one approved case; what came before it is learnt first."""
    assessor, now = Assessor(_POLICY), _at(DECISIONS + 10 * _ASKED)
    while (await store.do(assess, assessor, now)).more:
        pass
    took: list[float] = []
    while asked and sum(took) < _LONG_ENOUGH:
        number = asked.pop()
        at = now = now + _APART
        approved = Decision(f"p{number}", "U1", Verdict.APPROVE, "button", at, shown_at=at - _APART)
        counts, _ = await store.do(decide, approved)
        assert counts
        begun = time.perf_counter()
        await store.do(assess, assessor, now)
        took.append(time.perf_counter() - begun)
    return took


@dataclass(frozen=True, slots=True)
class _Judged:
    """Seconds for the gate's reads and judgement, the processor's part of them, and all that is written."""

    judged: float
    busy: float
    stored: float
    mode: Mode


def _timed(connection: Connection, proposal: NewProposal, judge: Gate) -> _Judged:
    begun, busy = time.perf_counter(), time.thread_time()
    _, said = evaluate(connection, proposal, judge)
    busy, judged = time.thread_time() - busy, time.perf_counter()
    insert_with_policy(connection, proposal, judge)
    stored = time.perf_counter()
    assert said.mode in (Mode.AUTO, Mode.SPOT_CHECK), said.gate["reason"]
    return _Judged(judged - begun, busy, stored - judged, said.mode)


def _customer(number: int) -> str:
    return f"customer_{number % _CUSTOMERS}"


def _case(number: int) -> NewProposal:
    return NewProposal(
        id=f"p{number}",
        fact_key=f"order.paid|{number}",
        event_id="evt",
        rule="generate-invoice",
        rule_version="v1",
        subject=f"order:{number}",
        title="Generate the invoice?",
        reasons=("The order is paid",),
        facts=(("Customer", "Ada"),),
        risk="R1",
        always_asks=None,
        calls=(PlannedCall("orders:generate_invoice", path={"id": f"order_{number}"}),),
        created_at=_at(number),
        amount=2_900,
        currency="usd",
        customer_id=_customer(number),
    )


def _prepare(connection: Connection) -> None:
    """A kind of case that runs on its own, half a year of its hours, and a person who is there."""
    event = NewEvent("evt", "order.paid", b"{}", "", sent_at=_NOW, received_at=_NOW)
    insert_events(connection, [event])
    keep_rules(connection, {"v1": ("generate-invoice", {})}, _NOW)
    made = case_kind_of(_case(0), _EVENT, Past(orders=2), environment="production")
    begun = _NOW - timedelta(days=170)
    note_case_kind(connection, made, begun)
    cause = ChangeCause.of(ChangeCode.TURNED_ON, by="bench", again=False, manual_override=True)
    on = TrustChange(CaseKindState.GRADUATED, cause, manual_override=True)
    change(connection, made.hash, on, actor="U1", at=begun)
    note_human(connection, "U1", _NOW)
    hours = [f"{begun + timedelta(hours=n):%Y-%m-%dT%H}" for n in range(170 * 24)]
    rows = [
        {"scope": f"cases:{made.hash}", "day": hour, "currency": "", "count": 245, "amount": 0}
        for hour in hours
    ]
    connection.execute(insert(cap_usage), rows)
    known = Assessor(_POLICY).learn([_case(number) for number in range(20)])
    counted = {"cases": DECISIONS, "rejections": 0, "approved_values": known}
    connection.execute(update(case_kinds).where(case_kinds.c.hash == made.hash).values(counted))
    _first_case(connection, made.hash)
    connection.execute(insert(cap_usage), list(_spent()))


def _first_case(connection: Connection, case_kind: str) -> None:
    """One decided case with all of its rows, which are copied."""
    case, at = _case(0), _at(0)
    insert_proposal(connection, case)
    decided = {"state": ProposalState.SUCCEEDED, "decided_at": at, "decided_by": "U1", "case_kind": case_kind}
    shown = {"rendered_version": 1, "first_shown_at": at - _APART}
    connection.execute(update(proposals).values(decided | shown))
    connection.execute(
        insert(decisions).values(
            proposal_id=case.id,
            actor="U1",
            verdict=Verdict.APPROVE,
            via="button",
            at=at,
            shown_at=at - _APART,
        )
    )
    counted = {"generation": 0, "is_rejection": 0, "is_counted": 1, "reason_code": LabelReason.APPROVED}
    counted |= {"customer_id": _customer(0), "in_score": 1, "is_learnt": 1}
    times = {"decided_at": at, "matures_at": at + timedelta(days=7)}
    connection.execute(
        insert(case_labels).values(proposal_id=case.id, case_kind=case_kind, **counted, **times)
    )
    connection.execute(
        insert(subjects).values(
            subject="order:0", terminal=0, occurred_at=at, rank=0, event_id="evt", state={"status": "paid"},
            customer_id=_customer(0),
        )
    )  # fmt: skip


def _spent() -> Iterator[dict[str, Any]]:
    """A month in which each customer had a case every third day."""
    days = [day(_NOW - timedelta(days=back)) for back in range(0, 30, 3)]
    for number in range(_CUSTOMERS):
        for one in days:
            yield {
                "scope": of_customer(_customer(number)),
                "day": one,
                "currency": "",
                "count": 1,
                "amount": 0,
            }


def _past(database: Filling) -> None:
    """The first case, a million times."""
    later = f"+ n * {_APART // timedelta(microseconds=1)}"
    customer, count = f"'customer_' || (n % {_CUSTOMERS})", DECISIONS - 1
    database.copies(
        "proposals",
        count,
        id="'p' || n",
        fact_key="'order.paid|' || n",
        subject="'order:' || n",
        customer_id=customer,
        **{column: f"{column} {later}" for column in ("created_at", "decided_at", "first_shown_at")},
    )
    database.copies("calls", count, proposal_id="'p' || n")
    database.copies("decisions", count, id="NULL", proposal_id="'p' || n", at=f"at {later}")
    times = {"decided_at": f"decided_at {later}", "matures_at": f"matures_at {later}"}
    database.copies("case_labels", count, proposal_id="'p' || n", customer_id=customer, **times)
    moment = f"occurred_at {later}"
    database.copies("subjects", _SUBJECTS, subject="'order:' || n", customer_id=customer, occurred_at=moment)


def _at(number: int) -> datetime:
    return _NOW + _APART * (number - DECISIONS)
