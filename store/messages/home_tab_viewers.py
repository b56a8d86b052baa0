"""The viewers of the Home tab, when it was drawn for each, and the channels that were welcomed."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, or_, select, update

from store.engine.dialects import insert_new
from store.schema import channel_welcomes, home_tab_viewers


def claim_welcome(connection: Connection, channel: str, at: datetime) -> bool:
    """True when this channel was never welcomed; from now on it was."""
    return insert_new(connection, channel_welcomes, [{"channel": channel, "at": at}]).rowcount == 1


def forget_welcome(connection: Connection, channel: str) -> None:
    """Let the channel be welcomed again: the message did not get there."""
    connection.execute(delete(channel_welcomes).where(channel_welcomes.c.channel == channel))


_VIEWER = home_tab_viewers.c


def opened_home(connection: Connection, user_id: str, at: datetime) -> None:
    """Note that somebody opened their Home tab at `at`, and that it is about to be drawn."""
    row = {"user_id": user_id, "opened_at": at, "drawn_at": at}
    if insert_new(connection, home_tab_viewers, [row]).rowcount != 1:
        own = update(home_tab_viewers).where(_VIEWER.user_id == user_id)
        connection.execute(own.values(opened_at=at, drawn_at=at))


def home_viewers(
    connection: Connection, *, opened_since: datetime, drawn_before: datetime, limit: int
) -> list[str]:
    """Users who opened their Home tab since then, and have not had it drawn of late; longest wait first."""
    due = (_VIEWER.opened_at >= opened_since, _not_drawn_since(drawn_before))
    longest = select(_VIEWER.user_id).where(*due).order_by(_VIEWER.drawn_at.nulls_first()).limit(limit)
    return list(connection.execute(longest).scalars())


def _not_drawn_since(moment: datetime) -> ColumnElement[bool]:
    return or_(_VIEWER.drawn_at.is_(None), _VIEWER.drawn_at <= moment)


def claim_drawing(connection: Connection, user_id: str, *, drawn_before: datetime, at: datetime) -> bool:
    """True when this program may draw somebody's Home tab now: no other has since `drawn_before`."""
    own = update(home_tab_viewers).where(_VIEWER.user_id == user_id, _not_drawn_since(drawn_before))
    return connection.execute(own.values(drawn_at=at)).rowcount == 1


def forget_viewer(connection: Connection, user_id: str) -> None:
    """Draw this user's Home tab no more: there is none."""
    connection.execute(delete(home_tab_viewers).where(_VIEWER.user_id == user_id))
