"""Everything known about one proposal, in one read; and which proposal a Slack thread is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from store.events.events import get_event, latest_state
from store.models import Decision, Proposal, Verdict
from store.models.details import Dossier, Revision
from store.proposals.comments import comments_of
from store.proposals.proposals import get_proposal, read_proposal, trail
from store.schema import bundles, decisions, proposals, revisions, rule_versions

_EARLIER = 10  # proposals of the same customer that are shown
_MOST_IN_A_THREAD = 200  # proposals of one bundle that keep what is said in its thread


@dataclass(frozen=True, slots=True)
class Thread:
    """What a thread is about: one proposal, or those of a bundle."""

    ids: tuple[str, ...]
    bundle_id: str | None = None


def dossier(connection: Connection, proposal_id: str) -> Dossier | None:
    """Everything about one proposal; None when there is no such proposal."""
    found = get_proposal(connection, proposal_id)
    if found is None:
        return None
    of_customer = proposals.c.customer_id == found.customer_id
    return Dossier(
        found,
        None if found.event_id is None else get_event(connection, found.event_id),
        None if found.subject is None else latest_state(connection, found.subject),
        _source(connection, found.rule_version),
        tuple(trail(connection, proposal_id)),
        tuple(decisions_of(connection, proposal_id)),
        tuple(revisions_of(connection, proposal_id)),
        tuple(comments_of(connection, proposal_id)),
        *_history(connection, found, of_customer if found.customer_id else None),
    )


def _history(
    connection: Connection, found: Proposal, of_customer: Any
) -> tuple[tuple[Proposal, ...], Mapping[str, int]]:
    if of_customer is None:
        return (), {}
    rows = connection.execute(
        select(proposals)
        .where(of_customer, proposals.c.id != found.id)
        .order_by(proposals.c.created_at.desc())
        .limit(_EARLIER)
    )
    earlier = tuple(read_proposal(row) for row in rows)
    counted = connection.execute(
        select(proposals.c.state, func.count()).where(of_customer).group_by(proposals.c.state)
    )
    return earlier, dict(tuple(row) for row in counted)


def _source(connection: Connection, version: str | None) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = connection.execute(
        select(rule_versions.c.source).where(rule_versions.c.version == version)
    ).scalar()
    return found


def decisions_of(connection: Connection, proposal_id: str) -> list[Decision]:
    """Who decided about a proposal, oldest first."""
    rows = connection.execute(
        select(decisions).where(decisions.c.proposal_id == proposal_id).order_by(decisions.c.id)
    )
    names = set(Decision.__slots__) - {"verdict"}
    return [
        Decision(**{name: getattr(row, name) for name in names}, verdict=Verdict(row.verdict)) for row in rows
    ]


def revisions_of(connection: Connection, proposal_id: str) -> list[Revision]:
    """What a proposal asked before, oldest first."""
    rows = connection.execute(
        select(revisions).where(revisions.c.proposal_id == proposal_id).order_by(revisions.c.revision)
    )
    return [
        Revision(
            row.revision,
            row.title,
            tuple(row.reasons),
            tuple((label, value) for label, value in row.facts),
            tuple(row.calls),
            row.superseded_by,
            row.superseded_at,
        )
        for row in rows
    ]


def revision_at(connection: Connection, proposal_id: str, moment: datetime) -> int:
    """Which revision somebody who wrote at that moment can have seen: the current one, or one before it."""
    found = connection.execute(
        select(proposals.c.revision, proposals.c.first_shown_at).where(proposals.c.id == proposal_id)
    ).first()
    if found is None:
        return 1
    shown = found.first_shown_at is not None and found.first_shown_at <= moment
    return int(found.revision) if shown else max(found.revision - 1, 1)


def in_thread(connection: Connection, channel: str, ts: str) -> Thread | None:
    """What the thread under this message is about; None when it is no card of ours."""
    found = connection.execute(
        select(proposals.c.id).where(proposals.c.card_ts == ts, proposals.c.channel == channel)
    ).scalar()
    if found is not None:
        return Thread((found,))
    bundle = connection.execute(
        select(bundles.c.id).where(bundles.c.card_ts == ts, bundles.c.channel == channel)
    ).scalar()
    if bundle is None:
        return None
    rows = connection.execute(
        select(proposals.c.id).where(proposals.c.bundle_id == bundle).limit(_MOST_IN_A_THREAD)
    )
    return Thread(tuple(rows.scalars()), bundle)
