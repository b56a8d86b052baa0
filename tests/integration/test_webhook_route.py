"""`POST /polar/webhooks` over HTTP on a real SQLite file: what is taken, what is refused, never a 500."""

import asyncio
import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from bot.app import utc_now
from bot.web import MOST_BYTES, Bodies, webhook
from polar.webhooks import Scheme, Verifier
from store import Store, open_store
from store.engine.errors import StoreFailed
from store.events.events import all_events
from store.models import StoredEvent
from tests.fixtures.signed import sign

PATH = "/polar/webhooks"
PAYLOADS = Path(__file__).parents[1] / "payloads"
RECORDED = [json.loads(line) for line in (PAYLOADS / "deliveries.jsonl").read_text().splitlines()]
RECORDED_SECRET = "whsec_uBwrHrmLZBiKPRaNHYtxuimB49DjyQFIEYQGe4062mZ"
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
NOW = datetime(2026, 11, 1, tzinfo=UTC)
ID = "evt_1"
BODY = b'{"type":"order.paid","timestamp":"2026-11-01T00:00:00Z","data":{"id":"o1"}}'


class Route:
    """The route with a clock that stands where a test puts it, and the store behind it."""

    client: "TestClient[Any, Any]"

    def __init__(self, store: Store) -> None:
        self.store, self.now = store, NOW
        self.woken: list[str] = []

    async def post(self, body: bytes, headers: Any) -> ClientResponse:
        """The answer, read to its end."""
        answer = await self.client.post(PATH, data=io.BytesIO(body), headers=headers)
        await answer.read()
        return answer

    async def stored(self) -> list[StoredEvent]:
        """Everything that was stored."""
        return await self.store.do(lambda connection: list(all_events(connection)))


@pytest.fixture
def secret() -> str:
    """The endpoint's secret; a test may ask for another."""
    return SECRET


@pytest.fixture
async def route(sqlite_url: str, secret: str) -> AsyncIterator[Route]:
    async with open_store(sqlite_url) as store:
        made = Route(store)
        app = web.Application(client_max_size=MOST_BYTES)
        handler = webhook(Verifier(secret), store, lambda: made.now, made.woken.append, Bodies())
        app.router.add_post(PATH, handler)
        async with TestClient(TestServer(app)) as made.client:
            yield made


def signed(body: bytes = BODY, **more: str) -> dict[str, str]:
    """The headers of a good delivery of `body`."""
    headers = sign(SECRET, ID, NOW, body, Scheme.BASE64)
    return {**headers, "content-type": "application/json", **more}


def own_time(one: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(int(one["headers"]["webhook-timestamp"]), UTC)


@pytest.mark.parametrize("secret", [RECORDED_SECRET])
async def test_every_recorded_delivery_is_stored_once_whatever_is_repeated(route: Route) -> None:
    for attempt in range(2):
        for one in RECORDED:
            route.now = own_time(one)
            answer = await route.post(one["body"].encode(), one["headers"])
            assert answer.status == 202, (attempt, one["type"], await answer.text())
    stored = {event.id: event for event in await route.stored()}

    assert len(stored) == len(RECORDED) == 28
    for one in RECORDED:
        event = stored[one["headers"]["webhook-id"]]
        assert (event.type, event.body) == (one["type"], one["body"].encode())
        assert event.sent_at == event.received_at == own_time(one)
    assert route.woken == ["propose"] * 56


@pytest.mark.parametrize("secret", [RECORDED_SECRET])
async def test_one_changed_byte_of_any_recorded_delivery_is_refused(route: Route) -> None:
    for one in RECORDED:
        route.now = own_time(one)
        body, headers = one["body"].encode(), one["headers"]
        middle = len(body) // 2
        later = str(int(headers["webhook-timestamp"]) + 1)
        for changed_body, changed in (
            (body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :], {}),
            (body + b" ", {}),
            (body, {"webhook-id": headers["webhook-id"][:-1] + "x"}),
            (body, {"webhook-timestamp": later}),
        ):
            answer = await route.post(changed_body, {**headers, **changed})
            assert answer.status == 403, (one["type"], changed, await answer.text())
    assert await route.stored() == []


async def test_the_first_body_of_an_id_is_kept(route: Route) -> None:
    other = BODY.replace(b"o1", b"o2")
    assert (await route.post(BODY, signed())).status == 202
    assert (await route.post(other, signed(other))).status == 202
    assert [event.body for event in await route.stored()] == [BODY]


@pytest.mark.parametrize("scheme", Scheme)
async def test_both_ways_to_derive_the_key_are_accepted(route: Route, scheme: Scheme) -> None:
    headers = sign(SECRET, ID, NOW, BODY, scheme) | {"content-type": "application/json; charset=utf-8"}
    assert (await route.post(BODY, headers)).status == 202


@pytest.mark.parametrize("seconds", [-301, 301])
async def test_a_delivery_that_is_five_minutes_off_is_refused(route: Route, seconds: int) -> None:
    route.now = datetime.fromtimestamp(NOW.timestamp() + seconds, UTC)
    assert (await route.post(BODY, signed())).status == 403


DEEP = b'{"type":"order.paid","data":' + b"[" * 1_000 + b"]" * 1_000 + b"}"
MALFORMED = {
    "a thousand deep": DEEP,
    "a thousand objects deep": b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
    "NaN": b'{"type":"order.paid","data":{"amount":NaN}}',
    "a number of 5,000 digits": b'{"type":"order.paid","data":{"amount":' + b"9" * 5_000 + b"}}",
    "infinite": b'{"type":"order.paid","data":{"amount":1e999}}',
    "a list": b'[{"type":"order.paid"}]',
    "a text": b'"order.paid"',
    "null": b"null",
    "no type": b'{"data":{}}',
    "type is a number": b'{"type":1}',
    "type is empty": b'{"type":""}',
    "type with a NUL": b'{"type":"order\\u0000paid"}',
    "type with a line break": b'{"type":"order\\npaid"}',
    "type of 300 characters": b'{"type":"' + b"x" * 300 + b'"}',
    "half a surrogate pair": b'{"type":"order.paid","data":{"name":"\\ud800"}}',
    "not JSON": b"type=order.paid",
    "cut off": BODY[:-1],
    "two values": BODY + BODY,
    "byte order mark": b"\xef\xbb\xbf" + BODY,
    "empty": b"",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_a_signed_body_that_is_no_event_is_a_400(route: Route, body: bytes) -> None:
    answer = await route.post(body, signed(body))
    assert answer.status == 400, await answer.text()
    assert await route.stored() == []
    assert route.woken == []


async def test_a_body_that_is_not_utf_8_is_a_400(route: Route) -> None:
    answer = await route.post(b'{"type":"\xff"}', signed())
    assert answer.status == 400


NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")


@pytest.mark.parametrize("name", NAMES)
async def test_a_header_that_is_missing_or_there_twice_is_a_400(route: Route, name: str) -> None:
    pairs = list(signed().items())
    missing = [pair for pair in pairs if pair[0] != name]
    twice = [*pairs, (name.title(), dict(pairs)[name])]
    empty = [(key, "" if key == name else value) for key, value in pairs]

    for headers in (missing, twice, empty):
        answer = await raw(route, headers)
        assert answer.startswith("HTTP/1.1 400 ")
        assert name in answer
    assert (await raw(route, pairs)).startswith("HTTP/1.1 202 ")


async def raw(route: Route, headers: list[tuple[str, str]]) -> str:
    """The answer to exactly these headers: a client library would merge those that are there twice."""
    reader, writer = await asyncio.open_connection("127.0.0.1", route.client.port)
    lines = [f"POST {PATH} HTTP/1.1", "Host: x", f"Content-Length: {len(BODY)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    writer.write("\r\n".join([*lines, "", ""]).encode(errors="surrogateescape") + BODY)
    try:
        return (await reader.read()).decode()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "nonsense"}, 415),
        ({"content-type": ""}, 415),
        ({"webhook-timestamp": "soon"}, 400),
        ({"webhook-timestamp": "-1"}, 400),
        ({"webhook-timestamp": "99999999999999999999"}, 400),
        ({"webhook-timestamp": "١٢٣"}, 400),
        ({"webhook-id": "a.b"}, 400),
        ({"webhook-id": "x" * 256}, 400),
        ({"webhook-signature": "v1,"}, 403),
        ({"webhook-signature": "v1a,AAAA"}, 403),
        ({"webhook-signature": "ключ"}, 403),
        ({"content-encoding": "gzip"}, 400),
        ({"content-encoding": "nonsense"}, 202),
        ({"expect": "a-miracle"}, 417),
    ],
    ids=str,
)
async def test_odd_headers_get_a_clear_answer(route: Route, changed: dict[str, str], status: int) -> None:
    answer = await route.post(BODY, {**signed(), **changed})
    assert answer.status == status, await answer.text()


async def test_a_signature_beside_bytes_that_are_no_text_is_stored(route: Route) -> None:
    good = signed()["webhook-signature"]
    headers = signed(**{"webhook-signature": f"{good} v1,\udcff"})
    assert (await raw(route, list(headers.items()))).startswith("HTTP/1.1 202 ")
    assert len(await route.stored()) == 1


def of_size(size: int) -> bytes:
    start, end = b'{"type":"order.paid","data":{"pad":"', b'"}}'
    return start + b"x" * (size - len(start) - len(end)) + end


@pytest.mark.parametrize(("size", "status"), [(MOST_BYTES, 202), (MOST_BYTES + 1, 413)])
async def test_a_mebibyte_is_taken_and_a_byte_more_is_not(route: Route, size: int, status: int) -> None:
    body = of_size(size)
    answer = await route.post(body, signed(body))
    assert answer.status == status
    assert len(await route.stored()) == (status == 202)


async def test_a_compressed_body_cannot_grow_past_the_limit(route: Route) -> None:
    body = of_size(20 * MOST_BYTES)
    answer = await route.client.post(
        PATH, data=gzip.compress(body), headers=signed(**{"content-encoding": "gzip"})
    )
    assert answer.status == 413


async def test_other_methods_are_not_allowed(route: Route) -> None:
    assert (await route.client.get(PATH)).status == 405


async def test_what_cannot_be_stored_is_asked_for_again(
    route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_event: object, **_more: object) -> None:
        raise StoreFailed

    monkeypatch.setattr(route.store, "record", full)
    answer = await route.post(BODY, signed())

    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "Send it again" in (await answer.json())["detail"]
    assert route.woken == []


async def test_a_store_that_has_closed_answers_503(sqlite_url: str) -> None:
    async with open_store(sqlite_url) as store:
        pass
    app = web.Application()
    app.router.add_post(PATH, webhook(Verifier(SECRET), store, lambda: NOW, lambda *_queues: None, Bodies()))
    async with TestClient(TestServer(app)) as client:
        answer = await client.post(PATH, data=BODY, headers=signed())
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


def export(url: str, folder: Path, what: str) -> Sequence[dict[str, Any]]:
    """What `python -m bot export` prints, as a person would call it."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "DATABASE_URL": url,
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_APP_TOKEN": "xapp-1",
        "SLACK_CHANNEL": "C0APPROVALS",
        "POLAR_ACCESS_TOKEN": "polar_oat_1",
        "POLAR_WEBHOOK_SECRET": SECRET,
    }
    command = [sys.executable, "-m", "bot", "export", what, "--format", "jsonl"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_an_unknown_type_is_stored_and_exported_as_it_is(
    route: Route, sqlite_url: str, tmp_path: Path
) -> None:
    strange = (
        b'{"type":"moon.landed","timestamp":"2026-11-01T00:00:00Z","data":{"id":"m1","crew":["\\u5bae"],'
        b'"distance":123456789012345678901234567890}}'
    )
    assert (await route.post(strange, signed(strange))).status == 202
    [event] = export(sqlite_url, tmp_path, "events")

    assert (event["id"], event["type"]) == (ID, "moon.landed")
    assert event["body"]["data"]["crew"] == ["宮"]
    assert event["received_at"] == NOW.isoformat()


async def test_the_program_s_own_clock_is_utc() -> None:
    assert utc_now().tzinfo is UTC
