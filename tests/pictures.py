"""Pictures of cards in the demo's page, for the README: `python -m tests.pictures` draws them anew.

With a folder as argument every state is written there, one file each and size, to be looked at.
"""

import asyncio
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright

from tests.card_states import STATES, message_of
from tests.e2e.conftest import FLAGS, chromium
from tests.page_cards import at, message
from tests.page_fixture import DESKTOP, PHONE, PageServer

PICTURES = Path(__file__).parents[1] / ".github" / "pictures"
_ON_A_PHONE = (
    ("pending", "one of two", "graduation"),
    ("edited", "approved, held", "no answer"),
    ("done, undo", "refused", "declined"),
)
_COLORS = 64  # a picture of text needs no more, and is a third of the size
_GAP = 12


def posted(name: str, ago: int) -> dict[str, Any]:
    """The card of a state as it stands in a snapshot of the channel."""
    drawn = message_of(name)
    return message(at(ago), text=drawn.text, blocks=list(drawn.blocks))


async def show(server: PageServer, browser: Browser, size: dict[str, int], names: Sequence[str]) -> Page:
    """The page at a size with these cards in its channel, as Anna sees them."""
    server.slack["messages"] = [posted(name, 6000 - number * 400) for number, name in enumerate(names)]
    tall = size | {"height": 2_000}  # nothing of the frame stands over a long card
    context = await browser.new_context(viewport=tall, timezone_id="UTC", locale="en-US")
    page = await context.new_page()
    await page.goto(server.url)
    await page.locator("#channel .message").nth(len(names) - 1).wait_for()
    return page


async def shot(page: Page, number: int) -> Image.Image:
    """One card of the page, the pointer and the keyboard elsewhere."""
    png = await page.locator("#channel .message").nth(number).screenshot(animations="disabled")
    image = Image.open(io.BytesIO(png)).convert("RGB")
    return image.crop((0, 0, image.width - 2, image.height))  # without the edge of the pane


def beside(columns: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Pictures below one another in columns, on white."""
    width = max(image.width for column in columns for image in column)
    height = max(sum(image.height + _GAP for image in column) for column in columns)
    sheet = Image.new("RGB", (width * len(columns), height), "white")
    for across, column in enumerate(columns):
        down = 0
        for image in column:
            sheet.paste(image, (across * width, down))
            down += image.height + _GAP
    return sheet


async def cards(server: PageServer, browser: Browser, size: dict[str, int]) -> Mapping[str, Image.Image]:
    """Every state at a size."""
    page = await show(server, browser, size, list(STATES))
    return {name: await shot(page, number) for number, name in enumerate(STATES)}


def _save(image: Image.Image, path: Path) -> None:
    image.quantize(_COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    print(f"{path}: {image.width} × {image.height}, {path.stat().st_size // 1024} KB")


async def _main(folder: Path | None) -> None:
    async with PageServer() as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        for size in (PHONE, DESKTOP) if folder else (PHONE,):
            found = await cards(server, browser, size)
            if size is PHONE:
                sheet = beside([[found[name] for name in column] for column in _ON_A_PHONE])
                _save(sheet, PICTURES / "cards-390.png")
            for name, image in found.items() if folder else ():
                assert folder is not None
                image.save(folder / f"{size['width']}-{name.replace(', ', '-').replace(' ', '-')}.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
