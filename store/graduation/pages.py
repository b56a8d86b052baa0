"""Queries for looking at trust: kinds of case page by page, and the history of one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select

from store.audit_log.log import kinds_of, read_row
from store.graduation.caps import spent
from store.graduation.case_kinds import read_case_kind
from store.graduation.pause import Paused, paused
from store.graduation.usage import Since, day, of_case_kind
from store.models import CaseKindState
from store.models.graduation import CaseKind, Change, History, KindStanding
from store.models.trust_codes import ChangeCause, ChangeCode
from store.schema.graduation import audit_log, case_kinds, case_labels

_MOST_POINTS, _MOST_CHANGES = 5_000, 200


@dataclass(frozen=True, slots=True)
class KindsPage:
    """One page of the kinds that were asked for; `on` of all there are run on their own."""

    found: Sequence[KindStanding]
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
        .order_by(
            case_kinds.c.state == CaseKindState.ASKING, case_kinds.c.last_case_at.desc(), case_kinds.c.hash
        )
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
    like = [case_kinds.c.label.icontains(word, autoescape=True) for word in words]
    if len(words) == 1:
        return [or_(like[0], case_kinds.c.hash.startswith(words[0].lower(), autoescape=True))]
    return like


def _kind(connection: Connection, case_kind: CaseKind, now: datetime) -> KindStanding:
    today = spent(connection, Since(of_case_kind(case_kind.hash), day(now)), case_kind.currency)
    changes = changes_of(connection, case_kind.hash) if case_kind.generation else []
    demotion = next((one for one in reversed(changes) if one.demoted), None)
    return KindStanding(case_kind, today, _spot_checks(connection, case_kind.hash), demotion)


def _spot_checks(connection: Connection, case_kind: str) -> tuple[int, int]:
    c = case_labels.c
    total, rejected = connection.execute(
        select(func.count(), func.coalesce(func.sum(c.is_rejection), 0)).where(
            c.case_kind == case_kind, c.is_counted == 1, c.is_spot_check == 1
        )
    ).one()
    return total - int(rejected), total


def changes_of(connection: Connection, case_kind: str) -> list[Change]:
    """The newest changes of a kind's trust, oldest first, as the log has them."""
    rows = connection.execute(
        select(audit_log.c.at, audit_log.c.kind, audit_log.c.body)
        .where(audit_log.c.subject == case_kind, audit_log.c.kind.in_(kinds_of("case_kind")))
        .order_by(audit_log.c.seq.desc())
        .limit(_MOST_CHANGES)
    )
    return [_change(row.at, read_row(row.kind, row.body)[1]) for row in rows][::-1]


def _change(at: datetime, body: Mapping[str, Any]) -> Change:
    before, after = CaseKindState(body["from"]), CaseKindState(body["to"])
    return Change(
        at=at,
        from_=before,
        to=after,
        cause=ChangeCause(ChangeCode(body["cause_code"]), body["cause_args"]),
        manual_override=bool(body["manual_override"]),
        generation=int(body["generation"]),
        demoted=bool(body["new_generation"]) and before != CaseKindState.ASKING,
    )


def history(connection: Connection, case_kind: str, now: datetime) -> History:
    """The history of one kind; of a very long one the newest part, with what came before it counted."""
    c = case_labels.c
    counted = (c.case_kind == case_kind, c.is_counted == 1)
    newest = connection.execute(
        select(c.matures_at, c.generation, c.is_rejection)
        .where(*counted, c.matures_at <= now)
        .order_by(c.matures_at.desc(), c.proposal_id)
        .limit(_MOST_POINTS)
    ).all()
    before: dict[int, tuple[int, int]] = {}
    if len(newest) == _MOST_POINTS:
        rows = connection.execute(
            select(c.generation, func.count(), func.sum(c.is_rejection))
            .where(*counted, c.matures_at < newest[-1].matures_at)
            .group_by(c.generation)
        )
        before = {generation: (int(count), int(rejected)) for generation, count, rejected in rows}
    checks = connection.execute(
        select(c.decided_at)
        .where(*counted, c.is_spot_check == 1)
        .order_by(c.decided_at.desc())
        .limit(_MOST_CHANGES)
    ).scalars()
    points = [(row.matures_at, int(row.generation), bool(row.is_rejection)) for row in reversed(newest)]
    return History(points, before, changes_of(connection, case_kind), list(checks)[::-1])
