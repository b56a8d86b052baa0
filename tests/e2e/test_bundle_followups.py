"""What was decided on a bundle's card can still be looked at, undone and given a reason."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.ui.elements import ButtonValue
from store.models import Proposal
from store.proposals.details import proposal_details
from tests.e2e.app_harness import (
    GUS,
    LENA,
    MAYA,
    PolarUnhurried,
    World,
    eventually,
    proposals,
    words_of,
    world,
)
from tests.e2e.deciding import policy
from tests.e2e.test_bundles import bundled, members, modal, states


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def words_in(view: Any) -> str:
    return str(view.content["blocks"])


async def test_one_of_what_was_done_together_gets_a_card_and_is_undone(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app, 14, "order.refunded")
        many = len(await members(app))
        await line.tap(card, "approve_all")
        await states(app, {"succeeded": many})
        await line.slack.wait_until(lambda: line.shown(card).action_ids == ["review"], 15)
        await line.tap(card, "review")
        view = await modal(line)
        assert "submit" not in view.content
        assert words_in(view).count(" – done") == 10
        chosen = (await members(app))[0].id
        await line.slack.view_click(MAYA, view.id, "bundle_alone", selected_option={"value": chosen})

        async def has_card() -> Proposal | None:
            return next((p for p in await proposals(app) if p.id == chosen and p.card_ts), None)

        own = line.slack.message((await eventually(has_card, 15)).card_ts)
        assert own is not None
        assert own.action_ids == ["undo", "menu"]
        await line.tap(own, "undo")
        await line.says(own, "Undone", 15)


async def test_show_has_the_buttons_of_what_has_no_card(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app, 14, "order.refunded")
        many = len(await members(app))
        await line.tap(card, "approve_all")
        await states(app, {"succeeded": many})
        one = (await members(app))[0]
        await line.slack.command(MAYA, "/polar", f"show {one.id}")
        await line.slack.wait_until(lambda: line.slack.ephemerals(MAYA), 10)
        shown = line.slack.ephemerals(MAYA)[-1]
        assert shown.action_ids == ["undo", "menu"]
        clicked = await line.slack.click(MAYA, shown.channel, shown.ts, "undo")
        assert clicked.acked

        async def undone() -> bool:
            return any(p.id == one.id and p.undone_at for p in await proposals(app))

        assert await eventually(undone, 15)
        assert "being undone" in line.slack.ephemerals(MAYA)[-1].text


async def test_a_reason_for_all_that_was_declined_is_kept_with_each(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app)
        many = len(await members(app))
        await line.tap(card, "decline_all")
        await states(app, {"declined": many})
        await line.slack.wait_until(lambda: line.shown(card).action_ids == ["review", "reason_all"], 15)
        value = str(ButtonValue((await members(app))[0].bundle_id or "", detail="not_wanted"))
        clicked = await line.slack.click(MAYA, card.channel, card.ts, "reason_all", value=value)
        assert clicked.acked
        await line.slack.wait_until(lambda: line.shown(card).action_ids == ["review"], 15)
        assert "They do not want one" in words_of(line.shown(card))
        found = [await app.services.store.do(proposal_details, one.id) for one in await members(app)]
        assert [[r.preset for r in one.comments if r.kind == "reason"] for one in found if one] == [
            ["not_wanted"]
        ] * many


async def test_the_card_names_those_who_decide_its_members_and_they_may_carve(
    line: World, tmp_path: Path
) -> None:
    policy(line, tmp_path, f'[approvers]\nR1 = ["{LENA}"]\n')
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app)
        assert "lena may decide" in words_of(line.shown(card))
        many = len(await members(app))
        await line.tap(card, "review", MAYA)
        await line.slack.view_click(
            MAYA, (await modal(line)).id, "bundle_alone",
            selected_option={"value": (await members(app))[0].id},
        )  # fmt: skip
        await line.slack.wait_until(lambda: "not an approver" in words_in(line.slack.modals(MAYA)[-1]), 10)
        await line.tap(card, "review", LENA)
        await line.slack.view_click(
            LENA, (await modal(line, LENA)).id, "bundle_alone",
            selected_option={"value": (await members(app))[0].id},
        )  # fmt: skip

        async def one_left() -> bool:
            return len(await members(app)) == many - 1

        assert await eventually(one_left, 15)


async def test_a_guest_reviews_nothing(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app)
        await line.tap(card, "review", GUS)
        said = words_in(await modal(line, GUS))
    assert "guests may not look at this" in said
