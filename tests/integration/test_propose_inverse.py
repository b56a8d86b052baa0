"""What undoes a write: proposed and approved after it, at Polar as exactly what its schema asks for."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from bot.app import Running
from bot.forms.fields import ways
from bot.forms.names import proposable
from bot.services import Queue
from polar.catalog import Call, operations
from store.models import NewProposal, PlannedCall
from store.proposals.proposals import propose_by_hand
from tests.fixtures.forms import ANY_ID, faults
from tests.fixtures.propose import ANSWER, JONAS, MAYA, World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
# What a read shows of an object before it is changed, beside the fields that the change names.
BEFORE: Mapping[str, Any] = {
    "id": ANY_ID, "status": "granted", "current_period_end": "2026-12-01T00:00:00Z", "resumes_at": None,
    "customer_cancellation_reason": None, "customer_cancellation_comment": None,
    "name": "Board", "metrics": ["orders"],
}  # fmt: skip
WRITES = [
    pytest.param(one.id, number, id=f"{one.id}-{way.name if way else 'only'}")
    for one in proposable()
    for number, way in enumerate(ways(one) or (None,))
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[World, Running]]:
    """One program for all of them."""
    async with world(tmp_path_factory.mktemp("inverse")) as made, made.app() as app:
        yield made, app


@pytest.mark.parametrize(("operation", "way"), WRITES)
async def test_what_undoes_it_arrives_as_asked(line: tuple[World, Running], operation: str, way: int) -> None:
    here, app = line
    cards, calls = len(here.cards), len(here.polar.calls)
    assert (await here.fill(operation, way=way)).startswith("Proposed: ")
    assert (await here.approve(await here.card(cards + 1), JONAS)).startswith("Done: ")
    [sent] = here.polar.calls[calls:]
    known = operations()[operation]
    undo = known.undo_call(sent, {**(sent.body or {}), **BEFORE}, ANSWER)
    assert (undo is None) == (known.describe(sent).inverse is None)
    if undo is not None:
        await propose(app, f"{operation}|{way}", undo)
        done = await here.approve(await here.card(cards + 2), JONAS)
        assert done.startswith("Done: "), done
        assert here.polar.calls[calls + 1 :] == [undo]
        assert faults(undo) == []
    here.slack.modals(JONAS).clear()


async def propose(app: Running, key: str, call: Call) -> None:
    """Propose this call as a person would, without a form."""
    effect = operations()[call.operation].describe(call)
    proposal = NewProposal(
        id="p" + hashlib.sha256(key.encode()).hexdigest()[:12], fact_key=f"manual|{key}", event_id=None,
        rule=None, rule_version=None, subject=None, title=effect.title, reasons=("maya proposes this.",),
        facts=(), risk=effect.risk.value, always_asks="by_hand",
        calls=(PlannedCall(call.operation, call.path, call.query, call.body),),
        created_at=datetime.now(UTC), proposer=MAYA,
    )  # fmt: skip
    assert await app.services.store.do(propose_by_hand, proposal)
    app.services.notify(Queue.ANNOUNCE)
