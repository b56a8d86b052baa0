"""Who may read, asked of a Slack stand-in over the wire: the channel, READERS, the approvers; doubt means no."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.config.policy import Policy
from bot.config.settings import Approvers
from bot.demo.slack import SlackStandIn
from bot.permissions import Authority, ByRuleAndClass, Readers
from bot.results import Purpose, RefusalCode
from bot.rules import RuleSet
from bot.slack.client import RateLimits, Slack
from polar.catalog import Risk
from tests.fixtures.slack import DORA, GUS, JONAS, LENA, MAYA, OMAR, web_client

GROUP = "S0APPROVERS"  # Maya and Jonas
NOBODY = Approvers(frozenset(), frozenset())
_R = RefusalCode


class House:
    """An Authority at a clock that a test moves, and the Slack it asks."""

    def __init__(self, slack: SlackStandIn, client: Any) -> None:
        self.slack, self._client, self.now = slack, client, datetime(2026, 11, 30, tzinfo=UTC)

    def authority(
        self,
        *,
        readers: Approvers | None = None,
        approvers: Approvers = NOBODY,
        classes: Mapping[Risk, list[str]] | None = None,
    ) -> Authority:
        """Who may read with these settings; Slack has said which workspace is ours."""
        store: Any = None
        rules = RuleSet((), policy=Policy(approvers=dict(classes or {})))
        slack = Slack(self._client, RateLimits(lambda: 0.0, {}))
        deciders = ByRuleAndClass(approvers, rules, store)
        made = Authority(slack, lambda: self.now, deciders, Readers(readers, self.slack.channel))
        made.team_id = self.slack.workspace.team.id
        return made

    def calls(self, method: str) -> int:
        """How often Slack was asked."""
        return len(self.slack.calls(method))


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with SlackStandIn.serve() as slack, web_client(slack) as client:
        slack.workspace.channel.members.discard(JONAS)
        yield House(slack, client)


async def code(authority: Authority, user: str, team: str | None = None) -> RefusalCode | None:
    found = await authority.refusal_to_read(user, team)
    assert found is None or found.purpose is Purpose.VIEW
    return None if found is None else found.code


async def test_members_of_the_channel_read_when_nobody_is_named(house: House) -> None:
    authority = house.authority()

    assert await code(authority, LENA) is None
    assert await code(authority, JONAS) is _R.NOT_IN_CHANNEL
    assert await code(authority, GUS) is _R.GUEST  # he is in the channel
    assert await code(authority, OMAR) is _R.OTHER_WORKSPACE
    assert await code(authority, LENA, "T0PARTNER01") is _R.OTHER_WORKSPACE
    assert await code(authority, DORA) is _R.DEACTIVATED


async def test_readers_are_in_place_of_the_channel(house: House) -> None:
    named = house.authority(readers=Approvers(frozenset({JONAS}), frozenset()))

    assert await code(named, JONAS) is None
    assert await code(named, LENA) is _R.NOT_A_READER
    assert house.calls("conversations.members") == 0
    grouped = house.authority(readers=Approvers(frozenset(), frozenset({GROUP})))
    assert await code(grouped, JONAS) is None
    assert await code(grouped, LENA) is _R.NOT_A_READER


async def test_whoever_may_decide_anything_reads(house: House) -> None:
    other = Approvers(frozenset({"U0NOBODY001"}), frozenset())

    assert (
        await code(
            house.authority(readers=other, approvers=Approvers(frozenset({JONAS}), frozenset())), JONAS
        )
        is None
    )
    assert (
        await code(
            house.authority(readers=other, approvers=Approvers(frozenset(), frozenset({GROUP}))), JONAS
        )
        is None
    )
    assert await code(house.authority(readers=other, classes={Risk.R2: [JONAS]}), JONAS) is None


async def test_who_leaves_the_channel_reads_no_more(house: House) -> None:
    authority, members = house.authority(), house.slack.workspace.channel.members
    assert await code(authority, LENA) is None
    members.discard(LENA)
    authority.forget_channel(house.slack.channel)  # Slack tells of it
    assert await code(authority, LENA) is _R.NOT_IN_CHANNEL
    members.add(LENA)
    house.now += timedelta(minutes=1)  # it does not
    assert await code(authority, LENA) is None


async def test_slack_is_asked_about_the_channel_once_a_minute_at_most(house: House) -> None:
    authority = house.authority()
    for _ in range(5):
        assert await code(authority, LENA) is None
        assert await code(authority, JONAS) is _R.NOT_IN_CHANNEL
        house.now += timedelta(seconds=11)

    assert house.calls("conversations.members") == 1


@pytest.mark.parametrize("method", ["users.info", "conversations.members"])
async def test_while_slack_does_not_answer_nobody_reads(house: House, method: str) -> None:
    authority = house.authority()
    house.slack.fail_next(method, "server_error")
    assert await code(authority, LENA) is _R.USER_UNKNOWN
    assert await code(authority, LENA) is None
    house.now += timedelta(minutes=1)  # what Slack said before is too old to go by
    house.slack.fail_next(method, "server_error")
    assert await code(authority, LENA) is _R.USER_UNKNOWN
    house.now += timedelta(minutes=1)
    house.slack.fail_next(method, "missing_scope")
    assert await code(authority, LENA) is _R.SLACK_REFUSED


async def test_one_list_that_slack_does_not_tell_locks_out_nobody_of_another(house: House) -> None:
    house.slack.workspace.paid_plan = False  # then there are no user groups
    authority = house.authority(approvers=Approvers(frozenset(), frozenset({GROUP})))

    assert await code(authority, LENA) is None
    assert await code(authority, JONAS) is _R.SLACK_REFUSED


async def test_before_slack_says_which_workspace_is_ours_nobody_reads(house: House) -> None:
    authority = house.authority(approvers=Approvers(frozenset({MAYA}), frozenset()))
    authority.team_id = None

    assert await code(authority, MAYA) is _R.WORKSPACE_UNKNOWN


async def test_a_channel_of_thousands_is_read_to_its_end(house: House) -> None:
    house.slack.workspace.channel.members |= {f"U0A{number:05}" for number in range(2_500)}

    assert await code(house.authority(), LENA) is None
    assert house.calls("conversations.members") == 3
