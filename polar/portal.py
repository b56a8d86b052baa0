"""Calls in a customer's name: a session made for the purpose, kept in memory, never shown, then forgotten."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from polar.catalog import Call, Operation
from polar.errors import InvalidCall, MissingScope, NoAnswer, NotSent, Refused, Unauthorized

if TYPE_CHECKING:
    from polar.client import Answer, PolarClient

_MEANT_FOR_THE_TOKEN = "It takes the organization token: call it without a customer session."  # noqa: S105 - a sentence


@dataclass(frozen=True, slots=True)
class Identity:
    """In whose name a call is made: the callers it counts as, and the header that says so (None: the
    client's own token).
    """

    callers: frozenset[str]
    authorization: str | None = field(default=None, repr=False)

    def refusal(self, operation: Operation) -> str | None:
        """Why this caller may not make a call of the operation, or None when it may."""
        if self.callers.isdisjoint(operation.callers):
            return operation.refused or _MEANT_FOR_THE_TOKEN
        return None


ORGANIZATION = Identity(frozenset({"organization"}))


class Portal:
    """The customer portal as one customer (or one member of a team customer) sees it.

    Made by `PolarClient.as_customer`. The session is made with the first call that fits (scope
    customer_sessions:write), serves until the block ends, and is never read again. Its calls share the rate
    budget of the client.
    """

    def __init__(self, client: "PolarClient", customer_id: str, member_id: str | None) -> None:
        self._client = client
        self._holder = {"customer_id": customer_id} | ({"member_id": member_id} if member_id else {})
        callers = {"customer", "member"} if member_id else {"customer"}
        self._known = Identity(frozenset(callers))  # without its header: enough to check a call
        self._session: Identity | None = None
        self._one_session = asyncio.Lock()
        self._open = True

    def __repr__(self) -> str:
        return f"Portal({self._holder!r})"

    def close(self) -> None:
        """Forget the session: nothing can be sent any more. Polar lets it lapse within the hour."""
        self._session, self._open = None, False

    async def send(self, call: Call) -> "Answer":
        """As `PolarClient.send`. What fails before the call itself, the making of the session, is NotSent
        or Refused: nothing was done.
        """
        self._client.prepare(call, who=self._known)
        who = await self._begun()
        try:
            return await self._client.send(call, who=who)
        except (Unauthorized, MissingScope) as error:
            raise _session_refused(error) from error

    async def read(self, call: Call) -> "Answer":
        """As `PolarClient.read`; making the session is not repeated."""
        self._client.prepare(call, who=self._known, again=True)
        who = await self._begun()
        try:
            return await self._client.read(call, who=who)
        except (Unauthorized, MissingScope) as error:
            raise _session_refused(error) from error

    async def pages(self, call: Call) -> AsyncIterator[dict[str, Any]]:
        """As `PolarClient.pages`."""
        self._client.prepare(call, who=self._known, again=True)
        who = await self._begun()
        try:
            async for item in self._client.pages(call, who=who):
                yield item
        except (Unauthorized, MissingScope) as error:
            raise _session_refused(error) from error

    async def _begun(self) -> Identity:
        """The session, made once however many calls begin together."""
        async with self._one_session:
            if not self._open:
                raise InvalidCall(["the customer session is over: open another with `as_customer`"])
            if self._session is None:
                self._session = Identity(self._known.callers, f"Bearer {await self._new_token()}")
            return self._session

    async def _new_token(self) -> str:
        try:
            answer = await self._client.send(Call("customer-sessions:create", body=dict(self._holder)))
        except NoAnswer as error:
            # What was asked for has certainly not been done, only a session may lie unused at Polar.
            msg = "no answer to the making of a customer session"
            raise NotSent(msg) from error
        token = answer.body.get("token") if isinstance(answer.body, dict) else None
        # As for the client's own token: a header that h11 refuses would come back inside its error.
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
            msg = "it answered a customer session without a token"
            raise NotSent(msg)
        return token


def _session_refused(error: Refused) -> Refused:
    """The words of these errors are about the organization's token, which is not at fault here."""
    return Refused(
        "Polar did not let the customer session do this. Nothing was done. A session lasts an hour, and "
        "shows and changes only what is the customer's own; some things need a team's owner.",
        status=error.status,
        kind=error.kind,
        detail=error.detail,
    )
