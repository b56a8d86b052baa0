"""The whole program on loopback between two stand-ins, with a real database, and what tests ask of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.app import Running, running
from bot.config.rate_limits import Tier
from bot.config.settings import Settings, load_settings
from bot.demo.polar import PolarStandIn, Received
from bot.demo.polar.webhooks import WebhookEvent
from bot.demo.slack import PEOPLE, SlackStandIn
from bot.demo.slack.state import Message
from bot.demo.story import EVENTS, Story
from store.events.events import get_event
from store.models import EventState, Proposal, StoredEvent
from store.proposals.proposals import all_proposals
from tests.fixtures.databases import database
from tests.fixtures.ports import free_port
from tests.fixtures.slack_http import use_http

MAYA, JONAS, LENA, GUS, OMAR, DORA = (user.id for user in PEOPLE)
CASES = {each.name: each for each in EVENTS}
SIGNING_SECRET = "stand-in-signing-secret"
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


class Unhurried(Settings):
    """Settings under which nobody's rate limit is ever reached: the real ones are tested by themselves."""

    @property
    def polar_per_minute(self) -> int:
        """Far more than any test asks for."""
        return 600_000

    @property
    def slack_tiers(self) -> Mapping[str, Tier]:
        """None: Slack takes whatever comes."""
        return {}


class PolarUnhurried(Settings):
    """Slack at its real pace; Polar's is far off."""

    @property
    def polar_per_minute(self) -> int:
        """Far more than any test asks for."""
        return 600_000


@dataclass
class World:
    """A Slack, a Polar, and the environment with which the program finds them and its database."""

    slack: SlackStandIn
    polar: PolarStandIn
    story: Story
    environment: dict[str, str]
    app_url: str
    folder: Path

    def use_http(self) -> None:
        """Have Slack call the program over HTTP instead of a socket."""
        self.environment["SLACK_SIGNING_SECRET"] = SIGNING_SECRET
        self.environment.pop("SLACK_APP_TOKEN", None)
        use_http(self.slack, f"{self.app_url}/slack/events")

    @asynccontextmanager
    async def app(self, made: type[Settings] = Unhurried) -> AsyncIterator[Running]:
        """The program in this process, until the block ends; it must not fail by itself."""
        settings = made(**load_settings(self.environment, None).model_dump(exclude_unset=True))
        async with running(settings) as (app, background):
            await self.reachable()
            yield app
            assert not background.done()

    async def reachable(self) -> None:
        """Wait until Slack can reach the program."""
        if "SLACK_APP_TOKEN" in self.environment:
            await self.slack.wait_until(lambda: self.slack.sockets.connections > 0, 20)

    # --- Polar's side -------------------------------------------------------------------------------

    def play(self, case: str) -> WebhookEvent:
        """Let something happen at Polar; the webhook that tells it, on its way."""
        return self.story.play(CASES[case])[-1]

    @property
    def writes(self) -> list[Received]:
        """What Polar was asked to change, dropped connections included."""
        return [each for each in self.polar.requests if each.method != "GET"]

    # --- Slack's side -------------------------------------------------------------------------------

    @property
    def cards(self) -> list[Message]:
        """The messages in the channel that are no replies, oldest first."""
        return [each for each in self.slack.messages() if each.thread_ts is None and each.from_bot]

    async def ask(self, case: str) -> Message:
        """Let something happen at Polar and wait for the card it leads to."""
        known = {each.ts for each in self.cards}
        self.play(case)
        return await self.slack.wait_for_message(
            lambda m: m.ts not in known and m.thread_ts is None and "approve" in m.action_ids, 10
        )

    async def tap(self, card: Message, action: str = "approve", user: str = MAYA) -> None:
        """Tap a button; the program must acknowledge in time."""
        clicked = await self.slack.click(user, card.channel, card.ts, action)
        assert clicked.acked, clicked.error

    def shown(self, card: Message) -> Message:
        """The card as it is now."""
        found = self.slack.message(card.ts)
        assert found is not None
        return found

    async def says(self, card: Message, start: str, within: float = 10) -> Message:
        """Wait until the card's text begins so; the card."""
        try:
            await self.slack.wait_until(lambda: self.shown(card).text.startswith(start), within)
        except TimeoutError:
            pytest.fail(f"the card still says {words_of(self.shown(card))!r}")
        return self.shown(card)

    async def replied(self, card: Message, count: int = 1) -> list[str]:
        """Wait for so many lines in the card's thread; what each says."""
        await self.slack.wait_until(lambda: len(self.slack.thread(card.ts)) >= count, 10)
        return [words_of(each) for each in self.slack.thread(card.ts)]

    async def ephemeral_text(self, user: str) -> str:
        """Wait for what only this person is told; its text."""
        await self.slack.wait_until(lambda: self.slack.ephemerals(user), 10)
        return self.slack.ephemerals(user)[-1].text


@contextmanager
def without_proxies() -> Iterator[None]:
    """Loopback is reached directly, whatever proxy the machine has."""
    with pytest.MonkeyPatch.context() as environment:
        for name in _PROXIES:
            environment.delenv(name, raising=False)
        yield


@asynccontextmanager
async def world(
    folder: Path, *, slack: Mapping[str, Any] | None = None, polar: Mapping[str, Any] | None = None
) -> AsyncIterator[World]:
    """Both stand-ins, served, and the environment for a program with an empty database."""
    polar_standin = PolarStandIn(**{"retry_delays": (0.05,) * 40, **(polar or {})})
    app_url = f"http://127.0.0.1:{(port := free_port())}"
    polar_standin.connect(f"{app_url}/polar/webhooks")
    with without_proxies():
        async with (
            database(folder) as database_url,
            polar_standin.serve() as polar_url,
            SlackStandIn.serve(signing_secret=SIGNING_SECRET, **(slack or {})) as slack_standin,
        ):
            settings = {
                "SLACK_BOT_TOKEN": slack_standin.bot_token,
                "SLACK_APP_TOKEN": slack_standin.app_token,
                "SLACK_API_URL": slack_standin.api_url,
                "SLACK_CHANNEL": slack_standin.channel,
                "APPROVERS": f"{MAYA},{JONAS}",
                "POLAR_ACCESS_TOKEN": polar_standin.token,
                "POLAR_WEBHOOK_SECRET": polar_standin.webhook_secret,
                "POLAR_API_URL": polar_url,
                "DATABASE_URL": database_url,
                "PORT": str(port),
                "METRICS_PORT": "0",
            }
            yield World(slack_standin, polar_standin, Story(polar_standin), settings, app_url, folder)


async def eventually(ask: Callable[[], Awaitable[Any]], within: float = 10) -> Any:
    """Ask the running program's database until the answer is true; the answer."""
    async with asyncio.timeout(within):
        while not (answer := await ask()):  # noqa: ASYNC110 - no stand-in sees what only the database knows
            await asyncio.sleep(0.005)
    return answer


async def handled(app: Running, event: WebhookEvent) -> StoredEvent:
    """Wait until the rules have looked at a webhook; the event as stored."""

    async def looked_at() -> StoredEvent | None:
        stored = await app.services.store.do(get_event, event.id)
        return stored if stored is not None and stored.state != EventState.NEW else None

    found: StoredEvent = await eventually(looked_at)
    return found


async def proposals(app: Running) -> list[Proposal]:
    """Every proposal, as the database has it."""
    return await app.services.store.do(lambda connection: list(all_proposals(connection)))


def words_of(message: Message) -> str:
    """Everything a message shows, in reading order."""
    return " ".join(_texts(message.blocks)) or message.text


def _texts(part: Any) -> list[str]:
    if isinstance(part, list):
        return [text for each in part for text in _texts(each)]
    if not isinstance(part, dict):
        return []
    if part.get("type") == "user":
        return [f"<@{part['user_id']}>"]
    own = [part["text"]] if isinstance(part.get("text"), str) else []
    return own + [text for each in part.values() for text in _texts(each) if isinstance(each, (dict, list))]
