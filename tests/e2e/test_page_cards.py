"""Every state of a card in the demo's page, on a phone and on a desktop: nothing cut, nothing on top of another."""

import pytest
from playwright.async_api import expect

from bot.ui.card import card
from bot.ui.states import CardView
from store.models import ProposalState
from store.models.reasons import Reason, ReasonCode
from tests.fixtures.card_pictures import posted
from tests.fixtures.card_states import STATES
from tests.fixtures.card_strategies import a_proposal
from tests.fixtures.page import PHONE, SIZES, OpenPage, PageServer
from tests.fixtures.page_cards import HOSTILE, at, message

# What sticks out of its place, is cut, or lies on the block before it; in words, for each card by number.
FAULTS = """() => {
    const found = [];
    for (const [number, card] of document.querySelectorAll("#channel .message").entries()) {
        const edge = card.getBoundingClientRect();
        const say = (what, node) => found.push(`${number}: ${what}: ${node.className} ${node.textContent.slice(0, 60)}`);
        for (const node of card.querySelectorAll(".blocks *")) {
            const place = node.getBoundingClientRect();
            if (place.width === 0) continue;
            if (place.left < edge.left - 1 || place.right > edge.right + 1) say("sticks out", node);
            if (place.right > window.innerWidth + 1) say("off the screen", node);
            if (node.clientWidth > 0 && node.scrollWidth > node.clientWidth + 1) say("cut", node);
            if (place.bottom > edge.bottom + 1) say("below its card", node);
        }
        const below = (nodes) => nodes.reduce((last, node) => {
            const place = node.getBoundingClientRect();
            if (place.top < last - 1) say("on top of another", node);
            return place.bottom;
        }, -Infinity);
        below([...card.querySelectorAll(".blocks > .block")]);
        const buttons = [...card.querySelectorAll(".actions button")].map((node) => node.getBoundingClientRect());
        for (const [index, one] of buttons.entries()) for (const other of buttons.slice(index + 1)) {
            const apart = one.right <= other.left || other.right <= one.left || one.bottom <= other.top || other.bottom <= one.top;
            if (!apart) found.push(`${number}: two buttons on top of one another`);
        }
    }
    return found;
}"""


@pytest.mark.browser
@pytest.mark.parametrize("size", SIZES)
async def test_no_state_of_a_card_is_cut_or_overlaps(
    open_page: OpenPage, page_server: PageServer, size: dict[str, int]
) -> None:
    page_server.slack["messages"] = [posted(name, 9000 - number * 60) for number, name in enumerate(STATES)]
    page = await open_page(size)
    await expect(page.locator("#channel .message")).to_have_count(len(STATES))

    assert await page.evaluate(FAULTS) == []
    assert await page.locator("#channel .unknown").count() == 0
    await page.locator("#channel .block").first.evaluate("block => { block.style.minWidth = '1300px' }")
    assert await page.evaluate(FAULTS) != []  # it would have been seen


@pytest.mark.browser
async def test_the_longest_hostile_card_stays_in_its_place_on_a_phone(
    open_page: OpenPage, page_server: PageServer
) -> None:
    line = (HOSTILE, HOSTILE, HOSTILE)
    proposals = [
        a_proposal(state=state, title=HOSTILE, reasons=(HOSTILE,) * 5, facts=((HOSTILE, HOSTILE),) * 6, rule="r" * 200,
                   changes=(line,) * 6, revision=2, status_reason=Reason(ReasonCode.TEXT, {"text": HOSTILE}), always_asks=HOSTILE)
        for state in ProposalState
    ]  # fmt: skip
    drawn = [card(proposal, CardView(deciders=HOSTILE)) for proposal in proposals]
    page_server.slack["messages"] = [
        message(at(900 - number), text=one.text, blocks=list(one.blocks)) for number, one in enumerate(drawn)
    ]
    page = await open_page(PHONE)
    await expect(page.locator("#channel .message")).to_have_count(len(drawn))

    assert await page.evaluate(FAULTS) == []
    assert await page.title() != "owned"
    assert await page.locator("#channel .blocks a, #channel .mention").count() == 0
