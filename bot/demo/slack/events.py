"""Events on their way to the app: each in its own task, repeated when it is not acknowledged."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter

from bot.demo.faults import Faults
from bot.demo.slack.delivery import FIRST, Ack, Retry, Transport
from bot.demo.slack.faults import Fault
from bot.demo.slack.payloads import event_callback
from bot.demo.slack.state import Json, Workspace

# At once, after about a minute, after about five (https://docs.slack.dev/apis/events-api)
RETRY_SECONDS = (0.0, 60.0, 300.0)
Sleep = Callable[[float], Awaitable[None]]


class Events:
    """Delivers what `Workspace.on_event` says. Owns its tasks; `close` cancels them."""

    def __init__(
        self,
        slack: Workspace,
        transport: Callable[[], Transport],
        faults: Faults[Fault],
        sleep: Sleep,
        subscriptions: frozenset[str] | None,
    ) -> None:
        """`sleep` waits between the repetitions; `subscriptions` None is every event."""
        self._slack, self._transport, self._faults, self._sleep = slack, transport, faults, sleep
        self._subscriptions = subscriptions
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[Json] = []
        slack.on_event = self.emit

    def emit(self, event: Json) -> None:
        """Sends an event inside a fresh outer event, if the app subscribed to its kind."""
        if self._subscriptions is not None and _subscription(event) not in self._subscriptions:
            return
        outer = event_callback(self._slack, event)
        fault = self._faults.take("events")
        if fault is not None and fault.kind == "reorder":
            self._held.append(outer)
            return
        self.send(outer)
        if fault is not None and fault.kind == "duplicate":
            self.send(outer, Retry(1, "timeout"))
        for held in self._held:
            self.send(held)
        self._held.clear()

    def send(self, outer: Json, first: Retry = FIRST) -> None:
        """Delivers one outer event until it is acknowledged or given up."""
        task = asyncio.get_running_loop().create_task(self._deliver(outer, first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Waits for all deliveries under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Gives up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, outer: Json, retry: Retry) -> None:
        ack = await self._attempt(outer, retry)
        for number, seconds in enumerate(RETRY_SECONDS, start=retry.attempt + 1):
            if ack.error is None:
                return
            await self._sleep(seconds)
            ack = await self._attempt(outer, Retry(number, ack.error))

    async def _attempt(self, outer: Json, retry: Retry) -> Ack:
        begun = perf_counter()
        ack = await self._transport().deliver("events_api", outer, retry)
        ms = (perf_counter() - begun) * 1000
        self._slack.traffic.add("slack→app", f"event {outer['event']['type']}", outer, ack.error, ms)
        self._slack.changed()
        return ack


def _subscription(event: Json) -> str:
    """The manifest's name for this kind of event."""
    if event["type"] != "message":
        return str(event["type"])
    return "message.im" if event.get("channel_type") == "im" else "message.channels"
