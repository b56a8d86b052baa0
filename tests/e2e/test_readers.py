"""Who may read, and what one person is told: every way in from Slack, by strangers and with hostile names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from bot.app import Running
from store.models import ProposalState
from tests.e2e.app_harness import (
    GUS,
    JONAS,
    LENA,
    MAYA,
    OMAR,
    PolarUnhurried,
    World,
    eventually,
    proposals,
    world,
)
from tests.fixtures.case_kinds import all_case_kinds
from tests.fixtures.entry_points import (
    OF_THE_WORKSPACE,
    REGISTERED,
    WAYS,
    RecordingApp,
    Sent,
    Subject,
    Visitor,
    visited,
)

NAME = "Mallory"
HOSTILE = f"*{NAME}* :white_check_mark: https://evil.example/login <!channel> `x` _y_ <@U0MAYA00001>"
MANY = 14
# What shows something of a proposal to whoever may read; the rest answers with a sentence at most.
SHOWS = {
    f"{way} {name}".strip()
    for way, acts in WAYS.items()
    for name in acts
    if way.startswith(("action details", "action why", "action review", "event app_home"))
}  # fmt: skip
SHOWS |= {f"command /polar {word}" for word in ("queue", "show", "history")}
SHOWS |= {"action menu details", "action menu ask", "options propose\\."}
REFUSED = {
    "named": (LENA, "Only those of READERS and approvers may"),
    "channel": (LENA, "Only members of the channel of the cards and approvers may"),
    "guest": (GUS, "guests may not"),
    "outside": (OMAR, "You are not a member of this workspace"),
}


@asynccontextmanager
async def staged(folder: Path, **settings: str) -> AsyncIterator[tuple[World, Running, Subject]]:
    """The program with cards and a bundle about customers whose names are attacks; Slack at any pace."""
    async with world(folder) as line:
        line.environment |= settings
        line.story.hostile = repeat(HOSTILE)
        async with line.app(PolarUnhurried) as app:
            for _ in range(MANY):
                line.play("order.paid.hostile")

            async def all_shown() -> Any:
                found = await proposals(app)
                return len(found) == MANY and all(p.first_shown_at is not None for p in found)

            await eventually(all_shown, 30)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("bot.app.AsyncApp", RecordingApp)
            async with line.app() as app:
                await eventually(lambda: _team(app))
                yield line, app, await _subject(line, app)


async def _team(app: Running) -> str | None:
    return app.services.authority.team_id


async def _subject(line: World, app: Running) -> Subject:
    found = sorted(await proposals(app), key=lambda p: p.bundle_id is not None)
    [kind, *_] = await app.services.store.do(all_case_kinds)
    card = next(p.card_ts for p in found if p.card_ts)
    bundle = next(p.bundle_id for p in found if p.bundle_id)
    assert NAME in found[0].title
    return Subject(tuple(p.id for p in found), card, bundle, 2**52, kind.hash, str(found[0].customer))


async def test_every_way_in_is_listed_here(tmp_path: Path) -> None:
    async with world(tmp_path) as line:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("bot.app.AsyncApp", RecordingApp)
            async with line.app():
                registered = set(REGISTERED)

    assert registered == WAYS.keys() | OF_THE_WORKSPACE


@pytest.mark.parametrize("how", REFUSED)
async def test_who_may_not_read_is_told_so_and_shown_nothing(tmp_path: Path, how: str) -> None:
    who, sentence = REFUSED[how]
    shown, untold = [], []
    async with staged(tmp_path, **({"READERS": JONAS} if how == "named" else {})) as (line, app, about):
        if how == "channel":
            line.slack.workspace.channel.members.discard(LENA)
        visitor = Visitor(line.slack, who, about)
        for way, acts in WAYS.items():
            for name, act in acts.items():
                sent, called = await visited(visitor, act), f"{way} {name}".strip()
                shown += [called] if NAME.casefold() in repr(sent).casefold() else []
                untold += [called] if called in SHOWS and sentence not in repr(sent) else []
        stand = {p.state for p in await proposals(app)}

    assert shown == []
    assert untold == []
    assert stand == {ProposalState.PENDING}
    assert line.writes == []


async def test_an_approver_is_shown_it_and_no_word_of_a_customer_is_markup(tmp_path: Path) -> None:
    seen = set()
    async with staged(tmp_path) as (line, _, about):
        visitor = Visitor(line.slack, MAYA, about)
        for way, acts in WAYS.items():
            for name, act in acts.items():
                sent, called = await visited(visitor, act), f"{way} {name}".strip()
                seen |= {called} if NAME.casefold() in repr(sent).casefold() else set()
                assert_quiet(sent, called)
        everything = [each for each in line.slack.workspace.exchanges if each.direction == "app→slack"]
        assert_quiet([(each.what, each.arguments) for each in everything], "all that was sent")

    assert seen >= SHOWS
    assert len(seen) > len(SHOWS)


def assert_quiet(sent: Sent, way: str) -> None:
    """Wherever the customer's name stands, Slack reads no markup: in blocks, and beside them only escaped."""
    for what, arguments in sent:
        if NAME not in repr(arguments):
            continue
        assert isinstance(arguments, dict), (way, what)
        views = [arguments["view"]] if "view" in arguments else []
        options = [*arguments.get("options", ()), *arguments.get("option_groups", ())]
        errors = arguments.get("errors", {})
        assert arguments.get("blocks") or views or options or errors, (way, what, arguments)
        assert NAME not in str(arguments.get("initial_comment", "")), (way, what)
        text = str(arguments.get("text", ""))
        assert "<!channel>" not in text, (way, text)
        assert f"<@{MAYA}>" not in text.partition(NAME)[2].partition("_y_")[2][:20], (way, text)
        for element in _elements([arguments.get("blocks", []), views, options]):
            kind, words = element.get("type"), str(element.get("text", ""))
            assert kind not in ("mrkdwn", "markdown") or NAME not in words, (way, element)
            assert kind != "link" or "evil.example" not in element["url"], (way, element)
            assert kind != "plain_text" or element.get("emoji") is False or NAME not in words, (way, element)
            assert kind not in ("broadcast", "channel"), (way, element)


def _elements(part: Any) -> list[dict[str, Any]]:
    if isinstance(part, list):
        return [one for each in part for one in _elements(each)]
    if not isinstance(part, dict):
        return []
    return [part, *(one for each in part.values() for one in _elements(each))]
