"""A kind of case from its first yes to running on its own, an audit, a no, and asking again; on the whole line."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bot.config.policy import Policy, Trust
from bot.demo.polar import stock
from bot.demo.polar.orders import tell_order
from bot.metrics import DECISIONS
from bot.pipeline import execute
from bot.pipeline.learn import Assessor
from store.engine.settings_kv import Setting, hold_or_set
from store.graduation.case_kinds import pause, resume
from store.graduation.pages import automatic_runs, kinds_page
from store.models import CaseKindState, Decision, Mode, Proposal, ProposalKind, ProposalState, Verdict
from store.models.graduation import CaseKind
from store.models.reasons import ChangeCause, ChangeCode, PolicyCode
from store.proposals.decisions import decide
from store.proposals.proposals import get_proposal
from store.schema.graduation import audit_log, case_kinds, case_labels
from tests.fixtures.case_kinds import all_case_kinds
from tests.fixtures.graduation import recompute
from tests.fixtures.line import MAYA, Line, line

CUSTOMERS = 10


@pytest.fixture
async def shop(tmp_path: Path, database_url: str) -> AsyncIterator[Line]:
    async with line(tmp_path, url=database_url) as opened:
        await opened.store.do(_fix_draw)
        yield opened


def _fix_draw(connection: Connection) -> None:
    """Audits are drawn with this secret, so that the test sees the same ones each time."""
    hold_or_set(connection, Setting.DRAW_SECRET, "17" * 32)


class Regulars:
    """Ten customers who buy the same thing again and again."""

    def __init__(self, shop: Line) -> None:
        self.shop = shop
        self.product = shop.polar.order()["product_id"]
        rows = shop.shop
        self.people = [
            stock.add_customer(rows, f"Customer {n}", f"customer{n}@example.com", address={"country": "DE"})
            for n in range(CUSTOMERS)
        ]
        rows.take()

    async def buys(self, number: int, **more: Any) -> Proposal:
        """One paid order: the proposal that came of it."""
        rows = self.shop.shop
        order = stock.add_order(
            rows, self.people[number % CUSTOMERS], rows.get("products", self.product), **more
        )
        rows.take()
        tell_order(rows, "order.paid", order)
        await self.shop.deliver()
        return (await self.shop.proposals())[-1]

    async def decide(self, proposal: Proposal, verdict: Verdict = Verdict.APPROVE, **more: Any) -> Proposal:
        decision = Decision(proposal.id, MAYA, verdict, "button", self.shop.clock(), **more)
        won, _ = await self.shop.store.do(decide, decision)
        assert won
        await self.shop.carry_out(proposal)
        await self.shop.assess()
        found = await self.shop.store.do(get_proposal, proposal.id)
        assert found is not None
        return found

    async def earn(self) -> None:
        """Everybody's first order, then four each, two days apart, all with a yes; then they have matured."""
        for number in range(5 * CUSTOMERS):
            await self.decide(await self.buys(number))
            self.shop.clock.advance(hours=5)
        self.shop.clock.advance(days=8)
        await self.shop.assess()

    async def turn_on(self) -> None:
        offer = await self.offer()
        await self.decide(offer)

    async def offer(self) -> Proposal:
        (found,) = [one for one in await self.shop.proposals() if one.kind == ProposalKind.GRADUATION]
        return found

    async def case_kind(self) -> CaseKind:
        """The kind that was earned: everybody's returning orders."""
        found = await self.shop.store.do(all_case_kinds)
        return max(found, key=lambda one: (one.state != CaseKindState.ASKING, one.generation, one.cases))

    async def until(self, mode: Mode) -> Proposal:
        """Let them buy on until a case of that mode comes; what asks gets its yes."""
        for number in range(200):
            found = await self.buys(number % 2)
            if found.mode == mode:
                return found
            if found.state == ProposalState.PENDING:
                await self.decide(found)
            else:
                await self.shop.carry_out(found)
            self.shop.clock.advance(hours=7)
        raise AssertionError(f"no case of mode {mode} came")


async def test_a_kind_is_earned_offered_turned_on_runs_is_audited_and_falls_at_a_no(shop: Line) -> None:
    regulars = Regulars(shop)
    await regulars.earn()
    case_kind = await regulars.case_kind()
    assert (case_kind.cases, case_kind.rejections, case_kind.customers) == (40, 0, CUSTOMERS)
    offer = await regulars.offer()
    assert "Generate the invoice of an order · order paid, purchase · Pro" in offer.title
    assert any(
        "40 would have run" in one or "would have run, 0 of them you declined" in one for one in offer.reasons
    )
    assert case_kind.state == CaseKindState.ASKING

    assert (await regulars.decide(offer)).state == ProposalState.SUCCEEDED
    on = await regulars.case_kind()
    assert (on.state, on.manual_override) == (CaseKindState.GRADUATED, False)

    ran = await regulars.until(Mode.AUTO)
    assert (ran.state, ran.decided_by, ran.has_card) == (ProposalState.APPROVED, "policy", False)
    assert ran.gate is not None
    assert (ran.gate["manual_override"], ran.gate["score"] >= ran.gate["target"]) == (False, True)
    counted = DECISIONS.labels(Verdict.APPROVE, "policy")
    before = counted._value.get()
    assert (await shop.carry_out(ran)).state == ProposalState.SUCCEEDED
    assert counted._value.get() == before + 1
    (receipt,) = await shop.store.do(
        automatic_runs, shop.clock.now.replace(year=2026, month=1), shop.clock.now
    )
    assert receipt.count >= 1

    audit = await regulars.until(Mode.SPOT_CHECK)
    assert audit.state == ProposalState.PENDING
    await regulars.decide(audit)
    assert (await regulars.case_kind()).spot_checks_agreed >= 1

    bad = await regulars.until(Mode.SPOT_CHECK)
    hash_ = (await regulars.case_kind()).hash
    won, _ = await shop.store.do(decide, Decision(bad.id, MAYA, Verdict.DECLINE, "button", shop.clock()))
    assert won
    (fallen,) = [one for one in await shop.store.do(all_case_kinds) if one.hash == hash_]
    assert (fallen.state, fallen.generation, fallen.cases) == (CaseKindState.ASKING, 1, 0)
    assert fallen.cause == ChangeCause.of(ChangeCode.SPOT_CHECK_DECLINED, proposal=bad.id)
    again = await regulars.buys(0)
    assert (again.mode, again.state) == (Mode.ASKED, ProposalState.PENDING)
    await shop.assess()
    page = await shop.store.do(kinds_page, [hash_], page=1, size=6, now=shop.clock())
    agreed, checks = page.found[0].spot_checks
    assert checks - agreed == 1  # the generation is over, and what ended it is still shown


async def test_what_is_kept_is_what_is_made_anew_from_the_log(shop: Line) -> None:
    regulars = Regulars(shop)
    await regulars.earn()
    await regulars.turn_on()
    await regulars.decide(await regulars.until(Mode.SPOT_CHECK))
    await regulars.decide(await regulars.until(Mode.SPOT_CHECK), Verdict.DECLINE)
    await regulars.decide(await regulars.buys(3))
    shop.clock.advance(days=9)
    await shop.assess()

    kept = await shop.store.do(_derived)
    policy = Assessor(shop.services.rules.policy)
    for case_kind in await shop.store.do(all_case_kinds):
        await shop.store.do(recompute, case_kind.hash, policy.label, policy.learn, shop.clock.now)
    assert await shop.store.do(_derived) == kept


def _derived(connection: Connection) -> list[Any]:
    rows = connection.execute(select(case_labels).order_by(case_labels.c.proposal_id)).all()
    return [
        tuple(row) for row in [*rows, *connection.execute(select(case_kinds).order_by(case_kinds.c.hash))]
    ]


async def test_a_pause_stops_what_was_approved_and_not_yet_sent(shop: Line) -> None:
    regulars = Regulars(shop)
    await regulars.earn()
    await regulars.turn_on()
    ran = await regulars.until(Mode.AUTO)
    await shop.store.do(pause, by=MAYA, why="a look", at=shop.clock())
    before = len(shop.writes)
    assert await execute.claim(shop.services, 10) == []
    found = await shop.store.do(get_proposal, ran.id)
    assert found is not None
    assert (found.state, found.mode, found.has_card, found.decided_by) == (
        ProposalState.PENDING,
        Mode.ASKED,
        True,
        None,
    )
    assert len(shop.writes) == before
    await shop.store.do(resume, by=MAYA, at=shop.clock())


async def test_what_waits_when_the_rules_file_forbids_it_is_not_sent(shop: Line) -> None:
    regulars = Regulars(shop)
    await regulars.earn()
    await regulars.turn_on()
    ran = await regulars.until(Mode.AUTO)
    never = Policy(graduation=Trust(never=("orders:generate_invoice",)))
    parts = replace(shop.services, rules=replace(shop.services.rules, policy=never))
    assert await execute.claim(parts, 10) == []
    found = await shop.store.do(get_proposal, ran.id)
    assert found is not None
    assert found.state == ProposalState.PENDING


async def test_nobody_there_for_three_days_and_everything_asks(shop: Line) -> None:
    regulars = Regulars(shop)
    await regulars.earn()
    await regulars.turn_on()
    await regulars.until(Mode.AUTO)
    shop.clock.advance(hours=73)
    found = await regulars.buys(0)
    assert (found.mode, found.gate and found.gate["reason"]["code"]) == (
        Mode.ASKED,
        PolicyCode.NOBODY_DECIDES,
    )


async def test_an_order_refunded_or_disputed_after_its_case_ran_takes_the_trust_back(shop: Line) -> None:
    regulars = Regulars(shop)
    await regulars.earn()
    await regulars.turn_on()
    ran = await shop.carry_out(await regulars.until(Mode.AUTO))
    assert ran.state == ProposalState.SUCCEEDED, ran.status_reason
    order = shop.shop.get("orders", ran.calls[0].path["id"])
    shop.clock.advance(hours=1)
    refund = {
        "order_id": order["id"], "customer_id": order["customer_id"], "status": "succeeded", "reason": "other",
        "amount": 100, "tax_amount": 0, "currency": "usd", "subscription_id": None, "revoke_benefits": False,
        "organization_id": shop.shop.organization_id, "metadata": {},
        "dispute": {"id": order["id"], "created_at": shop.shop.now(), "modified_at": None, "status": "needs_response",
                    "resolved": False, "closed": False, "amount": 100, "tax_amount": 0, "currency": "usd",
                    "order_id": order["id"], "payment_id": order["id"]},
    }  # fmt: skip
    shop.tell("refund.created", "refunds", shop.shop.add("refunds", **refund))
    await shop.deliver()
    case_kind = next(one for one in await shop.store.do(all_case_kinds) if one.hash == ran.case_kind)
    assert (case_kind.state, case_kind.generation) == (CaseKindState.ASKING, 1)
    assert case_kind.cause == ChangeCause.of(ChangeCode.DISPUTED, proposal=ran.id, mode=Mode.AUTO)


async def test_the_log_says_why_each_case_ran_or_asked_and_never_the_secret(shop: Line) -> None:
    regulars = Regulars(shop)
    first = await regulars.buys(0)
    rows = await shop.store.do(_audit_log)
    (said,) = [json.loads(body) for kind, subject, body in rows if kind == "policy" and subject == first.id]
    assert (said["mode"], said["gate"]["verdict"]) == ("asked", "ask")
    assert said["gate"]["reason"]["code"] == PolicyCode.KIND_ASKS
    assert "17" * 32 not in json.dumps(rows)


def _audit_log(connection: Connection) -> list[tuple[str, str | None, str]]:
    return [
        tuple(row)
        for row in connection.execute(select(audit_log.c.kind, audit_log.c.subject, audit_log.c.body))
    ]
