"""The check of what is derived from the audit log: states, trust and pauses that were written past it."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Subquery, func, select

from store.audit_log.log import kinds_of, read_row
from store.engine.dialects import stream_rows
from store.graduation.pause import paused
from store.models import CaseKindState, ProposalState
from store.schema import proposals
from store.schema.graduation import audit_log, case_kinds, outcomes


def altered(connection: Connection) -> Iterator[str]:
    """Everything that is not as the newest row about it says, in words."""
    yield from _states(connection)
    yield from _trust(connection)
    yield from _outcomes(connection)
    yield from _pause(connection)


def _newest(kind: str) -> Subquery:
    """The number of the newest row of a kind about each subject."""
    newest = func.max(audit_log.c.seq).label("seq")
    return (
        select(audit_log.c.subject, newest)
        .where(audit_log.c.kind.in_(kinds_of(kind)))
        .group_by(audit_log.c.subject)
        .subquery()
    )


def _states(connection: Connection) -> Iterator[str]:
    """The state of every proposal that the log knows from its beginning."""
    newest, proposed = _newest("transition"), audit_log.alias()
    born = select(proposed.c.seq).where(
        proposed.c.subject == proposals.c.id, proposed.c.kind.in_(kinds_of("proposed"))
    )
    rows = connection.execute(
        stream_rows(
            select(proposals.c.id, proposals.c.state, audit_log.c.body)
            .outerjoin(newest, newest.c.subject == proposals.c.id)
            .outerjoin(audit_log, audit_log.c.seq == newest.c.seq)
            .where(born.exists())
        )
    )
    for row in rows:
        told = _told("transition", row.body).get("to", ProposalState.PENDING)
        if row.state != told:
            yield f"{row.id} is {row.state}, but the log says {told}"


def _trust(connection: Connection) -> Iterator[str]:
    """The trust in every kind of case."""
    newest = _newest("case_kind")
    rows = connection.execute(
        stream_rows(
            select(
                case_kinds.c.hash,
                case_kinds.c.state,
                case_kinds.c.generation,
                case_kinds.c.manual_override,
                audit_log.c.body,
            )
            .outerjoin(newest, newest.c.subject == case_kinds.c.hash)
            .outerjoin(audit_log, audit_log.c.seq == newest.c.seq)
        )
    )
    for row in rows:
        body = _told("case_kind", row.body)
        told = (
            body.get("to", CaseKindState.ASKING),
            body.get("generation", 0),
            bool(body.get("manual_override")),
        )
        if (row.state, row.generation, bool(row.manual_override)) != told:
            how = " by manual override" if row.manual_override else ""
            kept = f"{row.state} in generation {row.generation}{how}"
            said = f"{told[0]} in generation {told[1]}{' by manual override' if told[2] else ''}"
            yield f"the kind of case {row.hash[:12]} is {kept}, but the log says {said}"


def _outcomes(connection: Connection) -> Iterator[str]:
    """Outcomes that somebody wrote into the database past the log."""
    in_log = select(audit_log.c.seq).where(
        audit_log.c.subject == outcomes.c.proposal_id,
        audit_log.c.kind.in_(kinds_of("outcome")),
        audit_log.c.body.contains('"kind":"' + outcomes.c.kind + '"'),
    )
    rows = connection.execute(select(outcomes.c.kind, outcomes.c.proposal_id).where(~in_log.exists()))
    for row in rows:
        yield f"that {row.proposal_id} was {row.kind} is in no row of the log"


def _pause(connection: Connection) -> Iterator[str]:
    """The pause of everything."""
    newest = select(audit_log.c.kind).where(audit_log.c.kind.in_(kinds_of("pause", "resume")))
    told = connection.execute(newest.order_by(audit_log.c.seq.desc()).limit(1)).scalar() == "pause"
    kept = paused(connection) is not None
    if told != kept:
        yield f"it is {'' if kept else 'not '}paused, but the log says otherwise"


def _told(kind: str, body: str | None) -> dict[str, Any]:
    """A row's body; nothing of one that cannot be read, which has been found altered already."""
    try:
        return read_row(kind, body or "{}")[1]
    except ValueError:
        return {}
