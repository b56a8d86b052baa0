"""Queries on labels and tallies: made anew from decisions, editions and outcomes, never patched."""

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

from store.graduation.case_kinds import get_shape
from store.models import (
    Decision,
    Mode,
    OutcomeKind,
    PlannedCall,
    ProposalKind,
    ProposalState,
    ShapeState,
    Verdict,
)
from store.models.graduation import POLICY, PROGRAM, CaseHistory, Label, Outcome
from store.schema import calls, decisions, editions, proposals
from store.schema.graduation import labels, ledger, outcomes, shapes

Labeller = Callable[[CaseHistory], Label | None]
Learner = Callable[[Sequence[Sequence[PlannedCall]]], Mapping[str, Any]]
_NOBODY = (POLICY, PROGRAM)
_LEARNT_FROM = 300  # the newest approved cases that the novelty gate compares with


@dataclass(frozen=True, slots=True)
class Epoch:
    """When an epoch of a shape began; epoch 0 began before everything."""

    number: int
    at: datetime | None


def relabel(connection: Connection, ids: Iterable[str], label: Labeller) -> set[str]:
    """Make the labels of these proposals anew; the shapes they are of. Others than cases are left out."""
    found = histories(connection, list(ids))
    connection.execute(delete(labels).where(labels.c.proposal_id.in_([one.proposal_id for one in found])))
    touched = {one.shape for one in found}
    epochs = {shape: epochs_of(connection, shape) for shape in touched}
    rows = [_row(made, epochs[made.shape]) for one in found if (made := label(one)) is not None]
    if rows:
        connection.execute(insert(labels), rows)
    return touched


def _row(label: Label, epochs: Sequence[Epoch]) -> dict[str, Any]:
    row = {name: getattr(label, name) for name in Label.__slots__}
    row |= {"bad": int(label.bad), "counted": int(label.counted), "audit": int(label.audit)}
    # What ended an epoch is of that epoch: the next one begins after it.
    return row | {"epoch": max(one.number for one in epochs if one.at is None or one.at < label.decided_at)}


def epochs_of(connection: Connection, shape: str) -> list[Epoch]:
    """The epochs of a shape, from the log."""
    rows = connection.execute(
        select(ledger.c.body)
        .where(ledger.c.subject == shape, ledger.c.kind == "shape")
        .order_by(ledger.c.seq)
    )
    bodies = [json.loads(row.body) for row in rows]
    begun = [body for body in bodies if body["new_epoch"]]
    return [Epoch(0, None), *(Epoch(b["epoch"], datetime.fromisoformat(b["epoch_at"])) for b in begun)]


def histories(connection: Connection, ids: Sequence[str]) -> list[CaseHistory]:
    """What was decided about these cases and what came of it. Proposals that are no cases are left out."""
    columns = (proposals.c.id, proposals.c.shape, proposals.c.state, proposals.c.mode, proposals.c.gate)
    rows = connection.execute(
        select(*columns, proposals.c.card_at).where(
            proposals.c.id.in_(ids), proposals.c.shape.is_not(None), proposals.c.kind == ProposalKind.CALLS
        )
    ).all()
    own = [row.id for row in rows]
    said, taps = _decisions(connection, own)
    ended, came = _enders(connection, own), _outcomes(connection, own)
    in_haste = hasty(connection, own)
    return [
        CaseHistory(
            proposal_id=row.id,
            shape=row.shape,
            state=ProposalState(row.state),
            mode=Mode(row.mode),
            decisions=said[row.id],
            edited_by=[actor for actor in ended[row.id] if actor not in _NOBODY],
            outcomes=came[row.id],
            first_of_tap=row.id not in taps,
            forced=row.mode == Mode.ASKED and _unusual(row.gate or {}),
            card_at=row.card_at,
            restated=PROGRAM in ended[row.id],
            hasty=row.id in in_haste,
        )
        for row in rows
    ]


def _unusual(gate: Mapping[str, Any]) -> bool:
    """Whether a case was asked about for what it is, while others of its kind ran.

    When all of a kind ask for a while (score below the bar, nobody there), each is a fair sample.
    """
    return gate.get("state") == ShapeState.GRADUATED and not gate.get("would_run")


def _decisions(connection: Connection, ids: Sequence[str]) -> tuple[dict[str, list[Decision]], set[str]]:
    """What people decided, oldest first, and which proposals a press approved after another one."""
    where = (decisions.c.proposal_id.in_(ids), decisions.c.actor.not_in(_NOBODY))
    rows = connection.execute(select(decisions).where(*where).order_by(decisions.c.id)).all()
    pressed = {row.tap for row in rows if row.tap is not None and row.verdict == Verdict.APPROVE}
    earliest = connection.execute(
        select(decisions.c.tap, func.min(decisions.c.id))
        .where(decisions.c.tap.in_(pressed), decisions.c.verdict == Verdict.APPROVE)
        .group_by(decisions.c.tap)
    )
    first = {row[0]: row[1] for row in earliest}
    found: defaultdict[str, list[Decision]] = defaultdict(list)
    for row in rows:
        names = set(Decision.__slots__) - {"verdict"}
        values = {name: getattr(row, name) for name in names}
        found[row.proposal_id].append(Decision(**values, verdict=Verdict(row.verdict)))
    later = {row.proposal_id for row in rows if row.tap in first and row.id != first[row.tap]}
    return found, later


def _enders(connection: Connection, ids: Sequence[str]) -> dict[str, list[str]]:
    """Who changed what a proposal asks: people, and the program where Polar's state had changed."""
    rows = connection.execute(
        select(editions.c.proposal_id, editions.c.ended_by)
        .where(editions.c.proposal_id.in_(ids))
        .order_by(editions.c.edition)
    )
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[row.proposal_id].append(row.ended_by)
    return found


def _outcomes(connection: Connection, ids: Sequence[str]) -> dict[str, list[Outcome]]:
    rows = connection.execute(
        select(outcomes).where(outcomes.c.proposal_id.in_(ids)).order_by(outcomes.c.at, outcomes.c.id)
    )
    found: defaultdict[str, list[Outcome]] = defaultdict(list)
    for row in rows:
        found[row.proposal_id].append(Outcome(row.proposal_id, OutcomeKind(row.kind), row.source, row.at))
    return found


def tally(connection: Connection, shape: str, learn: Learner, now: datetime) -> None:
    """Count a shape's labels of its present epoch anew, and what was approved so far."""
    found = get_shape(connection, shape)
    if found is None:
        return
    own = (labels.c.shape == shape, labels.c.epoch == found.epoch, labels.c.counted == 1)
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
    values = {"n": n, "k": int(k), "first_at": first_at, "customers": customers, "clean_tail": tail}
    values |= {"audits": audits, "audits_agreed": agreed, "seen": learn(_approved(connection, shape))}
    connection.execute(update(shapes).where(shapes.c.hash == shape).values(values))


def _count(connection: Connection, *where: Any) -> int:
    return connection.execute(select(func.count()).select_from(labels).where(*where)).scalar_one()


def _approved(connection: Connection, shape: str) -> list[list[PlannedCall]]:
    """The calls of the newest cases with a yes by somebody who can have looked, oldest first."""
    newest = (
        connection.execute(
            select(labels.c.proposal_id)
            .where(labels.c.shape == shape, labels.c.bad == 0, labels.c.why.not_in(UNSEEN))
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


def recompute(connection: Connection, shape: str, label: Labeller, learn: Learner, now: datetime) -> None:
    """Make all labels and the tally of a shape anew from the log."""
    connection.execute(delete(labels).where(labels.c.shape == shape))
    ids = connection.execute(select(proposals.c.id).where(proposals.c.shape == shape)).scalars().all()
    for start in range(0, len(ids), 500):
        relabel(connection, ids[start : start + 500], label)
    tally(connection, shape, learn, now)


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
        type_coerce(func.coalesce(one.c.pressed_at, one.c.at), BigInteger) for one in (mine, other)
    )
    at, near = type_coerce(mine.c.at, BigInteger), type_coerce(other.c.at, BigInteger)
    earlier = and_(
        other.c.actor == mine.c.actor,
        near.between(at - _NEAR, at + _NEAR),
        other.c.verdict == Verdict.APPROVE,
        before > pressed - _TOO_SOON,
        or_(before < pressed, and_(before == pressed, other.c.id < mine.c.id)),
        or_(mine.c.tap.is_(None), other.c.tap.is_(None), other.c.tap != mine.c.tap),
        other.c.proposal_id != mine.c.proposal_id,
    )
    yes = (mine.c.verdict == Verdict.APPROVE, mine.c.actor.not_in((POLICY, PROGRAM)))
    found = select(mine.c.proposal_id).where(
        mine.c.proposal_id.in_(ids), *yes, select(other.c.id).where(earlier).exists()
    )
    return set(connection.execute(found).scalars())
