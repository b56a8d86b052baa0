"""The yardstick for accepting, a process of its own: an aiohttp handler that verifies the signature and does
nothing else. It ends when its standard input does.
"""

import asyncio
import sys
from datetime import UTC, datetime

import uvloop
from aiohttp import web

from polar.webhooks import Verifier, WebhookError


async def _serve() -> None:
    verifier = Verifier(sys.stdin.readline().strip())

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
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_serve())
