"""Many proposals at once, each tapped by several people, every webhook repeated: each decided and done once."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from bot.demo.polar.webhooks import WebhookEvent
from store.proposals.decisions import all_decisions
from tests.e2e.app_harness import CASES as EVERY
from tests.e2e.app_harness import JONAS, LENA, MAYA, World, proposals, words_of, world

CASES = ("order.paid", "benefit_grant.revoked")


async def deliver_twice(line: World, many: int) -> list[WebhookEvent]:
    """Every webhook of many cases, each delivered again under its id; those that ask something."""
    events = [event for number in range(many) for event in line.story.play(EVERY[CASES[number % len(CASES)]])]
    for event in events:
        await event.tried.wait()
        line.polar.webhooks.redeliver(event)
    return [event for event in events if event.told.type in CASES]


async def tap_by_three(line: World, ts: str) -> None:
    clicks = [line.slack.click(who, line.slack.channel, ts, "approve") for who in (MAYA, JONAS, LENA)]
    for clicked in await asyncio.gather(*clicks):
        assert clicked.acked or "no 'approve' to tap" in str(clicked.error)


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize(("transport", "many"), [("socket mode", 200), ("http mode", 50)])
async def test_hundreds_of_proposals_are_each_decided_and_done_once(
    tmp_path: Path, transport: str, many: int
) -> None:
    async with world(tmp_path) as line:
        line.environment["APPROVERS"] += f",{LENA}"
        if transport == "http mode":
            line.use_http()
        async with line.app() as app:
            events = await deliver_twice(line, many)
            await line.slack.wait_until(lambda: len(line.cards) >= many, 60)
            await asyncio.gather(*(tap_by_three(line, card.ts) for card in line.cards))
            await line.slack.wait_until(lambda: all(c.text.startswith("Done: ") for c in line.cards), 60)
            await line.slack.wait_until(lambda: all(line.slack.thread(c.ts) for c in line.cards), 30)
            made = await proposals(app)
            decided = await app.services.store.do(lambda connection: list(all_decisions(connection)))

    assert len(line.cards) == len(made) == len(decided) == many
    assert {each.event_id for each in made} == {each.id for each in events}
    assert Counter(each.state for each in made) == {"succeeded": many}
    assert len(line.writes) == len({each.path for each in line.writes}) == many
    by_ts = {each.card_ts: each for each in made}
    for card in line.cards:
        proposal = by_ts[card.ts]
        assert "approve" not in card.action_ids
        assert card.text == f"Done: {proposal.title}"
        assert f"<@{proposal.decided_by}>" in words_of(card)
        assert len(line.slack.thread(card.ts)) == 1
