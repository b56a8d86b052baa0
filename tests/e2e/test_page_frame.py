"""The frame of the demo page: who one acts as, the live link, the panels, and its fit on a phone."""

import asyncio
import re

import pytest
from playwright.async_api import expect

from tests.fixtures.page import PHONE, SIZES, OpenPage, PageServer
from tests.fixtures.page_cards import (
    EVERY_FIELD,
    HOSTILE,
    actions,
    at,
    button,
    card,
    message,
    modal,
    mrkdwn,
    options,
    plain,
    section,
)


@pytest.mark.browser
@pytest.mark.parametrize("size", SIZES)
async def test_acting_as_someone_else_is_shown_sent_and_kept_in_the_address(
    open_page: OpenPage, page_server: PageServer, size: dict[str, int]
) -> None:
    page_server.slack["messages"] = [card()]
    page = await open_page(size)
    pill = page.locator("#channel [data-pill]")
    await expect(pill).to_have_text("Anna Berg · Operator")
    if size is PHONE:
        await pill.click()
    await expect(page.locator("[data-user=U0DEE]:visible")).to_be_disabled()
    pills = page.locator(".person:visible .pill")
    assert (
        await pills.evaluate_all("all => all.filter((one) => one.scrollWidth > one.clientWidth).length") == 0
    )
    await page.locator("[data-user=U0CLEO]:visible").click()
    await expect(pill).to_have_text("Cleo Marsh · Stranger")
    assert "user=U0CLEO" in page.url
    await page.get_by_role("button", name="Approve").click()
    assert (await page_server.acted())["user"] == "U0CLEO"
    await page.reload()
    await expect(pill).to_have_text("Cleo Marsh · Stranger")
    assert list(page_server.sockets.values())[-1] == "U0CLEO"


@pytest.mark.browser
async def test_a_server_that_is_gone_is_said_and_one_that_is_back_is_used(
    open_page: OpenPage, page_server: PageServer
) -> None:
    page = await open_page()
    await page_server.stop()
    await expect(page.get_by_text("The demo has stopped. Start it again with make demo.")).to_be_visible()
    page_server.slack["messages"] = [card()]
    await page_server.start()
    await expect(page.locator("#stopped")).to_be_hidden(timeout=10_000)
    await expect(page.get_by_role("button", name="Approve")).to_be_visible()


@pytest.mark.browser
async def test_the_hint_stays_away_once_dismissed(open_page: OpenPage, page_server: PageServer) -> None:
    page = await open_page()
    await expect(page.locator("#hint")).to_have_text("Tap Approve. Then act as a stranger and try again.")
    await page.get_by_role("button", name="Dismiss this hint").click()
    await page.reload()
    await expect(page.locator("#stopped")).to_be_hidden()
    await expect(page.locator("#hint")).to_be_hidden()


@pytest.mark.browser
@pytest.mark.parametrize("size", SIZES)
async def test_the_panels_send_events_and_show_what_polar_received_and_sent(
    open_page: OpenPage, page_server: PageServer, size: dict[str, int]
) -> None:
    call = {
        "at": "2026-11-21T10:00:01Z", "method": "GET", "path": "/v1/orders/5a01d8d0-1111-4222-8333-444455556666/invoice", "query": {"limit": "1"},
        "body": None, "status": 200, "answer": HOSTILE[:300], "write": False, "changed": None,
    }  # fmt: skip
    write = call | {
        "at": "2026-11-21T10:00:02Z", "method": "PATCH", "write": True, "body": {"status": "disabled"},
        "changed": "license key ****-67B947: granted → disabled",
    }  # fmt: skip
    sent = {
        "at": "2026-11-21T10:00:03Z", "type": "benefit_grant.updated", "webhook_id": "msg_1", "title": "",
        "status": "connection refused", "echo": True,
    }  # fmt: skip
    event = {"name": "order.refunded", "title": "Bob's order is refunded in full", "group": "story"}
    page_server.polar |= {"received": [call, write], "sent": [sent], "events": [event]}
    page = await open_page(size, "?tab=polar")
    await page.get_by_role("button", name="Bob's order is refunded in full").click()
    assert await asyncio.wait_for(page_server.events_sent.get(), 5) == "order.refunded"
    await expect(page.locator(".event-answer")).to_have_text("✓ 202")

    await page.get_by_role("tab", name="Received").click()
    rows = page.locator("#received .row")
    await expect(rows.nth(0)).to_contain_text("license key ****-67B947: granted → disabled")
    await expect(rows.nth(0)).to_have_class(re.compile("row-write"))
    await expect(rows.nth(0).locator(".row-what")).to_have_text("/v1/orders/5a01d8d0…/invoice")
    await rows.nth(1).locator("summary").click()
    await expect(rows.nth(1).locator("pre").last).to_have_text(HOSTILE[:300])
    await page_server.push()
    await expect(rows.nth(1)).to_have_attribute("open", "")  # a snapshot does not shut it

    await page.get_by_role("tab", name="Webhooks").click()
    await expect(page.locator("#sent .row")).to_contain_text("benefit_grant.updated")
    await expect(page.locator("#sent .echo")).to_have_text("echo")
    await expect(page.locator("#sent .status.is-bad")).to_have_text("connection refused")


@pytest.mark.browser
async def test_a_long_label_is_cut_on_a_phone_as_slack_cuts_it(
    open_page: OpenPage, page_server: PageServer
) -> None:
    long = "Approve the refund of everything"
    page_server.slack["messages"] = [
        message(at(9), blocks=[actions(button(long, "approve"), button("Decline", "decline"))])
    ]
    page = await open_page(PHONE)
    cut = "node => node.scrollWidth > node.clientWidth"
    labels = page.locator("#channel .actions .label")
    assert await labels.nth(0).evaluate(cut)
    assert not await labels.nth(1).evaluate(cut)


@pytest.mark.browser
async def test_everything_to_tap_on_a_phone_is_big_enough(
    open_page: OpenPage, page_server: PageServer
) -> None:
    select = {"type": "static_select", "action_id": "pick", "options": options("One", "Two")}
    overflow = {"type": "overflow", "action_id": "more", "options": options("Details", "Edit")}
    pending = card(reply_count=1)
    pending["blocks"] += [
        section("x", accessory=overflow, block_id="x"),
        section("y", accessory=select, block_id="y"),
    ]
    page_server.slack["messages"] = [pending]
    page_server.slack["home"] = {"id": "V0", "type": "home", "blocks": pending["blocks"]}
    page_server.polar["events"] = [{"name": "order.paid", "title": "Ann pays", "group": "story"}]
    small = """() => [...document.querySelectorAll("button, a.button, input, textarea, summary")]
        .filter((node) => node.checkVisibility({ visibilityProperty: true }))
        .filter((node) => getComputedStyle(node).pointerEvents !== "none")
        .filter((node) => !node.matches(".tick input, .pill, .newer"))
        .map((node) => [node.className, node.ariaLabel ?? node.textContent, node.getBoundingClientRect()])
        .filter(([, , box]) => Math.min(box.width, box.height) < 43.9)
        .map(([name, label, box]) => `${name} ${label}: ${box.width} x ${box.height}`)"""
    page = await open_page(PHONE)
    for query in ("", "?tab=home", "?tab=polar", "?tab=you", f"?thread={pending['ts']}"):
        await page.goto(page_server.url + query)
        await expect(page.locator("#channel .message")).to_have_count(1)
        assert await page.evaluate(small) == []
    page_server.slack["modals"] = [modal("V1", *EVERY_FIELD)]
    await page_server.push()
    await page.get_by_label("Reason").click()
    assert await page.evaluate(small) == []


@pytest.mark.browser
@pytest.mark.parametrize("size", SIZES)
async def test_nothing_is_wider_than_the_window_and_nothing_comes_from_elsewhere(
    open_page: OpenPage, page_server: PageServer, size: dict[str, int]
) -> None:
    wide = "W" * 300
    image = {"type": "image", "image_url": "https://evil.example/x.png", "alt_text": wide}
    page_server.slack["messages"] = [
        message(
            at(9),
            blocks=[
                section(f"*{wide}*", accessory=button(wide[:75], "open"), fields=[mrkdwn(wide), plain(wide)]),
                {"type": "context", "elements": [image, mrkdwn(f"`{wide}` <https://polar.sh/{wide}>")]},
                image | {"block_id": "image"},
                actions(*(button(wide[:75], f"a{index}") for index in range(5))),
                section(f"```{wide}```\n> {wide}", block_id="pre"),
            ],
        )
    ]
    page = await open_page(size)
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    await page.reload()
    await expect(page.locator("#channel .message")).to_have_count(1)
    overflowing = """(selector) => [...document.querySelectorAll(selector)]
        .filter((node) => node.scrollWidth > node.clientWidth + 1).map((node) => node.className)"""
    assert (
        await page.evaluate(
            overflowing, "html, body, #channel .scroller, #channel .message-body, #channel .block"
        )
        == []
    )
    assert len(requested) > 20
    assert [url for url in requested if not url.startswith((page_server.url, "data:"))] == []
