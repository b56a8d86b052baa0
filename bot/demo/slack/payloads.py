"""The payloads that Slack sends when somebody acts: block_actions, view_submission, commands, events.

https://docs.slack.dev/reference/interaction-payloads
"""

from typing import Any

from bot.demo.slack.people import Channel, User
from bot.demo.slack.state import Json, Message, View, Workspace

TOKEN = "verification-token-of-old"  # noqa: S105 - Slack still sends the deprecated token; it secures nothing
# Where each kind of element keeps its value, in actions and in `view.state.values`.
VALUE_KEYS = {
    "button": "value",
    "overflow": "selected_option",
    "static_select": "selected_option",
    "external_select": "selected_option",
    "users_select": "selected_user",
    "radio_buttons": "selected_option",
    "multi_static_select": "selected_options",
    "multi_external_select": "selected_options",
    "checkboxes": "selected_options",
    "datepicker": "selected_date",
    "datetimepicker": "selected_date_time",
    "plain_text_input": "value",
    "number_input": "value",
}
STATELESS = ("button", "overflow")


def act(slack: Workspace, kind: str, user: User) -> Json:
    """The part that every interaction payload has. `team` is the actor's, which is not always ours."""
    domain = slack.cast.team_domain if user.team_id == slack.cast.team_id else "partner"
    return {
        "type": kind,
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
        "api_app_id": slack.app.id,
        "token": TOKEN,
        "trigger_id": slack.triggers.issue(user.id),
        "team": {"id": user.team_id, "domain": domain},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def on_message(slack: Workspace, user: User, channel: Channel, ts: str, message: Message | None) -> Json:
    """A block_actions payload of a message, without its actions. An ephemeral's message is not in it."""
    ephemeral = message is not None and message.ephemeral_to is not None
    container: Json = {
        "type": "message",
        "message_ts": ts,
        "channel_id": channel.id,
        "is_ephemeral": ephemeral,
    }
    payload = act(slack, "block_actions", user) | {
        "channel": {"id": channel.id, "name": channel.name},
        "state": {"values": {}},
        "response_url": response_url(slack, user, channel, ts),
    }
    if message is not None and message.thread_ts is not None:
        container["thread_ts"] = message.thread_ts
    if message is not None and not ephemeral:
        payload["message"] = slack.message_json(message)
    return payload | {"container": container}


def on_view(slack: Workspace, kind: str, user: User, view: View, state: Json) -> Json:
    """A view's payload: block_actions (without its actions), view_submission and its like."""
    payload = act(slack, kind, user) | {"view": slack.view_json(view, state)}
    if kind in ("block_actions", "block_suggestion"):
        payload["container"] = {"type": "view", "view_id": view.id}
    if kind == "view_submission":
        payload["response_urls"] = []
    if kind == "view_closed":
        payload["is_cleared"] = False
    return payload


def action(slack: Workspace, block: Json, element: Json, chosen: Json) -> Json:
    """One entry of `actions`."""
    entry = {
        "type": element["type"],
        "block_id": block["block_id"],
        "action_id": element["action_id"],
        "action_ts": slack.next_ts(),
    }
    if "text" in element:
        entry["text"] = {"emoji": True, **element["text"]}
    if "style" in element:
        entry["style"] = element["style"]
    return entry | chosen


def command(slack: Workspace, user: User, name: str, text: str) -> Json:
    """A slash command: a flat form."""
    channel = slack.channel
    return {
        "token": TOKEN,
        "team_id": user.team_id,
        "team_domain": slack.cast.team_domain,
        "channel_id": channel.id,
        "channel_name": channel.name,
        "user_id": user.id,
        "user_name": user.name,
        "command": name,
        "text": text,
        "api_app_id": slack.app.id,
        "is_enterprise_install": "false",
        "response_url": response_url(slack, user, channel, None),
        "trigger_id": slack.triggers.issue(user.id),
    }


def response_url(slack: Workspace, user: User, channel: Channel, ts: str | None) -> str:
    """A fresh response URL."""
    return f"{slack.origin}/slack/response/{slack.response_urls.issue(user.id, channel.id, ts)}"


def event_callback(slack: Workspace, event: Json) -> Json:
    """The outer event around `event`, with an id of its own."""
    author = slack.users.get(str(event.get("user")))
    return {
        "token": TOKEN,
        "team_id": slack.cast.team_id,
        "context_team_id": author.team_id if author else slack.cast.team_id,
        "api_app_id": slack.app.id,
        "event": event,
        "type": "event_callback",
        "event_id": slack.next_id("Ev"),
        "event_time": int(slack.clock()),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": slack.cast.team_id,
                "user_id": slack.app.bot_user_id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": slack.is_shared(slack.channel),
    }


def nothing_chosen(element: Json) -> Json:
    """The state of an element nobody touched: its initial value."""
    key = VALUE_KEYS[element["type"]]
    empty: Any = [] if key == "selected_options" else None
    return {"type": element["type"], key: element.get(f"initial_{key.removeprefix('selected_')}", empty)}
