"""Queries for looking at trust: kinds of case page by page, and the course of one of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, or_, select

from store.graduation.caps import day, of_case_kind, spent
from store.graduation.case_kinds import read_case_kind
from store.graduation.pause import Paused, paused
from store.models import CaseKindState
from store.models.graduation import CaseKind, Change, Course, Spent
from store.schema.graduation import audit_log, case_kinds, labels

_MOST_POINTS, _MOST_CHANGES = 5_000, 200


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of case as it is looked at. `today`: what it used of its caps; `fell`: its last fall.

    `audits` of all its generations, (agreed, all): one that was not agreed ends its generation, and its
    tally with it.
    """

    case_kind: CaseKind
    today: Spent
    audits: tuple[int, int] = (0, 0)
    fell: Change | None = None


@dataclass(frozen=True, slots=True)
class KindsPage:
    """One page of the kinds that were asked for; `on` of all there are run on their own."""

    found: Sequence[Kind]
    number: int
    total: int
    more: bool
    on: int
    paused: Paused | None


def kinds_page(
    connection: Connection, words: Sequence[str], *, page: int, size: int, now: datetime
) -> KindsPage:
    """The kinds with all of these words, or whose hash begins with the one; those that run first."""
    where = _matching(words)
    total = connection.execute(select(func.count()).select_from(case_kinds).where(*where)).scalar_one()
    number = min(max(page, 1), max(-(-total // size), 1))
    rows = connection.execute(
        select(case_kinds)
        .where(*where)
        .order_by(case_kinds.c.state == CaseKindState.ASKING, case_kinds.c.used_at.desc(), case_kinds.c.hash)
        .limit(size)
        .offset((number - 1) * size)
    ).all()
    on = select(func.count()).select_from(case_kinds).where(case_kinds.c.state == CaseKindState.GRADUATED)
    return KindsPage(
        [_kind(connection, read_case_kind(row), now) for row in rows],
        number,
        total,
        number * size < total,
        connection.execute(on).scalar_one(),
        paused(connection),
    )


def _matching(words: Sequence[str]) -> list[ColumnElement[bool]]:
    like = [case_kinds.c.words.icontains(word, autoescape=True) for word in words]
    if len(words) == 1:
        return [or_(like[0], case_kinds.c.hash.startswith(words[0].lower(), autoescape=True))]
    return like


def _kind(connection: Connection, case_kind: CaseKind, now: datetime) -> Kind:
    band = case_kind.fields.get("amount")
    today = spent(connection, of_case_kind(case_kind.hash), day(now), str(band[1]) if band else None)
    fell = (
        [change for change in changes_of(connection, case_kind.hash) if change.fell]
        if case_kind.generation
        else []
    )
    return Kind(case_kind, today, _audits(connection, case_kind.hash), fell[-1] if fell else None)


def _audits(connection: Connection, case_kind: str) -> tuple[int, int]:
    own = (labels.c.case_kind == case_kind, labels.c.counted == 1, labels.c.audit == 1)
    total, bad = connection.execute(
        select(func.count(), func.coalesce(func.sum(labels.c.bad), 0)).where(*own)
    ).one()
    return total - int(bad), total


def changes_of(connection: Connection, case_kind: str) -> list[Change]:
    """The newest changes of a kind's trust, oldest first, as the log has them."""
    rows = connection.execute(
        select(audit_log.c.at, audit_log.c.body)
        .where(audit_log.c.subject == case_kind, audit_log.c.kind == "case_kind")
        .order_by(audit_log.c.seq.desc())
        .limit(_MOST_CHANGES)
    )
    return [_change(row.at, row.body) for row in rows][::-1]


def _change(at: datetime, body: str) -> Change:
    told = json.loads(body)
    before, after = CaseKindState(told["from"]), CaseKindState(told["to"])
    fell = bool(told["new_generation"]) and before != CaseKindState.ASKING
    return Change(
        at, before, after, told["cause"], bool(told["manual_override"]), int(told["generation"]), fell
    )


def course(connection: Connection, case_kind: str, now: datetime) -> Course:
    """The course of one kind; of a very long one the newest part, with what came before it counted."""
    counted = (labels.c.case_kind == case_kind, labels.c.counted == 1)
    newest = connection.execute(
        select(labels.c.matures_at, labels.c.generation, labels.c.bad)
        .where(*counted, labels.c.matures_at <= now)
        .order_by(labels.c.matures_at.desc(), labels.c.proposal_id)
        .limit(_MOST_POINTS)
    ).all()
    before: dict[int, tuple[int, int]] = {}
    if len(newest) == _MOST_POINTS:
        rows = connection.execute(
            select(labels.c.generation, func.count(), func.sum(labels.c.bad))
            .where(*counted, labels.c.matures_at < newest[-1].matures_at)
            .group_by(labels.c.generation)
        )
        before = {generation: (int(count), int(bad)) for generation, count, bad in rows}
    audits = connection.execute(
        select(labels.c.decided_at)
        .where(*counted, labels.c.audit == 1)
        .order_by(labels.c.decided_at.desc())
        .limit(_MOST_CHANGES)
    ).scalars()
    points = [(row.matures_at, int(row.generation), bool(row.bad)) for row in reversed(newest)]
    return Course(points, before, changes_of(connection, case_kind), list(audits)[::-1])
