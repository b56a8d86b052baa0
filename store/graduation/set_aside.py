"""Kinds of case that are set aside: their assessment failed, they ask, and the others go on."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from traceback import extract_tb
from typing import TypeVar

from sqlalchemy import BindParameter, Connection, bindparam, delete, func, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from store.engine.dialects import UtcDateTime, insert_new
from store.models.graduation import SetAside
from store.models.reasons import Reason, ReasonCode, read_reason
from store.schema.graduation import case_kinds, unlearned_cases

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
