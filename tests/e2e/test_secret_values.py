"""A key that a webhook brings and a call sends is on no card, in no details, export, explanation, log or error."""

import asyncio
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.cli import explain, export
from bot.explain.document import explanation
from bot.explain.verify import Fact, check
from bot.logs import set_up_logging
from polar.webhooks import Scheme
from store.models import ProposalState
from store.proposals.details import explained
from tests.e2e.app_harness import MAYA, World, eventually, proposals, world
from tests.e2e.deciding import policy
from tests.fixtures.entry_points import Visitor, visited
from tests.fixtures.signed import sign

KEY, TOKEN = "TOP-0123-4567-89ab-SECRET", "polar_cst_0123456789abcdefghij"
DELIVERIES = Path(__file__).parents[1] / "payloads/deliveries.jsonl"
RULE = """
[[rule]]
name = "shows-a-key"
on = ["benefit_grant.created"]
operation = "license_keys:validate"
body = { key = "${data.properties.user_provided_key}", organization_id = "${data.benefit.organization_id}" }
title = "Check the key ${data.properties.user_provided_key} of ${who(data.customer)}?"
reasons = ["${data.properties.user_provided_key}", "It has ${data.properties}", "With ${data.customer.metadata}"]
"""


async def test_no_place_shows_a_secret_of_a_webhook_or_a_call(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    set_up_logging(logging.INFO)
    async with world(tmp_path) as line:
        policy(line, tmp_path, RULE)
        async with line.app() as app:
            await _deliver(line, _granted())
            [proposal] = await eventually(lambda: proposals(app))
            card = await line.slack.wait_for_message(lambda m: "approve" in m.action_ids, 10)
            about: Any = None
            await visited(Visitor(line.slack, MAYA, about), lambda on: on.command(f"show {proposal.id}"))
            await line.slack.click(MAYA, card.channel, card.ts, "menu", value=f"{proposal.id}:1:details")
            await line.slack.wait_until(lambda: "What is sent" in repr(line.slack.modals(MAYA)), 10)
            await line.tap(card)

            async def ended() -> bool:
                [now] = await proposals(app)
                return now.state in (ProposalState.FAILED, ProposalState.SUCCEEDED, ProposalState.UNKNOWN)

            await eventually(ended)
            logging.getLogger("bot").error("by mistake: %s", TOKEN)
            told = await app.services.store.read(explained, proposal.id)
            assert told is not None
            document = json.loads(json.dumps(explanation(told, app.services.clock())))
        sent = [each for each in line.slack.workspace.exchanges if each.direction == "app→slack"]
        for name, value in line.environment.items():
            monkeypatch.setenv(name, value)
        for argv in (["events"], ["proposals"], ["decisions"]):
            assert await asyncio.to_thread(export.run, argv) == 0
        assert await asyncio.to_thread(explain.run, [proposal.id]) == 0
        printed = capfd.readouterr()

    found = check(document)
    assert [each for each in found if each.fits is False] == []
    assert {Fact.EVENT_OPEN, Fact.REQUEST_OPEN} <= {each.fact for each in found if each.fits is None}
    document["webhook"]["body_sha256"] = "0" * 64
    assert Fact.EVENT_OPEN in {each.fact for each in check(document) if each.fits is False}
    wrote = [each for each in line.writes if each.path.endswith("validate")]
    assert [KEY in repr(each) for each in wrote] == [True]  # Polar alone gets it
    for place, text in (("Slack", repr(sent)), ("printed", printed.out), ("log", printed.err)):
        assert KEY not in text, place
        assert TOKEN not in text, place
    assert "by mistake: [secret]" in printed.err


def _granted() -> bytes:
    recorded = (json.loads(each)["body"] for each in DELIVERIES.read_text("utf-8").splitlines())
    body = next(each for each in map(json.loads, recorded) if each["type"] == "benefit_grant.created")
    body["data"]["properties"] = {"user_provided_key": KEY, "display_key": "****-CRET"}
    body["data"]["customer"]["metadata"] = {"access_token": KEY, "note": f"see {TOKEN}"}
    body["timestamp"] = datetime.now(UTC).isoformat()
    return json.dumps(body).encode()


async def _deliver(line: World, body: bytes) -> None:
    secret = line.environment["POLAR_WEBHOOK_SECRET"]
    headers = sign(secret, "evt_secret", datetime.now(UTC), body, Scheme.WHOLE)
    headers["content-type"] = "application/json"
    url = f"{line.app_url}/polar/webhooks"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        assert answer.status == 202
