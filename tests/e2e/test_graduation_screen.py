"""`/polar trust` over the wire: what it shows, who may switch a kind on or off, and its picture in the channel."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Update, update

from bot.app import Running
from bot.approvals.graduation import GraduationService
from bot.demo.slack.state import Message
from bot.demo.slack.web_api import BOT_SCOPES
from bot.listeners.graduation import GraduationScreen, switch_text
from bot.permissions import Authority
from bot.pipeline.learn import Assessor
from bot.slack.client import SlackUser
from bot.ui.card import score_words
from bot.ui.graduation_words import switch_words
from store.graduation.case_kinds import change, demote
from store.graduation.reducer import TrustChange
from store.models import CaseKindState, Mode, Proposal, Verdict
from store.models.graduation import BacktestSummary, CaseKind
from store.models.reasons import ChangeCause, ChangeCode
from store.proposals.proposals import get_proposal, propose_by_hand
from store.schema import events, outbox, proposals
from store.schema.graduation import case_kinds
from tests.e2e.app_harness import GUS, LENA, MAYA, World, words_of, world
from tests.e2e.deciding import policy
from tests.fixtures.case_kinds import all_case_kinds
from tests.fixtures.past_cases import Past, past
from tests.fixtures.slack_http import forged_click
from tests.fixtures.store_beside import beside


@asynccontextmanager
async def _house(
    folder: Path, scopes: frozenset[str] = BOT_SCOPES, tables: str = ""
) -> AsyncIterator[tuple[World, Running]]:
    """The program over a past in which one kind of case was earned and runs, and one was never trusted."""
    async with world(folder, slack={"scopes": scopes}) as made:
        async with past(folder, url=made.environment["DATABASE_URL"]) as lived:
            lived.now = datetime.now(UTC) - timedelta(days=12)
            await _live(lived)
        await _write(
            made,
            # Nothing of it is to be sent or drawn: only what it says of trust is looked at.
            update(proposals).values(state="succeeded", rendered_version=1000),
            update(events).values(state="done"),
            update(outbox).values(sent_at=outbox.c.due_at),
        )
        if tables:
            policy(made, folder, tables)
        async with made.app() as app:
            yield made, app


async def _write(house: World, *statements: Update) -> None:
    """Change the database from outside the program."""
    async with beside(house.environment["DATABASE_URL"]) as store:
        for statement in statements:
            await store.do(Connection.execute, statement)


async def _live(lived: Past) -> None:
    await lived.earn()
    for _ in range(30):
        id_ = await lived.case(1)
        modes = await lived.modes()
        await lived.says(id_)
        lived.now += timedelta(hours=7)
        if modes[id_] == Mode.SPOT_CHECK:
            break
    await lived.says(await lived.case(3, 70_000, "refunds:create"), Verdict.DECLINE)


async def _ask(house: World, words: str = "trust", user: str = MAYA) -> Message:
    assert (await house.slack.command(user, "/polar", words)).acked
    return house.slack.ephemerals(user)[-1]


async def _press(house: World, page: Message, action: str, user: str = MAYA, kind: int = 0) -> Message:
    """Tap the button of a kind on a page; the page as it is then."""
    before = page.blocks
    (block, _) = [
        (each["block_id"], element)
        for each in page.blocks
        if each["type"] == "actions"
        for element in each["elements"]
        if element["action_id"] == action
    ][kind]
    clicked = await house.slack.click(user, page.channel, page.ts, action, block_id=block)
    assert clicked.acked, clicked.error
    await house.slack.wait_until(lambda: house.slack.ephemerals(user)[-1].blocks != before, 10)
    return house.slack.ephemerals(user)[-1]


def _said(message: Message) -> str:
    return " ".join(words_of(message).split())


async def _case_kinds(app: Running) -> dict[str, CaseKind]:
    found = await app.services.store.do(all_case_kinds)
    return {"refund" if "efund" in one.label else "invoice": one for one in found}


def _actions(page: Message) -> list[list[str]]:
    return [[e["text"]["text"] for e in b["elements"]] for b in page.blocks if b["type"] == "actions"]


async def test_each_kind_is_shown_with_its_score_its_spot_checks_and_what_may_be_done(tmp_path: Path) -> None:
    async with _house(tmp_path) as (house, app):
        page = await _ask(house)
        said = _said(page)
        case_kind = (await _case_kinds(app))["invoice"]
        assert "2 kinds of case; 1 of all run on their own" in said
        assert f"R1 · {score_words(*case_kind.counts, 90)}" in said
        assert said.count("90 reached") == 1
        assert "Runs on its own since" in said
        assert f"spot checks: {case_kind.spot_checks_agreed}/{case_kind.spot_checks} agreed, at most" in said
        assert "50 cases and $60.00 left today" in said
        assert "score 0.0 · 0 yes 1 no" in said
        assert "R2 at 95, then 1 in 10 still asked" in said
        assert _actions(page) == [["Turn off", "Plot"], ["Plot"]]
        assert "1 kind of case with “refund”" in _said(await _ask(house, "trust refund"))
        assert "No kind of case with “unicorns”" in _said(await _ask(house, "trust unicorns"))
        assert "1 kind of case with" in _said(await _ask(house, f"trust {case_kind.hash[:10]}"))


async def test_who_may_not_decide_switches_nothing(tmp_path: Path) -> None:
    async with _house(tmp_path) as (house, app):
        page = await _press(house, await _ask(house, user=LENA), "trust.turn_off", user=LENA)
        assert "Nothing was changed." in _said(page)
        assert (await _case_kinds(app))["invoice"].state == CaseKindState.GRADUATED


async def test_turned_off_it_keeps_what_it_earned_and_turned_on_again_it_is_no_override(
    tmp_path: Path,
) -> None:
    async with _house(tmp_path) as (house, app):
        before = (await _case_kinds(app))["invoice"]
        page = await _press(house, await _ask(house), "trust.turn_off")
        assert _said(page).startswith("Turned off: ")
        after = (await _case_kinds(app))["invoice"]
        assert (after.state, after.generation, after.cases) == (
            CaseKindState.ASKING,
            before.generation,
            before.cases,
        )
        assert after.cause is not None
        assert after.cause.code == ChangeCode.TURNED_OFF
        assert after.cause.args["by"].startswith("maya")
        told = await house.slack.wait_for_message(lambda m: "No longer runs on its own" in _said(m), 10)
        assert "What it has earned stays" in _said(told)
        page = await _press(house, page, "trust.turn_on")
        assert _said(page).startswith("Turned on: ")
        on = (await _case_kinds(app))["invoice"]
        assert (on.state, on.manual_override) == (CaseKindState.GRADUATED, False)


async def test_below_its_threshold_it_is_turned_on_by_override_after_a_question_and_marked_so(
    tmp_path: Path,
) -> None:
    async with _house(tmp_path) as (house, app):
        await _write(
            house,
            update(case_kinds).values(state="asking", cases=12, spot_checks=0, spot_checks_agreed=0),
        )
        page = await _ask(house)
        (button,) = [
            e for b in page.blocks if b["type"] == "actions" for e in b["elements"] if "confirm" in e
        ]
        assert button["confirm"]["text"]["text"].startswith("By manual override, no bound: score ")
        page = await _press(house, page, "trust.turn_on")
        assert "It is below its threshold" in _said(page)
        assert "Runs on its own by manual override, below its threshold since" in _said(page)
        assert (await _case_kinds(app))["invoice"].manual_override


async def test_the_plot_is_a_picture_in_the_channel(tmp_path: Path) -> None:
    async with _house(tmp_path) as (house, _):
        page = await _press(house, await _ask(house), "trust.plot")
        assert _said(page).startswith("The plot is in the channel of the cards. Score now 9")
        (upload,) = house.slack.workspace.uploads.values()
        assert upload[0].startswith("trust-")
        assert upload[1].startswith(b"\x89PNG")
        shown = [m for m in house.slack.messages() if f"<@{MAYA}> asked how far this is trusted" in m.text]
        assert len(shown) == 1


async def test_who_may_not_decide_gets_the_numbers_and_puts_no_picture_into_the_channel(
    tmp_path: Path,
) -> None:
    async with _house(tmp_path) as (house, app):
        screen, lena = GraduationScreen(app.services), SlackUser(LENA, app.services.authority.team_id)
        said = await screen.plot(lena, (await _case_kinds(app))["invoice"].hash)
        assert said.startswith("There is no plot: only who may decide puts one into the channel.")
        assert "Score now 9" in said
        assert house.slack.workspace.uploads == {}


async def test_without_the_scope_the_numbers_are_said_instead(tmp_path: Path) -> None:
    async with _house(tmp_path, BOT_SCOPES - {"files:write"}) as (house, _):
        page = await _press(house, await _ask(house), "trust.plot")
        said = _said(page)
        assert said.startswith(
            "There is no plot: the app has no scope files:write (optional in manifest.yml)."
        )
        assert "Score now 9" in said
        assert house.slack.workspace.uploads == {}


async def test_the_home_tab_says_how_far_each_kind_is_trusted(tmp_path: Path) -> None:
    async with _house(tmp_path) as (house, _):
        house.slack.open_home(MAYA)
        await house.slack.wait_until(lambda: house.slack.home(MAYA) is not None, 10)
        view = house.slack.home(MAYA)
        assert view is not None
        said = _said(Message("C", "1", "U", "", _blocks(view.content)))
        assert "Trust: 1 of 2 kinds of case run on their own" in said
        assert "spot checks: " in said


def _blocks(view: dict[str, Any]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = view["blocks"]
    return blocks


async def test_a_button_that_names_no_kind_changes_nothing(tmp_path: Path) -> None:
    async with _house(tmp_path) as (_, app):
        screen, who = GraduationScreen(app.services), SlackUser(MAYA, app.services.authority.team_id)
        before = await _case_kinds(app)
        for value in ("", "nothing", "%", "' OR 1=1", "0" * 64):
            for action in ("trust.turn_off", "trust.turn_on"):
                assert "There is no such kind of case" in switch_text(await screen.switch(who, action, value))
            assert "There is no such kind of case" in await screen.plot(who, value)
        assert await _case_kinds(app) == before


async def test_a_guest_gets_no_picture(tmp_path: Path) -> None:
    async with _house(tmp_path) as (house, app):
        case_kind = (await _case_kinds(app))["invoice"].hash
        channel, ts = house.slack.channel, house.cards[0].ts if house.cards else (await _ask(house)).ts
        clicked = await forged_click(
            house.slack, GUS, channel, ts, "trust.plot", block_id="b", value=case_kind
        )
        assert clicked.acked
        await house.slack.wait_until(lambda: house.slack.ephemerals(GUS), 10)
        assert "guest" in house.slack.ephemerals(GUS)[-1].text
        assert house.slack.workspace.uploads == {}


async def test_only_those_named_for_its_class_turn_a_kind_on_and_any_who_decide_turn_it_off(
    tmp_path: Path,
) -> None:
    async with _house(tmp_path, tables=f'[approvers]\nR1 = ["{LENA}"]\n') as (_, app):
        screen, team = GraduationScreen(app.services), app.services.authority.team_id
        maya, lena = SlackUser(MAYA, team), SlackUser(LENA, team)
        hash_ = (await _case_kinds(app))["invoice"].hash
        for state in (CaseKindState.PAUSED, CaseKindState.ASKING):
            await app.services.store.do(_become, hash_, state)
            said = switch_text(await screen.switch(maya, "trust.turn_on", hash_))
            assert said.startswith("You are not an approver.")
            assert (await _case_kinds(app))["invoice"].state == state
            assert switch_text(await screen.switch(lena, "trust.turn_on", hash_)).startswith("Turned on: ")
        assert switch_text(await screen.switch(maya, "trust.turn_off", hash_)).startswith("Turned off: ")
        offer = await _offer(app, (await _case_kinds(app))["invoice"])
        refusal = app.services.authority.refusal
        assert await refusal(MAYA, team, offer) is not None
        assert await refusal(LENA, team, offer) is None


async def _offer(app: Running, case_kind: CaseKind) -> Proposal:
    """The question that would be asked about this kind."""
    none = BacktestSummary(0, 0, {}, None)
    new = Assessor(app.services.rules.policy).offer(case_kind, none, datetime.now(UTC))
    await app.services.store.do(propose_by_hand, new)
    found = await app.services.store.do(get_proposal, new.id)
    assert found is not None
    return found


def _become(connection: Connection, case_kind: str, state: CaseKindState) -> None:
    test = TrustChange(state, ChangeCause.of(ChangeCode.TEXT, text="test"))
    change(connection, case_kind, test, actor=MAYA, at=datetime.now(UTC))


class _Meanwhile:
    """Who may decide, as ever; while somebody's name is asked for, a kind loses its trust."""

    def __init__(self, app: Running, case_kind: str) -> None:
        self._app, self._case_kind = app, case_kind

    async def refusal(self, *_: Any, **__: Any) -> None:
        """Everybody may."""

    async def name(self, user_id: str) -> str:
        store, now = self._app.services.store, datetime.now(UTC)
        cause = ChangeCause.of(ChangeCode.SPOT_CHECK_DECLINED, proposal="p1")
        assert await store.do(demote, self._case_kind, cause=cause, at=now)
        return user_id


async def test_what_lost_its_trust_meanwhile_is_not_turned_on_again(tmp_path: Path) -> None:
    async with _house(tmp_path) as (_, app):
        hash_ = (await _case_kinds(app))["invoice"].hash
        await app.services.store.do(_become, hash_, CaseKindState.PAUSED)
        parts = replace(app.services, authority=cast("Authority", _Meanwhile(app, hash_)))
        said = switch_words(await GraduationService(parts).turn_on_again(SlackUser(MAYA, None), hash_))
        assert said == "Not turned on: meanwhile it has changed, and it is asking now: look again."
        assert (await _case_kinds(app))["invoice"].state == CaseKindState.ASKING
