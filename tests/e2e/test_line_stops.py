"""The safe direction needs nobody's word: decline, undo, hold and pause while Slack does not say who it is."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bot.app import Running
from bot.approvals import service
from bot.demo.slack.people import App
from bot.demo.slack.state import Message
from store.engine.leases import Lease
from store.graduation.case_kinds import paused
from store.models import Actor, Decision, Verdict
from store.proposals.decisions import decide
from store.proposals.wishes import Wish, WishKind, grant_wish, keep_wish
from store.schema.waiting import wishes
from tests.e2e.app_harness import GUS, JONAS, LENA, MAYA, World, eventually, world
from tests.e2e.deciding import decisions, only, policy, told
from tests.fixtures.conversation import in_thread

BOT = f"<@{App().bot_user_id}>"
LONG = '[undo_window]\nR1 = "10m"\n'


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


@contextmanager
def silent(app: Running) -> Iterator[None]:
    """Slack has not said which workspace is ours, so it says of nobody whether they belong to it."""
    authority = app.services.authority
    team, authority.team_id = authority.team_id, None
    yield
    authority.team_id = team


async def open_wishes(app: Running) -> int:
    return await app.services.store.read(lambda c: c.execute(select(func.count(wishes.c.id))).scalar_one())


async def settled(app: Running) -> bool:
    """Wait until Slack has been asked about every wish."""

    async def none_left() -> bool:
        return await open_wishes(app) == 0

    return bool(await eventually(none_left, 20))


def say(line: World, card: Message, text: str, user: str = MAYA) -> None:
    line.slack.say(user, f"{BOT} {text}", thread_ts=card.ts)


async def held(line: World, app: Running, user: str = MAYA) -> Message:
    """A card whose call waits for ten minutes, approved by Jonas."""
    card = await line.ask("order.paid")
    await line.tap(card, user=JONAS)
    await line.slack.wait_until(lambda: "undo" in line.shown(card).action_ids, 10)
    assert (await only(app)).state == "approved"
    return card


# --- At once, by a listed id --------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "seconds"), [("slow", 8), ("ratelimited", 0), ("server_error", 0)])
async def test_a_decline_is_on_disk_when_slack_has_its_answer(
    line: World, monkeypatch: pytest.MonkeyPatch, fault: str, seconds: float
) -> None:
    monkeypatch.setattr(service, "PATIENCE", 0.1)  # of one second: a busy machine has the rest for its write
    async with line.app() as app:
        card = await line.ask("order.paid")
        app.services.authority.forget(MAYA)
        line.slack.fail_next("users.info", fault, times=3, seconds=seconds)
        await line.tap(card, "decline")

        assert (await only(app)).state == "declined"
        assert [(each.actor, each.verdict) for each in await decisions(app)] == [(MAYA, "decline")]
        await line.says(card, "Declined: ")
    assert line.writes == []


async def test_a_decline_takes_effect_at_once_and_is_confirmed_afterwards(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        with silent(app):
            await line.tap(card, "decline")
            assert ((await only(app)).state, await open_wishes(app)) == ("declined", 1)
        assert await settled(app)
        assert (await only(app)).state == "declined"
        assert line.slack.ephemerals(MAYA) == []


async def test_an_undo_in_time_takes_effect_at_once(line: World, tmp_path: Path) -> None:
    policy(line, tmp_path, LONG)
    async with line.app() as app:
        card = await held(line, app)
        with silent(app):
            await line.tap(card, "undo")
            assert (await only(app)).state == "withdrawn"
            await line.says(card, "Undone: ")
        assert await settled(app)
        assert (await only(app)).state == "withdrawn"
    assert line.writes == []


async def test_a_hold_takes_effect_at_once(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        with silent(app):
            say(line, card, "hold")
            await line.says(card, "On hold: ")
            await line.slack.drain_events()
        assert await settled(app)
        assert (await only(app)).held_by == MAYA


async def test_a_pause_takes_effect_at_once(line: World) -> None:
    async with line.app() as app:
        with silent(app):
            await line.slack.command(MAYA, "/polar", "pause because it goes wild")
            assert (await line.ephemeral_text(MAYA)).startswith("Paused: ")
            assert await app.services.store.read(paused) is not None
        assert await settled(app)
        found = await app.services.store.read(paused)
    assert found is not None
    assert (found.by, found.why) == (MAYA, "it goes wild")


# --- Taken back when it was a stranger ----------------------------------------------------------------------


async def test_a_decline_of_a_listed_guest_is_taken_back(line: World) -> None:
    line.environment["APPROVERS"] += f",{GUS}"
    async with line.app() as app:
        card = await line.ask("order.paid")
        with silent(app):
            await line.tap(card, "decline", GUS)
            assert (await only(app)).state == "declined"
        assert await settled(app)
        found = await only(app)
        assert (found.state, found.decided_by, found.decided_at) == ("pending", None, None)
        assert (await told(line, GUS)).startswith("You are a guest here")
        await in_thread(line, card, "may not decide here")
        await line.slack.wait_until(lambda: "approve" in line.shown(card).action_ids, 10)
        await line.tap(card, "approve", JONAS)
        await line.says(card, "Done: ")
    assert len(line.writes) == 1


async def test_an_undo_of_a_listed_guest_is_taken_back_and_the_call_is_made(
    line: World, tmp_path: Path
) -> None:
    line.environment["APPROVERS"] += f",{GUS}"
    policy(line, tmp_path, LONG)
    async with line.app() as app:
        card = await held(line, app)
        before = await only(app)
        with silent(app):
            await line.tap(card, "undo", GUS)
            assert (await only(app)).state == "withdrawn"
        assert await settled(app)
        after = await only(app)
        assert (after.state, after.decided_by) == ("approved", JONAS)
        assert before.cancellable_until is not None
        assert after.cancellable_until is not None
        assert after.cancellable_until > before.cancellable_until  # it waits for as long as was left
        await in_thread(line, card, "may not decide here")
        await line.slack.wait_until(lambda: "undo" in line.shown(card).action_ids, 10)


async def test_a_hold_and_a_pause_of_a_listed_guest_are_taken_back(line: World) -> None:
    line.environment["APPROVERS"] += f",{GUS}"
    async with line.app() as app:
        card = await line.ask("order.paid")
        with silent(app):
            say(line, card, "hold", GUS)
            await line.slack.command(GUS, "/polar", "pause")
            await line.says(card, "On hold: ")
            assert await app.services.store.read(paused) is not None
            await line.slack.drain_events()
        assert await settled(app)
        assert (await only(app)).held_by is None
        assert await app.services.store.read(paused) is None
        await in_thread(line, card, "may not decide here")
        await line.slack.wait_until(
            lambda: any(each.text.startswith("Resumed: whoever paused") for each in line.slack.messages()), 10
        )


async def test_what_somebody_else_has_done_since_stays(line: World) -> None:
    line.environment["APPROVERS"] += f",{GUS}"
    async with line.app() as app:
        card = await line.ask("order.paid")
        with silent(app):
            say(line, card, "hold", GUS)
            await line.slack.command(GUS, "/polar", "pause")
            await line.says(card, "On hold: ")
            await line.slack.drain_events()
            app.services.authority.team_id = (await app.services.slack.whoami())["team_id"]
            say(line, card, "release", MAYA)
            await in_thread(line, card, "released this")
            say(line, card, "hold", MAYA)
            await line.slack.command(MAYA, "/polar", "resume")
            await line.slack.command(MAYA, "/polar", "pause")
            await line.slack.drain_events()
        assert await settled(app)
        pause = await app.services.store.read(paused)
        assert (await only(app)).held_by == MAYA
    assert pause is not None
    assert pause.by == MAYA


# --- By a group, once Slack says so -------------------------------------------------------------------------


async def test_what_a_member_of_a_group_stops_is_kept_over_a_restart_and_done(
    line: World, tmp_path: Path
) -> None:
    line.environment["APPROVERS"] = "S0APPROVERS"
    async with line.app() as app:
        card = await line.ask("order.paid")
        with silent(app):
            await line.tap(card, "decline", JONAS)
            await line.slack.command(JONAS, "/polar", "pause because of fraud")
            assert "stored" in await line.ephemeral_text(JONAS)
            assert ((await only(app)).state, await open_wishes(app)) == ("pending", 2)
            assert await app.services.store.read(paused) is None
    async with line.app() as app:
        assert await settled(app)
        assert ((await only(app)).state, (await only(app)).decided_by) == ("declined", JONAS)
        found = await app.services.store.read(paused)
    assert found is not None
    assert (found.by, found.why) == (JONAS, "of fraud")


async def test_a_message_that_stops_something_is_done_after_a_crash(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        proposal, now = await only(app), app.services.clock()
        # Slack tells of a message once: the program died when it was on disk and had not been answered.
        wish = Wish("thread:C1.1", WishKind.HOLD, MAYA, "thread", now, proposal.id)
        await app.services.store.do(keep_wish, wish, Lease("of a program that was killed", now, now))
        await line.says(card, "On hold: ")
        assert await settled(app)
        assert (await only(app)).held_by == MAYA


async def test_what_slack_says_nothing_about_for_a_day_stands(line: World) -> None:
    async with line.app() as app:
        await line.ask("order.paid")
        proposal, long_ago = await only(app), app.services.clock() - timedelta(hours=25)
        decision = Decision(proposal.id, MAYA, Verdict.DECLINE, "button", long_ago)
        with silent(app):
            wish = Wish("w", WishKind.DECLINE, MAYA, "button", long_ago, proposal.id)
            await app.services.store.do(grant_wish, wish, partial(decide, decision=decision))
            assert await settled(app)
        assert (await only(app)).state == "declined"


async def test_who_is_in_no_group_that_may_is_told_so_and_nothing_happens(line: World) -> None:
    line.environment["APPROVERS"] = "S0APPROVERS"
    async with line.app() as app:
        card = await line.ask("order.paid")
        with silent(app):
            await line.tap(card, "decline", LENA)
            await line.slack.wait_until(lambda: len(line.slack.ephemerals(LENA)) == 1, 10)
        await line.slack.wait_until(lambda: len(line.slack.ephemerals(LENA)) == 2, 20)
        assert line.slack.ephemerals(LENA)[-1].text.startswith("You are not an approver.")
        assert ((await only(app)).state, await open_wishes(app)) == ("pending", 0)


async def test_of_who_is_not_listed_at_all_nothing_is_kept(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        with silent(app):
            await line.tap(card, "decline", LENA)
            assert "Try again in a moment." in await line.ephemeral_text(LENA)
            assert ((await only(app)).state, await open_wishes(app)) == ("pending", 0)


async def test_an_undo_of_what_is_done_waits_for_slack_because_it_takes_new_calls(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.refunded")
        await line.tap(card)
        await line.slack.wait_until(lambda: "undo" in line.shown(card).action_ids, 10)
        sent = len(line.writes)
        with silent(app):
            await line.tap(card, "undo")
            assert "stored" in await told(line, MAYA)
            assert (await open_wishes(app), len(line.writes)) == (1, sent)
        await line.says(card, "Undone: ", 20)
        assert len(line.writes) == 2 * sent


# --- Who may pause, and who may resume ----------------------------------------------------------------------


async def test_whoever_may_decide_anything_may_pause(line: World, tmp_path: Path) -> None:
    line.environment["APPROVERS"] = ""
    policy(line, tmp_path, f'[approvers]\nR3 = ["{LENA}"]\n')
    async with line.app() as app:
        await line.slack.command(JONAS, "/polar", "pause")
        assert (await line.ephemeral_text(JONAS)).startswith("You are not an approver.")
        await line.slack.command(LENA, "/polar", "pause because it goes wild")
        assert (await line.ephemeral_text(LENA)).startswith("Paused: ")
        found = await app.services.store.read(paused)
    assert found is not None
    assert found.by == LENA


async def test_only_whoever_may_decide_every_class_that_runs_may_resume(line: World, tmp_path: Path) -> None:
    line.environment["APPROVERS"] = f"{MAYA},{LENA}"
    policy(line, tmp_path, f'[approvers]\nR3 = ["{LENA}"]\n')
    async with line.app() as app:
        await line.slack.command(LENA, "/polar", "pause because of fraud")
        await line.ephemeral_text(LENA)
        await line.slack.command(MAYA, "/polar", "resume")
        said = await line.ephemeral_text(MAYA)
        assert said.startswith("Only whoever may decide every class that runs may resume, but not you: R3.")
        assert await app.services.store.read(paused) is not None
        await line.slack.command(LENA, "/polar", "resume")
        await line.slack.wait_until(lambda: len(line.slack.ephemerals(LENA)) == 2, 10)
        assert await app.services.store.read(paused) is None


async def test_nobody_resumes_before_slack_has_said_who_it_is(line: World) -> None:
    async with line.app() as app:
        await line.slack.command(MAYA, "/polar", "pause")
        await line.ephemeral_text(MAYA)
        with silent(app):
            await line.slack.command(JONAS, "/polar", "resume")
            assert "Try again in a moment." in await line.ephemeral_text(JONAS)
            found = await app.services.store.read(paused)
    assert found is not None
    assert found.by == MAYA != Actor.PROGRAM
