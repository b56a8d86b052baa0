"""A Bolt app with a listener for everything, connected to a Slack stand-in either way, and what it posts."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.websockets import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.slack import DEMO_CAST, SlackStandIn

MAYA, JONAS, LENA, GUS, OMAR, DORA = (user.id for user in DEMO_CAST.users)
PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
Heard = list[tuple[str, Any]]


def plain(text: str) -> dict[str, Any]:
    """A text object without markup."""
    return {"type": "plain_text", "text": text}


def card(*action_ids: str) -> list[dict[str, Any]]:
    """A question, and a button for each action id."""
    buttons = [
        {"type": "button", "action_id": name, "text": plain(name.title()), "value": "prop_1"}
        for name in action_ids
    ]
    question = {"type": "section", "text": {"type": "mrkdwn", "text": "*Refund EUR 40?*"}}
    return [question, *([{"type": "actions", "block_id": "decide", "elements": buttons}] if buttons else [])]


MODAL = {
    "type": "modal",
    "callback_id": "reason",
    "title": plain("Decline"),
    "submit": plain("Send"),
    "notify_on_close": True,
    "blocks": [
        {
            "type": "input",
            "block_id": "why",
            "label": plain("Why?"),
            "element": {"type": "plain_text_input", "action_id": "text", "min_length": 2},
        }
    ],
}
HOME = {"type": "home", "blocks": [{"type": "header", "text": plain("Nothing waits")}]}
# What the modal's listener answers to each text.
ANSWERS: dict[str, dict[str, Any]] = {
    "bad": {"response_action": "errors", "errors": {"why": "Say more."}},
    "nowhere": {"response_action": "errors", "errors": {"elsewhere": "Say more."}},
    "more": {"response_action": "push", "view": MODAL},
    "other": {"response_action": "update", "view": {**MODAL, "title": plain("Again")}},
    "all": {"response_action": "clear"},
}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def no_wait(seconds: float) -> None:
    """Instead of sleeping between the repetitions of an event."""
    del seconds
    await asyncio.sleep(0)


@asynccontextmanager
async def web_client(slack: SlackStandIn) -> AsyncIterator[AsyncWebClient]:
    """The SDK's client with the bot token, whatever proxy the machine has."""
    with pytest.MonkeyPatch.context() as environment:
        for name in PROXY_VARIABLES:
            environment.delenv(name, raising=False)
        async with aiohttp.ClientSession() as session:
            yield AsyncWebClient(slack.bot_token, base_url=slack.api_url, session=session)


async def posted(slack: SlackStandIn, client: AsyncWebClient, *action_ids: str) -> str:
    """Posts a card; its ts."""
    answer = await client.chat_postMessage(channel=slack.channel, text="Refund?", blocks=card(*action_ids))
    return str(answer["ts"])


async def refusal(call: Coroutine[Any, Any, Any]) -> str:
    """The error that Slack answers to a call."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


def listening_app(slack: SlackStandIn, client: AsyncWebClient, heard: Heard) -> AsyncApp:
    """A Bolt app with a listener for everything; `heard` takes what arrives."""
    app = AsyncApp(client=client, signing_secret=slack.signing_secret)
    _listen_to_taps(app, heard)
    _listen_to_modals(app, heard)
    _listen_to_events(app, heard)
    return app


def _listen_to_taps(app: AsyncApp, heard: Heard) -> None:
    @app.action("approve")
    async def approve(ack, body, respond):
        await ack()
        heard.append(("approve", body))
        await respond("Approved", replace_original=True, blocks=card())

    @app.action("decline")
    async def decline(ack, body, client):
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @app.action("late")
    async def late(ack):
        await asyncio.sleep(0.15)  # longer than the stand-in waits in that test
        await ack()

    @app.action("refresh")
    async def refresh(ack, body):
        await ack()
        heard.append(("refresh", body))

    @app.command("/polar")
    async def command(ack, body):
        heard.append(("command", body))
        await ack(f"You said {body['text']}")


def _listen_to_modals(app: AsyncApp, heard: Heard) -> None:
    @app.view("reason")
    async def reason(ack, body, view):
        heard.append(("submit", body))
        await ack(**ANSWERS.get(view["state"]["values"]["why"]["text"]["value"], {}))

    @app.view_closed("reason")
    async def closed(ack, body):
        await ack()
        heard.append(("closed", body))

    @app.options("customer")
    async def customer(ack, payload):
        await ack(options=[{"text": plain(f"{payload['value']} {n}"), "value": f"c{n}"} for n in range(2)])


def _listen_to_events(app: AsyncApp, heard: Heard) -> None:
    @app.event("app_home_opened")
    async def home(event, client):
        heard.append(("home", event))
        await client.views_publish(user_id=event["user"], view=HOME)

    @app.event("message")
    async def message(body):
        heard.append(("message", body))

    for name in ("app_mention", "user_change", "member_joined_channel", "subteam_members_changed"):

        @app.event(name)
        async def other(body):
            heard.append((body["event"]["type"], body))


@asynccontextmanager
async def socket_app(slack: SlackStandIn, client: AsyncWebClient, heard: Heard) -> AsyncIterator[None]:
    """The app over Socket Mode."""
    handler = AsyncSocketModeHandler(listening_app(slack, client, heard), slack.app_token, ping_interval=0.05)
    await handler.connect_async()
    try:
        await slack.wait_until(lambda: slack.connections == 1)
        yield
    finally:
        await handler.close_async()


@asynccontextmanager
async def http_app(slack: SlackStandIn, client: AsyncWebClient, heard: Heard) -> AsyncIterator[None]:
    """The app behind a request URL."""
    app = listening_app(slack, client, heard)

    async def events(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await app.async_dispatch(await to_bolt_request(request)))

    async with served(events) as url:
        slack.use_http(url)
        yield


@asynccontextmanager
async def served(handler) -> AsyncIterator[str]:
    """A server on loopback with one handler; its URL."""
    application = web.Application()
    application.router.add_post("/slack/events", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    finally:
        await runner.cleanup()
