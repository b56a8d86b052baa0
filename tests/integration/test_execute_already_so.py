"""An approved call that finds its wish fulfilled: drawn as done with a note, after a read, and no echo of ours."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from bot.demo.polar import stock
from bot.pipeline.execute import claim, execute
from bot.proposals.own_calls import match_own_call
from bot.rules import RuleSet
from bot.services import Services
from polar.client import PolarClient
from polar.events import parse
from store import Store
from store.engine.store import open_store
from store.events.conclusions import SentCall, calls_sent_since
from store.models import (
    CallState,
    Decision,
    NewProposal,
    PlannedCall,
    Proposal,
    ProposalCall,
    ProposalState,
    Verdict,
)
from store.models.reasons import Reason, ReasonCode
from store.proposals.decisions import decide
from store.proposals.proposals import get_proposal, insert_proposal
from tests.fixtures.polar import Polar, running

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ALREADY = Reason(ReasonCode.ALREADY_SO, {"count": 1, "of": 1})


class Line:
    """Polar, a store and the step under test; Slack is never asked."""

    def __init__(self, store: Store, polar: Polar, client: PolarClient) -> None:
        self.store, self.polar = store, polar
        nobody: Any = None
        self.services = Services(
            store, client, nobody, RuleSet(()), nobody, "C1", lambda: NOW, lambda _: None
        )

    async def run(self, *calls: PlannedCall) -> Proposal:
        """A person's proposal, approved and executed."""
        proposal = NewProposal(
            "p1", "fact", None, None, None, None, "Do it?", (), (), "R2", None, calls, NOW, proposer="U1"
        )  # fmt: skip
        await self.store.do(insert_proposal, proposal)
        await self.store.do(decide, Decision("p1", "U2", Verdict.APPROVE, "button", NOW))
        for claimed in await claim(self.services, 1):
            await execute(self.services, claimed)
        return cast("Proposal", await self.store.do(get_proposal, "p1"))

    def writes(self) -> list[str]:
        return [one.operation for one in self.polar.standin.requests if one.method != "GET"]


@pytest.fixture
async def line(tmp_path) -> AsyncIterator[Line]:
    url = f"sqlite+aiosqlite:///{tmp_path}/store.db"
    async with open_store(url) as store, running() as polar, _client(polar) as client:
        yield Line(store, polar, client)


@asynccontextmanager
async def _client(polar: Polar) -> AsyncIterator[PolarClient]:
    base = str(polar.client.base_url).rstrip("/")
    async with PolarClient(polar.standin.token, base, per_minute=500) as client:
        yield client


def subscription(polar: Polar) -> dict[str, Any]:
    return stock.add_subscription(polar.shop, polar.customer, polar.monthly)


async def test_cancelling_what_is_canceled_succeeds_with_a_note(line):
    found = subscription(line.polar)
    await line.polar.call("PATCH", f"/v1/subscriptions/{found['id']}", {"cancel_at_period_end": True})
    cancel = PlannedCall("subscriptions:update", {"id": found["id"]}, {}, {"cancel_at_period_end": True})

    proposal = await line.run(cancel)

    assert (proposal.state, proposal.status_reason) == (ProposalState.SUCCEEDED, ALREADY)
    assert (proposal.calls[0].state, proposal.calls[0].status) == (CallState.DONE, 403)
    assert "already canceled" in str(proposal.calls[0].reason)
    assert line.writes() == ["subscriptions:update"] * 2  # theirs and ours, once each
    assert proposal.calls[0].was_so


async def test_what_was_already_so_is_marked_so_that_its_events_are_no_echo_of_ours(line):
    found = subscription(line.polar)
    await line.polar.call("DELETE", f"/v1/subscriptions/{found['id']}")

    await line.run(PlannedCall("subscriptions:revoke", {"id": found["id"]}))

    assert [one.call.was_so for one in await line.store.do(calls_sent_since, NOW)] == [True]


def after_the_check(line: Line, do: Callable[[], object]) -> None:
    """Have something happen between the look before the call and the call."""

    def once() -> None:
        stop()
        do()

    stop = line.polar.standin.subscribe(once)


async def test_deleting_what_is_gone_succeeds_with_a_note(line):
    answer = await line.polar.call(
        "POST", "/v1/discounts/", {"name": "x", "type": "percentage", "basis_points": 1, "duration": "once"}
    )
    gone = answer.json()["id"]
    after_the_check(line, lambda: line.polar.shop.remove("discounts", gone))

    proposal = await line.run(PlannedCall("discounts:delete", {"id": gone}))

    assert (proposal.state, proposal.status_reason) == (ProposalState.SUCCEEDED, ALREADY)


async def test_refund_of_an_order_that_others_refunded_fails_with_polars_words(line):
    order = line.polar.order()
    refund = {"order_id": order["id"], "reason": "other", "amount": order["net_amount"]}
    await line.polar.call("POST", "/v1/refunds/", refund)

    proposal = await line.run(PlannedCall("refunds:create", {}, {}, refund | {"metadata": {"ours": "p1"}}))

    assert proposal.state is ProposalState.FAILED
    assert "already fully refunded" in str(proposal.status_reason)


async def test_when_the_read_fails_the_refusal_stands(line):
    found = subscription(line.polar)
    await line.polar.call("DELETE", f"/v1/subscriptions/{found['id']}")
    standin = line.polar.standin
    after_the_check(line, lambda: standin.fail_next("429", 5, only="subscriptions:get", seconds=900))

    proposal = await line.run(PlannedCall("subscriptions:revoke", {"id": found["id"]}))

    assert (proposal.state, proposal.calls[0].state) == (ProposalState.FAILED, CallState.REFUSED)


async def test_of_several_calls_the_note_counts_those_that_found_it_so(line):
    first, second = subscription(line.polar), subscription(line.polar)
    await line.polar.call("DELETE", f"/v1/subscriptions/{first['id']}")

    proposal = await line.run(
        PlannedCall("subscriptions:revoke", {"id": first["id"]}),
        PlannedCall("subscriptions:revoke", {"id": second["id"]}),
    )

    assert (proposal.state, proposal.status_reason) == (
        ProposalState.SUCCEEDED,
        Reason(ReasonCode.ALREADY_SO, {"count": 1, "of": 2}),
    )


@pytest.mark.parametrize(("status", "ours"), [(200, "p1"), (403, None)])
def test_event_after_a_call_that_found_it_so_is_news(status, ours):
    lines = (Path(__file__).parent.parent / "payloads/deliveries.jsonl").read_text().splitlines()
    told = next(json.loads(line) for line in lines if '"type": "subscription.revoked"' in line)
    event = parse(told["body"].encode())
    at = cast("datetime", event.timestamp)
    call = ProposalCall(
        "subscriptions:revoke",
        {"id": event.data["id"]},
        state=CallState.DONE,
        status=status,
        started_at=at,
        finished_at=at,
    )

    assert match_own_call(event, at, [SentCall("p1", call)]).proposal_id == ours
