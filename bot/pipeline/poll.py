"""Step 0: read the changes for which Polar sends no webhook, and store them as events with our own ids."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from bot.proposals.build import MOST_CALLS
from bot.services import Queue, Services
from polar.catalog import Call
from polar.errors import PolarError
from store.events.events import claim_poll, keep_polled_until, poll_again, polled_until
from store.models import NewEvent

log = logging.getLogger(__name__)

_OURS = "/polar/webhooks"  # an endpoint with our route is this program's own
# Polar's ten attempts are over after at most an hour; large windows time out.
_ATTEMPTS_TAKE = timedelta(hours=1)
_WINDOW = timedelta(hours=1)
_FIRST_ATTEMPT_WITHIN = timedelta(minutes=5)
_LONGEST = timedelta(minutes=5)  # of one look: after it another replica may look
_AFTER_START = timedelta(minutes=1)  # a new program has its webhooks to see to first
_LOOKS_BACK = timedelta(hours=24)  # after a long stop: older failures are history


@dataclass(frozen=True, slots=True)
class PollSource:
    """Something to look up: which of our event types it makes, how often, and how.

    `look` stores what it finds and says whether there is more to look up at once.
    """

    name: str
    types: frozenset[str]
    every: timedelta
    look: Callable[[Services, datetime], Awaitable[bool]]


async def claim(services: Services, limit: int) -> list[PollSource]:
    """Take the sources that are due and that some rule asks for."""
    now = services.clock()
    wanted = [source for source in SOURCES if any(services.rules.for_event(type_) for type_ in source.types)]
    times = {"now": now, "until": now + _LONGEST, "first": now + _AFTER_START}
    due = [await services.store.do(claim_poll, source.name, **times) for source in wanted[:limit]]
    return [source for source, is_due in zip(wanted, due, strict=False) if is_due]


async def poll(services: Services, source: PollSource) -> None:
    """Look once. What cannot be read now is read at the next turn; nothing is skipped."""
    started_at = services.clock()
    try:
        more = await source.look(services, started_at)
    except PolarError as error:
        log.warning("%s could not be looked up: %s", source.name, error)
        more = False
    await services.store.do(poll_again, source.name, started_at if more else started_at + source.every)
    if more:
        services.notify(Queue.POLL)


async def _disputes(services: Services, now: datetime) -> bool:
    """One event for each open dispute and state it has been in."""
    waiting = Call("disputes:list", query={"status": ["needs_response", "early_warning"]})
    async for dispute in services.polar.pages(waiting):
        name = f"dispute.{dispute['status']}"
        await _record(services, f"poll:dispute:{dispute['id']}:{dispute['status']}", name, dispute, now)
    return False


async def _failed_deliveries(services: Services, now: datetime) -> bool:
    """Store events of what other endpoints did not take: for each and each hour, of 50 webhooks at most."""
    known = await services.store.do(polled_until, "deliveries")
    start = max(known or now - _ATTEMPTS_TAKE - _WINDOW, now - _LOOKS_BACK)
    end = start + _WINDOW
    if end + _ATTEMPTS_TAKE > now:
        return False
    async for endpoint in services.polar.pages(Call("webhooks:list_webhook_endpoints")):
        if not urlsplit(endpoint["url"]).path.rstrip("/").endswith(_OURS):
            await _one_endpoint(services, endpoint, start, end, now)
    await services.store.do(keep_polled_until, "deliveries", end)
    return True


async def _one_endpoint(
    services: Services, endpoint: Mapping[str, Any], start: datetime, end: datetime, now: datetime
) -> None:
    until = end + _FIRST_ATTEMPT_WITHIN
    query = {"endpoint_id": endpoint["id"], "succeeded": False}
    query |= {"start_timestamp": start.isoformat(), "end_timestamp": until.isoformat()}
    failed: dict[str, dict[str, Any]] = {}
    async for attempt in services.polar.pages(Call("webhooks:list_webhook_deliveries", query=query)):
        event = attempt["webhook_event"]
        if event.get("succeeded") or event["is_archived"]:
            continue
        if start <= datetime.fromisoformat(event["created_at"]) < end:
            # Without the payload: it is the customers', and the card has no use for it.
            failed[event["id"]] = {name: event[name] for name in ("id", "type", "created_at")}
    of_all = {"id": endpoint["id"], "host": urlsplit(endpoint["url"]).hostname or "an endpoint"}
    of_all |= {"since": start.isoformat(), "until": until.isoformat()}
    name = f"poll:webhook_delivery:{endpoint['id']}:{start:%Y%m%dT%H%M%S}"
    missed = list(failed.values())
    for first in range(0, len(missed), MOST_CALLS):  # each is sent again by a call of its own
        part = of_all | {"events": missed[first : first + MOST_CALLS]}
        await _record(services, f"{name}:{first}" if first else name, "webhook_delivery.failed", part, now)


async def _record(services: Services, id_: str, type_: str, data: Mapping[str, Any], now: datetime) -> None:
    """Store a finding as an event. A finding that is stored already changes nothing. Its time is `now`."""
    body = json.dumps({"type": type_, "timestamp": now.isoformat(), "data": data}, ensure_ascii=False)
    event = NewEvent(id_, type_, body.encode(errors="replace"), "", sent_at=now, received_at=now)
    await services.store.record(event, then=partial(services.notify, Queue.PROPOSE))


SOURCES = (
    PollSource(
        "disputes",
        frozenset({"dispute.needs_response", "dispute.early_warning"}),
        timedelta(minutes=10),
        _disputes,
    ),
    PollSource(
        "deliveries", frozenset({"webhook_delivery.failed"}), timedelta(minutes=10), _failed_deliveries
    ),
)
