"""A rule that fails is not the event's end: the failure is kept and shown, and the rule is asked again."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from bot.pipeline import execute
from bot.proposals.recheck import as_shown
from bot.rules import load_rules
from store.events.events import failed_matches_of, keep_rules, retry_changed, retry_events
from store.models import Decision, EventState, NewEvent, ProposalState, RuleMatchState, Verdict
from store.models.details import FailedMatch
from store.models.reasons import ReasonCode
from store.proposals.decisions import decide
from store.proposals.stats import backlog
from store.schema import rule_matches, rule_versions
from tests.fixtures.line import MAYA, START, Line, line

HEAD = """
[[rule]]
name = "mine"
on = ["order.paid"]
operation = "orders:generate_invoice"
path = { id = "${data.id}" }
title = "Invoice?"
"""
BAD, GOOD = HEAD + "when = \"data.product.name.startsWith('M')\"\n", HEAD + 'when = "data.paid"\n'
OTHER = HEAD.replace('"mine"', '"other"') + 'when = "data.paid"\n'
LATER = HEAD + 'delay = "1h"\nread = { order = { operation = "orders:get", path = { id = "${data.id}" } } }\n'
BAD_LATER = LATER + "precondition = \"order.product.name.startsWith('x')\"\n"
GOOD_LATER = LATER + 'precondition = "order.id == data.id"\n'


@pytest.fixture
async def shop(tmp_path: Path, database_url: str) -> AsyncIterator[Line]:
    async with line(tmp_path, url=database_url) as made:
        yield made


async def with_rules(on: Line, folder: Path, text: str, *, start: bool = True) -> None:
    """The rules in force from now on: those of this file alone. `start`: as the program starts with them."""
    path = folder / "mine.toml"
    path.write_text(text)
    known = load_rules(path)
    rules = replace(known, rules=tuple(rule for rule in known.rules if rule.name in ("mine", "other")))
    on.services = replace(on.services, rules=rules)
    await on.store.do(keep_rules, {one.version: (one.name, one.source) for one in rules.rules}, START)
    if start:
        await on.store.do(retry_changed, [one.version for one in rules.rules], on.clock())


async def told(on: Line, id_: str = "msg_x", **data: Any) -> NewEvent:
    """An order was paid whose product Polar no longer has; not delivered yet."""
    on.tell("order.paid", "orders", on.polar.order())
    raw = json.loads(on.seen()[-1].payload)
    raw["data"] |= {"product": None, **data}
    now = on.clock()
    return NewEvent(id_, "order.paid", json.dumps(raw).encode(), "", sent_at=now, received_at=now)


async def arrives(on: Line, event: NewEvent) -> None:
    """Polar delivers it, perhaps once more."""
    await on.store.record(replace(event, received_at=on.clock()))
    await on.work()


async def failures(on: Line, id_: str = "msg_x") -> list[FailedMatch]:
    return await on.store.read(failed_matches_of, id_)


async def test_a_failed_rule_is_kept_with_its_event_and_the_reason(shop: Line, tmp_path: Path) -> None:
    await with_rules(shop, tmp_path, BAD + OTHER)
    await arrives(shop, await told(shop))

    (failed,) = await failures(shop)
    assert (failed.rule, failed.attempts, failed.fact_key) == ("mine", 1, None)
    assert failed.reason is not None
    assert failed.reason.code is ReasonCode.RULE_FAILED
    assert failed.reason.args["problem"].startswith("rule 'mine', `when`: No such overload")
    assert (await shop.event("msg_x")).state == EventState.FAILED
    assert await shop.rules() == ["other"]
    found = await shop.store.read(backlog)
    assert [(one.match.rule, one.type) for one in found.failures] == [("mine", "order.paid")]


async def test_it_is_asked_again_when_the_rules_change(shop: Line, tmp_path: Path) -> None:
    await with_rules(shop, tmp_path, BAD)
    await arrives(shop, await told(shop))
    await with_rules(shop, tmp_path, GOOD)
    await shop.later(days=3)

    assert await shop.rules() == ["mine"]
    assert ((await shop.event("msg_x")).state, await failures(shop)) == (EventState.DONE, [])


async def test_a_start_with_the_same_rules_asks_nothing_again(shop: Line, tmp_path: Path) -> None:
    await with_rules(shop, tmp_path, BAD)
    await arrives(shop, await told(shop))
    await with_rules(shop, tmp_path, BAD)
    await shop.work()

    assert [one.attempts for one in await failures(shop)] == [1]
    assert (await shop.event("msg_x")).state == EventState.FAILED


async def test_a_redelivery_is_a_wish_to_try_again(shop: Line, tmp_path: Path) -> None:
    await with_rules(shop, tmp_path, BAD)
    event = await told(shop)
    await arrives(shop, event)
    await arrives(shop, event)
    assert [one.attempts for one in await failures(shop)] == [2]

    await with_rules(shop, tmp_path, GOOD, start=False)
    await arrives(shop, event)
    await arrives(shop, event)
    assert await shop.rules() == ["mine"]
    assert ((await shop.event("msg_x")).state, await failures(shop)) == (EventState.DONE, [])


async def test_a_redelivery_of_what_did_not_fail_changes_nothing(shop: Line, tmp_path: Path) -> None:
    await with_rules(shop, tmp_path, GOOD)
    event = await told(shop)
    await arrives(shop, event)
    before = await shop.event("msg_x")
    await arrives(shop, replace(event, body=b"{}", type="order.refunded"))

    assert await shop.event("msg_x") == before
    assert await shop.rules() == ["mine"]


async def test_only_the_rules_that_failed_are_asked_again(shop: Line, tmp_path: Path) -> None:
    await with_rules(shop, tmp_path, BAD)
    await arrives(shop, await told(shop))
    await with_rules(shop, tmp_path, GOOD + OTHER)
    await shop.work()

    assert await shop.rules() == ["mine"]  # "other" is newer than the event


async def test_a_rule_that_is_gone_fails_no_longer(shop: Line, tmp_path: Path) -> None:
    await with_rules(shop, tmp_path, BAD)
    await arrives(shop, await told(shop))
    await with_rules(shop, tmp_path, OTHER)
    await shop.work()

    assert ((await shop.event("msg_x")).state, await failures(shop)) == (EventState.DONE, [])
    assert await shop.rules() == []


async def test_by_hand_one_event_is_asked_again_or_all(shop: Line, tmp_path: Path) -> None:
    await with_rules(shop, tmp_path, BAD)
    for id_ in ("msg_1", "msg_2", "other_%"):
        await arrives(shop, await told(shop, id_))
    now = shop.clock()

    assert await shop.store.do(retry_events, "msg_2", now) == ["msg_2"]
    assert await shop.store.do(retry_events, "nothing", now) == []
    assert await shop.store.do(retry_events, "other_%", now) == ["other_%"]
    await shop.work()
    assert await shop.store.do(retry_events, None, now) == ["msg_1", "msg_2", "other_%"]
    await shop.work()
    assert [(await failures(shop, id_))[0].attempts for id_ in ("msg_1", "msg_2", "other_%")] == [2, 3, 3]


# --- After a delay ------------------------------------------------------------------------------------------


async def test_a_rule_that_fails_after_its_delay_is_kept_shown_and_asked_again(
    shop: Line, tmp_path: Path
) -> None:
    await with_rules(shop, tmp_path, BAD_LATER)
    order = shop.polar.order()
    shop.shop.change(order, product_id=None)
    shop.tell("order.paid", "orders", order)
    (id_,) = await shop.deliver()
    await shop.later(hours=2)

    (failed,) = await failures(shop, id_)
    assert failed.fact_key is not None
    assert failed.reason is not None
    assert failed.reason.code is ReasonCode.RULE_FAILED
    found = await shop.store.read(backlog)
    assert (found.failed, [one.match.rule for one in found.failures]) == (1, ["mine"])
    assert found.newest_failure is not None
    assert (await shop.event(id_)).state == EventState.FAILED

    await shop.store.do(retry_events, id_, shop.clock())
    await shop.work()
    assert [one.attempts for one in await failures(shop, id_)] == [2]
    await with_rules(shop, tmp_path, GOOD_LATER)
    await shop.work()
    assert await shop.rules() == ["mine"]
    assert ((await shop.event(id_)).state, await failures(shop, id_)) == (EventState.DONE, [])
    assert await shop.store.do(_states) == [RuleMatchState.PROPOSED]


def _states(connection: Connection) -> list[str]:
    return list(connection.execute(select(rule_matches.c.state)).scalars())


def _spoil(connection: Connection) -> None:
    """A rule as no program of today can read it."""
    connection.execute(update(rule_versions).values(source={"name": "mine", "later": True}))


async def test_a_waiting_match_whose_rule_cannot_be_read_any_more_has_failed(
    shop: Line, tmp_path: Path
) -> None:
    await with_rules(shop, tmp_path, GOOD_LATER)
    shop.tell("order.paid", "orders", shop.polar.order())
    (id_,) = await shop.deliver()
    await with_rules(shop, tmp_path, GOOD_LATER + 'reasons = ["newer"]\n')
    await shop.store.do(_spoil)
    await shop.later(hours=2)

    (failed,) = await failures(shop, id_)
    assert failed.reason is not None
    assert "cannot read the rule" in failed.reason.args["problem"]
    assert await shop.rules() == []
    await shop.store.do(retry_events, id_, shop.clock())
    await shop.work()
    assert await shop.rules() == ["mine"]  # by the rule as it is now


async def test_a_proposal_whose_rule_cannot_be_read_any_more_fails_and_says_why(
    shop: Line, tmp_path: Path
) -> None:
    await with_rules(shop, tmp_path, GOOD)
    await arrives(shop, await told(shop))
    await with_rules(shop, tmp_path, OTHER)
    await shop.store.do(_spoil)
    proposal = await shop.only("mine")

    assert await as_shown(shop.services, proposal) is None
    await shop.store.do(decide, Decision(proposal.id, MAYA, Verdict.APPROVE, "button", shop.clock()))
    for claimed in await execute.claim(shop.services, 10):
        await execute.execute(shop.services, claimed)
    after = await shop.only("mine")
    assert after.state == ProposalState.FAILED
    assert after.status_reason is not None
    assert after.status_reason.code is ReasonCode.CANNOT_TELL
    assert "cannot read the rule" in after.status_reason.args["problem"]
    assert shop.writes == []
