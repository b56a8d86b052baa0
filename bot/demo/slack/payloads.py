"""The values that Slack's client lets somebody put into an element, and the payloads of an act.

https://docs.slack.dev/reference/interaction-payloads
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from bot.demo.slack.people import Channel, User
from bot.demo.slack.state import Json, Message, View, Workspace, elements

REQUIRED = "Please complete this required field."
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


class CannotAct(Exception):
    """A person cannot do that here: Slack's client does not offer it."""


def act(slack: Workspace, kind: str, user: User) -> Json:
    """The part that every interaction payload has. `team` is the actor's, which is not always ours."""
    domain = slack.team.domain if user.team_id == slack.team.id else "partner"
    return {
        "type": kind,
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
        "api_app_id": slack.app.id, "token": TOKEN, "trigger_id": slack.triggers.issue(user.id),
        "team": {"id": user.team_id, "domain": domain}, "enterprise": None, "is_enterprise_install": False,
    }  # fmt: skip


def on_message(slack: Workspace, user: User, channel: Channel, ts: str, message: Message | None) -> Json:
    """A block_actions payload of a message, without its actions. An ephemeral's message is not in it."""
    ephemeral = message is not None and message.ephemeral_to is not None
    container: Json = {"type": "message", "message_ts": ts, "channel_id": channel.id}
    container["is_ephemeral"] = ephemeral
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
        "token": TOKEN, "team_id": user.team_id, "team_domain": slack.team.domain,
        "channel_id": channel.id, "channel_name": channel.name, "user_id": user.id, "user_name": user.name,
        "command": name, "text": text, "api_app_id": slack.app.id, "is_enterprise_install": "false",
        "response_url": response_url(slack, user, channel, None), "trigger_id": slack.triggers.issue(user.id),
    }  # fmt: skip


def response_url(slack: Workspace, user: User, channel: Channel, ts: str | None) -> str:
    """A fresh response URL."""
    return f"{slack.origin}/slack/response/{slack.response_urls.issue(user.id, channel.id, ts)}"


def event_callback(slack: Workspace, event: Json) -> Json:
    """The outer event around `event`, with an id of its own."""
    author = slack.users.get(str(event.get("user")))
    bot = {"team_id": slack.team.id, "user_id": slack.app.bot_user_id, "is_bot": True}
    bot |= {"enterprise_id": None, "is_enterprise_install": False}
    return {
        "token": TOKEN, "team_id": slack.team.id,
        "context_team_id": author.team_id if author else slack.team.id, "api_app_id": slack.app.id,
        "event": event, "type": "event_callback", "event_id": slack.next_id("Ev"),
        "event_time": int(slack.clock()), "authorizations": [bot],
        "is_ext_shared_channel": slack.is_shared(slack.channel),
    }  # fmt: skip


def nothing_chosen(element: Json) -> Json:
    """The state of an element nobody touched: its initial value."""
    key = VALUE_KEYS[element["type"]]
    empty: Any = [] if key == "selected_options" else None
    return {"type": element["type"], key: element.get(f"initial_{key.removeprefix('selected_')}", empty)}


def chosen(element: Json, given: Json, suggested: Sequence[Json] = ()) -> Json:
    """The element's part of an action or of a view's state.

    `given` holds the element's own key (`selected_option`, …) or `value` as a shorthand: an option's value.
    Raises CannotAct for an option that is not there, and for a button's value that is not its own.
    """
    kind = element["type"]
    key = VALUE_KEYS[kind]
    if kind == "button":
        return {"value": element["value"]} if "value" in element else {}
    value = given.get(key, given.get("value"))
    if key == "selected_option":
        value = None if value is None and kind not in STATELESS else _option(element, value, suggested)
    elif key == "selected_options":
        wanted = value if isinstance(value, list) else []
        value = [_option(element, one, suggested) for one in wanted]
    return {key: value}


def view_state(blocks: list[Json], values: Json, suggested: Sequence[Json] = ()) -> Json:
    """`view.state.values` for what was typed (`values[block_id][action_id]`), initial values elsewhere."""
    state: Json = {}
    for block, element in elements(blocks):
        if element["type"] in STATELESS:
            continue
        given = _at(values, block["block_id"], element["action_id"])
        untouched = nothing_chosen(element)
        held = untouched if given is None else untouched | chosen(element, given, suggested)
        state.setdefault(block["block_id"], {})[element["action_id"]] = held
    return state


def unfinished(blocks: list[Json], state: Json) -> dict[str, str]:
    """The complaints of the client beside the inputs it does not let through, by block id."""
    complaints = {}
    for block, element in elements(blocks):
        if block["type"] != "input":
            continue
        value = state[block["block_id"]][element["action_id"]][VALUE_KEYS[element["type"]]]
        if value in (None, "", []):
            if not block.get("optional"):
                complaints[block["block_id"]] = REQUIRED
        elif (complaint := _complaint(element, value)) is not None:
            complaints[block["block_id"]] = complaint
    return complaints


def _complaint(element: Json, value: Any) -> str | None:
    checks = {"plain_text_input": _length_complaint, "number_input": _number_complaint}
    check = {**checks, "datepicker": _date_complaint}.get(element["type"])
    return check(element, value) if check else None


def _length_complaint(element: Json, value: Any) -> str | None:
    least, most = element.get("min_length", 0), element.get("max_length", 3000)
    if not isinstance(value, str) or not least <= len(value) <= most:
        return f"This must be {least} to {most} characters."
    return None


def _number_complaint(element: Json, value: Any) -> str | None:
    try:
        number = Decimal(str(value))
        least, most = (
            Decimal(element.get("min_value", "-Infinity")),
            Decimal(element.get("max_value", "Infinity")),
        )
    except InvalidOperation:
        return "Enter a number."
    if not number.is_finite() or (not element["is_decimal_allowed"] and number != int(number)):
        return "Enter a whole number."
    return None if least <= number <= most else f"Enter a number from {least} to {most}."


def _date_complaint(_: Json, value: Any) -> str | None:
    try:
        date.fromisoformat(str(value))
    except ValueError:
        return "Enter a date."
    return None


def _option(element: Json, wanted: Any, suggested: Sequence[Json]) -> Json:
    name = wanted.get("value") if isinstance(wanted, dict) else wanted
    groups = element.get("option_groups") or [element]
    offered = [option for group in groups for option in group.get("options", ())]
    if element["type"] in ("external_select", "multi_external_select"):
        initial = [element["initial_option"]] if "initial_option" in element else []
        offered = [*suggested, *initial, *element.get("initial_options", ())]
    for option in offered:
        if option["value"] == name:
            return dict(option)
    raise CannotAct(f"There is no option {name!r} here.")


def _at(values: Json, block_id: str, action_id: str) -> Json | None:
    block = values.get(block_id)
    held = block.get(action_id) if isinstance(block, dict) else None
    return held if isinstance(held, dict) else None
