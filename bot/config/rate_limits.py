"""The rate limits of Slack and Polar that our calls keep to. To raise one, change it here."""

from collections.abc import Mapping
from dataclasses import dataclass

POST, UPDATE = "chat.postMessage", "chat.update"


@dataclass(frozen=True, slots=True)
class Tier:
    """The number of calls a minute, and the number of calls at once."""

    per_minute: float
    burst: float


# A little below the limits of Slack, because a call may arrive after the call that follows it. Posting is
# "about one a second" in a channel, with short bursts. A method that is not listed here has no limit of ours.
# https://docs.slack.dev/apis/web-api/rate-limits
SLACK: Mapping[str, Tier] = {
    POST: Tier(57, 3),
    UPDATE: Tier(48, 45),
    "chat.postEphemeral": Tier(96, 90),
    "conversations.history": Tier(48, 45),
    "conversations.members": Tier(96, 90),
}
# Calls a minute, by POLAR_SERVER. https://polar.sh/docs/api-reference/rate-limits
POLAR: Mapping[str, int] = {"production": 500, "sandbox": 100}
