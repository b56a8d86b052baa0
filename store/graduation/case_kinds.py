"""Queries on kinds of cases: how far each is trusted. `change` is the only writer of a shape's state."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from store.audit_log.log import append
from store.engine.dialects import insert_new
from store.models import ShapeState
from store.models.graduation import FAMILY_FALLS, FAMILY_WINDOW, POLICY, NewShape, Shape
from store.schema import marks, proposals
from store.schema.graduation import shapes

SECRET = "audit_secret"  # noqa: S105 - the name of the mark that holds it
IDLE_AFTER = timedelta(days=180)
IDLE = "not seen for half a year"
_USED = timedelta(hours=1)  # when it was last used is not kept more finely
_NOTHING_COUNTED = {
    "n": 0,
    "k": 0,
    "customers": 0,
    "first_at": None,
    "clean_tail": 0,
    "audits": 0,
    "audits_agreed": 0,
}
# Built once: every case that comes needs them.
_HELD = update(marks).where(marks.c.name == SECRET).values(value=marks.c.value).returning(marks.c.value)
_OWN = shapes.c.hash == bindparam("shape")
_ONE = select(shapes).where(_OWN)
_TOUCHED = update(shapes).where(_OWN).values(used_at=bindparam("now"))


def hold_trust(connection: Connection) -> bytes:
    """Let nobody else decide about trust before this transaction ends; the secret that audits are drawn with.

    The secret is made once and shown to nobody. SQLite has one writer anyway; PostgreSQL locks the row.
    """
    value: str | None = connection.execute(_HELD).scalar()
    if value is None:
        insert_new(connection, marks, [{"name": SECRET, "value": token_hex(32)}])
        value = connection.execute(_HELD).scalar_one()
    return bytes.fromhex(value)


def get_shape(connection: Connection, shape: str) -> Shape | None:
    """One shape by its hash."""
    row = connection.execute(_ONE, {"shape": shape}).one_or_none()
    return None if row is None else read_shape(row)


def all_shapes(connection: Connection, limit: int = 1_000) -> list[Shape]:
    """The shapes seen last, those that run on their own first."""
    rows = connection.execute(
        select(shapes).order_by(shapes.c.state == ShapeState.ASKING, shapes.c.used_at.desc()).limit(limit)
    )
    return [read_shape(row) for row in rows]


def find_shape(connection: Connection, start: str) -> Shape | None:
    """The one shape whose hash begins so; None when there is none or more than one."""
    rows = connection.execute(
        select(shapes).where(shapes.c.hash.startswith(start, autoescape=True)).limit(2)
    ).all()
    return read_shape(rows[0]) if len(rows) == 1 else None


def note_shape(connection: Connection, new: NewShape, at: datetime) -> Shape:
    """A case of this kind came: the shape as it is now; one not seen for half a year begins anew."""
    known = get_shape(connection, new.hash)
    if known is not None and at - known.used_at < _USED:
        return known
    if known is None:
        row: dict[str, Any] = {
            "hash": new.hash,
            "family": new.family,
            "fields": dict(new.fields),
            "words": new.words,
        }
        row |= {"risk": new.risk, "state": ShapeState.ASKING, "decree": 0, "epoch": 0, "epoch_at": at}
        insert_new(connection, shapes, [row | _NOTHING_COUNTED | {"used_at": at, "seen": {}}])
    elif at - known.used_at > IDLE_AFTER and (known.n or known.state != ShapeState.ASKING):
        change(connection, new.hash, ShapeState.ASKING, actor=POLICY, cause=IDLE, at=at, new_epoch=True)
    connection.execute(_TOUCHED, {"shape": new.hash, "now": at})
    found = get_shape(connection, new.hash)
    assert found is not None  # noqa: S101 - it was inserted above
    return found


def change(
    connection: Connection,
    shape: str,
    to: ShapeState,
    *,
    actor: str,
    cause: str,
    at: datetime,
    new_epoch: bool = False,
    decree: bool = False,
) -> bool:
    """Change how far a shape is trusted, and write down who did and why. False: there is no such shape.

    A new epoch forgets what was counted; its bar is higher (`bot.graduation.score.bar`).
    """
    hold_trust(connection)
    before = get_shape(connection, shape)
    if before is None:
        return False
    epoch = before.epoch + int(new_epoch)
    decree = decree or (before.decree and to == ShapeState.PAUSED)  # turned on again, it is what it was
    values: dict[str, Any] = {
        "state": to,
        "decree": int(decree),
        "epoch": epoch,
        "changed_at": at,
        "cause": cause,
    }
    begins = _begins(connection, before, at)
    if new_epoch:
        values |= {"epoch_at": begins} | _NOTHING_COUNTED
    connection.execute(update(shapes).where(shapes.c.hash == shape).values(values))
    body = {"from": before.state, "to": to, "actor": actor, "cause": cause, "epoch": epoch, "decree": decree}
    body |= {"new_epoch": new_epoch, "words": before.words, "epoch_at": begins.isoformat()}
    append(connection, "shape", shape, body, at)
    return True


def _begins(connection: Connection, shape: Shape, at: datetime) -> datetime:
    """When an epoch that begins now begins: after all decided before, also when the clock went back."""
    own = select(func.max(proposals.c.decided_at)).where(proposals.c.shape == shape.hash)
    newest: datetime | None = connection.execute(own).scalar()
    return max(at, shape.epoch_at, newest or at)


def demote(connection: Connection, shape: str, *, cause: str, at: datetime, actor: str = POLICY) -> list[str]:
    """Take trust back at once: the shape asks again, in a new epoch; the hashes of all that fell.

    Two demotions of one family within seven days take all of the family's trust back. A shape that has none
    loses none.
    """
    hold_trust(connection)
    found = get_shape(connection, shape)
    if found is None or found.state == ShapeState.ASKING:
        return []
    change(connection, shape, ShapeState.ASKING, actor=actor, cause=cause, at=at, new_epoch=True)
    family = connection.execute(select(shapes).where(shapes.c.family == found.family)).all()
    fallen = [row for row in family if _fell_lately(row, at)]
    if len(fallen) < FAMILY_FALLS:
        return [shape]
    rest = [row.hash for row in family if row.state != ShapeState.ASKING]
    why = f"two of its family lost their trust within seven days, last: {cause}"
    for one in rest:
        change(connection, one, ShapeState.ASKING, actor=actor, cause=why, at=at, new_epoch=True)
    return [shape, *rest]


def _fell_lately(row: Row[Any], at: datetime) -> bool:
    return bool(row.epoch > 0 and row.cause != IDLE and row.epoch_at > at - FAMILY_WINDOW)


def graduate(
    connection: Connection,
    shape: str,
    lacks: Callable[[Shape], Sequence[str]],
    *,
    actor: str,
    cause: str,
    at: datetime,
    decree: bool = False,
) -> list[str]:
    """Let a shape run on its own if it lacks nothing now; what it lacks, in words. Its epoch stays."""
    hold_trust(connection)
    found = get_shape(connection, shape)
    if found is None:
        return ["this kind of case is no longer known"]
    missing = list(lacks(found))
    if not missing and found.state != ShapeState.GRADUATED:
        change(connection, shape, ShapeState.GRADUATED, actor=actor, cause=cause, at=at, decree=decree)
    return missing


def read_shape(row: Row[Any]) -> Shape:
    """A row of `shapes` as a value."""
    names = set(Shape.__slots__) - {"state", "decree"}
    found = {name: getattr(row, name) for name in names}
    return Shape(**found, state=ShapeState(row.state), decree=bool(row.decree))
