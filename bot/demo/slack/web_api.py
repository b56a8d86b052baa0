"""The Web API over HTTP: wire formats, tokens, scopes, faults, limits; then the method itself.

Bodies are JSON, a form, or nothing with a query; the token is in the header, the form or the query
(https://docs.slack.dev/apis/web-api).
"""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bot.demo.faults import Faults
from bot.demo.slack.faults import Fault, Limits
from bot.demo.slack.methods import APP_SCOPES, METHODS, Method
from bot.demo.slack.state import Json, Refused, Workspace

STRUCTURED = ("blocks", "view", "metadata", "files")  # in a form these are JSON in a string
FLAGS = ("mrkdwn", "reply_broadcast", "unfurl_links", "unfurl_media")


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
        error = answer.get("error")
        self._slack.traffic.add("app→slack", name, arguments, error, (time.perf_counter() - begun) * 1000)
        self._slack.changed()
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
