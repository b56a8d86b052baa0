"""The `chat.*` methods and `reactions.add`: what the app writes into the channel.

https://docs.slack.dev/reference/methods/chat.postMessage and its neighbours.
"""

from dataclasses import replace
from typing import Any

from bot.demo.blockkit import Finding, lint_message
from bot.demo.slack.conversations import direct_messages, known_channel, thread_root
from bot.demo.slack.people import Channel
from bot.demo.slack.state import Json, Message, Refused, Workspace

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
    message = slack.put_ephemeral(replace(_new_message(slack, channel, arguments), ephemeral_to=user))
    return {"message_ts": message.ts}


def get_permalink(slack: Workspace, arguments: Json) -> Json:
    """chat.getPermalink: Slack's path on our own origin, so that the link opens the demo page."""
    channel = known_channel(slack, arguments.get("channel"))
    ts = str(arguments.get("message_ts"))
    message = slack.find(channel.id, ts)
    if message is None:
        raise Refused("message_not_found")
    origin = slack.origin or f"https://{slack.cast.team_domain}.slack.com"
    thread = f"?thread_ts={message.thread_ts}&cid={channel.id}" if message.thread_ts else ""
    return {
        "channel": channel.id,
        "permalink": f"{origin}/archives/{channel.id}/p{ts.replace('.', '')}{thread}",
    }


def add_reaction(slack: Workspace, arguments: Json) -> Json:
    """reactions.add."""
    channel = known_channel(slack, arguments.get("channel"))
    key = (channel.id, str(arguments.get("timestamp")))
    name = str(arguments.get("name") or "").strip(":")
    if not name:
        raise Refused("invalid_name")
    if key not in slack.messages:
        raise Refused("message_not_found")
    names = slack.reactions.setdefault(key, [])
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
        channel=channel.id,
        ts=slack.next_ts(),
        user=slack.app.bot_user_id,
        text=text,
        blocks=slack.with_ids(blocks),
        thread_ts=thread_root(slack, channel, arguments.get("thread_ts")),
        metadata=arguments.get("metadata"),
        from_bot=True,
    )


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
    message = slack.find(channel.id, str(ts))
    if message is None:
        raise Refused("message_not_found")
    if message.user != slack.app.bot_user_id:
        raise Refused(not_own)
    return message
