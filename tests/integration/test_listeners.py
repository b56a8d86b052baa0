"""What Slack sends us over HTTP: signed requests are heard, everything else is refused, never a 500."""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.approvals.service import ApprovalService, Click
from bot.forms.service import Proposing
from bot.listeners.buttons import register
from bot.results import DecisionResult, DecisionStatus
from bot.services import Services
from bot.slack.client import SlackUser
from bot.ui import ephemeral
from bot.web import Bodies, Signatures, slack_events
from store.engine.errors import StoreFailed
from store.models import Verdict

SECRET = "signing-secret"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
PATH = "/slack/events"


class QuietService(ApprovalService):
    """A service that remembers who clicked what, and can be made to fail."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.taps: list[tuple[Click, Verdict]] = []
        self.error: Exception | None = None

    async def decide(
        self, click: Click, verdict: Verdict, stored: Callable[[], None] = lambda: None
    ) -> DecisionResult:
        """Remember the click."""
        if self.error is not None:
            raise self.error
        self.taps.append((click, verdict))
        return DecisionResult(DecisionStatus.APPROVED)


class Told:
    """A Slack that remembers what single people were told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def post_ephemeral(
        self, channel: str, user: str, content: dict, thread_ts: str | None = None
    ) -> None:
        """Remember it."""
        self.texts.append(content["text"])


def quiet_services(told: Told) -> Services:
    """Nothing is stored and nobody asked."""
    nobody: Any = None
    slack: Any = told
    return Services(nobody, nobody, slack, nobody, nobody, "C1", lambda: datetime.now(UTC), lambda _: None)


class QuietProposing(Proposing):
    """Nobody proposes anything here."""

    def __init__(self) -> None:
        """Needs nothing."""


class Slack:
    """A Slack that signs what it posts to our route."""

    def __init__(self, client: "TestClient[Any, Any]", approvals: QuietService, told: Told) -> None:
        self.client, self.approvals, self.told = client, approvals, told

    async def post(self, body: bytes, content_type: str = FORM, **changed: str) -> ClientResponse:
        """The answer to a signed request; `changed` headers (with _ for -) win over the signed ones."""
        at = changed.pop("at", str(int(time.time())))
        mac = hmac.new(SECRET.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": at,
            "X-Slack-Signature": f"v0={mac}",
        }
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        answer = await self.client.post(PATH, data=body, headers=headers)
        await answer.read()
        return answer


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async def auth_test(_request: web.Request) -> web.Response:
        return web.json_response({"ok": True, "team_id": "T1", "user_id": "U0BOT", "bot_id": "B1", "url": ""})

    api, ours, told = web.Application(), web.Application(), Told()
    services = quiet_services(told)
    approvals = QuietService(services)
    api.router.add_post("/auth.test", auth_test)
    async with TestServer(api) as api_server:
        app = AsyncApp(
            client=AsyncWebClient("xoxb-1", base_url=str(api_server.make_url("/"))), signing_secret=SECRET
        )
        register(app, services, approvals, QuietProposing())
        ours.router.add_post(PATH, slack_events(app, SECRET, Bodies()))
        async with TestClient(TestServer(ours)) as client:
            yield Slack(client, approvals, told)


def tapped(action_id: str = "approve", value: object = "p1:1", **more: Any) -> bytes:
    payload = {
        "type": "block_actions",
        "team": {"id": "T1"},
        "user": {"id": "U1", "team_id": "T1"},
        "api_app_id": "A1",
        "container": {"type": "message", "message_ts": "1.2", "channel_id": "C1"},
        "actions": [{"type": "button", "action_id": action_id, "block_id": "b", "value": value}],
        **more,
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


@pytest.mark.parametrize(("action", "verdict"), [("approve", Verdict.APPROVE), ("decline", Verdict.DECLINE)])
async def test_a_signed_tap_is_heard(slack: Slack, action: str, verdict: Verdict) -> None:
    assert (await slack.post(tapped(action))).status == 200
    assert slack.approvals.taps == [(Click(SlackUser("U1", "T1"), "p1", 1, "C1", "1.2"), verdict)]


async def test_a_signed_request_is_taken_once(slack: Slack) -> None:
    at = str(int(time.time()))
    assert [(await slack.post(tapped(), at=at)).status for _ in range(3)] == [200, 401, 401]
    assert len(slack.approvals.taps) == 1
    assert (await slack.post(tapped("decline"), at=at)).status == 200  # another one in the same second


async def test_a_request_that_was_not_done_may_be_sent_again(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, failures = str(int(time.time())), [BoltResponse(status=503)]
    dispatch = AsyncApp.async_dispatch

    async def fails_once(self: AsyncApp, request: Any) -> BoltResponse:
        return failures.pop() if failures else await dispatch(self, request)

    monkeypatch.setattr(AsyncApp, "async_dispatch", fails_once)
    assert [(await slack.post(tapped(), at=at)).status for _ in range(3)] == [503, 200, 401]
    assert len(slack.approvals.taps) == 1


def test_signatures_are_kept_while_their_timestamp_is_valid_and_never_more_than_a_number() -> None:
    now = [1_000.0]
    signatures = Signatures(lambda: now[0], most=3)

    def take(name: str, at: int) -> bool:
        return signatures.take({"X-Slack-Signature": name, "X-Slack-Request-Timestamp": str(at)})

    assert [take(name, 1_000) for name in "aab"] == [True, False, True]
    now[0] = 1_300.0
    assert [take(name, 1_000) for name in "ab"] == [False, False]
    now[0] = 1_301.0  # both are too old to be taken by their timestamp, and forgotten
    assert [take(name, 1_301) for name in "cdefcg"] == [True, True, True, True, True, True]
    assert not take("g", 1_301)


async def test_slack_s_challenge_is_answered(slack: Slack) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "abc", "token": "t"}).encode()
    answer = await slack.post(body, JSON)
    assert answer.status == 200
    assert "abc" in await answer.text()


@pytest.mark.parametrize(
    "changed",
    [
        {"X_Slack_Signature": "v0=" + "0" * 64},
        {"X_Slack_Signature": ""},
        {"X_Slack_Signature": "nonsense"},
        {"X_Slack_Signature": "v0=ключ"},
        {"X_Slack_Request_Timestamp": ""},
        {"X_Slack_Request_Timestamp": "soon"},
        {"X_Slack_Request_Timestamp": "-5"},
        {"X_Slack_Request_Timestamp": "1.5"},
        {"X_Slack_Request_Timestamp": "²"},
        {"X_Slack_Request_Timestamp": "9" * 40},
        {"X_Slack_Request_Timestamp": "9" * 5_000},
        {"seconds_off": "-310"},
        {"seconds_off": "400"},
        {"at": "0"},
    ],
    ids=lambda changed: f"{changed!s:.60}",
)
async def test_a_forged_or_stale_request_is_a_401(slack: Slack, changed: dict[str, str]) -> None:
    headers = dict(changed)
    if "seconds_off" in headers:  # by the clock of now: the cases are collected minutes before they run
        headers["at"] = str(int(time.time()) + int(headers.pop("seconds_off")))
    answer = await slack.post(tapped(), **headers)
    assert answer.status == 401, await answer.text()
    assert slack.approvals.taps == []


async def test_a_changed_body_is_a_401(slack: Slack) -> None:
    at = str(int(time.time()))
    mac = hmac.new(SECRET.encode(), f"v0:{at}:".encode() + tapped(), hashlib.sha256).hexdigest()
    answer = await slack.post(tapped("decline"), X_Slack_Signature=f"v0={mac}", X_Slack_Request_Timestamp=at)
    assert answer.status == 401
    assert slack.approvals.taps == []


async def test_without_a_signature_nothing_passes_whatever_it_claims(slack: Slack) -> None:
    for body in (b"ssl_check=1&token=x", tapped() + b"&ssl_check=1", b'{"type":"url_verification"}'):
        kind = JSON if body.startswith(b"{") else FORM
        answer = await slack.post(body, kind, X_Slack_Signature="v0=" + "0" * 64)
        assert answer.status == 401, body
    assert slack.approvals.taps == []


MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty form": (b"", FORM),
    "empty JSON": (b"", JSON),
    "no JSON": (b"{", JSON),
    "JSON list": (b"[]", JSON),
    "JSON text": (b'"x"', JSON),
    "JSON null": (b"null", JSON),
    "JSON number": (b"1", JSON),
    "deep JSON": (b"[" * 100_000, JSON),
    "deep object": (b'{"a":' * 100_000, JSON),
    "empty object": (b"{}", JSON),
    "payload is no JSON": (b"payload=%7B", FORM),
    "payload is empty": (b"payload=", FORM),
    "payload is a list": (b"payload=%5B%5D", FORM),
    "payload is a number": (b"payload=1", FORM),
    "payload is null": (b"payload=null", FORM),
    "payload is deep": (b"payload=" + b"[" * 100_000, FORM),
    "payload twice": (b"payload=1&payload=2", FORM),
    "form that is no UTF-8": (b"payload=\xff", FORM),
    "JSON that is no UTF-8": (b'{"a":"\xff"}', JSON),
    "unknown charset": (b"{}", "application/json; charset=moon"),
    "form with unknown charset": (b"payload=%7B%7D", f"{FORM}; charset=moon"),
    "UTF-16": (b"{}", "application/json; charset=utf-16"),
    "no content type": (b"{}", ""),
    "odd content type": (b"{}", "nonsense"),
    "text": (b"{}", "text/plain"),
    "JSON in disguise": (b"[]", "text/plain"),
    "payload of an unknown kind": (b"payload=%7B%22type%22%3A%22moon%22%7D", FORM),
    "user is a text": (tapped(user="U1"), FORM),
    "team is a text": (tapped(team="T1"), FORM),
    "no actions": (tapped(actions=[]), FORM),
    "actions are null": (tapped(actions=None), FORM),
    "an action is a text": (tapped(actions=["approve"]), FORM),
    "no user": (tapped(user=None), FORM),
    "no container": (tapped(container=None), FORM),
    "value is a number": (tapped(value=7), FORM),
    "an event that is a text": (b'{"type":"event_callback","event":"x"}', JSON),
    "an event without a user": (b'{"type":"event_callback","event":{"type":"app_home_opened"}}', JSON),
    "an unknown command": (b"command=%2Fmoon&user_id=U1&team_id=T1", FORM),
}


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "forged"])
@pytest.mark.parametrize(("body", "kind"), MALFORMED.values(), ids=MALFORMED)
async def test_what_makes_no_sense_is_never_a_500(
    slack: Slack, body: bytes, kind: str, *, signed: bool
) -> None:
    forged = {} if signed else {"X_Slack_Signature": "v0=" + "0" * 64}
    answer = await slack.post(body, kind, **forged)
    assert answer.status < 500, await answer.text()
    if not signed:
        assert answer.status in {400, 401}


async def test_a_body_that_does_not_fit_its_headers_is_a_400(slack: Slack) -> None:
    answer = await slack.post(tapped(), Content_Encoding="gzip")
    assert answer.status == 400


async def test_a_failure_after_the_acknowledgement_is_no_second_answer(
    slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    slack.approvals.error = StoreFailed()
    assert (await slack.post(tapped())).status == 200
    assert "a listener failed" in caplog.text
    assert slack.told.texts == [ephemeral.FAILED]


async def test_a_button_of_another_version_is_told_to_be_out_of_date(slack: Slack) -> None:
    assert (await slack.post(tapped("snooze"))).status == 200
    assert slack.told.texts == [
        "The proposal of this card is not in the database. Nothing was changed. Type /polar to see what waits."
    ]


async def test_of_a_link_nothing_is_told(slack: Slack) -> None:
    link = {"type": "button", "action_id": "open", "block_id": "b", "url": "https://polar.sh"}
    assert (await slack.post(tapped(actions=[link]))).status == 200
    assert slack.told.texts == []
