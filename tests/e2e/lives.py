"""The program as a process of its own, which a test starts, kills and starts again."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class Killable:
    """The process that forks programs (`tests.e2e.killable`), and the program it runs now."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process, self.folder = process, folder
        self.pid = 0

    def start(self, environment: Mapping[str, str], crash: Sequence[object] = ()) -> None:
        """Start the program; with `crash` it will end itself at that step."""
        order = {"environment": dict(environment), "folder": str(self.folder), "crash": list(crash)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self.pid = int(self._line())

    async def ended(self, within: float = 15) -> int:
        """Wait until the program has ended; its exit code, negative for a signal.

        A program that still runs after `within` seconds is killed, as the thread that waits for its end would
        never finish, and with it the whole run of the tests.
        """
        said = asyncio.ensure_future(asyncio.to_thread(self._line))
        await asyncio.wait([said], timeout=within)
        late = not said.done()
        if late:
            os.kill(self.pid, signal.SIGKILL)
        code = int(await said)
        self.pid = 0
        assert not late, f"the program did not end within {within:.0f} seconds"
        return code

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send the program a signal; its exit code. One that has ended by itself has its own."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
        return await self.ended()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()
