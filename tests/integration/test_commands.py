"""What may follow `/polar`: the rules with what they have done, page by page; the queue; the list of words."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from sqlalchemy import text

from bot.approvals.service import ApprovalService
from bot.demo.blockkit import lint_message
from bot.demo.slack import SlackStandIn
from bot.listeners.buttons import register
from bot.listeners.commands import COMMANDS, SlashCommand, read_command
from bot.listeners.workspace import HealthSource
from bot.logs import LastErrors
from bot.results import Refusal
from bot.rules import Origin, RuleSet, load_rules, unhandled_reasons
from bot.services import Services
from bot.slack.permalinks import Links
from bot.ui.home import COMMANDS as ABOUT
from bot.ui.lists import RULES_PAGE, RuleLine, events_without_rule, rule_lines, rules_message
from polar.catalog import event_types
from store import Store, open_store
from store.events.events import keep_rules, rule_activity
from store.graduation.case_kinds import paused
from store.models import NewEvent, RuleMatch, RuleMatchState
from store.models.details import RuleActivity
from tests.fixtures.proposals import add_proposal
from tests.fixtures.slack import MAYA, OMAR, no_wait, served, web_client
from tests.fixtures.slack_http import forged_click, use_http

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OWN = """
[[rule]]
name = "generate-invoice"
on = ["order.paid"]
operation = "orders:generate_invoice"
path = { id = "${data.id}" }
title = "Invoice?"

[[rule]]
name = "win-back-offer"
enabled = false
"""


class Members:
    """Everybody works here."""

    async def refusal_to_read(self, user_id: str, team_id: str | None) -> Refusal | None:
        return None


class House:
    """The app behind a Slack stand-in, with a store of its own; no Polar."""

    def __init__(self, slack: SlackStandIn, store: Store, client: Any) -> None:
        self.slack, self.store, self._client = slack, store, client
        self.rules = load_rules()

    async def ask(self, user: str, words: str) -> list[dict[str, Any]]:
        """Type the command; the blocks of what only this person sees."""
        assert (await self.slack.command(user, "/polar", words)).acked
        return self.slack.ephemerals(user)[-1].blocks

    def app(self) -> AsyncApp:
        nobody: Any = None
        members: Any = Members()
        parts = Services(self.store, nobody, nobody, self.rules, members, "C1", lambda: NOW, lambda _: None)
        app = AsyncApp(client=self._client, signing_secret=self.slack.signing_secret)
        health, links = HealthSource(parts, LastErrors()), Links(self.store, nobody)
        register(app, parts, ApprovalService(parts), nobody, SlashCommand(parts, health, links, nobody))
        return app

    async def fired(self, rule: str, *states: RuleMatchState) -> None:
        """Note that a rule fired, one hour after the other."""
        await self.store.do(keep_rules, {"v1": (rule, {})}, NOW)
        for number, state in enumerate(states):
            at, id_ = NOW + timedelta(hours=number), f"msg_{rule}_{number}"
            await self.store.record(NewEvent(id_, "order.paid", b"{}", "", at, at))
            rule_match = RuleMatch(f"fact {number}", rule, "v1", id_, state, matched_at=at)
            await self.store.do(add_proposal, rule_match, None)


@pytest.fixture
async def store(tmp_path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite+aiosqlite:///{tmp_path}/store.db") as opened:
        yield opened


@pytest.fixture
async def house(store) -> AsyncIterator[House]:
    async with SlackStandIn.serve(sleep=no_wait, scopes=None) as slack, web_client(slack) as client:
        made = House(slack, store, client)

        async def events(request):
            return await to_aiohttp_response(await made.app().async_dispatch(await to_bolt_request(request)))

        async with served(events) as url:
            use_http(slack, url)
            yield made


def said(blocks: list[dict[str, Any]]) -> str:
    """The words of rich_text blocks, a line each."""
    found = []
    for block in blocks:
        parts = [one for element in block["elements"] for one in element.get("elements", [element])]
        parts = [one for part in parts for one in part.get("elements", [part])]
        found.append(
            "".join(
                part.get("fallback") or part.get("text", "")
                for part in parts
                if isinstance(part.get("text", ""), str)
            )
        )
    return "\n".join(found)


# -- in Slack --------------------------------------------------------------------------------------------


async def test_rules_are_shown_with_state_count_and_last_rule_match_to_whoever_asked(house):
    await house.fired(
        "generate-invoice", RuleMatchState.PROPOSED, RuleMatchState.PROPOSED, RuleMatchState.SILENT
    )
    await house.fired("disable-keys-of-lapsed-subscription", RuleMatchState.WAITING)

    shown = said(await house.ask(MAYA, "rules"))

    assert (
        "generate-invoice – on – order.paid\nMatched 3 times: 2 with a card, 1 with nothing left to do; last 21 Nov 2026 14:00 UTC."
        in shown
    )
    assert (
        "disable-keys-of-lapsed-subscription – on – subscription.revoked\nMatched once: 1 waiting; last"
        in shown
    )
    assert "restore-license-key – on – benefit_grant.revoked\nHas matched no event yet." in shown
    assert house.slack.ephemerals(OMAR) == []
    assert house.slack.messages() == []


async def test_every_event_is_in_the_list_with_a_rule_or_a_reason(house):
    house.rules = RuleSet(())  # so few that everything has a reason
    pages = [said(await house.ask(MAYA, f"rules {page}")) for page in (1, 2)]

    assert all(type_ in "\n".join(pages) for type_ in event_types())
    assert unhandled_reasons()["customer.created"] in "\n".join(pages)


async def test_the_pages_are_turned_in_place(house):
    await house.ask(MAYA, "rules")
    first = house.slack.ephemerals(MAYA)[-1]
    assert "page 1 of 2" in first.text

    assert (await house.slack.click(MAYA, house.slack.channel, first.ts, "rules.on")).acked
    await house.slack.wait_until(lambda: "page 2 of 2" in house.slack.ephemerals(MAYA)[-1].text)
    assert (await house.slack.click(MAYA, house.slack.channel, first.ts, "rules.back")).acked
    await house.slack.wait_until(lambda: "page 1 of 2" in house.slack.ephemerals(MAYA)[-1].text)

    assert len(house.slack.ephemerals(MAYA)) == 1


async def test_the_queue_is_turned_in_place_and_hostile_titles_stay_words(
    house, new_proposal, store_proposal
):
    for number in range(9):
        title = f"{number} <!channel> *now* <https://evil.example|Approve here>"
        proposal = new_proposal(title=title, created_at=NOW + timedelta(minutes=number))
        await house.store.do(store_proposal, proposal)
    first = said(await house.ask(MAYA, "queue"))
    message = house.slack.ephemerals(MAYA)[-1]
    assert "0 <!channel> *now*" in first
    assert message.action_ids == ["queue.on"]

    assert (await house.slack.click(MAYA, house.slack.channel, message.ts, "queue.on")).acked
    await house.slack.wait_until(lambda: house.slack.ephemerals(MAYA)[-1].action_ids == ["queue.back"])
    assert "page 2" in house.slack.ephemerals(MAYA)[-1].text
    assert (await house.slack.click(MAYA, house.slack.channel, message.ts, "queue.back")).acked
    await house.slack.wait_until(lambda: house.slack.ephemerals(MAYA)[-1].action_ids == ["queue.on"])


@pytest.mark.parametrize(
    "value", ["pause now", "resume", "propose", "", "queue 99999999999999999999", "show p"]
)
async def test_a_forged_page_shows_a_page_or_nothing(house, value):
    await house.ask(MAYA, "queue")
    shown = house.slack.ephemerals(MAYA)[-1]

    clicked = await forged_click(house.slack, MAYA, house.slack.channel, shown.ts, "queue.on", value=value)

    assert clicked.acked
    assert await house.store.do(paused) is None


async def test_rules_answer_in_time_when_they_have_fired_a_hundred_thousand_times(house):
    await house.fired("generate-invoice", RuleMatchState.PROPOSED)
    many = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
        "INSERT INTO rule_matches (fact_key, rule, rule_version, event_id, state, attempts, matched_at) "
        "SELECT 'many ' || i, 'generate-invoice', 'v1', 'msg_generate-invoice_0', 'silent', 0, i FROM n"
    )
    await house.store.do(lambda connection: connection.execute(text(many)))

    began = time.monotonic()
    shown = said(await house.ask(MAYA, "rules"))

    assert "Matched 100001 times: 1 with a card, 100000 with nothing left to do" in shown
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("words", ["help", "HELP", "frobnicate", "frobnicate now"])
async def test_help_names_every_word(house, words):
    shown = said(await house.ask(MAYA, words))

    assert ABOUT.keys() == COMMANDS.keys()
    assert all(word in shown and about in shown for word, about in ABOUT.items())
    assert ("frobnicate" in shown) is words.startswith("frob")


@pytest.mark.parametrize("words", ["", "queue"])
async def test_the_queue_is_what_the_command_shows_by_itself(house, words):
    assert "Nothing waits for a decision" in said(await house.ask(MAYA, words))


# -- the parts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "word", "rest"),
    [
        ("", "queue", ""),
        ("  rules   2 ", "rules", "2"),
        ("Propose a refund", "propose", "a refund"),
        ("nope", "help", ""),
        ("show p\0abc\ud800", "show", "pabc?"),
    ],
)
def test_command_is_read(typed, word, rest):
    asked = read_command(typed)

    assert asked.command is COMMANDS[word]
    assert asked.rest == rest


def test_state_tells_what_is_ones_own_replaced_and_off(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(OWN)
    rules = load_rules(path)

    state = {one.name: one.state for one in rule_lines(rules, {})}

    assert state["generate-invoice"] == "on, your own in place of the default"
    assert state["win-back-offer"] == "off"
    assert state["restore-license-key"] == "on"


def test_event_whose_only_rule_is_off_says_so(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[[rule]]\nname = "generate-invoice"\nenabled = false\n')

    assert dict(events_without_rule(load_rules(path)))["order.paid"] == "Every rule for it is switched off."


@pytest.mark.parametrize("count", [0, 1, RULES_PAGE, RULES_PAGE + 1, 3 * RULES_PAGE])
def test_every_page_is_what_slack_takes_and_nothing_is_left_out(count):
    def matches(n):
        return {RuleMatchState.PROPOSED: n, RuleMatchState.WAITING: 1, RuleMatchState.SILENT: 1} if n else {}

    rules = [
        RuleLine(
            f"rule-{n:03}",
            ("order.paid",) * 41,
            Origin.DEFAULT if n else Origin.OFF,
            RuleActivity(matches(n), NOW),
        )
        for n in range(count)
    ]
    why = [("order.updated", "<!channel> & so on " * 30)]
    pages = max(-(-(count + 1) // RULES_PAGE), 1)

    messages = [rules_message(rules, why, page) for page in range(1, pages + 1)]

    shown = "\n".join(said(list(message.blocks)) for message in messages)
    assert all(shown.count(rule.name) == 1 for rule in rules)
    for message in messages:
        assert len(message.blocks) <= 50
        assert lint_message({"text": message.text, "blocks": list(message.blocks)}) == []
    assert rules_message(rules, why, 99) == messages[-1]
    assert rules_message(rules, why, 0) == messages[0]


async def test_activity_counts_by_what_came_of_it_and_knows_the_last(house):
    await house.fired("a", RuleMatchState.PROPOSED, RuleMatchState.WAITING, RuleMatchState.WAITING)

    assert await house.store.do(rule_activity) == {
        "a": RuleActivity({RuleMatchState.PROPOSED: 1, RuleMatchState.WAITING: 2}, NOW + timedelta(hours=2))
    }


async def test_activity_is_read_from_an_index_alone(store):
    query = "EXPLAIN QUERY PLAN SELECT rule, state, count(*), max(matched_at) FROM rule_matches GROUP BY rule, state"

    plan = await store.do(lambda connection: str(connection.execute(text(query)).all()))

    assert "USING COVERING INDEX ix_rule_matches_rule" in plan
