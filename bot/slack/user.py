"""People in Slack: who acts, as a payload says, and their profile, as Slack says when it is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SlackUser:
    """The user who acts: their id, and the workspace that the payload gives for them."""

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

    @classmethod
    def of(cls, user: Mapping[str, Any]) -> "UserProfile":
        """From the `user` of an answer. https://docs.slack.dev/reference/objects/user-object"""
        profile, user_id = user.get("profile") or {}, str(user.get("id"))
        return cls(
            id=user_id,
            name=profile.get("display_name") or user.get("real_name") or user.get("name") or user_id,
            team_id=user.get("team_id"),
            deleted=bool(user.get("deleted")),
            is_bot=bool(user.get("is_bot")),
            is_guest=bool(user.get("is_restricted") or user.get("is_ultra_restricted")),
            is_stranger=bool(user.get("is_stranger")),
        )


def acting_user(payload: Mapping[str, Any]) -> SlackUser:
    """The user who clicked, submitted, typed a command or wrote a message.

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
