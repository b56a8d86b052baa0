"""Queries for looking at trust: kinds of case page by page, and the course of one of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, or_, select

from store.graduation.caps import day, of_shape, spent
from store.graduation.case_kinds import read_shape
from store.graduation.pause import Paused, paused
from store.models import ShapeState
from store.models.graduation import Change, Course, Shape, Spent
from store.schema.graduation import labels, ledger, shapes

_MOST_POINTS, _MOST_CHANGES = 5_000, 200


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of case as it is looked at. `today`: what it used of its caps; `fell`: its last fall.

    `audits` of all its epochs, (agreed, all): one that was not agreed ends its epoch, and its tally with it.
    """

    shape: Shape
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
    total = connection.execute(select(func.count()).select_from(shapes).where(*where)).scalar_one()
    number = min(max(page, 1), max(-(-total // size), 1))
    rows = connection.execute(
        select(shapes)
        .where(*where)
        .order_by(shapes.c.state == ShapeState.ASKING, shapes.c.used_at.desc(), shapes.c.hash)
        .limit(size)
        .offset((number - 1) * size)
    ).all()
    on = select(func.count()).select_from(shapes).where(shapes.c.state == ShapeState.GRADUATED)
    return KindsPage(
        [_kind(connection, read_shape(row), now) for row in rows],
        number,
        total,
        number * size < total,
        connection.execute(on).scalar_one(),
        paused(connection),
    )


def _matching(words: Sequence[str]) -> list[ColumnElement[bool]]:
    like = [shapes.c.words.icontains(word, autoescape=True) for word in words]
    if len(words) == 1:
        return [or_(like[0], shapes.c.hash.startswith(words[0].lower(), autoescape=True))]
    return like


def _kind(connection: Connection, shape: Shape, now: datetime) -> Kind:
    band = shape.fields.get("amount")
    today = spent(connection, of_shape(shape.hash), day(now), str(band[1]) if band else None)
    fell = [change for change in changes_of(connection, shape.hash) if change.fell] if shape.epoch else []
    return Kind(shape, today, _audits(connection, shape.hash), fell[-1] if fell else None)


def _audits(connection: Connection, shape: str) -> tuple[int, int]:
    own = (labels.c.shape == shape, labels.c.counted == 1, labels.c.audit == 1)
    total, bad = connection.execute(
        select(func.count(), func.coalesce(func.sum(labels.c.bad), 0)).where(*own)
    ).one()
    return total - int(bad), total


def changes_of(connection: Connection, shape: str) -> list[Change]:
    """The newest changes of a kind's trust, oldest first, as the log has them."""
    rows = connection.execute(
        select(ledger.c.at, ledger.c.body)
        .where(ledger.c.subject == shape, ledger.c.kind == "shape")
        .order_by(ledger.c.seq.desc())
        .limit(_MOST_CHANGES)
    )
    return [_change(row.at, row.body) for row in rows][::-1]


def _change(at: datetime, body: str) -> Change:
    told = json.loads(body)
    before, after = ShapeState(told["from"]), ShapeState(told["to"])
    fell = bool(told["new_epoch"]) and before != ShapeState.ASKING
    return Change(at, before, after, told["cause"], bool(told["decree"]), int(told["epoch"]), fell)


def course(connection: Connection, shape: str, now: datetime) -> Course:
    """The course of one kind; of a very long one the newest part, with what came before it counted."""
    counted = (labels.c.shape == shape, labels.c.counted == 1)
    newest = connection.execute(
        select(labels.c.matures_at, labels.c.epoch, labels.c.bad)
        .where(*counted, labels.c.matures_at <= now)
        .order_by(labels.c.matures_at.desc(), labels.c.proposal_id)
        .limit(_MOST_POINTS)
    ).all()
    before: dict[int, tuple[int, int]] = {}
    if len(newest) == _MOST_POINTS:
        rows = connection.execute(
            select(labels.c.epoch, func.count(), func.sum(labels.c.bad))
            .where(*counted, labels.c.matures_at < newest[-1].matures_at)
            .group_by(labels.c.epoch)
        )
        before = {epoch: (int(count), int(bad)) for epoch, count, bad in rows}
    audits = connection.execute(
        select(labels.c.decided_at)
        .where(*counted, labels.c.audit == 1)
        .order_by(labels.c.decided_at.desc())
        .limit(_MOST_CHANGES)
    ).scalars()
    points = [(row.matures_at, int(row.epoch), bool(row.bad)) for row in reversed(newest)]
    return Course(points, before, changes_of(connection, shape), list(audits)[::-1])
