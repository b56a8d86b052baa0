"""What end-to-end tests share: a browser (real Chromium, or a skip that says why), and programs to kill."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.e2e.lives import Killable
from tests.fixtures.page import DESKTOP, PHONE, OpenPage, PageServer

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """The path of Chromium; without one the test is skipped, or fails when REQUIRE_BROWSER=1."""
    found = shutil.which("chromium") or shutil.which(CHROMIUM)
    if found is None:
        reason = f"no Chromium at {CHROMIUM} or on the PATH: install it (apt-get install chromium)"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(f"REQUIRE_BROWSER=1, but {reason}")
        pytest.skip(reason)
    return found


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A fresh Chromium."""
    path = chromium()
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        await started.close()


@pytest.fixture
async def page_server() -> AsyncIterator[PageServer]:
    """The page's server with canned snapshots."""
    async with PageServer() as started:
        yield started


@pytest.fixture
async def open_page(browser: Browser, page_server: PageServer) -> AsyncIterator[OpenPage]:
    """Opens the page at a size and a query; an error of its scripts fails the test."""
    errors: list[str] = []

    async def opened(size: dict[str, int] = DESKTOP, query: str = "") -> Page:
        phone = size is PHONE
        context = await browser.new_context(
            viewport=size, has_touch=phone, is_mobile=phone, timezone_id="UTC", locale="en-US"
        )
        context.set_default_timeout(5000)
        page = await context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(page_server.url + query)
        await expect(page.locator("#stopped")).to_be_hidden()
        await page.locator("#channel textarea[placeholder='Message #approvals']").wait_for(state="attached")
        return page

    yield opened
    assert errors == []


@pytest.fixture(scope="session")
def forker() -> Iterator["subprocess.Popen[str]"]:
    """The process that forks programs, with everything loaded."""
    command = [sys.executable, "-m", "tests.e2e.killable"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:  # noqa: S603 - our own interpreter and file
        yield process
        process.stdin.close()


@pytest.fixture
async def program(forker: "subprocess.Popen[str]", tmp_path: Path) -> AsyncIterator[Killable]:
    """The program of one test."""
    made = Killable(forker, tmp_path)
    yield made
    if made.pid:
        await made.kill()
