"""What can be looked up: the right proposals in the right order, also among a hundred thousand, in time."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text

from bot.listeners.commands import COMMANDS, SlashCommand, read_command
from bot.listeners.home import SOON
from bot.listeners.workspace import HealthSource
from bot.logs import LastErrors
from bot.results import ApproverNames, Refusal
from bot.rules import load_rules
from bot.services import Services
from bot.slack.client import RateLimits, SlackNotSent, SlackUser
from bot.slack.permalinks import Links
from store import Store
from store.graduation.case_kinds import pause, paused, resume
from store.messages.outbox import claim_drawing, forget_viewer, home_viewers, opened_home
from store.models import Decision, Mode, NewProposal, Proposal, ProposalState, Verdict
from store.models.graduation import Paused
from store.models.reasons import Reason, ReasonCode, columns_of
from store.proposals.decisions import decide
from store.proposals.lists import PAGE, beginning, candidates, card_places, history, mine, queue
from store.proposals.proposals import get_proposal
from store.proposals.stats import backlog, count_proposals, today
from store.schema import bundles, events

MAYA, JONAS = "U0MAYA00001", "U0JONAS0001"
Make = Callable[..., NewProposal]


@pytest.fixture
def put(store: Store, store_proposal: Any, new_proposal: Make, now: Any) -> Any:
    """Store a pending proposal with any columns; its id."""

    async def made(**columns: Any) -> str:
        given = {name: columns.pop(name) for name in list(columns) if name in NewProposal.__slots__}
        proposal = await store.do(store_proposal, new_proposal(**given))
        if columns:
            await store.do(_set, proposal.id, columns)
        return str(proposal.id)

    return made


def _set(connection: Connection, proposal_id: str, columns: dict[str, Any]) -> None:
    from sqlalchemy import update

    from store.schema import proposals

    connection.execute(update(proposals).where(proposals.c.id == proposal_id).values(**columns))


async def approved(
    store: Store, proposal_id: str, now: Any, by: str = MAYA, verdict: Verdict = Verdict.APPROVE
) -> None:
    await store.do(decide, Decision(proposal_id, by, verdict, "button", now))


# --- The queue --------------------------------------------------------------------------------------------


async def test_what_is_due_soon_goes_before_money_and_money_before_age(store, put, now):
    old = await put(created_at=now - timedelta(days=3))
    rich = await put(amount=90_000, currency="usd")
    yen = await put(amount=90_000, currency="jpy")
    later = await put(deadline=now + timedelta(hours=30))
    soon = await put(deadline=now + timedelta(hours=3))
    snoozed = await put(snoozed_until=now + timedelta(hours=1))
    awake = await put(snoozed_until=now - timedelta(hours=1), created_at=now + timedelta(hours=1))

    async def ids(which: str) -> list[str]:
        page = await store.do(queue, which=which, person=MAYA, now=now, soon=now + SOON)
        assert page.total == len(page.found)
        return [each.id for each in page.found]

    assert await ids("") == [soon, later, rich, yen, old, awake]
    assert await ids("urgent") == [soon, later]
    assert await ids("snoozed") == [snoozed]
    assert await ids("mine") == []


async def test_the_queue_comes_in_pages_and_past_the_last_is_the_last(store, put, now):
    made = [await put(created_at=now + timedelta(minutes=n)) for n in range(PAGE + 3)]
    ask = {"which": "", "person": MAYA, "now": now, "soon": now}

    first, second, far = [await store.do(queue, **ask, page=page) for page in (1, 2, 99)]

    assert [each.id for page in (first, second) for each in page.found] == made
    assert (first.more, second.more, far.number, far.total) == (True, False, 2, PAGE + 3)
    assert far.found == second.found


async def test_what_polar_refused_or_left_open_is_found(store, put, now):
    failed, unknown = await put(state=ProposalState.FAILED), await put(state=ProposalState.UNKNOWN)

    for which, expected in (("failed", failed), ("unknown", unknown)):
        page = await store.do(queue, which=which, person=MAYA, now=now, soon=now)
        assert [each.id for each in page.found] == [expected]


# --- One's own --------------------------------------------------------------------------------------------


async def test_mine_is_what_is_assigned_proposed_and_approved_and_not_finished(store, put, now):
    assigned, proposed = await put(assignee=MAYA), await put(proposer=MAYA)
    running, done, others = await put(), await put(), await put(assignee=JONAS)
    for each in (running, done):
        await approved(store, each, now)
    await store.do(_set, done, {"state": ProposalState.SUCCEEDED})
    first_yes = await put()
    await approved(store, first_yes, now)
    await store.do(_set, first_yes, {"state": ProposalState.PENDING, "decided_by": None, "decided_at": None})

    found = await store.do(mine, person=MAYA, soon=now)

    assert [each.id for each in found.assigned.found] == [assigned]
    assert [each.id for each in found.proposed.found] == [proposed]
    assert {each.id for each in found.approved.found} == {running, first_yes}
    assert others not in str(found)


# --- The past ---------------------------------------------------------------------------------------------


async def test_history_is_by_customer_rule_and_person_newest_first(store, put, now):
    older = await put(customer="jane@example.com", customer_id="cus_1", rule="one")
    newer = await put(customer="jane@example.com", customer_id="cus_1", rule="two", created_at=now + SOON)
    await approved(store, older, now, by=JONAS)
    await approved(store, newer, now + SOON, verdict=Verdict.DECLINE)

    async def ids(by: str, value: str) -> list[str]:
        return [each.id for each in (await store.do(history, by=by, value=value)).found]

    assert await ids("", "") == [newer, older]
    assert await ids("customer", "jane@example.com") == [newer, older]
    assert await ids("customer_id", "cus_1") == [newer, older]
    assert await ids("rule", "one") == [older]
    assert await ids("person", JONAS) == [older]
    assert await ids("person", "U0NOBODY") == []


async def test_an_id_is_found_by_its_beginning_when_only_one_begins_so(store, put):
    await put(id="pabc1")
    await put(id="pabc2")
    await put(id="pabc")
    await put(id="p%_x")

    assert await store.do(beginning, "pabc1") == ["pabc1"]
    assert await store.do(beginning, "pabc") == ["pabc"]
    assert await store.do(beginning, "pab") == ["pabc", "pabc1", "pabc2"]
    assert await store.do(beginning, "p%") == ["p%_x"]
    assert await store.do(beginning, "q") == []


async def test_candidates_leave_out_what_nobody_can_decide_now(store, put, now):
    free = await put(amount=1, currency="usd")
    await put(held_by=MAYA)
    await put(approval_checking_by=JONAS)
    await put(snoozed_until=now + SOON)

    assert [each.id for each in await store.do(candidates, now)] == [free]


async def test_a_bundled_one_is_where_its_bundle_is(store, put, now):
    own = await put(channel="C1", card_ts="1.1")
    bundled, nowhere = await put(bundle_id="b1"), await put()
    row = {
        "id": "b1",
        "key": "k",
        "created_at": now,
        "row_version": 1,
        "channel": "C1",
        "card_ts": "2.2",
        "card_due_at": now,
    }
    await store.do(lambda connection: connection.execute(insert(bundles), [row]) and None)
    found = [await store.do(get_proposal, each) for each in (own, bundled, nowhere)]

    assert await store.do(card_places, found) == {own: ("C1", "1.1"), bundled: ("C1", "2.2")}


async def test_today_tells_what_ran_on_its_own_from_what_people_decided(store, put, now):
    for mode, verdict, amount in (
        (Mode.AUTO, Verdict.APPROVE, 500), (Mode.AUTO, Verdict.APPROVE, 700),
        (Mode.ASKED, Verdict.APPROVE, 900), (Mode.SPOT_CHECK, Verdict.DECLINE, 100),
    ):  # fmt: skip
        proposal_id = await put(mode=mode, amount=amount, currency="eur")
        await approved(store, proposal_id, now, verdict=verdict)
    await approved(store, await put(mode=Mode.AUTO), now - timedelta(days=2))

    found = await store.do(today, now - timedelta(hours=1))

    assert (found.ran, found.money, found.approved, found.declined) == (2, (("eur", 1_200),), 1, 1)


# --- Health, pause, viewers -------------------------------------------------------------------------------


async def test_the_flow_knows_the_last_webhook_and_the_newest_failure(store, new_event, now):
    assert (await store.do(backlog)).last is None
    for number, (state, why) in enumerate((("done", None), ("failed", FAILED), ("new", None))):
        event = new_event(received_at=now + timedelta(minutes=number))
        await store.record(event)
        await store.do(
            lambda connection, id_, values: connection.execute(events.update().where(events.c.id == id_).values(**values)) and None,
            event.id, {"state": state, **columns_of(why)},
        )  # fmt: skip

    found = await store.do(backlog)

    assert found.last is not None
    assert found.last.received_at == now + timedelta(minutes=2)
    assert (found.failed, found.unread) == (1, 1)
    assert found.newest_failure is not None
    assert found.newest_failure.reason == FAILED


async def test_a_pause_is_told_with_who_and_why_and_ends_once(store, now):
    assert await store.do(paused) is None
    assert await store.do(pause, by=MAYA, why="prices are \x00 wrong", at=now)
    assert not await store.do(pause, by=JONAS, why="", at=now)

    assert await store.do(paused) == Paused(MAYA, now, "prices are  wrong")
    assert (await store.do(resume, by=JONAS, at=now)).by == MAYA
    assert await store.do(resume, by=JONAS, at=now) is None
    kinds = await store.do(
        lambda connection: connection.execute(text("SELECT kind FROM audit_log ORDER BY seq")).scalars().all()
    )
    assert kinds == ["pause", "resume"]


async def test_only_open_tabs_are_drawn_and_each_not_too_often(store, now):
    await store.do(opened_home, MAYA, now)
    await store.do(opened_home, JONAS, now - timedelta(hours=2))
    later = now + timedelta(seconds=10)

    async def due(before: Any) -> list[str]:
        return await store.do(
            home_viewers, opened_since=now - timedelta(hours=1), drawn_before=before, limit=9
        )

    assert await due(now - timedelta(seconds=1)) == []
    assert await due(now) == [MAYA]
    assert await store.do(claim_drawing, MAYA, drawn_before=now, at=later)
    assert not await store.do(claim_drawing, MAYA, drawn_before=now, at=later)
    await store.do(forget_viewer, MAYA)
    assert await due(later) == []


# --- A crowd ----------------------------------------------------------------------------------------------

FAILED = Reason(ReasonCode.RULE_FAILED, {"problem": "no such order"})
_CROWD = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
INSERT INTO proposals (
  id, fact_key, title, reasons, facts, risk, created_at, state, row_version, attempts, verify_attempts, due_at,
  card_due_at, rendered_version, decided_by, decided_at, amount, currency, customer, customer_id, rule, proposer, assignee, deadline,
  expires_at, snoozed_until, kind, revision, has_card, mode, channel, card_ts)
SELECT 'p' || substr('00000000' || i, -8), 'f' || i, 'Refund order ' || i || '?', '["It was asked for"]',
  '[["Customer", "' || hex(randomblob(200)) || '"]]', 'R2', :now - i * 1000000,
  CASE WHEN i % 10 < :pending THEN 'pending' WHEN i % 7 = 0 THEN 'declined' WHEN i % 11 = 0 THEN 'failed'
       WHEN i % 13 = 0 THEN 'unknown' ELSE 'succeeded' END,
  2, 0, 0, :now, :now, 2, CASE WHEN i % 10 < :pending THEN NULL ELSE 'U0MAYA00001' END,
  CASE WHEN i % 10 < :pending THEN NULL ELSE :now - i * 1000000 END, (i * 7919) % 100000,
  CASE i % 3 WHEN 0 THEN 'usd' WHEN 1 THEN 'eur' ELSE 'jpy' END, 'c' || (i % 50) || '@example.com',
  'cus_' || (i % 50), 'generate-invoice', CASE i % 4 WHEN 0 THEN 'U0MAYA00001' END,
  CASE i % 5 WHEN 0 THEN 'U0MAYA00001' END, CASE i % 9 WHEN 0 THEN :now + i * 1000000 END,
  :now + 1000000000000, CASE i % 17 WHEN 0 THEN :now + 1000000000 END, 'calls', 1, 1, 'asked', 'C0', '1.' || i
FROM n
"""


def _crowd(connection: Connection, now: Any, pending: int) -> None:
    """A hundred thousand proposals, of ten `pending` wait, straight into the tables."""
    connection.execute(text(_CROWD), {"now": int(now.timestamp() * 1e6), "pending": pending})
    connection.execute(
        text(
            "INSERT INTO decisions (proposal_id, actor, verdict, via, at, revision) SELECT id, decided_by, "
            "'approve', 'button', decided_at, 1 FROM proposals WHERE decided_by IS NOT NULL"
        )
    )


class _Dead:
    """A Slack that cannot be reached, and the rest that the screens ask."""

    def __init__(self) -> None:
        self.limits = RateLimits(time.monotonic)

    async def permalink(self, channel: str, ts: str) -> str:
        raise SlackNotSent("Slack could not be reached.")

    async def describe(self, proposal: Proposal | None = None) -> ApproverNames:
        return ApproverNames(("maya",), "APPROVERS")

    async def name(self, user_id: str) -> str:
        return user_id

    async def refusal(
        self, user_id: str, team_id: str | None, proposal: Proposal | None = None, *, by_id: bool = False
    ) -> Refusal | None:
        return None

    refusal_to_pause = refusal_to_resume = refusal

    def budget(self) -> tuple[int, int, float]:
        return 500, 500, 0.0


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize("pending", [1, 10])
async def test_every_command_answers_within_a_second_among_a_hundred_thousand(sqlite_url, now, pending):
    from store import open_store

    async with open_store(sqlite_url) as store:
        await store.do(_crowd, now, pending)
        dead: Any = _Dead()
        parts = Services(store, dead, dead, load_rules(), dead, "C0", lambda: now, lambda *_: None)
        screens = SlashCommand(parts, HealthSource(parts, LastErrors()), Links(store, dead), dead)
        person = SlackUser(MAYA, None)
        typed = [
            "", "queue urgent", "queue mine", "queue snoozed", "queue unknown", "queue failed", "queue 500",
            "mine", "mine 3", "show p00000015", "show p0001", "history", "history 400", f"history <@{MAYA}>",
            "history c3@example.com", "history cus_3", "history rule generate-invoice", "rules", "status",
            "pause for a test", "resume", "retry", "retry all", "retry msg_1", "help",
        ]  # fmt: skip
        assert {read_command(each).word or "queue" for each in typed} == set(COMMANDS) - {"propose", *_LATER}
        for words in typed:
            call = read_command(words, person)
            assert call.command.answer is not None
            began = time.monotonic()
            message = await call.command.answer(screens, call)
            assert time.monotonic() - began < 1, words
            assert message.text
        for query in (count_proposals, backlog):
            began = time.monotonic()
            await store.do(query)
            assert time.monotonic() - began < 0.5, query
        began = time.monotonic()
        await store.do(candidates, now)
        assert time.monotonic() - began < 1


_LATER = {"trust"} & set(COMMANDS)  # has a test of its own
