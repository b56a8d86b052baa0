"""The messages of the demo page: taps, warnings, live changes, threads and writing."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import expect

from tests.fixtures.page import PHONE, SIZES, OpenPage, PageServer
from tests.fixtures.page_cards import (
    actions,
    at,
    button,
    card,
    message,
    mrkdwn,
    options,
    plain,
    said,
    section,
)


@pytest.mark.browser
async def test_a_message_says_who_when_and_whether_it_was_edited(
    open_page: OpenPage, page_server: PageServer
) -> None:
    page_server.slack["messages"] = [
        card("1700000000.000100", edited=True),
        said("1700000100.000100", "U0CLEO", "why?"),
        message("1700000200.000100", text="Only <@U0ANNA> may decide.", ephemeral=True),
    ]
    page = await open_page()
    shown = page.locator("#channel .message")
    await expect(shown.nth(0).locator(".message-head")).to_have_text("polarAPP10:13 PM(edited)")
    await expect(shown.nth(1).locator(".message-head")).to_have_text("Cleo Marsh10:15 PM")
    await expect(shown.nth(2).locator(".only-you")).to_have_text("Only visible to you")
    await expect(page.locator(".day")).to_have_text("Tuesday, November 14")


@pytest.mark.browser
async def test_a_tap_spins_until_the_acknowledgement_and_is_sent_once(
    open_page: OpenPage, page_server: PageServer
) -> None:
    acknowledged = asyncio.Event()

    async def slow(_: dict[str, Any]) -> dict[str, Any]:
        await acknowledged.wait()
        return {"ok": True}

    page_server.answer = slow
    page_server.slack["messages"] = [card()]
    page = await open_page()
    approve = page.get_by_role("button", name="Approve")
    await approve.click()
    await approve.click(force=True)
    assert await page_server.acted() == {
        "user": "U0ANNA", "kind": "click", "channel": "C0APPROVALS", "ts": at(60), "block_id": "actions",
        "action_id": "approve", "value": "p_1|approve",
    }  # fmt: skip
    await expect(approve).to_have_attribute("aria-busy", "true")
    page_server.slack["messages"][0]["blocks"][1]["elements"].pop()
    await page_server.push()
    await expect(page.get_by_role("button", name="Why")).to_have_count(0)
    await expect(approve).to_have_class(re.compile("is-busy"))  # the redrawn button spins on
    acknowledged.set()
    await expect(approve).not_to_have_class(re.compile("is-busy"))
    assert page_server.acts.empty()
    page_server.slack["messages"] = [message(at(60), blocks=[section("*Done* by <@U0ANNA>")])]
    await page_server.push()
    await expect(approve).to_have_count(0)


@pytest.mark.browser
async def test_a_tap_without_an_answer_leaves_slacks_warning_until_the_next(
    open_page: OpenPage, page_server: PageServer
) -> None:
    answers = [{"ok": False, "error": "polar did not answer in 3 seconds."}, {"ok": True}]

    async def first_fails(_: dict[str, Any]) -> dict[str, Any]:
        return answers.pop(0)

    page_server.answer = first_fails
    page_server.slack["messages"] = [card()]
    page = await open_page()
    await page.get_by_role("button", name="Approve").click()
    await expect(page.locator("#channel .warning")).to_have_text("polar did not answer in 3 seconds.")
    await page.get_by_role("button", name="Approve").click()
    await expect(page.locator("#channel .warning")).to_have_count(0)
    page_server.slack["messages"][0]["warning"] = "This card is out of date."
    await page_server.push()
    await expect(page.locator("#channel .warning")).to_have_text("This card is out of date.")


@pytest.mark.browser
async def test_a_confirm_dialog_can_be_refused(open_page: OpenPage, page_server: PageServer) -> None:
    confirm = {
        "title": plain("Really?"), "text": mrkdwn("It pays *twice*."),
        "confirm": plain("Pay"), "deny": plain("Keep"),
    }  # fmt: skip
    page_server.slack["messages"] = [
        message(at(9), blocks=[actions(button("Refund", "refund", confirm=confirm))])
    ]
    page = await open_page()
    refund = page.get_by_role("button", name="Refund")
    await refund.click()
    await page.get_by_role("dialog", name="Really?").get_by_role("button", name="Keep").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await refund.click()
    await page.keyboard.press("Escape")
    assert page_server.acts.empty()
    await refund.click()
    await page.get_by_role("button", name="Pay").click()
    assert (await page_server.acted())["action_id"] == "refund"


@pytest.mark.browser
@pytest.mark.parametrize("size", SIZES)
async def test_an_overflow_menu_sends_the_chosen_option(
    open_page: OpenPage, page_server: PageServer, size: dict[str, int]
) -> None:
    overflow = {"type": "overflow", "action_id": "more", "options": options("Details", "Edit")}
    page_server.slack["messages"] = [message(at(9), blocks=[section("*Refund?*", accessory=overflow)])]
    page = await open_page(size)
    await page.get_by_role("button", name="More actions").click()
    await page.keyboard.press("ArrowDown")
    await page.get_by_role("menuitem", name="Edit").click()
    act = await page_server.acted()
    assert (act["action_id"], act["selected_option"]) == ("more", options("Edit")[0])
    await expect(page.get_by_role("menu")).to_have_count(0)


@pytest.mark.browser
async def test_selects_and_ticks_on_a_message_tell_the_app_at_once(
    open_page: OpenPage, page_server: PageServer
) -> None:
    select = {"type": "static_select", "action_id": "pick", "options": options("One", "Two")}
    ticks = {"type": "checkboxes", "action_id": "tick", "options": options("A", "B")}
    day = {"type": "datepicker", "action_id": "day"}
    page_server.slack["messages"] = [message(at(9), blocks=[actions(select, ticks, day)])]
    page = await open_page()
    await page.locator("[data-action=pick]").click()
    await page.get_by_role("option", name="Two").click()
    assert (await page_server.acted())["selected_option"] == options("Two")[0]
    await expect(page.locator("[data-action=pick]")).to_have_text("Two")
    await page.get_by_label("B", exact=True).check()
    assert (await page_server.acted())["selected_options"] == options("B")
    await page.locator("[data-action=day]").fill("2026-12-24")
    assert (await page_server.acted())["selected_date"] == "2026-12-24"


@pytest.mark.browser
async def test_a_snapshot_touches_only_the_message_that_changed(
    open_page: OpenPage, page_server: PageServer
) -> None:
    page_server.slack["messages"] = [card(at(400 - index)) for index in range(200)]
    page = await open_page()
    await expect(page.locator("#channel .message")).to_have_count(200)
    await page.evaluate(
        """() => {
            window.touched = new Set();
            new MutationObserver((changes) => {
                for (const { target } of changes) window.touched.add(target.closest(".message")?.dataset.ts);
            }).observe(document.querySelector("#channel .messages"), { childList: true, subtree: true });
        }"""
    )
    changed = page_server.slack["messages"][120]
    changed["blocks"][0] = section("*Approved*")
    await page_server.push()
    await expect(page.locator(f"[data-ts='{changed['ts']}'] .section")).to_have_text("Approved")
    assert await page.evaluate("[...window.touched]") == [changed["ts"]]


@pytest.mark.browser
@pytest.mark.parametrize("size", SIZES)
async def test_new_messages_scroll_into_view_only_for_a_reader_at_the_end(
    open_page: OpenPage, page_server: PageServer, size: dict[str, int]
) -> None:
    page_server.slack["messages"] = [card(at(100 - index)) for index in range(30)]
    page = await open_page(size)
    last = page.locator("#channel .message").last
    await expect(last).to_be_in_viewport()
    page_server.slack["messages"].append(said(at(20), "U0CLEO", "new one"))
    await page_server.push()
    await expect(page.locator("#channel .messages").get_by_text("new one")).to_be_in_viewport()

    middle = page.locator(f"[data-ts='{at(85)}']")
    await middle.evaluate("node => node.scrollIntoView({ block: 'start' })")
    before = await middle.bounding_box()
    page_server.slack["messages"][3]["blocks"].insert(1, section("a\nline\nmore\nabove", block_id="above"))
    page_server.slack["messages"].append(said(at(10), "U0CLEO", "newest one"))
    await page_server.push()
    await expect(page.locator("#channel .newer")).to_be_visible()
    after = await middle.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 2
    await page.locator("#channel .newer").click()
    await expect(page.locator("#channel .messages").get_by_text("newest one")).to_be_in_viewport()


@pytest.mark.browser
async def test_focus_stays_on_the_same_button_when_its_card_changes(
    open_page: OpenPage, page_server: PageServer
) -> None:
    page_server.slack["messages"] = [card()]
    page = await open_page()
    await page.get_by_role("button", name="Decline").focus()
    page_server.slack["messages"][0]["blocks"][1]["elements"].pop()
    await page_server.push()
    await expect(page.get_by_role("button", name="Why")).to_have_count(0)
    await expect(page.get_by_role("button", name="Decline")).to_be_focused()
    page_server.slack["messages"][0]["blocks"].pop()
    await page_server.push()
    await expect(page.locator("#channel .message")).to_be_focused()


@pytest.mark.browser
@pytest.mark.parametrize("size", SIZES)
async def test_the_reply_count_opens_the_thread_and_back_closes_it(
    open_page: OpenPage, page_server: PageServer, size: dict[str, int]
) -> None:
    root = card(reply_count=2)
    page_server.slack["messages"] = [
        root,
        said(at(50), "U0BEN", "looks right", thread_ts=root["ts"]),
        message(at(40), text="Polar answered 200", thread_ts=root["ts"]),
    ]
    page = await open_page(size)
    await expect(page.locator("#channel .message")).to_have_count(1)
    await page.get_by_role("button", name="2 replies").click()
    thread = page.get_by_role("region", name="Thread")
    await expect(thread.locator(".message")).to_have_count(3)
    await expect(thread.get_by_text("looks right")).to_be_visible()
    await thread.locator("textarea").fill("@polar why <now> & then?")
    await thread.get_by_role("button", name="Send").click()
    assert await page_server.acted() == {
        "user": "U0ANNA", "kind": "message", "thread_ts": root["ts"],
        "text": "@polar why <now> & then?",
    }  # fmt: skip
    await expect(thread.locator("textarea")).to_have_value("")
    await thread.locator("textarea").fill("/polar queue")
    await thread.get_by_role("button", name="Send").click()
    await expect(thread.get_by_text("/polar cannot be used in a thread.")).to_be_visible()
    assert page_server.acts.empty()
    await page.go_back()
    await expect(thread).to_be_hidden()


@pytest.mark.browser
async def test_on_a_phone_a_tap_on_a_message_opens_its_thread(
    open_page: OpenPage, page_server: PageServer
) -> None:
    page_server.slack["messages"] = [card()]
    page = await open_page(PHONE)
    await page.locator("#channel .message .section").tap()
    thread = page.get_by_role("region", name="Thread")
    await expect(thread).to_be_visible()
    await expect(thread.get_by_role("button", name="Approve")).to_be_visible()
    await thread.get_by_role("button", name="Close the thread").tap()
    await expect(thread).to_be_hidden()


@pytest.mark.browser
async def test_a_slash_offers_the_commands_and_sends_them(
    open_page: OpenPage, page_server: PageServer
) -> None:
    page = await open_page()
    write = page.locator("#channel textarea")
    await write.press_sequentially("/po")
    await expect(page.locator("#channel .hints")).to_contain_text("queue | mine | show ID")
    await write.press("Tab")
    await expect(write).to_have_value("/polar ")
    await write.press_sequentially("queue all")
    await write.press("Enter")
    act = await page_server.acted()
    assert (act["kind"], act["command"], act["text"]) == ("command", "/polar", "queue all")
    await write.press_sequentially("hello")
    await write.press("Enter")
    act = await page_server.acted()
    assert (act["kind"], act["text"], "thread_ts" in act) == ("message", "hello", False)


@pytest.mark.browser
async def test_what_is_typed_survives_snapshots_and_a_refusal(
    open_page: OpenPage, page_server: PageServer
) -> None:
    async def refused(_: dict[str, Any]) -> dict[str, Any]:
        return {"ok": False, "error": "Guests cannot write here."}

    page_server.answer = refused
    page = await open_page()
    write = page.locator("#channel textarea")
    await write.press_sequentially("half a sen")
    page_server.slack["messages"] = [card()]
    await page_server.push()
    await expect(page.locator("#channel .message")).to_have_count(1)
    await expect(write).to_be_focused()
    await write.press_sequentially("tence")
    await write.press("Enter")
    await expect(page.get_by_text("Guests cannot write here.")).to_be_visible()
    await expect(write).to_have_value("half a sentence")


@pytest.mark.browser
async def test_a_permalink_opens_the_thread_here_and_the_reader_stays_who_they_are(
    open_page: OpenPage, page_server: PageServer
) -> None:
    there = f"{page_server.url}archives/C0APPROVALS/p{at(60).replace('.', '')}"
    page_server.slack["messages"] = [card(), message(at(50), text=f"See <{there}|the card>")]
    page = await open_page(query="?user=U0CLEO")
    await page.get_by_role("link", name="the card").click()
    await expect(page.get_by_role("region", name="Thread").get_by_role("button", name="Why")).to_be_visible()
    assert "user=U0CLEO" in page.url


@pytest.mark.browser
async def test_a_mention_stands_out_for_the_person_it_names_only(
    open_page: OpenPage, page_server: PageServer
) -> None:
    page_server.slack["messages"] = [message(at(9), text="<@U0ANNA> <@U0BEN>", reactions=["eyes", "zz"])]
    page = await open_page()
    await expect(page.locator("#channel .mention-loud")).to_have_text("@Anna Berg")
    await page.locator("[data-user=U0BEN]:visible").click()
    await expect(page.locator("#channel .mention-loud")).to_have_text("@Ben Okafor")
    await expect(page.locator("#channel .reaction")).to_have_text(["\U0001f440", ":zz:"])
