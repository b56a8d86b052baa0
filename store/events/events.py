"""Webhooks: stored, claimed and finished; and the newest state of what they tell of."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, literal, select, tuple_, update

from store.engine.dialects import insert_new, stream_rows
from store.engine.leases import EVENTS, Lease
from store.models import EventState, NewEvent, StoredEvent, SubjectState
from store.models.reasons import Reason, columns_of, read_reason
from store.schema import events, subjects
from store.schema.columns import UtcDateTime


def insert_events(connection: Connection, arrivals: Sequence[NewEvent]) -> None:
    """Store webhooks; an id that is already there changes nothing."""
    insert_new(
        connection,
        events,
        [
            {
                "id": event.id,
                "type": event.type,
                "body": event.body,
                "signature": event.signature,
                "sent_at": event.sent_at,
                "received_at": event.received_at,
                "due_at": event.received_at,
                "state": EventState.NEW,
                "attempts": 0,
            }
            for event in arrivals
        ],
    )


def claim_events(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int
) -> list[StoredEvent]:
    """Take up to `limit` due webhooks, oldest first, that nobody holds."""
    lease, more = Lease(token, now, until), {"attempts": events.c.attempts + 1}
    due, order = events.c.due_at <= now, (events.c.due_at,)
    rows = EVENTS.take(connection, lease, due, order=order, limit=limit, **more)
    return sorted((_event(row) for row in rows), key=lambda event: event.received_at)


def finish_event(
    connection: Connection, event_id: str, *, token: str, state: EventState, reason: Reason | None
) -> bool:
    """Close a claimed webhook with what came of it. False: the lease was lost."""
    return EVENTS.release(connection, token, event_id, state=state, **columns_of(reason))


def keep_subject_state(connection: Connection, event_id: str, told: SubjectState) -> bool:
    """Keep what an event told of its subject unless something newer is known; True the first time."""
    first = connection.execute(
        update(events)
        .where(events.c.id == event_id, events.c.subject.is_(None))
        .values(subject=told.subject, occurred_at=told.occurred_at)
    )
    row = {name: getattr(told, name) for name in SubjectState.__slots__} | {"event_id": event_id}
    row |= {"terminal": int(told.terminal), "state": dict(told.state)}
    if insert_new(connection, subjects, [row]).rowcount != 1:
        known = tuple_(subjects.c.terminal, subjects.c.occurred_at, subjects.c.rank)
        connection.execute(
            update(subjects)
            .where(
                subjects.c.subject == told.subject,
                known < tuple_(row["terminal"], literal(told.occurred_at, UtcDateTime), told.rank),
            )
            .values(row)
        )
    return first.rowcount == 1


def latest_state(connection: Connection, subject: str) -> dict[str, Any] | None:
    """The newest known state of a subject such as "order:…"."""
    found: dict[str, Any] | None = connection.execute(
        select(subjects.c.state).where(subjects.c.subject == subject)
    ).scalar()
    return found


def event_before(connection: Connection, subject: str, at: datetime) -> StoredEvent | None:
    """The newest event about a subject that happened before `at`."""
    row = connection.execute(
        select(events)
        .where(events.c.subject == subject, events.c.occurred_at < at)
        .order_by(events.c.occurred_at.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _event(row)


def ask_successor_again(connection: Connection, subject: str, at: datetime, now: datetime) -> bool:
    """Put the next event about a subject after `at` before the rules once more: it has a new predecessor."""
    following = (
        select(events.c.id)
        .where(events.c.subject == subject, events.c.occurred_at > at)
        .order_by(events.c.occurred_at)
        .limit(1)
    )
    result = connection.execute(
        update(events)
        .where(events.c.id.in_(following), events.c.state == EventState.DONE)
        .values(state=EventState.NEW, due_at=now)
    )
    return result.rowcount == 1


def postpone_event(
    connection: Connection, event_id: str, *, token: str, due_at: datetime, reason: Reason
) -> bool:
    """Let a claimed webhook be tried again at `due_at`. False: the lease was lost."""
    return EVENTS.release(connection, token, event_id, due_at=due_at, **columns_of(reason))


def get_event(connection: Connection, event_id: str) -> StoredEvent | None:
    """The webhook with this `webhook-id`."""
    row = connection.execute(select(events).where(events.c.id == event_id)).one_or_none()
    return None if row is None else _event(row)


def received_at(connection: Connection, event_ids: Sequence[str]) -> dict[str, datetime]:
    """When each of these events arrived, by its id."""
    if not event_ids:
        return {}
    rows = connection.execute(select(events.c.id, events.c.received_at).where(events.c.id.in_(event_ids)))
    return {row.id: row.received_at for row in rows}


def all_events(connection: Connection) -> Iterator[StoredEvent]:
    """Every webhook, in the order received. Go through it inside the transaction: it is read as you go."""
    rows = connection.execute(stream_rows(select(events).order_by(events.c.received_at, events.c.id)))
    for row in rows:
        yield _event(row)


def count_events(connection: Connection) -> dict[str, int]:
    """The number of webhooks in each state; from indexes alone, for rows are as large as their bodies."""
    few = (EventState.NEW, EventState.FAILED)
    counts: dict[str, int] = {
        state: connection.execute(select(func.count()).where(events.c.state == state)).scalar_one()
        for state in few
    }
    total = connection.execute(select(func.count()).select_from(events)).scalar_one()
    counts[EventState.DONE] = total - sum(counts.values())
    return {state: count for state, count in counts.items() if count}


def _event(row: Row[Any]) -> StoredEvent:
    return StoredEvent(
        id=row.id,
        type=row.type,
        body=row.body,
        sent_at=row.sent_at,
        received_at=row.received_at,
        state=EventState(row.state),
        reason=read_reason(row.reason_code, row.reason_args),
        attempts=row.attempts,
    )
