"""Restart in every state, in good order and by a power cut: the next tap on an old card works, first time.

Each case is a way into a state, over the wire, and the one tap that follows once another program runs on the
same database: it is acknowledged, and either it acts or the person is told in words why not.
"""

import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from bot.config.policy import Policy
from bot.pipeline.learn import Assessor
from store import open_store
from store.graduation.case_kinds import get_case_kind, note_case_kind
from store.models import ProposalState
from store.models.graduation import BacktestSummary, NewCaseKind
from store.proposals.proposals import all_proposals, propose_by_hand, touch
from store.proposals.timers import expire
from store.schema.graduation import case_kinds
from tests.e2e.app_harness import JONAS, MAYA, World, world
from tests.e2e.deciding import policy
from tests.e2e.lives import Killable
from tests.e2e.restart_taps import (
    Tap,
    amount_changed,
    beside_the_run,
    bundle_declined,
    details,
    home_tap,
    next_rules,
    overtaken,
    preset,
    review,
    reviewed,
    said_why,
    snoozed,
    tapped,
    told_in_the_form,
    told_on,
    turned_page,
    why,
)
from tests.e2e.restart_ways import (
    Bring,
    after,
    asked,
    being_decided,
    bundled,
    chosen,
    edited,
    first_yes,
    form_open,
    home_open,
    in_doubt,
    modal_open,
    offered,
    offering,
    on_hold,
    put_off,
    reason_open,
    refused,
    restated,
    review_open,
    rules_shown,
    running,
    undone,
    withdrawn,
)

HOLD = '[undo_window]\nR1 = "1h"\n'
TWO = '[two_people]\nrisk = ["R1"]\n'
BOTH = ("stopped", "killed")
Change = Callable[[Connection], Any]


@dataclass(frozen=True, slots=True)
class Case:
    """How a state is reached, and what is tapped after the restart.

    `first` is written to the database before the first program, `meanwhile` between the two.
    """

    bring: Bring
    tap: Tap
    rules: str = ""
    ends: tuple[str, ...] = BOTH
    first: Change | None = None
    meanwhile: Change | None = field(default=None)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


# --- What is written to the database itself -----------------------------------------------------------------


def past_its_end(connection: Connection) -> None:
    """Nobody decided it in time."""
    now = datetime.now(UTC)
    for each in list(all_proposals(connection)):
        touch(connection, each.id, now, expires_at=now - timedelta(seconds=1))
    assert len(expire(connection, now=now)) == 1


def earned(connection: Connection) -> None:
    """A kind of case has met its bar: the program asks whether it may run on its own."""
    now = datetime.now(UTC)
    fields = {
        "action": [["POST", "/v1/orders/{id}/invoice", []]],
        "trigger": ["order.paid", "purchase"],
        "customer": {"dispute": False},
        "amount": None,
    }
    note_case_kind(connection, NewCaseKind("a" * 64, "b" * 64, fields, "Generate the invoice", "R1"), now)
    counted = {
        "cases": 200,
        "rejections": 0,
        "customers": 40,
        "first_at": now - timedelta(days=90),
        "approvals_since_rejection": 200,
    }
    connection.execute(update(case_kinds).values(**counted))
    case_kind = get_case_kind(connection, "a" * 64)
    assert case_kind is not None
    offer = Assessor(Policy()).offer(case_kind, BacktestSummary(40, 0, {}, None), now)
    assert propose_by_hand(connection, offer)


CASES = {
    "pending, approved": Case(asked(), tapped("approve", "Done: ")),
    "pending, declined": Case(asked(), tapped("decline", "Declined: ")),
    "restated": Case(restated, tapped("approve", "Done: ")),
    "edited": Case(edited, tapped("approve", "Approved: ", JONAS)),
    "first yes of two": Case(first_yes, tapped("approve", "Done: ", JONAS), TWO),
    "first yes of two, again": Case(first_yes, told_on("approve", "counts already", MAYA), TWO),
    "snoozed": Case(
        chosen("snooze", "snoozed this", span={"selected_option": {"value": "4h"}}),
        tapped("approve", "Done: "),
    ),
    "assigned": Case(
        chosen("assign", "please decide", whom={"selected_user": JONAS}), tapped("approve", "Done: ", JONAS)
    ),
    "on hold, declined": Case(on_hold, tapped("decline", "Declined: ")),
    "on hold, approved": Case(on_hold, told_on("approve", f"on hold by <@{MAYA}>")),
    "being decided": Case(being_decided, overtaken),
    "approved with a hold": Case(
        offering("undo", after("approve", "Approved: ")), tapped("undo", "Undone: "), HOLD
    ),
    "approved, tried later": Case(put_off, tapped("undo", "Undone: ")),
    "running": Case(running, beside_the_run),
    "done": Case(after("approve", "Done: "), details),
    "done, decided again": Case(after("approve", "Done: "), told_on("decline", f"<@{MAYA}> was first. ")),
    "done, can be undone": Case(
        offering("undo", after("approve", "Done: ", "order.refunded")), tapped("undo", "Undone: ", JONAS)
    ),
    "undone": Case(undone, told_on("undo", "nothing to undo")),
    "failed": Case(refused, tapped("retry", "Done: ")),
    "unknown, checked": Case(in_doubt, told_on("check", "Nothing was ")),
    "unknown, marked": Case(in_doubt, tapped("mark_not_done", "Failed: ")),
    "declined": Case(offering("reason", after("decline", "Declined: ")), preset),
    "declined, decided again": Case(
        after("decline", "Declined: "), told_on("approve", f"<@{MAYA}> was first. Its state is “declined”.")
    ),
    "expired": Case(asked(), told_on("approve", "Its state is “expired”."), meanwhile=past_its_end),
    "withdrawn": Case(withdrawn, told_on("approve", "Its state is “withdrawn”.")),
    "bundle, declined": Case(bundled, bundle_declined),
    "bundle, reviewed": Case(bundled, review),
    "graduation, turned on": Case(offered, tapped("approve", "Turned on: "), first=earned),
    "graduation, why": Case(offered, why, first=earned),
    "Home tab open": Case(home_open, home_tap),
    "snooze open": Case(modal_open("snooze"), snoozed),
    "edit open": Case(modal_open("edit", "order.created.twice"), amount_changed),
    "details open": Case(modal_open("details"), turned_page),
    "reason open": Case(reason_open, said_why),
    "review open": Case(review_open, reviewed),
    "propose open": Case(form_open, told_in_the_form),
    "rules shown": Case(rules_shown, next_rules),
}


AT_WORK = ("being decided", "approved, tried later", "running")  # the program holds a claim when it ends
RESTARTS = [
    pytest.param(name, end, marks=pytest.mark.sqlite if end == "killed" or name in AT_WORK else ())
    for name, case in CASES.items()
    for end in case.ends
]


@pytest.mark.parametrize(("name", "end"), RESTARTS)
async def test_the_first_tap_after_a_restart_works(
    line: World, program: Killable, tmp_path: Path, name: str, end: str
) -> None:
    case = CASES[name]
    if case.rules:
        policy(line, tmp_path, case.rules)
    await _write(line, case.first)
    program.start(line.environment)
    await line.reachable()
    card = await case.bring(line)
    if end == "killed":
        await program.kill()
    else:
        assert await program.kill(signal.SIGTERM) == 0
    await line.slack.wait_until(lambda: line.slack.sockets.connections == 0, 10)
    await _write(line, case.meanwhile)
    program.start(line.environment)
    await line.reachable()

    await case.tap(line, card)

    assert await program.kill(signal.SIGTERM) == 0


async def _write(line: World, change: Change | None) -> None:
    if change is not None:
        async with open_store(line.environment["DATABASE_URL"]) as store:
            await store.do(change)


def test_every_state_is_restarted_in() -> None:
    words = " ".join(CASES)
    special = {"pending": "pending", "approved": "approved", "executing": "running", "succeeded": "done"}
    assert [state for state in ProposalState if special.get(state, state) not in words] == []
