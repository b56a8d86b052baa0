"""Calls in a customer's name: only what customers may call, through a session that nobody gets to see."""

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from polar.catalog import Call, operations
from polar.client import PolarClient
from polar.errors import InvalidCall, MissingScope, NoAnswer, NotSent, PolarError, Refused
from tests.fixtures.polar import ADDRESS, Polar, running

CUSTOMER = "bf4640af-a2d6-447e-9546-b44d55abedcf"
MEMBER = "0c8f36a2-4d36-4e0c-9b7f-2f6a3d3f6a10"
ME = Call("customer_portal:customers:get")
CANCEL = Call("customer_portal:subscriptions:cancel", {"id": CUSTOMER})
SECRET = "polar_cst_never_shown"


@asynccontextmanager
async def client_for(polar: Polar):
    base = str(polar.client.base_url).rstrip("/")
    async with PolarClient(polar.standin.token, base, per_minute=500) as client:
        yield client


@asynccontextmanager
async def portal_for(polar: Polar):
    async with client_for(polar) as client, client.as_customer(polar.customer["id"]) as portal:
        yield portal


class Recorder:
    """A Polar that makes sessions and answers everything else with what the test says."""

    def __init__(
        self, *answers: httpx.Response | Exception, session: httpx.Response | Exception | None = None
    ):
        self.answers = list(answers) or [httpx.Response(200, json={"ok": True})]
        self.session = session or httpx.Response(201, json={"token": SECRET, "customer_portal_url": SECRET})
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        made = request.url.path == "/v1/customer-sessions/"
        answer = self.session if made else self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **options) -> PolarClient:
        transport = httpx.MockTransport(self)
        return PolarClient(
            "polar_oat_ours", "https://polar.test", per_minute=500, transport=transport, **options
        )

    @property
    def paths(self) -> list[str]:
        return [request.url.path for request in self.requests]


async def portal_call(client: PolarClient, call: Call, member_id: str | None = None):
    way = "send" if operations()[call.operation].is_write else "read"
    async with client.as_customer(CUSTOMER, member_id) as portal:
        return await getattr(portal, way)(call)


# -- against the stand-in --------------------------------------------------------------------------------


async def test_customer_reads_and_changes_what_is_their_own():
    body = {"billing_name": "Jane GmbH", "billing_address": {**ADDRESS, "city": "Potsdam"}}
    async with running() as polar, portal_for(polar) as portal:
        before = (await portal.read(ME)).body
        after = (await portal.send(Call("customer_portal:customers:update", body=body))).body

    assert (before["email"], before["billing_name"]) == ("jane@example.com", "Jane")
    assert (after["billing_name"], after["billing_address"]["city"]) == ("Jane GmbH", "Potsdam")
    assert "metadata" not in before


async def test_one_session_serves_the_whole_block_and_the_next_block_makes_another():
    async with running() as polar, client_for(polar) as client:
        for _ in range(2):
            async with client.as_customer(polar.customer["id"]) as portal:
                await asyncio.gather(portal.read(ME), portal.read(ME), portal.read(ME))

        made = [one for one in polar.standin.requests if one.path == "/v1/customer-sessions/"]
        assert len(made) == 2
        assert len(polar.standin.requests) == 8


async def test_pages_of_the_portal_show_only_the_customers_own():
    async with running() as polar, client_for(polar) as client:
        shop = polar.shop
        other = await _other_customer(polar)
        for holder in [polar.customer["id"]] * 3 + [other]:
            shop.add("license-keys", customer_id=holder, key="K", benefit_id=polar.benefit["id"])
        keys = Call("customer_portal:license_keys:list", query={"limit": 2})
        async with client.as_customer(polar.customer["id"]) as portal:
            found = [key async for key in portal.pages(keys)]

        assert [key["customer_id"] for key in found] == [polar.customer["id"]] * 3
        assert [one.path for one in polar.standin.requests][1:] == ["/v1/customer-portal/license-keys/"] * 2


async def _other_customer(polar: Polar) -> str:
    from bot.demo.polar import stock

    return stock.add_customer(polar.shop, "Bob", "bob@example.com")["id"]


async def test_member_sees_the_team_and_a_customer_session_is_refused_before_anything_is_sent():
    members = Call("customer_portal:members:list_members")
    async with running() as polar, client_for(polar) as client:
        owner = next(polar.shop.rows("members", customer_id=polar.customer["id"]))
        async with client.as_customer(polar.customer["id"], owner["id"]) as portal:
            found = [member["email"] async for member in portal.pages(members)]
        asked = len(polar.standin.requests)
        async with client.as_customer(polar.customer["id"]) as portal:
            with pytest.raises(InvalidCall, match="only a member session may call it"):
                await portal.read(members)

        assert found == ["jane@example.com"]
        assert len(polar.standin.requests) == asked


async def test_team_without_a_member_is_told_what_is_missing():
    async with running() as polar, client_for(polar) as client:
        polar.customer["type"] = "team"
        async with client.as_customer(polar.customer["id"]) as portal:
            with pytest.raises(Refused, match="member_id is required"):
                await portal.read(ME)


async def test_organization_token_itself_does_not_open_the_portal():
    async with running() as polar:
        answer = await polar.call("GET", "/v1/customer-portal/customers/me")

        assert (answer.status_code, answer.json()["error"]) == (401, "Unauthorized")


async def test_session_older_than_an_hour_is_said_to_be_over_not_the_token():
    async with running() as polar, portal_for(polar) as portal:
        await portal.read(ME)
        clock = polar.shop.clock
        polar.shop.clock = lambda: clock() + timedelta(hours=1)
        with pytest.raises(Refused, match="A session lasts an hour") as refused:
            await portal.read(ME)

    assert type(refused.value) is Refused  # not Unauthorized: the token is as good as ever
    assert "POLAR_ACCESS_TOKEN" not in refused.value.plain


async def test_token_without_the_scope_for_sessions_names_it():
    async with running(scopes=["customers:read"]) as polar, portal_for(polar) as portal:
        with pytest.raises(MissingScope, match="customer_sessions:write"):
            await portal.read(ME)


# -- what goes wrong, and what is sent -------------------------------------------------------------------


async def test_the_session_is_made_for_the_customer_and_the_member_and_used_as_the_token():
    polar = Recorder()
    await portal_call(polar.client(), ME, MEMBER)

    made, asked = polar.requests
    assert json.loads(made.content) == {"customer_id": CUSTOMER, "member_id": MEMBER}
    assert made.headers["authorization"] == "Bearer polar_oat_ours"
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    assert asked.headers["polar-version"] == "2026-10"


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ReadTimeout("late"),
        httpx.Response(500),
        httpx.ConnectError("down"),
        httpx.Response(201, json={}),
    ],
)
async def test_write_whose_session_could_not_be_made_was_certainly_not_sent(failure):
    polar = Recorder(session=failure)

    with pytest.raises(NotSent):
        await portal_call(polar.client(), CANCEL)

    assert polar.paths == ["/v1/customer-sessions/"]


async def test_write_without_an_answer_is_open_and_never_repeated():
    polar = Recorder(httpx.ReadTimeout("late"))

    with pytest.raises(NoAnswer):
        await portal_call(polar.client(), CANCEL)

    assert len(polar.requests) == 2


async def test_read_is_repeated_with_the_same_session():
    async def at_once(_: float) -> None:
        pass

    polar = Recorder(httpx.ReadTimeout("late"), httpx.Response(503), httpx.Response(200, json={"id": 1}))

    assert (await portal_call(polar.client(sleep=at_once), ME)).body == {"id": 1}
    assert polar.paths.count("/v1/customer-sessions/") == 1
    assert len(polar.requests) == 4


async def test_nothing_is_sent_after_the_block():
    polar = Recorder()
    async with polar.client().as_customer(CUSTOMER) as portal:
        await portal.read(ME)

    with pytest.raises(InvalidCall, match="is over"):
        await portal.read(ME)
    assert len(polar.requests) == 2


async def test_write_through_read_is_refused_before_a_session_is_made():
    polar = Recorder()
    async with polar.client().as_customer(CUSTOMER) as portal:
        with pytest.raises(InvalidCall, match="only a GET may be repeated"):
            await portal.read(CANCEL)

    assert polar.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, json={"ok": True}),
        httpx.Response(401, json={"error": "invalid_token", "error_description": "no"}),
        httpx.Response(403, json={"error": "insufficient_scope"}),
        httpx.Response(500),
        httpx.ReadTimeout("late"),
    ],
)
async def test_session_is_in_no_repr_error_or_log(answer, caplog):
    caplog.set_level(logging.DEBUG)
    async with Recorder(answer).client().as_customer(CUSTOMER) as portal:
        said = ""
        try:
            await portal.send(CANCEL)
        except PolarError as error:
            said = f"{error!r} {error} {vars(error)}"
        said += f"{portal!r} {portal._session!r} {caplog.text}"

    assert SECRET not in said
    assert portal._session is None
