"""Who acts in Slack."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Person:
    """The Slack user, and the workspace Slack says they are of."""

    user_id: str
    team_id: str | None


def person_of(body: Mapping[str, Any]) -> Person:
    """Whoever tapped, submitted or typed a command; without a team of their own, that of the request.

    https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
    """
    user, team = body.get("user") or {}, body.get("team") or {}
    user_id = user.get("id") or body.get("user_id") or ""  # a slash command is flat
    return Person(str(user_id), user.get("team_id") or team.get("id") or body.get("team_id"))


def writer_of(event: Mapping[str, Any]) -> Person:
    """Whoever wrote a message: in a shared channel `team` may be ours, but never `user_team`.

    https://docs.slack.dev/apis/slack-connect
    """
    team = event.get("user_team") or event.get("source_team") or event.get("team")
    return Person(str(event.get("user") or ""), team)
