"""The demo's month: the real program lives through thirty days in under two minutes, and shows all of it."""

import asyncio
import json
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from playwright.async_api import Browser, ViewportSize, expect

from bot.demo.month.stage import words_of
from bot.demo.server import Demo
from tests.e2e.app_harness import without_proxies

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]

MOST_SECONDS = 120
PHONE: ViewportSize = {"width": 390, "height": 844}


def database_of(demo: Demo) -> Path:
    return Path(demo.app._environment["DATABASE_URL"].partition("///")[2])


@pytest.mark.timed
async def test_a_month_shows_trust_earned_watched_and_lost_and_every_state_of_a_card() -> None:
    said: list[str] = []
    with without_proxies():
        async with Demo.start(say=said.append) as demo:
            begun = time.perf_counter()
            assert demo.month.order("play") == {"ok": True}
            async with asyncio.timeout(MOST_SECONDS + 30):
                await demo.month.wait()
            seconds = time.perf_counter() - begun
            await demo.month.stage.rest()
            with closing(sqlite3.connect(f"file:{database_of(demo)}?mode=ro", uri=True)) as database:
                cases = database.execute(
                    "SELECT rule, kind, mode, state, json_extract(gate, '$.reason.code'), date(created_at / 1000000, "
                    "'unixepoch') FROM proposals"
                ).fetchall()
                trust = [
                    row[0] for row in database.execute("SELECT body FROM audit_log WHERE kind = 'case_kind'")
                ]

            assert demo.month.missed == []
            assert demo.month.state == "played"
            assert seconds < MOST_SECONDS

            channel = [each for each in demo.slack.messages() if each.thread_ts is None]
            texts = [each.text for each in channel]
            words = [words_of(each) for each in channel]
            for start in (
                "Turned on: Let this kind",
                "Expired: ",
                "Undone: ",
                "Declined: ",
                "Runs on its own now",
            ):
                assert any(text.startswith(start) for text in texts), start
            for part in (" invoices to generate, $", "still wait", "too long for a decision", "left over"):
                assert any(part in text for text in texts), part
            assert any("spot check: agreed" in each for each in words)
            assert any(text.startswith("No longer runs on its own") for text in texts)

            modes = Counter((mode, state) for _, _, mode, state, _, _ in cases)
            assert modes["auto", "succeeded"] >= 1
            assert modes["spot_check", "succeeded"] >= 1
            assert modes["spot_check", "declined"] == 1
            assert any(code == "over_cap" for *_, code, _ in cases)
            ran = Counter(day for _, _, mode, _, _, day in cases if mode == "auto")
            assert max(ran.values()) <= 3
            assert not {state for *_, state, _, _ in cases} & {"unknown", "executing", "approved", "failed"}
            states = [json.loads(body)["to"] for body in trust]
            assert (states[0], states[-1]) == ("graduated", "asking")
            assert any(each.files for each in channel)  # the picture of the score

            failed = [each for each in demo.slack.workspace.exchanges if each.error is not None]
            assert failed == []
            assert [each for each in demo.polar.requests if each.status >= 500] == []
            assert all(each.succeeded for each in demo.polar.webhooks.events.values())
    assert [line for line in said if " ERROR " in line or "Traceback" in line] == []


@pytest.mark.browser
async def test_one_button_on_a_phone_starts_the_month_and_the_progress_moves(browser: Browser) -> None:
    errors: list[str] = []
    with without_proxies():
        async with Demo.start(opening=False) as demo:
            context = await browser.new_context(
                viewport=PHONE, has_touch=True, is_mobile=True, locale="en-US"
            )
            context.set_default_timeout(20_000)
            page = await context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            await page.goto(demo.url)
            await page.get_by_role("button", name="Play a month").tap()
            bar = page.locator("#month")
            await expect(bar).to_contain_text("Day 1 of 30")
            await expect(bar).to_contain_text("Day 2 of 30", timeout=30_000)
            assert await page.locator("#month progress").evaluate("bar => bar.value") >= 2

            await page.get_by_role("button", name="Pause the month").tap()
            await expect(page.get_by_role("button", name="Go on with the month")).to_be_visible()
            await page.locator(".month-said").tap()
            await expect(page.locator("#month-told li").first).to_be_visible()
            await page.locator("#tabs [data-go=home]").tap()
            await expect(page.locator("#month-told")).to_be_hidden()
            await page.get_by_role("button", name="Stop the month").tap()
            await expect(page.get_by_role("button", name="Play again")).to_be_visible()
            assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
            assert demo.month.state == "stopped"
            await context.close()
    assert errors == []
