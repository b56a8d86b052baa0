"""The step that learns: what the log says since the last look becomes labels, counts, messages and offers."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from traceback import extract_tb
from typing import Any, TypeVar

from sqlalchemy import BindParameter, Connection, bindparam, delete, func, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from store.audit_log.log import kinds_of, read_row
from store.engine.dialects import UtcDateTime, insert_new
from store.engine.settings_kv import Setting, hold_or_set, write
from store.graduation.case_kinds import demote, get_case_kind, graduate, hold_trust
from store.graduation.labels import (
    LabelRow,
    Relabelled,
    Ripening,
    cases_by_kind,
    has_lapsed,
    learn_values,
    move_counts,
    newest_spot_checks,
    relabel,
    ripen,
    ripening,
)
from store.graduation.past_cases import case_ids, draw_secret, past_cases
from store.graduation.reducer import cause_of_lapse
from store.messages.outbox import add_to_outbox, coded
from store.models import Actor, CaseKindState, NewProposal, ProposalKind, ProposalState
from store.models.details import OutboxCode
from store.models.graduation import Assessor, CaseKind, PastCase, SetAside
from store.models.reasons import ChangeCause, ChangeCode, Lack, Reason, ReasonCode, read_reason
from store.proposals.proposals import advance, propose_by_hand
from store.schema import proposals
from store.schema.graduation import audit_log, case_kinds, unlearned_cases

_CHUNK = 500
_ABOUT_CASES = ("decision", "edited", "restated", "transition", "outcome")
_A = audit_log.c
_NEWS = (
    select(_A.seq, _A.kind, _A.subject, _A.body)
    .where(_A.seq > bindparam("read"))
    .order_by(_A.seq)
    .limit(_CHUNK)
)


@dataclass(frozen=True, slots=True)
class Assessed:
    """The result of one pass: whether more work waits, and whether there are cards or messages to send;
    `offers` are the kinds of case that may be offered to run on their own; `failed` were set aside.
    """

    more: bool = False
    cards: bool = False
    notices: bool = False
    offers: Sequence[str] = ()
    failed: Sequence[SetAside] = ()


@dataclass(slots=True)
class _Work:
    """The sources of one kind: cases that the log tells of, and approvals that became mature."""

    cases: set[str] = field(default_factory=set)
    ripe: set[str] = field(default_factory=set)
    again: bool = False  # it was set aside, and is assessed again
    more: bool = False  # there are more cases than one pass takes


def assess(connection: Connection, assessor: Assessor, now: datetime) -> Assessed:
    """Read on in the log and bring up to date what follows from it, all in the caller's transaction."""
    read = int(hold_or_set(connection, Setting.LEARNED_ROW, "0"))
    rows = connection.execute(_NEWS, {"read": read}).all()
    ripe, aside = ripening(connection, now), retries(connection)
    work = _work(connection, rows, ripe, [one for one, due in aside.items() if due <= now])
    if work:
        hold_trust(connection)  # nobody changes a kind while its counts move
    offers = []
    for case_kind, own in sorted(work.items()):
        if case_kind in aside and not own.again:
            postpone(connection, case_kind, own.cases | own.ripe)
        elif _learn(connection, case_kind, own, assessor, ripe.until, now=now):
            offers.append(case_kind)
    changes = [row for row in rows if row.kind in kinds_of("case_kind")]
    announced = [row for row in changes if _tell(connection, row, assessor, now)]
    decided = turn_on(connection, assessor, now)
    if rows:
        write(connection, Setting.LEARNED_ROW, str(rows[-1].seq))
    more = len(rows) == _CHUNK or ripe.more or any(own.more for own in work.values())
    failed = [one for one in set_aside_kinds(connection) if aside.get(one.case_kind) != one.retry_at]
    return Assessed(more, bool(decided), bool(announced), offers, failed)


def _work(
    connection: Connection, rows: Sequence[Any], ripe: Ripening, again: Sequence[str]
) -> Mapping[str, _Work]:
    """The work to learn from, by kind of case; `again` are kinds that were set aside."""
    work: defaultdict[str, _Work] = defaultdict(_Work)
    cases = {row.subject for row in rows if row.kind in _ABOUT_CASES and row.subject is not None}
    if cases:
        for case_kind, ids in cases_by_kind(connection, cases).items():
            work[case_kind].cases.update(ids)
    for case_kind, ripened in ripe.ids.items():
        work[case_kind].ripe.update(ripened)
    for case_kind in again:
        waiting, own = postponed(connection, case_kind), work[case_kind]
        own.cases.update(waiting)
        own.again, own.more = True, len(waiting) == MOST_POSTPONED
    return work


def _learn(
    connection: Connection, case_kind: str, own: _Work, assessor: Assessor, until: datetime, *, now: datetime
) -> bool:
    """Learn from the work of one kind, or set the kind aside; whether to offer it now."""
    count = partial(_count, connection, case_kind, own, assessor, until, now=now)
    if attempt(connection, case_kind, Step.LEARN, count, now) is None:
        postpone(connection, case_kind, own.cases | own.ripe)
        return False
    offer = partial(wants_offer, connection, case_kind, assessor, now)
    return attempt(connection, case_kind, Step.OFFER, offer, now) is not None


def _count(
    connection: Connection, case_kind: str, own: _Work, assessor: Assessor, until: datetime, *, now: datetime
) -> Relabelled:
    """Make the labels anew and move the counts by the difference. Spot checks that lapsed in a row demote."""
    labels = relabel(connection, list(own.cases), assessor.label, until)
    changed = labels + ripen(connection, list(own.ripe - own.cases))
    move_counts(connection, case_kind, changed)
    if own.again or any(row["is_learnt"] for row in (*labels.before, *labels.after)):
        learn_values(connection, case_kind, assessor.learn)
    if own.again:
        forget_postponed(connection, list(own.cases))
        if not own.more:
            take_back(connection, case_kind)
    if _lapsed(labels.after) - _lapsed(labels.before):
        cause = cause_of_lapse(newest_spot_checks(connection, case_kind))
        if cause is not None:
            demote(connection, case_kind, cause=cause, at=now)
    return changed


def _lapsed(rows: Sequence[LabelRow]) -> set[str]:
    return {row["proposal_id"] for row in rows if has_lapsed(row)}


def _tell(connection: Connection, row: Any, assessor: Assessor, now: datetime) -> bool:
    def tell() -> bool:
        found = assessor.notice(row.subject, read_row(row.kind, row.body)[1])
        if found is None:
            return False
        kind, message = found
        return add_to_outbox(connection, name, kind=kind, message=message, at=now)

    name = f"case_kind:{row.seq}"
    told = attempt(connection, row.subject, Step.TELL, tell, now)
    if told is not None:
        return told
    # The log is not read again: that trust has changed is said now, if not how.
    known = get_case_kind(connection, row.subject)
    plain = coded(OutboxCode.TRUST_CHANGED, label=None if known is None else known.label)
    return add_to_outbox(connection, name, kind="trust", message=plain, at=now)


# --- Offers to let a kind of case run on its own ----------------------------------------------------------


_BACKTESTED = 2_000  # cases a back-test on a card walks at most: a third of a second
_P = proposals.c
_GRADUATION = _P.kind == ProposalKind.GRADUATION
_LAST = (
    select(_P.state)
    .where(_P.case_kind == bindparam("case_kind"), _GRADUATION)
    .order_by(_P.created_at.desc())
    .limit(1)
)
_DUE = select(_P.id, _P.case_kind, _P.decided_by).where(
    _P.state == ProposalState.APPROVED,
    _P.due_at <= bindparam("now", type_=_P.due_at.type),
    _GRADUATION,
    _P.held_by.is_(None),
    _P.case_kind.not_in(select(case_kinds.c.hash).where(case_kinds.c.retry_at.is_not(None))),
)


@dataclass(frozen=True, slots=True)
class OfferBasis:
    """A kind of case that meets its threshold, and the cases of its back-test, oldest first."""

    case_kind: CaseKind
    past: Sequence[PastCase]
    secret: bytes


def wants_offer(connection: Connection, case_kind: str, assessor: Assessor, now: datetime) -> CaseKind | None:
    """The kind of case if a person is to be asked whether it may run on its own."""
    found = get_case_kind(connection, case_kind)
    if found is None or found.state != CaseKindState.ASKING or found.set_aside is not None:
        return None
    if assessor.lacks(found, now) or not assessor.wants_offer(found, last_offer(connection, case_kind)):
        return None
    return found


def offer_basis(
    connection: Connection, case_kind: str, assessor: Assessor, now: datetime
) -> OfferBasis | None:
    """The inputs of the back-test of an offer, beside the writer; None when there is no offer to make."""
    found = wants_offer(connection, case_kind, assessor, now)
    if found is None:
        return None
    past = past_cases(connection, case_ids(connection, case_kind=case_kind, most=_BACKTESTED))
    return OfferBasis(found, past, draw_secret(connection) or b"")


def add_offer(connection: Connection, case_kind: CaseKind, question: NewProposal, now: datetime) -> bool:
    """Ask the question if the kind is as it was when the question was made; once for each generation."""
    hold_trust(connection)
    found = get_case_kind(connection, case_kind.hash)
    if found is None or replace(found, last_case_at=case_kind.last_case_at) != case_kind:
        return False  # what changed it brings up the question anew
    if not propose_by_hand(connection, question):
        return False
    offered = {"offered_at": now, "offered_generation": found.generation, "offered_cases": found.cases}
    connection.execute(update(case_kinds).where(case_kinds.c.hash == found.hash).values(offered))
    return True


def last_offer(connection: Connection, case_kind: str) -> ProposalState | None:
    """The state of the newest offer of a kind of case."""
    state = connection.execute(_LAST, {"case_kind": case_kind}).scalar()
    return None if state is None else ProposalState(state)


def turn_on(connection: Connection, assessor: Assessor, now: datetime) -> int:
    """Carry out the offers that a person has accepted, if the threshold is still met. Those of a kind that is
    set aside wait.
    """
    due = connection.execute(_DUE, {"now": now}).all()
    for row in due:
        actor = row.decided_by or Actor.PROGRAM
        accept = partial(_accept, connection, row.id, row.case_kind, assessor, actor=actor, now=now)
        attempt(connection, row.case_kind, Step.TURN_ON, accept, now)
    return len(due)


def _accept(
    connection: Connection, proposal_id: str, case_kind: str, assessor: Assessor, *, actor: str, now: datetime
) -> None:
    missing = graduate(
        connection,
        case_kind,
        lambda found: assessor.lacks(found, now),
        actor=actor,
        cause=ChangeCause.of(ChangeCode.OFFER_ACCEPTED, proposal=proposal_id),
        at=now,
    )
    _close(connection, proposal_id, missing, now)


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


# --- Kinds of case that are set aside: they ask, and the others go on -------------------------------------


T = TypeVar("T")

RETRY_AFTER = timedelta(hours=1)
MOST_POSTPONED = 500  # cases that a kind learns from at once when it is assessed again
_K, _U = case_kinds.c, unlearned_cases.c
_KIND: BindParameter[str] = bindparam("case_kind")
# Built once: every look at the log asks these.
_ALL = select(_K.hash, _K.retry_at).where(_K.retry_at.is_not(None)).order_by(_K.retry_at, _K.hash)
_WAITING = select(_U.proposal_id).where(_U.case_kind == _KIND).order_by(_U.proposal_id).limit(MOST_POSTPONED)
_OWN = update(case_kinds).where(_K.hash == _KIND)
_ASIDE = _OWN.values(
    set_aside_code=bindparam("code"),
    set_aside_args=bindparam("args", type_=_K.set_aside_args.type),
    set_aside_at=func.coalesce(_K.set_aside_at, bindparam("now", type_=UtcDateTime)),
    retry_at=bindparam("retry", type_=UtcDateTime),
)
_BACK = _OWN.values(set_aside_code=None, set_aside_args=None, set_aside_at=None, retry_at=None)


class Step(StrEnum):
    """The steps of an assessment that may fail."""

    LEARN = "learn"
    OFFER = "offer"
    TURN_ON = "turn_on"
    TELL = "tell"


def retries(connection: Connection) -> dict[str, datetime]:
    """The kinds that are set aside, each with the time of its next assessment."""
    return {row.hash: row.retry_at for row in connection.execute(_ALL)}


def set_aside_kinds(connection: Connection) -> list[SetAside]:
    """The kinds that are set aside, the next to be tried first."""
    columns = (_K.hash, _K.label, _K.set_aside_code, _K.set_aside_args, _K.set_aside_at, _K.retry_at)
    rows = connection.execute(select(*columns).where(_K.retry_at.is_not(None)).order_by(_K.retry_at, _K.hash))
    found = []
    for hash_, label, code, args, at, retry_at in rows:
        reason = read_reason(code, args) or Reason(ReasonCode.ASSESSMENT_FAILED)
        found.append(SetAside(hash_, label, reason, at, retry_at))
    return found


def attempt(
    connection: Connection, case_kind: str, step: Step, work: Callable[[], T], now: datetime
) -> T | None:
    """The result of `work` about one kind. When it raises, nothing of it stays, and the kind is set aside.

    Raises what the database raises for reasons of its own: that is no fault of the kind.
    """
    save = connection.begin_nested()
    try:
        found = work()
    except Exception as error:
        save.rollback()
        if isinstance(error, DBAPIError) and not isinstance(error, DataError | IntegrityError):
            raise
        set_aside(connection, case_kind, reason_of(step, error), now)
        return None
    save.commit()
    return found


def reason_of(step: Step, error: Exception) -> Reason:
    """The failure and its place; not the words of the error, for they may be a customer's."""
    frames = extract_tb(error.__traceback__)
    place = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return Reason.of(ReasonCode.ASSESSMENT_FAILED, step=step.value, error=type(error).__name__, place=place)


def set_aside(connection: Connection, case_kind: str, reason: Reason, now: datetime) -> None:
    """Let a kind ask until it has been assessed."""
    row = {"case_kind": case_kind, "code": reason.code.value, "args": dict(reason.args)}
    connection.execute(_ASIDE, row | {"now": now, "retry": now + RETRY_AFTER})


def take_back(connection: Connection, case_kind: str) -> None:
    """The kind has been assessed: it counts again."""
    connection.execute(_BACK, {"case_kind": case_kind})


def retry_all(connection: Connection, now: datetime) -> None:
    """Let every kind that is set aside be assessed now: the program may be another one."""
    connection.execute(update(case_kinds).where(_K.retry_at.is_not(None)).values(retry_at=now))


def postpone(connection: Connection, case_kind: str, ids: Iterable[str]) -> None:
    """Note cases to learn from when their kind is assessed again."""
    rows = [{"proposal_id": one, "case_kind": case_kind} for one in ids]
    if rows:
        insert_new(connection, unlearned_cases, rows)


def postponed(connection: Connection, case_kind: str) -> Sequence[str]:
    """The cases that a kind has not learnt from, some hundred at most."""
    return connection.execute(_WAITING, {"case_kind": case_kind}).scalars().all()


def forget_postponed(connection: Connection, ids: Sequence[str]) -> None:
    """These cases were learnt from."""
    connection.execute(delete(unlearned_cases).where(_U.proposal_id.in_(ids)))
