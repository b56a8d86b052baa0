"""The whole program between a Slack stand-in and a Polar that takes every request and writes it down."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.app import Running, running
from bot.config.settings import Settings, load_settings
from bot.demo.slack import DEMO_CAST, SlackStandIn
from bot.demo.slack.state import Message, View
from bot.forms.modal import FIND, OPERATION
from polar.catalog import Call, operations
from store.models import Proposal
from store.proposals.proposals import get_proposal
from tests.fixtures.forms import ANY_ID, answer

MAYA, JONAS, LENA, GUS, OMAR, DORA = (user.id for user in DEMO_CAST.users)
SECRET = "polar_secret_that_nobody_may_see"
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
# Something of everything: whatever is read, it has the fields its kind has.
ROW: dict[str, Any] = {
    "id": ANY_ID, "name": "Jane Doe", "email": "jane@example.com", "external_id": "user_7", "customer_id": ANY_ID,
    "currency": "eur", "amount": 2_900, "total_amount": 2_900, "invoice_number": "INV-7", "status": "paid",
    "customer": {"name": "Jane Doe", "email": "jane@example.com"}, "product": {"name": "Pro"}, "seats": 3,
    "prices": [{"id": ANY_ID, "price_amount": 2_900, "price_currency": "eur", "amount_type": "fixed"}],
    "display_key": "****-67B947", "description": "Pro", "label": "Spring", "slug": "size", "code": "SPRING",
    "succeeded": True, "is_archived": False,
    "webhook_event": {"id": ANY_ID, "succeeded": True, "is_archived": False, "type": "order.paid", "created_at": "2026-11-21T05:00:00Z"},
    "type": "card", "method_metadata": {"brand": "visa", "last4": "4242"}, "url": "https://example.com",
}  # fmt: skip
ANSWER = {
    **ROW, "token": SECRET, "secret": SECRET, "client_secret": SECRET, "key": SECRET,
    "customer_portal_url": f"https://polar.sh/{SECRET}", "url": f"https://polar.sh/{SECRET}",
}  # fmt: skip


@dataclass
class Recorder:
    """A Polar that says yes: every request that changes something is kept as the call it was."""

    calls: list[Call] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)  # reads that answer 404
    slow: float = 0.0  # seconds that a read takes
    currency: str = "eur"
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        """Any request of the catalog, matched by its path."""
        call = self._call(request, await request.json() if request.can_read_body else None)
        if request.method != "GET":
            self.calls.append(call)
            return web.json_response(ANSWER, status=200)
        self.reads.append(call.operation)
        await asyncio.sleep(self.slow)
        if call.operation in self.gone:
            return web.json_response({"error": "ResourceNotFound", "detail": "Not found"}, status=404)
        return web.json_response(self._shown(call))

    def _shown(self, call: Call) -> Any:
        row = {**ROW, "currency": self.currency}
        if call.operation == "customer-seats:list_seats":
            return {"seats": [row], "available_seats": 1, "total_seats": 3}
        if call.operation == "metrics:list_dashboards":
            return [row]
        if operations()[call.operation].paginated:
            return {"items": [row], "pagination": {"total_count": 1, "max_page": 1}}
        return row

    def _call(self, request: web.Request, body: Any) -> Call:
        for one in sorted(operations().values(), key=lambda each: each.path.count("{")):
            if one.method == request.method and (path := _match(one.path, request.path)) is not None:
                return Call(one.id, path, dict(request.query), body)
        raise AssertionError(f"no operation is at {request.method} {request.path}")

    @asynccontextmanager
    async def served(self) -> AsyncIterator["Recorder"]:
        """On a free port of loopback."""
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self.take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()


def _match(template: str, path: str) -> dict[str, str] | None:
    asked, given = template.split("/"), path.split("/")
    if len(asked) != len(given):
        return None
    pairs = list(zip(asked, given, strict=True))
    if any(one != other for one, other in pairs if not one.startswith("{")):
        return None
    return {one[1:-1]: other for one, other in pairs if one.startswith("{")}


class Unhurried(Settings):
    """Settings under which Polar's rate limit is never reached."""

    @property
    def polar_per_minute(self) -> int:
        """Far more than any test asks for."""
        return 600_000


@dataclass
class World:
    """Slack, Polar and the program; and what a person does with a form."""

    slack: SlackStandIn
    polar: Recorder
    environment: dict[str, str]

    @asynccontextmanager
    async def app(self) -> AsyncIterator[Running]:
        """The program until the block ends."""
        settings = Unhurried(**load_settings(self.environment, None).model_dump(exclude_unset=True))
        async with running(settings) as (app, background):
            await self.slack.wait_until(lambda: self.slack.connections > 0, 20)
            yield app
            assert not background.done()

    # --- the form -----------------------------------------------------------------------------------

    async def command(self, words: str = "", user: str = MAYA) -> View | None:
        """Type `/polar propose`; the modal that opens, if one does."""
        known, told = {view.id for view in self.slack.modals(user)}, len(self.slack.ephemerals(user))
        clicked = await self.slack.command(user, "/polar", f"propose {words}".strip())
        assert clicked.acked, clicked.error
        await self.slack.wait_until(
            lambda: (
                {v.id for v in self.slack.modals(user)} - known or len(self.slack.ephemerals(user)) > told
            ),
            5,
        )
        return self.top(user)

    def top(self, user: str = MAYA) -> View | None:
        """The modal on top, as it is now."""
        stack = self.slack.modals(user)
        return stack[-1] if stack else None

    def shown(self, user: str = MAYA) -> str:
        """Every word of the modal on top."""
        view = self.top(user)
        assert view is not None
        return " ".join(_texts(view.content["blocks"]))

    async def begin(self, operation: str, user: str = MAYA) -> View:
        """Open the form and choose an operation in it, as found by its id."""
        opened = await self.command(user=user)
        assert opened is not None
        found = await self.slack.suggest(user, opened.id, OPERATION, operation)
        assert found.clicked.acked, found.clicked.error
        await self.tap(opened, OPERATION, OPERATION, operation, user=user)
        return self.view(user)

    def view(self, user: str = MAYA) -> View:
        """The modal on top, which must be there."""
        found = self.top(user)
        assert found is not None
        return found

    async def tap(
        self, view: View, action_id: str, block_id: str, value: str, *, user: str = MAYA, values: Any = None
    ) -> None:
        """Choose or press something that the program acts on at once, and wait until the form shows it."""
        before = self.view(user).hash
        clicked = await self.slack.view_click(
            user, view.id, action_id, block_id, value=value, values=values or {}
        )
        assert clicked.acked, clicked.error
        await self.slack.wait_until(lambda: self.view(user).hash != before, 5)

    async def values(
        self, view: View, *, more: str = "none", user: str = MAYA, **given: Any
    ) -> dict[str, Any]:
        """Something for every input, objects found by searching; `given` by question path with __ for dots."""
        found: dict[str, Any] = {}
        for block in view.content["blocks"]:
            if block["type"] != "input":
                continue
            element = block["element"]
            name = block["block_id"].replace(".", "__")
            if name in given:
                entered = given[name]
            elif element["action_id"] == FIND:
                offered = await self.slack.suggest(user, view.id, FIND, "j", block["block_id"])
                option = (
                    offered.options
                    or (await self.slack.suggest(user, view.id, FIND, "", block["block_id"])).options
                )[0]
                entered = (
                    {"selected_option": option}
                    if element["type"] == "external_select"
                    else {"selected_options": [option]}
                )
            else:
                entered = answer(block, more=more)
            found[block["block_id"]] = {element["action_id"]: entered}
        return found

    async def fill(
        self, operation: str, *, user: str = MAYA, way: int = 0, more: str = "none", **given: Any
    ) -> str:
        """Fill in the whole form of an operation and press Propose; what the form says then."""
        view = await self.begin(operation, user)
        picks = [block for block in view.content["blocks"] if block["block_id"] == "pick:body"]
        if picks:
            await self.tap(view, "propose.pick", "pick:body", str(way), user=user)
        for _ in range(12):
            view = self.view(user)
            if "submit" not in view.content:
                return self.shown(user)
            sent = await self.slack.submit(
                user, view.id, await self.values(view, more=more, user=user, **given)
            )
            assert sent.error is None, (operation, sent.error, self.view(user).errors)
            assert not self.view(user).errors, (operation, self.view(user).errors)
        raise AssertionError(f"the form of {operation} has no end: {self.shown(user)}")

    # --- the card -----------------------------------------------------------------------------------

    @property
    def cards(self) -> list[Message]:
        """The cards in the channel, oldest first."""
        return [each for each in self.slack.messages() if each.thread_ts is None and each.from_bot]

    async def card(self, count: int = 1) -> Message:
        """Wait until there are so many cards; the last one."""
        await self.slack.wait_until(lambda: len(self.cards) >= count, 10)
        return self.cards[-1]

    async def approve(self, card: Message, user: str = JONAS) -> str:
        """Tap Approve and wait for what comes of it; what the card's title says then."""
        clicked = await self.slack.click(user, card.channel, card.ts, "approve")
        assert clicked.acked, clicked.error
        done = ("Done", "Failed", "Withdrawn", "No answer")
        await self.slack.wait_until(lambda: self.now(card).text.startswith(done), 10)
        return self.now(card).text

    def now(self, card: Message) -> Message:
        """A card as it is now."""
        found = self.slack.message(card.ts)
        assert found is not None
        return found

    def words(self, card: Message) -> str:
        """Every word of a card."""
        return " ".join(_texts(self.now(card).blocks))

    async def proposal(self, app: Running, card: Message) -> Proposal:
        """The proposal a card is about, as stored."""
        found = await app.services.store.do(
            get_proposal, card.blocks[-1]["elements"][0]["value"].partition(":")[0]
        )
        assert found is not None
        return found

    async def told(self, user: str) -> str:
        """Wait for what only this person is told."""
        await self.slack.wait_until(lambda: self.slack.ephemerals(user), 5)
        return self.slack.ephemerals(user)[-1].text


@asynccontextmanager
async def world(
    folder: Path, *, approvers: str = f"{MAYA},{JONAS}", slack: Mapping[str, Any] | None = None
) -> AsyncIterator[World]:
    """Both services, and the environment of a program with its database in `folder`."""
    with pytest.MonkeyPatch.context() as environment:
        for name in _PROXIES:
            environment.delenv(name, raising=False)
        async with Recorder().served() as polar, SlackStandIn.serve(**(slack or {})) as stand_in:
            at_once = folder / "policy.toml"  # holds are tested by themselves
            at_once.write_text("[hold]\n" + "".join(f'R{risk} = "0s"\n' for risk in range(5)))
            settings = {
                "RULES_FILE": str(at_once),
                "SLACK_BOT_TOKEN": stand_in.bot_token, "SLACK_APP_TOKEN": stand_in.app_token,
                "SLACK_API_URL": stand_in.api_url, "SLACK_CHANNEL": stand_in.channel, "APPROVERS": approvers,
                "POLAR_ACCESS_TOKEN": "polar_oat_test", "POLAR_WEBHOOK_SECRET": "polar_whs_dGVzdHRlc3R0ZXN0dGVzdA",
                "POLAR_API_URL": polar.url, "PORT": "0",
                "DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'approvals.db'}",
            }  # fmt: skip
            yield World(stand_in, polar, settings)


def _texts(part: Any) -> list[str]:
    if isinstance(part, list):
        return [text for each in part for text in _texts(each)]
    if not isinstance(part, dict):
        return []
    own = [part["text"]] if isinstance(part.get("text"), str) else []
    return own + [text for each in part.values() for text in _texts(each) if isinstance(each, dict | list)]
