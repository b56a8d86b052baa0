"""The counts of a kind of case: moved by the difference when labels change, and counted anew as a check."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, Row, Select, bindparam, func, select, update

from store.engine.dialects import UtcDateTime
from store.graduation.labels import LabelRow, Relabelled
from store.graduation.reducer import LEARNT_FROM, CaseTotals, LabelSum
from store.models import PlannedCall
from store.schema import calls
from store.schema.graduation import case_kinds, case_labels

Learner = Callable[[Sequence[Sequence[PlannedCall]]], Mapping[str, Any]]
Counts = dict[str, Any]  # by the columns of `case_kinds`

COUNTED = tuple(CaseTotals().counts(0))
# Built once: every decided case needs them.
_L, _K = case_labels.c, case_kinds.c
_KIND: BindParameter[str] = bindparam("case_kind")
_KEPT = select(_K.hash, _K.generation, *(_K[name] for name in COUNTED)).where(_K.hash == _KIND)
_OWN = (_L.case_kind == _KIND, _L.generation == bindparam("generation"))
_COUNTED = (*_OWN, _L.is_counted == 1, _L.is_rejection == bindparam("is_rejection"))
_LAST = select(func.max(_L.decided_at)).where(*_COUNTED)
_FIRST = select(_L.decided_at).where(*_COUNTED, _L.in_score == 1).order_by(_L.decided_at).limit(1)
_ALL = select(func.count()).select_from(case_labels).where(*_COUNTED)
_SINCE = _ALL.where(_L.decided_at > bindparam("since", type_=UtcDateTime))
_OTHER = (
    select(_L.proposal_id)
    .where(*_OWN, _L.in_score == 1, _L.customer_id == bindparam("customer"))
    .where(_L.proposal_id.not_in(bindparam("ids", expanding=True)))
    .limit(1)
)
_MOVED = update(case_kinds).where(_K.hash == _KIND)
_NEWEST = (
    select(_L.proposal_id, _L.decided_at)
    .where(_L.case_kind == _KIND, _L.is_learnt == 1)
    .order_by(_L.decided_at.desc(), _L.proposal_id.desc())
    .limit(LEARNT_FROM)
    .subquery("newest")
)
_VALUES = select(
    _NEWEST.c.decided_at, _NEWEST.c.proposal_id, calls.c.number, calls.c.operation, calls.c.body
).join(calls, calls.c.proposal_id == _NEWEST.c.proposal_id)


def kept_counts(connection: Connection, case_kind: str) -> Row[Any] | None:
    """The counts of a kind as they are kept, with its generation."""
    return connection.execute(_KEPT, {"case_kind": case_kind}).one_or_none()


def move_counts(connection: Connection, case_kind: str, changed: Relabelled) -> None:
    """Move a kind's counts by the difference that these labels make. They are written already."""
    kept = kept_counts(connection, case_kind)
    if kept is None:
        return
    before, after = (_of_now(kept, rows) for rows in (changed.before, changed.after))
    if before == after:
        return
    ids = [row["proposal_id"] for row in (*changed.before, *changed.after)]
    counts = _moved(connection, kept, before, after, ids)
    if any(getattr(kept, name) != value for name, value in counts.items()):
        connection.execute(_MOVED, {"case_kind": case_kind, **counts})


def _of_now(kept: Row[Any], rows: Sequence[LabelRow]) -> list[LabelRow]:
    """The counted ones of the present generation."""
    found = [row for row in rows if row["is_counted"] and row["generation"] == kept.generation]
    return sorted(found, key=lambda row: str(row["proposal_id"]))


def _moved(
    connection: Connection,
    kept: Row[Any],
    before: Sequence[LabelRow],
    after: Sequence[LabelRow],
    ids: Sequence[str],
) -> Counts:
    own = {"case_kind": kept.hash, "generation": kept.generation}
    went, came = _totals(before), _totals(after)
    sums = ("cases", "rejections", "spot_checks", "spot_checks_agreed")
    counts: Counts = {name: getattr(kept, name) + getattr(came, name) - getattr(went, name) for name in sums}
    new, lost = came.customers - went.customers, went.customers - came.customers
    known = {one for one in new | lost if _counts_already(connection, own, one, ids)}
    counts["customers"] = kept.customers + len(new - known) - len(lost - known)
    counts["first_at"] = _first(connection, own, kept.first_at, went.first_at, came.first_at)
    last = _last(connection, own, kept.last_rejection_at, went.last_rejection_at, came.last_rejection_at)
    counts["last_rejection_at"] = last
    if last == kept.last_rejection_at:
        difference = _approvals(after, last) - _approvals(before, last)
        counts["approvals_since_rejection"] = kept.approvals_since_rejection + difference
    else:  # rare, and it counts no further back than the rejection
        counts["approvals_since_rejection"] = _approvals_since(connection, own, last)
    return counts


def _totals(rows: Iterable[LabelRow]) -> CaseTotals:
    made = CaseTotals()
    for row in rows:
        rejection, check, mature = (bool(row[one]) for one in ("is_rejection", "is_spot_check", "in_score"))
        at = row["decided_at"]
        made.add(LabelSum(rejection, check, mature, row["customer_id"], 1, at, at))
    return made


def _counts_already(
    connection: Connection, own: Mapping[str, Any], customer: str, ids: Sequence[str]
) -> bool:
    """Tell whether a case other than these counts for the customer."""
    return connection.execute(_OTHER, {**own, "customer": customer, "ids": ids}).first() is not None


def _first(connection: Connection, own: Mapping[str, Any], kept: Any, went: Any, came: Any) -> Any:
    if went is not None and went == kept and came != went:
        found = [connection.execute(_FIRST, {**own, "is_rejection": one}).scalar() for one in (0, 1)]
        return min((one for one in found if one is not None), default=None)
    return min((one for one in (kept, came) if one is not None), default=None)


def _last(connection: Connection, own: Mapping[str, Any], kept: Any, went: Any, came: Any) -> Any:
    if went is not None and went == kept and came != went:
        return connection.execute(_LAST, {**own, "is_rejection": 1}).scalar()
    return max((one for one in (kept, came) if one is not None), default=None)


def _approvals(rows: Iterable[LabelRow], since: Any) -> int:
    return sum(not row["is_rejection"] and (since is None or row["decided_at"] > since) for row in rows)


def _approvals_since(connection: Connection, own: Mapping[str, Any], since: Any) -> int:
    query = _ALL if since is None else _SINCE
    more = {} if since is None else {"since": since}
    found: int = connection.execute(query, {**own, "is_rejection": 0, **more}).scalar_one()
    return found


def recount(connection: Connection, case_kind: str, generation: int) -> Counts:
    """The counts of a kind from all labels of its generation: reads all of them."""
    own = {"case_kind": case_kind, "generation": generation}
    last = connection.execute(_LAST, {**own, "is_rejection": 1}).scalar()
    found = connection.execute(_RECOUNT, own).one()._asdict()
    return found | {
        "last_rejection_at": last,
        "approvals_since_rejection": _approvals_since(connection, own, last),
    }


def _recount() -> Select[Any]:
    def count(what: Any, *where: ColumnElement[bool]) -> Any:
        return select(what).select_from(case_labels).where(*_OWN, *where).scalar_subquery()

    score, checks = _L.in_score == 1, (_L.is_counted == 1, _L.is_spot_check == 1)
    return select(
        count(func.count(), score).label("cases"),
        count(func.count(), score, _L.is_rejection == 1).label("rejections"),
        count(func.count(_L.customer_id.distinct()), score).label("customers"),
        count(func.min(_L.decided_at), score).label("first_at"),
        count(func.count(), *checks).label("spot_checks"),
        count(func.count(), *checks, _L.is_rejection == 0).label("spot_checks_agreed"),
    )


_RECOUNT = _recount()


def learn_values(connection: Connection, case_kind: str, learn: Learner) -> None:
    """Learn the values of the newest cases approved by somebody who can have looked, oldest first."""
    made: dict[str, list[PlannedCall]] = {}
    rows = connection.execute(_VALUES, {"case_kind": case_kind}).all()
    for _, proposal_id, _, operation, body in sorted(rows, key=itemgetter(0, 1, 2)):
        made.setdefault(proposal_id, []).append(PlannedCall(operation, body=body))
    values = learn(list(made.values()))
    connection.execute(_MOVED, {"case_kind": case_kind, "approved_values": values})
