"""The demo as a person meets it: the page in Chromium, the real app behind it, both stand-ins beside it."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from bot.demo.server import Demo
from tests.e2e.app_harness import LENA, without_proxies

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}


async def opened(browser: Browser, url: str, size: dict[str, int], errors: list[str]) -> Page:
    """The demo's page in a window of that size; an error of its scripts is noted."""
    phone = size is PHONE
    context = await browser.new_context(viewport=size, has_touch=phone, is_mobile=phone, locale="en-US")
    context.set_default_timeout(10_000)
    page = await context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(url)
    return page


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["390 px", "1280 px"])
async def test_a_tap_on_the_page_changes_polar_and_a_stranger_is_refused(
    browser: Browser, tmp_path: Path, size: dict[str, int]
) -> None:
    errors: list[str] = []
    with without_proxies():
        async with Demo.start(opening=False) as demo:
            page = await opened(browser, demo.url, size, errors)
            assert (await demo.story.send("order.paid"))["ok"]
            card = page.locator("#channel article.message", has_text="Generate the invoice for $29.00")
            await expect(card.get_by_role("button", name="Approve")).to_be_visible()
            await page.screenshot(path=tmp_path / f"asks-{size['width']}.png")

            await _act_as(page, LENA, phone=size is PHONE)
            await card.get_by_role("button", name="Approve").click()
            refusal = page.locator("#channel article.message", has_text="You are not an approver")
            await expect(refusal).to_contain_text("may decide")
            await expect(card.get_by_role("button", name="Approve")).to_be_visible()
            await page.screenshot(path=tmp_path / f"refused-{size['width']}.png")

            await _act_as(page, demo.slack.people[0], phone=size is PHONE)
            await card.get_by_role("button", name="Approve").click()
            await expect(card).to_contain_text("Done.")
            await expect(card.get_by_role("button", name="Approve")).to_have_count(0)
            await expect(card.get_by_role("button", name="Decline")).to_have_count(0)
            await expect(card).to_contain_text("1 reply")
            await page.screenshot(path=tmp_path / f"done-{size['width']}.png")

            if size is PHONE:
                await page.locator("#tabs [data-go=polar]").click()
            write = page.locator("#received .row-write")
            await expect(write).to_have_count(1)
            await expect(write).to_contain_text("invoice generated")
            await page.screenshot(path=tmp_path / f"polar-{size['width']}.png")
            writes = [each for each in demo.polar.requests if each.method != "GET"]

    assert [each.operation for each in writes] == ["orders:generate_invoice"]
    assert errors == []


async def _act_as(page: Page, user: str, *, phone: bool) -> None:
    """Choose who acts; on a phone that is a tab of its own."""
    if phone:
        await page.locator("#tabs [data-go=you]").click()
    await page.locator(f"[data-user={user}]:visible").click()
    if phone:
        await page.locator("#tabs [data-go=channel]").click()


async def test_the_opening_shows_a_card_for_each_default_rule(browser: Browser) -> None:
    errors: list[str] = []
    with without_proxies():
        async with Demo.start() as demo:
            page = await opened(browser, demo.url, DESKTOP, errors)
            for question in ("Generate the invoice", "Disable 2 license keys", "Grant license key"):
                card = page.locator("#channel article.message", has_text=question)
                await expect(card.get_by_role("button", name="Decline")).to_be_visible()
    assert errors == []
