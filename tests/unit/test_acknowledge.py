"""When Slack is answered, with what, and who is told when the work fails."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

import bot as bot_package
from bot.listeners import acknowledge as module
from bot.listeners.acknowledge import Place, acknowledge, place_of
from bot.slack.client import SlackNoAnswer, SlackUser
from bot.ui.elements import notice
from bot.ui.ephemeral import FAILED

_ANSWERS = re.compile(r"\bAsyncAck\b|\back\(|\backnowledge\(")
IN_A_CHANNEL = {"user": {"id": "U1", "team_id": "T1"}, "container": {"channel_id": "C1", "message_ts": "1.2"}}
IN_A_MODAL = {
    "user": {"id": "U1", "team_id": "T1"},
    "container": {"type": "view", "view_id": "V1"},
    "view": {"id": "V1", "type": "modal", "title": {"type": "plain_text", "text": "Review"}},
}


class Slack:
    """Remembers in which order Slack is answered and people are told."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.down = False

    async def ack(self, **arguments: Any) -> None:
        self.said.append(("ack", arguments))

    async def later(self, answer: dict[str, Any]) -> None:
        self.said.append(("later", answer))

    async def post_ephemeral(
        self, channel: str, user: str, content: dict[str, Any], thread_ts: str | None = None
    ) -> None:
        if self.down:
            raise SlackNoAnswer("Slack did not answer.")
        self.said.append((channel, user, content["text"]))

    async def update_view(self, view_id: str, view: dict[str, Any]) -> None:
        self.said.append((view_id, view))


@pytest.fixture
def slack() -> Slack:
    return Slack()


async def run(slack: Slack, work: Any, body: dict[str, Any], **how: Any) -> None:
    await acknowledge(slack, slack.ack, body, work, **how)  # type: ignore[arg-type] - as much of Slack as it needs
    await module.finish()


async def test_what_the_work_returns_goes_into_the_acknowledgement(slack: Slack) -> None:
    async def work(_: asyncio.Event) -> dict[str, Any]:
        return {"text": "done"}

    await run(slack, work, IN_A_CHANNEL, later=slack.later)

    assert slack.said == [("ack", {"text": "done"})]


async def test_slack_is_answered_once_it_is_stored_and_the_work_goes_on(slack: Slack) -> None:
    answered = asyncio.Event()

    async def ack(**_: Any) -> None:
        slack.said.append("ack")
        answered.set()

    async def work(stored: asyncio.Event) -> None:
        slack.said.append("stored")
        stored.set()
        await answered.wait()
        slack.said.append("decided")

    await acknowledge(slack, ack, IN_A_CHANNEL, work)  # type: ignore[arg-type] - as much of Slack as it needs
    said_when_slack_is_answered = list(slack.said)
    await module.finish()

    assert said_when_slack_is_answered == ["stored", "ack"]
    assert slack.said == ["stored", "ack", "decided"]


async def test_slow_work_is_acknowledged_in_time_and_answered_later(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ACK_WITHIN", 0.01)

    async def work(_: asyncio.Event) -> dict[str, Any]:
        while not slack.said:  # noqa: ASYNC110 - until Slack is answered
            await asyncio.sleep(0.001)
        return {"text": "done"}

    await run(slack, work, IN_A_CHANNEL, meanwhile={"text": "wait"}, later=slack.later)

    assert slack.said == [("ack", {"text": "wait"}), ("later", {"text": "done"})]


async def fails(_: asyncio.Event) -> None:
    raise ValueError


async def test_a_failure_is_logged_acknowledged_and_told_once(
    slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    await run(slack, fails, IN_A_CHANNEL)

    assert slack.said == [("ack", {}), ("C1", "U1", FAILED)]
    assert "a listener failed" in caplog.text


async def test_a_failure_in_a_modal_is_told_in_it(slack: Slack, caplog: pytest.LogCaptureFixture) -> None:
    await run(slack, fails, IN_A_MODAL)

    assert slack.said == [("ack", {}), ("V1", notice("Review", FAILED))]
    assert "a listener failed" in caplog.text


async def test_a_failure_on_the_home_tab_is_only_logged(
    slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    await run(slack, fails, IN_A_MODAL | {"view": {"id": "V1", "type": "home"}})

    assert slack.said == [("ack", {})]
    assert "a listener failed" in caplog.text


async def test_a_form_shows_its_failure_itself(slack: Slack) -> None:
    failed = {"response_action": "update", "view": {}}

    await run(slack, fails, IN_A_CHANNEL, failed=failed, later=slack.later)

    assert slack.said == [("ack", failed)]


async def test_a_slow_form_that_fails_shows_it_later(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ACK_WITHIN", 0.01)

    async def work(_: asyncio.Event) -> None:
        while not slack.said:  # noqa: ASYNC110 - until Slack is answered
            await asyncio.sleep(0.001)
        raise ValueError

    await run(slack, work, IN_A_MODAL, failed={"view": {}}, later=slack.later)

    assert slack.said == [("ack", {}), ("later", {"view": {}})]


async def test_somebody_whose_late_answer_could_not_be_shown_is_told(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ACK_WITHIN", 0.01)

    async def work(_: asyncio.Event) -> dict[str, Any]:
        while not slack.said:  # noqa: ASYNC110 - until Slack is answered
            await asyncio.sleep(0.001)
        return {"text": "done"}

    async def later(_: dict[str, Any]) -> None:
        raise ValueError

    await run(slack, work, IN_A_CHANNEL, later=later)

    assert slack.said == [("ack", {}), ("C1", "U1", FAILED)]


async def test_a_failure_that_slack_does_not_take_is_no_second_one(slack: Slack) -> None:
    slack.down = True

    await run(slack, fails, IN_A_CHANNEL)

    assert slack.said == [("ack", {})]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (IN_A_CHANNEL, Place(SlackUser("U1", "T1"), "C1", "1.2")),
        (IN_A_MODAL, Place(SlackUser("U1", "T1"), None)),
        (
            {
                "user": {"id": "U1"},
                "container": {"channel_id": "C1", "message_ts": "1.2", "is_ephemeral": True},
            },
            Place(SlackUser("U1", None), "C1"),
        ),
        ({"user_id": "U1", "team_id": "T1", "channel_id": "C2"}, Place(SlackUser("U1", "T1"), "C2")),
        (
            {"event": {"user": "U1", "team": "T1", "channel": "C1", "thread_ts": "1.1"}},
            Place(SlackUser("U1", "T1"), "C1", thread_ts="1.1"),
        ),
    ],
)
def test_where_somebody_acts(body: dict[str, Any], place: Place) -> None:
    assert place == place_of(body)


async def test_a_stop_does_not_wait_for_ever(
    slack: Slack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "ACK_WITHIN", 0.01)
    monkeypatch.setattr(module, "STOP_WITHIN", 0.01)
    released = asyncio.Event()

    await acknowledge(slack, slack.ack, IN_A_CHANNEL, lambda _: released.wait())  # type: ignore[arg-type]
    await module.finish()

    assert "does not wait for 2 listeners" in caplog.text
    released.set()
    await module.finish()


def test_nothing_else_answers_slack() -> None:
    """A listener that acknowledges by itself has no time limit, and tells nobody of its failure."""
    bot = Path(bot_package.__file__).parent
    own = [str(each.relative_to(bot)) for each in bot.rglob("*.py") if _ANSWERS.search(each.read_text())]

    assert own == ["listeners/acknowledge.py"]
