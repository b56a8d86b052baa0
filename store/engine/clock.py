"""The database's clock: replicas agree on when a lease ends, however the clocks of their machines are set."""

from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic

from sqlalchemy import Connection, text

from store.engine.errors import StoreClockOff
from store.engine.store import Store

_MOST_OFF = timedelta(seconds=5)  # between the clock of a replica and the database's


class DatabaseClock:
    """The database's time. Between two looks it goes on with a clock of this machine that nobody can set."""

    def __init__(self, at: datetime, seconds: float) -> None:
        self._at, self._seconds = at, seconds

    def __call__(self) -> datetime:
        return self._at + timedelta(seconds=monotonic() - self._seconds)

    async def look(self, store: Store) -> None:
        """Set it anew: what this machine counts as a second may differ a little."""
        self._at, self._seconds = await store.read(_look)


async def clock_of(store: Store, own: Callable[[], datetime]) -> Callable[[], datetime]:
    """The clock to go by: `own` where nobody on another machine writes, else the database's."""
    return own if store.on_this_machine else DatabaseClock(*await store.read(_look))


async def require_right_clock(store: Store, own: Callable[[], datetime]) -> None:
    """Raises StoreClockOff on a replica whose clock is not the database's: signatures of webhooks and taps
    would be too old for one and too new for another.
    """
    if store.on_this_machine:
        return
    before = own()
    at, _ = await store.read(_look)
    if max(before - at, at - own()) > _MOST_OFF:
        raise StoreClockOff


def _look(connection: Connection) -> tuple[datetime, float]:
    """The database's time, and the seconds on this machine at that moment."""
    asked = monotonic()
    at: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return at, (asked + monotonic()) / 2
