"""All 186 operations: what does not fit is named and nothing leaves; a missing scope is named with its remedy."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from polar.catalog import Call, Operation, Schema, operations
from polar.client import PolarClient
from polar.errors import InvalidCall, MissingScope, NoAnswer, RateBudgetExhausted, RateLimited

ALL = list(operations().values())
TOKEN = [one for one in ALL if "organization" in one.callers]
PORTAL = [one for one in ALL if not {"customer", "member"}.isdisjoint(one.callers)]
NOBODYS = [one for one in ALL if one not in TOKEN and one not in PORTAL]
CUSTOMER = "bf4640af-a2d6-447e-9546-b44d55abedcf"
FORMATS = {
    "date-time": "2026-11-01T09:30:00Z",
    "date": "2026-11-01",
    "email": "jane@example.com",
    "uri": "https://example.com/",
    "ipvanyaddress": "192.0.2.1",
}


def sample(shape: Schema) -> Any:
    """The plainest value that fits."""
    if shape.enum:
        return shape.enum[0]
    facts = shape.facts
    plain: dict[str, Callable[[], Any]] = {
        "union": lambda: sample(shape.options[0]),
        "object": lambda: {name: sample(shape.fields[name]) for name in sorted(shape.required)},
        "array": lambda: [sample(shape.items)] * facts.get("minItems", 0),
        "boolean": lambda: True,
        "null": lambda: None,
        "string": lambda: FORMATS.get(shape.format or "", CUSTOMER if shape.format else "x" * 8),
        "any": lambda: "x",
    }
    number = max(facts.get("minimum", 1), facts.get("exclusiveMinimum", 0) + 1)
    return plain.get(shape.type, lambda: number)()


def fitting(one: Operation) -> Call:
    required = [parameter for parameter in one.parameters if parameter.required]
    places = {
        where: {p.name: sample(p.shape) for p in required if p.where == where} for where in ("path", "query")
    }
    return Call(one.id, **places, body=sample(one.body.variants[0]) if one.body else None)


def broken(one: Operation) -> list[tuple[Call, str]]:
    """Calls with one thing wrong, and the name that the error must have in it."""
    call = fitting(one)
    found = []
    for parameter in one.parameters:
        place = getattr(call, parameter.where)
        if parameter.required:
            without = {name: value for name, value in place.items() if name != parameter.name}
            found.append((_with(call, parameter.where, without), parameter.name))
        found.append((_with(call, parameter.where, {**place, parameter.name: [[object()]]}), parameter.name))
    found.append((_with(call, "query", {**call.query, "no_such_name": 1}), "no_such_name"))
    if one.body is None:
        return [*found, (_with(call, "body", {}), "body")]
    shape = one.body.variants[0]
    if one.body.required:
        found.append((_with(call, "body", None), "body"))
    body = call.body or {}
    if len(one.body.variants) == 1:
        for name in shape.required:
            found.append((_with(call, "body", {k: v for k, v in body.items() if k != name}), name))
        for name in shape.fields:
            found.append((_with(call, "body", {**body, name: object()}), name))
    if shape.values is None:
        found.append((_with(call, "body", {**body, "no_such_name": 1}), "no_such_name"))
    return found


def _with(call: Call, place: str, value: Any) -> Call:
    parts = {"path": call.path, "query": call.query, "body": call.body, place: value}
    return Call(call.operation, **parts)


class Polar:
    """Answers everything; a test looks whether it was asked at all."""

    def __init__(self, answer: httpx.Response | None = None) -> None:
        self.answer = answer or httpx.Response(200, json={"ok": True})
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answer

    def client(self, per_minute: int = 500, **options: Any) -> PolarClient:
        transport = httpx.MockTransport(self)
        return PolarClient(
            "polar_oat_x", "https://polar.test", per_minute=per_minute, transport=transport, **options
        )


def ids(one: Operation) -> str:
    return one.id


def test_the_operations_fall_into_three_kinds():
    assert (len(ALL), len(TOKEN), len(PORTAL), len(NOBODYS)) == (186, 125, 40, 21)


@pytest.mark.parametrize("one", TOKEN, ids=ids)
async def test_call_that_does_not_fit_names_the_parameter_and_is_not_sent(one):
    polar = Polar()
    client = polar.client()
    for call, name in broken(one):
        for way in (client.send, client.read):
            with pytest.raises(InvalidCall) as refused:
                await way(call)
            assert name in refused.value.plain, call

    assert polar.asked == []


@pytest.mark.parametrize("one", TOKEN, ids=ids)
async def test_call_that_fits_is_sent_once(one):
    polar = Polar()

    await polar.client().send(fitting(one))

    assert [request.method for request in polar.asked] == [one.method]


@pytest.mark.parametrize("one", PORTAL + NOBODYS, ids=ids)
async def test_client_refuses_what_takes_no_organization_token_with_the_reason(one):
    polar = Polar()

    with pytest.raises(InvalidCall) as refused:
        await polar.client().send(fitting(one))

    assert one.refused in refused.value.plain
    assert polar.asked == []


@pytest.mark.parametrize("one", TOKEN, ids=ids)
async def test_missing_scope_is_named_from_the_catalog_and_how_to_get_it(one):
    polar = Polar(httpx.Response(403, json={"error": "insufficient_scope"}))

    with pytest.raises(MissingScope) as refused:
        await polar.client().send(fitting(one))

    assert one.scopes
    assert refused.value.scopes == one.scopes
    assert all(scope in refused.value.plain for scope in one.scopes)
    assert "Add the scope in Polar's settings" in refused.value.plain


@pytest.mark.parametrize("one", [one for one in TOKEN if one.is_write], ids=ids)
@pytest.mark.parametrize("failure", [500, 502, 429])
async def test_write_is_sent_once_whatever_the_answer(one, failure):
    polar = Polar(httpx.Response(failure))

    with pytest.raises(NoAnswer if failure >= 500 else RateLimited):
        await polar.client().send(fitting(one))

    assert len(polar.asked) == 1


class Minute:
    """Time that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_every_page_takes_from_the_one_rate_budget():
    page = httpx.Response(200, json={"items": [{}], "pagination": {"max_page": 60}})
    polar, time = Polar(page), Minute()
    client = polar.client(per_minute=20, monotonic=time.monotonic, sleep=time.sleep)

    found = [item async for item in client.pages(Call("orders:list"))]

    assert len(found) == 60
    assert len(polar.asked) == 60
    assert time.now >= 120  # sixty requests at twenty a minute


async def test_write_finds_no_room_that_pages_have_taken_and_says_that_nothing_was_sent():
    page = httpx.Response(200, json={"items": [{}], "pagination": {"max_page": 3}})
    polar, time = Polar(page), Minute()
    client = polar.client(per_minute=3, monotonic=time.monotonic, sleep=time.sleep)
    async for _ in client.pages(Call("orders:list")):
        pass

    with pytest.raises(RateBudgetExhausted):
        await client.send(Call("discounts:delete", {"id": CUSTOMER}))
    assert len(polar.asked) == 3
