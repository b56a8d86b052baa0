"""The state of one workspace: messages, views, people. Every change ends with a call of `changed`."""

import secrets
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from math import inf
from typing import Any, Literal, NamedTuple

from bot.demo.shared import Changes
from bot.demo.slack.people import APP, GROUPS, PEOPLE, TEAM, Channel, User, approvals_channel

Json = dict[str, Any]
Direction = Literal["app→slack", "slack→app"]
_KEPT = 10_000  # a benchmark must not fill the memory
_EXCHANGES_KEPT = 5_000
_REMEMBERED = 3  # earlier drawings of a message: what somebody may still have on the screen
BROKEN = "This app did not respond. Try again."


class Refused(Exception):
    """Slack's answer to a call it does not carry out."""

    def __init__(self, code: str, **more: Any) -> None:
        """`code` is Slack's error name; `more` joins the answer."""
        super().__init__(code)
        self.code = code
        self.more = more


@dataclass(frozen=True, slots=True)
class Message:
    """A message or an ephemeral. `blocks` are never changed in place, so they can be shared."""

    channel: str
    ts: str
    user: str
    text: str
    blocks: list[Json]
    thread_ts: str | None = None
    metadata: Json | None = None
    edited: bool = False
    from_bot: bool = False
    ephemeral_to: str | None = None
    files: tuple[Json, ...] = ()

    @property
    def action_ids(self) -> list[str]:
        """The action ids of its buttons and menus, in reading order."""
        return [element["action_id"] for _, element in elements(self.blocks)]


@dataclass(frozen=True, slots=True)
class View:
    """A modal or home view as it stands for one user."""

    id: str
    user: str
    content: Json
    hash: str
    root: str
    previous: str | None = None
    errors: Json | None = None


class ResponseUrl(NamedTuple):
    """The target of a response URL: a user in a channel, and the message acted on, if any."""

    user: str
    channel: str
    ts: str | None


@dataclass(slots=True)
class _Issued:
    """The subject of a handle, the time of its issue, and the uses that are left."""

    held: tuple[Any, ...]
    at: float
    left: int


class Handles:
    """Handles of one kind, each good for so many uses in so many seconds."""

    def __init__(
        self,
        clock: Callable[[], float],
        errors: tuple[str, str, str],
        *,
        seconds: float = inf,
        uses: int = 1,
        new: Callable[[], str] = lambda: secrets.token_urlsafe(18),
    ) -> None:
        """`errors` are Slack's for one that is unknown, used up or too old."""
        self._clock, self._errors, self._seconds, self._uses, self._new = clock, errors, seconds, uses, new
        self._issued: dict[str, _Issued] = {}

    def issue(self, *held: Any) -> str:
        """A fresh handle for what is given."""
        handle = self._new()
        self._issued[handle] = _Issued(held, self._clock(), self._uses)
        while len(self._issued) > _KEPT:
            del self._issued[next(iter(self._issued))]
        return handle

    def spend(self, handle: object) -> tuple[tuple[Any, ...], str | None]:
        """Use a handle once: (what it was issued for, None), or ((), Slack's error)."""
        unknown, used, old = self._errors
        if not isinstance(handle, str) or handle not in self._issued:
            return (), unknown
        issued = self._issued[handle]
        if not issued.left:
            return (), used
        if self._clock() - issued.at > self._seconds:
            return (), old
        issued.left -= 1
        return issued.held, None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call or delivery. `arguments` are as sent, without the token; `ms` is its duration."""

    at: float
    direction: Direction
    what: str
    arguments: Json
    error: str | None
    ms: float


class Workspace(Changes):
    """The memory of Slack. One per stand-in; nothing here does I/O."""

    def __init__(self, *, clock: Callable[[], float], ages: Callable[[], float] | None = None) -> None:
        """`clock` gives UTC seconds, for message times; `ages` those by which handles grow old."""
        super().__init__()
        self.team, self.app, self.clock = TEAM, APP, clock
        self.users = {user.id: user for user in PEOPLE}
        self.usergroups = {group.id: group for group in GROUPS}
        self.channel = approvals_channel()  # the one channel of the page
        self.channels = {self.channel.id: self.channel}
        self.messages: dict[tuple[str, str], Message] = {}
        self.drawn_before: dict[tuple[str, str], deque[list[Json]]] = {}
        self.roots_of_replies: Counter[tuple[str, str]] = Counter()
        self.ephemerals: dict[tuple[str, str], Message] = {}
        self.warnings: dict[tuple[str, str], str] = {}
        self.reactions: dict[tuple[str, str], list[str]] = {}
        self.homes: dict[str, View] = {}
        self.modals: dict[str, list[View]] = {}
        self.uploads: dict[str, tuple[str, bytes]] = {}
        # https://docs.slack.dev/interactivity/handling-user-interaction
        self.triggers = Handles(
            ages or clock, ("invalid_trigger_id", "exchanged_trigger_id", "expired_trigger_id"), seconds=3,
            new=lambda: f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}",
        )  # fmt: skip
        urls_refused = ("invalid_url", "used_url", "expired_url")
        self.response_urls = Handles(ages or clock, urls_refused, seconds=30 * 60, uses=5)
        self.tickets = Handles(clock, ("refused", "refused", "refused"))
        self.exchanges: deque[Exchange] = deque(maxlen=_EXCHANGES_KEPT)
        self.counts: Counter[str] = Counter()  # of all exchanges, by name
        self.paid_plan = True
        self.origin = ""
        self.on_event: Callable[[Json], None] = lambda _: None
        self._last_ts = 0
        self._numbers = 0

    def echo(self, channel: Channel, message: Json) -> None:
        """Tells the app of its own writes, as Slack does."""
        kind = "im" if channel.is_im else "channel"
        self.on_event(message | {"channel": channel.id, "channel_type": kind, "event_ts": message["ts"]})

    def log(self, direction: Direction, what: str, arguments: Json, error: str | None, ms: float = 0) -> None:
        """Keeps one call or delivery, and tells of the change that it was."""
        self.counts[what] += 1
        self.exchanges.append(Exchange(self.clock(), direction, what, arguments, error, ms))
        self.changed()

    # --- Names --------------------------------------------------------------------------------------

    def next_ts(self) -> str:
        """A message ts: unique, increasing, and the time when it can be."""
        self._last_ts = max(self._last_ts + 1, int(self.clock() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def next_id(self, letter: str) -> str:
        """An id in Slack's style: a letter for the kind, then a number nobody else has."""
        self._numbers += 1
        return f"{letter}0{self._numbers:09X}"

    # --- Look-ups -----------------------------------------------------------------------------------

    def user(self, user_id: Any) -> User:
        """Raises Refused user_not_found."""
        if not isinstance(user_id, str) or user_id not in self.users:
            raise Refused("user_not_found")
        return self.users[user_id]

    def find(self, channel: str, ts: str, viewer: str | None = None) -> Message | None:
        """The message, or the ephemeral if `viewer` is who it was shown to."""
        message = self.messages.get((channel, ts))
        if message is None and viewer is not None:
            return self.ephemerals.get((viewer, ts))
        return message

    @property
    def views(self) -> list[View]:
        """The open modals and the published homes."""
        return [*chain.from_iterable(self.modals.values()), *self.homes.values()]

    def view(self, view_id: str) -> View | None:
        """The open modal or published home with this id."""
        return next((view for view in self.views if view.id == view_id), None)

    def is_shared(self, channel: Channel) -> bool:
        """True if somebody of another workspace is in it (Slack Connect)."""
        return any(
            user in self.users and self.users[user].team_id != self.team.id for user in channel.members
        )

    # --- Writes -------------------------------------------------------------------------------------

    def put(self, message: Message) -> Message:
        """Stores a new or changed message, or shows an ephemeral to its person."""
        key = (message.channel, message.ts)
        if message.ephemeral_to is not None:
            self.ephemerals[(message.ephemeral_to, message.ts)] = message
        else:
            if key not in self.messages and message.thread_ts is not None:
                self.roots_of_replies[(message.channel, message.thread_ts)] += 1
            if key in self.messages and self.messages[key].blocks != message.blocks:
                self.drawn_before.setdefault(key, deque(maxlen=_REMEMBERED)).append(self.messages[key].blocks)
            self.messages[key] = message
        self.changed()
        return message

    def remove(self, message: Message) -> None:
        """Deletes a message or an ephemeral."""
        if message.ephemeral_to is not None:
            self.ephemerals.pop((message.ephemeral_to, message.ts), None)
        elif self.messages.pop((message.channel, message.ts), None) and message.thread_ts is not None:
            self.roots_of_replies[(message.channel, message.thread_ts)] -= 1
        self.changed()

    def put_view(self, view: View) -> View:
        """Stores a changed view where it is: in its user's stack, or as their home."""
        if view.content["type"] == "home":
            self.homes[view.user] = view
        else:
            stack = self.modals.setdefault(view.user, [])
            self.modals[view.user] = [view if old.id == view.id else old for old in stack]
        self.changed()
        return view

    def warn(self, user: str, ts: str, warning: str | None) -> None:
        """Puts the warning icon beside a message for one person, or takes it away."""
        if warning is not None:
            self.warnings[(user, ts)] = warning
        elif self.warnings.pop((user, ts), None) is None:
            return
        self.changed()

    def forget_ephemerals(self, user: str) -> None:
        """Drop the ephemerals of a person: Slack does not store them."""
        self.ephemerals = {key: message for key, message in self.ephemerals.items() if key[0] != user}

    # --- As Slack writes them -----------------------------------------------------------------------

    def message_json(self, message: Message) -> Json:
        """The message object of payloads and answers."""
        shown: Json = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text}
        shown["team"] = self.users[message.user].team_id if message.user in self.users else self.team.id
        if message.from_bot:
            shown |= {"bot_id": self.app.bot_id, "app_id": self.app.id}
        if message.blocks:
            shown["blocks"] = message.blocks
        if message.thread_ts is not None:
            shown["thread_ts"] = message.thread_ts
        replies = self.roots_of_replies.get((message.channel, message.ts), 0)
        if replies:
            shown |= {"thread_ts": message.ts, "reply_count": replies}
        if message.files:
            shown["files"] = list(message.files)
        if message.metadata is not None:
            shown["metadata"] = message.metadata
        if message.edited:
            shown["edited"] = {"user": message.user, "ts": message.ts}
        return shown

    def view_json(self, view: View, state: Json | None = None) -> Json:
        """The view object of payloads and answers."""
        empty: Json = {"title": None, "submit": None, "close": None, "callback_id": "", "external_id": ""}
        empty |= {"private_metadata": "", "clear_on_close": False, "notify_on_close": False}
        return {
            "id": view.id, "team_id": self.team.id, **empty, **view.content,
            "state": {"values": state or {}}, "hash": view.hash, "root_view_id": view.root,
            "previous_view_id": view.previous, "app_id": self.app.id,
            "app_installed_team_id": self.team.id, "bot_id": self.app.bot_id,
        }  # fmt: skip

    def with_ids(self, blocks: list[Json]) -> list[Json]:
        """The blocks with the `block_id` and `action_id` that Slack gives where the app gave none."""
        return [self._with_ids(block) for block in blocks]

    def _with_ids(self, block: Json) -> Json:
        named = block if "block_id" in block else {**block, "block_id": self.next_id("b")}
        if block["type"] == "actions" and not all("action_id" in element for element in block["elements"]):
            elements = [{"action_id": self.next_id("a"), **element} for element in block["elements"]]
            return {**named, "elements": elements}
        for key in ("accessory", "element"):
            if key in block and "action_id" not in block[key] and block[key]["type"] != "image":
                return {**named, key: {**block[key], "action_id": self.next_id("a")}}
        return named


def elements(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """(block, element) for everything in blocks that can be acted on."""
    for block in blocks:
        beside = [block.get("accessory"), block.get("element")]
        inside = block["elements"] if block["type"] == "actions" else beside
        yield from ((block, element) for element in inside if element and "action_id" in element)
