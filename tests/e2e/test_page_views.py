"""The modals and the Home tab of the demo page."""

from typing import Any

import pytest
from playwright.async_api import expect

from tests.fixtures.page import SIZES, OpenPage, PageServer
from tests.fixtures.page_cards import EVERY_FIELD, actions, button, field, modal, options, plain, section


@pytest.mark.browser
@pytest.mark.parametrize("size", SIZES)
async def test_a_modal_sends_every_kind_of_answer(
    open_page: OpenPage, page_server: PageServer, size: dict[str, int]
) -> None:
    async def suggesting(act: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "options": options("Ann") if act["kind"] == "suggest" else []}

    page_server.answer = suggesting
    page_server.slack["modals"] = [modal("V1", *EVERY_FIELD)]
    page = await open_page(size)
    dialog = page.get_by_role("dialog", name="Edit the refund")
    await dialog.get_by_label("Amount").fill("4900")
    await dialog.get_by_label("Reason").click()
    await page.get_by_role("option", name="Duplicate").click()
    await dialog.get_by_label("Note").fill("two\nlines")
    await dialog.get_by_label("Who").click()
    await page.get_by_label("Search the options").press_sequentially("an", delay=1)
    await page.get_by_role("option", name="Ann").click()
    asked = await page_server.acted()
    assert (asked["kind"], asked["view_id"], asked["block_id"], asked["value"]) == (
        "suggest",
        "V1",
        "who",
        "an",
    )
    await dialog.get_by_label("Tags").click()
    await page.get_by_role("option", name="Vip").click()
    await page.get_by_role("option", name="Late").click()
    await page.get_by_role("option", name="Vip").click()
    await page.get_by_role("button", name="Done").click()
    await dialog.get_by_label("Revoke").check()
    await dialog.get_by_label("Hard").check()
    await dialog.get_by_role("button", name="Propose").click()
    act = await page_server.acted()
    assert (act["kind"], act["view_id"]) == ("submit", "V1")
    assert act["values"] == {
        "amount": {"v": {"type": "number_input", "value": "4900"}},
        "reason": {"v": {"type": "static_select", "selected_option": options("Duplicate")[0]}},
        "note": {"v": {"type": "plain_text_input", "value": "two\nlines"}},
        "who": {"v": {"type": "external_select", "selected_option": options("Ann")[0]}},
        "tags": {"v": {"type": "multi_static_select", "selected_options": options("Late")}},
        "day": {"v": {"type": "datepicker", "selected_date": "2026-11-30"}},
        "moment": {"v": {"type": "datetimepicker", "selected_date_time": 1700000040}},
        "also": {"v": {"type": "checkboxes", "selected_options": options("Revoke")}},
        "kind": {"v": {"type": "radio_buttons", "selected_option": options("Hard")[0]}},
    }


@pytest.mark.browser
@pytest.mark.parametrize("size", SIZES)
async def test_somebody_is_chosen_from_the_people_of_the_workspace(
    open_page: OpenPage, page_server: PageServer, size: dict[str, int]
) -> None:
    person = page_server.slack["users"][0]
    page_server.slack["modals"] = [modal("V1", field("amount", {"type": "users_select"}))]
    page = await open_page(size)
    await page.get_by_label("Amount").click()
    await page.get_by_role("option", name=person["real_name"] or person["name"]).click()
    await page.get_by_role("button", name="Propose").click()
    act = await page_server.acted()
    assert act["values"] == {"amount": {"v": {"type": "users_select", "selected_user": person["id"]}}}


@pytest.mark.browser
async def test_a_modal_shows_its_faults_and_the_apps_errors_under_their_fields(
    open_page: OpenPage, page_server: PageServer
) -> None:
    amount = field("amount", {"type": "number_input", "is_decimal_allowed": False, "max_value": "4900"})
    note = field("note", {"type": "plain_text_input"})
    page_server.slack["modals"] = [modal("V1", amount, note)]
    page = await open_page()
    await page.get_by_label("Amount").fill("9000")
    await page.get_by_role("button", name="Propose").click()
    await expect(page.locator("[data-block=amount] .input-error")).to_have_text("Please enter 4900 or less.")
    await expect(page.locator("[data-block=note] .input-error")).to_have_text(
        "Please complete this required field."
    )
    assert page_server.acts.empty()
    await page.get_by_label("Amount").fill("100")
    await page.get_by_label("Note").fill("typed")
    await page.get_by_role("button", name="Propose").click()
    assert (await page_server.acted())["values"]["amount"]["v"]["value"] == "100"
    errors = {"note": "Say who asked.", "": "We had trouble connecting."}
    page_server.slack["modals"] = [modal("V1", amount, note, errors=errors)]
    await page_server.push()
    await expect(page.locator(".input-error")).to_have_text(["Say who asked."])
    await expect(page.locator(".modal .warning")).to_have_text("We had trouble connecting.")
    await expect(page.get_by_label("Note")).to_have_value("typed")


@pytest.mark.browser
async def test_typing_in_a_modal_survives_snapshots_and_a_view_pushed_above_it(
    open_page: OpenPage, page_server: PageServer
) -> None:
    note = field("note", {"type": "plain_text_input"})
    page_server.slack["modals"] = [modal("V1", note)]
    page = await open_page()
    write = page.get_by_label("Note")
    await write.press_sequentially("half")
    await write.press("ArrowLeft")
    page_server.slack["modals"] = [
        modal("V1", section("Something new"), note | {"hint": plain("a new hint")})
    ]
    await page_server.push()
    await expect(page.get_by_text("a new hint")).to_be_visible()
    await expect(write).to_be_focused()
    await write.press_sequentially("_")
    await expect(write).to_have_value("hal_f")
    first = page_server.slack["modals"][0]
    page_server.slack["modals"] = [first, modal("V2", section("Above"))]
    await page_server.push()
    await expect(page.get_by_text("Above")).to_be_visible()
    await expect(write).to_have_count(0)
    await page.get_by_role("button", name="Close").click()
    assert await page_server.acted() == {"user": "U0ANNA", "kind": "close", "view_id": "V2"}
    page_server.slack["modals"] = [first]
    await page_server.push()
    await expect(write).to_have_value("hal_f")
    await page.keyboard.press("Escape")
    assert (await page_server.acted())["view_id"] == "V1"
    page_server.slack["modals"] = []
    await page_server.push()
    await expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.browser
@pytest.mark.parametrize("size", SIZES)
async def test_home_is_opened_drawn_and_clicked(
    open_page: OpenPage, page_server: PageServer, size: dict[str, int]
) -> None:
    page_server.slack["home"] = {"id": "V0", "type": "home", "blocks": [actions(button("Queue", "queue"))]}
    page = await open_page(size)
    await page.locator("[data-go=home]:visible").click()
    assert await page_server.acted() == {"user": "U0ANNA", "kind": "open_home"}
    await page.get_by_role("button", name="Queue").click()
    assert await page_server.acted() == {
        "user": "U0ANNA", "kind": "view_click", "view_id": "V0", "block_id": "actions", "action_id": "queue",
        "value": "p_1|queue",
    }  # fmt: skip
    assert page_server.acts.empty()
