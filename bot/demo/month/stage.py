"""The verbs of a scene: people act, time passes, and the scene waits for what shows of it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import pairwise
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from bot.demo.clock import DemoClock
from bot.demo.polar import PolarStandIn
from bot.demo.polar.shop import Row
from bot.demo.polar.webhooks import WebhookEvent
from bot.demo.shared import Changes
from bot.demo.slack import Message, SlackStandIn, View
from bot.demo.story import CASES, Story

ZONE = ZoneInfo("Europe/Berlin")
WITHIN = 12.0
"""Real seconds for anything to show; the slowest machine this was tried on needed one."""
# No work of the program is claimed for so long: a longer jump waits until it has come to rest.
_HARMLESS = timedelta(minutes=3)
_STILL, _MOST_STILL = 0.12, 4.0


T = TypeVar("T")


class Stuck(Exception):
    """Something that the story waits for did not show: somebody else acted, or the program did not."""


@dataclass(frozen=True, slots=True)
class Team:
    """The people who act, by their ids."""

    maya: str
    jonas: str
    lena: str


class Stage:
    """The shop, the channel and the clock of one demo."""

    def __init__(self, slack: SlackStandIn, polar: PolarStandIn, story: Story, clock: DemoClock) -> None:
        self.slack, self.polar, self.story, self.clock = slack, polar, story, clock
        self.team = Team(*slack.people[:3])
        self._shown = Changes()
        slack.subscribe(self._shown.changed)
        polar.subscribe(self._shown.changed)
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.tell: Callable[[str], None] = lambda _: None
        self.moved: Callable[[], None] = lambda: None

    # --- Time -----------------------------------------------------------------------------------------

    async def later(self, **ahead: float) -> None:
        """Let time pass (as for timedelta); much of it only once the program has nothing under way."""
        await self.may_go_on.wait()
        span = timedelta(**ahead)
        if span > _HARMLESS:
            await self.rest()
        self.clock.jump(span.total_seconds())
        self.moved()

    async def at(self, hour: int, minute: int = 0, *, days: int = 0) -> None:
        """Let it become that time of day, `days` from now; nothing happens when it has passed."""
        day = self.clock.now().astimezone(ZONE).date() + timedelta(days=days)
        seconds = (datetime.combine(day, time(hour, minute), ZONE) - self.clock.now()).total_seconds()
        if seconds > 0:
            await self.later(seconds=seconds)

    async def rest(self) -> None:
        """Wait until nothing goes to and fro any more between the program, Slack and Polar."""
        still_since, seen = _monotonic(), -1
        give_up = still_since + _MOST_STILL
        while _monotonic() < min(give_up, still_since + _STILL):
            count = sum(self.slack.workspace.counts.values()) + len(self.polar.requests)
            waiting = any(each.status is None for each in self.polar.webhooks.newest)
            if count != seen or waiting:
                still_since, seen = _monotonic(), count
            await asyncio.sleep(0.02)

    # --- Waiting --------------------------------------------------------------------------------------

    async def until(self, shows: Callable[[], T | None], what: str, within: float = WITHIN) -> T:
        """The first true answer of `shows`, asked after each change of Slack or Polar. Raises Stuck."""
        try:
            return await self._shown.wait_until(shows, within)
        except TimeoutError:
            raise Stuck(what) from None

    async def happens(self, shows: Callable[[], Any], within: float) -> bool:
        """True if it shows in time: for what need not."""
        with suppress(Stuck):
            return bool(await self.until(shows, "", within))
        return False

    def messages(self, start: str = "", about: str = "") -> list[Message]:
        """The app's messages in the channel whose text has these words, oldest first; no replies."""
        return [
            each
            for each in self.slack.messages()
            if each.from_bot and each.thread_ts is None and each.channel == self.slack.channel
            and start in each.text and about in each.text
        ]  # fmt: skip

    async def message(self, start: str, about: str = "", *, after: str = "") -> Message:
        """The newest message with these words, newer than the ts `after`, once it is there. Raises Stuck."""

        def newest() -> Message | None:
            return next((each for each in reversed(self.messages(start, about)) if each.ts > after), None)

        return await self.until(newest, f"a message that says {start!r} {about!r}")

    def shown(self, card: Message) -> Message:
        """A card as it is now."""
        return self.slack.message(card.ts) or card

    async def says(self, card: Message, words: str) -> Message:
        """Wait until a card says so somewhere. Raises Stuck."""
        await self.until(lambda: self.has(card, words), f"{card.text!r} to say {words!r}")
        return self.shown(card)

    def has(self, card: Message, words: str) -> bool:
        """True if a card says so somewhere now."""
        return words in words_of(self.shown(card))

    def option(self, card: Message, action: str, end: str) -> str:
        """The value of the option of a card's select or menu that ends so. Raises Stuck."""
        for block in self.shown(card).blocks:
            for element in block.get("elements", ()):
                for option in element.get("options", ()) if element.get("action_id") == action else ():
                    if option["value"].endswith(end):
                        return str(option["value"])
        raise Stuck(f"the option {end!r} of {action!r} on {card.text!r}")

    async def offers(self, card: Message, action: str) -> Message:
        """Wait until a card has this button. Raises Stuck."""
        await self.until(lambda: action in self.shown(card).action_ids, f"{action!r} on {card.text!r}")
        return self.shown(card)

    # --- People ---------------------------------------------------------------------------------------

    async def tap(
        self, card: Message, action: str, who: str, *, thought: float = 20, value: str | None = None
    ) -> None:
        """Tap a button after `thought` seconds of the story. Raises Stuck when it cannot be tapped."""
        await self.offers(card, action)
        if thought:
            await self.rest()  # the program has noted when the card was there: thinking begins then
            await self.later(seconds=thought)
        clicked = await self.slack.click(who, card.channel, card.ts, action, value=value)
        if not clicked.acked:
            raise Stuck(f"{action!r} on {card.text!r}: {clicked.error}")

    async def approve(self, card: Message, who: str, *, thought: float = 20) -> None:
        """Approve a card and wait until it is done. Raises Stuck."""
        await self.tap(card, "approve", who, thought=thought)
        await self.done(card)

    async def done(self, card: Message) -> None:
        """Wait until what was approved is done. Raises Stuck."""
        done = ("Done: ", "Turned on: ")
        await self.until(lambda: self.shown(card).text.startswith(done), f"{card.text!r} to be done")

    async def pick(self, card: Message, action: str, end: str, who: str) -> None:
        """Choose the option of a card's select whose value ends so. Raises Stuck."""
        await self.offers(card, action)
        await self.tap(card, action, who, thought=5, value=self.option(card, action, end))

    async def choose(self, card: Message, name: str, who: str) -> View:
        """Choose something of a card's menu; the form, once it is filled. Raises Stuck."""
        about = _menu_value(self.shown(card)).rpartition(":")[0]
        await self.tap(card, "menu", who, thought=5, value=f"{about}:{name}")

        def filled() -> View | None:
            opened = self.slack.modals(who)
            return opened[-1] if opened and "submit" in opened[-1].content else None

        return await self.until(filled, f"the form {name!r} of {card.text!r}")

    async def submit(self, view: View, who: str, **entered: Any) -> None:
        """Submit a form with `block=state`; a block's name may be the end of its id. Raises Stuck."""
        values = {}
        for name, state in entered.items():
            block = next(b for b in view.content["blocks"] if b.get("block_id", "").endswith(name))
            values[block["block_id"]] = {block["element"]["action_id"]: state}
        clicked = await self.slack.submit(who, view.id, values)
        if not clicked.acked:
            raise Stuck(f"a form: {clicked.error}")
        await self.close(who)

    async def close(self, who: str) -> None:
        """Close whatever is still open, as people do once they have read it."""
        while opened := self.slack.modals(who):
            await self.slack.close(who, opened[-1].id)

    async def ask(self, who: str, text: str) -> Message:
        """Type `/polar TEXT`; the answer, which only this person sees. Raises Stuck."""
        last = max((each.ts for each in self.slack.ephemerals(who)), default="")
        await self.slack.command(who, "/polar", text)

        def answer() -> Message | None:
            return next((each for each in self.slack.ephemerals(who) if each.ts > last), None)

        return await self.until(answer, f"an answer to /polar {text}")

    async def tap_beside(self, listed: Message, words: str, action: str, who: str) -> None:
        """Tap the button in the row below the block of a list that has these words. Raises Stuck."""
        await self.later(seconds=15)
        for block, row in pairwise(listed.blocks):
            if words in " ".join(_texts(block)) and row["type"] == "actions":
                clicked = await self.slack.click(who, listed.channel, listed.ts, action, row["block_id"])
                if clicked.acked:
                    return
        raise Stuck(f"{action!r} beside {words!r}")

    async def write(self, card: Message, who: str, text: str) -> None:
        """Write in a card's thread; `@name` mentions."""
        await self.later(seconds=8)
        self.slack.say(who, self.slack.encode(text), card.ts)

    async def replied(self, card: Message, words: str) -> None:
        """Wait until the app has said so in a card's thread. Raises Stuck."""
        await self.until(
            lambda: any(words in words_of(each) for each in self.slack.thread(card.ts) if each.from_bot),
            f"the thread of {card.text!r} to say {words!r}",
        )

    # --- Polar ----------------------------------------------------------------------------------------

    async def case(self, name: str, start: str) -> Message:
        """Play one of the story's cases; the card it leads to. Raises Stuck."""
        last = max((each.ts for each in self.messages()), default="")
        await self.taken(self.story.play(CASES[name]))
        card = await self.message(start, after=last)
        return await self.offers(card, "approve")

    async def happened(self, title: str) -> None:
        """Send what was changed in the shop, and wait until the app has taken it. Raises Stuck."""
        await self.taken(self.polar.send_pending(title))

    async def taken(self, sent: Sequence[WebhookEvent]) -> None:
        """Wait until the app has taken all of them. Raises Stuck."""
        await self.until(lambda: all(each.succeeded for each in sent), "the app to take the webhooks")

    async def sale(self, customer: Row, product: Row) -> tuple[Row, Message | None]:
        """A customer buys: the order, and its card; None when the invoice was made without asking."""
        before = max((each.ts for each in self.messages()), default="")
        order = self.story.buy(customer, product)
        await self.happened(f"{customer['name']} buys {product['name']}")

        def card() -> Message | None:
            asked = self.messages("Generate the invoice", customer["name"])
            return next((each for each in reversed(asked) if each.ts > before), None)

        await self.until(lambda: order["is_invoice_generated"] or card(), f"the sale to {customer['name']}")
        return order, card()


def words_of(message: Message) -> str:
    """All words that a message shows, in reading order, after its text; one space wherever there are some."""
    return " ".join(" ".join([message.text, *_texts(message.blocks)]).split())


def _texts(part: Any) -> list[str]:
    if isinstance(part, list):
        return [text for each in part for text in _texts(each)]
    if not isinstance(part, dict):
        return []
    own = [part["text"]] if isinstance(part.get("text"), str) else []
    return own + [text for each in part.values() if isinstance(each, dict | list) for text in _texts(each)]


def _menu_value(card: Message) -> str:
    for block in card.blocks:
        for element in block.get("elements", ()):
            if element.get("action_id") == "menu":
                return str(element["options"][0]["value"])
    raise Stuck(f"the menu of {card.text!r}")


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
