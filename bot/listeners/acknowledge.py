"""Acknowledge Slack as soon as a click or a form is on disk, and otherwise in time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.slack.client import Slack, SlackError, SlackUser, acting_user
from bot.ui.ephemeral import FAILED

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
Answer = dict[str, Any]  # what an acknowledgement, or a message after it, holds
# A listener's work. It sets `stored` once what was clicked or submitted is on disk.
Work = Callable[[asyncio.Event], Coroutine[Any, Any, Answer | None]]

ACK_WITHIN = 2.5  # seconds, for Slack waits three
_WORKING: set[asyncio.Task[None]] = set()  # goes on after the answer; asyncio itself holds no task


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
    told: by `failed` in the place of what the work returns, else in the channel where they are.
    """
    stored = asyncio.Event()
    working = asyncio.ensure_future(work(stored))
    waiting = asyncio.ensure_future(stored.wait())
    await asyncio.wait({working, waiting}, timeout=ACK_WITHIN, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    result = await _result(working, failed) if working.done() else None
    await ack(**((meanwhile if result is None else result[0]) or {}))
    if result is not None and result[1]:
        return
    task = asyncio.create_task(_end(slack, body, working, result, failed=failed, later=later))
    _WORKING.add(task)
    task.add_done_callback(_WORKING.discard)


async def _result(working: Awaitable[Any], failed: Answer | None) -> tuple[Answer | None, bool]:
    """The answer, and False when the work has failed."""
    try:
        return await working, True
    except Exception:
        log.exception("a listener failed")
        return failed, False


async def _end(
    slack: Slack,
    body: Payload,
    working: asyncio.Future[Answer | None],
    result: tuple[Answer | None, bool] | None,
    *,
    failed: Answer | None,
    later: Callable[[Answer], Awaitable[None]] | None,
) -> None:
    """Wait for the work and say what the acknowledgement did not say; `result` is what it said."""
    answer, succeeded = await _result(working, failed) if result is None else result
    shown_later = later if result is None else None
    if succeeded and shown_later is not None and answer is not None:
        _, succeeded = await _result(shown_later(answer), failed)
    if succeeded:
        return
    if failed is None:
        await _post_failure(slack, place_of(body))
    elif shown_later is not None:
        await _result(shown_later(failed), failed)


async def _post_failure(slack: Slack, place: Place) -> None:
    if place.channel is not None:
        await post_ephemeral(slack, place, FAILED)


async def post_ephemeral(slack: Slack, place: Place, text: str, channel: str = "") -> None:
    """Tell one person something where they are, or in `channel` where there is no channel."""
    try:
        await slack.post_ephemeral(place.channel or channel, place.user.id, text, place.thread_ts)
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
