"""The menu of a card over the wire: details, edit, snooze, assign, ask, reasons; and who may."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.demo.blockkit import lint_view
from bot.listeners import acknowledge
from bot.ui.details import details_view
from store.proposals.proposals import touch
from tests.e2e.app_harness import (
    DORA,
    GUS,
    JONAS,
    LENA,
    MAYA,
    OMAR,
    World,
    eventually,
    proposals,
    words_of,
    world,
)
from tests.fixtures.conversation import choose, everything, filled, id_of, in_thread, send, value_of, words_in
from tests.fixtures.slack_http import forged_click


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


# --- Details ----------------------------------------------------------------------------------------------


async def test_details_show_everything_to_everybody_of_the_workspace(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        view = await choose(line, card, "details", LENA)
        read = [words_in(view)]
        while any(button["text"]["text"] == "Next" for button in _buttons(view)):
            before = view.hash
            value = next(each["value"] for each in _buttons(view) if each["text"]["text"] == "Next")
            clicked = await line.slack.view_click(LENA, view.id, "details.next", value=value)
            assert clicked.acked
            await line.slack.wait_until(lambda before=before: line.slack.modals(LENA)[-1].hash != before, 5)
            view = line.slack.modals(LENA)[-1]
            assert lint_view(view.content) == []
            read.append(words_in(view))
        everywhere = " ".join(read)
        found = await everything(app, card)

        for part in ("The question", "Because", "What is sent to Polar", "Trail", "Rule", "The webhook"):
            assert part in everywhere
        assert found.proposal.id in everywhere
        assert "orders:generate_invoice" in everywhere
        assert "generate-invoice" in everywhere
        assert '"type": "order.paid"' in everywhere
        assert "maya" in everywhere  # who may decide


def _buttons(view) -> list[dict]:
    return [
        each for block in view.content["blocks"] if block["type"] == "actions" for each in block["elements"]
    ]


@pytest.mark.parametrize(("user", "said"), [(GUS, "guest"), (OMAR, "not a member of this workspace")])
async def test_guests_and_strangers_see_no_details(line: World, user: str, said: str) -> None:
    async with line.app():
        card = await line.ask("order.paid")
        view = await choose(line, card, "details", user)
        assert said in words_in(view)
        assert id_of(card) not in words_in(view)


async def test_details_of_a_hostile_name_are_text_and_nothing_else(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid.hostile")
        view = await choose(line, card, "details")
        kinds = {element["type"] for element in _parts(view.content["blocks"])}
        assert not kinds & {"mrkdwn", "broadcast", "link", "usergroup", "channel"}


def _parts(part) -> list[dict]:
    if isinstance(part, list):
        return [each for one in part for each in _parts(one)]
    if not isinstance(part, dict):
        return []
    own = [part] if "type" in part else []
    return own + [each for one in part.values() for each in _parts(one)]


async def test_details_show_what_was_read_of_polar(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.refunded")
        found = (await everything(app, card)).proposal
        assert found.reads is not None
        assert found.reads["grants"]["count"] == 2
        assert {"id", "order_id"} <= found.reads["grants"]["first"][0].keys()
        assert "properties" not in str(found.reads)
        shown = str(details_view(await everything(app, card), "", {}, 2))
        shown += str(details_view(await everything(app, card), "", {}, 1))
        assert "grants: benefit-grants:list" in shown
        assert found.reads["grants"]["first"][0]["id"] in shown


# --- Snooze, assign, ask -----------------------------------------------------------------------------------


async def test_a_snoozed_proposal_stays_pending_and_its_thread_says_until_when(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        view = await choose(line, card, "snooze")
        await send(line, view, span={"selected_option": {"value": "4h"}})
        assert await in_thread(line, card, "snoozed this until")
        found = await everything(app, card)
        assert found.proposal.state == "pending"
        assert found.proposal.snoozed_by == MAYA
        assert found.proposal.snoozed_until is not None
        assert 3.9 * 3600 < (found.proposal.snoozed_until - app.services.clock()).total_seconds() <= 4 * 3600
        assert [(one.kind, one.author) for one in found.comments] == [("act", MAYA)]


async def test_nobody_can_snooze_past_the_end_or_into_the_past(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        for seconds, said in ((-3_600, "has passed"), (30 * 86_400, "Choose an earlier time")):
            view = await choose(line, card, "snooze")
            await send(line, view, moment={"selected_date_time": int(time.time()) + seconds})
            assert said in words_in(line.slack.modals(MAYA)[-1])
            await line.slack.close(MAYA, view.id)
        assert (await everything(app, card)).proposal.snoozed_until is None


async def test_assigning_mentions_whoever_is_to_decide(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        await send(line, await choose(line, card, "assign"), whom={"selected_user": JONAS})
        assert f"<@{JONAS}> please decide" in (await in_thread(line, card, "please decide")).replace(
            "  ", " "
        )
        assert (await everything(app, card)).proposal.assignee == JONAS


@pytest.mark.parametrize("whom", [LENA, GUS, OMAR, DORA])
async def test_nobody_is_assigned_who_may_not_decide(line: World, whom: str) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        await send(line, await choose(line, card, "assign"), whom={"selected_user": whom})
        assert "They may not decide this" in words_in(line.slack.modals(MAYA)[-1])
        assert (await everything(app, card)).proposal.assignee is None
        assert not line.slack.thread(card.ts)


async def test_a_question_stands_in_the_thread_and_is_kept(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        view = await choose(line, card, "ask", LENA)
        question = "Did they pay <!channel> *twice*?"
        await send(line, view, LENA, text={"value": question}, whom={"selected_user": JONAS})
        said = await in_thread(line, card, "asks:")
        assert question in said
        assert f"<@{JONAS}>" in said
        found = await everything(app, card)
        assert [(one.kind, one.author, one.text) for one in found.comments] == [("thread", LENA, question)]


@pytest.mark.parametrize("name", ["snooze", "assign", "edit"])
@pytest.mark.parametrize("user", [LENA, GUS, OMAR])
async def test_who_may_not_decide_may_not_do_this_either(line: World, name: str, user: str) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        view = await choose(line, card, name, user)
        assert "submit" not in view.content
        assert "Nothing was changed" in words_in(view)
        assert (await everything(app, card)).proposal.row_version == 1


async def test_a_form_sent_after_the_decision_changes_nothing_and_says_so(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        snooze = await choose(line, card, "snooze")
        await line.tap(card, "decline", JONAS)
        await line.says(card, "Declined")
        await send(line, snooze)
        assert "no longer waits" in words_in(line.slack.modals(MAYA)[-1])
        assert (await everything(app, card)).proposal.snoozed_until is None


async def test_whoever_lost_the_right_meanwhile_is_refused_at_the_submit(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        view = await choose(line, card, "assign")
        user = line.slack.workspace.users[MAYA]
        line.slack.workspace.users[MAYA] = type(user)(
            user.id, user.name, user.real_name, "guest", user.team_id
        )
        app.services.authority.forget(MAYA)
        await send(line, view, whom={"selected_user": JONAS})
        assert "guest" in words_in(line.slack.modals(MAYA)[-1])
        assert (await everything(app, card)).proposal.assignee is None


async def test_a_small_form_is_taken_after_a_restart(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid")
        view = await choose(line, card, "assign")
    async with line.app() as app:
        await send(line, view, whom={"selected_user": JONAS})
        assert await in_thread(line, card, "please decide")
        assert (await everything(app, card)).proposal.assignee == JONAS


async def test_nobody_is_assigned_what_they_changed_themselves(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        found = (await everything(app, card)).proposal
        await app.services.store.do(touch, found.id, app.services.clock(), edited_by=JONAS)
        await send(line, await choose(line, card, "assign"), whom={"selected_user": JONAS})
        assert "somebody else must approve it" in words_in(line.slack.modals(MAYA)[-1])
        assert (await everything(app, card)).proposal.assignee is None


async def test_a_slow_form_that_is_refused_says_so_in_its_modal(
    line: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledge, "ACK_WITHIN", 0.05)
    async with line.app() as app:
        card = await line.ask("order.paid")
        view = await choose(line, card, "assign")
        line.slack.fail_next("users.info", "slow", times=1, seconds=0.5)
        app.services.authority.forget(LENA)
        await send(line, view, whom={"selected_user": LENA})
        assert "takes longer than Slack waits" in words_in(line.slack.modals(MAYA)[-1])
        await line.slack.wait_until(
            lambda: "They may not decide this" in words_in(line.slack.modals(MAYA)[-1]), 10
        )


async def test_a_slow_form_that_is_refused_is_told_when_its_modal_is_gone(
    line: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledge, "ACK_WITHIN", 0.05)
    async with line.app() as app:
        card = await line.ask("order.paid")
        view = await choose(line, card, "assign")
        line.slack.fail_next("users.info", "slow", times=1, seconds=0.5)
        line.slack.fail_next("views.update", "not_found", times=1)
        app.services.authority.forget(LENA)
        await send(line, view, whom={"selected_user": LENA})
        told = await line.ephemeral_text(MAYA)
    assert told.startswith(
        "The program took too long to handle your form. Nothing was done. They may not decide this"
    )


# --- Reasons ------------------------------------------------------------------------------------------------


async def test_a_preset_reason_is_kept_and_shown_on_the_card(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        await line.tap(card, "decline")
        await line.says(card, "Declined")
        await line.slack.wait_until(lambda: "reason" in line.shown(card).action_ids, 5)
        value = value_of(line.shown(card), "reason")
        clicked = await line.slack.click(MAYA, card.channel, card.ts, "reason", value=value)
        assert clicked.acked, clicked.error
        await line.slack.wait_until(lambda: "They do not want one" in words_of(line.shown(card)), 10)
        found = await everything(app, card)
        assert [(one.kind, one.preset, one.text) for one in found.comments] == [
            ("reason", "not_wanted", "They do not want one")
        ]


async def test_a_reason_in_ones_own_words(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        await line.tap(card, "decline")
        await line.slack.wait_until(lambda: "reason" in line.shown(card).action_ids, 10)
        value = value_of(line.shown(card), "reason").rpartition(":")[0] + ":other"
        await line.slack.click(JONAS, card.channel, card.ts, "reason", value=value)
        await send(line, await filled(line, JONAS), JONAS, text={"value": "<@U123> said *no*"})
        await line.slack.wait_until(lambda: "<@U123> said *no*" in words_of(line.shown(card)), 10)
        assert (await everything(app, card)).comments[-1].author == JONAS


async def test_a_member_who_did_not_decline_gives_no_reason(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        await line.tap(card, "decline")
        await line.slack.wait_until(lambda: "reason" in line.shown(card).action_ids, 10)
        await line.slack.click(
            LENA, card.channel, card.ts, "reason", value=value_of(line.shown(card), "reason")
        )
        assert "Nothing was changed" in await line.ephemeral_text(LENA)
        assert not (await everything(app, card)).comments


# --- Edit ---------------------------------------------------------------------------------------------------


async def test_an_edit_is_a_new_revision_with_a_diff_and_needs_a_decision_of_its_own(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.created.twice")
        old = value_of(line.shown(card), "approve")
        before = (await everything(app, card)).proposal
        view = await choose(line, card, "edit")
        assert before.calls[0].operation == "refunds:create"
        await send(line, view, **{"body.amount": {"value": "5.00"}})
        await line.slack.wait_until(lambda: value_of(line.shown(card), "approve") != old, 10)
        assert "needs a decision of its own" in await in_thread(line, card, "edited this")
        found = await everything(app, card)
        now = found.proposal

        assert (now.state, now.revision, now.edited_by) == ("pending", 2, MAYA)
        assert now.calls[0].body is not None
        assert now.calls[0].body["amount"] == 500
        assert now.content_hash != before.content_hash
        assert [change[2] for change in now.changes if "mount" in change[0]] == ["$5.00"]
        assert [one.title for one in found.revisions] == [before.title]
        assert "$5.00" in words_of(line.shown(card))
        # the old button decides nothing
        clicked = await forged_click(line.slack, JONAS, card.channel, card.ts, "approve", value=old)
        assert clicked.acked
        assert "changed" in await line.ephemeral_text(JONAS)
        assert not line.writes


async def test_whoever_edited_does_not_approve_it_alone(line: World) -> None:
    async with line.app():
        card = await line.ask("order.created.twice")
        await send(line, await choose(line, card, "edit"), **{"body.amount": {"value": "5.00"}})
        await in_thread(line, card, "edited this")
        await line.slack.wait_until(lambda: ":2" in value_of(line.shown(card), "approve"), 10)
        await line.tap(card, "approve", MAYA)
        assert "somebody else must approve" in await line.ephemeral_text(MAYA)
        assert not line.writes


async def test_an_edit_that_comes_after_another_one_is_refused(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.created.twice")
        mine, theirs = await choose(line, card, "edit"), await choose(line, card, "edit", JONAS)
        await send(line, theirs, JONAS, **{"body.amount": {"value": "7.00"}})
        await in_thread(line, card, "edited this")
        await send(line, mine, **{"body.amount": {"value": "5.00"}})
        assert "changed since" in words_in(line.slack.modals(MAYA)[-1])
        found = await everything(app, card)
        assert found.proposal.revision == 2
        assert found.proposal.calls[0].body is not None
        assert found.proposal.calls[0].body["amount"] == 700


async def test_a_slow_edit_is_stored_and_its_modal_says_so(
    line: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledge, "ACK_WITHIN", 0.05)
    async with line.app() as app:
        card = await line.ask("order.created.twice")
        view = await choose(line, card, "edit")
        app.services.authority.forget(MAYA)
        line.slack.fail_next("users.info", "slow", seconds=2.6)  # at 2.4 s it once was given up
        await send(line, view, **{"body.amount": {"value": "5.00"}})
        assert "still working on this" in words_in(line.slack.modals(MAYA)[-1])
        await line.slack.wait_until(lambda: "Saved" in words_in(line.slack.modals(MAYA)[-1]), 10)
        assert (await everything(app, card)).proposal.revision == 2


async def test_an_edit_that_changes_nothing_changes_nothing(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.created.twice")
        await send(line, await choose(line, card, "edit"))
        assert "You changed nothing" in words_in(line.slack.modals(MAYA)[-1])
        assert (await everything(app, card)).proposal.revision == 1


async def test_an_edit_is_taken_after_a_restart(line: World) -> None:
    async with line.app():
        card = await line.ask("order.created.twice")
        view = await choose(line, card, "edit")
        assert len(view.content["private_metadata"]) < 40
    async with line.app() as app:
        await send(line, view, **{"body.amount": {"value": "5.00"}})
        assert await in_thread(line, card, "edited this")
        assert (await everything(app, card)).proposal.revision == 2


async def test_a_proposal_of_several_calls_says_why_it_cannot_be_edited(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("subscription.revoked.last")
        count = len((await proposals(app))[0].calls)
        view = await choose(line, card, "edit")
        if count > 1:
            assert f"It makes {count} calls" in words_in(view)
        else:
            assert "submit" in view.content


async def test_an_edited_refund_is_done_as_edited(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.created.twice")
        await send(line, await choose(line, card, "edit"), **{"body.amount": {"value": "5.00"}})
        await line.slack.wait_until(lambda: ":2" in value_of(line.shown(card), "approve"), 10)
        await line.tap(card, "approve", JONAS)

        async def approved() -> bool:
            return (await everything(app, card)).proposal.state == "approved"

        await eventually(approved)
        assert (await everything(app, card)).proposal.decided_by == JONAS
