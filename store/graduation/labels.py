"""Queries on labels and counts: made anew from decisions, revisions and outcomes, never patched."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from store.audit_log.log import kinds_of, read_row
from store.graduation.case_kinds import get_case_kind
from store.graduation.evidence import evidence
from store.graduation.reducer import (
    LEARNT_FROM,
    Generation,
    LabelSum,
    Tally,
    generation_of,
    is_unusual,
)
from store.models import Mode, PlannedCall, ProposalKind, ProposalState
from store.models.graduation import CaseHistory, Label
from store.models.trust_codes import UNSEEN
from store.schema import calls, proposals
from store.schema.graduation import audit_log, case_kinds, case_labels

Labeller = Callable[[CaseHistory], Label | None]
Learner = Callable[[Sequence[Sequence[PlannedCall]]], Mapping[str, Any]]


def relabel(connection: Connection, ids: Iterable[str], label: Labeller) -> set[str]:
    """Make the labels of these proposals anew; the kinds of case they are of. Others than cases are left
    out.
    """
    found = histories(connection, list(ids))
    own = case_labels.c.proposal_id.in_([one.proposal_id for one in found])
    connection.execute(delete(case_labels).where(own))
    touched = {one.case_kind for one in found}
    generations = {case_kind: generations_of(connection, case_kind) for case_kind in touched}
    rows = [_row(made, generations[made.case_kind]) for one in found if (made := label(one)) is not None]
    if rows:
        connection.execute(insert(case_labels), rows)
    return touched


def _row(label: Label, generations: Sequence[Generation]) -> dict[str, Any]:
    row = {name: getattr(label, name) for name in Label.__slots__ if name != "reason"}
    row |= {name: int(row[name]) for name in ("is_rejection", "is_counted", "is_spot_check")}
    generation = generation_of(generations, label.decided_at)
    return row | {"reason_code": label.reason, "generation": generation}


def generations_of(connection: Connection, case_kind: str) -> list[Generation]:
    """The generations of a kind of case, from the log."""
    rows = connection.execute(
        select(audit_log.c.kind, audit_log.c.body)
        .where(audit_log.c.subject == case_kind, audit_log.c.kind.in_(kinds_of("case_kind")))
        .order_by(audit_log.c.seq)
    )
    bodies = [read_row(row.kind, row.body)[1] for row in rows]
    begun = [body for body in bodies if body["new_generation"]]
    return [
        Generation(),
        *(Generation(b["generation"], datetime.fromisoformat(b["generation_at"])) for b in begun),
    ]


def histories(connection: Connection, ids: Sequence[str]) -> list[CaseHistory]:
    """The decisions about these cases and their outcomes. Proposals that are no cases are left out."""
    columns = (proposals.c.id, proposals.c.case_kind, proposals.c.state, proposals.c.mode, proposals.c.gate)
    rows = connection.execute(
        select(*columns, proposals.c.first_shown_at).where(
            proposals.c.id.in_(ids),
            proposals.c.case_kind.is_not(None),
            proposals.c.kind == ProposalKind.CALLS,
        )
    ).all()
    known = evidence(connection, [row.id for row in rows])
    return [
        CaseHistory(
            proposal_id=row.id,
            case_kind=row.case_kind,
            state=ProposalState(row.state),
            mode=Mode(row.mode),
            unusual=is_unusual(Mode(row.mode), row.gate or {}),
            first_shown_at=row.first_shown_at,
            **known.of(row.id),
        )
        for row in rows
    ]


def tally(connection: Connection, case_kind: str, learn: Learner, now: datetime) -> None:
    """Count a kind's labels of its present generation anew, and the values that were approved so far."""
    found = get_case_kind(connection, case_kind)
    if found is None:
        return
    c = case_labels.c
    own = (c.case_kind == case_kind, c.generation == found.generation, c.is_counted == 1)
    made = Tally()
    for one in _sums(connection, now, *own):
        made.add(one)
    last = made.last_rejection_at
    since = (*own, c.is_rejection == 0, *(() if last is None else (c.decided_at > last,)))
    counted = connection.execute(select(func.count()).select_from(case_labels).where(*since)).scalar_one()
    values = made.counts(counted) | {"approved_values": learn(_approved(connection, case_kind))}
    connection.execute(update(case_kinds).where(case_kinds.c.hash == case_kind).values(values))


def _sums(connection: Connection, now: datetime, *own: Any) -> Iterator[LabelSum]:
    """The labels, added up by the database as far as it can."""
    c, mature = case_labels.c, (case_labels.c.matures_at <= now).label("mature")
    alike = (c.is_rejection, c.is_spot_check, mature, proposals.c.customer_id)
    rows = connection.execute(
        select(*alike, func.count(), func.min(c.decided_at), func.max(c.decided_at))
        .select_from(case_labels.join(proposals, proposals.c.id == c.proposal_id))
        .where(*own)
        .group_by(c.is_rejection, c.is_spot_check, "mature", proposals.c.customer_id)
    )
    for rejection, spot_check, is_mature, *rest in rows:
        yield LabelSum(bool(rejection), bool(spot_check), bool(is_mature), *rest)


def _approved(connection: Connection, case_kind: str) -> list[list[PlannedCall]]:
    """The calls of the newest cases approved by somebody who can have looked, oldest first."""
    c = case_labels.c
    newest = (
        connection.execute(
            select(c.proposal_id)
            .where(c.case_kind == case_kind, c.is_rejection == 0, c.reason_code.not_in(tuple(UNSEEN)))
            .order_by(c.decided_at.desc(), c.proposal_id.desc())
            .limit(LEARNT_FROM)
        )
        .scalars()
        .all()
    )
    rows = connection.execute(select(calls).where(calls.c.proposal_id.in_(newest)).order_by(calls.c.number))
    made: defaultdict[str, list[PlannedCall]] = defaultdict(list)
    for row in rows:
        made[row.proposal_id].append(PlannedCall(row.operation, row.path, row.query, row.body))
    return [made[one] for one in reversed(newest)]


def recompute(connection: Connection, case_kind: str, label: Labeller, learn: Learner, now: datetime) -> None:
    """Make all labels and the counts of a kind of case anew from the log."""
    connection.execute(delete(case_labels).where(case_labels.c.case_kind == case_kind))
    ids = connection.execute(select(proposals.c.id).where(proposals.c.case_kind == case_kind)).scalars().all()
    for start in range(0, len(ids), 500):
        relabel(connection, ids[start : start + 500], label)
    tally(connection, case_kind, learn, now)
