"""Messages that are no cards: added once, sent in order, in the right thread, after the questions."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from store import Store
from store.messages.bundles import bundle_drawn, give_own_card, put_in_bundle
from store.messages.cards import CardDrawn, cards_drawn, claim_outgoing, get_bundle
from store.messages.outbox import (
    LINE,
    add_to_outbox,
    claim_outbox,
    outbox_is_due,
    outbox_sent,
    postpone_outbox,
)
from store.models import Decision, ProposalState, Verdict
from store.proposals.decisions import decide
from store.proposals.proposals import advance, get_proposal, touch

MINUTE = timedelta(minutes=1)
Make = Callable[..., Any]
HELLO = {"text": "Hello", "blocks": []}


async def add(store: Store, name: str, at: datetime, **more: Any) -> bool:
    return await store.do(add_to_outbox, name, kind=more.pop("kind", "digest"), message=HELLO, at=at, **more)


async def claimed(store: Store, at: datetime, limit: int = 9, token: str = "t") -> list[Any]:
    return await store.do(claim_outbox, token=token, now=at, until=at + MINUTE, limit=limit)


async def test_a_message_is_added_and_sent_once(store: Store, now: datetime) -> None:
    assert await add(store, "digest:1", now)
    assert not await add(store, "digest:1", now)
    (notice,) = await claimed(store, now)
    assert (notice.id, notice.message, notice.attempts) == ("digest:1", HELLO, 1)
    assert await claimed(store, now) == []
    assert await store.do(outbox_sent, notice.id, token="t", ts="1.1", at=now)
    assert not await store.do(outbox_sent, notice.id, token="t", ts="1.1", at=now)
    assert not await store.do(outbox_is_due, now + MINUTE * 9)


async def test_a_message_waits_for_its_time_and_again_after_a_refusal(store: Store, now: datetime) -> None:
    await add(store, "digest:1", now, due_at=now + MINUTE)
    assert not await store.do(outbox_is_due, now)
    assert await store.do(outbox_is_due, now + MINUTE)
    (notice,) = await claimed(store, now + MINUTE)
    later = now + MINUTE * 3
    assert await store.do(postpone_outbox, notice.id, token="t", due_at=later, note="refused")
    assert await claimed(store, now + MINUTE * 2) == []
    (again,) = await claimed(store, later)
    assert again.attempts == 2


async def test_lines_about_outcomes_go_before_everything_else(store: Store, now: datetime) -> None:
    await add(store, "digest:1", now - MINUTE)
    await add(store, "line:p1:2", now, kind=LINE)
    assert [notice.id for notice in await claimed(store, now)] == ["line:p1:2", "digest:1"]


async def test_a_line_goes_into_the_thread_of_the_card_once_there_is_one(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    made = await store.do(store_proposal)
    await add(store, "line:1", now, proposal_id=made.id)
    assert await claimed(store, now) == []
    assert not await store.do(outbox_is_due, now)
    (card,) = (
        await store.do(claim_outgoing, token="c", now=now, until=now + MINUTE, redraws=1, posts=1)
    ).cards
    await store.do(cards_drawn, [CardDrawn(card.id, "c", 1, 1, "C1", "7.7", now)])
    (late,) = await claimed(store, now)
    assert (late.attempts, late.channel, late.card_ts) == (1, "C1", "7.7")


# bundles


async def outgoing(store: Store, at: datetime, redraws: int = 9, posts: int = 9) -> Any:
    return await store.do(
        claim_outgoing, token="o", now=at, until=at + MINUTE, redraws=redraws, posts=posts, joined=True
    )


async def five_together(store: Store, store_proposal: Make, now: datetime) -> list[str]:
    ids = [(await store.do(store_proposal)).id for _ in range(5)]
    assert await store.do(put_in_bundle, "b1", "x", ids, now) == 5
    return ids


async def drawn(store: Store, at: datetime) -> list[str]:
    (bundle,) = (await outgoing(store, at)).bundles
    shown = [each.id for each in bundle.members]
    where = {"channel": "C1", "ts": "5.5", "at": at}
    assert (
        await store.do(bundle_drawn, "b1", token="o", version=bundle.row_version, shown=shown, **where)
        is not None
    )
    return shown


async def test_what_is_in_a_bundle_has_no_card_and_its_lines_go_to_the_bundles_thread(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    ids = await five_together(store, store_proposal, now)
    assert await drawn(store, now) == sorted(ids)
    assert (await outgoing(store, now)).cards == []
    await add(store, "line:1", now, proposal_id=ids[0])
    (notice,) = await claimed(store, now)
    assert notice.card_ts == "5.5"
    found = await store.do(get_proposal, ids[0])
    assert found is not None
    assert found.first_shown_at == now


async def test_a_change_of_one_redraws_and_closes_the_bundle(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    ids = await five_together(store, store_proposal, now)
    await drawn(store, now)
    await store.do(decide, Decision(ids[0], "U1", Verdict.DECLINE, "bundle", now))
    later = now + MINUTE
    found = await outgoing(store, later)
    assert ([each.id for each in found.bundles], found.cards) == (["b1"], [])
    assert found.bundles[0].closed_at == later
    one_more = await store.do(store_proposal)
    assert await store.do(put_in_bundle, "b1", "x", [one_more.id], later) == 0


async def test_what_fails_or_asks_anew_gets_a_card_of_its_own(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    ids = await five_together(store, store_proposal, now)
    await drawn(store, now)
    run = (ProposalState.PENDING, ProposalState.APPROVED, ProposalState.EXECUTING, ProposalState.FAILED)
    for step in pairwise(run):
        await store.do(advance, ids[0], *step, actor="U1", at=now)
    await store.do(touch, ids[1], now, revision=2)
    found = await outgoing(store, now + MINUTE)
    assert {each.id for each in found.cards} == {ids[0], ids[1]}


async def test_one_can_be_taken_out_and_never_comes_back(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    ids = await five_together(store, store_proposal, now)
    await drawn(store, now)
    assert await store.do(give_own_card, "b1", ids[2], now)
    assert not await store.do(give_own_card, "b1", ids[2], now)
    assert await store.do(put_in_bundle, "b2", "x", [ids[2]], now) == 0
    found = await outgoing(store, now + MINUTE)
    assert [each.id for each in found.cards] == [ids[2]]
    bundle = await store.do(get_bundle, "b1")
    assert bundle is not None
    assert len(bundle.members) == 4


async def test_a_proposal_without_a_card_gets_none_until_somebody_wants_one(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    made = await store.do(store_proposal)
    await store.do(touch, made.id, now, has_card=0)
    assert not (await outgoing(store, now)).cards
    await store.do(touch, made.id, now, has_card=1)
    assert [each.id for each in (await outgoing(store, now)).cards] == [made.id]


async def test_decided_cards_go_first_and_new_ones_take_no_more_than_there_is_room_for(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    asked = []
    for ts in ("1.1", "1.2"):
        await store.do(store_proposal)
        (card,) = (await outgoing(store, now)).cards
        await store.do(cards_drawn, [CardDrawn(card.id, "o", 1, 1, "C1", ts, now)])
        asked.append(card.id)
    for _ in range(4):
        await store.do(store_proposal)
    await store.do(touch, asked[0], now)
    await store.do(decide, Decision(asked[1], "U1", Verdict.DECLINE, "button", now + MINUTE))
    found = await outgoing(store, now + MINUTE, redraws=1, posts=2)
    assert found.cards[0].id == asked[1]
    assert [each.card_ts is None for each in found.cards].count(True) == 2
    assert asked[0] not in {each.id for each in found.cards}
    assert found.waiting
