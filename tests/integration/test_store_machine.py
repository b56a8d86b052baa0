"""Any order of taps, workers, crashes, clocks and restarts: one decision each, and no call sent twice.

What a machine step may do is what the program may do at any moment. `Attempt.arrived` is the truth that only
Polar knows: whether a call that was begun reached it. Workers and reconcilers always report it truthfully, or
are killed before they can.
"""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
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
from sqlalchemy import Connection

from store import Store, open_store
from store.engine.leases import expire_all_leases
from store.messages.cards import CardDrawn, cards_drawn, claim_outgoing
from store.models import (
    CallState,
    Decision,
    NewProposal,
    Proposal,
    ProposalState,
    RuleMatch,
    RuleMatchState,
    Transition,
    Verdict,
)
from store.models.reasons import Reason, ReasonCode
from store.proposals.decisions import all_decisions, decide
from store.proposals.execution import (
    begin_call,
    claim_approved,
    claim_unknown,
    end_call,
    finish_execution,
    recover_stranded,
)
from store.proposals.proposals import advance, all_proposals, get_proposal, trail
from tests.fixtures.proposals import add_proposal

S = ProposalState
LEASE = timedelta(seconds=60)
_PICK = st.integers(0, 5)  # which of those there are: taken modulo their number
_VERDICTS = st.sampled_from([*Verdict, Verdict.APPROVE])
_MOVES = [(S.PENDING, S.EXPIRED), (S.PENDING, S.WITHDRAWN), (S.APPROVED, S.WITHDRAWN), (S.FAILED, S.APPROVED)]
_OUTCOMES = {CallState.DONE: S.SUCCEEDED, CallState.REFUSED: S.FAILED, CallState.PLANNED: S.APPROVED}


@dataclass
class Attempt:
    """One call that a worker was allowed to begin."""

    token: str
    arrived: bool
    answered: bool = False


@dataclass
class Model:
    """What must be true of one proposal, kept from the answers the store has given."""

    states: list[ProposalState] = field(default_factory=lambda: [S.PENDING])
    winners: list[Decision] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def state(self) -> ProposalState:
        return self.states[-1]


@dataclass
class Hold:
    """A worker's claim on a proposal, which it may go on believing in after it ran out."""

    proposal_id: str
    token: str
    until: datetime
    alive: bool = True


class Life(RuleBasedStateMachine):
    """The life of a few proposals in one SQLite file."""

    template: Path
    now: datetime
    make: Callable[..., NewProposal]
    prepare: Callable[..., NewProposal]
    files = count(1)

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.path = self.template.with_name(f"life_{next(self.files)}.db")
        shutil.copyfile(self.template, self.path)
        self.models: dict[str, Model] = {}
        self.made: list[NewProposal] = []
        self.holds: list[Hold] = []
        self.tokens = (f"token_{n}" for n in count(1))
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

    # Steps have preconditions so that few of them are spent on nothing, and proposals are few so that what
    # happens, happens to the same one.

    def _in(self, *states: ProposalState) -> list[tuple[str, Model]]:
        return [(id_, model) for id_, model in self.models.items() if model.state in states]

    def _sending(self) -> list[tuple[Hold, Attempt]]:
        """The calls being sent by workers that hold their claims. (Ending a call asks for no token yet.)"""
        begun = [(hold, self.models[hold.proposal_id].attempts[-1:]) for hold in self.holds if hold.alive]
        return [(hold, last[0]) for hold, last in begun if last and last[0].token == hold.token]

    # arrivals and decisions

    @initialize()
    def begin_in_the_middle(self) -> None:
        """Two that wait for a worker: most of what can go wrong comes later than that."""
        for _ in range(2):
            made = self._propose()
            self._tap(
                made.id, self.models[made.id], Decision(made.id, "U1", Verdict.APPROVE, "cli", self.now)
            )

    @precondition(lambda self: not self._in(S.PENDING, S.APPROVED))
    @rule()
    def propose(self) -> None:
        self._propose()

    def _propose(self) -> NewProposal:
        made: NewProposal = self._do(self.prepare, self.make(created_at=self.now))
        self.made.append(made)
        self.models[made.id] = Model()
        return made

    @precondition(lambda self: self._in(S.SUCCEEDED, S.DECLINED))
    @rule()
    def propose_again(self) -> None:
        old = self.made[0]
        rule_match = RuleMatch(
            old.fact_key, old.rule, old.rule_version, old.event_id, RuleMatchState.PROPOSED
        )
        again = self.make(fact_key=old.fact_key, event_id=old.event_id)
        assert not self._do(add_proposal, rule_match, again)

    @precondition(lambda self: self._in(S.PENDING))
    @rule(pick=_PICK, verdict=_VERDICTS, actor=st.sampled_from(["U1", "U2"]))
    def tap(self, pick: int, verdict: Verdict, actor: str) -> None:
        id_, model = self._in(S.PENDING)[pick % len(self._in(S.PENDING))]
        self._tap(id_, model, Decision(id_, actor, verdict, "button", self.now))
        self._tap(id_, model, Decision(id_, "U3", Verdict.DECLINE, "button", self.now))

    def _tap(self, id_: str, model: Model, decision: Decision) -> None:
        won, seen = self._do(decide, decision)
        assert won == (model.state is S.PENDING)
        if won:
            model.winners.append(decision)
            model.states.append(S.APPROVED if decision.verdict is Verdict.APPROVE else S.DECLINED)
        assert seen.id == id_
        assert seen.state is model.state

    @precondition(lambda self: self._in(S.PENDING, S.FAILED, S.EXECUTING))
    @rule(pick=_PICK, move=st.sampled_from(_MOVES))
    def move(self, pick: int, move: tuple[ProposalState, ProposalState]) -> None:
        id_, model = self._in(*S)[pick % len(self.models)]
        version = self._do(advance, id_, *move, actor="policy", at=self.now)
        assert (version is not None) == (model.state is move[0])
        if version is not None:
            model.states.append(move[1])

    # execution

    @precondition(lambda self: self._in(S.APPROVED))
    @rule()
    def claim(self) -> None:
        token, until = next(self.tokens), self.now + LEASE
        for taken in self._do(claim_approved, token=token, now=self.now, until=until, limit=2):
            assert self.models[taken.id].state is S.APPROVED
            self.models[taken.id].states.append(S.EXECUTING)
            self.holds.append(Hold(taken.id, token, until))

    @precondition(lambda self: self.holds)
    @rule(arrives=st.booleans())
    def everyone_tries_to_send(self, arrives: bool) -> None:
        for hold in [
            *reversed(self.holds),
            *self.holds,
        ]:  # each twice, and who came late before who came first
            model = self.models[hold.proposal_id]
            if self._do(begin_call, hold.proposal_id, 0, token=hold.token, now=self.now):
                assert model.state is S.EXECUTING
                assert hold.alive
                assert self.now < hold.until
                model.attempts.append(Attempt(hold.token, arrives))

    @precondition(lambda self: self._sending())
    @rule(pick=_PICK, answer=st.sampled_from([CallState.DONE, CallState.REFUSED]), finishes=st.booleans())
    def hear(self, pick: int, answer: CallState, finishes: bool) -> None:
        hold, attempt = self._sending()[pick % len(self._sending())]
        state = answer if attempt.arrived else CallState.PLANNED
        if not attempt.answered:
            self._do(end_call, hold.proposal_id, 0, token=hold.token, state=state, now=self.now)
            attempt.answered = True
        if finishes:
            self._finish(hold, _OUTCOMES[state])

    @precondition(lambda self: any(not attempt.answered for _, attempt in self._sending()))
    @rule()
    def hear_nothing(self) -> None:
        hold = next(hold for hold, attempt in self._sending() if not attempt.answered)
        self._do(_no_answer, hold, self.now)
        self.models[hold.proposal_id].states.append(S.UNKNOWN)
        hold.alive = False

    @precondition(lambda self: any(not hold.alive for hold in self.holds))
    @rule(to=st.sampled_from([S.SUCCEEDED, S.FAILED, S.APPROVED, S.WITHDRAWN]))
    def the_late_try_to_finish(self, to: ProposalState) -> None:
        for hold in self.holds:
            if not hold.alive:
                self._finish(hold, to)

    def _finish(self, hold: Hold, to: ProposalState) -> None:
        left = {"token": hold.token, "now": self.now, "reason": None, "due_at": self.now}
        version = self._do(finish_execution, hold.proposal_id, to, **left)
        assert (version is not None) == hold.alive
        if version is not None:
            over = [S.APPROVED] if to is S.WITHDRAWN else []
            self.models[hold.proposal_id].states += [*over, to]
            hold.alive = False

    @precondition(lambda self: self._in(S.UNKNOWN))
    @rule()
    def reconcile(self) -> None:
        id_, model = self._in(S.UNKNOWN)[0]
        arrived = any(attempt.arrived for attempt in model.attempts)
        to = S.SUCCEEDED if arrived else S.APPROVED
        self._do(_reconciled, id_, CallState.DONE if arrived else CallState.PLANNED, to, self.now)
        model.states.append(to)

    @precondition(lambda self: self._in(S.SUCCEEDED))
    @rule(state=st.sampled_from([CallState.PLANNED, CallState.UNKNOWN, CallState.REFUSED]))
    def hear_again_of_what_is_done(self, state: CallState) -> None:
        for id_, model in self._in(S.SUCCEEDED):
            if any(attempt.arrived for attempt in model.attempts):
                assert not self._do(end_call, id_, 0, token="late", state=state, now=self.now)
                assert self._do(get_proposal, id_).calls[0].state is CallState.DONE

    # time and the end of processes

    @precondition(lambda self: self.holds)
    @rule(seconds=st.sampled_from([0.000001, 30, 60, 3600]))
    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: any(hold.alive for hold in self.holds))
    @rule()
    def recover(self) -> None:
        stranded = [hold for hold in self.holds if hold.alive and hold.until <= self.now]
        assert self._do(recover_stranded, now=self.now) == len(stranded)
        self._strand(stranded)

    @precondition(lambda self: any(hold.alive for hold in self.holds))
    @rule()
    def restart(self) -> None:
        self.runner.run(self.stack.aclose())
        self._open()
        self._do(expire_all_leases)
        stranded = [hold for hold in self.holds if hold.alive]
        assert self._do(recover_stranded, now=self.now) == len(stranded)
        self._strand(stranded)

    def _strand(self, stranded: list[Hold]) -> None:
        """Who was sending leaves a doubt; who was not, or knows what came of it, leaves none."""
        for hold in stranded:
            last = self.models[hold.proposal_id].attempts[-1:]
            in_doubt = bool(last) and last[0].token == hold.token and not last[0].answered
            self.models[hold.proposal_id].states.append(S.UNKNOWN if in_doubt else S.APPROVED)
            hold.alive = False

    # cards

    @rule()
    def draw(self) -> None:
        token, until = next(self.tokens), self.now + LEASE
        for card in self._do(
            claim_outgoing, token=token, now=self.now, until=until, redraws=2, posts=2
        ).cards:
            shown = {"channel": "C1", "ts": "1.1", "at": self.now, "announced": [card.row_version]}
            drawn = CardDrawn(card.id, token, card.row_version, card.revision, **shown)
            assert self._do(cards_drawn, [drawn]) != [None]

    # what must always be true

    @invariant()
    def what_is_kept_is_what_was_answered(self) -> None:
        proposals, lines, decisions = self._do(_everything)  # one read for all: this runs after every step
        assert {proposal.id for proposal in proposals} == set(self.models)
        for proposal in proposals:
            self._check_trail(proposal, lines[proposal.id])
            if proposal.calls[0].state in {CallState.SENDING, CallState.UNKNOWN}:
                assert proposal.state in {S.EXECUTING, S.UNKNOWN}
        winners = [(one.proposal_id, one.actor) for model in self.models.values() for one in model.winners]
        assert sorted((one.proposal_id, one.actor) for one in decisions) == sorted(winners)

    def _check_trail(self, proposal: Proposal, lines: list[Transition]) -> None:
        states = self.models[proposal.id].states
        assert [line.to for line in lines] == states
        assert [line.from_ for line in lines] == [None, *states[:-1]]
        assert [line.row_version for line in lines] == list(range(1, len(lines) + 1))
        assert (proposal.state, proposal.row_version) == (states[-1], len(lines))
        assert proposal.rendered_version <= proposal.row_version

    @invariant()
    def nothing_happens_twice(self) -> None:
        for model in self.models.values():
            assert len(model.winners) <= 1
            assert sum(attempt.arrived for attempt in model.attempts) <= 1


def _everything(
    connection: Connection,
) -> tuple[list[Proposal], dict[str, list[Transition]], list[Decision]]:
    kept = list(all_proposals(connection))
    return kept, {one.id: trail(connection, one.id) for one in kept}, list(all_decisions(connection))


def _no_answer(connection: Connection, hold: Hold, now: datetime) -> None:
    end_call(connection, hold.proposal_id, 0, token=hold.token, state=CallState.UNKNOWN, now=now)
    left = {"token": hold.token, "now": now, "reason": Reason(ReasonCode.POLAR_NO_ANSWER)}
    assert finish_execution(connection, hold.proposal_id, S.UNKNOWN, **left) is not None


def _reconciled(
    connection: Connection, proposal_id: str, call: CallState, to: ProposalState, now: datetime
) -> None:
    claim_unknown(connection, token="look", now=now, until=now, limit=9, most_attempts=99)
    end_call(connection, proposal_id, 0, token="look", state=call, now=now)
    assert advance(connection, proposal_id, S.UNKNOWN, to, actor="reconcile", at=now, due_at=now) is not None


def test_whatever_happens_one_decision_wins_and_no_call_is_sent_twice(
    sqlite_url: str, tmp_path: Path, now: datetime, new_proposal: Any, store_proposal: Any
) -> None:
    class Started(Life):
        template = tmp_path / "approvals.db"
        make = staticmethod(new_proposal)
        prepare = staticmethod(store_proposal)

    Started.now = now
    run_state_machine_as_test(
        Started, settings=settings(max_examples=15, stateful_step_count=30, deadline=None)
    )
