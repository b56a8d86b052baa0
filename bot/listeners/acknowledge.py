"""Acknowledge Slack as soon as a tap or a form is on disk, and otherwise in time."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, Protocol

from slack_bolt.async_app import AsyncApp

from bot.approvals.service import NO_REVISION

log = logging.getLogger(__name__)

_ACK_WITHIN = 2.5  # seconds, for Slack waits three


_LONGEST_NUMBER = 10  # digits: no proposal has so many revisions


class Registrar(Protocol):
    """Something with buttons, forms or events of its own: it attaches them itself."""

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""


async def done_or_kept(work: asyncio.Future[Any], kept: asyncio.Event, within: float) -> None:
    """Wait until it is done, or on disk so that it will be, or so many seconds are over."""
    on_disk = asyncio.ensure_future(kept.wait())
    await asyncio.wait({work, on_disk}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    on_disk.cancel()


async def _answered(work: Awaitable[dict[str, Any]], otherwise: dict[str, Any]) -> dict[str, Any]:
    """What the acknowledgement says; when that fails it is logged, and Slack gets `otherwise`."""
    try:
        return await work
    except Exception:
        log.exception("a form could not be answered")
        return otherwise


def asked(value: str) -> tuple[str, int]:
    """What a button names: the proposal's id and the revision shown, 1 for buttons older than revisions."""
    proposal_id, colon, revision = value.partition(":")
    if not colon:
        return proposal_id, 1
    known = revision.isascii() and revision.isdecimal() and len(revision) < _LONGEST_NUMBER
    return proposal_id, int(revision) if known else NO_REVISION


async def _safely(work: Awaitable[None]) -> None:
    """Slack has been answered: what fails now is logged, and Bolt must not turn it into a second answer."""
    try:
        await work
    except Exception:
        log.exception("a listener failed after it had acknowledged")
