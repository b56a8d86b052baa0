"""Pictures of the demo's month for the README: `python -m tests.month_pictures` plays it and draws them anew."""

import asyncio
import io

from PIL import Image
from playwright.async_api import Page, async_playwright

from bot.demo.desk import Desk
from tests.e2e.app_harness import without_proxies
from tests.e2e.conftest import FLAGS, chromium
from tests.page_fixture import PHONE
from tests.pictures import PICTURES, _save, beside

_MIDDLE = 9  # a day on which something waits in the channel


async def screen(page: Page) -> Image.Image:
    """What the phone shows."""
    await page.wait_for_timeout(600)  # the page draws at its own pace, and pictures of scores load late
    return Image.open(io.BytesIO(await page.screenshot(animations="disabled"))).convert("RGB")


async def _main() -> None:
    with without_proxies():
        async with Desk.start() as desk, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
            context = await browser.new_context(
                viewport=PHONE, has_touch=True, is_mobile=True, timezone_id="Europe/Berlin", locale="en-US"
            )
            page = await context.new_page()
            await page.goto(desk.url)
            await page.get_by_role("button", name="Play a month").tap()
            while desk.month.day < _MIDDLE:  # noqa: ASYNC110 - nobody else looks at the day
                await asyncio.sleep(0.1)
            playing = await screen(page)
            await desk.month.wait()
            await page.locator(".month-said").tap()
            told = await screen(page)
            await page.locator(".month-said").tap()
            picture = await screen(page)
            _save(beside([[playing], [told], [picture]]), PICTURES / "month-390.png")
            await page.locator("#tabs [data-go=home]").tap()
            await page.locator("#home .blocks .block").first.wait_for()
            home = await screen(page)
            await page.locator("#home .scroller").evaluate("it => it.scrollTo(0, it.scrollHeight)")
            _save(beside([[home], [await screen(page)]]), PICTURES / "home-390.png")
            await browser.close()
    print(f"missed: {desk.month.missed}")


if __name__ == "__main__":
    asyncio.run(_main())
