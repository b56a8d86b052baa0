"""Many cards are claimed, looked up and marked in as many statements as one."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from store import Store
from store.messages.cards import CardDrawn, Drawing, cards_drawn, claim_outgoing, read_beside
from store.messages.outbox import claim_outbox
from store.models import Decision, NewProposal, Proposal, Verdict
from store.models.details import CommentKind
from store.proposals.decisions import decide
from store.proposals.details import add_comment
from store.proposals.proposals import get_proposal, touch
from tests.fixtures.executions import executed

MINUTE = timedelta(minutes=1)
MANY = 32
Make = Callable[..., NewProposal]


async def claimed(store: Store, now: datetime, token: str = "t") -> list[Proposal]:
    room = {"redraws": MANY, "posts": MANY}
    return (await store.do(claim_outgoing, token=token, now=now, until=now + MINUTE, **room)).cards


def drawn(card: Proposal, token: str, now: datetime, news: Sequence[int] = ()) -> CardDrawn:
    """A card that is in Slack, with a line for its thread for each of the `news`."""
    lines = {number: {"text": f"{card.id} {number}"} for number in news}
    where = (card.row_version, card.revision, "C1", f"1.{card.id}", now)
    return CardDrawn(card.id, token, *where, announced=news, lines=lines, arrival=card.event_id)


async def test_thirty_two_cards_cost_less_than_one_statement_a_card_each_time_they_are_drawn(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    made = [await store.do(store_proposal) for _ in range(MANY)]

    with executed(store) as first:
        cards = await claimed(store, now)
        await store.do(read_beside, [Drawing(card, needs_two=True) for card in cards])
        noted = await store.do(cards_drawn, [drawn(card, "t", now) for card in cards])
    for one in made:
        await store.do(decide, Decision(one.id, "U1", Verdict.DECLINE, "button", now, "No"))
        await store.do(add_comment, one.id, CommentKind.REASON, "U1", f"No {one.id}", at=now)
    with executed(store) as again:
        redrawn = await claimed(store, now)
        besides = await store.do(read_beside, [Drawing(card, needs_two=True) for card in redrawn])
        told = [
            drawn(card, "t", now, [change.row_version for change in beside.news])
            for card, beside in zip(redrawn, besides, strict=True)
        ]
        await store.do(cards_drawn, told)

    assert {card.id for card in cards} == {card.id for card in redrawn} == {one.id for one in made}
    assert [one.arrived_at if one else None for one in noted] == [now] * MANY
    assert [beside.decline_reasons for beside in besides] == [(f"No {card.id}",) for card in redrawn]
    assert len(first) <= 9, first
    assert len(again) <= 13, again
    lines = await store.do(claim_outbox, token="l", now=now, until=now + MINUTE, limit=2 * MANY)
    assert {line.proposal_id for line in lines} == {one.id for one in made}


async def test_of_cards_marked_together_only_those_whose_lease_is_held_are_marked(
    store: Store, store_proposal: Make, now: datetime
) -> None:
    for _ in range(3):
        await store.do(store_proposal)
    slow, kept, changed = await claimed(store, now)
    later = now + 2 * MINUTE
    await store.do(touch, changed.id, now, assignee="U1")
    taken = {card.id: card for card in await claimed(store, later, token="other")}
    gone = CardDrawn("none", "t", 1, 1, "C1", "1.0", now)

    noted = await store.do(
        cards_drawn,
        [
            drawn(slow, "t", later, [1]),
            drawn(taken[kept.id], "other", later, [1]),
            drawn(changed, "other", later),
            gone,
        ],
    )

    assert [one is not None for one in noted] == [False, True, True, False]
    assert [one.behind for one in noted if one] == [False, True]
    assert [change.card_ts for change in [await store.do(get_proposal, slow.id)] if change] == [None]
    lines = await store.do(claim_outbox, token="l", now=later, until=later + MINUTE, limit=9)
    assert [line.proposal_id for line in lines] == [kept.id]
