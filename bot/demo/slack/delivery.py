"""The two ways to the app, sockets or signed HTTP, behind one `deliver`."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from urllib.parse import urlencode

import aiohttp

from bot.demo.slack.state import Json, Workspace

Kind = Literal["events_api", "interactive", "slash_commands"]


@dataclass(frozen=True, slots=True)
class Ack:
    """The app's answer: in time or not (`error` says why not), and the payload it came with."""

    payload: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The number of a repetition, and why the event is repeated."""

    attempt: int = 0
    reason: str = ""


FIRST = Retry()


class Transport(Protocol):
    """Takes a payload to the app and waits for its acknowledgement."""

    async def deliver(self, kind: Kind, payload: Json, retry: Retry = FIRST) -> Ack: ...

    async def close(self) -> None: ...


class HttpTransport:
    """Posts to the app's request URL, signed (https://docs.slack.dev/authentication/verifying-requests-from-slack)."""

    def __init__(self, slack: Workspace, request_url: str, signing_secret: str, ack_timeout: float) -> None:
        """`ack_timeout` in seconds."""
        self._slack, self._url, self._secret = slack, request_url, signing_secret
        self._timeout = aiohttp.ClientTimeout(total=ack_timeout)
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, kind: Kind, payload: Json, retry: Retry = FIRST) -> Ack:
        """One signed request; an acknowledgement is 2xx in time."""
        if kind == "events_api":
            return await self._post(json.dumps(payload).encode(), _JSON, retry)
        fields = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
        return await self._post(urlencode(fields).encode(), _FORM, retry)

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def _post(self, body: bytes, content_type: str, retry: Retry) -> Ack:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        headers = self.signed(body) | {"Content-Type": content_type}
        if retry.attempt:
            headers |= {"X-Slack-Retry-Num": str(retry.attempt), "X-Slack-Retry-Reason": retry.reason}
        try:
            async with self._session.post(self._url, data=body, headers=headers) as response:
                text = await response.text()
                if response.status // 100 != 2:
                    return Ack(error="http_error")
                return Ack(_payload(text))
        except TimeoutError:
            return Ack(error="http_timeout")
        except aiohttp.ClientError:
            return Ack(error="connection_failed")

    def signed(self, body: bytes) -> dict[str, str]:
        """The two headers that prove a body comes from Slack, at the clock's time."""
        timestamp = str(int(self._slack.clock()))
        signature = hmac.new(
            self._secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256
        ).hexdigest()
        return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={signature}"}


_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


def _payload(text: str) -> Any:
    """The body of an answer: JSON, or words, or nothing."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return {"text": text}
