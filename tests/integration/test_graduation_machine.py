"""Any order of cases, taps, undos, pauses, restarts and clock moves: what must never run on its own never does.

The machine may even turn on kinds of cases that must not be, as if somebody had written into the database:
what always asks asks all the same. What ran on its own is counted from the proposals, not from the counters
that the gate itself keeps.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, select

from bot.graduation.assessor import Assessor
from bot.graduation.gate import Gate
from bot.policy import Caps, Policy, Trust
from polar.events import Event
from store import Store, open_store
from store.assess import assess
from store.database import insert_new
from store.decisions import decide
from store.events import insert_events
from store.execution import (
    begin_call,
    claim_approved,
    end_call,
    finish_execution,
    recover_stranded,
    release_claims,
)
from store.firings import keep_rules
from store.gate import note_human, put
from store.labels import recompute
from store.models import (
    CallState,
    Decision,
    Mode,
    NewEvent,
    NewProposal,
    OutcomeKind,
    PlannedCall,
    Proposal,
    ProposalState,
    ShapeState,
    Verdict,
)
from store.outcomes import add_outcome
from store.pause import pause, paused, resume
from store.proposals import all_proposals, get_proposal
from store.shapes import SECRET, all_shapes, change, get_shape
from store.spending import cases_of, hour
from store.tables import decisions, marks, proposals
from store.trust_models import Outcome
from store.trust_tables import labels, shapes, spending

S = ProposalState
CAPS = Caps(
    action_amount={"usd": 2_000},
    customer_amount={"usd": 4_000},
    customer_count=4,
    shape_amount={"usd": 5_000},
    shape_count=3,
    day_amount={"usd": 6_000},
    day_count=5,
)
POLICY = Policy(caps=CAPS, graduation=Trust(opt_in=("refunds:create",), ask_first_of_week=False))
AMOUNTS = (1_100, 1_900)
# An event, its operation, and whether it may ever run on its own.
CASES = {
    "invoice": ("order.paid", "orders:generate_invoice", True),
    "refund": ("order.created", "refunds:create", True),
    "revoke": ("order.paid", "subscriptions:revoke", False),
    "lost access": ("benefit_grant.revoked", "orders:generate_invoice", False),
    "lost seat": ("customer_seat.revoked", "orders:generate_invoice", False),
    "state": ("customer.state_changed", "orders:generate_invoice", False),
    "not opted in": ("order.paid", "subscriptions:update", False),
    "by hand": ("order.paid", "orders:generate_invoice", False),
}


class Trusting(RuleBasedStateMachine):
    """A few customers' cases in one SQLite file."""

    template: Path
    now: datetime
    files = count(1)

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.path = self.template.with_name(f"trusting_{next(self.files)}.db")
        shutil.copyfile(self.template, self.path)
        self.numbers, self.tokens = count(1), (f"token_{n}" for n in count(1))
        self.kinds: dict[str, str] = {}
        self._open()

    def _open(self) -> None:
        self.stack = AsyncExitStack()
        opening = self.stack.enter_async_context(open_store(f"sqlite+aiosqlite:///{self.path}"))
        self.store: Store = self.runner.run(opening)

    def _do(self, query: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return self.runner.run(self.store.do(query, *arguments, **named))

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        self.path.unlink()

    @initialize()
    def somebody_is_there(self) -> None:
        self._do(keep_rules, {"v1": ("a-rule", {})}, self.now)
        self._do(note_human, "U1", self.now)
        for kind in CASES:
            for amount in AMOUNTS:
                self.comes(kind, 1, amount)
                self.comes(kind, 2, amount)
        for asked in self._in(S.PENDING):  # so that these amounts are nothing new
            self._do(decide, Decision(asked.id, "U1", Verdict.APPROVE, "button", self.now))
        self.work(arrives=True, dies=False)
        self.turn_on_everything()

    # what comes

    @rule(
        kind=st.sampled_from([*CASES, "invoice", "invoice", "refund", "refund"]),
        who=st.integers(1, 3),
        amount=st.sampled_from([*AMOUNTS, 2_500]),
        times=st.integers(1, 5),
    )
    def several_come(self, kind: str, who: int, amount: int, times: int) -> None:
        for _ in range(times):
            self.comes(kind, who, amount)

    @rule(
        amount=st.sampled_from(AMOUNTS),
        kind=st.sampled_from(["invoice", "refund"]),
        then=st.sampled_from(["nothing", "work", "undo", "decline"]),
    )
    def a_busy_day(self, amount: int, kind: str, then: str) -> None:
        """Everybody comes, and everything is trusted: enough to break any cap that does not hold."""
        self._do(note_human, "U1", self.now)
        self._do(resume, by="U1", at=self.now)
        self.turn_on_everything()
        for who in (1, 2, 1, 2, 1, 2, 1, 2, 3, 3, 1, 2):
            self.comes(kind, who, amount)
        if then == "decline":
            if self._in(S.PENDING):
                self.tap(Verdict.DECLINE, 0)
        elif then != "nothing":
            self.work(arrives=True, dies=False)
        if then == "undo":
            self.turn_on_everything()
            self.something_done_is_taken_back(OutcomeKind.UNDONE)

    def comes(self, kind: str, who: int, amount: int) -> None:
        self.now += timedelta(seconds=1)
        number = next(self.numbers)
        proposal, event = _case(kind, number, who, amount, self.now)
        self.kinds[proposal.id] = kind
        arrival = NewEvent(f"evt_{number}", event.type, b"{}", "", sent_at=self.now, received_at=self.now)
        self._do(insert_events, [arrival])
        self._do(put, proposal, Gate(POLICY, event, "production"))

    # what people do

    @rule()
    def turn_on_everything(self) -> None:
        self.now += timedelta(seconds=1)
        self._do(_busy, self.now)
        for shape in self._do(all_shapes):
            if shape.state is not ShapeState.GRADUATED:
                self._do(
                    change,
                    shape.hash,
                    ShapeState.GRADUATED,
                    actor="U1",
                    cause="test",
                    at=self.now,
                    decree=True,
                )

    @precondition(lambda self: self._in(S.PENDING))
    @rule(verdict=st.sampled_from([*Verdict, Verdict.APPROVE]), pick=st.integers(0, 9))
    def tap(self, verdict: Verdict, pick: int) -> None:
        self.now += timedelta(seconds=5)
        waiting = self._in(S.PENDING)
        audits = [one for one in waiting if one.mode is Mode.AUDIT]
        found = (audits or waiting)[pick % len(audits or waiting)]
        won, _ = self._do(decide, Decision(found.id, "U1", verdict, "button", self.now))
        assert won
        shape = None if found.shape is None else self._do(get_shape, found.shape)
        if found.mode is Mode.AUDIT and verdict is Verdict.DECLINE and shape is not None:
            assert shape.state is ShapeState.ASKING

    @rule(kind=st.sampled_from([OutcomeKind.UNDONE, OutcomeKind.REVERSED, OutcomeKind.DISPUTED]))
    def something_done_is_taken_back(self, kind: OutcomeKind) -> None:
        done = [one for one in self._in(S.SUCCEEDED) if one.mode is not Mode.ASKED]
        for one in done[-1:]:
            if self._do(add_outcome, Outcome(one.id, kind, f"evt {self.now}", self.now)):
                assert self._do(get_shape, one.shape).state is ShapeState.ASKING

    @rule()
    def pause_or_resume(self) -> None:
        self.now += timedelta(seconds=1)
        if self._do(paused) is None:
            self._do(pause, by="U1", why="a look", at=self.now)
        else:
            self._do(resume, by="U1", at=self.now)

    # the program

    @rule(arrives=st.booleans(), dies=st.booleans())
    def work(self, arrives: bool, dies: bool) -> None:
        """A worker takes what is due; between taking and sending, anything may have happened."""
        self.now += timedelta(seconds=1)
        token, until = next(self.tokens), self.now + timedelta(minutes=5)
        for taken in self._do(claim_approved, token=token, now=self.now, until=until, limit=50):
            self._send(taken, token, arrives=arrives, dies=dies)

    @rule()
    def a_worker_is_overtaken(self) -> None:
        """Taken while trusted, then paused before the call: nothing is sent."""
        token, until = next(self.tokens), self.now + timedelta(minutes=5)
        taken = self._do(claim_approved, token=token, now=self.now, until=until, limit=3)
        was = self._do(paused)
        if was is None:
            self._do(pause, by="U1", why="now", at=self.now)
        for one in taken:
            self._send(one, token, arrives=True, dies=False)
        if was is None:
            self._do(resume, by="U1", at=self.now)

    def _send(self, taken: Proposal, token: str, *, arrives: bool, dies: bool) -> None:
        on_its_own = taken.decided_by == "policy"
        shape = None if taken.shape is None else self._do(get_shape, taken.shape)
        stopped = self._do(paused) is not None
        if not self._do(begin_call, taken.id, 0, token=token, now=self.now):
            assert on_its_own
            left = {"token": token, "now": self.now, "reason": "not now", "due_at": self.now}
            self._do(finish_execution, taken.id, S.APPROVED, **left)
            return
        if on_its_own:
            assert CASES[self.kinds[taken.id]][2]
            assert not stopped
            assert shape is not None
            assert (shape.state, shape.epoch) == (ShapeState.GRADUATED, taken.gate["epoch"])
        if dies:
            return
        state, to = (CallState.DONE, S.SUCCEEDED) if arrives else (CallState.REFUSED, S.FAILED)
        self._do(end_call, taken.id, 0, token=token, state=state, now=self.now)
        self._do(finish_execution, taken.id, to, token=token, now=self.now, reason=None)

    @rule(hours=st.sampled_from([1, 30, 80, 24 * 8]))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def restart(self) -> None:
        self.runner.run(self.stack.aclose())
        self._open()
        self._do(release_claims)
        self._do(recover_stranded, now=self.now, reason="stopped")

    # what must always be true

    @invariant()
    def what_always_asks_was_never_decided_by_the_policy(self) -> None:
        for one in self._do(_ran):
            assert CASES[self.kinds[one.id]][2], self.kinds[one.id]

    @invariant()
    def no_cap_is_ever_broken(self) -> None:
        ran = self._do(_ran)
        for scope, most, money in (
            (lambda one: one.at.date(), CAPS.day_count, CAPS.day_amount),
            (lambda one: (one.shape, one.at.date()), CAPS.shape_count, CAPS.shape_amount),
        ):
            cases = Counter(scope(one) for one in ran)
            moved: Counter[Any] = Counter()
            for one in ran:
                moved[scope(one)] += _moved(one)
            assert all(number <= most for number in cases.values())
            assert all(total <= money["usd"] for total in moved.values())
        for one in ran:
            near = [
                other for other in ran
                if other.customer_id == one.customer_id and one.at.date() - timedelta(days=29) <= other.at.date() <= one.at.date()
            ]  # fmt: skip
            assert len(near) <= CAPS.customer_count
            assert sum(_moved(other) for other in near) <= CAPS.customer_amount["usd"]
            assert _moved(one) <= CAPS.action_amount["usd"]

    @rule()
    def what_is_learnt_is_what_the_log_says(self) -> None:
        policy = Assessor(POLICY)
        while self._do(assess, policy, self.now).more:
            pass
        kept = self._do(_derived)
        for shape in self._do(all_shapes):
            self._do(recompute, shape.hash, policy.label, policy.learn, self.now)
        assert self._do(_derived) == kept

    def _in(self, state: ProposalState) -> list[Proposal]:
        return [one for one in self._do(_all) if one.state is state and one.id in self.kinds]


def _case(kind: str, number: int, who: int, amount: int, now: datetime) -> tuple[NewProposal, Event]:
    event_type, operation, _ = CASES[kind]
    body = {
        "refunds:create": {"order_id": f"order_{number}", "amount": amount, "reason": "duplicate"},
        "subscriptions:update": {"product_id": "another"},
    }.get(operation)
    by_hand = kind == "by hand"
    data = {
        "id": f"order_{number}",
        "customer_id": f"customer_{who}",
        "product_id": "pro",
        "refundable_amount": 5_000,
    }
    proposal = NewProposal(
        id=f"p{number}",
        fact_key=f"{event_type}|{number}",
        event_id=None if by_hand else f"evt_{number}",
        rule=None if by_hand else "a-rule",
        rule_version=None if by_hand else "v1",
        subject=f"order:order_{number}",
        title="Do it?",
        because=(),
        facts=(),
        risk={"refunds:create": "R3", "subscriptions:revoke": "R1", "subscriptions:update": "R3"}.get(
            operation, "R1"
        ),
        always_asks=None,  # as if a rule had got it wrong: the gate looks for itself
        calls=(PlannedCall(operation, path={} if operation == "refunds:create" else {"id": "x"}, body=body),),
        created_at=now,
        proposer="U2" if by_hand else None,
        amount=amount,
        currency="usd",
        customer_id=f"customer_{who}",
    )
    return proposal, Event(type=event_type, timestamp=now, raw={"type": event_type, "data": data})


def _moved(one: Any) -> int:
    return one.amount if one.is_refund else 0


def _fix_draw(connection: Connection) -> None:
    insert_new(connection, marks, [{"name": SECRET, "value": "17" * 32}])


def _busy(connection: Connection, now: datetime) -> None:
    """A busy shop: what comes in one go here is no flood."""
    hours = [hour(now - timedelta(hours=back)) for back in range(170)]
    rows = [
        {"scope": cases_of(shape.hash), "day": one, "currency": "", "count": 50, "amount": 0}
        for shape in all_shapes(connection)
        for one in hours
    ]
    insert_new(connection, spending, rows)


def _all(connection: Connection) -> list[Proposal]:
    return list(all_proposals(connection))


def _ran(connection: Connection) -> list[Any]:
    """Everything the policy has ever let run, whatever became of it."""
    refund = (proposals.c.fact_key.startswith("order.created")).label("is_refund")
    rows = connection.execute(
        select(
            proposals.c.id,
            proposals.c.shape,
            proposals.c.customer_id,
            proposals.c.amount,
            decisions.c.at,
            refund,
        )
        .join_from(decisions, proposals, proposals.c.id == decisions.c.proposal_id)
        .where(decisions.c.actor == "policy")
    )
    return list(rows)


def _derived(connection: Connection) -> list[Any]:
    found = [*connection.execute(select(labels).order_by(labels.c.proposal_id))]
    return [tuple(row) for row in [*found, *connection.execute(select(shapes).order_by(shapes.c.hash))]]


def test_whatever_happens_trust_is_never_exceeded(sqlite_url: str, tmp_path: Path, now: datetime) -> None:
    class Started(Trusting):
        template = tmp_path / "approvals.db"

    Started.now = now
    run_state_machine_as_test(
        Started, settings=settings(max_examples=20, stateful_step_count=30, deadline=None)
    )


async def test_a_pause_between_taking_and_sending_holds_the_call_back(store: Store, now: datetime) -> None:
    """Also the proof that the machine above lets things run at all."""
    await store.do(keep_rules, {"v1": ("a-rule", {})}, now)
    await store.do(note_human, "U1", now)
    await store.do(_fix_draw)
    for number in range(1, 8):
        proposal, event = _case("invoice", number, number, 1_000, now)
        await store.do(
            insert_events, [NewEvent(f"evt_{number}", event.type, b"{}", "", sent_at=now, received_at=now)]
        )
        await store.do(put, proposal, Gate(POLICY, event, "production"))
        for shape in await store.do(all_shapes):
            await store.do(
                change, shape.hash, ShapeState.GRADUATED, actor="U1", cause="t", at=now, decree=True
            )
    taken = await store.do(claim_approved, token="t", now=now, until=now + timedelta(minutes=5), limit=9)
    assert taken
    assert all(one.mode is Mode.AUTO for one in taken)
    await store.do(pause, by="U1", why="now", at=now)
    assert not any([await store.do(begin_call, one.id, 0, token="t", now=now) for one in taken])
    assert await store.do(get_proposal, taken[0].id)
