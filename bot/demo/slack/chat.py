"""Writes of the app into the channel: `chat.*`, `reactions.add`, `files.*`, and answers to a response URL.

https://docs.slack.dev/reference/methods/chat.postMessage and its neighbours. A file is uploaded in two steps.
"""

import json
from dataclasses import replace
from typing import Any

from aiohttp import web

from bot.demo.blockkit import Finding, lint_message
from bot.demo.slack.conversations import (
    direct_messages,
    joined_channel,
    known_channel,
    known_message,
    thread_root,
)
from bot.demo.slack.people import Channel
from bot.demo.slack.state import Json, Message, Refused, ResponseUrl, Workspace

PNG = b"\x89PNG\r\n\x1a\n"
_METADATA_ERRORS = {True: "metadata_too_large", False: "invalid_metadata_format"}


def post_message(slack: Workspace, arguments: Json) -> Json:
    """chat.postMessage."""
    channel = _writable(slack, arguments.get("channel"))
    message = slack.put(_new_message(slack, channel, arguments))
    shown = slack.message_json(message)
    slack.echo(channel, shown)
    return {"channel": channel.id, "ts": message.ts, "message": shown}


def update(slack: Workspace, arguments: Json) -> Json:
    """chat.update: text alone removes the blocks, blocks alone keep the text, neither keeps both."""
    channel = known_channel(slack, arguments.get("channel"))
    old = _own_message(slack, channel, arguments.get("ts"), "cant_update_message")
    if (
        (text := arguments.get("text")) is None
        and arguments.get("blocks") is None
        and "metadata" not in arguments
    ):
        raise Refused("no_text")
    refuse_findings(lint_message(arguments, update=True))
    blocks = arguments.get("blocks")
    new = replace(
        old,
        text=old.text if text is None else text,
        blocks=slack.with_ids(blocks) if blocks else [] if text is not None or blocks == [] else old.blocks,
        metadata=arguments.get("metadata") or old.metadata,
        edited=old.edited or (text is not None and not blocks),
    )
    if not new.text and not new.blocks:
        raise Refused("no_text")
    slack.put(new)
    shown = slack.message_json(new)
    change = {"type": "message", "subtype": "message_changed", "message": shown, "ts": slack.next_ts()}
    slack.echo(channel, change | {"previous_message": slack.message_json(old), "hidden": True})
    return {"channel": channel.id, "ts": new.ts, "text": new.text, "message": shown}


def delete(slack: Workspace, arguments: Json) -> Json:
    """chat.delete."""
    channel = known_channel(slack, arguments.get("channel"))
    message = _own_message(slack, channel, arguments.get("ts"), "cant_delete_message")
    slack.remove(message)
    gone = {"type": "message", "subtype": "message_deleted", "deleted_ts": message.ts, "ts": slack.next_ts()}
    slack.echo(channel, gone | {"previous_message": slack.message_json(message), "hidden": True})
    return {"channel": channel.id, "ts": message.ts}


def post_ephemeral(slack: Workspace, arguments: Json) -> Json:
    """chat.postEphemeral: seen by one member, until they reload."""
    channel = _writable(slack, arguments.get("channel"))
    user = arguments.get("user")
    if not isinstance(user, str) or user not in channel.members:
        raise Refused("user_not_in_channel")
    message = slack.put(replace(_new_message(slack, channel, arguments), ephemeral_to=user))
    return {"message_ts": message.ts}


def get_permalink(slack: Workspace, arguments: Json) -> Json:
    """chat.getPermalink: Slack's path on our own origin, so that the link opens the demo page."""
    channel = known_channel(slack, arguments.get("channel"))
    message = known_message(slack, channel, arguments.get("message_ts"))
    origin = slack.origin or f"https://{slack.team.domain}.slack.com"
    thread = f"?thread_ts={message.thread_ts}&cid={channel.id}" if message.thread_ts else ""
    link = f"{origin}/archives/{channel.id}/p{message.ts.replace('.', '')}{thread}"
    return {"channel": channel.id, "permalink": link}


def add_reaction(slack: Workspace, arguments: Json) -> Json:
    """reactions.add."""
    channel = known_channel(slack, arguments.get("channel"))
    name = str(arguments.get("name") or "").strip(":")
    if not name:
        raise Refused("invalid_name")
    message = known_message(slack, channel, arguments.get("timestamp"))
    names = slack.reactions.setdefault((channel.id, message.ts), [])
    if name in names:
        raise Refused("already_reacted")
    names.append(name)
    slack.changed()
    return {}


def refuse_findings(findings: list[Finding]) -> None:
    """Raises what Slack answers to the first kind of fault, with every pointer in the answer."""
    if not findings:
        return
    pointers = [finding.pointer for finding in findings]
    if "/text" in pointers:
        code = "msg_too_long"
    elif any(pointer.startswith("/metadata") for pointer in pointers):
        code = _METADATA_ERRORS["/metadata" in pointers]
    elif any(pointer.startswith("/blocks") for pointer in pointers):
        code = "invalid_blocks"
    else:
        code = "invalid_arguments"
    raise Refused(code, **explained(findings))


def explained(findings: list[Finding], prefix: str = "") -> dict[str, Any]:
    """The `errors` and `response_metadata` that Slack sends with invalid blocks."""
    lines = [f"{finding.message} [json-pointer:{prefix}{finding.pointer}]" for finding in findings]
    return {"errors": lines, "response_metadata": {"messages": [f"[ERROR] {line}" for line in lines]}}


def _new_message(slack: Workspace, channel: Channel, arguments: Json) -> Message:
    text, blocks = arguments.get("text") or "", arguments.get("blocks") or []
    if not text and not blocks:
        raise Refused("no_text")
    refuse_findings(lint_message(arguments))
    return Message(
        channel.id, slack.next_ts(), slack.app.bot_user_id, text, slack.with_ids(blocks),
        thread_root(slack, channel, arguments.get("thread_ts")), arguments.get("metadata"), from_bot=True,
    )  # fmt: skip


def _writable(slack: Workspace, name: Any) -> Channel:
    """The channel by id or name, or the direct messages with a user."""
    if isinstance(name, str) and name in slack.users:
        return direct_messages(slack, name)
    by_name = next(
        (c for c in slack.channels.values() if isinstance(name, str) and c.name == name.lstrip("#")), None
    )
    channel = by_name or known_channel(slack, name)
    if channel.is_archived:
        raise Refused("is_archived")
    if slack.app.bot_user_id not in channel.members:
        raise Refused("not_in_channel")
    return channel


def _own_message(slack: Workspace, channel: Channel, ts: Any, not_own: str) -> Message:
    message = known_message(slack, channel, ts)
    if message.user != slack.app.bot_user_id:
        raise Refused(not_own)
    return message


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
    slack.log("app→slack", "response_url", content, error)
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
        slack.put(replace(_present(original), text=text, blocks=blocks))
        return
    in_channel = content.get("response_type") == "in_channel"
    message = Message(
        target.channel, slack.next_ts(), slack.app.bot_user_id, text, blocks, content.get("thread_ts"),
        from_bot=True, ephemeral_to=None if in_channel else target.user,
    )  # fmt: skip
    slack.put(message)


def _present(message: Message | None) -> Message:
    if message is None:
        raise Refused("message_not_found")
    return message


def get_upload_url(slack: Workspace, arguments: Json) -> Json:
    """files.getUploadURLExternal."""
    name = arguments.get("filename")
    try:
        length = int(arguments.get("length") or 0)
    except ValueError:
        length = 0
    if not isinstance(name, str) or not name or length <= 0:
        raise Refused("invalid_arguments")
    file_id = slack.next_id("F")
    slack.uploads[file_id] = (name, b"")
    return {"upload_url": f"{slack.origin}/slack/upload/{file_id}", "file_id": file_id}


def complete_upload(slack: Workspace, arguments: Json) -> Json:
    """files.completeUploadExternal: the files, and a message that shows them when a channel is given."""
    asked = arguments.get("files")
    if not isinstance(asked, list) or not asked:
        raise Refused("invalid_arguments")
    files = [_file(slack, item) for item in asked]
    if arguments.get("channel_id"):
        channel = joined_channel(slack, arguments["channel_id"])
        names = ", ".join(file["title"] for file in files if not file["picture"])
        said = [arguments.get("initial_comment") or "", f"📎 {names}" if names else ""]
        text = "\n".join(filter(None, said))
        thread_ts = thread_root(slack, channel, arguments.get("thread_ts"))
        message = Message(channel.id, slack.next_ts(), slack.app.bot_user_id, text, [], thread_ts)
        slack.put(replace(message, from_bot=True, files=tuple(files)))
    return {"files": files}


def _file(slack: Workspace, item: Any) -> Json:
    file_id = item.get("id") if isinstance(item, dict) else None
    name, content = slack.uploads.get(str(file_id), ("", b""))
    if not content:
        raise Refused("file_not_found")
    return {"id": file_id, "title": item.get("title") or name, "picture": content.startswith(PNG)}
