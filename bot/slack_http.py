"""HTTP mode: `POST /slack/events` hands Slack's signed requests to Bolt."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.signature import SignatureVerifier

from bot.web import Handler

# What Bolt takes to be an object, or null, wherever it is there.
_OBJECTS = ("user", "team", "container", "channel", "event", "view", "message")


def slack_events(app: AsyncApp, signing_secret: str) -> Handler:
    """One path for events, taps, commands and `url_verification`.

    401 for a signature that is wrong or older than five minutes, 400 for what is not one of Slack's payloads:
    Bolt reads the body before it checks the signature, and answers what it cannot read with a 500.
    """
    verifier = SignatureVerifier(signing_secret)

    async def receive(request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
            if not _is_signed(verifier, request.headers, body):
                return web.Response(status=401, text="The signature is missing, wrong or old.")
            if not _is_payload(request.content_type, body.decode()):
                return web.Response(status=400, text="This is not one of Slack's payloads.")
            bolt_request = await to_bolt_request(request)
        except (web.RequestPayloadError, ValueError, LookupError, RecursionError):
            return web.Response(status=400, text="The body cannot be read.")
        return await to_aiohttp_response(await app.async_dispatch(bolt_request))

    return receive


def _is_signed(verifier: SignatureVerifier, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether Slack has sent this within five minutes. Raises ValueError for a body that is no text."""
    timestamp = headers.get("X-Slack-Request-Timestamp", "")
    signature = headers.get("X-Slack-Signature", "")
    if re.fullmatch(r"[0-9]{1,20}", timestamp) is None or not signature.isascii():
        return False
    return verifier.is_valid(body, timestamp, signature)


def _is_payload(content_type: str, body: str) -> bool:
    """Whether Bolt can take it: a command's form, or an object where Slack sends one. Raises ValueError."""
    if content_type == "application/x-www-form-urlencoded":
        values = parse_qs(body, keep_blank_values=True).get("payload")
        return values is None or _is_sensible(json.loads(values[0]))
    return _is_sensible(json.loads(body))


def _is_sensible(payload: Any) -> bool:
    if not isinstance(payload, dict):
        return False
    actions = payload.get("actions", [{}])
    return (
        isinstance(actions, list)
        and bool(actions)
        and all(isinstance(action, dict) for action in actions)
        and all(isinstance(payload.get(name), dict | None) for name in _OBJECTS)
    )
