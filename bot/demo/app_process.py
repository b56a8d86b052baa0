"""The real app as a child process of the demo: its environment, its start, its log, its end."""

import asyncio
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp

RUN_APP = (sys.executable, "-m", "bot", "run")
# The same program with the clock file that is in its folder.
DEMO_APP = (sys.executable, "-m", "bot.demo.app")
_ROOT = Path(__file__).parents[2]
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH")
_START_TIMEOUT = 30.0  # seconds; a slow machine unpacks byte code at its first start
_STOP_TIMEOUT = 10.0
_LAST_LINES = 20


class AppDied(Exception):
    """The app stopped before it was ready. The demo cannot go on; what the app said last is below."""

    def __init__(self, code: int | None, lines: Sequence[str]) -> None:
        reason = f"exit code {code}" if code is not None else "it did not become healthy in time"
        super().__init__("\n".join([f"{self.__doc__} ({reason})", *lines]))


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class App:
    """One app with its settings: started, watched, stopped, and started again at the same address."""

    def __init__(
        self, settings: Mapping[str, str], folder: Path, *, say: Callable[[str], None], command: Sequence[str]
    ) -> None:
        """`folder` is its working directory, so that no `.env` of the user's is read; `say` gets its log.

        The environment is made from scratch: no proxy, no token of the user's reaches it.
        """
        port = free_port()
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        own = {"PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1", "HOST": "127.0.0.1", "PORT": str(port)}
        self.url = f"http://127.0.0.1:{port}"
        self.last: deque[str] = deque(maxlen=_LAST_LINES)
        self.process: asyncio.subprocess.Process
        self._environment = {**inherited, **own, **settings}
        self._folder, self._say, self._command = folder, say, command
        self._forwarding: asyncio.Task[None]

    async def start(self) -> None:
        """Start the process; `healthy` waits until it serves."""
        self.process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            cwd=self._folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the demo, which then stops the app in order
        )
        self._forwarding = asyncio.get_running_loop().create_task(self._forward())

    async def _forward(self) -> None:
        """Hand on each line of the app's log until it ends."""
        assert self.process.stdout is not None  # noqa: S101  # it was started with a pipe
        async for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self.last.append(line)
            self._say(line)

    async def healthy(self) -> None:
        """Wait for GET /healthz to answer 200. Raises AppDied if the app stops or takes too long."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            for _ in range(int(_START_TIMEOUT / 0.05)):
                if self.process.returncode is not None:
                    await self._forwarding
                    raise AppDied(self.process.returncode, self.last)
                if await _answers(session, f"{self.url}/healthz"):
                    return
                await asyncio.sleep(0.05)
        raise AppDied(None, self.last)

    async def stop(self) -> None:
        """Ask it to stop; kill it if it does not."""
        if self.process.returncode is None:
            self.process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), _STOP_TIMEOUT)
        await self.kill()

    async def kill(self) -> None:
        """End it at once, as a power cut would (SIGKILL), if it still runs."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        await self._forwarding  # ends with the output of the process


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False  # not listening yet
