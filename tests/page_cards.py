"""Messages, blocks and modals as they stand in a snapshot, for the tests of the page."""

import time
from typing import Any

NOW = int(time.time())

HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\"> <script>document.title='owned'</script> <!channel> "
    "<https://evil.example|Approve here> <@U0ANNA> *bold* `code` :tada: &amp; &lt;b&gt; \u202egnp.exe\u202c "
    "\u200bzero \U0001f600 " + "x" * 2700
)


def at(ago: int) -> str:
    """The ts of a message so many seconds ago."""
    return f"{NOW - ago}.000100"


def plain(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, **more}


def mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def button(text: str, action: str, **more: Any) -> dict[str, Any]:
    return {"type": "button", "text": plain(text), "action_id": action, "value": f"p_1|{action}", **more}


def section(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "section", "block_id": "section", "text": mrkdwn(text), **more}


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "block_id": "actions", "elements": list(elements)}


def rich(*parts: dict[str, Any]) -> dict[str, Any]:
    line = {"type": "rich_text_section", "elements": list(parts)}
    return {"type": "rich_text", "block_id": "rich", "elements": [line]}


def message(ts: str, **more: Any) -> dict[str, Any]:
    """One message of the bot as it stands in a snapshot."""
    plain = {
        "ts": ts, "thread_ts": None, "user": "U0BOT", "bot": True, "text": "", "blocks": [], "edited": False,
        "ephemeral": False, "reply_count": 0, "warning": None,
    }  # fmt: skip
    return plain | more


def said(ts: str, user: str, text: str, **more: Any) -> dict[str, Any]:
    """One message of a person."""
    return message(ts, user=user, bot=False, text=text, **more)


def card(ts: str = at(60), **more: Any) -> dict[str, Any]:
    """A pending card with its three buttons."""
    buttons = actions(
        button("Approve", "approve", style="primary"),
        button("Decline", "decline", style="danger"),
        button("Why", "why"),
    )
    return message(ts, text="Disable 2 keys?", blocks=[section("*Disable 2 keys?*"), buttons], **more)


def options(*names: str) -> list[dict[str, Any]]:
    return [{"text": plain(name), "value": name.lower()} for name in names]


def field(block_id: str, element: dict[str, Any], **more: Any) -> dict[str, Any]:
    label = plain(block_id.capitalize())
    return {
        "type": "input",
        "block_id": block_id,
        "label": label,
        "element": element | {"action_id": "v"},
    } | more


def modal(view_id: str, *blocks: dict[str, Any], errors: dict[str, str] | None = None) -> dict[str, Any]:
    view = {
        "type": "modal", "title": plain("Edit the refund"), "blocks": list(blocks),
        "submit": plain("Propose"), "close": plain("Cancel"),
    }  # fmt: skip
    return {"id": view_id, "view": view, "errors": errors or {}}


EVERY_FIELD = (
    section("Left to refund: *49.00*"),
    field("amount", {"type": "number_input", "is_decimal_allowed": False, "max_value": "4900"}),
    field("reason", {"type": "static_select", "options": options("Fraud", "Duplicate")}),
    field("note", {"type": "plain_text_input", "multiline": True}, optional=True),
    field("who", {"type": "external_select", "min_query_length": 1}, optional=True),
    field("tags", {"type": "multi_static_select", "options": options("Vip", "Late")}, optional=True),
    field("day", {"type": "datepicker", "initial_date": "2026-11-30"}),
    field("moment", {"type": "datetimepicker", "initial_date_time": 1700000040}),
    field("also", {"type": "checkboxes", "options": options("Tell", "Revoke")}, optional=True),
    field("kind", {"type": "radio_buttons", "options": options("Soft", "Hard")}),
)
