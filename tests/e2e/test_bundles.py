"""Many questions of one kind on one card: approved, declined, gone through and carved, each by itself."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bot.app import Running
from bot.demo.polar.errors import rule
from bot.demo.polar.standin import HANDLERS
from bot.demo.slack.state import Message, View
from bot.ui.ephemeral import FAILED
from store.models import Decision, Proposal, ProposalState
from store.proposals.decisions import all_decisions
from store.proposals.proposals import all_proposals
from store.schema import pending_approvals
from tests.e2e.app_harness import (
    GUS,
    MAYA,
    PolarUnhurried,
    World,
    eventually,
    proposals,
    words_of,
    world,
)
from tests.fixtures.slack_http import forged_click

INVOICE = "orders:generate_invoice"


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def bundles_of(line: World) -> list[Message]:
    return [each for each in line.cards if "review" in each.action_ids]


async def bundled(line: World, app: Running, many: int = 12, case: str = "order.paid") -> Message:
    """So many at once: the first get cards, and this is the one card of the others, with all of them on it."""
    for _ in range(many):
        line.play(case)

    async def all_shown() -> Any:
        found = await proposals(app)
        return len(found) == many and all(p.first_shown_at is not None for p in found) and bundles_of(line)

    return (await eventually(all_shown, 30))[0]


async def members(app: Running) -> list[Any]:
    return [each for each in await proposals(app) if each.bundle_id is not None]


async def decided(app: Running) -> list[Decision]:
    return await app.services.store.do(lambda connection: list(all_decisions(connection)))


async def states(app: Running, wanted: dict[str, int]) -> Counter[str]:
    async def there() -> Counter[str] | None:
        found = Counter(str(each.state) for each in await members(app))
        return found if found == wanted else None

    found: Counter[str] = await eventually(there, 20)
    return found


async def test_approve_all_approves_each_by_itself_with_one_tap(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app)
        many = len(await members(app))
        assert card.action_ids == ["approve_all", "decline_all", "review"]
        assert card.text.startswith(f"{many} invoices to generate, $")
        assert f"and {many - 5} more" in words_of(card)
        await line.tap(card, "approve_all")
        await states(app, {"succeeded": many})
        done = await line.says(card, f"{many} invoices to generate, $")
        await line.slack.wait_until(lambda: f"{many} done" in line.shown(card).text, 15)
        assert await line.replied(card) == [f"{many} invoices to generate: {many} done."]
        made = await decided(app)

    assert line.shown(done).action_ids == ["review"]
    assert f"<@{MAYA}>  ({many})" in words_of(line.shown(card))
    assert {each.via for each in made} == {"bundle"}
    assert len({each.interaction_id for each in made}) == 1
    assert len({each.proposal_id for each in made}) == len(made) == many == len(line.writes)
    assert len(line.slack.thread(card.ts)) == 1


async def test_every_approval_of_one_tap_is_on_disk_when_slack_has_its_answer(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app, 45)
        many = len(await members(app))
        line.polar.fail_next("slow", times=many, only="orders:get", seconds=1)
        await line.tap(card, "approve_all")
        kept = await app.services.store.do(
            lambda c: c.execute(select(pending_approvals.c.closed_at)).scalars().all()
        )
        await states(app, {"succeeded": many})

    assert many > 32  # more than are seen to at once
    assert len(kept) == many
    assert None in kept


async def test_decline_all_does_nothing_at_polar(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app)
        many = len(await members(app))
        await line.tap(card, "decline_all")
        await states(app, {"declined": many})
        await line.slack.wait_until(lambda: f"{many} declined" in line.shown(card).text, 15)
    assert line.writes == []


async def test_decline_all_is_acknowledged_before_anybody_is_told(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app)
        line.slack.fail_next("chat.postEphemeral", "slow", seconds=1)
        await line.tap(card, "decline_all", GUS)
        assert line.slack.ephemerals(GUS) == []
        assert (await line.ephemeral_text(GUS)).startswith("0 of ")


async def test_who_may_not_decide_is_told_once_and_nothing_happens(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app)
        await line.tap(card, "approve_all", GUS)
        told = await line.ephemeral_text(GUS)
        many = len(await members(app))
        assert await decided(app) == []
    assert told.startswith(f"0 of {many} approved.\nYou are ")
    assert len(line.slack.ephemerals(GUS)) == 1


async def test_what_polar_refuses_gets_a_card_of_its_own(
    line: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out = HANDLERS[INVOICE]

    def refuse_the_third(call: Any) -> Any:
        if len(line.writes) == 3:
            raise rule(409, "Conflict", "The moon is in the wrong phase.")
        return carry_out(call)

    monkeypatch.setitem(HANDLERS, INVOICE, refuse_the_third)
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app)
        many = len(await members(app))
        await line.tap(card, "approve_all")
        await states(app, {"succeeded": many - 1, "failed": 1})
        own = await line.slack.wait_for_message(lambda m: m.text.startswith("Failed: "), 15)
        await line.slack.wait_until(lambda: "has a card below" in words_of(line.shown(card)), 15)

        async def noted() -> Proposal | None:
            (failed,) = [each for each in await members(app) if each.state == ProposalState.FAILED]
            return failed if failed.card_ts is not None else None  # posted before it is noted

        failed = await eventually(noted, 15)

    assert own.thread_ts is None
    assert "retry" in own.action_ids
    assert failed.card_ts == own.ts
    assert "1 of them has a card below" in words_of(line.shown(card))


async def modal(line: World, user: str = MAYA) -> View:
    await line.slack.wait_until(lambda: line.slack.modals(user), 10)
    return line.slack.modals(user)[-1]


def boxes(view: View) -> tuple[str, list[str], list[str]]:
    """The block of the checkboxes, the ids in it, and those that are ticked."""
    (block,) = [each for each in view.content["blocks"] if each["type"] == "input"]
    element = block["element"]
    options, ticked = element["options"], element.get("initial_options", [])
    return block["block_id"], [o["value"] for o in options], [o["value"] for o in ticked]


async def redrawn(line: World, before: View) -> View:
    await line.slack.wait_until(lambda: line.slack.modals(MAYA)[-1].content != before.content, 10)
    return line.slack.modals(MAYA)[-1]


async def test_review_approves_only_what_is_ticked_over_all_pages(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app, 20)
        many = len(await members(app))
        await line.tap(card, "review")
        first = await modal(line)
        block, ids, ticked = boxes(first)
        assert ids == ticked
        assert len(ids) == 10
        kept = {block: {"bundle_ticked": {"selected_options": ids[2:]}}}
        await line.slack.view_click(MAYA, first.id, "bundle_page.next", values=kept)
        second = await redrawn(line, first)
        _, rest, _ = boxes(second)
        assert len(rest) == many - 10
        await line.slack.view_click(MAYA, second.id, "bundle_page.back")
        again = await redrawn(line, second)
        assert boxes(again)[1:] == (ids, ids[2:])
        assert (await line.slack.submit(MAYA, again.id)).acked
        await states(app, {"succeeded": many - 2, "pending": 2})
        left = [each.id for each in await members(app) if each.state == ProposalState.PENDING]
        said = words_of_view(line.slack.modals(MAYA)[-1])
    assert sorted(left) == sorted(ids[:2])
    assert said == f"Approved: {many - 2}. The card shows the results."


def words_of_view(view: View) -> str:
    return " ".join(block["text"]["text"] for block in view.content["blocks"])


async def test_one_of_them_can_be_given_a_card_of_its_own(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app)
        many = len(await members(app))
        await line.tap(card, "review")
        view = await modal(line)
        _, ids, _ = boxes(view)
        await line.slack.view_click(MAYA, view.id, "bundle_alone", selected_option={"value": ids[3]})

        async def has_card() -> Any:
            return next((p for p in await proposals(app) if p.id == ids[3] and p.card_ts), None)

        own = await eventually(has_card, 15)
        assert ids[3] not in boxes(await redrawn(line, view))[1]
        await line.slack.wait_until(lambda: line.shown(card).text.startswith(f"{many - 1} invoices"), 15)
        await line.tap(card, "approve_all")
        await states(app, {"succeeded": many - 1})
        (still,) = [p for p in await proposals(app) if p.id == ids[3]]
    posted = line.slack.message(own.card_ts)
    assert posted is not None
    assert posted.action_ids[:2] == ["approve", "decline"]
    assert still.state == ProposalState.PENDING


@pytest.mark.parametrize("action", ["bundle_alone", "bundle_page.next"])
async def test_what_fails_in_the_modal_is_told_in_it(line: World, action: str) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app, 20)
        await line.tap(card, "review")
        view = await modal(line)
        view.content["private_metadata"] = "of another version"
        chosen = {"selected_option": {"value": boxes(view)[1][0]}} if action == "bundle_alone" else {}
        assert (await line.slack.view_click(MAYA, view.id, action, **chosen)).acked
        assert words_of_view(await redrawn(line, view)) == FAILED


async def test_a_tap_decides_only_what_the_card_showed_when_it_was_drawn(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app)
        bundle_id = (await members(app))[0].bundle_id
        clicked = await forged_click(
            line.slack, MAYA, card.channel, card.ts, "approve_all", value=f"{bundle_id}:1"
        )
        assert clicked.acked
        many = len(await members(app))
        told = await line.ephemeral_text(MAYA)
        assert await decided(app) == []
    assert told == f"{many} joined after the card you saw was drawn. They still wait."


async def test_a_tap_on_a_bundle_works_the_first_time_after_a_restart(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app)
    async with line.app(PolarUnhurried) as app:
        await line.tap(card, "approve_all")
        await states(app, {"succeeded": len(await members(app))})
        await line.slack.wait_until(lambda: line.shown(card).action_ids == ["review"], 15)


async def test_risky_ones_have_no_approve_all_and_nothing_is_ticked(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app, 30, "benefit_grant.revoked")
        await line.tap(card, "review")
        _, ids, ticked = boxes(await modal(line))
    assert card.action_ids == ["decline_all", "review"]
    assert ticked == []
    assert len(ids) == 10


async def test_later_ones_join_a_bundle_nobody_has_decided(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app)
        before = len(await members(app))
        line.play("order.paid")
        await line.slack.wait_until(lambda: line.shown(card).text.startswith(f"{before + 1} invoices"), 15)
        await line.tap(card, "decline_all")
        await states(app, {"declined": before + 1})
        line.play("order.paid")
        await line.slack.wait_until(lambda: any("approve" in each.action_ids for each in line.cards[4:]), 15)
        assert len(await members(app)) == before + 1


async def test_few_proposals_have_a_card_each(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        for case in ("order.paid", "benefit_grant.revoked", "order.paid", "subscription.past_due"):
            line.play(case)
        await line.slack.wait_until(lambda: len(line.cards) == 4, 15)
        found = await app.services.store.do(lambda connection: list(all_proposals(connection)))
    assert all("approve" in each.action_ids for each in line.cards)
    assert {each.bundle_id for each in found} == {None}
