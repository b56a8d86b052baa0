"""The client against recorded answers, and against servers on loopback that misbehave."""

import json
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polar.catalog import UNKNOWN, Call
from polar.client import API_VERSION, VERSION, Answer, PolarClient
from polar.errors import (
    Conflict,
    InvalidCall,
    MissingScope,
    NoAnswer,
    NotFound,
    NotSent,
    PolarError,
    RateBudgetExhausted,
    RateLimited,
    Redirected,
    Refused,
    Unauthorized,
    UnsupportedVersionOrRoute,
)

TOKEN = "polar_oat_not_a_real_token"
BASE = "https://polar.test"
KEY = "bf4640af-a2d6-447e-9546-b44d55abedcf"
NOW = datetime(2026, 11, 1, tzinfo=UTC)
WRITE = Call("license_keys:update", {"id": KEY}, {}, {"status": "disabled"})
READ = Call("license_keys:get", {"id": KEY}, {}, None)
ORDERS = Call("orders:list", {}, {}, None)

TESTS = Path(__file__).parent.parent
RECORDED = [json.loads(line) for line in (TESTS / "payloads/responses.jsonl").read_text().splitlines()]
BY_STATUS: dict[int, type[PolarError]] = dict.fromkeys((400, 403, 422), Refused)
BY_STATUS |= {
    307: Redirected,
    401: Unauthorized,
    404: NotFound,
    405: UnsupportedVersionOrRoute,
    409: Conflict,
    429: RateLimited,
}
BY_NAME: dict[str, type[PolarError]] = {
    **dict.fromkeys(("403-scope", "403-scope-lk"), MissingScope),
    **dict.fromkeys(("404-GET /v1/nope", "version-2025-01", "version-garbage"), UnsupportedVersionOrRoute),
}


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.seconds, self.slept = 0.0, []

    def clock(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.slept.append(seconds)


class Polar:
    """Answers from a list, the last one for ever; keeps the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers) or [httpx.Response(200, json={"ok": True})]
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def client_of(
    polar: Callable[[httpx.Request], httpx.Response], base: str = BASE, time: FakeTime | None = None
):
    time = time or FakeTime()
    return PolarClient(
        TOKEN,
        base,
        per_minute=500,
        transport=httpx.MockTransport(polar),
        clock=time.clock,
        monotonic=time.monotonic,
        sleep=time.sleep,
        jitter=lambda: 1.0,
    )


async def outcome(call: Awaitable[Answer]) -> Answer | PolarError:
    try:
        return await call
    except PolarError as error:
        return error


def recorded_response(one: dict) -> httpx.Response:
    body = b"" if one["body"] == "" else json.dumps(one["body"]).encode()
    return httpx.Response(one["status"], headers=one["headers"], content=body)


# What Polar's answers become


@pytest.mark.parametrize("one", RECORDED, ids=lambda one: one["name"])
async def test_recorded_answer_becomes_its_outcome(one):
    polar = Polar(recorded_response(one))
    async with client_of(polar) as client:
        result = await outcome(client.send(WRITE))

    if one["status"] < 300:
        assert result == Answer(one["status"], one["body"] or None, NOW, NOW)
    else:
        named = BY_NAME.get(one["name"]) or BY_NAME.get(f"{one['name']} {one['request']['path']}")
        assert type(result) is (named or BY_STATUS[one["status"]])
        assert result.status == one["status"]
        assert 0 < len(result.plain) <= 300
    assert len(polar.requests) == 1


@pytest.mark.parametrize(
    ("headers", "scopes"),
    [
        (
            {"www-authenticate": 'Bearer realm="p", error="x", scope="discounts:write a:b"'},
            ("discounts:write", "a:b"),
        ),
        ({}, ("license_keys:write",)),
    ],
)
async def test_missing_scope_names_the_scope_from_the_answer_or_the_catalog(headers, scopes):
    answer = httpx.Response(
        403, headers=headers, json={"error": "insufficient_scope", "error_description": "no"}
    )
    async with client_of(Polar(answer)) as client:
        refused = await outcome(client.send(WRITE))

    assert refused.scopes == scopes
    assert all(scope in refused.plain for scope in scopes)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520])
async def test_server_failure_leaves_the_outcome_open(status):
    polar = Polar(httpx.Response(status, text="oops"))
    async with client_of(polar) as client:
        result = await outcome(client.send(WRITE))

    assert type(result) is NoAnswer
    assert result.status == status
    assert len(polar.requests) == 1


async def test_success_that_cannot_be_read_leaves_the_outcome_open():
    async with client_of(Polar(httpx.Response(200, text="<html>log in to the hotel's wifi"))) as client:
        with pytest.raises(NoAnswer, match="not JSON"):
            await client.send(WRITE)


async def test_csv_export_is_text():
    answer = httpx.Response(200, headers={"content-type": "text/csv; charset=utf-8"}, text="a,b\n")
    async with client_of(Polar(answer)) as client:
        assert (await client.read(Call("orders:export", {}, {}, None))).body == "a,b\n"


# What is sent


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.polar.sh", f"https://api.polar.sh/v1/license-keys/{KEY}"),
        ("https://api.polar.sh/", f"https://api.polar.sh/v1/license-keys/{KEY}"),
        ("http://127.0.0.1:1/polar/", f"http://127.0.0.1:1/polar/v1/license-keys/{KEY}"),
        ("http://[::1]:1/a/b//", f"http://[::1]:1/a/b/v1/license-keys/{KEY}"),
    ],
)
async def test_write_is_one_request_with_everything_polar_wants(base, url):
    polar = Polar()
    async with client_of(polar, base) as client:
        await client.send(WRITE)

    (request,) = polar.requests
    assert (request.method, str(request.url)) == ("PATCH", url)
    assert json.loads(request.content) == {"status": "disabled"}
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["polar-version"] == API_VERSION == "2026-10"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == f"polar-approvals/{VERSION}"


async def test_query_is_written_as_polar_reads_it():
    polar = Polar()
    query = {"sorting": ["created_at", "-amount"], "metadata": {"tier": "a b&c"}, "limit": 5}
    async with client_of(polar) as client:
        await client.read(Call("orders:list", {}, query, None))
        await client.read(Call("customers:list", {}, {"active": True}, None))

    assert polar.requests[0].url.path == "/v1/orders/"
    assert polar.requests[0].url.params.multi_items() == [
        ("sorting", "created_at"),
        ("sorting", "-amount"),
        ("metadata[tier]", "a b&c"),
        ("limit", "5"),
    ]
    assert polar.requests[1].url.query == b"active=true"


@pytest.mark.parametrize("external_id", ["x?a=b", "x#y", "50%2F", "é", "a b", "..a", "x;y", "x%", "a@b:c"])
async def test_customers_own_id_stays_one_path_segment(external_id):
    polar = Polar()
    async with client_of(polar) as client:
        await client.read(Call("customers:get_external", {"external_id": external_id}, {}, None))

    assert httpx.URL(polar.requests[0].url).path == f"/v1/customers/external/{external_id}"
    assert polar.requests[0].url.raw_path.count(b"/") == 4
    assert polar.requests[0].url.query == b""


@pytest.mark.parametrize(
    "external_id", ["../x", "a/b", "x/state", "..", ".", "", "a\\b", "a\nb", "\x00", "\ud800"]
)
async def test_id_that_a_server_could_take_for_another_path_is_not_sent(external_id):
    polar = Polar()
    async with client_of(polar) as client:
        with pytest.raises(InvalidCall, match=r"external_id|surrogates"):
            await client.send(Call("customers:get_external", {"external_id": external_id}, {}, None))

    assert polar.requests == []


@given(st.text(max_size=30))
def test_no_id_changes_the_path(external_id):
    call = Call("customers:get_external", {"external_id": external_id}, {}, None)
    try:
        url = client_of(Polar()).prepare(call).url
    except InvalidCall:
        return

    assert unquote(url.raw_path.decode()) == f"/v1/customers/external/{external_id}"
    assert url.raw_path.count(b"/") == unquote(url.raw_path.decode()).count("/") == 4


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (Call("license_keys:update", {"id": KEY}, {}, {"status": "bogus"}), "status"),
        (Call("license_keys:update", {}, {}, {"status": "disabled"}), "id"),
        (Call("license_keys:update", {"id": KEY}, {"page": 1}, {}), "page"),
        (Call("license_keys:updat", {"id": KEY}, {}, {}), "license_keys:update"),
        (Call("customer_portal:orders:list", {}, {}, None), "customer_portal:orders:list"),
        (Call("events:ingest", {}, {}, {"events": [{"name": "x", "metadata": {"y": math.nan}}]}), "events"),
        (Call("license_keys:update", {"id": UNKNOWN}, {}, {"status": "disabled"}), "id"),
        (Call("license_keys:update", {"id": KEY}, {}, {"status": UNKNOWN}), "license_keys:update"),
        (Call("orders:list", {}, {"status": UNKNOWN}, None), "status"),
        (Call("customers:list", {}, {"query": "x" * 70_000}, None), "customers:list"),
    ],
)
async def test_call_that_does_not_fit_the_catalog_is_not_sent_and_names_the_parameter(call, named):
    polar = Polar()
    async with client_of(polar) as client:
        with pytest.raises(InvalidCall, match=named) as refused:
            await client.send(call)

    assert isinstance(refused.value, Refused)
    assert polar.requests == []


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(name, NotSent) for name in ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError")]
    + [(f"{step}{what}", NoAnswer) for step in ("Read", "Write") for what in ("Error", "Timeout")]
    + [
        (name, NoAnswer)
        for name in ("CloseError", "RemoteProtocolError", "LocalProtocolError", "DecodingError")
    ],
)
async def test_every_failure_of_httpx_has_its_answer(raised, expected):
    polar = Polar(getattr(httpx, raised)(""))
    async with client_of(polar) as client:
        result = await outcome(client.send(WRITE))

    assert type(result) is expected
    assert len(polar.requests) == 1


async def test_after_a_429_a_write_waits_for_nothing_and_is_not_sent():
    polar, time = Polar(httpx.Response(429, headers={"retry-after": "60"})), FakeTime()
    async with client_of(polar, time=time) as client:
        await outcome(client.send(WRITE))
        result = await outcome(client.send(WRITE))

    assert type(result) is RateBudgetExhausted
    assert len(polar.requests) == 1
    assert time.seconds == 0


# Reads


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.Response(503), httpx.Response(429)],
    ids=lambda failure: type(failure).__name__,
)
async def test_read_tries_again_after_what_may_pass(failure):
    polar, time = (
        Polar(failure, failure if not isinstance(failure, httpx.Response) else httpx.Response(500)),
        FakeTime(),
    )
    polar.answers.append(httpx.Response(200, json={"ok": True}))
    async with client_of(polar, time=time) as client:
        answer = await client.read(READ)

    assert answer.body == {"ok": True}
    assert len(polar.requests) == 3
    assert answer.started_at == time.clock()


async def test_read_gives_up_in_time_with_what_it_last_saw():
    polar, time = Polar(httpx.Response(503)), FakeTime()
    async with client_of(polar, time=time) as client:
        with pytest.raises(NoAnswer):
            await client.read(READ, within=20)

    assert time.seconds <= 20
    assert time.slept == [0.5, 1, 2, 4, 8]
    assert len(polar.requests) == 6


async def test_read_that_has_no_time_for_a_pause_says_so_at_once():
    polar, time = Polar(httpx.Response(429, headers={"retry-after": "60"})), FakeTime()
    async with client_of(polar, time=time) as client:
        with pytest.raises(RateLimited):
            await client.read(READ, within=5)

    assert time.seconds == 0
    assert len(polar.requests) == 1


@pytest.mark.parametrize("refusal", [400, 401, 404, 307])
async def test_read_does_not_repeat_what_polar_refused(refusal):
    polar = Polar(httpx.Response(refusal))
    async with client_of(polar) as client:
        with pytest.raises(Refused):
            await client.read(READ)

    assert len(polar.requests) == 1


async def test_only_a_get_may_be_repeated():
    polar = Polar()
    async with client_of(polar) as client:
        with pytest.raises(InvalidCall, match="license_keys:update"):
            await client.read(WRITE)

    assert polar.requests == []


def page(*ids: int, **pagination: object) -> httpx.Response:
    return httpx.Response(200, json={"items": [{"id": n} for n in ids], "pagination": pagination})


@pytest.mark.parametrize(
    "answers",
    [
        [page(1, 2, total_count=3, max_page=2), page(2, 3, total_count=3, max_page=2)],
        [page(1, 2, has_next_page=True), page(3, has_next_page=False)],
        [page(1, 2, 3, max_page=1)],
        [page(1, 2, 3, max_page=9), page(max_page=9)],
    ],
)
async def test_pages_gives_every_item_once(answers):
    polar = Polar(*answers)
    async with client_of(polar) as client:
        items = [item["id"] async for item in client.pages(ORDERS)]

    assert items == [1, 2, 3]
    assert [request.url.query.decode() for request in polar.requests] == [
        f"limit=100&page={number + 1}" for number in range(len(answers))
    ]


async def test_list_without_items_is_no_answer():
    async with client_of(Polar(httpx.Response(200, json={"hello": 1}))) as client:
        with pytest.raises(NoAnswer, match="without items"):
            [item async for item in client.pages(ORDERS)]
