"""The pace of calls that replicas share: for each key, up to when its room is taken.

A bucket of `size` calls that gains one every `step` seconds is one moment: `full_at`, when it will be full
again (the generic cell rate algorithm). One UPDATE looks and takes, so two replicas never take the same room.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import itemgetter

from sqlalchemy import Connection, Executable, Float, Select, bindparam, case, select

from store.engine.clock import DatabaseClock, clock_of
from store.engine.dialects import insert_into, upsert_newer
from store.engine.engines import is_file
from store.engine.errors import StoreError
from store.engine.store import Store
from store.engine.writer import without_turn
from store.schema import shared_pace

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Room:
    """Room for a call is wanted: `need` calls must fit in, one is taken. All in seconds; `now` since 1970."""

    key: str
    size: float
    step: float
    need: float
    now: float


@dataclass(frozen=True, slots=True)
class Pause:
    """No call of this key before `until`, then one, then one every `step` seconds."""

    key: str
    size: float
    step: float
    until: float


@without_turn
def take_rooms(connection: Connection, rooms: Sequence[Room]) -> list[float]:
    """Take room where there is some: for each the seconds to wait, 0 when it was taken.

    In the order of keys, so that replicas that take several never wait for each other in a circle.
    """
    waits: dict[int, float] = {}
    for number, room in sorted(enumerate(rooms), key=lambda one: one[1].key):
        full_by = room.now + max(room.size - room.need, 0.0) * room.step
        values = {"key": room.key, "full_at": room.now + room.step, "step": room.step, "full_by": full_by}
        if connection.execute(_take(connection.dialect.name), values).one_or_none():
            waits[number] = 0.0
            continue
        full_at = connection.execute(_FULL_AT, {"key": room.key}).scalar_one()
        waits[number] = full_at - full_by
    return [waits[number] for number in range(len(rooms))]


@without_turn
def pause_rooms(connection: Connection, pauses: Sequence[Pause]) -> list[None]:
    """Keep these pauses, each only if there is no longer one."""
    rows = [{"key": one.key, "full_at": one.until + (one.size - 1) * one.step} for one in pauses]
    upsert_newer(connection, shared_pace, sorted(rows, key=itemgetter("key")), "full_at")
    return [None] * len(pauses)


@cache
def _take(name: str) -> Executable:
    """The key's row is always there after it, and comes back when room was taken."""
    statement, given = insert_into(name, shared_pace), shared_pace.c.full_at
    now = statement.excluded.full_at - bindparam("step", type_=Float)
    made: Executable = statement.on_conflict_do_update(
        index_elements=[shared_pace.c.key],
        set_={"full_at": case((given > now, given), else_=now) + bindparam("step", type_=Float)},
        where=given <= bindparam("full_by", type_=Float),
    ).returning(shared_pace.c.key)
    return made


_FULL_AT: Select[float] = select(shared_pace.c.full_at).where(shared_pace.c.key == bindparam("key"))


class SharedPace:
    """The pace kept through the database. `clock` is the database's, so that replicas agree."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock

    async def take(self, key: str, *, size: float, step: float, need: float = 1.0) -> float:
        """Take room for one call when `need` fit in; seconds to wait, 0 when it was taken.

        While the database does not answer, each replica goes by its own pace alone.
        """
        room = Room(key, size, step, need, self._clock().timestamp())
        try:
            return await self._store.do_together(take_rooms, room)
        except StoreError as error:
            log.warning("the pace of %s is not shared now: %s", key, error)
            return 0.0

    async def pause(self, key: str, seconds: float, *, size: float, step: float) -> None:
        """Nobody calls for so long: Slack or Polar has said so."""
        pause = Pause(key, size, step, self._clock().timestamp() + seconds)
        try:
            await self._store.do_together(pause_rooms, pause)
        except StoreError as error:
            log.warning("a pause of %s is not shared: %s", key, error)


async def shared_pace_of(store: Store, url: str, clock: Callable[[], datetime]) -> SharedPace | None:
    """The pace to share with other replicas; None on SQLite, where there are none."""
    if is_file(url):
        return None
    return SharedPace(store, clock if isinstance(clock, DatabaseClock) else await clock_of(store, clock))
