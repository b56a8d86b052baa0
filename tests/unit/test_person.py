"""Who acts, read from whatever Slack sends."""

import pytest

from bot.slack.user import Person, person_of, writer_of


@pytest.mark.parametrize(
    ("body", "person"),
    [
        ({"user": {"id": "U1", "team_id": "T1"}, "team": {"id": "T2"}}, Person("U1", "T1")),
        ({"user": {"id": "U1"}, "team": {"id": "T2"}}, Person("U1", "T2")),
        ({"user": {"id": "U1"}, "team": None}, Person("U1", None)),
        ({"user_id": "U1", "team_id": "T1"}, Person("U1", "T1")),
        ({}, Person("", None)),
    ],
)
def test_whoever_acts_is_of_their_own_team_or_of_the_requests(
    body: dict[str, object], person: Person
) -> None:
    assert person_of(body) == person


def test_whoever_writes_in_a_shared_channel_is_of_their_own_team() -> None:
    assert writer_of({"user": "U1", "team": "T1", "user_team": "T9"}) == Person("U1", "T9")
    assert writer_of({"user": "U1", "team": "T1"}) == Person("U1", "T1")
