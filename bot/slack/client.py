"""Slack: the only caller of its Web API, its rate limits, its errors in three values, and who a person is."""

import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.config.rate_limits import POST, SLACK, Tier
from bot.metrics import SLACK_SECONDS
from polar.rate_limit import SharedPace, TokenBucket

# Slack answers within a second; past this a card is better tried again.
TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)
# A card that nobody noted is a few minutes old: in a very busy channel that is a thousand messages.
_MOST_PAGES = 5
_MOST_PAGES_OF_MEMBERS = 50  # of a thousand each
_UNLIMITED = 1_000_000
_EACH_CHANNEL = frozenset({POST})  # the others are limited for the workspace as a whole


class SlackError(Exception):
    """Slack could not do it. `code` is Slack's error name; `no_answer` or `no_json` where there is none."""

    def __init__(self, message: str, code: str = "no_answer") -> None:
        super().__init__(message)
        self.code = code


class SlackNotSent(SlackError):
    """Slack could not be reached: certainly nothing was posted."""


class SlackNoAnswer(SlackError):
    """Slack did not answer: it may or may not have been posted."""


class SlackRefused(SlackError):
    """Slack refused. `needed` is the scope that is missing, if that is why."""

    def __init__(self, code: str, detail: str = "", *, needed: str = "") -> None:
        more = detail or needed
        super().__init__(f"Slack refused: {code}{f' ({more})' if more else ''}", code)
        self.needed = needed


class SlackRateLimited(SlackRefused):
    """Slack asks for a pause of `retry_after` seconds, or would: then nothing was sent."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("ratelimited")
        self.retry_after = retry_after


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


class RateLimits:
    """The room for calls of each method. `clock` gives seconds. `shared`: replicas call Slack too."""

    def __init__(
        self, clock: Callable[[], float], tiers: Mapping[str, Tier] = SLACK, shared: SharedPace | None = None
    ) -> None:
        """A method not in `tiers` has no limit of ours, and still keeps to the pauses that Slack asks for."""
        self._clock, self._tiers, self._shared = clock, tiers, shared
        self._buckets: dict[tuple[str, str | None], TokenBucket] = {}

    def free(self, method: str, channel: str | None) -> int:
        """The number of calls for which there is room now."""
        # A hair of tolerance: waiting exactly `wait` seconds must do, in spite of floating point.
        tokens = self._bucket(method, channel).tokens() + 1e-9
        return max(0, math.floor(min(tokens, _UNLIMITED)))

    def take(self, method: str, channel: str | None) -> bool:
        """Take room for one call, if there is any."""
        if not self.free(method, channel):
            return False
        self._bucket(method, channel).take()
        return True

    async def take_shared(self, method: str, channel: str | None) -> float:
        """Take room for one call among all replicas; the seconds to wait, 0 when it was taken."""
        if self._shared is None or method not in self._tiers:
            return 0.0
        wait = await self._shared.take(self._key(method, channel), **self._pace(method))
        if wait:
            self._bucket(method, channel).pause(wait, left=1.0)
        return wait

    def wait(self, method: str, channel: str | None) -> float:
        """Seconds until there is room for one call; 0 when there is some now."""
        return self._bucket(method, channel).wait()

    def pauses(self) -> Mapping[str, float]:
        """The seconds each method is still paused for because Slack asked; only those that are."""
        left: dict[str, float] = {}
        for (method, _), bucket in self._buckets.items():
            if seconds := bucket.paused_for():
                left[method] = max(left.get(method, 0.0), seconds)
        return left

    def pause(self, method: str, channel: str | None, seconds: float) -> None:
        """Slack asked for a pause (Retry-After): no call of this kind until it is over, then one at first."""
        left = 1.0 if method in self._tiers else math.inf
        self._bucket(method, channel).pause(seconds, left=left)

    async def pause_all(self, method: str, channel: str | None, seconds: float) -> None:
        """As `pause`, in the other replicas too."""
        self.pause(method, channel, seconds)
        if self._shared is not None and method in self._tiers:
            await self._shared.pause(self._key(method, channel), seconds, **self._pace(method))

    def _pace(self, method: str) -> dict[str, float]:
        tier = self._tiers[method]
        return {"size": tier.burst, "step": 60 / tier.per_minute}

    @staticmethod
    def _key(method: str, channel: str | None) -> str:
        return f"{method} {channel}" if method in _EACH_CHANNEL else method

    def _bucket(self, method: str, channel: str | None) -> TokenBucket:
        key = (method, channel if method in _EACH_CHANNEL else None)
        if key not in self._buckets:
            tier = self._tiers.get(method, Tier(0, math.inf))
            self._buckets[key] = TokenBucket(tier.burst, tier.per_minute / 60, self._clock)
        return self._buckets[key]


class Slack:
    """Slack with our bot token. Every method raises a SlackError and nothing else.

    `limits` are Slack's rate limits: without room a call raises SlackRateLimited and is not sent.
    """

    def __init__(self, client: AsyncWebClient, limits: RateLimits) -> None:
        self._client, self.limits = client, limits
        self._bot: tuple[str, str] | None = None

    async def whoami(self) -> Mapping[str, Any]:
        """`auth.test`: team, user and bot ids of our token."""
        answer: Mapping[str, Any] = await self._call(self._client.auth_test)
        return answer

    async def post(
        self, channel: str, content: Mapping[str, Any], thread_ts: str | None = None, *, room: bool = False
    ) -> str:
        """Post a message; its `ts`. Links and pictures are not unfolded, names do not become mentions.

        `content` is its text, blocks and metadata, as the Web API takes them. `room`: the caller has taken
        room for the call; else it is taken here.
        """
        answer = await self._call(
            self._client.chat_postMessage,
            room=room,
            channel=channel,
            thread_ts=thread_ts,
            unfurl_links=False,
            unfurl_media=False,
            **content,
        )
        return str(answer["ts"])

    async def update(self, channel: str, ts: str, content: Mapping[str, Any], *, room: bool = False) -> None:
        """Replace one of our messages. `room` as in `post`."""
        await self._call(self._client.chat_update, room=room, channel=channel, ts=ts, **content)

    async def _call(
        self, method: Callable[..., Awaitable[Any]], *, room: bool = False, **arguments: Any
    ) -> Any:
        """One call, in its turn: after a 429 none of its kind is sent before the pause is over."""
        name, channel = method.__name__.replace("_", "."), arguments.get("channel")
        if not room and not self.limits.take(name, channel):
            raise SlackRateLimited(self.limits.wait(name, channel))
        if wait := await self.limits.take_shared(name, channel):
            raise SlackRateLimited(wait)
        try:
            with SLACK_SECONDS.labels(name).time():
                return (await send(method, **arguments)).data
        except SlackRateLimited as error:
            await self.limits.pause_all(name, channel, error.retry_after)
            raise

    async def _pages(
        self, method: Callable[..., Awaitable[Any]], most: int, **arguments: Any
    ) -> AsyncIterator[Mapping[str, Any]]:
        """The answers of a method that gives a page at a time, at most so many."""
        cursor: str | None = None
        for _ in range(most):
            answer = await self._call(method, cursor=cursor, **arguments)
            yield answer
            if not (cursor := _next_page(answer)):
                return

    async def post_ephemeral(
        self, channel: str, user: str, content: Mapping[str, Any], thread_ts: str | None = None
    ) -> None:
        """Post a message that one person in the channel sees. `content` is its text and its blocks."""
        await self._call(
            self._client.chat_postEphemeral, channel=channel, user=user, thread_ts=thread_ts, **content
        )

    async def find_card(
        self, channel: str, identity: str, since: float, *, named: str = "proposal_id"
    ) -> str | None:
        """The `ts` of a card posted after `since` (seconds) that nobody noted, if history shows it.

        `identity` is what its metadata says under `named`. Any app may post such metadata: only a message of
        our own bot and app is ours.
        """
        bot, app = await self._own_bot()
        given = {"channel": channel, "oldest": f"{since:.6f}", "limit": 200, "include_all_metadata": True}
        async for answer in self._pages(self._client.conversations_history, _MOST_PAGES, **given):
            for message in answer.get("messages", []):
                payload = (message.get("metadata") or {}).get("event_payload") or {}
                root = message.get("thread_ts", message["ts"])
                ours = message.get("bot_id") == bot and message.get("app_id") in (app, None)
                if ours and payload.get(named) == identity and root == message["ts"]:
                    return str(message["ts"])
        return None

    async def _own_bot(self) -> tuple[str, str]:
        """The ids of our bot and of its app."""
        if self._bot is None:
            bot = str((await self.whoami()).get("bot_id"))
            answer = await self._call(self._client.bots_info, bot=bot)
            self._bot = (bot, str(answer["bot"].get("app_id")))
        return self._bot

    async def upload(
        self, channel: str, name: str, data: bytes, *, title: str, comment: str, thread_ts: str | None = None
    ) -> None:
        """Put a file into a channel the bot is in; `comment` is ours or escaped. Needs files:write.

        https://docs.slack.dev/messaging/working-with-files#upload
        """
        place = await self._call(self._client.files_getUploadURLExternal, filename=name, length=len(data))
        await self._send(str(place["upload_url"]), data)
        await self._call(
            self._client.files_completeUploadExternal,
            files=[{"id": place["file_id"], "title": title}],
            channel_id=channel,
            thread_ts=thread_ts,
            initial_comment=comment,
        )

    async def _send(self, url: str, content: bytes) -> None:
        """The bytes of a file, to where Slack wants them."""
        session = self._client.session
        if session is None:  # the program always has one
            raise SlackNotSent("Slack was not asked: there is no session")
        try:
            async with session.post(url, data=content) as response:
                if response.status != 200:
                    raise SlackNoAnswer(f"Slack did not take the file (status {response.status})")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SlackNoAnswer(f"Slack did not take the file ({type(error).__name__})") from error

    async def permalink(self, channel: str, ts: str) -> str:
        """The link that opens a message."""
        answer = await self._call(self._client.chat_getPermalink, channel=channel, message_ts=ts)
        return str(answer["permalink"])

    async def user(self, user_id: str) -> UserProfile:
        """The present profile of a user."""
        return UserProfile.of((await self._call(self._client.users_info, user=user_id))["user"])

    async def channel_members(self, channel: str) -> frozenset[str]:
        """The user ids in a channel."""
        method, found, more = self._client.conversations_members, set[str](), ""
        async for answer in self._pages(method, _MOST_PAGES_OF_MEMBERS, channel=channel, limit=1_000):
            found.update(answer.get("members", []))
            more = _next_page(answer)
        if more:
            raise SlackRefused("channel_too_large")
        return frozenset(found)

    async def group_members(self, group_id: str) -> frozenset[str]:
        """The user ids in a user group."""
        answer = await self._call(self._client.usergroups_users_list, usergroup=group_id)
        return frozenset(answer.get("users", []))

    async def group_handles(self) -> Mapping[str, str]:
        """The handle of every user group, by its id."""
        answer = await self._call(self._client.usergroups_list)
        return {group["id"]: group["handle"] for group in answer.get("usergroups", [])}

    async def publish_home(self, user_id: str, view: Mapping[str, Any], hash_: str | None = None) -> str:
        """Show somebody their Home tab; its new hash. Refused `hash_conflict`: `hash_` is not the last."""
        answer = await self._call(self._client.views_publish, user_id=user_id, view=dict(view), hash=hash_)
        return str(answer["view"]["hash"])

    async def open_view(self, trigger_id: str, view: Mapping[str, Any]) -> str:
        """Open a modal for whoever did what gave the trigger, within three seconds; its id."""
        answer = await self._call(self._client.views_open, trigger_id=trigger_id, view=dict(view))
        return str(answer["view"]["id"])

    async def update_view(self, view_id: str, view: Mapping[str, Any]) -> None:
        """Replace what a modal shows. Refused `not_found`: it has been closed."""
        await self._call(self._client.views_update, view_id=view_id, view=dict(view))


async def send(method: Callable[..., Awaitable[Any]], **arguments: Any) -> Any:
    """One call of the Web API: its whole response. `method` is one of AsyncWebClient. Raises SlackError."""
    try:
        return await method(**{name: value for name, value in arguments.items() if value is not None})
    except SlackApiError as error:
        raise _translated(error) from error
    except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
        raise SlackNotSent(f"Slack could not be reached ({type(error).__name__})") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise SlackNoAnswer(f"Slack did not answer ({type(error).__name__})") from error
    except (SlackClientError, AttributeError) as error:  # slack_sdk takes a plain-text answer for a dict
        raise SlackNoAnswer(f"Slack's answer cannot be read ({type(error).__name__})", "no_json") from error


def _translated(error: SlackApiError) -> SlackError:
    response = error.response
    status = getattr(response, "status_code", 200)
    if status == 429:
        return SlackRateLimited(_seconds(response.headers.get("Retry-After")))
    data = getattr(response, "data", None)  # the SDK hands on aiohttp's own response when it is no JSON
    body = data if isinstance(data, dict) else {}
    # A proxy could echo what we sent: only what looks like a code or scopes is kept.
    code = _only(r"[a-z0-9_]+", body.get("error"), "unknown_error" if body else "no_json")
    if status >= 500:
        return SlackNoAnswer(f"Slack failed (status {status})", code)
    detail = "; ".join((body.get("response_metadata") or {}).get("messages", []))[:300]
    return SlackRefused(code, detail, needed=_only(r"[a-z:._, ]+", body.get("needed"), ""))


def _only(pattern: str, value: Any, otherwise: str) -> str:
    return value if isinstance(value, str) and re.fullmatch(pattern, value) else otherwise


def _next_page(answer: Mapping[str, Any]) -> str:
    return str((answer.get("response_metadata") or {}).get("next_cursor") or "")


def _seconds(header: Any) -> float:
    """A Retry-After; one second where it cannot be read."""
    try:
        return min(max(float(header), 0.0), 300.0)
    except (TypeError, ValueError):
        return 1.0
