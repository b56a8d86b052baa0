"""The step that learns: what the log says since the last look becomes labels, counts, offers and messages."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from store.audit_log.log import kinds_of, read_row
from store.engine.dialects import row_of
from store.engine.settings_kv import Setting, hold_or_set, write
from store.graduation.case_kinds import get_case_kind, graduate
from store.graduation.past_cases import draw_secret, evidence, past_cases, planned_calls
from store.graduation.reducer import LEARNT_FROM, CaseTotals, Generation, LabelSum, generation_of, is_unusual
from store.messages.outbox import add_to_outbox
from store.models import Actor, CaseKindState, Mode, PlannedCall, ProposalKind, ProposalState
from store.models.graduation import Assessor, CaseHistory, Label
from store.models.reasons import UNSEEN, ChangeCause, ChangeCode, Lack, Reason, ReasonCode
from store.proposals.proposals import advance, propose_by_hand
from store.schema import proposals
from store.schema.graduation import audit_log, case_kinds, case_labels

_CHUNK = 500
_BACKTESTED = 2_000  # cases a back-test on a card walks at most: a third of a second
_ABOUT_CASES = ("decision", "edited", "restated", "transition", "outcome")
Labeller = Callable[[CaseHistory], Label | None]
Learner = Callable[[Sequence[Sequence[PlannedCall]]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Assessed:
    """The result of one pass: whether more work waits, and whether there are cards or messages to send."""

    more: bool = False
    cards: bool = False
    notices: bool = False


def assess(connection: Connection, assessor: Assessor, now: datetime) -> Assessed:
    """Read on in the log and bring up to date what follows from it, all in the caller's transaction."""
    read = int(hold_or_set(connection, Setting.LEARNED_ROW, "0"))
    rows = connection.execute(
        select(audit_log.c.seq, audit_log.c.at, audit_log.c.kind, audit_log.c.subject, audit_log.c.body)
        .where(audit_log.c.seq > read)
        .order_by(audit_log.c.seq)
        .limit(_CHUNK)
    ).all()
    cases = {row.subject for row in rows if row.kind in _ABOUT_CASES and row.subject is not None}
    touched = relabel(connection, cases, assessor.label) | _ripened(connection, now)
    for case_kind in sorted(touched):
        tally(connection, case_kind, assessor.learn, now)
    offered = [case_kind for case_kind in sorted(touched) if _offer(connection, case_kind, assessor, now)]
    changes = [row for row in rows if row.kind in kinds_of("case_kind")]
    announced = [row for row in changes if _tell(connection, row, assessor, now)]
    decided = _turn_on(connection, assessor, now)
    if rows:
        write(connection, Setting.LEARNED_ROW, str(rows[-1].seq))
    return Assessed(len(rows) == _CHUNK, bool(offered or decided), bool(announced))


def _ripened(connection: Connection, now: datetime) -> set[str]:
    """The kinds of case of labels whose window has ended since the last look."""
    never = datetime.min.replace(tzinfo=UTC).isoformat()
    before = datetime.fromisoformat(hold_or_set(connection, Setting.LEARNED_AT, never))
    since = max(before, datetime(1970, 1, 2, tzinfo=UTC))
    found = connection.execute(
        select(case_labels.c.case_kind)
        .where(case_labels.c.matures_at > since, case_labels.c.matures_at <= now)
        .distinct()
    ).scalars()
    write(connection, Setting.LEARNED_AT, max(now, since).isoformat())
    return set(found)


def _offer(connection: Connection, case_kind: str, assessor: Assessor, now: datetime) -> bool:
    """Ask a person to let a kind run on its own when its threshold is reached; once for each generation."""
    found = get_case_kind(connection, case_kind)
    if found is None or found.state != CaseKindState.ASKING or assessor.lacks(found, now):
        return False
    if not assessor.wants_offer(found, last_offer(connection, case_kind)):
        return False
    past = past_cases(connection, case_kind=case_kind, most=_BACKTESTED)
    tried = assessor.backtest(found, past, draw_secret(connection) or b"", now)
    question = assessor.offer(found, tried, now)
    if not propose_by_hand(connection, question):
        return False
    offered = {"offered_at": now, "offered_generation": found.generation, "offered_cases": found.cases}
    connection.execute(update(case_kinds).where(case_kinds.c.hash == case_kind).values(offered))
    return True


def last_offer(connection: Connection, case_kind: str) -> ProposalState | None:
    """The state of the newest offer of a kind of case."""
    state = connection.execute(
        select(proposals.c.state)
        .where(proposals.c.case_kind == case_kind, proposals.c.kind == ProposalKind.GRADUATION)
        .order_by(proposals.c.created_at.desc())
        .limit(1)
    ).scalar()
    return None if state is None else ProposalState(state)


def _tell(connection: Connection, row: Any, assessor: Assessor, now: datetime) -> bool:
    found = assessor.notice(row.subject, read_row(row.kind, row.body)[1])
    if found is None:
        return False
    kind, message = found
    return add_to_outbox(connection, f"case_kind:{row.seq}", kind=kind, message=message, at=now)


def _turn_on(connection: Connection, assessor: Assessor, now: datetime) -> int:
    """Carry out the offers that a person has accepted, if the threshold is still met."""
    due = connection.execute(
        select(proposals.c.id, proposals.c.case_kind, proposals.c.decided_by).where(
            proposals.c.state == ProposalState.APPROVED,
            proposals.c.due_at <= now,
            proposals.c.kind == ProposalKind.GRADUATION,
            proposals.c.held_by.is_(None),
        )
    ).all()
    for row in due:
        missing = graduate(
            connection,
            row.case_kind,
            lambda case_kind: assessor.lacks(case_kind, now),
            actor=row.decided_by or Actor.PROGRAM,
            cause=ChangeCause.of(ChangeCode.OFFER_ACCEPTED, proposal=row.id),
            at=now,
        )
        _close(connection, row.id, missing, now)
    return len(due)


def _close(connection: Connection, proposal_id: str, missing: Sequence[Lack], now: datetime) -> None:
    approved = ProposalState.APPROVED
    if missing:
        states, by = (approved, ProposalState.WITHDRAWN), Actor.PROGRAM
        why = Reason.of(ReasonCode.THRESHOLD_NOT_MET, missing=[one.to_json() for one in missing])
        advance(connection, proposal_id, *states, actor=by, at=now, reason=why)
        return
    advance(connection, proposal_id, approved, ProposalState.EXECUTING, at=now)
    said = Reason(ReasonCode.TURNED_ON)
    done = ProposalState.SUCCEEDED
    advance(connection, proposal_id, ProposalState.EXECUTING, done, at=now, reason=said)


def relabel(connection: Connection, ids: Iterable[str], label: Labeller) -> set[str]:
    """Make the labels of these proposals anew; the kinds of case they are of. What is no case is left out."""
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
    row = row_of(label) | {"generation": generation_of(generations, label.decided_at)}
    return row | {"reason_code": row.pop("reason")}


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
    c = proposals.c
    cases = (c.id.in_(ids), c.case_kind.is_not(None), c.kind == ProposalKind.CALLS)
    columns = (c.id, c.case_kind, c.state, c.mode, c.gate, c.first_shown_at)
    rows = connection.execute(select(*columns).where(*cases)).all()
    known = evidence(connection, [row.id for row in rows])
    return [
        CaseHistory(
            proposal_id=row.id,
            case_kind=row.case_kind,
            mode=Mode(row.mode),
            unusual=is_unusual(Mode(row.mode), row.gate or {}),
            **known.of(row),
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
    made = CaseTotals()
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


def _approved(connection: Connection, case_kind: str) -> list[Sequence[PlannedCall]]:
    """The calls of the newest cases approved by somebody who can have looked, oldest first."""
    c = case_labels.c
    own = (c.case_kind == case_kind, c.is_rejection == 0, c.reason_code.not_in(tuple(UNSEEN)))
    order = (c.decided_at.desc(), c.proposal_id.desc())
    wanted = select(c.proposal_id).where(*own).order_by(*order).limit(LEARNT_FROM)
    newest = connection.execute(wanted).scalars().all()
    made = planned_calls(connection, newest)
    return [made.get(one, ()) for one in reversed(newest)]
