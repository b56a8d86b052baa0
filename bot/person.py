"""Who acts in Slack."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """The Slack user, and the workspace Slack says they are of."""

    user_id: str
    team_id: str | None
