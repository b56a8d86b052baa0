"""The yardstick, a process of its own: an aiohttp handler that verifies the signature and does nothing else."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from aiohttp import web

from polar.webhooks import Verifier, WebhookError

_ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def bare_handler(secret: str) -> AsyncIterator[int]:
    """The handler running; its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.bare",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=_ROOT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(secret.encode() + b"\n")
    try:
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


async def _serve(secret: str) -> None:
    verifier = Verifier(secret)

    async def receive(request: web.Request) -> web.Response:
        try:
            verifier.verify(request.headers, await request.read(), datetime.now(UTC))
        except WebhookError:
            return web.Response(status=403)
        return web.Response(status=202)

    app = web.Application()
    app.add_routes([web.post("/polar/webhooks", receive)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.stdin.readline().strip()))
