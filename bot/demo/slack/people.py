"""The demo workspace at its start: people, groups, the channel, the app."""

from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["approver", "member", "guest", "outside", "deactivated"]


@dataclass(frozen=True, slots=True)
class User:
    """A person as `users.info` knows one; `role` is what the page calls them."""

    id: str
    name: str
    real_name: str
    role: Role
    team_id: str

    def as_json(self) -> dict[str, Any]:
        """The user object of https://docs.slack.dev/reference/objects/user-object."""
        guest = self.role == "guest"
        names = {"display_name": self.name, "real_name": self.real_name}
        return {
            "id": self.id, "team_id": self.team_id, "name": self.name, "real_name": self.real_name,
            "deleted": self.role == "deactivated", "is_bot": False, "is_app_user": False,
            "is_restricted": guest, "is_ultra_restricted": guest, "is_stranger": self.team_id != TEAM.id,
            "tz": "Europe/Berlin", "profile": {**names, "email": f"{self.name}@example.com"},
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class UserGroup:
    """A user group; `users` are ids."""

    id: str
    handle: str
    name: str
    users: tuple[str, ...]


@dataclass(slots=True)
class Channel:
    """A conversation; `members` holds user ids, the bot's too when it was invited."""

    id: str
    name: str
    topic: str
    members: set[str]
    is_archived: bool = False
    is_im: bool = False


@dataclass(frozen=True, slots=True)
class App:
    """The installed app and its bot user."""

    id: str = "A0PLRAPPRV1"
    bot_id: str = "B0PLRAPPRV1"
    bot_user_id: str = "U0PLRAPPRV1"
    bot_name: str = "polar-approvals"


@dataclass(frozen=True, slots=True)
class Team:
    """The workspace itself."""

    id: str = "T0HARBORS01"
    name: str = "Harbor Software"
    domain: str = "harbor-software"


TEAM, APP = Team(), App()
PEOPLE = (
    User("U0MAYA00001", "maya", "Maya Okafor", "approver", TEAM.id),
    User("U0JONAS0001", "jonas", "Jonas Lindqvist", "approver", TEAM.id),
    User("U0LENA00001", "lena", "Lena Moreau", "member", TEAM.id),
    User("U0GUS000001", "gus", "Gus Tanaka", "guest", TEAM.id),
    User("U0OMAR00001", "omar", "Omar Reyes", "outside", "T0PARTNER01"),
    User("U0DORA00001", "dora", "Dora Klein", "deactivated", TEAM.id),
)
GROUPS = (UserGroup("S0APPROVERS", "approvers", "Approvers", ("U0MAYA00001", "U0JONAS0001")),)


def approvals_channel() -> Channel:
    """The one channel of the page, with everybody in it."""
    present = {user.id for user in PEOPLE if user.role != "deactivated"} | {APP.bot_user_id}
    return Channel("C0APPROVALS", "approvals", "What Polar told us, and what we do about it", present)
