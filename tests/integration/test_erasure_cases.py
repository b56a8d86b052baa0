"""Erasure case by case: what is open, what comes later, what is old, and what somebody tampers with."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text

from bot.__main__ import main
from bot.approvals.erasure import carry_out_approved, erase_nightly, erasure_of
from bot.cli.verify_log import sentence
from store import open_store
from store.audit_log.verify import ProblemCode, verify
from store.erasure.erase import erase_proposals
from store.models import CallState, Decision, EventState, NewEvent, ProposalKind, ProposalState, Verdict
from store.models.reasons import ReasonCode
from store.proposals.actions import Act, give_reason, mark_not_done, retry, undo
from store.proposals.decisions import decide
from store.proposals.details import comments_of, keep_message, mend_message
from store.proposals.execution import begin_call, claim_approved, end_call, finish_execution
from store.proposals.proposals import get_proposal
from store.schema import events, proposals
from store.schema.graduation import audit_log
from tests.fixtures.line import MAYA, Line, line
from tests.integration.old_database import load_old_database
from tests.integration.test_erasure import buyer, buys, erase, everything

MARK = "zq81x"


@pytest.fixture
async def shop(tmp_path: Path, database_url: str) -> AsyncIterator[Line]:
    """The line with its rules, on each database."""
    async with line(tmp_path, url=database_url) as made:
        yield made


async def left(shop: Line, mark: str = MARK) -> list[str]:
    """Where the mark still is."""
    return [where for where, found in (await everything(shop)).items() if mark in found]


# --- What is open -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [ProposalState.EXECUTING, ProposalState.UNKNOWN])
async def test_a_call_that_may_be_on_its_way_is_erased_once_it_is_settled(
    shop: Line, state: ProposalState
) -> None:
    asked = await buys(shop, who := buyer(shop, MARK))
    now = shop.clock()
    await shop.store.do(decide, Decision(asked.id, MAYA, Verdict.APPROVE, "button", now))
    mine = {"token": "t", "now": now + timedelta(minutes=1)}
    await shop.store.do(claim_approved, **mine, until=now + timedelta(hours=1), limit=9)
    assert await shop.store.do(begin_call, asked.id, 0, **mine)
    if state == ProposalState.UNKNOWN:
        await shop.store.do(end_call, asked.id, 0, state=CallState.UNKNOWN, **mine)
        await shop.store.do(finish_execution, asked.id, state, reason=None, **mine)

    found = await erase(shop, who.email)

    assert found is not None
    assert (found.proposals, found.left) == (0, 1)
    kept = await shop.store.do(get_proposal, asked.id)
    assert kept is not None
    assert (kept.state, kept.calls[0].path, kept.erased_at) == (state, asked.calls[0].path, None)
    if state == ProposalState.EXECUTING:
        await shop.store.do(end_call, asked.id, 0, state=CallState.DONE, **mine)
        await shop.store.do(finish_execution, asked.id, ProposalState.SUCCEEDED, reason=None, **mine)
    else:
        await shop.store.do(mark_not_done, Act(asked.id, MAYA, "Not done", shop.clock()))
    await nights(shop, None)
    assert await left(shop) == []


async def nights(shop: Line, days: int | None) -> None:
    """One night, until nothing is left."""
    shop.clock.advance(days=1)
    for _ in range(9):
        await erase_nightly(shop.services, days)
        shop.clock.advance(minutes=1)


async def test_an_erased_proposal_takes_no_words_and_is_not_run_again(shop: Line) -> None:
    asked = await buys(shop, who := buyer(shop, MARK))
    where = {"at": shop.clock(), "channel": "C0CARDS", "ts": "1.0"}
    await shop.store.do(keep_message, [asked.id], MAYA, f"{MARK} called", **where)
    await shop.approve(asked)
    await erase(shop, who.email)

    kept = [
        await shop.store.do(keep_message, [asked.id], MAYA, f"Was it {MARK}?", **where | {"ts": "2.0"})
        for _ in range(2)
    ]
    await shop.store.do(mend_message, f"{MARK} called twice", **where)
    at, act = shop.clock(), Act(asked.id, MAYA, f"For {MARK}", shop.clock())
    assert kept == [True, False]  # counts once, as every message
    assert (await shop.store.do(give_reason, act, None))[0] is False
    assert (await shop.store.do(retry, act))[0] is False
    inverse = await shop.store.do(get_proposal, asked.id)
    assert inverse is not None
    assert (await shop.store.do(undo, act, inverse))[0] is False
    assert [one.text for one in await shop.store.do(comments_of, asked.id)] == ["", ""]
    assert at < shop.clock()
    assert await left(shop) == []


# --- What comes later ---------------------------------------------------------------------------------------


async def test_a_webhook_that_is_delivered_again_changes_nothing(shop: Line) -> None:
    await buys(shop, who := buyer(shop, MARK))
    before = await shop.store.do(_webhooks)
    await erase(shop, who.email)

    for id_, type_, body in before:
        now = shop.clock()
        await shop.store.record(NewEvent(id_, type_, body, "s", sent_at=now, received_at=now))
    await shop.work()

    assert await left(shop) == []
    assert len(await shop.proposals()) == 1


async def test_the_same_change_told_by_another_endpoint_asks_nothing_and_goes_the_next_night(
    shop: Line,
) -> None:
    await buys(shop, who := buyer(shop, MARK))
    before = await shop.store.do(_webhooks)
    await erase(shop, who.email)

    for number, (_, type_, body) in enumerate(before):
        now = shop.clock()
        await shop.store.record(NewEvent(f"other_{number}", type_, body, "s", sent_at=now, received_at=now))
    await shop.work()
    assert len(await shop.proposals()) == 1
    assert set(await left(shop)) <= {"events", "subjects", "export events"}

    await nights(shop, None)
    assert await left(shop) == []
    assert (await shop.store.do(verify)).problems == ()


async def test_a_new_order_of_an_erased_customer_is_asked_about_and_goes_once_it_is_closed(
    shop: Line,
) -> None:
    await buys(shop, who := buyer(shop, MARK))
    await erase(shop, who.email)
    asked = await buys(shop, who)
    await nights(shop, None)
    assert (await shop.store.do(get_proposal, asked.id)) == asked
    assert await left(shop)

    await shop.approve(asked)
    await nights(shop, None)
    assert await left(shop) == []


def _webhooks(connection: Connection) -> list[tuple[str, str, bytes]]:
    return [tuple(row) for row in connection.execute(select(events.c.id, events.c.type, events.c.body))]


# --- What is old --------------------------------------------------------------------------------------------


async def test_after_so_many_days_the_texts_of_what_is_closed_are_gone(shop: Line) -> None:
    old, waits, new = (f"zq{n}x" for n in "123")
    await shop.approve(await buys(shop, buyer(shop, old)))
    open_ = await buys(shop, buyer(shop, waits))
    await nights(shop, 30)
    assert await left(shop, old)
    shop.clock.advance(days=31)
    await shop.approve(await buys(shop, buyer(shop, new)))
    asked = await shop.store.do(_states)

    await nights(shop, 30)

    assert await left(shop, old) == []
    for mark in (waits, new):
        assert {"events", "proposals", "export events", "cards"} <= set(await left(shop, mark))
    assert (await shop.store.do(get_proposal, open_.id)) == open_
    assert asked == await shop.store.do(_states)
    assert (await shop.store.do(verify)).problems == ()


def _states(connection: Connection) -> list[tuple[str, str]]:
    rows = connection.execute(select(proposals.c.id, proposals.c.state).order_by(proposals.c.id))
    return [tuple(row) for row in rows]


async def test_without_retention_nothing_is_erased(shop: Line) -> None:
    await shop.approve(await buys(shop, buyer(shop, MARK)))
    shop.clock.advance(days=4_000)
    before = await everything(shop)
    await nights(shop, None)
    after = await everything(shop)
    assert {where for where in before if before[where] != after[where]} <= {"settings_kv", "explanations"}


async def test_a_night_goes_through_many_rows_a_few_in_a_transaction(
    shop: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.approvals.erasure._AT_ONCE", 2)
    for number in range(5):
        await shop.approve(await buys(shop, buyer(shop, f"zq{number}x")))
    shop.clock.advance(days=40)
    erased = []
    for _ in range(4):
        await erase_nightly(shop.services, 30)
        erased.append(sum(one.erased_at is not None for one in await shop.proposals()))
    assert erased == [2, 4, 5, 5]
    await erase_nightly(shop.services, 30)
    assert await left(shop, "zq4x") == []


# --- A card that asks ---------------------------------------------------------------------------------------


async def deleted(shop: Line, row: dict) -> str:
    """Polar tells, twice, that the customer was deleted; the question about it."""
    for _ in range(2):
        shop.shop.change(row, deleted_at=shop.shop.now())
        shop.tell("customer.deleted", "customers", row)
    await shop.deliver()
    [asked] = [one for one in await shop.proposals() if one.kind == ProposalKind.ERASURE]
    assert (asked.state, asked.title) == ("pending", f"Erase what is kept of {row['email']}?")
    return asked.id


async def test_a_deleted_customer_is_erased_once_somebody_approves(shop: Line) -> None:
    await buys(shop, who := buyer(shop, MARK))
    asked = await deleted(shop, who.row)
    await carry_out_approved(shop.services)
    assert await left(shop)

    await shop.store.do(decide, Decision(asked, MAYA, Verdict.APPROVE, "button", shop.clock()))
    await carry_out_approved(shop.services)

    assert await left(shop) == []
    found = await shop.store.do(get_proposal, asked)
    assert found is not None
    assert (found.state, found.title) == ("succeeded", "Erase what is kept of a deleted customer?")
    assert (await shop.store.do(verify)).problems == ()
    await carry_out_approved(shop.services)


async def test_a_declined_erasure_erases_nothing(shop: Line) -> None:
    await buys(shop, who := buyer(shop, MARK))
    asked = await deleted(shop, who.row)
    await shop.store.do(decide, Decision(asked, MAYA, Verdict.DECLINE, "button", shop.clock()))
    await carry_out_approved(shop.services)
    await nights(shop, None)
    assert {"events", "proposals", "subjects"} <= set(await left(shop))


# --- The log ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("UPDATE audit_log SET personal = NULL WHERE kind = 'proposed'", ProblemCode.ERASED),
        ("UPDATE audit_log SET personal = '{}' WHERE kind = 'proposed'", ProblemCode.PERSONAL),
        ("UPDATE audit_log SET personal = '{\"title\":\"x\"}' WHERE kind = 'policy'", ProblemCode.PERSONAL),
        ("UPDATE audit_log SET body = '{}' WHERE kind = 'proposed'", ProblemCode.ALTERED),
    ],
)
async def test_what_is_taken_from_the_log_without_an_erasure_is_found(
    shop: Line, change: str, code: ProblemCode
) -> None:
    await buys(shop, buyer(shop, MARK))
    await shop.store.do(lambda c: c.execute(text(change.replace(":", "\\:"))))
    problems = (await shop.store.do(verify)).problems
    assert problems[0].code == code
    assert sentence(problems[0]).startswith(f"row {problems[0].args['row']} (")


async def test_the_salt_goes_with_the_text(shop: Line) -> None:
    await buys(shop, who := buyer(shop, MARK))
    kept = await shop.store.do(_log)
    salts = {json.loads(personal)["salt"] for _, personal in kept if personal}
    assert len(salts) == sum(personal is not None for _, personal in kept)  # each row has its own
    await erase(shop, who.email)
    gone = await shop.store.do(_log)
    assert [body for body, _ in gone][: len(kept)] == [body for body, _ in kept]
    assert not any(salt in json.dumps(gone) for salt in salts)


def _log(connection: Connection) -> list[tuple[str, str | None]]:
    rows = connection.execute(select(audit_log.c.body, audit_log.c.personal).order_by(audit_log.c.seq))
    return [tuple(row) for row in rows]


async def test_a_migrated_log_is_whole_before_and_after_an_erasure(database_url: str) -> None:
    await load_old_database(database_url)
    async with open_store(database_url) as store:
        before = await store.do(verify)
        assert before.problems == ()
        rows = await store.do(lambda c: c.execute(select(audit_log.c.seq, audit_log.c.hash)).all())
        closed = (
            ProposalState.SUCCEEDED,
            ProposalState.DECLINED,
            ProposalState.PENDING,
            ProposalState.FAILED,
        )
        ids = await store.do(
            lambda c: c.execute(select(proposals.c.id).where(proposals.c.state.in_(closed))).scalars().all()
        )
        erasure = erasure_of("a test", await store.do(_latest))
        assert set(await store.do(erase_proposals, ids, erasure)) == set(ids)
        after = await store.do(verify)
        assert after.problems == ()
        now = await store.do(lambda c: c.execute(select(audit_log.c.seq, audit_log.c.hash)).all())
        assert set(rows) <= set(now)  # the hashes that somebody noted are all there
        # What an erasure does not vouch for is found, in these rows too.
        redacted = await store.do(_a_redacted_row)
        change = text("UPDATE audit_log SET body = :body WHERE seq = :seq")
        await store.do(lambda c: c.execute(change, {"body": '{"actor":"U0EVE"}', "seq": redacted}))
        codes = [one.code for one in (await store.do(verify)).problems]
        assert ProblemCode.ALTERED in codes


def _latest(connection: Connection):
    return connection.execute(select(audit_log.c.at).order_by(audit_log.c.seq.desc()).limit(1)).scalar_one()


def _a_redacted_row(connection: Connection) -> int:
    bodies = connection.execute(select(audit_log.c.body).where(audit_log.c.kind == "erased")).scalars()
    return next(rows[0][0] for body in bodies if (rows := json.loads(body)["rows"]))


# --- The command --------------------------------------------------------------------------------------------


def test_the_command_erases_by_address_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import asyncio

    url = f"sqlite+aiosqlite:///{tmp_path / 'line.db'}"

    async def live() -> None:
        async with line(tmp_path) as shop:
            await buys(shop, buyer(shop, MARK))

    asyncio.run(live())
    for name, value in {
        "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SLACK_CHANNEL": "C0CARDS",
        "POLAR_ACCESS_TOKEN": "polar_oat_1", "POLAR_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "APPROVERS": MAYA, "DATABASE_URL": url,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    assert main(["erase", f"Ada.{MARK}@Example.com"]) == 0
    assert capsys.readouterr().out == "Erased: the texts of 1 proposals and 1 webhooks.\n"
    for what in ("events", "proposals", "decisions"):
        assert main(["export", what]) == 0
        assert MARK not in capsys.readouterr().out
    assert main(["verify-log"]) == 0
    assert main(["backtest"]) == 0
    assert "1 cases have no texts any more" in capsys.readouterr().out
    assert main(["erase", f"ada.{MARK}@example.com"]) == 0
    assert capsys.readouterr().out == f"Nothing is kept of ada.{MARK}@example.com.\n"


async def test_events_that_wait_for_rules_are_closed(shop: Line) -> None:
    who = buyer(shop, MARK)
    shop.tell("customer.updated", "customers", who.row)
    [told] = shop.seen()
    now = shop.clock()
    await shop.store.record(NewEvent("msg_new", told.type, told.payload, "", sent_at=now, received_at=now))
    await erase(shop, who.email)
    found = await shop.event("msg_new")
    assert (found.state, found.is_erased) == (EventState.DONE, True)
    assert found.reason is not None
    assert found.reason.code == ReasonCode.ERASED
