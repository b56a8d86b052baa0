"""Queries on who has opened the Home tab, so that only theirs is drawn again."""

from datetime import datetime

from sqlalchemy import Connection, delete, or_, select, update

from store.engine.dialects import insert_new
from store.schema import viewers


def opened_home(connection: Connection, user_id: str, at: datetime) -> None:
    """Somebody opened their Home tab at `at`, and it is about to be drawn."""
    if insert_new(connection, viewers, [{"user_id": user_id, "opened_at": at, "drawn_at": at}]).rowcount != 1:
        connection.execute(
            update(viewers).where(viewers.c.user_id == user_id).values(opened_at=at, drawn_at=at)
        )


def home_viewers(
    connection: Connection, *, opened_since: datetime, drawn_before: datetime, limit: int
) -> list[str]:
    """Who opened their Home tab since then, and has not had it drawn of late; the longest wait first."""
    rows = connection.execute(
        select(viewers.c.user_id)
        .where(viewers.c.opened_at >= opened_since)
        .where(or_(viewers.c.drawn_at.is_(None), viewers.c.drawn_at <= drawn_before))
        .order_by(viewers.c.drawn_at.nulls_first())
        .limit(limit)
    )
    return list(rows.scalars())


def claim_drawing(connection: Connection, user_id: str, *, drawn_before: datetime, at: datetime) -> bool:
    """Whether this program may draw somebody's Home tab now: no other has since `drawn_before`."""
    result = connection.execute(
        update(viewers)
        .where(viewers.c.user_id == user_id)
        .where(or_(viewers.c.drawn_at.is_(None), viewers.c.drawn_at <= drawn_before))
        .values(drawn_at=at)
    )
    return result.rowcount == 1


def forget_viewer(connection: Connection, user_id: str) -> None:
    """Somebody has no Home tab any more."""
    connection.execute(delete(viewers).where(viewers.c.user_id == user_id))
