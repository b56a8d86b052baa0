"""Logging: one line an entry, to standard error; libraries that would log addresses or bodies are quieter."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from polar.redaction import MASK, masked

MOST = 20
_LONGEST = 300
_EVERY = 10.0  # seconds between two lines that anybody can cause


class _Masked(logging.Formatter):
    """Hides tokens, passwords and signatures, whoever logs them by mistake."""

    def format(self, record: logging.LogRecord) -> str:
        """The line and the traceback, without secrets."""
        return masked(super().format(record))


def set_up_logging(level: int = logging.INFO) -> None:
    """Log at `level`; call once, at the start of a command."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Masked("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    # httpx logs every URL, and a query can hold an e-mail address; Bolt and the SDK log payloads at debug.
    # The scheduler tells of each job, four lines every 15 s.
    quieter = ("httpx", "httpcore", "slack_bolt", "slack_sdk", "aiohttp.access", "alembic", "websockets")
    for name in (*quieter, "apscheduler"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


class Seldom(logging.Filter):
    """Lets a line through at most every ten seconds if `of_strangers` says that anybody can cause it.

    Such lines are marked, so that `LastErrors` does not keep them.
    """

    def __init__(self, of_strangers: Callable[[logging.LogRecord], bool] = lambda _: True) -> None:
        super().__init__()
        self._of_strangers = of_strangers
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a line that comes too soon after the last one."""
        if not self._of_strangers(record):
            return True
        record.of_strangers = True
        if record.created < self._next <= record.created + _EVERY:  # a clock that was set back is no reason
            return False
        self._next = record.created + _EVERY
        return True


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log: `level` is "WARNING" or worse, `at` in UTC."""

    at: datetime
    level: str
    said: str


class LastErrors(logging.Handler):
    """Remembers the last lines from WARNING on; `lines` is newest first. `secrets` are never shown.

    What anybody can cause (`Seldom`) is left out: it would drive out what matters.
    """

    def __init__(self, secrets: Iterable[str] = (), most: int = MOST) -> None:
        super().__init__(logging.WARNING)
        self._secrets = sorted((each for each in secrets if len(each) >= 6), key=len, reverse=True)
        self._lines: deque[Line] = deque(maxlen=most)

    @property
    def lines(self) -> list[Line]:
        """The last lines, newest first."""
        return list(reversed(self._lines))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line; of an exception its kind only, for its words may hold what a customer wrote."""
        if getattr(record, "of_strangers", False):
            return
        try:
            said = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit the text
            said = str(record.msg)
        kind = record.exc_info[0] if record.exc_info else None
        said += f" ({kind.__name__})" if kind is not None else ""
        at = datetime.fromtimestamp(record.created, UTC)
        self._lines.append(Line(at, record.levelname, self._masked(said)[:_LONGEST]))

    def _masked(self, said: str) -> str:
        for secret in self._secrets:
            said = said.replace(secret, MASK)
        return masked(said)


@contextmanager
def remembered(secrets: Iterable[str]) -> Iterator[LastErrors]:
    """Listen to the whole program's log until the block ends."""
    errors = LastErrors(secrets)
    logging.getLogger().addHandler(errors)
    try:
        yield errors
    finally:
        logging.getLogger().removeHandler(errors)
