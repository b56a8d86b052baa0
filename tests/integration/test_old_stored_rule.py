"""A proposal that an earlier version of the program made, whose rule is stored with its old keys."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update

from bot.demo.polar import stock
from bot.demo.polar.orders import tell_order
from bot.proposals.recheck import NoLonger, as_shown
from bot.rules import RuleSet
from bot.rules.old_keys import in_old_keys
from store.models import ProposalState
from store.models.reasons import ReasonCode
from store.schema import rule_versions
from tests.fixtures.line import Line, done, line

RULE = "disable-keys-of-refunded-order"


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[Line]:
    """A line whose rules are stored as an earlier version stored them, and are in force no more."""
    async with line(tmp_path) as opened:
        order = opened.polar.order()
        for _ in range(2):
            stock.add_grant(opened.shop, order, opened.polar.benefit)
        opened.shop.change(order, status="refunded", refunded_amount=2_900)
        tell_order(opened.shop, "order.refunded", order)
        await opened.deliver()
        await opened.store.do(_store_with_old_keys)
        opened.services = replace(opened.services, rules=RuleSet(()))
        yield opened


def _store_with_old_keys(connection: Connection) -> None:
    for row in connection.execute(select(rule_versions)).all():
        source = in_old_keys(row.source)
        assert "call" in source
        assert "for_each" not in json.dumps(source)
        mine = rule_versions.c.version == row.version
        connection.execute(update(rule_versions).where(mine).values(source=source))


async def test_it_is_as_shown_and_makes_its_calls(old: Line) -> None:
    proposal = await old.only(RULE)

    assert await as_shown(old.services, proposal) is None
    assert done(await old.approve(proposal))
    assert ["license_keys:update"] * 2 == [operation for operation, _, _ in old.sent()]


async def test_it_says_in_the_old_words_what_is_no_longer_true(old: Line) -> None:
    proposal = await old.only(RULE)
    for grant in list(old.shop.rows("benefit-grants")):
        old.shop.change(grant, is_granted=False)

    found = await as_shown(old.services, proposal)
    assert isinstance(found, NoLonger)
    assert (ReasonCode.NO_LONGER_APPLIES, "size(each) > 0") == (found.why.code, found.why.args["condition"])
    assert ProposalState.WITHDRAWN == (await old.approve(proposal)).state
    assert [] == old.sent()
