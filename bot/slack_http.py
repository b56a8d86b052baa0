"""HTTP mode: `POST /slack/events` hands Slack's signed requests to Bolt."""

import json
import logging

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.app.async_app import AsyncApp

from bot.web import Handler

log = logging.getLogger(__name__)


def slack_events(app: AsyncApp) -> Handler:
    """One path for events, taps, commands and `url_verification`; Bolt checks the signature."""

    async def receive(request: web.Request) -> web.StreamResponse:
        try:
            body = await request.text()
            timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
            signature = request.headers.get("X-Slack-Signature", "")
            # Bolt answers these three with a 500 or an exception; they are nobody's but a stranger's.
            if not (timestamp.isascii() and timestamp.isdigit()) or not signature.isascii():
                return web.Response(status=401, text="The signature headers are missing or malformed.")
            if request.content_type == "application/json":
                json.loads(body)
        except (ValueError, RecursionError):
            return web.Response(status=400, text="The body cannot be read.")
        response = await app.async_dispatch(await to_bolt_request(request))
        return await to_aiohttp_response(response)

    return receive
