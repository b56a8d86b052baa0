"""Claims: no two holders of one row, and nothing is written by a holder whose claim went to another."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest

from store import Store, open_store
from store.engine.leases import expire_all_leases
from store.events.conclusions import Conclusion, conclude_events
from store.events.events import (
    claim_events,
    claim_rule_matches,
    conclude_rule_match,
    get_event,
    insert_events,
    keep_rules,
)
from store.messages.cards import CardDrawn, Drawing, card_not_drawn, cards_drawn, claim_outgoing, read_beside
from store.models import (
    CallState,
    Decision,
    EventState,
    NewProposal,
    PlannedCall,
    Proposal,
    RuleMatch,
    RuleMatchState,
    Verdict,
)
from store.models.reasons import Reason, ReasonCode
from store.proposals.decisions import decide
from store.proposals.proposals import get_proposal
from tests.fixtures.full_database import NOW, WILLING
from tests.fixtures.proposals import add_proposal
from tests.fixtures.store_beside import beside

MINUTE = timedelta(minutes=1)
SLOW, ECHO = Reason(ReasonCode.TOOK_TOO_LONG), Reason(ReasonCode.ECHO, {"proposal": "p1"})
ROOM = {"redraws": 9, "posts": 9}
Make = Callable[..., Any]


async def _proposal(store: Store, proposal_id: str) -> Proposal:
    found = await store.do(get_proposal, proposal_id)
    assert found is not None
    return found


# webhooks


async def test_rivals_never_claim_the_same_webhook(database_url: str, new_event: Make, now: datetime) -> None:
    async with AsyncExitStack() as stack:
        rivals = [await stack.enter_async_context(open_store(database_url))]
        rivals += [await stack.enter_async_context(beside(database_url)) for _ in range(3)]
        await rivals[0].do(insert_events, [new_event() for _ in range(60)])

        async def take(number: int, rival: Store) -> list[str]:
            taken, time = [], {"now": now, "until": now + MINUTE}
            while some := await rival.do(claim_events, token=f"t{number}", limit=7, **time):
                taken += [event.id for event in some]
            return taken

        taken = await asyncio.gather(*(take(*each) for each in enumerate(rivals)))
        every = [id_ for some in taken for id_ in some]
        assert len(every) == len(set(every)) == 60


async def test_a_webhook_is_claimed_oldest_first_and_again_once_its_claim_ran_out(
    store: Store, new_event: Make, now: datetime
) -> None:
    ages = [now - timedelta(minutes=age) for age in (1, 3, 2)]
    await store.do(insert_events, [new_event(id=f"e{n}", received_at=at) for n, at in enumerate(ages)])
    claim = {"limit": 2, "until": now + MINUTE}
    assert [e.id for e in await store.do(claim_events, token="a", now=now, **claim)] == ["e1", "e2"]
    assert [e.id for e in await store.do(claim_events, token="b", now=now, **claim)] == ["e0"]
    assert await store.do(claim_events, token="c", now=now + MINUTE, **claim) == []
    late = now + MINUTE * 1.5
    again = await store.do(claim_events, token="c", now=late, until=late + MINUTE, limit=9)
    assert [(e.id, e.attempts) for e in again] == [("e1", 2), ("e2", 2), ("e0", 2)]


async def _concluded(
    store: Store, token: str, state: EventState, reason: Reason, due_at: datetime | None = None
) -> bool:
    conclusion = Conclusion(
        event_id="e", token=token, now=NOW, state=state, reason=reason, evaluator=WILLING, due_at=due_at
    )
    return (await store.do_together(conclude_events, conclusion)).held


async def test_a_webhook_whose_claim_went_to_another_cannot_be_finished_by_the_first(
    store: Store, new_event: Make, now: datetime
) -> None:
    await store.do(insert_events, [new_event(id="e")])
    await store.do(claim_events, token="slow", now=now, until=now + MINUTE, limit=1)
    later = now + MINUTE * 2
    await store.do(claim_events, token="next", now=later, until=later + MINUTE, limit=1)
    assert not await _concluded(store, "slow", EventState.FAILED, SLOW)
    assert not await _concluded(store, "slow", EventState.NEW, SLOW, later)
    assert await _concluded(store, "next", EventState.DONE, ECHO)
    assert not await _concluded(store, "next", EventState.FAILED, SLOW)
    found = await store.do(get_event, "e")
    assert found is not None
    assert (found.state, found.reason) == (EventState.DONE, ECHO)


async def test_a_postponed_webhook_waits_until_it_is_due(
    store: Store, new_event: Make, now: datetime
) -> None:
    await store.do(insert_events, [new_event(id="e")])
    await store.do(claim_events, token="a", now=now, until=now + MINUTE, limit=1)
    due = now + timedelta(hours=1)
    assert await _concluded(store, "a", EventState.NEW, SLOW, due)
    soon = due - timedelta(microseconds=1)
    assert await store.do(claim_events, token="b", now=soon, until=due, limit=1) == []
    assert len(await store.do(claim_events, token="b", now=due, until=due + MINUTE, limit=1)) == 1


# rules that wait


async def _two_rules_wait(store: Store, event: object, now: datetime) -> None:
    await store.do(insert_events, [event])
    await store.do(keep_rules, {"v1": ("r", {})}, now)
    for rule in ("one", "two"):
        waiting = RuleMatch("fact", rule, "v1", "e", RuleMatchState.WAITING, now)
        assert await store.do(add_proposal, waiting, None)


async def test_no_more_rule_matches_are_claimed_than_asked_for(
    store: Store, new_event: Make, now: datetime
) -> None:
    await _two_rules_wait(store, new_event(id="e"), now)
    assert len(await store.do(claim_rule_matches, token="a", now=now, until=now + MINUTE, limit=1)) == 1


async def test_a_rule_match_is_finished_by_its_holder_alone(
    store: Store, new_event: Make, now: datetime
) -> None:
    await _two_rules_wait(store, new_event(id="e"), now)
    first = await store.do(claim_rule_matches, token="slow", now=now, until=now + MINUTE, limit=9)
    assert {rule_match.rule for rule_match in first} == {"one", "two"}
    later = now + MINUTE * 2
    again = await store.do(claim_rule_matches, token="next", now=later, until=later + MINUTE, limit=9)
    assert {rule_match.rule for rule_match in again} == {"one", "two"}
    end = {"state": RuleMatchState.SILENT, "reason": None, "due_at": None, "proposal": None}
    assert not await store.do(conclude_rule_match, first[0], token="slow", **end)
    assert await store.do(conclude_rule_match, first[0], token="next", **end)
    assert not await store.do(conclude_rule_match, first[0], token="next", **end)


async def test_a_rule_speaks_up_once_for_one_change_whatever_is_repeated(
    store: Store, store_proposal: Make, new_proposal: Make
) -> None:
    made = await store.do(store_proposal)
    rule_match = RuleMatch(
        made.fact_key, made.rule, made.rule_version, made.event_id, RuleMatchState.PROPOSED
    )
    again = new_proposal(fact_key=made.fact_key, event_id=made.event_id)
    told = await asyncio.gather(*(store.do(add_proposal, rule_match, again) for _ in range(5)))
    assert told == [False] * 5
    assert await store.do(get_proposal, again.id) is None


async def test_a_proposal_comes_back_as_it_was_made(
    store: Store, store_proposal: Make, new_proposal: Make
) -> None:
    hostile = "<!channel> ' \" \\ \u202e \U0001f4a9 %s :id"
    calls = (
        PlannedCall("refunds:create", body={"amount": 2**53, "note": hostile, "none": None, "list": [1.5]}),
        PlannedCall("orders:get", path={"id": hostile}, query={"page": 1}),
    )
    facts = ((hostile, hostile), ("", ""))
    made = await store.do(
        store_proposal,
        new_proposal(title=hostile, reasons=(hostile,), facts=facts, subject=None, calls=calls),
    )
    found = await _proposal(store, made.id)
    fields = set(NewProposal.__slots__) - {"calls"}
    assert {name: getattr(found, name) for name in fields} == {name: getattr(made, name) for name in fields}
    sent = [PlannedCall(call.operation, call.path, call.query, call.body) for call in found.calls]
    assert tuple(sent) == calls
    assert [(call.number, call.state) for call in found.calls] == [
        (0, CallState.PLANNED),
        (1, CallState.PLANNED),
    ]


async def test_a_proposal_without_a_call_can_be_stored(
    store: Store, store_proposal: Make, new_proposal: Make
) -> None:
    made = await store.do(store_proposal, new_proposal(calls=()))
    assert (await _proposal(store, made.id)).calls == ()


@pytest.mark.parametrize(
    "hostile",
    [
        "\ud800",
        "a\x00b",
    ],
    ids=["lone surrogate", "NUL"],
)
async def test_whatever_json_can_carry_can_be_stored(
    store: Store,
    store_proposal: Make,
    new_proposal: Make,
    hostile: str,
) -> None:
    made = await store.do(
        store_proposal, new_proposal(title=hostile, subject=hostile, facts=((hostile, hostile),))
    )
    assert (await _proposal(store, made.id)).calls


async def test_after_a_restart_nothing_waits_for_the_claims_of_the_dead(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    until = now + timedelta(days=1)
    made = await store.do(store_proposal)
    for claim in (claim_events, claim_rule_matches):
        await store.do(claim, token="dead", now=now, until=until, limit=9)
    await store.do(claim_outgoing, token="dead", now=now, until=until, **ROOM)
    assert await store.do(claim_events, token="new", now=now, until=until, limit=9) == []
    assert (await store.do(claim_outgoing, token="new", now=now, until=until, **ROOM)).cards == []
    await store.do(expire_all_leases)
    assert [e.id for e in await store.do(claim_events, token="new", now=now, until=until, limit=9)] == [
        made.event_id
    ]
    assert [
        p.id for p in (await store.do(claim_outgoing, token="new", now=now, until=until, **ROOM)).cards
    ] == [made.id]


# cards


async def test_rivals_never_draw_the_same_card(
    database_url: str, store_proposal: Make, now: datetime
) -> None:
    async with AsyncExitStack() as stack:
        rivals = [await stack.enter_async_context(open_store(database_url))]
        rivals += [await stack.enter_async_context(beside(database_url)) for _ in range(3)]
        await asyncio.gather(*(rivals[0].do(store_proposal) for _ in range(40)))

        async def take(number: int, rival: Store) -> list[str]:
            taken, time = [], {"now": now, "until": now + MINUTE}
            while some := (
                await rival.do(claim_outgoing, token=f"t{number}", redraws=6, posts=6, **time)
            ).cards:
                taken += [proposal.id for proposal in some]
            return taken

        taken = await asyncio.gather(*(take(*each) for each in enumerate(rivals)))
        every = [id_ for some in taken for id_ in some]
        assert len(every) == len(set(every)) == 40


async def test_the_next_holder_of_a_card_learns_when_it_may_have_been_posted(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    await store.do(store_proposal)
    (first,) = (await store.do(claim_outgoing, token="a", now=now, until=now + MINUTE, **ROOM)).cards
    assert first.card_sent_at is None
    later = now + MINUTE * 2
    (second,) = (await store.do(claim_outgoing, token="b", now=later, until=later + MINUTE, **ROOM)).cards
    assert second.card_sent_at == now
    assert not await store.do(card_not_drawn, first.id, token="a", due_at=later, certainly_not_posted=True)
    assert await store.do(card_not_drawn, first.id, token="b", due_at=later, certainly_not_posted=False)
    (third,) = (await store.do(claim_outgoing, token="c", now=later, until=later + MINUTE, **ROOM)).cards
    assert third.card_sent_at == now
    assert await store.do(card_not_drawn, first.id, token="c", due_at=later, certainly_not_posted=True)
    (fourth,) = (await store.do(claim_outgoing, token="d", now=later, until=later + MINUTE, **ROOM)).cards
    assert fourth.card_sent_at is None


async def test_a_card_is_drawn_again_when_something_changed_while_it_was_drawn(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    made = await store.do(store_proposal)
    (card,) = (await store.do(claim_outgoing, token="a", now=now, until=now + MINUTE, **ROOM)).cards
    await store.do(decide, Decision(made.id, "U1", Verdict.APPROVE, "button", now))
    shown = {"version": card.row_version, "revision": 1, "channel": "C1", "ts": "1.1", "at": now}
    shown |= {"announced": [1]}
    [noted] = await store.do(cards_drawn, [CardDrawn(made.id, "a", **shown)])
    assert noted is not None
    assert noted.behind
    (again,) = (await store.do(claim_outgoing, token="b", now=now, until=now + MINUTE, **ROOM)).cards
    [beside] = await store.do(read_beside, [Drawing(again)])
    assert [change.row_version for change in beside.news] == [2]
    assert (again.row_version, again.rendered_version, again.card_ts, again.card_sent_at) == (
        2,
        1,
        "1.1",
        None,
    )
    assert await store.do(cards_drawn, [CardDrawn(made.id, "a", **shown)]) == [None]
    shown |= {"version": 2, "announced": [2]}
    [noted] = await store.do(cards_drawn, [CardDrawn(made.id, "b", **shown)])
    assert noted is not None
    assert not noted.behind
    assert (await store.do(claim_outgoing, token="c", now=now, until=now + MINUTE, **ROOM)).cards == []
    [beside] = await store.do(read_beside, [Drawing(again)])
    assert beside.news == ()


async def test_a_decided_card_is_drawn_before_new_ones(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    made = [await store.do(store_proposal) for _ in range(3)]
    await store.do(decide, Decision(made[2].id, "U1", Verdict.DECLINE, "button", now + MINUTE))
    later = now + MINUTE
    (first,) = (
        await store.do(claim_outgoing, token="a", now=later, until=later + MINUTE, redraws=0, posts=1)
    ).cards
    assert first.id == made[2].id
