"""People in Slack: who acts, as a payload says, and their profile, as Slack says when it is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SlackUser:
    """Who acts: the user's id, and the workspace that the payload says they are of."""

    id: str
    team_id: str | None


@dataclass(frozen=True, slots=True)
class UserProfile:
    """Somebody in Slack, as `users.info` says now."""

    id: str
    name: str
    team_id: str | None
    deleted: bool
    is_bot: bool
    is_guest: bool
    is_stranger: bool


def acting_user(payload: Mapping[str, Any]) -> SlackUser:
    """Whoever tapped, submitted, typed a command or wrote a message.

    Without a team of their own it is that of the request. In a message of a shared channel `team` may be
    ours, but never `user_team`.

    https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
    https://docs.slack.dev/apis/slack-connect
    """
    user = payload.get("user")
    if isinstance(user, str):  # an event
        team = payload.get("user_team") or payload.get("source_team") or payload.get("team")
        return SlackUser(user, team)
    user, team = user or {}, payload.get("team") or {}
    user_id = user.get("id") or payload.get("user_id") or ""  # a slash command is flat
    return SlackUser(str(user_id), user.get("team_id") or team.get("id") or payload.get("team_id"))
