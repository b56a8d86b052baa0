"""The demo's clock: real time and an offset, which the demo and its app read from one small file."""

import mmap
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

NAME = "clock"
"""The file's name in the demo's folder, which is the app's working directory."""


class DemoClock:
    """Runs like the real one, and jumps ahead when the demo says so. It never goes back."""

    def __init__(self, path: Path) -> None:
        """Share the file at `path`; it is made when it is not there."""
        if not path.exists():
            path.write_bytes(struct.pack("d", 0.0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), struct.calcsize("d"))
        # One aligned store and one load: no reader sees half of a change.
        self._ahead = memoryview(self._shared).cast("d")

    def seconds(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time() + self._ahead[0]

    def now(self) -> datetime:
        """The time of the story, in UTC."""
        return datetime.fromtimestamp(self.seconds(), UTC)

    def jump(self, seconds: float) -> None:
        """Go ahead by so many seconds; nothing happens for less than none. One process alone may do this."""
        self._ahead[0] += max(seconds, 0.0)

    def close(self) -> None:
        """Let go of the file."""
        self._ahead.release()
        self._shared.close()
