"""Failed rules over the wire: `/polar status` says which and why, and three ways have them asked again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.app import Running
from bot.demo.polar.webhooks import WebhookEvent
from store.models import EventState
from tests.e2e.app_harness import LENA, MAYA, World, eventually, handled, proposals, words_of, world
from tests.e2e.deciding import policy
from tests.e2e.test_cli_decide import command

RULE = """
[[rule]]
name = "mine"
on = ["order.paid"]
when = "{when}"
operation = "orders:generate_invoice"
path = {{ id = "${{data.id}}" }}
title = "Invoice?"
"""
BAD, GOOD = RULE.format(when="data.metadata.missing == 'x'"), RULE.format(when="data.paid")


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        policy(made, tmp_path, BAD)
        yield made


async def failed(line: World, app: Running) -> WebhookEvent:
    event = line.play("order.paid")
    stored = await handled(app, event)
    assert (stored.type, stored.state) == ("order.paid", EventState.FAILED)
    return event


async def asked(line: World, user: str, text: str) -> str:
    count = len(line.slack.ephemerals(user))
    await line.slack.command(user, "/polar", text)
    await line.slack.wait_until(lambda: len(line.slack.ephemerals(user)) > count, 10)
    return " ".join(words_of(line.slack.ephemerals(user)[-1]).split())


async def of_mine(app: Running) -> list[str]:
    return [one.id for one in await proposals(app) if one.rule == "mine"]


async def tried(app: Running, event: WebhookEvent, times: int) -> None:
    async def so_often() -> bool:
        stored = await handled(app, event)
        return stored.attempts == times

    await eventually(so_often)


async def test_the_status_says_which_rule_failed_and_why_after_a_restart_too(line: World) -> None:
    async with line.app() as app:
        event = await failed(line, app)
    async with line.app() as app:
        said = await asked(line, MAYA, "status")
        assert await of_mine(app) == []
    for part in ("mine on order.paid", event.id, "tried once", "there is no field 'missing' here"):
        assert part in said
    assert "/polar retry ID" in said
    assert said.startswith("Needs attention")


async def test_a_change_of_the_rules_has_them_asked_again(line: World, tmp_path: Path) -> None:
    async with line.app() as app:
        await failed(line, app)
    policy(line, tmp_path, GOOD)
    async with line.app() as app:
        await eventually(lambda: of_mine(app))
        said = await asked(line, MAYA, "status")
    assert "Failed webhooks none" in said


async def test_an_approver_has_one_asked_again_and_nobody_else(line: World) -> None:
    async with line.app() as app:
        event = await failed(line, app)
        assert (await asked(line, LENA, f"retry {event.id}")).startswith("You are not an approver.")
        assert (await asked(line, MAYA, "retry")).startswith("Say which webhook")
        assert (await asked(line, MAYA, "retry nothing")).startswith("No rule has failed on a webhook")
        said = await asked(line, MAYA, f"retry {event.id}")
        assert said == "The rules that failed on 1 webhook are asked again. See /polar status."
        await tried(app, event, 2)
        assert "tried 2 times" in await asked(line, MAYA, "status")
        await asked(line, MAYA, "retry all")
        await tried(app, event, 3)


async def test_the_command_line_has_them_asked_again(line: World) -> None:
    async with line.app() as app:
        event = await failed(line, app)
        assert await command(line, "retry") == (0, event.id)
        await tried(app, event, 2)
        assert await command(line, "retry", event.id[:6]) == (0, event.id)
        await tried(app, event, 3)
        code, said = await command(line, "retry", "nothing")
    assert (code, said) == (1, "No rule has failed on such a webhook. Nothing was changed.")


async def test_polar_has_them_asked_again_by_sending_the_webhook_again(line: World) -> None:
    async with line.app() as app:
        event = await failed(line, app)
        line.polar.webhooks.redeliver(event)
        await tried(app, event, 2)
