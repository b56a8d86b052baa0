"""Pictures of the demo's month for the README: `python -m tests.month_pictures` plays it and draws them anew."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from PIL import Image
from playwright.async_api import Page, async_playwright

from bot.demo.desk import Desk
from tests.e2e.app_harness import without_proxies
from tests.e2e.conftest import FLAGS, chromium
from tests.fixtures.card_pictures import PICTURES, _save, beside
from tests.fixtures.page import PHONE

_MIDDLE = 9  # a day on which something waits in the channel
_LATEST = 27  # the day on which the Home tab is pictured as it is


async def screen(page: Page) -> Image.Image:
    """What the phone shows."""
    await page.wait_for_timeout(600)  # the page draws at its own pace, and pictures of scores load late
    return Image.open(io.BytesIO(await page.screenshot(animations="disabled"))).convert("RGB")


async def home(page: Page, desk: Desk) -> Image.Image:
    """The Home tab on a day on which something waits and something has run; the month stands still for it."""
    asks = page.locator("#home").get_by_role("button", name="Approve")
    ran = page.locator("#home").get_by_text("Ran on its own")
    while desk.month.day <= _LATEST:
        await page.locator("#tabs [data-go=channel]").tap()
        await page.locator("#tabs [data-go=home]").tap()  # opened anew: an hour of the month is soon over
        await page.get_by_role("button", name="Pause the month").tap()
        await asyncio.sleep(0.5)
        if await asks.count() and await ran.count():
            break
        await page.get_by_role("button", name="Go on with the month").tap()
    await page.locator("#home .scroller").evaluate("it => it.scrollTo(0, 0)")
    above = await screen(page)
    await page.locator("#home .scroller").evaluate("it => it.scrollTo(0, it.scrollHeight)")
    below = await screen(page)
    return beside([[above], [below]])


@asynccontextmanager
async def phone(desk: Desk) -> AsyncIterator[Page]:
    """The demo's page on a phone, the month begun."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        context = await browser.new_context(
            viewport=PHONE, has_touch=True, is_mobile=True, timezone_id="Europe/Berlin", locale="en-US"
        )
        page = await context.new_page()
        await page.goto(desk.url)
        await page.get_by_role("button", name="Play a month").tap()
        yield page
        await browser.close()


async def month(page: Page, desk: Desk) -> Image.Image:
    """The month playing, what happened on each day, and the picture that it ends with."""
    while desk.month.day < _MIDDLE:  # noqa: ASYNC110 - nobody else looks at the day
        await asyncio.sleep(0.1)
    playing = await screen(page)
    await desk.month.wait()
    await page.locator(".month-said").tap()
    told = await screen(page)
    await page.locator(".month-said").tap()
    return beside([[playing], [told], [await screen(page)]])


async def _main() -> None:
    with without_proxies():
        async with Desk.start() as desk, phone(desk) as page:
            _save(await month(page, desk), PICTURES / "month-390.png")
            print(f"missed: {desk.month.missed}")
        async with Desk.start() as desk, phone(desk) as page:  # another one: it is held up again and again
            _save(await home(page, desk), PICTURES / "home-390.png")


if __name__ == "__main__":
    asyncio.run(_main())
