"""`/polar propose`: who may, what they are told, and what becomes of a form that is left, lost or sent twice."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.app import Running
from bot.cli import export
from bot.demo.slack.state import View
from bot.forms.modal import ADD, BACK, FIND, OPERATION, PICK
from store.proposals.proposals import all_proposals
from tests.fixtures.forms import ANY_ID
from tests.fixtures.propose import GUS, JONAS, LENA, MAYA, OMAR, ROW, World, world
from tests.fixtures.slack import change_group, change_role

KEY = "TEST-0123456789"
HOOK = "https://hooks.slack.com/services/T0SECRET/B0SECRET/T0SECRET"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


async def refund_form(here: World, user: str = MAYA) -> str:
    """The form of a refund with its order chosen; the id of the view."""
    view = await here.begin("refunds:create", user)
    await here.slack.suggest(user, view.id, FIND, "jane", "body.order_id")
    await here.tap(view, FIND, "body.order_id", ANY_ID, user=user)
    return view.id


async def send(here: World, view_id: str, user: str = MAYA, **given: object) -> None:
    """Fill in what is missing and press the button."""
    values = await here.values(here.view(user), user=user, **given)  # type: ignore[arg-type]  # test sugar
    await here.slack.submit(user, view_id, values)


# --- amounts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "typed", "minor", "shown"),
    [("eur", "29.99", 2_999, "€29.99"), ("jpy", "2900", 2_900, "¥2,900"), ("usd", "0.07", 7, "$0.07")],
)
async def test_an_amount_is_asked_in_the_currency_of_its_order_and_sent_in_its_smallest_unit(
    here: World, currency: str, typed: str, minor: int, shown: str
) -> None:
    here.polar.currency = currency
    async with here.app():
        view_id = await refund_form(here)
        assert f"Amount before tax in {currency.upper()}" in here.shown()
        await send(here, view_id, body__amount={"value": typed})
        card = await here.card()
        assert card.text.startswith(f"Refund an order: {shown}, INV-7")
        assert "Amount before tax" in here.words(card)
        assert "returns the tax in proportion on top of the amount; its fees are not" in here.words(card)
        assert (await here.approve(card)).startswith("Done")
    assert here.polar.calls[0].body is not None
    assert here.polar.calls[0].body["amount"] == minor


@pytest.mark.parametrize(("currency", "typed"), [("jpy", "29.50"), ("eur", "29.999")])
async def test_an_amount_with_more_digits_than_its_currency_has_is_an_error_under_it(
    here: World, currency: str, typed: str
) -> None:
    here.polar.currency = currency
    async with here.app():
        view_id = await refund_form(here)
        await send(here, view_id, body__amount={"value": typed})
        errors = here.view().errors or {}
    assert list(errors) == ["body.amount"]
    assert currency.upper() in errors["body.amount"]


async def test_an_amount_whose_currency_polar_does_not_say_is_not_guessed(here: World) -> None:
    async with here.app():
        view = await here.begin("refunds:create")
        values = await here.values(view)
        here.polar.gone.add("orders:get")
        await here.slack.submit(MAYA, view.id, values)
        assert "currency is not known" in (here.view().errors or {})["body.amount"]


async def slowly(here: World, app: Running, view: View, values: dict[str, object]) -> None:
    """Submit while Slack takes so long to say who it is that the form once was given up."""
    app.services.authority.forget(MAYA)
    here.slack.fail_next("users.info", "slow", seconds=2.6)
    assert (await here.slack.submit(MAYA, view.id, values)).acked
    assert "still working on this" in here.shown()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack's three seconds, without waiting for them."""
    monkeypatch.setattr("bot.listeners.acknowledge.ACK_WITHIN", 0.2)


@pytest.mark.usefixtures("impatient")
async def test_a_slow_form_is_acknowledged_in_time_and_its_modal_shows_what_came_of_it(here: World) -> None:
    async with here.app() as app:
        view = await here.begin("refunds:create")
        values = await here.values(view, body__amount={"value": "9.999"})
        await slowly(here, app, view, values)
        await here.slack.wait_until(lambda: "still working" not in here.shown(), 10)
        assert "Amount before tax: EUR has two digits" in here.shown()
        assert "9.999" in json.dumps(here.view().content)  # what was typed is not lost
        assert await app.services.store.do(lambda connection: list(all_proposals(connection))) == []

        values = await here.values(here.view(), body__amount={"value": "9"})
        await slowly(here, app, here.view(), values)
        await here.slack.wait_until(lambda: "Proposed: Refund an order: €9.00" in here.shown(), 10)
        assert len(await app.services.store.do(lambda connection: list(all_proposals(connection)))) == 1


@pytest.mark.usefixtures("impatient")
async def test_whoever_closes_a_slow_form_is_told_what_came_of_it(here: World) -> None:
    async with here.app() as app:
        view = await here.begin("refunds:create")
        values = await here.values(view, body__amount={"value": "9"})
        await slowly(here, app, view, values)
        here.slack.fail_next("views.update", "not_found")  # what Slack says of a closed one
        assert (await here.told(MAYA)).startswith("Proposed: Refund an order: €9.00")


# --- who --------------------------------------------------------------------------------------------------


async def test_everybody_here_may_propose_and_the_proposer_may_not_approve_alone(here: World) -> None:
    async with here.app():
        await here.fill("orders:generate_invoice", user=LENA)
        card = await here.card()
        assert "lena proposes this." in here.words(card)
        await here.slack.click(LENA, card.channel, card.ts, "approve")
        assert "not an approver" in await here.told(LENA)

        await here.fill("orders:generate_invoice", user=MAYA)
        own = await here.card(2)
        await here.slack.click(MAYA, own.channel, own.ts, "approve")
        assert "somebody else must approve" in await here.told(MAYA)
        assert here.polar.calls == []
        assert here.now(own).action_ids == ["approve", "decline", "menu"]

        assert (await here.approve(own, JONAS)).startswith("Done")
    assert [call.operation for call in here.polar.calls] == ["orders:generate_invoice"]


async def test_the_proposer_may_decline(here: World) -> None:
    async with here.app():
        await here.fill("orders:generate_invoice")
        card = await here.card()
        await here.slack.click(MAYA, card.channel, card.ts, "decline")
        await here.slack.wait_until(lambda: here.now(card).text.startswith("Declined"), 5)
    assert here.polar.calls == []


@pytest.mark.parametrize("approvers", [MAYA, "S0APPROVERS"])
async def test_the_only_approver_there_is_may_approve_their_own(tmp_path: Path, approvers: str) -> None:
    async with world(tmp_path, approvers=approvers) as here:
        change_group(here.slack, "S0APPROVERS", [MAYA])
        async with here.app():
            await here.fill("orders:generate_invoice")
            assert (await here.approve(await here.card(), MAYA)).startswith("Done")


@pytest.mark.parametrize(
    ("user", "why"), [(GUS, "guests may not propose"), (OMAR, "not a member of this workspace")]
)
async def test_guests_and_strangers_are_told_why_not_and_see_no_customer(
    here: World, user: str, why: str
) -> None:
    async with here.app():
        opened = await here.command(user=user)
        assert opened is not None
        asked = await here.slack.suggest(user, opened.id, OPERATION, "refund")
        assert not asked.options
        assert not asked.option_groups
        await here.slack.wait_until(lambda: why in here.shown(user), 5)
        assert "submit" not in here.view(user).content
        assert "Nothing was proposed" in here.shown(user)


async def test_somebody_who_becomes_a_guest_meanwhile_is_told_at_the_end(here: World) -> None:
    async with here.app() as app:
        view = await here.begin("orders:generate_invoice", LENA)
        values = await here.values(view, user=LENA)
        change_role(here.slack, LENA, "guest")
        await here.slack.drain_events()
        app.services.authority.forget(LENA)
        await here.slack.submit(LENA, view.id, values)
        assert "guests may not propose" in here.shown(LENA)
        assert await app.services.store.do(lambda connection: list(all_proposals(connection))) == []


# --- forms that are left, lost or sent twice --------------------------------------------------------------


async def test_a_form_submitted_twice_at_once_is_one_proposal(here: World) -> None:
    async with here.app() as app:
        view = await here.begin("orders:generate_invoice")
        values = await here.values(view)
        await asyncio.gather(*(here.slack.submit(MAYA, view.id, values) for _ in range(3)))
        await here.card()
        assert len(await app.services.store.do(lambda connection: list(all_proposals(connection)))) == 1
        assert "roposed: " in here.shown()


async def test_a_trigger_that_has_expired_is_told_with_what_to_do(here: World) -> None:
    async with here.app():
        here.slack.fail_next("views.open", "expired_trigger_id")
        assert await here.command() is None
        told = await here.told(MAYA)
    assert "could not be opened" in told
    assert "/polar propose" in told


async def test_a_form_from_before_a_restart_says_so(here: World) -> None:
    async with here.app():
        view = await here.begin("orders:generate_invoice")
        values = await here.values(view)
    async with here.app():
        await here.slack.submit(MAYA, view.id, values)
        assert "no longer known here" in here.shown()
        assert "Nothing was proposed" in here.shown()
    async with here.app():
        asked = await here.slack.suggest(MAYA, view.id, FIND, "jane", "path.id")
        assert not asked.options


async def test_a_form_that_is_closed_while_it_changes_is_nobodys_problem(
    here: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot.forms")
    async with here.app():
        opened = await here.command()
        assert opened is not None
        await here.slack.suggest(MAYA, opened.id, OPERATION, "refund")
        here.slack.fail_next("views.update", "not_found")  # what Slack says of a closed one
        clicked = await here.slack.view_click(MAYA, opened.id, OPERATION, OPERATION, value="refunds:create")
        assert clicked.acked
        await here.slack.wait_until(lambda: here.slack.workspace.counts["views.update"] == 1, 5)
        await here.slack.close(MAYA, opened.id)
        assert here.slack.ephemerals(MAYA) == []
    assert "a form is not redrawn: " in caplog.text
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_the_form_opens_although_polar_is_slow(here: World) -> None:
    here.polar.slow = 10
    async with here.app():
        assert await here.command("refund an order") is not None
        assert "Refund an order" in here.shown()
        here.polar.slow = 0


# --- what is asked ----------------------------------------------------------------------------------------


async def test_words_of_the_command_begin_the_search_or_the_form(here: World) -> None:
    async with here.app():
        assert (await here.command("refunds:create")) is not None
        assert "Amount" in here.shown()
        assert (await here.command("subscription")) is not None
        assert "End a subscription now" in here.shown()
        assert (await here.command("<!channel> nonsense")) is not None
        assert "Nothing that can be proposed" in here.shown()


async def test_a_first_page_that_is_submitted_leads_on_too(here: World) -> None:
    async with here.app():
        opened = await here.command("subscription")
        assert opened is not None
        await here.slack.submit(MAYA, opened.id, {OPERATION: {OPERATION: {"value": "subscriptions:revoke"}}})
        assert "Subscription" in here.shown()


async def test_more_than_fits_is_asked_on_pages_and_going_back_keeps_what_was_entered(here: World) -> None:
    async with here.app():
        view = await here.begin("organizations:update")
        await here.slack.submit(MAYA, view.id, await here.values(view, more="all"))
        assert "page 2" in here.shown()
        second = await here.values(here.view(), body__name={"value": "Harbor Ltd"})
        await here.slack.submit(MAYA, view.id, second)
        assert "page 3" in here.shown()
        await here.tap(here.view(), BACK, "back", "back")
        kept = {b["block_id"]: b for b in here.view().content["blocks"]}["body.name"]
        assert kept["element"]["initial_value"] == "Harbor Ltd"
        assert len(here.view().content["private_metadata"]) < 40


async def test_another_way_and_another_entry_change_what_is_asked(here: World) -> None:
    async with here.app():
        view = await here.begin("products:create")
        await here.tap(view, PICK, "pick:body", "1")
        assert "Price: price amount" in here.shown() or "Prices: price amount" in here.shown()
        await here.tap(here.view(), PICK, "pick:body.prices.0", "1")
        assert "minimum amount" in here.shown()
        await here.tap(here.view(), ADD, "add:body.prices", "body.prices")
        assert "Prices 2" in here.shown()


async def test_what_does_not_fit_is_said_under_its_input(here: World) -> None:
    async with here.app():
        view = await here.begin("customers:members:create")
        await here.slack.submit(MAYA, view.id, await here.values(view, body__email={"value": "nobody"}))
        assert (here.view().errors or {}) == {"body.email": "This must be an e-mail address."}


async def test_an_update_that_changes_nothing_is_not_proposed(here: World) -> None:
    async with here.app():
        view = await here.begin("files:update")
        values = await here.values(view)
        values["more"] = {"propose.more": {"selected_options": []}}
        await here.slack.submit(MAYA, view.id, values)
        assert "more" in (here.view().errors or {})


async def test_a_pasted_id_is_named_and_one_that_is_not_there_is_not_offered(here: World) -> None:
    async with here.app():
        view = await here.begin("customers:delete")
        [found] = (await here.slack.suggest(MAYA, view.id, FIND, ANY_ID, "path.id")).options
        assert "jane@example.com" in found["text"]["text"]
        assert found["value"] == ANY_ID
        here.polar.gone.add("customers:get")
        assert (await here.slack.suggest(MAYA, view.id, FIND, ANY_ID, "path.id")).options == []


async def test_orders_are_found_by_their_customer_and_their_invoice_number(here: World) -> None:
    async with here.app():
        view = await here.begin("refunds:create")
        for typed in ("jane@example", "inv-7"):
            [found] = (await here.slack.suggest(MAYA, view.id, FIND, typed, "body.order_id")).options
            assert found["text"]["text"] == "INV-7 · €29.00 · Jane Doe (jane@example.com) · paid"


# --- before the call --------------------------------------------------------------------------------------


async def test_what_is_gone_when_it_is_approved_is_withdrawn_and_not_called(here: World) -> None:
    async with here.app():
        await here.fill("customers:delete")
        here.polar.gone.add("customers:get")
        assert (await here.approve(await here.card())).startswith("Withdrawn")
    assert here.polar.calls == []


async def test_a_key_that_is_typed_in_stays_off_the_card(here: World) -> None:
    async with here.app():
        await here.fill("license_keys:validate", body__key={"value": "TEST-0123456789"})
        card = await here.card()
        assert "TEST-0123456789" not in here.words(card) + card.text
        assert "kept off the card" in here.words(card)
        assert "6789" not in here.words(card) + card.text


async def test_a_key_is_exported_by_its_end_and_stored_and_sent_whole(
    here: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with here.app():
        for name, value in here.environment.items():  # the program takes the tokens out when it starts
            monkeypatch.setenv(name, value)
        await here.fill("license_keys:validate", body__key={"value": KEY})
        card = await here.card()
        assert await asyncio.to_thread(export.run, ["proposals"]) == 0
        printed = capsys.readouterr().out
        assert KEY not in printed
        assert json.loads(printed)["calls"][0]["body"]["key"] == "…6789"
        assert (await here.approve(card)).startswith("Done")
        assert await asyncio.to_thread(export.run, ["proposals"]) == 0
        assert KEY not in capsys.readouterr().out
    assert here.polar.calls[0].body is not None
    assert here.polar.calls[0].body["key"] == KEY


@pytest.mark.parametrize(
    "operation", ["webhooks:create_webhook_endpoint", "webhooks:update_webhook_endpoint"]
)
async def test_of_a_webhooks_url_only_the_host_is_shown_in_the_channel(here: World, operation: str) -> None:
    async with here.app():
        said = await here.fill(operation, more="all", body__url={"value": HOOK})
        card = await here.card()
        shown = said + here.words(card) + card.text
        assert "T0SECRET" not in shown
        assert "hooks.slack.com" in shown
        assert (await here.approve(card)).startswith("Done")
        everything = json.dumps([[one.text, one.blocks] for one in here.slack.messages()])
        assert "T0SECRET" not in everything
    assert here.polar.calls[0].body is not None
    assert here.polar.calls[0].body["url"] == HOOK


async def test_an_endpoint_is_offered_and_named_by_its_host(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROW, "url", HOOK)
    async with here.app():
        view = await here.begin("webhooks:delete_webhook_endpoint")
        for typed in ("", "hooks.slack", ANY_ID):
            [found] = (await here.slack.suggest(MAYA, view.id, FIND, typed, "path.id")).options
            assert found["text"]["text"] == "Jane Doe · hooks.slack.com"


async def test_an_object_whose_name_slack_would_cut_is_not_offered(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with here.app():
        view = await here.begin("customers:delete_external")
        asked = (MAYA, view.id, FIND)
        assert len((await here.slack.suggest(*asked, "u" * 150, "path.external_id")).options) == 2
        assert len((await here.slack.suggest(*asked, "u" * 151, "path.external_id")).options) == 1
        monkeypatch.setitem(ROW, "external_id", "x" * 151)
        assert (await here.slack.suggest(*asked, "", "path.external_id")).options == []


async def test_what_a_proposer_types_is_no_markup_on_the_card(here: World) -> None:
    async with here.app():
        await here.fill("customers:create", more="all", body__name={"value": "<!channel> *now*\u202e"})
        card = await here.card()
        assert "<!channel>" not in card.text
        assert "\u202e" not in here.words(card) + card.text
