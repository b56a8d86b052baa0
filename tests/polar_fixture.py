"""A running Polar stand-in for tests, a client that holds its token, and an app that takes its webhooks."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from aiohttp import web

from bot.demo.polar import PolarStandIn, stock

ADDRESS = {
    "country": "DE",
    "line1": "Lindenstraße 9",
    "line2": None,
    "city": "Berlin",
    "postal_code": "10969",
    "state": None,
}


class Receiver:
    """An app that verifies webhooks with the Standard Webhooks library, and may refuse the first few."""

    def __init__(self, refuse: int = 0) -> None:
        self.refuse = refuse
        self.attempts: list[tuple[dict[str, str], bytes]] = []
        self.url = ""
        self._arrived = asyncio.Condition()

    async def attempted(self, count: int) -> None:
        """Wait until so many attempts were made."""
        async with self._arrived:
            await asyncio.wait_for(self._arrived.wait_for(lambda: len(self.attempts) >= count), 5)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        async with self._arrived:
            self.attempts.append((dict(request.headers), body))
            self._arrived.notify_all()
        if len(self.attempts) <= self.refuse:
            return web.Response(status=500, text="not now")
        return web.Response(status=202)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        app = web.Application()
        app.router.add_post("/polar/webhooks", self._take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/polar/webhooks"
        try:
            yield self
        finally:
            await runner.cleanup()

    def types(self) -> list[str]:
        return [json.loads(body)["type"] for _, body in self.attempts]


class Polar:
    """A running stand-in, a client that holds its token, and the shop's things by name."""

    def __init__(self, standin: PolarStandIn, client: httpx.AsyncClient) -> None:
        self.standin, self.client, self.shop = standin, client, standin.shop
        self.benefit = stock.add_license_benefit(self.shop, "License key", "TEST")
        self.product = stock.add_product(self.shop, "Pro", 2_900, benefits=(self.benefit,))
        self.monthly = stock.add_product(self.shop, "Monthly", 900, every="month", benefits=(self.benefit,))
        self.customer = stock.add_customer(self.shop, "Jane", "jane@example.com", address=ADDRESS)

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return await self.client.request(method, path, json=body, **more)

    async def get(self, path: str) -> Any:
        answer = await self.call("GET", path)
        assert answer.status_code == 200
        return answer.json()

    def order(self, **more: Any) -> dict[str, Any]:
        return stock.add_order(self.shop, self.customer, self.product, **more)

    async def told(self, count: int) -> list[str]:
        """The types of the echo events of the last write, once all were tried."""
        events = list(self.standin.webhooks.newest)[-count:]
        for event in events:
            await event.tried.wait()
        return [event.told.type for event in events]


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Polar]:
    standin = PolarStandIn(echo_delay=0, retry_delays=(0, 0, 0), **options)
    url = await standin.start()
    headers = {"Authorization": f"Bearer {standin.token}", "Polar-Version": "2026-10"}
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        yield Polar(standin, client)
    await standin.close()
