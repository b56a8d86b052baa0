"""An event of any type, every field typed by somebody hostile: its card, its thread and its details are harmless."""

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.demo.blockkit import lint_message, lint_view
from bot.ui.card import card, thread_line
from bot.ui.details import details_view
from polar.catalog import event_types
from store.models import EventState, StoredEvent
from tests.fixtures.card_strategies import (
    NOW,
    TEXT,
    asked_about,
    assert_harmless,
    dossiers,
    payload,
    poisoned,
    proposals,
    trails,
    views,
)
from tests.unit.test_event_schemas import PAYLOADS, draw

_SETTINGS = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_every_event_has_a_schema_to_draw_from() -> None:
    assert set(event_types()) == set(PAYLOADS)


@pytest.mark.parametrize("event_type", sorted(PAYLOADS))
@_SETTINGS
@given(st.integers(0, 2**32), st.sampled_from(["present", "mixed"]), st.data())
def test_what_is_asked_about_any_event_is_harmless_wherever_it_stands(
    event_type: str, seed: int, fill: str, data: st.DataObject
) -> None:
    body: dict[str, Any] = data.draw(poisoned(draw(Random(seed), fill, event_type)))  # noqa: S311 (not secret)
    proposal = data.draw(proposals(data.draw(asked_about(body))))
    shown = [card(proposal, data.draw(views()))]
    shown += [line for line in [thread_line(proposal, data.draw(trails())[-1])] if line is not None]
    for message in shown:
        assert lint_message(payload(message), update=True) == []
        assert_harmless(list(message.blocks), message.text)

    event = StoredEvent("e", event_type, json.dumps(body).encode(), NOW, NOW, EventState.DONE, None, 1)
    found = replace(data.draw(dossiers()), proposal=proposal, event=event, latest=body["data"])
    for page in range(1, 30):
        view = details_view(found, data.draw(TEXT), {}, page)
        assert lint_view(view) == []
        assert_harmless([view])
        if "details.next" not in json.dumps(view):
            break
