"""Keep a Socket Mode connection open, and build a new one when it is silent for too long."""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import aiohttp
from slack_bolt.adapter.socket_mode.websockets import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from websockets.exceptions import WebSocketException

log = logging.getLogger(__name__)

# The adapter sees an abrupt close at its next ping only; Bolt's default of 10 s is a long silence.
_PING_SECONDS = 3.0
_LOOK_EVERY = 5.0
_DEAF_AFTER = 30.0
_CLOSE_WITHIN = 5.0
_BACKOFF_MOST = 5.0
# No later try mends these: somebody has to change the token or the app's settings.
FATAL = frozenset(
    {"invalid_auth", "account_inactive", "token_revoked", "not_allowed_token_type", "not_authed"}
)
FATAL_REASON = "link_disabled"


class SocketModeFailed(Exception):
    """Slack does not accept the app token."""

    def __init__(self, code: str) -> None:
        super().__init__(
            f"Slack refuses SLACK_APP_TOKEN ({code}). Nothing is received from Slack. Make an app-level "
            "token with connections:write in the app's Basic Information, and check that Socket Mode is on."
        )


class Supervisor:
    """Open the socket, watch it, and build a new one when nothing arrives any more."""

    def __init__(self, app: AsyncApp, app_token: str, clock: Callable[[], datetime]) -> None:
        self._app = app
        self._token = app_token
        self._clock = clock
        self._handler: AsyncSocketModeHandler | None = None
        self.last_envelope_at: datetime | None = None
        self.connected = False

    async def run(self) -> None:
        """Stay connected until cancelled. Raises SocketModeFailed when no try can succeed."""
        try:
            while True:
                await self._connect()
                await self._watch()
        finally:
            # Bolt would log the closing of its own socket as an error.
            self._app.logger.setLevel(logging.CRITICAL)
            await self._close()

    async def _connect(self) -> None:
        """A new handler with a new ticket; tried until it connects."""
        pause = 0.5
        while True:
            await self._close()
            handler = AsyncSocketModeHandler(self._app, self._token, ping_interval=_PING_SECONDS)
            handler.client.message_listeners.insert(0, self._note_envelope)
            self._handler = handler
            try:
                await handler.connect_async()  # type: ignore[no-untyped-call]  # Bolt has no annotation here
            except SlackApiError as error:
                code = str(error.response.get("error"))
                if code in FATAL:
                    raise SocketModeFailed(code) from error
                log.warning("Slack gave no socket (%s); trying again", code)
            except (
                OSError,
                TimeoutError,
                aiohttp.ClientError,
                SlackClientError,
                WebSocketException,
            ) as error:
                log.warning("the Slack socket cannot be opened (%s); trying again", type(error).__name__)
            else:
                self.connected = True
                log.info("connected to Slack by Socket Mode")
                return
            await asyncio.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - against stampedes only
            pause = min(pause * 2, _BACKOFF_MOST)

    async def _watch(self) -> None:
        """Return when nothing has arrived on the socket for too long."""
        deaf = 0.0
        while deaf < _DEAF_AFTER:
            await asyncio.sleep(_LOOK_EVERY)
            self.connected = self._handler is not None and await self._handler.client.is_connected()
            deaf = 0.0 if self.connected else deaf + _LOOK_EVERY
        log.warning("the Slack socket has been deaf for %s s; opening a new one", int(deaf))

    async def _note_envelope(
        self, _client: AsyncBaseSocketModeClient, message: dict[str, object], _raw: str | None = None
    ) -> None:
        self.last_envelope_at = self._clock()
        if message.get("type") == "disconnect" and message.get("reason") == FATAL_REASON:
            log.error("Slack has switched Socket Mode off for this app (link_disabled)")

    async def _close(self) -> None:
        handler, self._handler, self.connected = self._handler, None, False
        if handler is None:
            return
        # A teardown of a dead connection has been seen to hang.
        with suppress(TimeoutError, OSError, aiohttp.ClientError, WebSocketException):
            await asyncio.wait_for(handler.close_async(), _CLOSE_WITHIN)  # type: ignore[no-untyped-call]  # as above
