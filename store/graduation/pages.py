"""Queries for looking at trust: kinds of case page by page, the history of one, and what ran on its own."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, func, literal_column, or_, select

from store.audit_log.log import kinds_of, read_row
from store.engine.dialects import values_of
from store.graduation.case_kinds import get_case_kind, paused, spent
from store.graduation.reducer import Since, day, of_case_kind
from store.models import WENT_WRONG, CaseKindState, Mode, OutcomeKind, ProposalState
from store.models.graduation import AutomaticRuns, CaseKind, Change, History, KindsPage, KindStanding
from store.models.reasons import ChangeCause, ChangeCode, LabelReason
from store.schema import proposals
from store.schema.graduation import audit_log, case_kinds, case_labels, outcomes

_MOST_POINTS, _MOST_CHANGES = 5_000, 200
# The kind of a proposal. Not by the index of kinds, which holds years: what ran today is found by its time.
_KIND = func.coalesce(proposals.c.case_kind, literal_column("''"))


def kinds_page(
    connection: Connection, words: Sequence[str], *, page: int, size: int, now: datetime
) -> KindsPage:
    """The kinds with all of these words, or whose hash begins with the one; those that run first."""
    where = _matching(words)
    total = connection.execute(select(func.count()).select_from(case_kinds).where(*where)).scalar_one()
    number = min(max(page, 1), max(-(-total // size), 1))
    c = case_kinds.c
    order = (c.state == CaseKindState.ASKING, c.last_case_at.desc(), c.hash)
    found = select(case_kinds).where(*where).order_by(*order).limit(size).offset((number - 1) * size)
    on = select(func.count()).select_from(case_kinds).where(case_kinds.c.state == CaseKindState.GRADUATED)
    return KindsPage(
        [_kind(connection, one, now) for one in values_of(connection, found, CaseKind)],
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
    own = c.case_kind == case_kind
    lapsed = select(func.count()).where(own, c.is_learnt == 0, c.reason_code == LabelReason.LAPSED)
    total, rejected, undecided = connection.execute(
        select(
            func.count(), func.coalesce(func.sum(c.is_rejection), 0), lapsed.correlate(None).scalar_subquery()
        ).where(own, c.is_counted == 1, c.is_spot_check == 1)
    ).one()
    return total - int(rejected), total + undecided


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


def automatic_runs(connection: Connection, since: datetime, now: datetime) -> list[AutomaticRuns]:
    """The automatic runs since then, the most frequent kind first."""
    ran = (proposals.c.decided_at >= since, proposals.c.mode == Mode.AUTO)
    counted = connection.execute(
        select(_KIND, proposals.c.state, func.count()).where(*ran).group_by(_KIND, proposals.c.state)
    )
    states: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for case_kind, state, count in counted:
        states[case_kind][state] = count
    taken_back = _taken_back(connection, since)
    moved = _moved(connection, ran)
    found = []
    for case_kind, by_state in states.items():
        known = get_case_kind(connection, case_kind)
        if known is None:
            continue
        today = spent(connection, Since(of_case_kind(case_kind), day(now)), known.currency)
        failed = sum(by_state.get(state, 0) for state in WENT_WRONG)
        undone = taken_back.get(case_kind, 0)
        found.append(AutomaticRuns(known, sum(by_state.values()), failed, undone, moved[case_kind], today))
    return sorted(found, key=lambda one: (-one.count, one.case_kind.label))


def _moved(connection: Connection, ran: tuple[ColumnElement[bool], ...]) -> dict[str, dict[str, int]]:
    """The money that succeeded, as the gate counted it when it let each case run."""
    currency = proposals.c.gate["currency"].as_string()
    # Not as_integer(): on PostgreSQL that ends at two billion, which is a thousand dollars in rupiah.
    amount = cast(proposals.c.gate["amount"].as_string(), BigInteger)
    state = proposals.c.state
    rows = connection.execute(
        select(_KIND, state, currency, func.sum(amount))
        .where(*ran, amount > 0)
        .group_by(_KIND, state, currency)
    )
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for case_kind, came, code, total in rows:
        if came == ProposalState.SUCCEEDED:
            found[case_kind][code] = int(total)
    return found


def _taken_back(connection: Connection, since: datetime) -> dict[str, int]:
    """The number of automatic runs that were undone, reversed or disputed since then, by kind of case."""
    kinds = [OutcomeKind.UNDONE, OutcomeKind.REVERSED, OutcomeKind.DISPUTED]
    told = select(outcomes.c.proposal_id).where(outcomes.c.at >= since, outcomes.c.kind.in_(kinds))
    rows = connection.execute(
        select(_KIND, func.count())
        .where(proposals.c.mode == Mode.AUTO, proposals.c.id.in_(told))
        .group_by(_KIND)
    )
    return dict(tuple(row) for row in rows)
