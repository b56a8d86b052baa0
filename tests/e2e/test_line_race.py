"""People at the same moment, too late, twice over or from elsewhere: one decision each, and what each is told."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.app import Running
from bot.demo.slack.people import App
from bot.demo.slack.state import Message
from store.graduation.case_kinds import paused
from store.models import Proposal
from tests.e2e.app_harness import (
    JONAS,
    MAYA,
    OMAR,
    PolarUnhurried,
    World,
    proposals,
    world,
)
from tests.e2e.deciding import decisions, only, posted, replayed, told, value_of
from tests.e2e.test_bundles import bundled
from tests.fixtures.conversation import choose, everything, filled, send, words_in
from tests.fixtures.slack_http import forged_click

BOT = f"<@{App().bot_user_id}>"
MANY = 50
ELSEWHERE = "not a member of this workspace"


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def stands(proposal: Proposal) -> tuple[Any, ...]:
    """What a tap may have changed of it; not where and when its card was drawn."""
    return proposal.state, proposal.row_version, proposal.revision, proposal.content_hash, proposal.decided_by


# --- At the same moment -------------------------------------------------------------------------------------


# What Maya and Jonas do at once, in turn: a yes takes longer than a no, for Polar is asked first.
PAIRS = (("approve", "decline"), ("decline", "approve"), ("approve", "approve"), ("decline", "decline"))


async def race(line: World, card: Message, number: int) -> None:
    first, second = PAIRS[number % len(PAIRS)]
    taps = [(MAYA, first), (JONAS, second)]
    clicks = [line.slack.click(who, card.channel, card.ts, what) for who, what in taps[:: 1 - number % 2 * 2]]
    for clicked in await asyncio.gather(*clicks):
        assert clicked.acked, clicked.error


@pytest.mark.timed
async def test_of_fifty_proposals_each_is_decided_once_and_the_loser_is_told_who_was_first(
    line: World,
) -> None:
    async with line.app() as app:
        for _ in range(MANY):
            line.play("order.paid")
        await line.slack.wait_until(lambda: len(line.cards) == MANY, 60)
        await asyncio.gather(*(race(line, card, number) for number, card in enumerate(line.cards)))
        await line.slack.wait_until(
            lambda: sum(len(line.slack.ephemerals(who)) for who in (MAYA, JONAS)) == MANY, 60
        )
        await line.slack.wait_until(lambda: all(_over(each) for each in line.cards), 60)
        made, counted = await proposals(app), await decisions(app)

    assert Counter(each.proposal_id for each in counted) == dict.fromkeys((each.id for each in made), 1)
    won = Counter(str(each.decided_by) for each in made)
    assert won == Counter(each.actor for each in counted)
    for winner, loser in ((MAYA, JONAS), (JONAS, MAYA)):
        said = [each.text for each in line.slack.ephemerals(loser)]
        assert len(said) == won[winner]
        assert all(each.startswith(f"<@{winner}> was first. ") for each in said)
    approved = [each for each in counted if each.verdict == "approve"]
    assert len(line.writes) == len({each.path for each in line.writes}) == len(approved)
    assert {each.state for each in made} == {"succeeded", "declined"}


def _over(card: Message) -> bool:
    return card.text.startswith(("Done: ", "Declined: "))


# --- Too late -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "entered"),
    [
        ("snooze", {"span": {"selected_option": {"value": "4h"}}}),
        ("assign", {"whom": {"selected_user": JONAS}}),
        ("edit", {"body.amount": {"value": "5.00"}}),
    ],
)
@pytest.mark.parametrize("late", ["declined", "changed"])
async def test_a_form_of_what_has_been_decided_or_changed_changes_nothing_and_says_so(
    line: World, name: str, entered: dict[str, Any], late: str
) -> None:
    async with line.app() as app:
        card = await line.ask("order.created.twice")
        view = await choose(line, card, name)
        if late == "declined":
            await line.tap(card, "decline", JONAS)
            await line.says(card, "Declined: ")
        else:
            theirs = await choose(line, card, "edit", JONAS)
            await send(line, theirs, JONAS, **{"body.amount": {"value": "7.00"}})
            await line.slack.wait_until(lambda: ":2" in value_of(line.shown(card)), 10)
        before = (await everything(app, card)).proposal
        await send(line, view, **entered)
        said = words_in(line.slack.modals(MAYA)[-1])
        after = (await everything(app, card)).proposal

    assert ("no longer waits" if late == "declined" else "changed since") in said
    assert "nothing was done" in said.lower()
    assert stands(after) == stands(before)


async def test_of_what_was_declined_a_question_may_still_be_asked(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        view = await choose(line, card, "ask")
        await line.tap(card, "decline", JONAS)
        await line.says(card, "Declined: ")
        await send(line, view, text={"value": "Why not?"})
        await line.slack.wait_until(lambda: len(line.slack.thread(card.ts)) == 1, 10)
        assert (await only(app)).state == "declined"


async def test_a_tap_on_the_home_tab_after_the_decision_says_who_was_first(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        line.slack.open_home(JONAS)
        await line.slack.wait_until(lambda: "approve" in str(line.slack.home(JONAS)), 10)
        view = line.slack.home(JONAS)
        assert view is not None
        taps = [
            line.slack.click(MAYA, card.channel, card.ts, "decline"),
            line.slack.view_click(JONAS, view.id, "approve"),
        ]
        assert all(clicked.acked for clicked in await asyncio.gather(*taps))
        await line.slack.wait_until(lambda: "was first." in str(line.slack.home(JONAS)), 10)
        assert (await only(app)).decided_by == MAYA
        assert MAYA in str(line.slack.home(JONAS))


# --- Twice over ---------------------------------------------------------------------------------------------


def pressed(line: World, card: Message, action: str) -> dict[str, Any]:
    team = line.slack.workspace.team.id
    entry = {"type": "button", "action_id": action, "block_id": "b", "action_ts": "1800000000.000100"}
    return {
        "type": "block_actions",
        "user": {"id": MAYA, "team_id": team},
        "team": {"id": team},
        "container": {"type": "message", "message_ts": card.ts, "channel_id": card.channel},
        "actions": [entry | {"value": value_of(card, action)}],
    }


async def test_a_no_that_is_sent_again_counts_once(line: World) -> None:
    line.use_http()
    async with line.app() as app:
        card = await line.ask("order.paid")
        assert await posted(line, pressed(line, card, "decline")) == [200, 200, 200]
        await line.says(card, "Declined: ")
        assert [(each.actor, each.verdict) for each in await decisions(app)] == [(MAYA, "decline")]
        assert [each.text for each in line.slack.ephemerals(MAYA)] == [ALREADY] * 2


ALREADY = "You decided this already. Its state is “declined”. Nothing was changed."


async def test_a_recorded_request_is_refused_and_says_nothing_to_anybody(line: World) -> None:
    line.use_http()
    async with line.app() as app:
        card = await line.ask("order.paid")
        assert await replayed(line, pressed(line, card, "decline")) == [200, 401, 401]
        await line.says(card, "Declined: ")
        assert [(each.actor, each.verdict) for each in await decisions(app)] == [(MAYA, "decline")]
        assert not line.slack.ephemerals(MAYA)


async def test_an_undo_that_is_sent_again_undoes_once_and_says_so(line: World) -> None:
    line.use_http()
    async with line.app():
        card = await line.ask("order.refunded")
        await line.tap(card)
        await line.slack.wait_until(lambda: "undo" in line.shown(card).action_ids, 10)
        before = len(line.writes)
        assert await posted(line, pressed(line, line.shown(card), "undo")) == [200, 200, 200]
        await line.says(card, "Undone: ")
        said = {each.text for each in line.slack.ephemerals(MAYA)}

    assert len(line.writes) == 2 * before
    assert all("Nothing was changed" in each for each in said)


# --- From another workspace ---------------------------------------------------------------------------------


async def test_who_comes_from_elsewhere_is_told_so_whatever_they_tap(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        value, before = value_of(card), await only(app)
        actions = ("approve", "decline", "undo", "retry", "check", "mark_done", "mark_not_done")
        for count, action in enumerate(actions, 1):
            clicked = await forged_click(line.slack, OMAR, card.channel, card.ts, action, value=value)
            assert clicked.acked
            said = await told(line, OMAR, count)
            assert ELSEWHERE in said
            assert "Nothing was changed." in said
        for name in ("details", "edit", "snooze", "assign", "ask"):
            view = await choose(line, card, name, OMAR)
            assert ELSEWHERE in words_in(view)
            assert "submit" not in view.content
            await line.slack.close(OMAR, view.id)
        await forged_click(line.slack, OMAR, card.channel, card.ts, "why", value=value)
        assert ELSEWHERE in words_in(await filled(line, OMAR))
        assert stands(await only(app)) == stands(before)
        assert await decisions(app) == []


Enter = Callable[[World, Running, Message], Awaitable[str]]


async def _thread(line: World, _: Running, card: Message) -> str:
    line.slack.say(OMAR, f"{BOT} approve", thread_ts=card.ts)
    return await line.ephemeral_text(OMAR)


def _typed(words: str) -> Enter:
    async def enter(line: World, _: Running, __: Message) -> str:
        assert (await line.slack.command(OMAR, "/polar", words)).acked
        return await line.ephemeral_text(OMAR)

    return enter


async def _form(line: World, _: Running, __: Message) -> str:
    assert (await line.slack.command(OMAR, "/polar", "propose refund")).acked
    await line.slack.wait_until(
        lambda: line.slack.modals(OMAR) and "submit" not in line.slack.modals(OMAR)[-1].content, 5
    )
    return words_in(line.slack.modals(OMAR)[-1])


async def _home(line: World, _: Running, __: Message) -> str:
    line.slack.open_home(OMAR)
    await line.slack.wait_until(lambda: line.slack.home(OMAR), 10)
    view = line.slack.home(OMAR)
    assert view is not None
    assert not (await line.slack.view_click(OMAR, view.id, "approve")).acked  # there is nothing to tap
    return words_in(view)


async def _reason(line: World, _: Running, card: Message) -> str:
    value = value_of(card)
    await line.tap(card, "decline")
    await line.says(card, "Declined: ")
    await forged_click(line.slack, OMAR, card.channel, card.ts, "reason", value=f"{value}:not_wanted")
    return await line.ephemeral_text(OMAR)


@pytest.mark.parametrize(
    "enter",
    [
        pytest.param(_thread, id="thread"),
        pytest.param(_typed("pause because I say so"), id="/polar pause"),
        pytest.param(_typed("resume"), id="/polar resume"),
        pytest.param(_typed("queue"), id="/polar queue"),
        pytest.param(_form, id="/polar propose"),
        pytest.param(_home, id="Home tab"),
        pytest.param(_reason, id="reason"),
    ],
)
async def test_who_comes_from_elsewhere_is_told_so_wherever_they_come_in(line: World, enter: Enter) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        assert ELSEWHERE in await enter(line, app, card)
        assert await app.services.store.do(paused) is None
        assert OMAR not in {each.actor for each in await decisions(app)}
        assert [each.author for each in (await everything(app, card)).comments if each.kind != "thread"] == []


@pytest.mark.parametrize(
    ("name", "entered"),
    [
        ("snooze", {"span": {"selected_option": {"value": "4h"}}}),
        ("assign", {"whom": {"selected_user": JONAS}}),
        ("ask", {"text": {"value": "Why?"}}),
        ("edit", {"body.amount": {"value": "5.00"}}),
    ],
)
async def test_who_is_of_another_workspace_by_now_is_refused_at_the_submit(
    line: World, name: str, entered: dict[str, Any]
) -> None:
    async with line.app() as app:
        card = await line.ask("order.created.twice")
        view = await choose(line, card, name)
        before, elsewhere = await only(app), line.slack.workspace.users[OMAR]
        line.slack.workspace.users[MAYA] = replace(elsewhere, id=MAYA)
        app.services.authority.forget(MAYA)
        await send(line, view, **entered)
        assert ELSEWHERE in words_in(line.slack.modals(MAYA)[-1])
        assert stands(await only(app)) == stands(before)


async def test_a_bundle_is_closed_to_who_comes_from_elsewhere(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app, 9)
        for count, action in enumerate(("approve_all", "decline_all"), 1):
            await line.tap(card, action, OMAR)
            assert ELSEWHERE in await told(line, OMAR, count)
        await line.tap(card, "review", OMAR)
        assert ELSEWHERE in words_in(await filled(line, OMAR))
        await line.tap(card, "review")
        mine = await filled(line)
        line.slack.workspace.users[MAYA] = replace(line.slack.workspace.users[OMAR], id=MAYA)
        app.services.authority.forget(MAYA)
        assert (await line.slack.submit(MAYA, mine.id)).acked
        await line.slack.wait_until(lambda: ELSEWHERE in words_in(line.slack.modals(MAYA)[-1]), 10)
        assert await decisions(app) == []
        assert {each.state for each in await proposals(app)} == {"pending"}


async def test_a_review_sent_after_all_was_decided_says_so_and_decides_nothing(line: World) -> None:
    async with line.app(PolarUnhurried) as app:
        card = await bundled(line, app, 9)
        await line.tap(card, "review")
        view = await filled(line)
        await line.tap(card, "decline_all", JONAS)
        await line.slack.wait_until(lambda: " declined" in line.shown(card).text, 15)
        assert (await line.slack.submit(MAYA, view.id)).acked
        await line.slack.wait_until(
            lambda: "nothing of it waits any more" in words_in(line.slack.modals(MAYA)[-1]), 10
        )
        assert {each.actor for each in await decisions(app)} == {JONAS}
