"""Queries on how things flow: the last webhook, what could not be handled, what waits to be done or told."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from store.models import EventState, ProposalState
from store.models.reasons import Reason, read_reason
from store.schema import events, notices, proposals


@dataclass(frozen=True, slots=True)
class Arrival:
    """A webhook without its body: `reason` says what came of it."""

    id: str
    type: str
    received_at: datetime
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Flow:
    """Webhooks in, work out. `cards` and `notices` are messages not yet in Slack, `runs` approved calls."""

    last: Arrival | None
    failed: int
    newest_failure: Arrival | None
    unread: int
    cards: int
    notices: int
    runs: int


def flow(connection: Connection) -> Flow:
    """How things flow now; each number from an index of its own."""
    failed = events.c.state == EventState.FAILED
    names = (events.c.id, events.c.type, events.c.received_at, events.c.reason_code, events.c.reason_args)
    newest = select(*names).order_by(events.c.received_at.desc())
    busy = [ProposalState.APPROVED, ProposalState.EXECUTING]

    def count(*where: object) -> int:
        return connection.execute(select(func.count()).where(*where)).scalar_one()  # type: ignore[arg-type]  # conditions

    return Flow(
        last=_arrival(connection.execute(newest.limit(1)).first()),
        failed=count(failed),
        newest_failure=_arrival(connection.execute(newest.where(failed).limit(1)).first()),
        unread=count(events.c.state == EventState.NEW),
        cards=count(proposals.c.rendered_version < proposals.c.row_version),
        notices=count(notices.c.sent_at.is_(None)),
        runs=count(proposals.c.state.in_(busy)),
    )


def _arrival(row: Any) -> Arrival | None:
    if row is None:
        return None
    return Arrival(row.id, row.type, row.received_at, read_reason(row.reason_code, row.reason_args))
