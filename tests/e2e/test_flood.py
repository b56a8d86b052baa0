"""A burst of 500 events with Slack's rate limits on: nothing is lost, and the channel can still be read."""

import asyncio
import logging
import time
from collections import Counter
from pathlib import Path

import pytest

from bot.app import Running
from store.models import Proposal
from tests.e2e.app_harness import CASES as EVERY
from tests.e2e.app_harness import MAYA, PolarUnhurried, World, eventually, proposals, world

log = logging.getLogger(__name__)

MANY = 500


def rejected(line: World) -> tuple[int, int]:
    """How many calls of Slack were told to slow down, and how many there were."""
    calls = [each for each in line.slack.workspace.exchanges if each.direction == "app→slack"]
    return sum(each.error == "ratelimited" for each in calls), len(calls)


def burst(line: World, *cases: str) -> int:
    """Let MANY things happen at Polar at once, these cases in turn; how many of them ask something."""
    told = [event for n in range(MANY) for event in line.story.play(EVERY[cases[n % len(cases)]])]
    return sum(event.told.type in cases for event in told)


def decidable(line: World, found: list[Proposal]) -> set[str]:
    """The proposals that can be decided now, on a card of their own or on that of their bundle."""
    asking = {each.ts for each in line.cards if "approve" in each.action_ids or "review" in each.action_ids}
    bundles = {
        str(each.metadata["event_payload"]["bundle_id"])
        for each in line.cards
        if each.ts in asking and each.metadata and "bundle_id" in each.metadata["event_payload"]
    }
    return {
        p.id
        for p in found
        if p.card_ts in asking or (p.bundle_id in bundles and p.first_shown_at is not None)
    }


async def all_decidable(line: World, app: Running, count: int, but: int = 0) -> list[Proposal]:
    """Wait until each of so many proposals can be decided, but for so many that have been; all of them."""

    async def asked() -> list[Proposal] | None:
        await asyncio.sleep(0.2)
        found = await proposals(app)
        return found if len(found) == count and len(decidable(line, found)) >= count - but else None

    found: list[Proposal] = await eventually(asked, 60)
    return found


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize(
    "cases",
    [("order.paid",), ("order.paid", "benefit_grant.revoked", "subscription.past_due")],
    ids=["one kind", "three kinds"],
)
async def test_a_burst_is_decidable_within_a_minute_in_few_messages(
    tmp_path: Path, cases: tuple[str, ...]
) -> None:
    async with world(tmp_path, slack={"limits": True}) as line, line.app(PolarUnhurried) as app:
        begun = time.monotonic()
        count = burst(line, *cases)
        first = await line.slack.wait_for_message(lambda m: "approve" in m.action_ids, 30)
        clicked = await line.slack.click(MAYA, first.channel, first.ts, "approve")
        tapped = time.monotonic()
        await line.says(first, "Done: ", 30)
        redrawn = time.monotonic() - tapped
        found = await all_decidable(line, app, count, but=1)
        took = time.monotonic() - begun
        posted = len([each for each in line.slack.messages() if each.from_bot])
        refused, calls = rejected(line)
    log.info("%.1f s, %d messages, %d of %d calls refused", took, posted, refused, calls)
    assert count == len(found) == MANY
    assert took <= 60
    assert posted <= 60
    assert refused <= 0.05 * calls
    # A tap goes before everything that is merely new.
    assert clicked.acked
    assert clicked.ms < 3_000
    assert redrawn < 15


@pytest.mark.timed
async def test_all_of_a_flood_can_be_decided_with_few_taps(tmp_path: Path) -> None:
    many = 60
    async with world(tmp_path, slack={"limits": True}) as line, line.app(PolarUnhurried) as app:
        for _ in range(many):
            line.play("order.paid")
        await all_decidable(line, app, many)
        for card in line.cards:
            await line.tap(card, "approve" if "approve" in card.action_ids else "approve_all")

        async def done() -> bool:
            return Counter(p.state for p in await proposals(app)) == {"succeeded": many}

        await eventually(done, 30)
        settled = [f"{many - 3} done", "Done: ", "Done: ", "Done: "]
        await line.slack.wait_until(
            lambda: all(any(each in card.text for each in settled) for card in line.cards), 20
        )
        refused, calls = rejected(line)
    assert len(line.writes) == many
    assert len(line.cards) <= 6
    assert refused <= 0.05 * calls
