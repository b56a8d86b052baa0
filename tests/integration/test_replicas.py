"""Several programs on one database at once: no place under a cap, no yes, no row of the log and no message twice."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from store import Store, open_store
from store.audit_log.log import append
from store.audit_log.verify import verify
from store.engine import engines
from store.engine.engines import make_engine
from store.engine.transactions import advisory_lock
from store.graduation.admission import insert_with_policy
from store.graduation.case_kinds import change, note_case_kind, note_human, spent
from store.graduation.learn import assess
from store.graduation.reducer import ALL, Since, TrustChange, day
from store.messages.cards import CardDrawn, cards_drawn, claim_outgoing
from store.models import (
    CallState,
    CaseKindState,
    Decision,
    Mode,
    NewProposal,
    Proposal,
    ProposalState,
    Verdict,
)
from store.models.graduation import Evaluation, GateInputs, NewCaseKind, Past
from store.models.reasons import ChangeCause, ChangeCode
from store.proposals.actions import Act, due_snoozes, restate, snooze
from store.proposals.decisions import ApprovalRequirements, decide
from store.proposals.details import approvals
from store.proposals.execution import begin_call, claim_approved, end_call, finish_execution
from store.proposals.proposals import all_proposals, get_proposal, touch
from store.proposals.timers import call_people, to_remind
from store.schema import decisions, outbox, proposals
from tests.integration.conftest import NOW, _new_proposal, _store_proposal

ON = TrustChange(CaseKindState.GRADUATED, ChangeCause(ChangeCode.THRESHOLD_MET), manual_override=True)
KIND = NewCaseKind("5a9e", "invoice", {"operation": "orders:generate_invoice"}, "An invoice", "R1")
PLACES = 7


@dataclass(frozen=True)
class Capped:
    """A policy with so many places a day and nothing else to say."""

    places: int = PLACES

    def case_kind(self, proposal: NewProposal, past: Past) -> NewCaseKind | None:
        return KIND

    def evaluate(self, proposal: NewProposal, inputs: GateInputs | None) -> Evaluation:
        assert inputs is not None
        free = inputs.case_kind.state == CaseKindState.GRADUATED and inputs.day.count < self.places
        gate = {"generation": inputs.case_kind.generation, "amount": 3_000_000_000, "currency": "idr"}
        return Evaluation(Mode.AUTO if free else Mode.ASKED, gate, 3_000_000_000, "idr")


def _trust(connection: Connection) -> None:
    note_human(connection, "U1", NOW)  # somebody is there
    note_case_kind(connection, KIND, NOW)
    change(connection, KIND.hash, ON, actor="U1", at=NOW)


def _put(connection: Connection, proposal: NewProposal, judge: Capped) -> None:
    _store_proposal(connection, replace(proposal, id=f"{proposal.id}_of_its_event", fact_key=proposal.id))
    insert_with_policy(connection, proposal, judge)


def _turns(rivals: list[Store], count: int) -> Iterator[tuple[int, Store]]:
    return ((number, rivals[number % len(rivals)]) for number in range(count))


async def test_the_last_place_under_a_cap_is_taken_once(rivals: list[Store]) -> None:
    await rivals[0].do(_trust)
    made = [_new_proposal(customer_id=f"c{number}") for number in range(24)]
    for one in made:
        await rivals[0].do(_store_proposal, replace(one, id=f"{one.id}_first", fact_key=one.id))

    await asyncio.gather(
        *(rival.do(insert_with_policy, made[number], Capped()) for number, rival in _turns(rivals, len(made)))
    )

    found = [await rivals[0].do(get_proposal, one.id) for one in made]
    assert Counter(one.mode for one in found if one) == {Mode.AUTO: PLACES, Mode.ASKED: 24 - PLACES}
    counted = await rivals[0].do(spent, Since(ALL, day(NOW)), "idr")
    assert (counted.count, counted.amount) == (PLACES, PLACES * 3_000_000_000)
    assert (await rivals[0].do(verify)).problems == ()


async def test_trust_taken_back_by_one_program_is_gone_for_all(rivals: list[Store]) -> None:
    await rivals[0].do(_trust)
    made = [_new_proposal() for _ in range(8)]
    for one in made:
        await rivals[0].do(_store_proposal, replace(one, id=f"{one.id}_first", fact_key=one.id))

    async def fall(rival: Store) -> None:
        lost = TrustChange(
            CaseKindState.ASKING, ChangeCause.of(ChangeCode.TEXT, text="no"), new_generation=True
        )
        await rival.do(change, KIND.hash, lost, actor="U1", at=NOW)

    puts = (
        rival.do(insert_with_policy, made[number], Capped()) for number, rival in _turns(rivals, len(made))
    )
    await asyncio.gather(*puts, fall(rivals[3]))
    until = NOW + timedelta(minutes=5)
    taken = await asyncio.gather(
        *(
            rival.do(claim_approved, token=f"t{n}", now=NOW, until=until, limit=9)
            for n, rival in enumerate(rivals)
        )
    )

    assert [one.id for part in taken for one in part] == []


@pytest.mark.parametrize("people", [1, 2])
async def test_of_four_approvals_as_many_count_as_are_needed(
    rivals: list[Store], store_proposal: Callable[..., NewProposal], people: int
) -> None:
    made = await rivals[0].do(store_proposal)

    came = await asyncio.gather(
        *(
            rival.do(
                decide,
                Decision(made.id, f"U{number}", Verdict.APPROVE, "button", NOW),
                ApprovalRequirements(people),
            )
            for number, rival in enumerate(rivals)
        )
    )

    found = await rivals[0].do(get_proposal, made.id)
    assert sum(won for won, _ in came) == people
    assert found is not None
    assert (found.state, found.row_version) == (ProposalState.APPROVED, 1 + people)
    assert len(await rivals[0].do(approvals, made.id, 1)) == people


async def test_one_person_at_four_programs_is_one_of_the_two_that_are_needed(
    rivals: list[Store], store_proposal: Callable[..., NewProposal]
) -> None:
    made = await rivals[0].do(store_proposal)
    yes = Decision(made.id, "U1", Verdict.APPROVE, "button", NOW)

    came = await asyncio.gather(*(rival.do(decide, yes, ApprovalRequirements(2)) for rival in rivals))

    found = await rivals[0].do(get_proposal, made.id)
    assert sorted(won for won, _ in came) == [False, False, False, True]
    assert found is not None
    assert found.state == ProposalState.PENDING


async def test_what_is_approved_is_what_was_asked_though_it_changes_at_the_same_moment(
    rivals: list[Store], store_proposal: Callable[..., NewProposal]
) -> None:
    for _ in range(8):
        made = await rivals[0].do(store_proposal)
        new = replace(made, title="Another question?")
        (won, _), (changed, _), *_ = await asyncio.gather(
            rivals[0].do(decide, Decision(made.id, "U1", Verdict.APPROVE, "button", NOW)),
            rivals[1].do(restate, 1, new, changes=(), at=NOW),
            rivals[2].do(touch, made.id, NOW, assignee="U2"),
            rivals[3].do(touch, made.id, NOW, assignee="U3"),
        )
        found = await rivals[0].do(get_proposal, made.id)
        assert found is not None
        assert won is not changed
        assert (found.title == made.title) is won
        assert found.row_version == 4


async def test_four_programs_write_one_log(rivals: list[Store]) -> None:
    await asyncio.gather(
        *(rival.do(append, "test", None, {"number": n}, NOW) for n, rival in _turns(rivals, 60))
    )

    found = await rivals[0].do(verify)
    assert (found.rows, found.problems) == (60, ())


async def test_the_log_is_checked_as_of_one_moment_while_it_grows(
    database_url: str, rivals: list[Store]
) -> None:
    done = asyncio.Event()

    async def write(rival: Store) -> None:
        while not done.is_set():
            await rival.do(append, "test", None, {}, NOW)

    writing = [asyncio.create_task(write(rival)) for rival in rivals[:2]]
    async with open_store(database_url, exclusive=False) as reader:
        found = [await reader.do(verify)]
        while len({one.rows for one in found}) < 8:
            found.append(await reader.do(verify))
    done.set()
    await asyncio.gather(*writing)

    assert {one.problems for one in found} == {()}


async def test_people_are_reminded_and_woken_once(
    rivals: list[Store], store_proposal: Callable[..., NewProposal]
) -> None:
    made = [await rivals[0].do(store_proposal) for _ in range(3)]
    for one in made:
        act = Act(one.id, "U1", "Snoozed.", NOW)
        await rivals[0].do(snooze, act, NOW + timedelta(hours=1))
    later = NOW + timedelta(hours=5)

    async def remind(number: int, rival: Store) -> bool:
        about: Any = {"older_than": later, "reminded_before": NOW, "now": later}
        waiting: list[Proposal] = await rival.do(to_remind, **about)
        await asyncio.sleep(0)  # as while the links to the cards are asked for
        at = later + timedelta(microseconds=number)
        say: Any = {"say": lambda called: {"text": str(len(called)), "blocks": []}}
        window = timedelta(hours=4)
        return bool(waiting) and await rival.do(call_people, "reminder", waiting, **say, at=at, window=window)

    woken = await asyncio.gather(*(rival.do(due_snoozes, later, "Back.") for rival in rivals))
    told = await asyncio.gather(*(remind(number, rival) for number, rival in enumerate(rivals)))

    kinds = await rivals[0].do(
        lambda c: list(c.execute(select(outbox.c.kind).order_by(outbox.c.kind)).scalars())
    )
    assert sorted(len(ids) for ids in woken) == [0, 0, 0, 3]
    assert sorted(told) == [False, False, False, True]
    assert kinds == ["act", "act", "act", "reminder"]


class Busy:
    """A program that does everything at once, so that one transaction holds several things."""

    def __init__(self, number: int, store: Store, over: asyncio.Event, sent: Counter[str]) -> None:
        self.number, self.store, self.over, self.sent = number, store, over, sent
        self.until: Any = {"now": NOW, "until": NOW + timedelta(minutes=5), "token": f"t{number}"}

    async def again_and_again(self, step: Callable[[], Awaitable[None]]) -> None:
        while not self.over.is_set():
            await step()
            await asyncio.sleep(0.01)

    async def asks(self, made: Sequence[NewProposal]) -> None:
        for one in made:
            await self.store.do(_put, one, Capped())

    async def decides(self) -> None:
        for one in await self.store.do(_pending):
            verdict = Verdict.DECLINE if one.id.endswith("7") else Verdict.APPROVE
            await self.store.do(decide, Decision(one.id, f"U{self.number}", verdict, "button", NOW))

    async def works(self) -> None:
        own: Any = {"token": self.until["token"], "now": NOW}
        for one in await self.store.do(claim_approved, limit=4, **self.until):
            if await self.store.do(begin_call, one.id, 0, **own):
                self.sent[one.id] += 1
                await self.store.do(end_call, one.id, 0, state=CallState.DONE, status=200, **own)
            await self.store.do(finish_execution, one.id, ProposalState.SUCCEEDED, reason=None, **own)

    async def draws(self) -> None:
        out = await self.store.do(claim_outgoing, redraws=5, posts=5, **self.until)
        for one in out.cards:
            token: Any = self.until["token"]
            drawn = CardDrawn(one.id, token, one.row_version, one.revision, "C1", one.id, NOW)
            await self.store.do_together(cards_drawn, drawn)

    async def learns(self) -> None:
        nothing: Any = Taught()
        await self.store.do(assess, nothing, NOW)


async def test_busy_programs_refuse_nothing_and_send_nothing_twice(rivals: list[Store]) -> None:
    """On PostgreSQL there is no deadlock: each would refuse what was to be written."""
    await rivals[0].do(_trust)
    made = [_new_proposal(customer_id=f"c{number % 3}") for number in range(18)]
    over, sent = asyncio.Event(), Counter[str]()
    programs = [Busy(number, rival, over, sent) for number, rival in enumerate(rivals[:3])]

    steps = [step for one in programs for step in (one.decides, one.works, one.draws, one.learns)]
    loops = [asyncio.create_task(programs[0].again_and_again(step)) for step in steps]
    await asyncio.gather(*(one.asks(made[one.number :: 3]) for one in programs))
    await eventually(rivals[0], _finished)
    over.set()
    await asyncio.gather(*loops)

    assert set(sent.values()) == {1}
    found = await rivals[0].do(lambda c: list(all_proposals(c)))
    assert sum(one.mode == Mode.AUTO for one in found) == PLACES
    assert {one.id for one in found if one.state == ProposalState.SUCCEEDED} == set(sent)
    decided = await rivals[0].do(lambda c: list(c.execute(select(decisions.c.proposal_id)).scalars()))
    assert len(decided) == len(set(decided)) == len(found)
    assert (await rivals[0].do(verify)).problems == ()


async def eventually(store: Store, answer: Callable[[Connection], bool]) -> None:
    async with asyncio.timeout(60):
        while not await store.do(answer):  # noqa: ASYNC110 - only the database knows
            await asyncio.sleep(0.02)


class Taught:
    """An assessor that learns nothing: only its reading of the log is under test."""

    def label(self, _case: Any) -> None:
        return None

    def learn(self, _approved: Any) -> dict[str, Any]:
        return {}

    def lacks(self, _case_kind: Any, _now: datetime) -> list[str]:
        return ["everything"]

    def notice(self, _case_kind: str, _change: Any) -> None:
        return None


def _pending(connection: Connection) -> list[Proposal]:
    return [one for one in all_proposals(connection) if one.state == ProposalState.PENDING]


def _finished(connection: Connection) -> bool:
    over = (ProposalState.SUCCEEDED, ProposalState.DECLINED)
    behind = proposals.c.state.not_in(over) | (proposals.c.rendered_version < proposals.c.row_version)
    return connection.execute(select(proposals.c.id).where(behind).limit(1)).first() is None


@pytest.mark.postgres
async def test_a_program_that_vanishes_in_the_middle_keeps_nobody_from_writing(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "VANISHED", "300ms")
    engine = make_engine(postgres_url)
    async with open_store(postgres_url) as store:
        gone = await engine.connect()
        await gone.run_sync(advisory_lock)
        async with asyncio.timeout(5):
            await store.do(append, "test", None, {}, NOW)
        with pytest.raises(Exception, match=r"idle-in-transaction|connection"):
            await gone.execute(text("SELECT 1"))
        await gone.invalidate()
        await gone.close()
    await engine.dispose()
