"""What tests of deciding ask of the program and of the stand-ins."""

import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from bot.app import Running
from bot.demo.slack.state import Message
from store.models import Decision, Proposal
from store.proposals.decisions import all_decisions
from tests.e2e.app_harness import (
    SIGNING_SECRET,
    World,
    proposals,
)


def policy(line: World, folder: Path, text: str) -> None:
    """Start the program with these tables."""
    path = folder / "mine.toml"
    path.write_text(text)
    line.environment["RULES_FILE"] = str(path)


async def only(app: Running) -> Proposal:
    [proposal] = await proposals(app)
    return proposal


async def decisions(app: Running) -> list[Decision]:
    return await app.services.store.do(lambda connection: list(all_decisions(connection)))


def value_of(card: Message, action: str = "approve") -> str:
    for block in card.blocks:
        for element in block.get("elements", []):
            if element.get("action_id") == action:
                return str(element["value"])
    pytest.fail(f"the card has no {action}: {card.action_ids}")


async def told(line: World, user: str, count: int = 1) -> str:
    await line.slack.wait_until(lambda: len(line.slack.ephemerals(user)) >= count, 10)
    assert len(line.slack.ephemerals(user)) == count
    return line.slack.ephemerals(user)[-1].text


def forget_a_key(line: World) -> None:
    """Of the two keys that a refunded order left, Polar takes one back itself."""
    shop = line.polar.shop
    order = [each for each in shop.tables["orders"].values() if each["refunded_amount"]][-1]
    grants = [each for each in shop.tables["benefit-grants"].values() if each.get("order_id") == order["id"]]
    shop.change(grants[0], is_granted=False, is_revoked=True)


async def posted(line: World, payload: dict[str, Any], times: int = 3) -> list[int]:
    """One request, sent so many times, signed anew each time, as when Slack sends it again."""
    body, now = urlencode({"payload": json.dumps(payload)}).encode(), int(time.time())
    async with aiohttp.ClientSession() as session:
        return [await _post(session, line, body, str(now - number)) for number in range(times)]


async def replayed(line: World, payload: dict[str, Any], times: int = 3) -> list[int]:
    """One signed request, sent so many times as it is, as by somebody who has recorded it."""
    body, now = urlencode({"payload": json.dumps(payload)}).encode(), str(int(time.time()))
    async with aiohttp.ClientSession() as session:
        return [await _post(session, line, body, now) for _ in range(times)]


async def _post(session: aiohttp.ClientSession, line: World, body: bytes, at: str) -> int:
    signed = hmac.new(SIGNING_SECRET.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": at,
        "X-Slack-Signature": f"v0={signed}",
    }
    async with session.post(f"{line.app_url}/slack/events", data=body, headers=headers) as answer:
        return answer.status
