"""The program as `python -m bot run`, but at no service's pace: measured is what we add, not what they allow.

In production cards leave at about one a second in a channel; a flood is put together (tests/e2e/test_flood.py).
`/metrics` also says how many statements were executed, and how long the longest transaction that may write
has held its database since the last look.
"""

import sys
import time
from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Gauge
from sqlalchemy import Connection, Engine, event

from bot.cli.run import start
from bot.config.rate_limits import Tier
from bot.config.settings import Settings, load_settings
from bot.logs import set_up_logging
from bot.metrics import REGISTRY

_BEGUN = "bench_begun"


class Unhurried(Settings):
    """Settings under which both services take whatever comes."""

    @property
    def polar_per_minute(self) -> int:
        """As good as no limit."""
        return 600_000

    @property
    def slack_tiers(self) -> Mapping[str, Tier]:
        """None: no method has a limit."""
        return {}


class _Watch:
    """Counts statements and times transactions, of every engine."""

    def __init__(self) -> None:
        self._statements = Counter("bench_statements", "Statements executed", registry=REGISTRY)
        held = Gauge("bench_longest_transaction_seconds", "Of those that may write", registry=REGISTRY)
        held.set_function(self._take_longest)
        self._longest = 0.0
        event.listen(Engine, "before_cursor_execute", self._executed)
        event.listen(Engine, "begin", self._begun)
        event.listen(Engine, "commit", self._ended)
        event.listen(Engine, "rollback", self._ended)

    def _executed(self, *_: Any) -> None:
        self._statements.inc()

    def _begun(self, connection: Connection) -> None:
        connection.info[_BEGUN] = time.perf_counter()

    def _ended(self, connection: Connection) -> None:
        begun = connection.info.pop(_BEGUN, None)
        if begun is not None and not connection.get_execution_options().get("read_only"):
            self._longest = max(self._longest, time.perf_counter() - begun)

    def _take_longest(self) -> float:
        longest, self._longest = self._longest, 0.0
        return longest


if __name__ == "__main__":
    set_up_logging()
    _Watch()
    sys.exit(start(Unhurried(**load_settings().model_dump(exclude_unset=True))))
