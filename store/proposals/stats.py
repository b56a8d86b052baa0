"""Queries for the morning digest: what a day brought, and how much each of the last days."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from store.models import Numbers, ProposalState
from store.schema import proposals


def numbers(connection: Connection, since: datetime, until: datetime) -> Numbers:
    """What happened from `since` until `until`."""
    p = proposals.c
    asked = select(func.count()).where(p.created_at >= since, p.created_at < until)
    decided = [p.decided_at >= since, p.decided_at < until, p.kind == "calls"]
    rows = connection.execute(select(p.state, p.decided_by, p.created_at, p.decided_at).where(*decided)).all()
    seconds = sorted((row.decided_at - row.created_at).total_seconds() for row in rows)
    states: dict[ProposalState, int] = {}
    people: dict[str, int] = {}
    for row in rows:
        state = ProposalState(row.state)
        states[state] = states.get(state, 0) + 1
        people[row.decided_by] = people.get(row.decided_by, 0) + 1
    expired = _count(
        connection, p.state == ProposalState.EXPIRED, p.expires_at >= since, p.expires_at < until
    )
    if expired:
        states[ProposalState.EXPIRED] = expired
    return Numbers(connection.execute(asked).scalar_one(), states, people, tuple(seconds))


def _count(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).select_from(proposals).where(*conditions)).scalar_one()


def decided_between(connection: Connection, since: datetime, until: datetime) -> int:
    """How many proposals were decided in a span of time."""
    return _count(connection, proposals.c.decided_at >= since, proposals.c.decided_at < until)
