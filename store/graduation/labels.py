"""Labels: what each decided case says for or against its kind, made anew when the log tells of the case."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, delete, insert, select, update

from store.audit_log.log import kinds_of, read_row
from store.engine.dialects import UtcDateTime, row_of
from store.engine.settings_kv import Setting, hold_or_set, write
from store.graduation.past_cases import evidence
from store.graduation.reducer import Generation, generation_of, is_unusual
from store.models import Mode, ProposalKind
from store.models.graduation import CaseHistory, Label
from store.models.reasons import UNSEEN
from store.schema import proposals
from store.schema.graduation import audit_log, case_kinds, case_labels

Labeller = Callable[[CaseHistory], Label | None]
LabelRow = Mapping[str, Any]  # the columns of `case_labels`

_MOST = 500  # labels that are found mature in one look
_NEVER = datetime.min.replace(tzinfo=UTC)
_FIRST = datetime(1970, 1, 2, tzinfo=UTC)
_CASES = (proposals.c.case_kind.is_not(None), proposals.c.kind == ProposalKind.CALLS)
# Built once: every decided case needs them.
_L, _P = case_labels.c, proposals.c
_THESE: BindParameter[Sequence[str]] = bindparam("ids", expanding=True)
_KEPT = select(case_labels).where(_L.proposal_id.in_(_THESE)).order_by(_L.proposal_id)
_GONE = delete(case_labels).where(_L.proposal_id.in_(_THESE))
_RIPENED = update(case_labels).where(_L.proposal_id.in_(_THESE)).values(in_score=1)
_KINDS = select(_P.id, _P.case_kind).where(_P.id.in_(_THESE), *_CASES).order_by(_P.id)
_HISTORIES = (
    select(_P.id, _P.case_kind, _P.state, _P.mode, _P.gate, _P.first_shown_at, _P.customer_id)
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


def cases_by_kind(connection: Connection, ids: Iterable[str]) -> dict[str, list[str]]:
    """The kinds of case of these proposals. Proposals that are no cases are left out."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for id_, case_kind in connection.execute(_KINDS, {"ids": list(ids)}):
        found[case_kind].append(id_)
    return found


def ripening(connection: Connection, now: datetime) -> Ripening:
    """Look once at the approvals that have become mature since the last look, some hundred at most."""
    kept = hold_or_set(connection, Setting.LEARNED_AT, _NEVER.isoformat())
    since = max(datetime.fromisoformat(kept), _FIRST)
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
