"""The gate over a long history: a million decided cases stored, and what one more costs."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, update

from bot.config.policy import Caps, Policy
from bot.graduation.case_kind import case_kind_of
from bot.graduation.gate import Gate
from bot.pipeline.learn import Assessor
from polar.events import Event
from store import open_store
from store.events.events import insert_events, keep_rules
from store.graduation.case_kinds import change, note_case_kind
from store.graduation.gate import evaluate, insert_with_policy, note_human
from store.graduation.reducer import TrustChange, day, of_customer
from store.models import CaseKindState, Mode, NewEvent, NewProposal, PlannedCall, ProposalState, Verdict
from store.models.graduation import Past
from store.models.reasons import ChangeCause, ChangeCode, LabelReason
from store.schema import decisions, proposals, subjects
from store.schema.graduation import cap_usage, case_kinds, case_labels
from tests.bench.report import Row, at_most, milliseconds

DECISIONS = 1_000_000
_CUSTOMERS, _CHUNK, _ASKED = 20_000, 20_000, 2_000
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


async def gate(rounds: int) -> list[Row]:
    """Stores the history once, then lets two thousand cases through the gate, each in its own transaction."""
    folder = Path(tempfile.mkdtemp(prefix="gate-"))
    try:
        async with open_store(f"sqlite+aiosqlite:///{folder / 'gate.db'}") as store:
            await store.do(_prepare)
            for start in range(0, DECISIONS, _CHUNK):
                await store.do(_fill, start)
            judge, took = Gate(_POLICY, _EVENT, "production"), []
            for number in range(DECISIONS, DECISIONS + _ASKED * rounds):
                took.append(await store.do(_timed, _case(number), judge))
    finally:
        shutil.rmtree(folder)
    return [
        Row("decisions stored", DECISIONS, ""),
        Row("the gate's reads and judgement, p50", milliseconds((one[0] for one in took), 0.5), "ms"),
        at_most("the gate's reads and judgement, p99", milliseconds((one[0] for one in took), 0.99), "ms", 5),
        Row("    of which the processor's, p99", milliseconds((one[1] for one in took), 0.99), "ms"),
        Row("judged, stored, counted and logged, p50", milliseconds((one[2] for one in took), 0.5), "ms"),
        Row("judged, stored, counted and logged, p99", milliseconds((one[2] for one in took), 0.99), "ms"),
    ]


def _timed(connection: Connection, proposal: NewProposal, judge: Gate) -> tuple[float, float, float]:
    """Seconds for the gate alone (its reads and judgement), the processor's part of them, and with all writes."""
    begun, busy = time.perf_counter(), time.thread_time()
    _, said = evaluate(connection, proposal, judge)
    busy, judged = time.thread_time() - busy, time.perf_counter()
    insert_with_policy(connection, proposal, judge)
    stored = time.perf_counter()
    assert said.mode in (Mode.AUTO, Mode.SPOT_CHECK), said.gate["reason"]
    return judged - begun, busy, stored - judged


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
    known = Assessor(_POLICY).learn([_case(0).calls])
    counted = {"cases": DECISIONS, "rejections": 0, "approved_values": known}
    connection.execute(update(case_kinds).where(case_kinds.c.hash == made.hash).values(counted))


def _fill(connection: Connection, start: int) -> None:
    made = case_kind_of(_case(0), _EVENT, Past(orders=2), environment="production").hash
    numbers = range(start, start + _CHUNK)
    connection.execute(insert(proposals), list(_proposals(numbers, made)))
    connection.execute(insert(decisions), list(_decisions(numbers)))
    connection.execute(insert(case_labels), list(_labels(numbers, made)))
    if start < _CUSTOMERS * 4:
        connection.execute(insert(subjects), list(_subjects(numbers)))
    if start < _CUSTOMERS:
        connection.execute(insert(cap_usage), list(_spent(numbers)))


def _at(number: int) -> datetime:
    return _NOW + _APART * (number - DECISIONS)


def _spent(numbers: range) -> Iterator[dict[str, Any]]:
    """A month in which each customer had a case every third day."""
    for number in numbers:
        for back in range(0, 30, 3):
            yield {
                "scope": of_customer(_customer(number)), "day": day(_NOW - timedelta(days=back)), "currency": "",
                "count": 1, "amount": 0,
            }  # fmt: skip


def _proposals(numbers: range, case_kind: str) -> Iterator[dict[str, Any]]:
    for number in numbers:
        case, at = _case(number), _at(number)
        row = {name: getattr(case, name) for name in NewProposal.__slots__ if name != "calls"}
        row |= {"reasons": [], "facts": [], "state": ProposalState.SUCCEEDED, "due_at": at, "card_due_at": at}
        row |= {
            "created_at": at,
            "decided_at": at,
            "decided_by": "U1",
            "rendered_version": 1,
            "mode": Mode.ASKED,
            "case_kind": case_kind,
        }
        yield row


def _decisions(numbers: range) -> Iterator[dict[str, Any]]:
    for number in numbers:
        yield {
            "proposal_id": f"p{number}", "actor": "U1", "verdict": Verdict.APPROVE, "via": "button", "at": _at(number),
        }  # fmt: skip


def _labels(numbers: range, case_kind: str) -> Iterator[dict[str, Any]]:
    for number in numbers:
        at = _at(number)
        yield {
            "proposal_id": f"p{number}", "case_kind": case_kind, "generation": 0, "is_rejection": 0, "is_counted": 1,
            "reason_code": LabelReason.APPROVED,
            "decided_at": at, "matures_at": at + timedelta(days=7),
        }  # fmt: skip


def _subjects(numbers: range) -> Iterator[dict[str, Any]]:
    for number in numbers:
        yield {
            "subject": f"order:{number}", "terminal": 0, "occurred_at": _at(number), "rank": 0, "event_id": "evt",
            "state": {"status": "paid"}, "customer_id": _customer(number),
        }  # fmt: skip
