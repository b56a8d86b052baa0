"""Queries on labels and tallies: made anew from decisions, revisions and outcomes, never patched."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    and_,
    delete,
    distinct,
    func,
    insert,
    or_,
    select,
    type_coerce,
    update,
)

from store.graduation.case_kinds import get_case_kind
from store.models import (
    CaseKindState,
    Decision,
    Mode,
    OutcomeKind,
    PlannedCall,
    ProposalKind,
    ProposalState,
    Verdict,
)
from store.models.graduation import POLICY, PROGRAM, CaseHistory, Label, Outcome
from store.schema import calls, decisions, proposals, revisions
from store.schema.graduation import audit_log, case_kinds, labels, outcomes

Labeller = Callable[[CaseHistory], Label | None]
Learner = Callable[[Sequence[Sequence[PlannedCall]]], Mapping[str, Any]]
_NOBODY = (POLICY, PROGRAM)
_LEARNT_FROM = 300  # the newest approved cases that the novelty gate compares with


@dataclass(frozen=True, slots=True)
class Generation:
    """When an generation of a kind of case began; generation 0 began before everything."""

    number: int
    at: datetime | None


def relabel(connection: Connection, ids: Iterable[str], label: Labeller) -> set[str]:
    """Make the labels of these proposals anew; the kinds of case they are of. Others than cases are left
    out.
    """
    found = histories(connection, list(ids))
    connection.execute(delete(labels).where(labels.c.proposal_id.in_([one.proposal_id for one in found])))
    touched = {one.case_kind for one in found}
    generations = {case_kind: generations_of(connection, case_kind) for case_kind in touched}
    rows = [_row(made, generations[made.case_kind]) for one in found if (made := label(one)) is not None]
    if rows:
        connection.execute(insert(labels), rows)
    return touched


def _row(label: Label, generations: Sequence[Generation]) -> dict[str, Any]:
    row = {name: getattr(label, name) for name in Label.__slots__}
    row |= {"bad": int(label.bad), "counted": int(label.counted), "audit": int(label.audit)}
    # What ended an generation is of that generation: the next one begins after it.
    return row | {
        "generation": max(one.number for one in generations if one.at is None or one.at < label.decided_at)
    }


def generations_of(connection: Connection, case_kind: str) -> list[Generation]:
    """The generations of a kind of case, from the log."""
    rows = connection.execute(
        select(audit_log.c.body)
        .where(audit_log.c.subject == case_kind, audit_log.c.kind == "case_kind")
        .order_by(audit_log.c.seq)
    )
    bodies = [json.loads(row.body) for row in rows]
    begun = [body for body in bodies if body["new_generation"]]
    return [
        Generation(0, None),
        *(Generation(b["generation"], datetime.fromisoformat(b["generation_at"])) for b in begun),
    ]


def histories(connection: Connection, ids: Sequence[str]) -> list[CaseHistory]:
    """What was decided about these cases and what came of it. Proposals that are no cases are left out."""
    columns = (proposals.c.id, proposals.c.case_kind, proposals.c.state, proposals.c.mode, proposals.c.gate)
    rows = connection.execute(
        select(*columns, proposals.c.first_shown_at).where(
            proposals.c.id.in_(ids),
            proposals.c.case_kind.is_not(None),
            proposals.c.kind == ProposalKind.CALLS,
        )
    ).all()
    own = [row.id for row in rows]
    said, taps = _decisions(connection, own)
    ended, came = _enders(connection, own), _outcomes(connection, own)
    in_haste = hasty(connection, own)
    return [
        CaseHistory(
            proposal_id=row.id,
            case_kind=row.case_kind,
            state=ProposalState(row.state),
            mode=Mode(row.mode),
            decisions=said[row.id],
            edited_by=[actor for actor in ended[row.id] if actor not in _NOBODY],
            outcomes=came[row.id],
            first_of_tap=row.id not in taps,
            forced=row.mode == Mode.ASKED and _unusual(row.gate or {}),
            first_shown_at=row.first_shown_at,
            restated=PROGRAM in ended[row.id],
            hasty=row.id in in_haste,
        )
        for row in rows
    ]


def _unusual(gate: Mapping[str, Any]) -> bool:
    """Whether a case was asked about for what it is, while others of its kind ran.

    When all of a kind ask for a while (score below the bar, nobody there), each is a fair sample.
    """
    return gate.get("state") == CaseKindState.GRADUATED and not gate.get("would_run")


def _decisions(connection: Connection, ids: Sequence[str]) -> tuple[dict[str, list[Decision]], set[str]]:
    """What people decided, oldest first, and which proposals a press approved after another one."""
    where = (decisions.c.proposal_id.in_(ids), decisions.c.actor.not_in(_NOBODY))
    rows = connection.execute(select(decisions).where(*where).order_by(decisions.c.id)).all()
    pressed = {
        row.interaction_id
        for row in rows
        if row.interaction_id is not None and row.verdict == Verdict.APPROVE
    }
    earliest = connection.execute(
        select(decisions.c.interaction_id, func.min(decisions.c.id))
        .where(decisions.c.interaction_id.in_(pressed), decisions.c.verdict == Verdict.APPROVE)
        .group_by(decisions.c.interaction_id)
    )
    first = {row[0]: row[1] for row in earliest}
    found: defaultdict[str, list[Decision]] = defaultdict(list)
    for row in rows:
        names = set(Decision.__slots__) - {"verdict"}
        values = {name: getattr(row, name) for name in names}
        found[row.proposal_id].append(Decision(**values, verdict=Verdict(row.verdict)))
    later = {
        row.proposal_id for row in rows if row.interaction_id in first and row.id != first[row.interaction_id]
    }
    return found, later


def _enders(connection: Connection, ids: Sequence[str]) -> dict[str, list[str]]:
    """Who changed what a proposal asks: people, and the program where Polar's state had changed."""
    rows = connection.execute(
        select(revisions.c.proposal_id, revisions.c.superseded_by)
        .where(revisions.c.proposal_id.in_(ids))
        .order_by(revisions.c.revision)
    )
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[row.proposal_id].append(row.superseded_by)
    return found


def _outcomes(connection: Connection, ids: Sequence[str]) -> dict[str, list[Outcome]]:
    rows = connection.execute(
        select(outcomes).where(outcomes.c.proposal_id.in_(ids)).order_by(outcomes.c.at, outcomes.c.id)
    )
    found: defaultdict[str, list[Outcome]] = defaultdict(list)
    for row in rows:
        found[row.proposal_id].append(Outcome(row.proposal_id, OutcomeKind(row.kind), row.source, row.at))
    return found


def tally(connection: Connection, case_kind: str, learn: Learner, now: datetime) -> None:
    """Count a kind of case's labels of its present generation anew, and what was approved so far."""
    found = get_case_kind(connection, case_kind)
    if found is None:
        return
    own = (labels.c.case_kind == case_kind, labels.c.generation == found.generation, labels.c.counted == 1)
    ripe = (*own, labels.c.matures_at <= now)
    n, k, first_at, last_bad, customers = connection.execute(
        select(
            func.count(),
            func.coalesce(func.sum(labels.c.bad), 0),
            func.min(labels.c.decided_at),
            select(func.max(labels.c.decided_at)).where(*ripe, labels.c.bad == 1).scalar_subquery(),
            func.count(distinct(proposals.c.customer_id)),
        )
        .select_from(labels.join(proposals, proposals.c.id == labels.c.proposal_id))
        .where(*ripe)
    ).one()
    # A busy kind has a no within any window: what was decided since the last one does not wait for it.
    since = () if last_bad is None else (labels.c.decided_at > last_bad,)
    tail = _count(connection, *own, *since)
    # An audit is answered at the tap: how often it was agreed does not wait for the window.
    audits = _count(connection, *own, labels.c.audit == 1)
    agreed = _count(connection, *own, labels.c.audit == 1, labels.c.bad == 0)
    values = {
        "n": n,
        "k": int(k),
        "first_at": first_at,
        "customers": customers,
        "approvals_since_rejection": tail,
    }
    values |= {"audits": audits, "audits_agreed": agreed, "seen": learn(_approved(connection, case_kind))}
    connection.execute(update(case_kinds).where(case_kinds.c.hash == case_kind).values(values))


def _count(connection: Connection, *where: Any) -> int:
    return connection.execute(select(func.count()).select_from(labels).where(*where)).scalar_one()


def _approved(connection: Connection, case_kind: str) -> list[list[PlannedCall]]:
    """The calls of the newest cases with a yes by somebody who can have looked, oldest first."""
    newest = (
        connection.execute(
            select(labels.c.proposal_id)
            .where(labels.c.case_kind == case_kind, labels.c.bad == 0, labels.c.why.not_in(UNSEEN))
            .order_by(labels.c.decided_at.desc(), labels.c.proposal_id.desc())
            .limit(_LEARNT_FROM)
        )
        .scalars()
        .all()
    )
    rows = connection.execute(select(calls).where(calls.c.proposal_id.in_(newest)).order_by(calls.c.number))
    made: defaultdict[str, list[PlannedCall]] = defaultdict(list)
    for row in rows:
        made[row.proposal_id].append(PlannedCall(row.operation, row.path, row.query, row.body))
    return [made[one] for one in reversed(newest)]


# The words of `bot.graduation.labels` for a yes that nobody may have looked at: nothing is learnt from it.
UNSEEN = ("yes in less than 2 s", "yes by one tap for several", "yes to a question that had changed")


def recompute(connection: Connection, case_kind: str, label: Labeller, learn: Learner, now: datetime) -> None:
    """Make all labels and the tally of a kind of case anew from the log."""
    connection.execute(delete(labels).where(labels.c.case_kind == case_kind))
    ids = connection.execute(select(proposals.c.id).where(proposals.c.case_kind == case_kind)).scalars().all()
    for start in range(0, len(ids), 500):
        relabel(connection, ids[start : start + 500], label)
    tally(connection, case_kind, learn, now)


_MICROSECOND = timedelta(microseconds=1)


_TOO_SOON = timedelta(seconds=2) // _MICROSECOND


# A yes is written down after a look at Polar: by then another one, pressed later, may have been.
_NEAR = timedelta(minutes=10) // _MICROSECOND


def hasty(connection: Connection, ids: Any) -> set[str]:
    """Of these proposals (ids or a query), those with a yes less than 2 s after another of that person.

    Both are compared as they were pressed. What one press approves besides is not meant.
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
    yes = (mine.c.verdict == Verdict.APPROVE, mine.c.actor.not_in((POLICY, PROGRAM)))
    found = select(mine.c.proposal_id).where(
        mine.c.proposal_id.in_(ids), *yes, select(other.c.id).where(earlier).exists()
    )
    return set(connection.execute(found).scalars())
