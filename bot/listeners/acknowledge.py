"""Slack's payloads as interactions, and their acknowledgement: with a click or form on disk, else in time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext, AsyncRespond

from bot.results import LATE
from bot.services import Services
from bot.slack.client import Slack, SlackError, SlackUser, acting_user
from bot.ui.elements import ButtonValue, Message, Text, notice, text
from bot.ui.ephemeral import FAILED

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
Answer = dict[str, Any]  # what an acknowledgement, or a message after it (`LATE`), holds
# A listener's work. It sets `stored` once what was clicked or submitted is on disk.
Work = Callable[[asyncio.Event], Awaitable[Answer | None]]

ACK_WITHIN = 2.5  # seconds, for Slack waits three
STOP_WITHIN = 3.0  # seconds that a stop waits for work under way
_WORKING: set[asyncio.Future[Any]] = set()  # also goes on after the answer; asyncio itself holds no task


class Registrar(Protocol):
    """Something with buttons, forms or events of its own: it attaches them itself."""

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place where somebody acted: `channel` is None in a modal and on the Home tab."""

    user: SlackUser
    channel: str | None
    message_ts: str | None = None  # of the message that holds the button; None for an ephemeral message
    thread_ts: str | None = None


def place_of(body: Payload) -> Place:
    """The place where somebody clicked, submitted, typed a command or wrote a message."""
    if "event" in body:
        event = body["event"]
        return Place(acting_user(event), event.get("channel"), thread_ts=event.get("thread_ts"))
    container = body.get("container") or {}
    channel = container.get("channel_id") or (body.get("channel") or {}).get("id") or body.get("channel_id")
    seen_by_all = not container.get("is_ephemeral")
    return Place(acting_user(body), channel, container.get("message_ts") if seen_by_all else None)


@dataclass(frozen=True, slots=True)
class Interaction:
    """One click, form, command or event: `payload` is the part of the `body` that says which.

    `bot` is our own user id. `stored` is called once what was clicked or submitted is on disk.
    """

    services: Services
    body: Payload
    payload: Payload
    respond: AsyncRespond
    bot: str = ""
    stored: Callable[[], None] = lambda: None

    @property
    def place(self) -> Place:
        """The place where it happened."""
        return place_of(self.body)

    @property
    def user(self) -> SlackUser:
        """The person who did it."""
        return self.place.user

    @property
    def view(self) -> Payload:
        """The modal in which it happened; empty elsewhere."""
        return self.body.get("view") or {}

    @property
    def value(self) -> ButtonValue:
        """The value of the button, or of the chosen option."""
        return ButtonValue.parse((self.payload.get("selected_option") or self.payload).get("value"))

    @property
    def trigger_id(self) -> str:
        """The trigger that opens a modal, for three seconds."""
        return str(self.body.get("trigger_id", ""))

    async def tell(self, said: Text) -> None:
        """Tell whoever did it something, where they are or else in the channel of the cards."""
        await post_ephemeral(self.services.slack, self.place, said, self.services.channel)

    async def show(self, view: Payload) -> bool:
        """Fill the modal in which it happened; False when it is closed."""
        return await show(self.services.slack, str(self.view["id"]), view)

    async def show_answer(self, answer: Answer) -> None:
        """Show in the modal what the acknowledgement did not say in time."""
        if "view" in answer:
            await self.show(answer["view"])

    async def replace(self, message: Message) -> None:
        """Show another message in the place of the one that was clicked."""
        await self.respond(**message.content, replace_original=True)


Listener = Callable[[Interaction], Awaitable[Answer | None]]


def listen(
    services: Services,
    to: Callable[[Callable[..., Awaitable[None]]], Any],
    work: Listener,
    *,
    meanwhile: Answer | None = None,
    failed: Answer | Callable[[Interaction], Answer | None] | None = None,
    later: Callable[[Interaction, Answer], Awaitable[None]] | None = None,
) -> None:
    """Do the work for each interaction that Bolt matches (`to`); the others are as in `acknowledge`.

    `failed` may depend on the interaction.
    """

    async def listener(
        ack: AsyncAck, body: Payload, payload: Payload, respond: AsyncRespond, context: AsyncBoltContext
    ) -> None:
        on = Interaction(services, body, payload, respond, str(context.bot_user_id or ""))
        await acknowledge(
            services.slack,
            ack,
            body,
            lambda stored: work(replace(on, stored=stored.set)),
            meanwhile=meanwhile,
            failed=failed(on) if callable(failed) else failed,
            later=None if later is None else partial(later, on),
        )

    to(listener)


async def nothing(_: Interaction) -> None:
    """Only acknowledge it: there is nothing to do."""


async def acknowledge(
    slack: Slack,
    ack: AsyncAck,
    body: Payload,
    work: Work,
    *,
    meanwhile: Answer | None = None,
    failed: Answer | None = None,
    later: Callable[[Answer], Awaitable[None]] | None = None,
) -> None:
    """Start the work and answer Slack: once it is stored or done, or when Slack waits no longer.

    Returns then, as Bolt sends the answer when the listener returns (`process_before_response`; in its other
    way Bolt looks every 10 ms for an answer, for each click). The work goes on. What it returns goes into the
    acknowledgement; when that was `meanwhile`, it is given to `later`. A failure is logged, and the person is
    told: by `failed` in the place of what the work returns, else in the channel or the modal where they are.
    """
    stored = asyncio.Event()
    working = _kept(asyncio.ensure_future(work(stored)))
    waiting = asyncio.ensure_future(stored.wait())
    await asyncio.wait({working, waiting}, timeout=ACK_WITHIN, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    result = await _result(working, failed) if working.done() else None
    said = (meanwhile if result is None else result[0]) or {}
    await ack(**{name: value for name, value in said.items() if name != LATE})
    if result is not None and result[1]:
        return

    async def end() -> None:
        """Wait for the work and say what the acknowledgement did not say."""
        answer, succeeded = await _result(working, failed) if result is None else result
        show_later = later if result is None else None
        if succeeded and show_later is not None and answer is not None:
            _, succeeded = await _result(show_later(answer), failed)
        if succeeded:
            return
        if failed is None:
            await _tell_failure(slack, body)
        elif show_later is not None:
            await _result(show_later(failed), failed)

    _kept(asyncio.ensure_future(end()))


def _kept(working: asyncio.Future[Any]) -> asyncio.Future[Any]:
    _WORKING.add(working)
    working.add_done_callback(_WORKING.discard)
    return working


async def finish() -> None:
    """Wait for what people have done and is still under way, before the store closes."""
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_WITHIN):
            while _WORKING:
                await asyncio.wait(_WORKING)
    if _WORKING:
        log.warning("the stop does not wait for %s listeners that are slow", len(_WORKING))


async def _tell_failure(slack: Slack, body: Payload) -> None:
    """Say where somebody acted that it failed. On the Home tab nothing is said."""
    place, view = place_of(body), body.get("view") or {}
    if place.channel is not None:
        await post_ephemeral(slack, place, text(FAILED))
    elif view.get("type") == "modal":
        await show(slack, str(view["id"]), notice(str(view["title"]["text"]), FAILED))


async def _result(working: Awaitable[Any], failed: Answer | None) -> tuple[Answer | None, bool]:
    """The answer, and False when the work has failed."""
    try:
        return await working, True
    except Exception:
        log.exception("a listener failed")
        return failed, False


async def post_ephemeral(slack: Slack, place: Place, said: Text, channel: str = "") -> None:
    """Tell one person something where they are, or in `channel` where there is no channel."""
    try:
        await slack.post_ephemeral(place.channel or channel, place.user.id, said.content, place.thread_ts)
    except SlackError as error:
        log.warning("%s could not be told a result: %s", place.user.id, error)


async def show(slack: Slack, view_id: str, view: Mapping[str, Any]) -> bool:
    """Fill a modal that is open; False when it has been closed meanwhile, or Slack does not take it."""
    try:
        await slack.update_view(view_id, view)
    except SlackError as error:
        log.info("a modal is not filled: %s", error)
        return False
    return True
