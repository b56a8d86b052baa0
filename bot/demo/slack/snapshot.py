"""The view of one person, in the form that the page reads."""

from itertools import islice
from typing import Any

from bot.demo.slack.state import Json, Message, View, Workspace

NEWEST = 200
AS_STORED = ("ts", "thread_ts", "user", "text", "blocks", "edited")


def slack_snapshot(slack: Workspace, viewer: str, commands: dict[str, str]) -> Json:
    """The whole picture for `viewer`; `commands` maps each slash command to its usage."""
    app, channel, cast = slack.app, slack.channel, slack.cast
    home = slack.homes.get(viewer)
    return {
        "kind": "slack",
        "team": {"id": cast.team_id, "name": cast.team_name},
        "viewer": viewer,
        "bot": {"user_id": app.bot_user_id, "name": app.bot_name},
        "users": [
            {"id": user.id, "name": user.name, "real_name": user.real_name, "role": user.role}
            for user in slack.users.values()
        ],
        "usergroups": [
            {"id": group.id, "handle": group.handle, "name": group.name}
            for group in slack.usergroups.values()
        ],
        "channel": {"id": channel.id, "name": channel.name, "topic": channel.topic},
        "messages": [_message(slack, viewer, message) for message in _newest(slack, viewer)],
        "home": None if home is None else {**home.content, "id": home.id},
        "modals": [_view(view) for view in slack.modals.get(viewer, ())],
        "commands": [{"command": command, "usage": usage} for command, usage in commands.items()],
        "traffic": slack.traffic.newest(),
    }


def _newest(slack: Workspace, viewer: str) -> list[Message]:
    """The newest messages and this viewer's ephemerals of the channel, oldest of them first."""
    here = slack.channel.id
    posted = list(islice((m for m in reversed(slack.messages.values()) if m.channel == here), NEWEST))
    own = [m for (user, _), m in slack.ephemerals.items() if user == viewer and m.channel == here]
    return sorted([*posted, *own], key=lambda message: message.ts)[-NEWEST:]


def _message(slack: Workspace, viewer: str, message: Message) -> Json:
    return {
        **{name: getattr(message, name) for name in AS_STORED},
        "bot": message.from_bot,
        "files": list(message.files),
        "ephemeral": message.ephemeral_to is not None,
        "reply_count": slack.roots_of_replies.get((message.channel, message.ts), 0),
        "reactions": slack.reactions.get((message.channel, message.ts), []),
        "warning": slack.warnings.get((viewer, message.ts)),
    }


def _view(view: View) -> dict[str, Any]:
    """`view` is what the app sent; `errors[""]` is said of the whole view."""
    return {"id": view.id, "view": view.content, "errors": view.errors or {}}
