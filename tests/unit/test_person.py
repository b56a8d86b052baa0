"""Who acts, read from whatever Slack sends."""

import pytest

from bot.slack.client import SlackUser, acting_user


@pytest.mark.parametrize(
    ("body", "user"),
    [
        ({"user": {"id": "U1", "team_id": "T1"}, "team": {"id": "T2"}}, SlackUser("U1", "T1")),
        ({"user": {"id": "U1"}, "team": {"id": "T2"}}, SlackUser("U1", "T2")),
        ({"user": {"id": "U1"}, "team": None}, SlackUser("U1", None)),
        ({"user_id": "U1", "team_id": "T1"}, SlackUser("U1", "T1")),
        ({}, SlackUser("", None)),
    ],
)
def test_whoever_acts_is_of_their_own_team_or_of_the_requests(
    body: dict[str, object], user: SlackUser
) -> None:
    assert acting_user(body) == user


def test_whoever_writes_in_a_shared_channel_is_of_their_own_team() -> None:
    assert acting_user({"user": "U1", "team": "T1", "user_team": "T9"}) == SlackUser("U1", "T9")
    assert acting_user({"user": "U1", "team": "T1"}) == SlackUser("U1", "T1")
