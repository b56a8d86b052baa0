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

import pytest
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

from bot.graduation.gate import Gate, guard_of
from bot.pipeline.learn import Assessor
from store import Store, open_store
from store.engine.leases import expire_all_leases
from store.events.events import insert_events, keep_rules
from store.graduation.admission import insert_with_policy
from store.graduation.case_kinds import add_outcome, change, get_case_kind, note_human, pause, paused, resume
from store.graduation.learn import assess
from store.graduation.reducer import TrustChange
from store.models import (
    CallState,
    CaseKindState,
    Decision,
    Mode,
    NewEvent,
    OutcomeKind,
    Proposal,
    ProposalState,
    Verdict,
)
from store.models.graduation import Outcome
from store.models.reasons import ChangeCause, ChangeCode, Reason, ReasonCode
from store.proposals.actions import Act, NewRevision, edit, restate
from store.proposals.decisions import decide
from store.proposals.execution import begin_call, claim_approved, end_call, finish_execution, recover_stranded
from store.proposals.proposals import get_proposal
from tests.fixtures.case_kinds import all_case_kinds
from tests.fixtures.graduation import (
    AMOUNTS,
    CAPS,
    CASES,
    POLICY,
    STRICTER,
    approve_values,
    busy,
    case,
    derived,
    dispute,
    everything,
    fix_draw,
    moved,
    ran,
    recompute,
)

S = ProposalState
ON = TrustChange(CaseKindState.GRADUATED, ChangeCause.of(ChangeCode.TEXT, text="test"), manual_override=True)


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
        self.policy, self.disputed = POLICY, set[int]()
        self.human = self.latest = self.now
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
        self._somebody_taps()
        for kind in CASES:
            for amount in AMOUNTS:
                self.comes(kind, 1, amount)
                self.comes(kind, 2, amount)
        for asked in self._in(S.PENDING):  # so that these amounts are nothing new
            self.now += timedelta(seconds=3)  # faster, and nothing would be learnt
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
        self._somebody_taps()
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
        proposal, event = case(kind, number, who, amount, self.now)
        self.kinds[proposal.id] = kind
        self._arrives(f"evt_{number}", event.type)
        self._do(insert_with_policy, proposal, Gate(self.policy, event, "production"))
        found = self._do(get_proposal, proposal.id)
        if found.mode is Mode.AUTO:
            assert self.now - self.human <= self.policy.graduation.max_idle
            assert who not in self.disputed
            assert found.calls[0].operation not in self.policy.graduation.never

    def _arrives(self, event_id: str, event_type: str) -> None:
        arrival = NewEvent(event_id, event_type, b"{}", "", sent_at=self.now, received_at=self.now)
        self._do(insert_events, [arrival])

    @rule(who=st.sampled_from([3]))
    def money_comes_under_dispute(self, who: int) -> None:
        event_id = f"evt_{next(self.numbers)}"
        self._arrives(event_id, "dispute.created")
        self._do(dispute, who, event_id, self.now)
        self.disputed.add(who)

    @rule()
    def the_policy_changes(self) -> None:
        self.policy = STRICTER if self.policy is POLICY else POLICY

    # what people do

    def _somebody_taps(self) -> None:
        self._do(note_human, "U1", self.now)
        self.human = max(self.human, self.now)

    @rule()
    def turn_on_everything(self) -> None:
        self.now += timedelta(seconds=1)
        self._do(busy, self.now)
        for case_kind in self._do(all_case_kinds):
            if case_kind.state is not CaseKindState.GRADUATED:
                self._do(change, case_kind.hash, ON, actor="U1", at=self.now)

    @precondition(lambda self: self._in(S.PENDING))
    @rule(verdict=st.sampled_from([*Verdict, Verdict.APPROVE]), pick=st.integers(0, 9))
    def tap(self, verdict: Verdict, pick: int) -> None:
        self.now += timedelta(seconds=5)
        waiting = self._in(S.PENDING)
        checks = [one for one in waiting if one.mode is Mode.SPOT_CHECK]
        found = (checks or waiting)[pick % len(checks or waiting)]
        decision = Decision(found.id, "U1", verdict, "button", self.now, revision=found.revision)
        won, _ = self._do(decide, decision)
        assert won
        self.human = max(self.human, self.now)
        case_kind = None if found.case_kind is None else self._do(get_case_kind, found.case_kind)
        bad = verdict is Verdict.DECLINE or found.edited_by is not None
        if found.mode is Mode.SPOT_CHECK and bad and case_kind is not None:
            assert case_kind.state is CaseKindState.ASKING

    @precondition(lambda self: self._in(S.PENDING))
    @rule(pick=st.integers(0, 9), by_hand=st.booleans())
    def what_is_asked_changes(self, pick: int, by_hand: bool) -> None:
        """Somebody edits it, or Polar's state has changed since: either way it has to be asked anew."""
        waiting = self._in(S.PENDING)
        found = waiting[pick % len(waiting)]
        number, kind = int(found.id[1:]), self.kinds[found.id]
        new, _ = case(kind, number, 2, AMOUNTS[0] - 100, found.created_at)
        if by_hand:
            names = set(NewRevision.__slots__) - {"revision", "changes", "content_hash"}
            asked = {name: getattr(new, name) for name in names}
            revision = NewRevision(**asked, revision=found.revision, changes=(), content_hash="another")
            self._do(edit, Act(found.id, "U3", "edited", self.now), revision)
        else:
            self._do(restate, found.revision, new, changes=(), at=self.now)
        assert self._do(get_proposal, found.id).revision == found.revision + 1

    @rule(
        kind=st.sampled_from([OutcomeKind.UNDONE, OutcomeKind.REVERSED, OutcomeKind.DISPUTED]),
        late=st.sampled_from([0, 1, 100, 24 * 20]),
    )
    def something_done_is_taken_back(self, kind: OutcomeKind, late: int = 0) -> None:
        """What tells of it may be told long after it was so: trust is lost all the same."""
        done = [one for one in self._in(S.SUCCEEDED) if one.mode is not Mode.ASKED]
        for one in done[-1:]:
            told = Outcome(one.id, kind, f"evt {self.now} {late}", self.now - timedelta(hours=late))
            if self._do(add_outcome, told, self.now):
                assert self._do(get_case_kind, one.case_kind).state is CaseKindState.ASKING

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
        for taken in self._do(
            claim_approved, token=token, now=self.now, until=until, limit=50, guard=guard_of(self.policy)
        ):
            self._send(taken, token, arrives=arrives, dies=dies)

    @rule()
    def a_worker_is_overtaken(self) -> None:
        """Taken while trusted, then paused before the call: nothing is sent."""
        token, until = next(self.tokens), self.now + timedelta(minutes=5)
        taken = self._do(
            claim_approved, token=token, now=self.now, until=until, limit=3, guard=guard_of(self.policy)
        )
        was = self._do(paused)
        if was is None:
            self._do(pause, by="U1", why="now", at=self.now)
        for one in taken:
            self._send(one, token, arrives=True, dies=False)
        if was is None:
            self._do(resume, by="U1", at=self.now)

    def _send(self, taken: Proposal, token: str, *, arrives: bool, dies: bool) -> None:
        on_its_own = taken.decided_by == "policy"
        case_kind = None if taken.case_kind is None else self._do(get_case_kind, taken.case_kind)
        stopped = self._do(paused) is not None
        if not self._do(begin_call, taken.id, 0, token=token, now=self.now, guard=guard_of(self.policy)):
            assert on_its_own
            left = {
                "token": token,
                "now": self.now,
                "reason": Reason(ReasonCode.TOOK_TOO_LONG),
                "due_at": self.now,
            }
            self._do(finish_execution, taken.id, S.APPROVED, **left)
            return
        if on_its_own:
            assert CASES[self.kinds[taken.id]][2]
            assert not stopped
            assert taken.calls[0].operation not in self.policy.graduation.never
            assert case_kind is not None
            assert (case_kind.state, case_kind.generation) == (
                CaseKindState.GRADUATED,
                taken.gate["generation"],
            )
        if dies:
            return
        state, to = (CallState.DONE, S.SUCCEEDED) if arrives else (CallState.REFUSED, S.FAILED)
        self._do(end_call, taken.id, 0, token=token, state=state, now=self.now)
        self._do(finish_execution, taken.id, to, token=token, now=self.now, reason=None)

    @rule(hours=st.sampled_from([1, 30, 80, 24 * 8, -1, -30]))
    def the_clock_moves(self, hours: int) -> None:
        self.latest = max(self.latest, self.now)
        self.now += timedelta(hours=hours)

    @rule()
    def restart(self) -> None:
        self.runner.run(self.stack.aclose())
        self._open()
        self._do(expire_all_leases)
        self._do(recover_stranded, now=self.now)

    # what must always be true

    @invariant()
    def what_always_asks_was_never_decided_by_the_policy(self) -> None:
        for one in self._do(ran):
            assert CASES[self.kinds[one.id]][2], self.kinds[one.id]

    @invariant()
    def no_cap_is_ever_broken(self) -> None:
        found = self._do(ran)
        for scope, most, money in (
            (lambda one: one.at.date(), CAPS.day_count, CAPS.day_amount),
            (lambda one: (one.case_kind, one.at.date()), CAPS.case_kind_count, CAPS.case_kind_amount),
        ):
            cases = Counter(scope(one) for one in found)
            money_moved: Counter[Any] = Counter()
            for one in found:
                money_moved[scope(one)] += moved(one)
            assert all(number <= most for number in cases.values())
            assert all(total <= money["usd"] for total in money_moved.values())
        for one in found:
            near = [
                other for other in found
                if other.customer_id == one.customer_id and one.at.date() - timedelta(days=29) <= other.at.date() <= one.at.date()
            ]  # fmt: skip
            assert len(near) <= CAPS.customer_count
            assert sum(moved(other) for other in near) <= CAPS.customer_amount["usd"]
            assert moved(one) <= CAPS.action_amount["usd"]

    @rule()
    def what_is_learnt_is_what_the_log_says(self) -> None:
        policy = Assessor(POLICY)
        # What has ripened stays so when the clock goes back.
        now = self.latest = max(self.latest, self.now)
        while self._do(assess, policy, now).more:
            pass
        kept = self._do(derived)
        for case_kind in self._do(all_case_kinds):
            self._do(recompute, case_kind.hash, policy.label, policy.learn, now)
        assert self._do(derived) == kept

    def _in(self, state: ProposalState) -> list[Proposal]:
        return [one for one in self._do(everything) if one.state is state and one.id in self.kinds]


@pytest.mark.timeout(900)  # many runs of the whole machine: minutes, when other tests run beside it
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
    await store.do(fix_draw)
    for number in range(1, 8):
        proposal, event = case("invoice", number, number, 1_000, now)
        await store.do(
            insert_events, [NewEvent(f"evt_{number}", event.type, b"{}", "", sent_at=now, received_at=now)]
        )
        await store.do(insert_with_policy, proposal, Gate(POLICY, event, "production"))
        await store.do(approve_values, proposal, Assessor(POLICY).learn)
        for case_kind in await store.do(all_case_kinds):
            await store.do(change, case_kind.hash, ON, actor="U1", at=now)
    taken = await store.do(claim_approved, token="t", now=now, until=now + timedelta(minutes=5), limit=9)
    assert taken
    assert all(one.mode is Mode.AUTO for one in taken)
    await store.do(pause, by="U1", why="now", at=now)
    assert not any([await store.do(begin_call, one.id, 0, token="t", now=now) for one in taken])
    assert await store.do(get_proposal, taken[0].id)
