"""The client of Polar's API: sends a call of the catalog and returns the answer or raises the error."""

import asyncio
import json
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol, Self
from urllib.parse import quote

import httpx

from polar.addresses import is_loopback
from polar.catalog import Call, Operation, UnknownOperation, check_call, operations
from polar.errors import InvalidCall, NoAnswer, NotSent, PolarError, RateLimited, error_in
from polar.rate_limit import RateLimiter, SharedPace

API_VERSION = "2026-10"
VERSION = "0.1.0"  # of this program; pyproject.toml takes it from here
PAGE_SIZE = 100  # Polar's maximum
TIMEOUT = httpx.Timeout(connect=5.0, read=20.0, write=20.0, pool=5.0)  # seconds, each for one step
# Servers close an idle connection after five seconds or more. A write that leaves in that same moment would
# get no answer, so we are the first to let go.
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=3.0)
ANSWER_WITHIN = 60.0  # seconds for a whole exchange: a dripping answer must not outlive its caller's claim
WRITE_WAITS = 5.0  # seconds a write waits for room under the rate limit
READ_WITHIN = 75.0  # seconds a read keeps trying; long enough to sit out one rate-limited minute
BACKOFF_FIRST, BACKOFF_MOST = 0.5, 8.0  # seconds


class Seconds(Protocol):
    """A measure of durations, such as a histogram of Prometheus's."""

    def observe(self, amount: float, /) -> object: ...


# The measure of the requests of a method that ended in one way (see `_OUTCOMES`).
Measure = Callable[[str, str], Seconds]

# The request had not begun when these were raised. Any other failure may have come after Polar read it.
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

_OUTCOMES: tuple[tuple[type[PolarError], str], ...] = (
    (NotSent, "not_sent"),
    (NoAnswer, "no_answer"),
    (RateLimited, "rate_limited"),
    (PolarError, "refused"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of Polar to a call that it carried out; times are UTC."""

    status: int
    body: Any  # JSON; the text of a CSV export; None when empty
    started_at: datetime
    finished_at: datetime


class PolarClient:
    """Polar's API with an organization token. Use it as an async context manager.

    `base_url` is without `/v1`, with or without a trailing slash: "https://api.polar.sh".
    `per_minute` is Polar's rate limit: 500 in production, 100 in the sandbox.
    `measure` gets the seconds of each request that leaves, for metrics.
    A proxy in the environment (HTTPS_PROXY) is honoured, except for a base URL on loopback.

    Raises ValueError for a token or base URL that cannot be right; the message never has the token.
    """

    def __init__(
        self,
        token: str,
        base_url: str,
        *,
        per_minute: int,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: httpx.Timeout = TIMEOUT,
        answer_within: float = ANSWER_WITHIN,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        measure: Measure | None = None,
        shared_pace: SharedPace | None = None,
    ) -> None:
        # h11 puts a header that it refuses into its error, token and all: such a token must not get there.
        if not re.fullmatch(r"[!-~]+", token):
            raise ValueError("The access token is empty or has spaces or other odd characters in it.")
        url = _checked_base(base_url)
        self._base = str(url).rstrip("/")
        self._clock, self._monotonic, self._sleep, self._jitter = clock, monotonic, sleep, jitter
        self._answer_within, self._measure = answer_within, measure
        self._limiter = RateLimiter(per_minute, monotonic=monotonic, sleep=sleep, shared=shared_pace)
        self._http = httpx.AsyncClient(
            headers={
                "authorization": f"Bearer {token}",
                "polar-version": API_VERSION,
                "user-agent": f"polar-approvals/{VERSION}",
            },
            timeout=timeout,
            limits=LIMITS,
            follow_redirects=False,
            trust_env=not is_loopback(url.host),
            transport=transport,
        )

    @property
    def environment(self) -> str:
        """The environment of Polar, by the address: "sandbox" or "production"."""
        return "sandbox" if "://sandbox-" in self._base else "production"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    def __repr__(self) -> str:
        return f"PolarClient({self._base!r})"

    def budget(self) -> tuple[int, int, float]:
        """Calls that may still be made in this minute, the limit, and the seconds Polar has us wait."""
        return self._limiter.budget()

    async def send(self, call: Call) -> Answer:
        """Make a call, once: at most one request leaves, whatever the result. For writes.

        Raises NotSent, Refused (InvalidCall before anything is sent) or NoAnswer.
        """
        request = self.prepare(call)
        await self._limiter.take(at_most=WRITE_WAITS, for_write=True)
        return await self._exchange(request, call)

    async def read(self, call: Call, *, within: float = READ_WITHIN) -> Answer:
        """Make a call that only reads (GET), again after a failure that may pass.

        A new attempt is begun only in the first `within` seconds. Raises what the last attempt raised.
        """
        request = self.prepare(call, again=True)
        give_up_at = self._monotonic() + within
        pause = BACKOFF_FIRST
        while True:
            try:
                await self._limiter.take(at_most=give_up_at - self._monotonic())
                return await self._exchange(request, call)
            except (NotSent, RateLimited, NoAnswer) as error:
                # The bucket itself sits out a Retry-After; half of the pause is chance, against stampedes.
                wait = pause * (0.5 + self._jitter() / 2)
                due = max(wait, getattr(error, "retry_after", 0.0))
                if self._monotonic() + due > give_up_at:
                    raise
            await self._sleep(wait)
            pause = min(pause * 2, BACKOFF_MOST)

    async def pages(self, call: Call, *, within: float = READ_WITHIN) -> AsyncIterator[dict[str, Any]]:
        """The items of a list, page after page.

        An item that moves to a later page meanwhile is given once; one that moves to an earlier page can be
        missed, so ask for an order in which new rows come last. Each page is tried for `within` seconds.
        """
        seen: set[Any] = set()
        page, more = 1, True
        while more:
            asked = replace(call, query={"limit": PAGE_SIZE, **call.query, "page": page})
            answer = await self.read(asked, within=within)
            items, more = _page(answer.body, page)
            for item in items:
                if (key := item.get("id")) is None or key not in seen:
                    seen.add(key)
                    yield item
            page += 1

    def prepare(self, call: Call, *, again: bool = False) -> httpx.Request:
        """A call as it would be sent; nothing is. `again`: it may be repeated.

        Raises InvalidCall, which names each parameter that does not fit, or says why the token
        may not call it.
        """
        operation = _checked(call)
        if again and operation.is_write:
            raise InvalidCall([f"{call.operation}: only a GET may be repeated; use send"])
        headers = {} if call.body is None else {"content-type": "application/json"}
        try:
            return self._http.build_request(
                operation.method,
                self._base + _path(operation, call.path),
                params=_query(call.query),
                content=None if call.body is None else json.dumps(call.body, allow_nan=False).encode(),
                headers=headers,
            )
        # NaN, no JSON, half a surrogate pair, a URL over 64 KiB
        except (ValueError, TypeError, RecursionError, httpx.InvalidURL) as error:
            raise InvalidCall([f"{call.operation}: cannot be put into a request: {error}"]) from error

    async def _exchange(self, request: httpx.Request, call: Call) -> Answer:
        began, outcome = self._monotonic(), "cancelled"
        try:
            answer = await self._answer(request, call)
            outcome = "answered"
        except PolarError as error:
            outcome = next(name for kind, name in _OUTCOMES if isinstance(error, kind))
            raise
        finally:
            if self._measure is not None:
                self._measure(request.method, outcome).observe(self._monotonic() - began)
        return answer

    async def _answer(self, request: httpx.Request, call: Call) -> Answer:
        started_at = self._clock()
        try:
            async with asyncio.timeout(self._answer_within):
                response = await self._http.send(request)
        except NEVER_SENT as error:
            raise NotSent(str(error) or type(error).__name__) from error
        except (httpx.RequestError, TimeoutError) as error:
            raise NoAnswer from error
        finished_at = self._clock()
        if response.is_success:
            return Answer(response.status_code, _body(response), started_at, finished_at)
        operation = operations()[call.operation]
        failure = error_in(
            response.status_code,
            response.headers,
            response.content,
            finished_at,
            operation.scopes,
            is_write=operation.is_write,
        )
        if isinstance(failure, RateLimited):
            await self._limiter.pause_all(failure.retry_after)
        raise failure


def _checked_base(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ValueError(f"The base URL of Polar's API cannot be read: {error}") from error
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise ValueError(
            "The base URL of Polar's API must be like https://api.polar.sh, with nothing after it."
        )
    return url


def _checked(call: Call) -> Operation:
    try:
        operation = operations()[call.operation]
    except UnknownOperation as error:
        raise InvalidCall([str(error)]) from error
    if operation.refused:
        raise InvalidCall([f"{operation.id}: {operation.refused}"])
    if problems := check_call(operation, call.path, call.query, call.body):
        raise InvalidCall([str(one) for one in problems])
    return operation


def _path(operation: Operation, values: Mapping[str, Any]) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: _segment(name[1], values[name[1]]), operation.path)


def _segment(name: str, value: Any) -> str:
    """A path parameter, percent-encoded. Servers decode before they route, so what could still become
    another path ("a/b", "..") is refused: no id of Polar's has it.
    """
    text = str(value)
    if not isinstance(value, str | int) or text in ("", ".", "..") or re.search(r"[/\\\x00-\x1f\x7f]", text):
        raise InvalidCall([f"{name}: an id is not empty and has no slash, dot segment or control character"])
    return quote(text, safe="")


def _query(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(pair for name, value in values.items() for pair in _pairs(name, value))


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    """One query parameter as Polar reads it: true/false, lists repeated, objects as name[key]."""
    match value:
        case bool():
            return [(name, "true" if value else "false")]
        case list() | tuple():
            return [pair for one in value for pair in _pairs(name, one)]
        case dict():
            return [pair for key, one in value.items() for pair in _pairs(f"{name}[{key}]", one)]
        case str() | int() | float():
            return [(name, str(value))]
    raise InvalidCall([f"{name}: cannot be put into a query string"])


def _body(response: httpx.Response) -> Any:
    if not response.content:
        return None
    if response.headers.get("content-type", "").startswith("text/csv"):
        return response.text
    try:
        return response.json()
    except (ValueError, RecursionError) as error:
        raise NoAnswer(
            f"Polar's address answered {response.status_code} with something that is not JSON. "
            "Nobody knows whether it was done: look before trying again, and check POLAR_API_URL.",
            status=response.status_code,
        ) from error


def _page(body: Any, page: int) -> tuple[list[dict[str, Any]], bool]:
    """The items of one page and whether another follows, from either form of Polar's pagination."""
    match body:
        case {"items": [], "pagination": {}}:
            return [], False
        case {"items": [*items], "pagination": {"max_page": int(last)}}:
            return items, page < last
        case {"items": [*items], "pagination": {"has_next_page": bool(more)}}:
            return items, more
    raise NoAnswer("Polar's address answered a list without items and pagination. Check POLAR_API_URL.")
