"""What people said and did is in the export, and what is put aside comes back by itself."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from bot.approvals.actions import wake_snoozed
from bot.cli import export
from bot.demo.slack.people import App
from store.proposals.actions import Act, snooze
from tests.e2e.app_harness import JONAS, LENA, MAYA, World, eventually, world
from tests.fixtures.conversation import choose, everything, id_of, in_thread, send

BOT = f"<@{App().bot_user_id}>"


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in values.items():
            patched.setenv(name, value)
        yield


async def test_comments_revisions_and_decisions_are_exported_with_their_proposal(
    line: World, capsys: pytest.CaptureFixture[str]
) -> None:
    async with line.app() as app:
        card = await line.ask("order.created.twice")
        line.slack.say(LENA, "Looks wrong to me", thread_ts=card.ts)
        await send(line, await choose(line, card, "edit"), **{"body.amount": {"value": "5.00"}})
        await in_thread(line, card, "edited this")

        async def redrawn() -> bool:
            return (await everything(app, card)).proposal.rendered_version > 1

        await eventually(redrawn)
        line.slack.say(JONAS, f"{BOT} decline because of the tax", thread_ts=card.ts)
        await line.says(card, "Declined")
        await in_thread(line, card, "says why")
    with environment(line.environment):
        assert await asyncio.to_thread(export.run, ["proposals"]) == 0
    rows = [json.loads(row) for row in capsys.readouterr().out.splitlines() if row.startswith("{")]
    [row] = [each for each in rows if each["id"] == id_of(card)]
    assert next(one["text"] for one in row["comments"] if one["kind"] == "thread") == "Looks wrong to me"
    assert [(one["author"], one["text"]) for one in row["comments"] if one["kind"] == "reason"] == [
        (JONAS, "of the tax")
    ]
    assert [one["revision"] for one in row["revisions"]] == [1]
    assert [(one["actor"], one["verdict"], one["reason"], one["revision"]) for one in row["decisions"]] == [
        (JONAS, "decline", "of the tax", 2)
    ]


async def test_what_was_put_aside_comes_back_with_a_line_that_mentions_who_did_it(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        now = app.services.clock()
        act = Act(id_of(card), MAYA, "Snoozed.", now - timedelta(hours=2))
        await app.services.store.do(snooze, act, now - timedelta(hours=1))
        await wake_snoozed(app.services)
        assert f"<@{MAYA}>" in await in_thread(line, card, "Back from snooze")
        assert (await everything(app, card)).proposal.snoozed_until is None
