"""Erasure in Slack: cards are drawn again without the customer, and a card asks once Polar has deleted one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.app import Running
from bot.approvals.erasure import carry_out_approved, erase_customer, erasure_of, typed
from bot.demo.polar.shop import wire
from bot.services import Queue
from store.models import Proposal, ProposalKind
from tests.e2e.app_harness import MAYA, World, eventually, proposals, words_of, world


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def names(line: World, asked: Proposal) -> list[str]:
    """What tells of the customer."""
    row = line.polar.shop.get("customers", str(asked.customer_id))
    return [row["name"], row["email"]]


async def decided(app: Running) -> bool:
    """Whether somebody has approved the erasure."""
    return any(one.kind == ProposalKind.ERASURE and one.decided_by for one in await proposals(app))


async def test_the_card_of_an_erased_customer_is_drawn_again_without_them(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        [asked] = await proposals(app)
        assert all(one in words_of(line.shown(card)) for one in names(line, asked))

        erasure = erasure_of("a test", app.services.clock())
        await erase_customer(app.services.store, typed(str(asked.customer)), erasure)
        app.services.notify(Queue.ANNOUNCE)
        closed = await line.says(card, "Withdrawn: Erased: Generate ")

    assert not any(one in words_of(closed) + closed.text for one in names(line, asked))
    assert "Its texts were erased." in words_of(closed)
    assert closed.action_ids == ["menu"]


async def test_a_deleted_customer_is_erased_by_a_tap(line: World) -> None:
    rules = line.folder / "rules.toml"
    rules.write_text('[undo_window]\nR3 = "0s"\n', encoding="utf-8")
    line.environment["RULES_FILE"] = str(rules)
    async with line.app() as app:
        card = await line.ask("order.paid")
        [asked] = await proposals(app)
        row = line.polar.shop.get("customers", str(asked.customer_id))
        line.polar.shop.tell("customer.deleted", wire(line.polar.shop, "customers", row))
        line.polar.send_pending("A customer is deleted")
        question = await line.slack.wait_for_message(lambda m: m.text.startswith("Erase what is kept of"), 10)
        assert question.text == f"Erase what is kept of {asked.customer}?"
        assert question.action_ids == ["approve", "decline", "menu"]
        await line.tap(question, user=MAYA)
        # The program's own timer may be first.
        await eventually(lambda: decided(app))
        await carry_out_approved(app.services)
        done = await line.says(question, "Erased: Erase what is kept of a deleted customer?")
        closed = await line.says(card, "Withdrawn: Erased: Generate ")

    for shown in (done, closed):
        assert not any(one in words_of(shown) + shown.text for one in names(line, asked))
