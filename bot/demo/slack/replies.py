"""Answers of the app: through a response URL, or in the acknowledgement of a command."""

import json
from dataclasses import replace
from typing import Any

from aiohttp import web

from bot.demo.blockkit import lint_message
from bot.demo.slack.chat import refuse_findings
from bot.demo.slack.handles import ResponseUrl
from bot.demo.slack.state import Json, Message, Refused, Workspace


async def handle_response_url(slack: Workspace, request: web.Request) -> web.Response:
    """`POST /slack/response/{token}`: 200 "ok", 404 for a URL that is used up, old or unknown."""
    held, error = slack.response_urls.spend(request.match_info["token"])
    content: Json = {}
    try:
        content = json.loads(await request.read())
        if error is None:
            respond(slack, ResponseUrl(*held), content)
    except Refused as refused:
        error = refused.code
    except (ValueError, RecursionError, AttributeError):
        error = "invalid_payload"
    slack.traffic.add("app→slack", "response_url", content, error, 0)
    slack.changed()
    if error is None:
        return web.Response(text="ok")
    return web.Response(status=400 if held else 404, text=error)


def respond(slack: Workspace, target: ResponseUrl, content: Any) -> None:
    """Carries out one answer. Raises Refused for blocks Slack would not take."""
    original = slack.find(target.channel, target.ts, target.user) if target.ts else None
    if content.get("delete_original"):
        slack.remove(_present(original))
        return
    if not content.get("text") and not content.get("blocks"):
        raise Refused("no_text")
    refuse_findings(lint_message(content))
    text, blocks = content.get("text") or "", slack.with_ids(content.get("blocks") or [])
    if content.get("replace_original"):
        new = replace(_present(original), text=text, blocks=blocks)
        (slack.put if new.ephemeral_to is None else slack.put_ephemeral)(new)
        return
    in_channel = content.get("response_type") == "in_channel"
    message = Message(
        channel=target.channel,
        ts=slack.next_ts(),
        user=slack.app.bot_user_id,
        text=text,
        blocks=blocks,
        thread_ts=content.get("thread_ts"),
        from_bot=True,
        ephemeral_to=None if in_channel else target.user,
    )
    (slack.put if in_channel else slack.put_ephemeral)(message)


def _present(message: Message | None) -> Message:
    if message is None:
        raise Refused("message_not_found")
    return message
