"""The Web API over HTTP: wire formats, tokens, scopes, faults, limits; then the method itself.

Bodies are JSON, a form, or nothing with a query; the token is in the header, the form or the query
(https://docs.slack.dev/apis/web-api).
"""

import asyncio
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from bot.checks.slack import OPTIONAL_SCOPES, SCOPES
from bot.config.rate_limits import Tier
from bot.demo.shared import Faults
from bot.demo.slack import chat, conversations, views
from bot.demo.slack.state import Json, Refused, Workspace

STRUCTURED = ("blocks", "view", "metadata", "files")  # in a form these are JSON in a string
FLAGS = (
    "mrkdwn", "reply_broadcast", "unfurl_links", "unfurl_media", "include_all_metadata", "include_users",
)  # fmt: skip


# As manifest.yml has them: the scopes (optional ones too) and events of the bot; the one of the app token.
BOT_SCOPES = frozenset({*SCOPES, *OPTIONAL_SCOPES})
APP_SCOPES = frozenset({"connections:write"})
BOT_EVENTS = frozenset(
    "app_home_opened app_mention app_uninstalled member_joined_channel member_left_channel message.channels "
    "message.groups subteam_members_changed tokens_revoked user_change".split()
)
# https://docs.slack.dev/apis/web-api/rate-limits; posting: about one a second in each channel
TIER_1, TIER_2, TIER_3, TIER_4 = Tier(1, 5), Tier(20, 20), Tier(50, 50), Tier(100, 100)
HUNDREDS, POSTING = Tier(600, 100), Tier(60, 4)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that will go wrong. `kind` is one of these, or an error name: the call is answered with it.

    ratelimited     429 with Retry-After, not carried out
    server_error    503, not carried out
    drop_before     the connection breaks, not carried out
    drop_after      carried out, then the connection breaks
    slow            carried out after `seconds`
    duplicate       on `events`: the next event is delivered twice
    reorder         on `events`: the next event is held back until the one after it was delivered
    refused_ticket  on `socket`: the next connection is refused
    """

    kind: str
    retry_after: int = 1
    seconds: float = 0.0


class Limits:
    """Token buckets, one for each method (for posting: for each channel)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, name: str, tier: Tier) -> int:
        """Takes a token: 0, or the whole seconds to wait when there is none."""
        now = self._clock()
        tokens, at = self._buckets.get(name, (tier.burst, now))
        tokens = min(tier.burst, tokens + (now - at) * tier.per_minute / 60)
        if tokens < 1:
            self._buckets[name] = (tokens, now)
            return max(1, math.ceil((1 - tokens) * 60 / tier.per_minute))
        self._buckets[name] = (tokens - 1, now)
        return 0


@dataclass(frozen=True, slots=True)
class Method:
    """`caller` is the kind of token, `scope` what it needs; `json` whether it reads a JSON body."""

    carry_out: Callable[[Workspace, Json], Json]
    tier: Tier
    scope: str | None = None
    caller: Literal["bot", "app", "any"] = "bot"
    json: bool = True


def open_connection(slack: Workspace, _: Json) -> Json:
    """apps.connections.open: a WebSocket URL with a ticket for one connection."""
    host = slack.origin.replace("http", "ws", 1)
    return {"url": f"{host}/slack/socket?ticket={slack.tickets.issue()}&app_id={slack.app.id}"}


METHODS = {
    "apps.connections.open": Method(open_connection, TIER_1, "connections:write", caller="app"),
    "auth.test": Method(conversations.auth_test, HUNDREDS, caller="any"),
    "bots.info": Method(conversations.bots_info, TIER_3, "users:read", json=False),
    "chat.delete": Method(chat.delete, TIER_3, "chat:write"),
    "chat.getPermalink": Method(chat.get_permalink, HUNDREDS, json=False),
    "chat.postEphemeral": Method(chat.post_ephemeral, TIER_4, "chat:write"),
    "chat.postMessage": Method(chat.post_message, POSTING, "chat:write"),
    "chat.update": Method(chat.update, TIER_3, "chat:write"),
    "conversations.history": Method(conversations.history, TIER_3, "channels:history", json=False),
    "conversations.info": Method(conversations.info, TIER_3, "channels:read", json=False),
    "conversations.join": Method(conversations.join, TIER_3, "channels:join"),
    "conversations.members": Method(conversations.members, TIER_4, "channels:read", json=False),
    "conversations.open": Method(conversations.open_direct, TIER_3, "im:write"),
    "conversations.replies": Method(conversations.replies, TIER_3, "channels:history", json=False),
    "files.completeUploadExternal": Method(chat.complete_upload, TIER_4, "files:write"),
    "files.getUploadURLExternal": Method(chat.get_upload_url, TIER_4, "files:write", json=False),
    "reactions.add": Method(chat.add_reaction, TIER_3, "reactions:write"),
    "team.info": Method(conversations.team_info, TIER_3, "team:read", json=False),
    "usergroups.list": Method(conversations.usergroups, TIER_2, "usergroups:read", json=False),
    "usergroups.users.list": Method(conversations.usergroup_users, TIER_2, "usergroups:read", json=False),
    "users.conversations": Method(conversations.user_conversations, TIER_3, "channels:read", json=False),
    "users.info": Method(conversations.user_info, TIER_4, "users:read", json=False),
    "views.open": Method(views.open_view, TIER_4),
    "views.publish": Method(views.publish_view, TIER_4),
    "views.push": Method(views.push_view, TIER_4),
    "views.update": Method(views.update_view, TIER_4),
}


@dataclass(slots=True)
class Tokens:
    """The tokens that are good, and what the bot's may do (None: anything)."""

    bot: str
    app: str
    scopes: frozenset[str] | None


class WebApi:
    """Answers `/slack/api/{method}`."""

    def __init__(
        self, slack: Workspace, tokens: Tokens, faults: Faults[Fault], limits: Limits | None
    ) -> None:
        """`limits` None means that nobody is ever told to slow down."""
        self._slack, self._tokens, self._faults, self._limits = slack, tokens, faults, limits

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call. Every answer is HTTP 200 with `ok`, except 429, 503 and broken connections."""
        begun = time.perf_counter()
        name = request.match_info["method"]
        fault = self._faults.take(name)
        if fault is not None and fault.kind == "drop_before":
            return _hang_up(request)
        if not self._slack.origin:
            self._slack.origin = str(request.url.origin())
        arguments: Json = {}
        granted = self._tokens.scopes
        try:
            if fault is not None:
                await _before(fault)
            method = METHODS.get(name)
            if method is None:
                raise Refused("unknown_method", req_method=name)
            arguments, token = await _arguments(request, method)
            if token == self._tokens.app:
                granted = APP_SCOPES
            self._authorise(method, token, granted)
            self._limit(name, method, arguments)
            answer: Json = {"ok": True} | method.carry_out(self._slack, arguments)
        except Refused as refused:
            answer = {"ok": False, "error": refused.code} | refused.more
        ms = (time.perf_counter() - begun) * 1000
        self._slack.log("app→slack", name, arguments, answer.get("error"), ms)
        if fault is not None and fault.kind == "drop_after":
            return _hang_up(request)
        return _response(answer, granted)

    def _authorise(self, method: Method, token: str | None, granted: frozenset[str] | None) -> None:
        tokens = self._tokens
        if not token:
            raise Refused("not_authed")
        kind = {tokens.bot: "bot", tokens.app: "app"}.get(token)
        if kind is None:
            raise Refused("invalid_auth")
        if method.caller not in (kind, "any"):
            raise Refused("not_allowed_token_type")
        if method.scope and granted is not None and method.scope not in granted:
            raise Refused("missing_scope", needed=method.scope, provided=",".join(sorted(granted)))

    def _limit(self, name: str, method: Method, arguments: Json) -> None:
        if self._limits is None:
            return
        bucket = f"{name} {arguments.get('channel')}" if name == "chat.postMessage" else name
        if (seconds := self._limits.wait(bucket, method.tier)) > 0:
            raise Refused("ratelimited", retry_after=seconds)


def _response(answer: Json, granted: frozenset[str] | None) -> web.Response:
    """The answer over HTTP, with the token's scopes in a header as Slack has them."""
    headers = {"x-oauth-scopes": ",".join(sorted(granted))} if granted is not None else {}
    status = {"ratelimited": 429, "service_unavailable": 503}.get(answer.get("error", ""), 200)
    if status == 429:
        headers["Retry-After"] = str(answer["retry_after"])
    body = json.dumps(answer).encode()
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


async def _before(fault: Fault) -> None:
    """Let the fault happen before the call is looked at. Raises Refused when it must not be carried out."""
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
    elif fault.kind == "ratelimited":
        raise Refused("ratelimited", retry_after=fault.retry_after)
    elif fault.kind == "server_error":
        raise Refused("service_unavailable")
    elif fault.kind != "drop_after":
        raise Refused(fault.kind)


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _arguments(request: web.Request, method: Method) -> tuple[Json, str | None]:
    """The arguments without the token, and the token. Raises Refused for a body nobody can read."""
    arguments: Json = dict(request.query)
    if request.content_type == "application/json" and method.json and request.can_read_body:
        arguments |= _json_object(await request.read())
    elif request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        form = await request.post()
        arguments |= {key: value for key, value in form.items() if isinstance(value, str)}
    for key in STRUCTURED:
        if isinstance(arguments.get(key), str):
            arguments[key] = _structured(key, arguments[key])
    for key in FLAGS:
        if isinstance(arguments.get(key), str):
            arguments[key] = arguments[key].lower() in ("true", "1")
    token = arguments.pop("token", None)
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    return arguments, credential.strip() if scheme.lower() == "bearer" else token


def _json_object(body: bytes) -> Json:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("invalid_json") from None
    if not isinstance(value, dict):
        raise Refused("json_not_object")
    return value


def _structured(key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("invalid_blocks_format" if key == "blocks" else "invalid_arguments") from None
