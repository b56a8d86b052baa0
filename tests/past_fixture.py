"""A past made with the store's own functions, without Slack or Polar: cases put, decided and learnt from.

async with past(folder) as made:
    id_ = await made.case(customer=3, amount=900)
    await made.says(id_, Verdict.APPROVE)
"""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from bot.config.policy import Policy
from bot.graduation.gate import Gate
from bot.graduation.replay import RESUMED_AFTER
from bot.pipeline.learn import Assessor
from bot.rules.load import version_of
from polar.events import Event
from store import Store, open_store
from store.events.events import insert_events
from store.events.rule_matches import keep_rules
from store.graduation.case_kinds import SECRET, all_case_kinds, change
from store.graduation.gate import put
from store.graduation.learn import assess
from store.graduation.outcomes import add_outcome
from store.graduation.past_cases import draw_secret
from store.models import (
    CaseKindState,
    Decision,
    Mode,
    NewEvent,
    NewProposal,
    OutcomeKind,
    PlannedCall,
    ProposalKind,
    ProposalState,
    Verdict,
)
from store.models.graduation import Outcome
from store.proposals.decisions import decide
from store.proposals.proposals import get_proposal
from store.schema import marks, proposals

MAYA = "U0MAYA"
RULE = {"name": "a-rule"}
VERSION = version_of(RULE)
START = datetime(2026, 5, 1, 9, tzinfo=UTC)
SECRET_BYTES = bytes.fromhex("17" * 32)
_BODY = b'{"type":"order.paid","data":{"id":"o","billing_reason":"purchase","product_id":"pro"}}'
EVENT = Event(
    type="order.paid",
    timestamp=START,
    raw={"type": "order.paid", "data": {"id": "o", "billing_reason": "purchase", "product_id": "pro"}},
)


class Past:
    """See the module."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self.store, self.policy, self.now = store, policy, START
        self._gate, self._number = Gate(policy, EVENT, "production"), 0

    async def case(self, customer: int, amount: int = 900, operation: str = "orders:generate_invoice") -> str:
        """One case comes; its id."""
        await self.learn()
        self._number += 1
        body = (
            {"amount": amount, "reason": "other", "order_id": "o"} if operation == "refunds:create" else None
        )
        id_ = (
            "p" + base64.b32encode(hashlib.sha256(f"{self._number}".encode()).digest()).decode().lower()[:12]
        )
        proposal = NewProposal(
            id=id_,
            fact_key=f"order.paid|{self._number}",
            event_id="evt",
            rule="a-rule",
            rule_version=VERSION,
            subject=f"order:{self._number}",
            title=f"Do it for customer {customer}?",
            because=("The order is paid",),
            facts=(("Customer", "Ada"),),
            risk="R2" if operation == "refunds:create" else "R1",
            always_asks=None,
            calls=(PlannedCall(operation, path={} if body else {"id": "o"}, body=body),),
            created_at=self.now,
            amount=amount,
            currency="usd",
            customer_id=f"c{customer}",
        )
        await self.store.do(put, proposal, self._gate)
        return id_

    async def says(self, id_: str, verdict: Verdict = Verdict.APPROVE, **more: Any) -> bool:
        """Maya decides a while after it was asked, if she is asked at all; whether she was."""
        found = await self.store.do(get_proposal, id_)
        assert found is not None
        if found.state != ProposalState.PENDING:
            return False
        self.now += timedelta(minutes=3)
        won, _ = await self.store.do(decide, Decision(id_, MAYA, verdict, "button", self.now, **more))
        await self.learn()
        return won

    async def comes(self, id_: str, kind: OutcomeKind) -> None:
        """Something later shows that it was not right."""
        self.now += timedelta(minutes=1)
        await self.store.do(add_outcome, Outcome(id_, kind, "an event", self.now), self.now)
        await self.learn()

    async def learn(self) -> None:
        """What follows from the log by now; every offer is accepted at once, every pause ends after a day."""
        await self.store.do(_turn_on_again, self.now)
        await self.store.do(assess, Assessor(self.policy), self.now)
        for id_ in await self.store.do(_offers):
            await self.store.do(decide, Decision(id_, MAYA, Verdict.APPROVE, "button", self.now))
            await self.store.do(assess, Assessor(self.policy), self.now)

    async def earn(self, operation: str = "orders:generate_invoice", cases: int = 42) -> None:
        """A kind of case earns its trust: yes after yes, of twelve customers, matured."""
        for number in range(cases):
            await self.says(await self.case(number % 12, 900, operation))
            self.now += timedelta(hours=1)
        self.now += timedelta(days=7, hours=6)
        await self.learn()

    async def modes(self) -> dict[str, Mode]:
        """How each case was judged, oldest first."""
        return await self.store.do(_modes)


def _offers(connection: Connection) -> list[str]:
    where = (proposals.c.kind == ProposalKind.GRADUATION, proposals.c.state == ProposalState.PENDING)
    return list(connection.execute(select(proposals.c.id).where(*where)).scalars())


def _turn_on_again(connection: Connection, now: datetime) -> None:
    for case_kind in all_case_kinds(connection):
        if (
            case_kind.state == CaseKindState.PAUSED
            and case_kind.changed_at
            and now >= case_kind.changed_at + RESUMED_AFTER
        ):
            change(connection, case_kind.hash, CaseKindState.GRADUATED, actor=MAYA, cause="again", at=now)


def _modes(connection: Connection) -> dict[str, Mode]:
    rows = connection.execute(
        select(proposals.c.id, proposals.c.mode)
        .where(proposals.c.kind == ProposalKind.CALLS)
        .order_by(proposals.c.created_at)
    )
    return {row.id: Mode(row.mode) for row in rows}


@asynccontextmanager
async def past(folder: Path, policy: Policy | None = None, *, name: str = "past") -> AsyncIterator[Past]:
    """An empty database in `folder`, or the past that lies there."""
    async with open_store(f"sqlite+aiosqlite:///{folder / name}.db") as store:
        if await store.do(draw_secret) is None:
            await store.do(_prepare)
        yield Past(store, policy or Policy())


def _prepare(connection: Connection) -> None:
    insert_events(connection, [NewEvent("evt", "order.paid", _BODY, "", sent_at=START, received_at=START)])
    keep_rules(connection, {VERSION: ("a-rule", RULE)}, START)
    connection.execute(marks.insert(), [{"name": SECRET, "value": SECRET_BYTES.hex()}])
