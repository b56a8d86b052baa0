"""The Home tab, `/polar` and the greeting, over the wire: the whole program between two stand-ins."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from bot.app import Running
from bot.checks.checklist import SetUp
from bot.demo.blockkit import lint_view
from bot.demo.slack.state import Message
from bot.listeners.home import HomeTab
from bot.listeners.workspace import HealthSource
from bot.logs import LastErrors
from bot.slack.permalinks import Links
from store.graduation.case_kinds import paused
from store.graduation.learn import set_aside
from store.models import ProposalState
from store.models.reasons import Reason, ReasonCode
from tests.e2e.app_harness import DORA, JONAS, LENA, MAYA, World, eventually, proposals, words_of, world
from tests.fixtures.slack import invite

CASE = "order.paid"


@pytest.fixture
async def here(tmp_path, monkeypatch) -> AsyncIterator[World]:
    monkeypatch.setattr("bot.listeners.home.EVERY", timedelta(seconds=0.2))
    async with world(tmp_path) as made:
        yield made


@pytest.fixture
async def app(here: World) -> AsyncIterator[Running]:
    async with here.app() as running:
        yield running


def shown(here: World, user: str = MAYA) -> str:
    view = here.slack.home(user)
    return "" if view is None else _words(view.content["blocks"])


def _words(blocks: list[dict[str, Any]]) -> str:
    return words_of(Message("C", "1", "U", "", blocks))


async def home(here: World, user: str = MAYA) -> str:
    before = here.slack.workspace.counts["views.publish"]
    here.slack.open_home(user)
    await here.slack.wait_until(lambda: here.slack.workspace.counts["views.publish"] > before, 10)
    return shown(here, user)


async def shows(here: World, words: str, user: str = MAYA) -> str:
    try:
        await here.slack.wait_until(lambda: words in shown(here, user), 15)
    except TimeoutError:
        pytest.fail(f"{words!r} is not on the tab: {shown(here, user)!r}")
    return shown(here, user)


async def typed(here: World, words: str, user: str = MAYA) -> Message:
    """Type `/polar words`; what only this person sees."""
    known = {message.ts for message in here.slack.ephemerals(user)}
    began = time.monotonic()
    assert (await here.slack.command(user, "/polar", words)).acked
    await here.slack.wait_until(
        lambda: any(message.ts not in known for message in here.slack.ephemerals(user)), 5
    )
    assert time.monotonic() - began < 3
    return here.slack.ephemerals(user)[-1]


# --- The Home tab -----------------------------------------------------------------------------------------


async def test_the_empty_home_tab_says_that_nothing_waits_and_what_is_missing(here, app):
    first = await home(here)
    whole = await shows(here, "Set-up")

    assert "Nothing waits for a decision." in first
    assert "No webhook has arrived yet." in first
    assert "SLACK_BOT_TOKEN works" in whole
    assert "POLAR_ACCESS_TOKEN works" in whole
    assert "the bot is in it" in whole
    assert "may decide" in whole


async def test_the_next_card_is_approved_from_the_home_tab_and_the_tab_says_what_came_of_it(here, app):
    card = await here.ask(CASE)
    text = await home(here)
    assert "Decide next" in text
    view = here.slack.home(MAYA)
    open_ = [e for b in view.content["blocks"] if b["type"] == "actions" for e in b["elements"] if "url" in e]
    assert [each["text"]["text"] for each in open_] == ["Open"]
    assert (await here.slack.view_click(MAYA, view.id, open_[0]["action_id"])).acked

    assert (await here.slack.view_click(MAYA, view.id, "approve")).acked
    await here.says(card, "Done")

    assert [each.state for each in await proposals(app)] == [ProposalState.SUCCEEDED]
    assert "Nothing waits for a decision." in await shows(here, "Nothing waits for a decision.")
    assert here.slack.ephemerals(MAYA) == []


async def test_a_decline_on_the_home_tab_is_acknowledged_once_it_is_on_disk(here, app):
    await here.ask(CASE)
    await home(here)
    here.slack.fail_next("views.publish", "slow", times=4, seconds=1)

    assert (await here.slack.view_click(MAYA, here.slack.home(MAYA).id, "decline")).acked

    assert "1 declined" not in shown(here)
    assert [each.state for each in await proposals(app)] == [ProposalState.DECLINED]
    await shows(here, "1 declined")


async def test_whoever_may_not_decide_is_told_so_on_the_home_tab(here, app):
    await here.ask(CASE)
    await home(here, LENA)
    view = here.slack.home(LENA)

    assert (await here.slack.view_click(LENA, view.id, "approve")).acked

    said = await shows(here, "You are not an approver", LENA)
    assert said.index("You are not an approver") < said.index("Decide next")
    assert [each.state for each in await proposals(app)] == [ProposalState.PENDING]


async def test_an_open_tab_is_drawn_again_when_something_changes_and_nobody_elses_is(here, app):
    await home(here)
    assert "Nothing waits" in shown(here)

    await here.ask(CASE)

    await shows(here, "Decide next")
    assert here.slack.home(JONAS) is None


async def test_nothing_is_published_while_nothing_changes(here, app, monkeypatch):
    monkeypatch.setattr("bot.listeners.home.EVERY", timedelta(0))
    health, links = HealthSource(app.services, LastErrors()), Links(app.services.store, app.services.slack)
    tab = HomeTab(app.services, app.approvals, health=health, links=links, set_up=SetUp(app.services, None))
    await tab._opened({"user": MAYA, "tab": "home"})

    assert await tab._claim(4) == []
    await here.ask(CASE)
    assert [user for user, _ in await tab._claim(4)] == [MAYA]


async def test_a_tab_that_slack_has_no_more_is_forgotten(here, app):
    await home(here)
    here.slack.fail_next("views.publish", "not_enabled")

    await here.ask(CASE)

    async def gone() -> bool:
        return not await app.services.store.do(_viewers)

    await eventually(gone)


def _viewers(connection):
    from sqlalchemy import select

    from store.schema import home_tab_viewers

    return connection.execute(select(home_tab_viewers.c.user_id)).all()


async def test_a_tab_drawn_by_somebody_else_meanwhile_is_drawn_again(here, app):
    await home(here)
    here.slack.fail_next("views.publish", "hash_conflict")

    await here.ask(CASE)

    await shows(here, "Decide next")


# --- The command ------------------------------------------------------------------------------------------


async def test_queue_show_and_history_lead_to_the_card_and_say_who_decided(here, app):
    card = await here.ask(CASE)
    (proposal,) = await proposals(app)

    queue = await typed(here, "")
    assert "1 waits for a decision" in queue.text
    assert any("/archives/" in str(block) for block in queue.blocks)

    found = await typed(here, f"show {proposal.id[:6]}", LENA)
    assert proposal.id in words_of(found)
    assert f"{proposal.id}: waiting." in words_of(found)
    assert found.action_ids == []

    await here.tap(card)
    await here.says(card, "Done")
    after = words_of(await typed(here, f"show {proposal.id}"))
    assert "done" in after
    assert f"<@{MAYA}>" in after

    for words in ("history", f"history <@{MAYA}|maya>", f"history {proposal.rule}", f"history rule {proposal.rule}",
                  f"history <mailto:{proposal.customer}|{proposal.customer}>", f"history {proposal.customer_id}"):  # fmt: skip
        assert proposal.title[:30] in words_of(await typed(here, words)), words
    assert "Nothing in the history" in (await typed(here, "history nobody@example.com")).text


async def test_status_says_how_it_all_flows(here, app):
    assert "No webhook has arrived yet" in words_of(await typed(here, "status"))

    await here.ask(CASE)
    said = words_of(await typed(here, "status"))

    assert "Last webhook" in said
    assert "calls left in this minute" in said
    assert "socket open" in said


async def test_status_names_a_kind_that_is_set_aside_and_what_to_do(here, app):
    await here.ask(CASE)
    [proposal] = await proposals(app)
    reason = Reason.of(ReasonCode.ASSESSMENT_FAILED, step="learn", error="ValueError", place="a.py:1")
    await app.services.store.do(set_aside, proposal.case_kind, reason, app.services.clock())
    said = words_of(await typed(here, "status"))

    assert "Needs attention" in said
    assert proposal.case_kind[:8] in said
    assert "A restart tries at once" in said


async def test_pause_and_resume_are_for_who_may_decide_and_the_channel_is_told(here, app):
    refused = await typed(here, "pause because I like to", LENA)
    assert "not an approver" in refused.text
    assert await app.services.store.do(paused) is None

    assert "Paused" in (await typed(here, "pause the price list <!channel> is wrong")).text
    found = await app.services.store.do(paused)
    assert (found.by, found.why) == (MAYA, "the price list <!channel> is wrong")
    assert "Paused already" in (await typed(here, "pause again", JONAS)).text
    assert "Paused by" in words_of(await typed(here, "status"))

    assert "Resumed" in (await typed(here, "resume", JONAS)).text
    assert await app.services.store.do(paused) is None
    assert "Nothing is paused" in (await typed(here, "resume")).text


async def test_a_word_nearly_right_is_answered_with_the_right_one(here, app):
    assert "Did you mean history?" in words_of(await typed(here, "histroy"))


# --- Our place in Slack -----------------------------------------------------------------------------------


async def test_the_channel_is_greeted_once(here, app):
    invite(here.slack)
    await here.slack.wait_for_message(lambda m: m.text.startswith("Hello."))
    invite(here.slack)
    invite(here.slack, DORA)
    await here.slack.drain_events()

    assert len([m for m in here.slack.messages() if m.text.startswith("Hello.")]) == 1


async def test_the_end_of_the_installation_is_seen_in_the_health(here, app):
    here.slack.emit({"type": "app_uninstalled", "event_ts": "1.1"})
    await here.slack.drain_events()

    assert "Install it again" in words_of(await typed(here, "status"))


@pytest.mark.parametrize("user", [MAYA])
async def test_the_home_tab_is_what_slack_takes(here, app, user):
    await here.ask(CASE)
    await home(here, user)

    assert lint_view(here.slack.home(user).content) == []
