"""Rules that failed on an event: kept with the reason, and tried again when somebody wishes it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, select, update

from store.engine.dialects import SafeText, insert_into, row_of, value_of, values_of
from store.engine.writer import without_turn
from store.models import EventState, RuleMatchState
from store.models.details import FailedMatch, Failure
from store.models.reasons import Reason, ReasonCode, columns_of
from store.schema import events, rule_matches
from store.schema.waiting import failed_matches

_F = failed_matches.c


@without_turn
def failed_matches_of(connection: Connection, event_id: str) -> list[FailedMatch]:
    """The rules that failed on an event."""
    own = select(failed_matches).where(_F.event_id == event_id).order_by(_F.rule)
    return values_of(connection, own, FailedMatch)


def newest_failures(connection: Connection, limit: int) -> list[Failure]:
    """The newest rules that failed, each with its event's type."""
    found = select(failed_matches, events.c.type).join(events, events.c.id == _F.event_id)
    rows = connection.execute(found.order_by(_F.failed_at.desc(), _F.event_id, _F.rule).limit(limit))
    return [Failure(value_of(FailedMatch, row), row.type) for row in rows]


def keep_failures(connection: Connection, over: Sequence[FailedMatch], failed: Sequence[FailedMatch]) -> None:
    """Forget the failures that are `over`, with rule matches that had ended by them, and keep new ones."""
    if over:
        own = (_F.event_id == bindparam("event"), _F.rule == bindparam("name"))
        gone = [{"event": one.event_id, "name": one.rule} for one in over]
        connection.execute(delete(failed_matches).where(*own), gone)
    ended = [{"change": one.fact_key, "name": one.rule} for one in over if one.fact_key is not None]
    if ended:
        match = (
            rule_matches.c.fact_key == bindparam("change", type_=SafeText),
            rule_matches.c.rule == bindparam("name"),
            rule_matches.c.state == RuleMatchState.SILENT,
        )
        connection.execute(delete(rule_matches).where(*match), ended)
    if failed:
        statement = insert_into(connection.dialect.name, failed_matches)
        new = {one.name: statement.excluded[one.name] for one in failed_matches.c if not one.primary_key}
        key = list(failed_matches.primary_key)
        connection.execute(
            statement.on_conflict_do_update(index_elements=key, set_=new), [row_of(one) for one in failed]
        )


def fail_event(connection: Connection, failed: FailedMatch) -> None:
    """Keep the failure of a rule after its delay; its event counts as failed, unless its rules are due."""
    keep_failures(connection, (), [failed])
    causes = [] if failed.reason is None else [failed.reason]
    why = Reason.of(ReasonCode.OF_RULES, Reason.of(ReasonCode.OF_RULE, *causes, rule=failed.rule))
    done = (events.c.id == failed.event_id, events.c.state == EventState.DONE)
    state: dict[str, Any] = {"state": EventState.FAILED} | columns_of(why)
    connection.execute(update(events).where(*done).values(state))


def retry_events(
    connection: Connection, start: str | None, now: datetime, *, limit: int = 1_000
) -> list[str]:
    """Have the failed rules of events asked again: of all, or of those whose id begins with `start`. The ids,
    at most `limit`.
    """
    own = () if start is None else (events.c.id.startswith(start, autoescape=True),)
    return _again(connection, and_(events.c.state == EventState.FAILED, *own), now, limit)


def retry_changed(
    connection: Connection, versions: Collection[str], now: datetime, *, limit: int = 1_000
) -> list[str]:
    """Have rules asked again that have failed in another version than those in force; the ids of events, at
    most `limit`.
    """
    other = select(_F.event_id).where(_F.rule_version.not_in(list(versions)))
    return _again(connection, and_(events.c.state == EventState.FAILED, events.c.id.in_(other)), now, limit)


def _again(connection: Connection, which: ColumnElement[bool], now: datetime, limit: int) -> list[str]:
    # Locked in the order in which arriving webhooks lock them.
    found = (
        select(events.c.id).where(which).order_by(events.c.id).limit(limit).with_for_update(key_share=True)
    )
    ids = list(connection.execute(found).scalars())
    for first in range(0, len(ids), 500):
        own = update(events).where(events.c.id.in_(ids[first : first + 500]))
        connection.execute(own.values(state=EventState.NEW, due_at=now))
    return ids
