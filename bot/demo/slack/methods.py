"""The Web API methods the stand-in knows: who may call each, how often, and what carries it out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bot.checks.slack import OPTIONAL_SCOPES, SCOPES
from bot.demo.slack import chat, conversations, files, views
from bot.demo.slack.faults import HUNDREDS, POSTING, TIER_1, TIER_2, TIER_3, TIER_4, Tier
from bot.demo.slack.state import Json, Workspace


@dataclass(frozen=True, slots=True)
class Method:
    """`caller` is the kind of token, `scope` what it needs; `json` whether it reads a JSON body."""

    carry_out: Callable[[Workspace, Json], Json]
    tier: Tier
    scope: str | None = None
    caller: Literal["bot", "app", "any"] = "bot"
    json: bool = True


def open_connection(slack: Workspace, _: Json) -> Json:
    """apps.connections.open: a WebSocket URL with a ticket for one connection."""
    host = slack.origin.replace("http", "ws", 1)
    return {"url": f"{host}/slack/socket?ticket={slack.tickets.issue()}&app_id={slack.app.id}"}


METHODS = {
    "apps.connections.open": Method(open_connection, TIER_1, "connections:write", caller="app"),
    "auth.test": Method(conversations.auth_test, HUNDREDS, caller="any"),
    "bots.info": Method(conversations.bots_info, TIER_3, "users:read", json=False),
    "chat.delete": Method(chat.delete, TIER_3, "chat:write"),
    "chat.getPermalink": Method(chat.get_permalink, HUNDREDS, json=False),
    "chat.postEphemeral": Method(chat.post_ephemeral, TIER_4, "chat:write"),
    "chat.postMessage": Method(chat.post_message, POSTING, "chat:write"),
    "chat.update": Method(chat.update, TIER_3, "chat:write"),
    "conversations.history": Method(conversations.history, TIER_3, "channels:history", json=False),
    "conversations.info": Method(conversations.info, TIER_3, "channels:read", json=False),
    "conversations.join": Method(conversations.join, TIER_3, "channels:join"),
    "conversations.members": Method(conversations.members, TIER_4, "channels:read", json=False),
    "conversations.open": Method(conversations.open_direct, TIER_3, "im:write"),
    "conversations.replies": Method(conversations.replies, TIER_3, "channels:history", json=False),
    "files.completeUploadExternal": Method(files.complete_upload, TIER_4, "files:write"),
    "files.getUploadURLExternal": Method(files.get_upload_url, TIER_4, "files:write", json=False),
    "reactions.add": Method(chat.add_reaction, TIER_3, "reactions:write"),
    "team.info": Method(conversations.team_info, TIER_3, "team:read", json=False),
    "usergroups.list": Method(conversations.usergroups, TIER_2, "usergroups:read", json=False),
    "usergroups.users.list": Method(conversations.usergroup_users, TIER_2, "usergroups:read", json=False),
    "users.conversations": Method(conversations.user_conversations, TIER_3, "channels:read", json=False),
    "users.info": Method(conversations.user_info, TIER_4, "users:read", json=False),
    "views.open": Method(views.open_view, TIER_4),
    "views.publish": Method(views.publish_view, TIER_4),
    "views.push": Method(views.push_view, TIER_4),
    "views.update": Method(views.update_view, TIER_4),
}

# As manifest.yml has them: the scopes (optional ones too) and events of the bot; the one of the app token.
BOT_SCOPES = frozenset({*SCOPES, *OPTIONAL_SCOPES})
APP_SCOPES = frozenset({"connections:write"})
BOT_EVENTS = frozenset(
    {
        "app_home_opened",
        "app_mention",
        "app_uninstalled",
        "member_joined_channel",
        "message.channels",
        "message.groups",
        "subteam_members_changed",
        "tokens_revoked",
        "user_change",
    }
)
