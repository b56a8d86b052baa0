"""Signed webhooks of 4 KB as bytes ready for the wire, made from a recorded order.paid."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from tests.fixtures.signed import sign

SIZE = 4_096
LISTENED = "order.paid"  # the rule generate-invoice proposes something
UNLISTENED = "order.updated"  # the same object, but no rule listens to it
_RECORDED = Path(__file__).parents[1] / "payloads" / "deliveries.jsonl"


def customer(number: int) -> str:
    """The name under which a card of delivery `number` can be found."""
    return f"Bench {number:06d}."


class Deliveries:
    """Requests for one address; each is another order of another customer, under a webhook-id of its own."""

    def __init__(self, address: str, secret: str, event_type: str, first: int = 0) -> None:
        """`first` is the number of the first delivery."""
        self._address, self._secret, self._type, self._next = address, secret, event_type, first
        self._template = _recorded_order()

    def requests(self, count: int) -> Iterator[bytes]:
        """`count` requests, signed now."""
        for body in self.bodies(count):
            yield self._request(body)

    def bodies(self, count: int) -> Iterator[bytes]:
        """`count` bodies, as if sent now."""
        for number in range(self._next, self._next + count):
            yield self._body(number, datetime.now(UTC))
        self._next += count

    def _request(self, body: bytes) -> bytes:
        now = datetime.now(UTC)
        headers = {
            "host": self._address,
            "content-type": "application/json",
            "content-length": str(len(body)),
            **sign(self._secret, str(uuid4()), now, body),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST /polar/webhooks HTTP/1.1\r\n{head}\r\n".encode() + body

    def _body(self, number: int, now: datetime) -> bytes:
        order = self._template
        order["id"], order["invoice_number"] = str(uuid4()), f"INV-{number:06d}"
        order["customer"]["name"] = customer(number)
        order["customer_id"] = order["customer"]["id"] = str(uuid4())
        order["metadata"]["padding"] = ""
        event = {"type": self._type, "timestamp": now.isoformat(), "data": order}
        order["metadata"]["padding"] = "x" * (SIZE - len(json.dumps(event).encode()))
        return json.dumps(event).encode()


def _recorded_order() -> dict:
    lines = _RECORDED.read_text(encoding="utf-8").splitlines()
    bodies = (json.loads(json.loads(line)["body"]) for line in lines)
    return next(body["data"] for body in bodies if body["type"] == LISTENED)
