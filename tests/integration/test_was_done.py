"""Each of the 62 writes without an answer: done it is recognised, not done too, and what nobody can tell is said so."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from bot.forms.names import proposable
from bot.proposals.call_results import Seen, look
from bot.results import FollowupResult, FollowupStatus
from bot.ui.ephemeral import followup
from polar.catalog import Call
from polar.client import PolarClient
from polar.errors import NoAnswer
from polar.was_done import creates, marked
from store.models import ProposalCall
from tests.fixtures.every_write import calls, teach
from tests.fixtures.polar import Polar, running

IDS = [one.id for one in proposable()]
# No read of Polar's shows these, or it needs what was in the answer.
UNREADABLE = {
    "customer-seats:resend_invitation", "customer-seats:revoke_seat", "customer-sessions:create", "events:ingest",
    "license_keys:activate", "license_keys:deactivate", "license_keys:validate",
    "webhooks:redeliver_webhook_event", "webhooks:reset_webhook_endpoint_secret",
}  # fmt: skip
# Polar lists a file once it is uploaded.
CANNOT_TELL = {"files:create", "files:uploaded"}
CREATES = [one.id for one in proposable() if creates(one) and one.id not in UNREADABLE]


@pytest.fixture
async def polar(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Polar]:
    async with running() as made:
        teach(monkeypatch, made)
        yield made


@pytest.fixture
async def client(polar: Polar) -> AsyncIterator[PolarClient]:
    base = str(polar.client.base_url)
    async with PolarClient(polar.standin.token, base, per_minute=600_000) as made:
        yield made


async def dropped(polar: Polar, client: PolarClient, call: Call, fault: str) -> Seen:
    """Send a call whose answer is lost, and look whether it was done."""
    polar.standin.fail_next(fault, only=call.operation)
    sent_at = datetime.now(UTC)
    with pytest.raises(NoAnswer):
        await client.send(call)
    stored = ProposalCall(call.operation, call.path, call.query, call.body, started_at=sent_at)
    return (await look(client, stored)).seen


def expected(operation: str, otherwise: Seen) -> Seen:
    return Seen.UNREADABLE if operation in UNREADABLE else otherwise


def test_there_is_a_call_of_each() -> None:
    assert len(IDS) == 62
    assert set(IDS) >= UNREADABLE | CANNOT_TELL


def test_what_cannot_be_told_is_never_worded_as_no_trace() -> None:
    for status in (FollowupStatus.CANNOT_TELL, FollowupStatus.NO_READ):
        assert "trace" not in followup(FollowupResult(status)).plain
    assert "no trace" in followup(FollowupResult(FollowupStatus.NO_TRACE)).plain


@pytest.mark.parametrize("operation", IDS)
async def test_what_became_of_a_write_without_an_answer_is_told(
    polar: Polar, client: PolarClient, operation: str
) -> None:
    call = marked(calls(polar)[operation], "p1")

    assert await dropped(polar, client, call, "drop-before") is expected(
        operation, Seen.CANNOT_TELL if operation in CANNOT_TELL else Seen.NO_TRACE
    )
    done = Seen.CANNOT_TELL if operation == "files:create" else Seen.DONE
    assert await dropped(polar, client, call, "drop-after") is expected(operation, done)


@pytest.mark.parametrize("operation", CREATES)
async def test_what_bears_no_mark_is_known_by_what_was_sent(
    polar: Polar, client: PolarClient, operation: str
) -> None:
    call = calls(polar)[operation]
    before = await dropped(polar, client, call, "drop-before")
    after = await dropped(polar, client, call, "drop-after")

    done = (Seen.CANNOT_TELL,) * 2 if operation == "files:create" else (Seen.NO_TRACE, Seen.DONE)
    assert (before, after) == done
