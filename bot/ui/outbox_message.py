"""The message of a row of the outbox: stored in the row, or made here from its code. Pure."""

from collections.abc import Mapping
from typing import Any

from bot.ui.message import Message
from bot.ui.text import glue, line, person, rich
from store.models.details import OutboxCode

_BACK = "Back from snooze: it waits for a decision again."
_LINES: Mapping[OutboxCode, str] = {
    OutboxCode.UNDONE: "Undone by {actor}: what it was before is back.",
    OutboxCode.NOT_UNDONE: "Not undone: nothing was changed. Its own card says why.",
    OutboxCode.PERHAPS_UNDONE: "Not certainly undone. Its own card says why.",
}


def outbox_message(content: Mapping[str, Any]) -> Message:
    """The message of a row: `content` is {text, blocks}, or {code, args}."""
    if "code" not in content:
        return Message(content["text"], tuple(content["blocks"]))
    code, actor = OutboxCode(content["code"]), content["args"].get("actor")
    if code is OutboxCode.BACK_FROM_SNOOZE:
        whom = [person(actor), glue(" ")] if actor else []
        return Message(_BACK, (rich("snooze.over", line(*whom, glue(_BACK))),))
    return Message(_LINES[code].format(actor=f"<@{actor}>"), ())
