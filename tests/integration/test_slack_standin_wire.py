"""Sockets, signed deliveries and the page of the Slack stand-in."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.adapter.socket_mode.websockets import AsyncSocketModeHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.slack import SlackStandIn
from tests.fixtures.slack import (
    DORA,
    LENA,
    MAYA,
    MODAL,
    answers_challenge,
    card,
    http_app,
    listening_app,
    no_wait,
    plain,
    posted,
    served,
    socket_app,
    web_client,
)
from tests.fixtures.slack_http import use_http


@pytest.fixture
async def slack() -> AsyncIterator[SlackStandIn]:
    async with SlackStandIn.serve(sleep=no_wait, scopes=None) as stand_in:
        yield stand_in


@pytest.fixture
async def client(slack) -> AsyncIterator[AsyncWebClient]:
    async with web_client(slack) as made:
        yield made


@pytest.fixture(params=[socket_app, http_app], ids=["socket", "http"])
async def heard(request, slack, client):
    """A Bolt app that listens over either transport; what it heard."""
    kept: list = []
    async with request.param(slack, client, kept):
        yield kept


async def test_a_ticket_opens_one_socket(slack, client):
    url = (await client.apps_connections_open(app_token=slack.app_token))["url"]
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        hello = await socket.receive_json()
        assert (hello["type"], hello["num_connections"]) == ("hello", 1)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)


async def test_the_eleventh_socket_is_turned_away(slack, client):
    async with aiohttp.ClientSession() as session:
        sockets = []
        for _ in range(11):
            url = (await client.apps_connections_open(app_token=slack.app_token))["url"]
            sockets.append(await session.ws_connect(url))
        welcomes = [(await socket.receive_json()).get("reason", "welcome") for socket in sockets]
    assert welcomes == ["welcome"] * 10 + ["too_many_websockets"]


async def test_the_client_comes_back_after_a_refresh_a_drop_and_a_refused_ticket(slack, client):
    async with socket_app(slack, client, []):
        await slack.sockets.disconnect("refresh_requested")
        await slack.wait_until(lambda: slack.workspace.counts["apps.connections.open"] == 2)
        slack.fail_next("socket", "refused_ticket")
        slack.sockets.drop()
        await slack.wait_until(
            lambda: slack.sockets.connections == 1 and slack.workspace.counts["apps.connections.open"] >= 3,
            10,
        )
        ts = await posted(slack, client, "approve")
        assert (await slack.click(MAYA, slack.channel, ts, "approve")).acked


async def test_each_payload_goes_to_one_of_the_sockets(slack, client):
    first, second = [], []
    async with socket_app(slack, client, first):
        handler = AsyncSocketModeHandler(listening_app(slack, client, second), slack.app_token)
        await handler.connect_async()
        await slack.wait_until(lambda: slack.sockets.connections == 2)
        for number in range(4):
            await slack.command(MAYA, "/polar", str(number))
        await handler.close_async()
    assert [len(first), len(second)] == [2, 2]


async def test_without_a_socket_the_tap_is_not_acknowledged(slack, client):
    ts = await posted(slack, client, "approve")
    assert (await slack.click(MAYA, slack.channel, ts, "approve")).error == "not_connected"
    assert slack.workspace.warnings.get((MAYA, ts))


async def test_an_unacknowledged_event_comes_again_with_number_and_reason(slack):
    tries = []

    async def failing_twice(request):
        tries.append((request.headers.get("X-Slack-Retry-Num"), request.headers.get("X-Slack-Retry-Reason")))
        return web.Response(status=500 if len(tries) < 3 else 200)

    async with served(failing_twice) as url:
        use_http(slack, url)
        slack.say(MAYA, "hello")
        await slack.drain_events()
    assert tries == [(None, None), ("1", "http_error"), ("2", "http_error")]


async def test_an_event_is_given_up_after_three_repetitions(slack):
    slack.say(MAYA, "hello")
    await slack.drain_events()
    assert [exchange.error for exchange in slack.calls("event message")] == ["not_connected"] * 4


async def test_a_wrong_secret_is_refused_by_the_app_and_the_challenge_is_answered(slack, client):
    async with http_app(slack, client, []) as url:
        assert await answers_challenge(slack, url)
        slack.signing_secret = "another"
        use_http(slack, url)
        ts = await posted(slack, client, "approve")
        assert (await slack.click(MAYA, slack.channel, ts, "approve")).error == "http_error"


async def test_the_page_streams_what_its_viewer_sees_and_acts_for_them(slack, client, heard):
    async with (
        aiohttp.ClientSession(slack.origin) as session,
        session.ws_connect(f"/page/stream?user={LENA}") as socket,
    ):
        first = await socket.receive_json()
        assert (first["kind"], first["viewer"], first["messages"]) == ("slack", LENA, [])
        ts = await posted(slack, client, "approve")
        while not (shown := await socket.receive_json())["messages"]:
            pass
        assert shown["messages"][0]["ts"] == ts
        tap = {"user": LENA, "kind": "click", "channel": slack.channel, "ts": ts}
        async with session.post("/page/act", json={**tap, "action_id": "approve"}) as answer:
            assert (await answer.json())["ok"]
        async with session.post("/page/act", json={**tap, "action_id": "gone"}) as answer:
            assert "gone" in (await answer.json())["error"]


async def test_a_modal_is_filled_in_from_the_page(slack, client, heard):
    ts = await posted(slack, client, "decline")
    await slack.act(
        {"user": MAYA, "kind": "click", "channel": slack.channel, "ts": ts, "action_id": "decline"}
    )
    await slack.wait_until(lambda: slack.modals(MAYA))
    shown = slack.snapshot(MAYA)["modals"][0]
    assert shown["view"]["title"]["text"] == "Decline"
    submit = {"user": MAYA, "kind": "submit", "view_id": shown["id"]}
    assert not (await slack.act({**submit, "values": {}}))["ok"]
    assert "why" in slack.snapshot(MAYA)["modals"][0]["errors"]
    assert (await slack.act({**submit, "values": {"why": {"text": {"value": "fraud"}}}}))["ok"]
    assert slack.snapshot(MAYA)["modals"] == []
    assert "modal" in (await slack.act({"user": MAYA, "kind": "close", "view_id": shown["id"]}))["error"]


async def test_ephemerals_are_gone_when_the_page_is_loaded_again(slack, client):
    await client.chat_postEphemeral(channel=slack.channel, user=LENA, text="x")
    assert slack.snapshot(LENA)["messages"][0]["ephemeral"]
    assert slack.snapshot(MAYA)["messages"] == []
    async with (
        aiohttp.ClientSession(slack.origin) as session,
        session.ws_connect(f"/page/stream?user={LENA}") as socket,
    ):
        assert (await socket.receive_json())["messages"] == []


async def test_what_is_typed_on_the_page_is_encoded_as_slack_does(slack, heard):
    typed = "@polar-approvals <b> & @nobody"
    answer = await slack.act({"user": LENA, "kind": "message", "text": typed})
    assert slack.message(answer["ts"]).text == f"<@{slack.workspace.app.bot_user_id}> &lt;b&gt; &amp; @nobody"
    assert (await slack.act({"user": LENA, "kind": "command", "command": "/polar", "text": "@maya"}))["ok"]
    assert dict(heard)["command"]["text"] == f"<@{MAYA}|maya>"


@pytest.mark.parametrize(
    "body", [{}, {"kind": []}, {"kind": "click"}, {"kind": "message", "user": LENA, "text": " "}]
)
async def test_an_act_that_makes_no_sense_is_answered(slack, body):
    assert (await slack.act(body))["ok"] is False


async def test_another_site_may_neither_read_nor_act(slack):
    elsewhere = {"Origin": "https://evil.example"}
    async with aiohttp.ClientSession(slack.origin, headers=elsewhere) as session:
        async with session.post("/page/act", json={"kind": "open_home", "user": MAYA}) as answer:
            assert answer.status == 403
        async with session.get("/page/stream") as answer:
            assert answer.status == 403


@pytest.mark.parametrize(
    "path", ["/static/..%2Fstate.py", "/static/nothing.js", "/archives/C1/p1", "/archives/C/pxx"]
)
async def test_nothing_but_the_pages_own_files_is_served(slack, path):
    async with aiohttp.ClientSession(slack.origin) as session, session.get(path) as answer:
        assert answer.status == 404


async def test_the_page_is_served(slack):
    async with aiohttp.ClientSession(slack.origin) as session:
        async with session.get("/") as answer:
            assert "<!doctype html>" in (await answer.text()).lower()
        async with session.get("/static/main.js") as answer:
            assert answer.content_type in ("text/javascript", "application/javascript")


async def test_traffic_is_counted_and_never_holds_a_token(slack, client):
    await posted(slack, client)
    assert slack.workspace.counts["chat.postMessage"] == 1
    assert slack.calls("chat.postMessage")[0].arguments["text"] == "Refund?"
    assert slack.bot_token not in repr(slack.workspace.exchanges)
    assert slack.snapshot(MAYA)["traffic"][0]["what"] == "chat.postMessage"


async def test_two_stand_ins_share_nothing(slack, client):
    async with SlackStandIn.serve(scopes=None) as other:
        await posted(slack, client)
        assert other.messages() == []


async def test_the_page_taps_asks_for_suggestions_and_closes(slack, client, heard):
    await client.views_publish(user_id=MAYA, view={"type": "home", "blocks": [card("refresh")[1]]})
    home = {"user": MAYA, "view_id": slack.snapshot(MAYA)["home"]["id"]}
    assert (await slack.act({**home, "kind": "view_click", "action_id": "refresh", "block_id": "decide"}))[
        "ok"
    ]
    picker = {"type": "external_select", "action_id": "customer"}
    blocks = [{"type": "input", "block_id": "who", "label": plain("Who?"), "element": picker}]
    opened = await client.views_open(
        trigger_id=slack.workspace.triggers.issue(MAYA),
        view={**MODAL, "blocks": blocks, "clear_on_close": True},
    )
    modal = {"user": MAYA, "view_id": opened["view"]["id"]}
    ask = {**modal, "kind": "suggest", "action_id": "customer"}
    assert (await slack.act({**ask, "value": "bo"}))["options"] == []
    assert [option["value"] for option in (await slack.act({**ask, "value": "bob"}))["options"]] == [
        "c0",
        "c1",
    ]
    assert (await slack.act({**modal, "kind": "close"}))["ok"]
    assert (await slack.act({"user": MAYA, "kind": "open_home"}))["ok"]
    assert not (await slack.act({**ask, "value": "bob"}))["ok"]
    assert not (await slack.act({"user": DORA, "kind": "open_home"}))["ok"]


async def test_without_an_answer_the_page_says_so_in_one_sentence(slack, client):
    ts = await posted(slack, client, "approve")
    tap = {"user": MAYA, "kind": "click", "channel": slack.channel, "ts": ts, "action_id": "approve"}
    assert (await slack.act(tap))["error"] == "This app did not respond. Try again."


async def test_a_reply_joins_the_thread_of_the_message_and_needs_one(slack, client):
    root = await posted(slack, client)
    reply = slack.say(LENA, "one", thread_ts=root)
    slack.say(LENA, "two", thread_ts=reply)
    assert [message.text for message in slack.thread(root)] == ["one", "two"]
    answer = await slack.act({"user": LENA, "kind": "message", "text": "x", "thread_ts": "1.000001"})
    assert answer == {"ok": False, "error": "thread_not_found"}
    slack.workspace.channel.members.discard(LENA)
    assert "not in the channel" in (await slack.act({"user": LENA, "kind": "message", "text": "x"}))["error"]
