"""Each of the 62 writes: proposed through the real modal, approved, at Polar as exactly what its schema asks for."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
import pytest_asyncio

from bot.app import Running
from bot.forms.names import proposable
from polar.catalog import Call, operations
from polar.was_done import creates, mark_of
from store.proposals.proposals import all_proposals
from tests.fixtures.forms import faults
from tests.fixtures.propose import JONAS, MAYA, SECRET, World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
IDS = [one.id for one in proposable()]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[World, Running]]:
    """One program for all of them: nothing of one proposal may matter to the next."""
    async with world(tmp_path_factory.mktemp("propose")) as made, made.app() as app:
        yield made, app


@pytest.mark.parametrize("operation", IDS)
async def test_what_is_filled_in_and_approved_arrives_as_asked(
    line: tuple[World, Running], operation: str
) -> None:
    here, app = line
    cards, calls = len(here.cards), len(here.polar.calls)

    said = await here.fill(operation)
    assert said.startswith("Proposed: "), said
    card = await here.card(cards + 1)
    proposal = await here.proposal(app, card)
    assert len(here.polar.calls) == calls  # nothing before somebody says yes
    assert (await here.approve(card, JONAS)).startswith("Done: ")

    [sent] = here.polar.calls[calls:]
    [stored] = proposal.calls
    assert sent.operation == operation == stored.operation
    assert replace(sent, query={}) == Call(operation, dict(stored.path), {}, stored.body)
    assert faults(sent) == []
    body = operations()[operation].body
    takes = creates(operations()[operation]) and any("metadata" in one.fields for one in body.variants)
    assert mark_of(sent.body or {}) == (proposal.id if takes else None)
    assert proposal.proposer == MAYA
    assert proposal.expires_at == proposal.created_at + timedelta(days=14)
    assert proposal.risk == operations()[operation].describe(sent).risk.value
    assert "maya proposes this." in here.words(card)
    await here.slack.wait_until(lambda: here.slack.thread(card.ts), 10)
    here.slack.modals(JONAS).clear()


@pytest.mark.parametrize(
    ("operation", "way"),
    [
        ("checkouts:create", 0), ("checkouts:update", 0), ("customers:delete", 0), ("organizations:update", 0),
        ("products:create", 0), ("products:update", 2), ("subscriptions:update", 0), ("customer-seats:assign_seat", 2),
        ("discounts:create", 1), ("meters:update", 0), ("webhooks:update_webhook_endpoint", 0),
    ],
)  # fmt: skip
async def test_everything_that_may_be_added_arrives_too(
    line: tuple[World, Running], operation: str, way: int
) -> None:
    here, _ = line
    cards, calls = len(here.cards), len(here.polar.calls)
    said = await here.fill(operation, way=way, more="all")
    assert said.startswith("Proposed: "), said
    assert (await here.approve(await here.card(cards + 1), JONAS)).startswith("Done: ")
    [sent] = here.polar.calls[calls:]
    assert faults(replace(sent, query={name: value == "true" for name, value in sent.query.items()})) == []
    assert sent.operation == operation
    assert sent.query == ({"anonymize": "true"} if operation == "customers:delete" else {})
    known = [shape.fields.keys() for shape in operations()[operation].body.variants] if sent.body else []
    assert not sent.body or any(sent.body.keys() <= names for names in known)


async def test_nothing_secret_of_polars_answers_is_stored_or_shown(line: tuple[World, Running]) -> None:
    here, app = line
    stored = await app.services.store.do(lambda connection: list(all_proposals(connection)))
    assert len(stored) >= len(IDS)
    assert SECRET not in json.dumps([[str(call) for call in one.calls] for one in stored])
    assert SECRET not in json.dumps([[message.text, message.blocks] for message in here.slack.messages()])
