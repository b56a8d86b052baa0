"""Labels: what each decided case says for or against its kind, and the counts that follow from them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from store.audit_log.log import kinds_of, read_row
from store.engine.dialects import UtcDateTime, row_of
from store.engine.settings_kv import Setting, hold_or_set, write
from store.graduation.past_cases import LAPSED_AT, evidence
from store.graduation.reducer import (
    LEARNT_FROM,
    MOST_LAPSES,
    CaseTotals,
    Generation,
    LabelSum,
    generation_of,
    is_unusual,
)
from store.models import Mode, NewProposal, PlannedCall, ProposalKind
from store.models.graduation import Asked, CaseHistory, Label
from store.models.reasons import UNSEEN, LabelReason
from store.schema import calls, proposals
from store.schema.graduation import audit_log, case_kinds, case_labels

Labeller = Callable[[CaseHistory], Label | None]
LabelRow = Mapping[str, Any]  # the columns of `case_labels`

_MOST = 500  # labels that are found mature in one look
_NEVER = datetime.min.replace(tzinfo=UTC)
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
_CASES = (proposals.c.case_kind.is_not(None), proposals.c.kind == ProposalKind.CALLS)
# Built once: every decided case needs them.
_L, _P = case_labels.c, proposals.c
_THESE: BindParameter[Sequence[str]] = bindparam("ids", expanding=True)
_KEPT = select(case_labels).where(_L.proposal_id.in_(_THESE)).order_by(_L.proposal_id)
_GONE = delete(case_labels).where(_L.proposal_id.in_(_THESE))
_RIPENED = update(case_labels).where(_L.proposal_id.in_(_THESE)).values(in_score=1)
_KINDS = select(_P.id, _P.case_kind).where(_P.id.in_(_THESE), *_CASES).order_by(_P.id)
_HISTORIES = (
    select(_P.id, _P.case_kind, _P.state, _P.mode, _P.gate, _P.first_shown_at, _P.customer_id, LAPSED_AT)
    .where(_P.id.in_(_THESE), *_CASES)
    .order_by(_P.id)
)
_WAITS = (
    _L.matures_at > bindparam("since", type_=UtcDateTime),
    _L.matures_at <= bindparam("until", type_=UtcDateTime),
    _L.is_counted == 1,
    _L.in_score == 0,
)
_RIPE = select(_L.proposal_id, _L.case_kind).where(*_WAITS)
_LAST_RIPE = select(_L.matures_at).where(*_WAITS).order_by(_L.matures_at).offset(_MOST - 1).limit(1)
_NOW = select(case_kinds.c.generation, case_kinds.c.generation_at).where(
    case_kinds.c.hash == bindparam("case_kind")
)
_CHECKED = (  # all mature as long after they ended, and an index has that order
    select(_L.proposal_id, _L.reason_code)
    .join(case_kinds, case_kinds.c.hash == _L.case_kind)
    .where(_L.case_kind == bindparam("case_kind"), _L.generation == case_kinds.c.generation)
    .where(_L.is_spot_check == 1)
    .order_by(_L.matures_at.desc())
    .limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class Relabelled:
    """The labels of some cases as they were and as they are."""

    before: Sequence[LabelRow]
    after: Sequence[LabelRow]

    def __add__(self, other: "Relabelled") -> "Relabelled":
        return Relabelled([*self.before, *other.before], [*self.after, *other.after])


@dataclass(frozen=True, slots=True)
class Ripening:
    """The approvals that are mature `until` then and were not before, by kind of case; whether more wait."""

    ids: Mapping[str, Sequence[str]]
    until: datetime
    more: bool


def has_lapsed(row: LabelRow) -> bool:
    """Tell whether it is that of a spot check that ended undecided."""
    return bool(row["reason_code"] == LabelReason.LAPSED)


def newest_spot_checks(connection: Connection, case_kind: str) -> list[tuple[str, bool]]:
    """The newest spot checks of a kind that ended in its generation: the proposal, and whether it lapsed."""
    rows = connection.execute(_CHECKED, {"case_kind": case_kind, "most": MOST_LAPSES})
    return [(row.proposal_id, has_lapsed(row._asdict())) for row in rows]


def cases_by_kind(connection: Connection, ids: Iterable[str]) -> dict[str, list[str]]:
    """The kinds of case of these proposals. Proposals that are no cases are left out."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for id_, case_kind in connection.execute(_KINDS, {"ids": list(ids)}):
        found[case_kind].append(id_)
    return found


def ripening(connection: Connection, now: datetime) -> Ripening:
    """Look once at the approvals that have become mature since the last look, some hundred at most."""
    kept = hold_or_set(connection, Setting.LEARNED_AT, _NEVER.isoformat())
    since = max(datetime.fromisoformat(kept), _EARLIEST)
    until = max(now, since)
    last = connection.execute(_LAST_RIPE, {"since": since, "until": until}).scalar()
    until = last or until
    found: defaultdict[str, list[str]] = defaultdict(list)
    rows = connection.execute(_RIPE, {"since": since, "until": until}).all()
    for id_, case_kind in sorted(map(tuple, rows)):
        found[case_kind].append(id_)
    if until.isoformat() != kept:
        write(connection, Setting.LEARNED_AT, until.isoformat())
    return Ripening(found, until, last is not None)


def ripen(connection: Connection, ids: Sequence[str]) -> Relabelled:
    """Let these approvals count in the score from now on."""
    if not ids:
        return Relabelled((), ())
    before = [row._asdict() for row in connection.execute(_KEPT, {"ids": ids})]
    connection.execute(_RIPENED, {"ids": ids})
    return Relabelled(before, [row | {"in_score": 1} for row in before])


def relabel(connection: Connection, ids: Sequence[str], label: Labeller, until: datetime) -> Relabelled:
    """Make the labels of these cases anew. An approval counts in the score if it is mature `until` then."""
    before = {row.proposal_id: row._asdict() for row in connection.execute(_KEPT, {"ids": ids})}
    generations: dict[str, _Generations] = {}
    after = {}
    for one in histories(connection, ids):
        if (made := label(one)) is not None:
            known = generations.setdefault(one.case_kind, _Generations(connection, one.case_kind))
            after[one.proposal_id] = _row(made, one.customer_id, known.of(made.decided_at), until)
    gone = [id_ for id_, row in before.items() if after.get(id_) != row]
    new = [row for id_, row in after.items() if before.get(id_) != row]
    if gone:
        connection.execute(_GONE, {"ids": gone})
    if new:
        connection.execute(insert(case_labels), new)
    return Relabelled([*before.values()], [*after.values()])


def _row(label: Label, customer_id: str | None, generation: int, until: datetime) -> dict[str, Any]:
    row = row_of(label)
    counts = label.is_counted and (label.is_rejection or label.matures_at <= until)
    learnt = not label.is_rejection and label.reason not in UNSEEN
    return row | {
        "reason_code": row.pop("reason").value,
        "generation": generation,
        "customer_id": customer_id,
        "in_score": int(counts),
        "is_learnt": int(learnt),
    }


class _Generations:
    """The generations of one kind of case. The log is read for what was decided before the present one."""

    def __init__(self, connection: Connection, case_kind: str) -> None:
        self._connection, self._case_kind = connection, case_kind
        self._number, self._at = connection.execute(_NOW, {"case_kind": case_kind}).one()
        self._all: list[Generation] = []

    def of(self, decided_at: datetime) -> int:
        """The generation of a decision."""
        if self._number == 0 or decided_at > self._at:
            return int(self._number)
        self._all = self._all or generations_of(self._connection, self._case_kind)
        return generation_of(self._all, decided_at)


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
    rows = connection.execute(_HISTORIES, {"ids": list(ids)}).all()
    known = evidence(connection, [row.id for row in rows])
    return [
        CaseHistory(
            proposal_id=row.id,
            case_kind=row.case_kind,
            mode=Mode(row.mode),
            unusual=is_unusual(Mode(row.mode), row.gate or {}),
            customer_id=row.customer_id,
            **known.of(row),
        )
        for row in rows
    ]


# --- The counts of a kind of case -------------------------------------------------------------------------


Learner = Callable[[Sequence[Asked | NewProposal]], Mapping[str, Any]]
Counts = dict[str, Any]  # by the columns of `case_kinds`

COUNTED = tuple(CaseTotals().counts(0))
# Built once: every decided case needs them.
_K = case_kinds.c
_KIND: BindParameter[str] = bindparam("case_kind")
_KEPT_COUNTS = select(_K.hash, _K.generation, *(_K[name] for name in COUNTED)).where(_K.hash == _KIND)
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
_C = calls.c
_VALUES = (
    select(_NEWEST.c.decided_at, _NEWEST.c.proposal_id, _C.number, _C.operation, _C.path, _C.query, _C.body)
    .add_columns(_P.created_at, _P.subject, _P.customer_id)
    .join(calls, _C.proposal_id == _NEWEST.c.proposal_id)
    .join(proposals, _P.id == _NEWEST.c.proposal_id)
)


def kept_counts(connection: Connection, case_kind: str) -> Row[Any] | None:
    """The counts of a kind as they are kept, with its generation."""
    return connection.execute(_KEPT_COUNTS, {"case_kind": case_kind}).one_or_none()


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
    """The counted ones of the present generation, and its spot checks that lapsed."""
    counted = (row for row in rows if row["is_counted"] or has_lapsed(row))
    found = [row for row in counted if row["generation"] == kept.generation]
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
        made.add(LabelSum(rejection, check, mature, row["customer_id"], 1, at, at, has_lapsed(row)))
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
    approved = (row for row in rows if row["is_counted"] and not row["is_rejection"])
    return sum(since is None or row["decided_at"] > since for row in approved)


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

    lapsed = _L.reason_code == LabelReason.LAPSED
    score, check = _L.in_score == 1, _L.is_spot_check == 1
    return select(
        count(func.count(), score).label("cases"),
        count(func.count(), score, _L.is_rejection == 1).label("rejections"),
        count(func.count(_L.customer_id.distinct()), score).label("customers"),
        count(func.min(_L.decided_at), score).label("first_at"),
        count(func.count(), check, or_(_L.is_counted == 1, lapsed)).label("spot_checks"),
        count(func.count(), check, _L.is_counted == 1, _L.is_rejection == 0).label("spot_checks_agreed"),
    )


_RECOUNT = _recount()


def learn_values(connection: Connection, case_kind: str, learn: Learner) -> None:
    """Learn the values of the newest cases approved by somebody who can have looked, oldest first."""
    made: dict[str, Asked] = {}
    planned: defaultdict[str, list[PlannedCall]] = defaultdict(list)
    rows = connection.execute(_VALUES, {"case_kind": case_kind}).all()
    for row in sorted(rows, key=itemgetter(0, 1, 2)):
        own = planned[row.proposal_id]
        own.append(PlannedCall(row.operation, row.path, row.query, row.body))
        made[row.proposal_id] = Asked(own, row.created_at, row.subject, row.customer_id)
    values = learn(list(made.values()))
    connection.execute(_MOVED, {"case_kind": case_kind, "approved_values": values})
