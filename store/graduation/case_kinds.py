"""Queries on kinds of cases: how far each is trusted. `change` is the only writer of a kind of case's
state.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from store.audit_log.log import append
from store.engine.dialects import insert_new
from store.models import CaseKindState
from store.models.graduation import FAMILY_FALLS, FAMILY_WINDOW, POLICY, CaseKind, NewCaseKind
from store.schema import marks, proposals
from store.schema.graduation import case_kinds

SECRET = "audit_secret"  # noqa: S105 - the name of the mark that holds it
IDLE_AFTER = timedelta(days=180)
IDLE = "not seen for half a year"
_USED = timedelta(hours=1)  # when it was last used is not kept more finely
_NOTHING_COUNTED = {
    "n": 0,
    "k": 0,
    "customers": 0,
    "first_at": None,
    "approvals_since_rejection": 0,
    "audits": 0,
    "audits_agreed": 0,
}
# Built once: every case that comes needs them.
_HELD = update(marks).where(marks.c.name == SECRET).values(value=marks.c.value).returning(marks.c.value)
_OWN = case_kinds.c.hash == bindparam("case_kind")
_ONE = select(case_kinds).where(_OWN)
_TOUCHED = update(case_kinds).where(_OWN).values(used_at=bindparam("now"))


def hold_trust(connection: Connection) -> bytes:
    """Let nobody else decide about trust before this transaction ends; the secret that audits are drawn with.

    The secret is made once and shown to nobody. SQLite has one writer anyway; PostgreSQL locks the row.
    """
    value: str | None = connection.execute(_HELD).scalar()
    if value is None:
        insert_new(connection, marks, [{"name": SECRET, "value": token_hex(32)}])
        value = connection.execute(_HELD).scalar_one()
    return bytes.fromhex(value)


def get_case_kind(connection: Connection, case_kind: str) -> CaseKind | None:
    """One kind of case by its hash."""
    row = connection.execute(_ONE, {"case_kind": case_kind}).one_or_none()
    return None if row is None else read_case_kind(row)


def all_case_kinds(connection: Connection, limit: int = 1_000) -> list[CaseKind]:
    """The kinds of case seen last, those that run on their own first."""
    rows = connection.execute(
        select(case_kinds)
        .order_by(case_kinds.c.state == CaseKindState.ASKING, case_kinds.c.used_at.desc())
        .limit(limit)
    )
    return [read_case_kind(row) for row in rows]


def find_case_kind(connection: Connection, start: str) -> CaseKind | None:
    """The one kind of case whose hash begins so; None when there is none or more than one."""
    rows = connection.execute(
        select(case_kinds).where(case_kinds.c.hash.startswith(start, autoescape=True)).limit(2)
    ).all()
    return read_case_kind(rows[0]) if len(rows) == 1 else None


def note_case_kind(connection: Connection, new: NewCaseKind, at: datetime) -> CaseKind:
    """A case of this kind came: the kind of case as it is now; one not seen for half a year begins anew."""
    known = get_case_kind(connection, new.hash)
    if known is not None and at - known.used_at < _USED:
        return known
    if known is None:
        row: dict[str, Any] = {
            "hash": new.hash,
            "family": new.family,
            "fields": dict(new.fields),
            "words": new.words,
        }
        row |= {
            "risk": new.risk,
            "state": CaseKindState.ASKING,
            "manual_override": 0,
            "generation": 0,
            "generation_at": at,
        }
        insert_new(connection, case_kinds, [row | _NOTHING_COUNTED | {"used_at": at, "seen": {}}])
    elif at - known.used_at > IDLE_AFTER and (known.n or known.state != CaseKindState.ASKING):
        change(
            connection, new.hash, CaseKindState.ASKING, actor=POLICY, cause=IDLE, at=at, new_generation=True
        )
    connection.execute(_TOUCHED, {"case_kind": new.hash, "now": at})
    found = get_case_kind(connection, new.hash)
    assert found is not None  # noqa: S101 - it was inserted above
    return found


def change(
    connection: Connection,
    case_kind: str,
    to: CaseKindState,
    *,
    actor: str,
    cause: str,
    at: datetime,
    new_generation: bool = False,
    manual_override: bool = False,
) -> bool:
    """Change how far a kind of case is trusted, and write down who did and why. False: there is no such
    kind of case.

    A new generation forgets what was counted; its bar is higher (`bot.graduation.score.bar`).
    """
    hold_trust(connection)
    before = get_case_kind(connection, case_kind)
    if before is None:
        return False
    generation = before.generation + int(new_generation)
    manual_override = manual_override or (
        before.manual_override and to == CaseKindState.PAUSED
    )  # turned on again, it is what it was
    values: dict[str, Any] = {
        "state": to,
        "manual_override": int(manual_override),
        "generation": generation,
        "changed_at": at,
        "cause": cause,
    }
    begins = _begins(connection, before, at)
    if new_generation:
        values |= {"generation_at": begins} | _NOTHING_COUNTED
    connection.execute(update(case_kinds).where(case_kinds.c.hash == case_kind).values(values))
    body = {
        "from": before.state,
        "to": to,
        "actor": actor,
        "cause": cause,
        "generation": generation,
        "manual_override": manual_override,
    }
    body |= {"new_generation": new_generation, "words": before.words, "generation_at": begins.isoformat()}
    append(connection, "case_kind", case_kind, body, at)
    return True


def _begins(connection: Connection, case_kind: CaseKind, at: datetime) -> datetime:
    """When an generation that begins now begins: after all decided before, also when the clock went back."""
    own = select(func.max(proposals.c.decided_at)).where(proposals.c.case_kind == case_kind.hash)
    newest: datetime | None = connection.execute(own).scalar()
    return max(at, case_kind.generation_at, newest or at)


def demote(
    connection: Connection, case_kind: str, *, cause: str, at: datetime, actor: str = POLICY
) -> list[str]:
    """Take trust back at once: the kind of case asks again, in a new generation; the hashes of all that fell.

    Two demotions of one family within seven days take all of the family's trust back. A kind of case that
    has none loses none.
    """
    hold_trust(connection)
    found = get_case_kind(connection, case_kind)
    if found is None or found.state == CaseKindState.ASKING:
        return []
    change(connection, case_kind, CaseKindState.ASKING, actor=actor, cause=cause, at=at, new_generation=True)
    family = connection.execute(select(case_kinds).where(case_kinds.c.family == found.family)).all()
    fallen = [row for row in family if _fell_lately(row, at)]
    if len(fallen) < FAMILY_FALLS:
        return [case_kind]
    rest = [row.hash for row in family if row.state != CaseKindState.ASKING]
    why = f"two of its family lost their trust within seven days, last: {cause}"
    for one in rest:
        change(connection, one, CaseKindState.ASKING, actor=actor, cause=why, at=at, new_generation=True)
    return [case_kind, *rest]


def _fell_lately(row: Row[Any], at: datetime) -> bool:
    return bool(row.generation > 0 and row.cause != IDLE and row.generation_at > at - FAMILY_WINDOW)


def graduate(
    connection: Connection,
    case_kind: str,
    lacks: Callable[[CaseKind], Sequence[str]],
    *,
    actor: str,
    cause: str,
    at: datetime,
    manual_override: bool = False,
) -> list[str]:
    """Let a kind of case run on its own if it lacks nothing now; what it lacks, in words. Its generation
    stays.
    """
    hold_trust(connection)
    found = get_case_kind(connection, case_kind)
    if found is None:
        return ["this kind of case is no longer known"]
    missing = list(lacks(found))
    if not missing and found.state != CaseKindState.GRADUATED:
        change(
            connection,
            case_kind,
            CaseKindState.GRADUATED,
            actor=actor,
            cause=cause,
            at=at,
            manual_override=manual_override,
        )
    return missing


def read_case_kind(row: Row[Any]) -> CaseKind:
    """A row of `case_kinds` as a value."""
    names = set(CaseKind.__slots__) - {"state", "manual_override"}
    found = {name: getattr(row, name) for name in names}
    return CaseKind(**found, state=CaseKindState(row.state), manual_override=bool(row.manual_override))
