"""Queries on what is known of decided cases: what people said, who changed the question, what came of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, and_, func, or_, select, type_coerce

from store.models import Actor, Decision, OutcomeKind, PlannedCall, Verdict
from store.models.graduation import Outcome
from store.schema import decisions, revisions
from store.schema.graduation import outcomes

_NOBODY = tuple(Actor)


@dataclass(frozen=True, slots=True)
class Evidence:
    """By proposal: people's decisions, oldest first; outcomes; the calls of the first revision of those that
    were changed since, and who changed them. `bulk` were approved by a press that had approved another one
    before, `hasty` within 2 seconds of that person's previous approval.
    """

    decisions: Mapping[str, Sequence[Decision]]
    outcomes: Mapping[str, Sequence[Outcome]]
    first_calls: Mapping[str, Sequence[PlannedCall]]
    editors: Mapping[str, Sequence[str]]
    bulk: set[str]
    hasty: set[str]

    def of(self, proposal_id: str) -> dict[str, Any]:
        """The fields that a CaseHistory and a PastCase have in common."""
        editors = self.editors.get(proposal_id, ())
        return {
            "decisions": self.decisions.get(proposal_id, ()),
            "edited_by": [one for one in editors if one not in _NOBODY],
            "restated": Actor.PROGRAM in editors,
            "outcomes": self.outcomes.get(proposal_id, ()),
            "first_of_tap": proposal_id not in self.bulk,
            "hasty": proposal_id in self.hasty,
        }


def evidence(connection: Connection, own: Any) -> Evidence:
    """Of these proposals: ids, or a query for many."""
    said, came = _decisions(connection, own), _outcomes(connection, own)
    return Evidence(said, came, *_revisions(connection, own), _bulk(connection, own), hasty(connection, own))


def _decisions(connection: Connection, own: Any) -> Mapping[str, Sequence[Decision]]:
    c = decisions.c
    names = (c.proposal_id, c.actor, c.verdict, c.via, c.at, c.reason, c.revision, c.interaction_id)
    rows = connection.execute(
        select(*names, c.shown_at, c.clicked_at)
        .where(c.proposal_id.in_(own), c.actor.not_in(_NOBODY))
        .order_by(c.id)
    )
    found: defaultdict[str, list[Decision]] = defaultdict(list)
    for id_, actor, verdict, *rest in rows:
        found[id_].append(Decision(id_, actor, Verdict(verdict), *rest))
    return found


def _outcomes(connection: Connection, own: Any) -> Mapping[str, Sequence[Outcome]]:
    rows = connection.execute(
        select(outcomes).where(outcomes.c.proposal_id.in_(own)).order_by(outcomes.c.at, outcomes.c.id)
    )
    found: defaultdict[str, list[Outcome]] = defaultdict(list)
    for row in rows:
        found[row.proposal_id].append(Outcome(row.proposal_id, OutcomeKind(row.kind), row.source, row.at))
    return found


def _revisions(
    connection: Connection, own: Any
) -> tuple[Mapping[str, Sequence[PlannedCall]], Mapping[str, Sequence[str]]]:
    rows = connection.execute(
        select(revisions.c.proposal_id, revisions.c.calls, revisions.c.superseded_by)
        .where(revisions.c.proposal_id.in_(own))
        .order_by(revisions.c.proposal_id, revisions.c.revision)
    )
    first: dict[str, Sequence[PlannedCall]] = {}
    editors: defaultdict[str, list[str]] = defaultdict(list)
    for id_, planned, superseded_by in rows:
        first.setdefault(id_, tuple(PlannedCall(**call) for call in planned))
        editors[id_].append(superseded_by)
    return first, editors


def _bulk(connection: Connection, own: Any) -> set[str]:
    """Those that a press approved after another one: one press is at most one approval."""
    mine, other = decisions.alias(), decisions.alias()
    approved = mine.c.verdict == Verdict.APPROVE
    earlier = and_(
        other.c.interaction_id == mine.c.interaction_id,
        other.c.verdict == Verdict.APPROVE,
        other.c.id < mine.c.id,
    )
    found = select(mine.c.proposal_id).where(
        mine.c.proposal_id.in_(own),
        approved,
        mine.c.interaction_id.is_not(None),
        select(other.c.id).where(earlier).exists(),
    )
    return set(connection.execute(found).scalars())


_MICROSECOND = timedelta(microseconds=1)
_TOO_SOON = timedelta(seconds=2) // _MICROSECOND
# An approval is stored after Polar was read: by then another one, pressed later, may have been stored.
_NEAR = timedelta(minutes=10) // _MICROSECOND


def hasty(connection: Connection, ids: Any) -> set[str]:
    """Of these proposals (ids or a query), those approved within 2 s of that person's previous approval.

    The times of the presses are compared. Two proposals approved by one press are no such pair.
    """
    mine, other = decisions.alias(), decisions.alias()
    pressed, before = (
        type_coerce(func.coalesce(one.c.clicked_at, one.c.at), BigInteger) for one in (mine, other)
    )
    at, near = type_coerce(mine.c.at, BigInteger), type_coerce(other.c.at, BigInteger)
    earlier = and_(
        other.c.actor == mine.c.actor,
        near.between(at - _NEAR, at + _NEAR),
        other.c.verdict == Verdict.APPROVE,
        before > pressed - _TOO_SOON,
        or_(before < pressed, and_(before == pressed, other.c.id < mine.c.id)),
        or_(
            mine.c.interaction_id.is_(None),
            other.c.interaction_id.is_(None),
            other.c.interaction_id != mine.c.interaction_id,
        ),
        other.c.proposal_id != mine.c.proposal_id,
    )
    yes = (mine.c.verdict == Verdict.APPROVE, mine.c.actor.not_in(_NOBODY))
    found = select(mine.c.proposal_id).where(
        mine.c.proposal_id.in_(ids), *yes, select(other.c.id).where(earlier).exists()
    )
    return set(connection.execute(found).scalars())
