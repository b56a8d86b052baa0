"""Metrics: none that is declared stays at zero while an event becomes a proposal that succeeds."""

from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.metrics import REGISTRY
from tests.e2e.app_harness import JONAS, World, proposals, world

# The database writes that wait, and those tried again: zero is what both should show.
MAY_BE_ZERO = {"polar_approvals_writes_waiting", "polar_approvals_store_retries"}


@pytest.fixture
async def line(tmp_path: Path):
    async with world(tmp_path) as made:
        yield made


async def samples(url: str | None) -> dict[str, dict[tuple[str, ...], float]]:
    """What /metrics says, by the name of the metric: its samples by name and labels, without timestamps."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        assert 200 == answer.status
        text = await answer.text()
    return {
        family.name: {
            (one.name, *(f"{key}={value}" for key, value in sorted(one.labels.items()))): one.value
            for one in family.samples
            if not one.name.endswith("_created")
        }
        for family in text_string_to_metric_families(text)
    }


def grown(before: dict, after: dict) -> dict[str, set[tuple[str, ...]]]:
    """The samples that are larger than before: tests of the same process have counted too."""
    return {
        name: {key for key, value in found.items() if value > before.get(name, {}).get(key, 0)}
        for name, found in after.items()
    }


async def test_metrics_are_on_a_port_of_their_own(line: World) -> None:
    async with line.app() as app, aiohttp.ClientSession() as session:
        places = [f"{app.url}/metrics", f"{app.metrics_url}/healthz", f"{app.metrics_url}/metrics"]
        answers = [(await session.get(place)).status for place in places]
    line.environment.pop("METRICS_PORT")
    async with line.app() as app:
        without = app.metrics_url

    assert ([404, 404, 200], None) == (answers, without)


async def test_no_declared_metric_stays_at_zero_from_the_event_to_the_success(line: World) -> None:
    async with line.app() as app:
        before = await samples(app.metrics_url)
        card = await line.ask("order.paid")
        await line.tap(card)
        await line.says(card, "Done")
        other = await line.ask("order.refunded")
        await line.tap(other, "decline", JONAS)
        await line.says(other, "Declined")
        after = await samples(app.metrics_url)
        assert ["succeeded", "declined"] == [one.state for one in await proposals(app)]

    declared = {family.name for family in REGISTRY.collect()}
    assert set() == declared - after.keys()
    moved = grown(before, after)
    assert set() == {name for name in declared if not moved[name]} - MAY_BE_ZERO
    wanted = {
        ("polar_approvals_decisions_total", "verdict=approve", "via=button"),
        ("polar_approvals_decisions_total", "verdict=decline", "via=button"),
        ("polar_approvals_polar_writes_total", "outcome=done"),
        ("polar_approvals_polar_seconds_count", "method=GET", "outcome=answered"),
        ("polar_approvals_polar_seconds_count", "method=POST", "outcome=answered"),
        ("polar_approvals_slack_seconds_count", "method=chat.postMessage"),
        ("polar_approvals_event_to_card_seconds_count",),
        ("polar_approvals_webhooks_total", "status=202"),
    }
    assert set() == wanted - set().union(*moved.values())
