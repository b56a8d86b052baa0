"""The client against servers on loopback that misbehave, and behind proxies: what leaves, what it says."""

import asyncio
import logging
import socket
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from polar.catalog import Call
from polar.client import PolarClient
from polar.errors import NoAnswer, NotSent, PolarError, RateLimited, Redirected

TOKEN = "polar_oat_not_a_real_token"
BASE = "https://polar.test"
KEY = "bf4640af-a2d6-447e-9546-b44d55abedcf"
WRITE = Call("license_keys:update", {"id": KEY}, {}, {"status": "disabled"})
READ = Call("license_keys:get", {"id": KEY}, {}, None)


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


# What becomes of a write when the line fails: one request at most, and the truth about it


async def test_refused_connection_was_not_sent():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    async with PolarClient(TOKEN, f"http://127.0.0.1:{port}", per_minute=500) as client:
        with pytest.raises(NotSent, match="Nothing was done"):
            await client.send(WRITE)


async def close_the_line(request: web.Request) -> web.Response:
    request.transport.abort()
    return web.Response()


async def never_answer(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    return web.Response()


async def stop_halfway(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": "100"})
    await response.prepare(request)
    await response.write(b'{"id":')
    request.transport.close()
    return response


async def drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": "1000"})
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.01)


async def redirect(request: web.Request) -> web.Response:
    return web.Response(status=307, headers={"location": f"{request.path}/elsewhere"})


async def limit(_: web.Request) -> web.Response:
    return web.Response(status=429, headers={"retry-after": "60"})


async def fail(_: web.Request) -> web.Response:
    return web.Response(status=502, text="bad gateway")


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (close_the_line, NoAnswer),
        (never_answer, NoAnswer),
        (stop_halfway, NoAnswer),
        (drip, NoAnswer),
        (redirect, Redirected),
        (limit, RateLimited),
        (fail, NoAnswer),
    ],
)
async def test_write_is_sent_once_whatever_the_server_does(behaviour, expected):
    received = []

    async def handler(request: web.Request) -> web.StreamResponse:
        received.append((request.method, request.path, await request.json()))
        return await behaviour(request)

    patience = {"timeout": httpx.Timeout(5.0, read=0.1), "answer_within": 0.3}
    async with serving(handler) as base, PolarClient(TOKEN, base, per_minute=500, **patience) as client:
        with pytest.raises(PolarError) as failed:
            await client.send(WRITE)

    assert failed.type is expected
    assert received == [("PATCH", f"/v1/license-keys/{KEY}", {"status": "disabled"})]
    if expected is RateLimited:
        assert failed.value.retry_after == 60


# Proxies


async def test_proxy_of_the_environment_is_used_but_never_for_loopback(monkeypatch):
    seen = []

    async def proxy(request: web.Request) -> web.Response:
        seen.append(request.headers["host"])
        return web.json_response({})

    async def direct(_: web.Request) -> web.Response:
        return web.json_response({"direct": True})

    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with serving(proxy) as proxy_url, serving(direct) as base:
        monkeypatch.setenv("http_proxy", proxy_url)
        async with PolarClient(TOKEN, "http://polar.test", per_minute=500) as client:
            await client.read(READ)
        async with PolarClient(TOKEN, base.replace("127.0.0.1", "localhost"), per_minute=500) as client:
            assert (await client.read(READ)).body == {"direct": True}

    assert seen == ["polar.test"]


# What cannot be right, and what must not be shown


@pytest.mark.parametrize("token", ["", " ", "polar_oat_x\n", "polar_oat x", "polar_oat_é"])
def test_token_that_cannot_be_right_is_refused_without_being_shown(token):
    with pytest.raises(ValueError, match="access token") as refused:
        PolarClient(token, BASE, per_minute=500)

    assert "polar_oat" not in str(refused.value)


@pytest.mark.parametrize(
    "base", ["", "api.polar.sh", "ftp://x", "https://", "https://u:p@x", "https://x?y=1", "http://x:y"]
)
def test_base_url_that_cannot_be_right_is_refused(base):
    with pytest.raises(ValueError, match="base URL"):
        PolarClient(TOKEN, base, per_minute=500)


async def test_token_is_in_no_repr_error_or_log(caplog):
    caplog.set_level(logging.DEBUG)
    shown = []

    async def handler(request: web.Request) -> web.Response:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        if request.method == "PATCH":
            request.transport.close()
        return web.json_response({"detail": "Not Found"}, status=404)

    async with serving(handler) as base, PolarClient(TOKEN, base, per_minute=500) as client:
        shown.append(repr(client))
        for call in (READ, WRITE):
            with pytest.raises(PolarError) as failed:
                await client.send(call)
            shown += [repr(failed.value), *traceback.format_exception(failed.value)]

    assert caplog.records
    assert TOKEN not in caplog.text + "".join(shown)
