"""Every query of the store, asked of one past on both databases: PostgreSQL answers what SQLite answers.

The queries are found by looking, and their arguments by name, so that a new query is asked too.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

import store
from store.audit_log.log import Entry, head
from store.engine.engines import make_engine
from store.engine.leases import OUTBOX, RULE_MATCHES, HeldRow
from store.engine.settings_kv import Setting
from store.engine.shared_pace import Pause, Room
from store.erasure.erase import Erasure
from store.erasure.find import Customer, Held, Look
from store.events.conclusions import Conclusion, Sought
from store.graduation.admission import Case
from store.graduation.count_check import Difference
from store.graduation.labels import Relabelled
from store.graduation.learn import Step
from store.graduation.reducer import CaseTotals, Counter, Since, TrustChange, Usage
from store.messages.cards import CardDrawn, Drawing
from store.models import (
    CallState,
    CaseKindState,
    Decision,
    EventState,
    Mode,
    NewEvent,
    NewProposal,
    OutcomeKind,
    PlannedCall,
    Proposal,
    ProposalKind,
    ProposalState,
    RuleMatch,
    RuleMatchState,
    RuleResult,
    SubjectState,
    Verdict,
)
from store.models.details import CommentKind, FailedMatch
from store.models.graduation import CaseKind, CountCheck, ExecutionGuard, Miscount, Outcome, Past
from store.models.reasons import ChangeCause, ChangeCode, Lack, LackCode, Reason, ReasonCode
from store.proposals.actions import Act
from store.proposals.decisions import ApprovalRequirements, Closing, LeaseLost, PendingApproval
from store.proposals.proposals import Born, get_proposal
from store.proposals.wishes import Wish, WishKind
from tests.fixtures.full_database import (
    HOUR,
    KIND,
    MESSAGE,
    NAMES,
    NOW,
    REVISION,
    RICH,
    SOON,
    WILLING,
    new,
    prepare,
)
from tests.fixtures.graduation import fixed_salt

FREE = {
    "dialects",
    "engines",
    "migrate",
    "transactions",
}  # modules of tools: no queries, but what queries are made of

# What a parameter of this name is given; each of several values in turn.
LATER = SOON + 30 * HOUR
WHY = Reason(ReasonCode.TEXT, {"text": "why\0"})
SIGHTING = SubjectState("order:pending", True, SOON, 1, {"status": "paid", "note": "\0\ud800"}, "c1")
CAUSE = ChangeCause.of(ChangeCode.TEXT, text="because\0")
LACK = Lack.of(LackCode.CUSTOMERS, have=1, need=10)
OFFERED = CaseKind(
    **asdict(KIND),
    state=CaseKindState.ASKING,
    manual_override=False,
    generation=0,
    generation_at=NOW,
    last_case_at=NOW,
)
LABEL_ROW = {
    "proposal_id": "done", "generation": 0, "is_rejection": 1, "is_counted": 1, "is_spot_check": 1, "in_score": 1, "reason_code": "declined",
    "customer_id": "c9", "decided_at": NOW,
}  # fmt: skip
CHANGED = Relabelled([], [LABEL_ROW])
COUNTS = CaseTotals().counts(0)
MISCOUNTED = Difference(KIND.hash, "A kind", 0, COUNTS, COUNTS | {"cases": 7})
RULE_MATCH = RuleMatch("fact new", "a-rule", "v1", "evt_1", RuleMatchState.PROPOSED)
FAILED = FailedMatch("evt_1", "a-rule", "v0", WHY, SOON, 2, "fact\0")
CONCLUSION = Conclusion(
    event_id="evt_1",
    token="t",
    now=SOON,
    state=EventState.DONE,
    reason=WHY,
    evaluator=WILLING,
    results=[RuleResult(RULE_MATCH, new("new"))],
    subject_state=SIGHTING,
    compared=True,
    looked_back=True,
    over=[FAILED],
    failed=[replace(FAILED, rule="b-rule", fact_key=None)],
)
SOUGHT = [
    Sought(
        sent_since=NOW,
        customer_id=who,
        done_since=NOW,
        alone_since=NOW,
        subject="order:pending",
        before=LATER,
    )
    for who in ("c1", "c\0", None)
]
ADA = Customer(frozenset({"c1"}), frozenset({"ada@example.com"}), frozenset({"ext\0"}))
LOOK = Look(ADA, ["old"])
HELD = Held({"order:old"}, {"evt_1"})
ERASURE = Erasure("U1", LATER, ", ".join, lambda operation: {operation})
LEFT = [PendingApproval(f"tap_{number}", name, 1, "U1", "button", SOON) for number, name in enumerate(NAMES)]
GIVEN: Mapping[str, Sequence[Any]] = {
    "rooms": [[Room("b", 3, 2.0, 1, 5.0), Room("a", 3, 2.0, 4, 5.0), Room("b", 1, 2.0, 1, 6.0)]],
    "pauses": [[Pause("b", 3, 2.0, 9.0), Pause("a", 3, 2.0, 9.0), Pause("b", 3, 2.0, 7.0)]],
    "after": ["", "p", "zzz"],
    "before": [None, NOW, LATER],
    "customer": [ADA, Customer()],
    "customers": [["c1", "c\0"], []],
    "erasure": [ERASURE],
    "keys": [["order:old", "dispute:old", "none"]],
    "look": [LOOK, Look(Customer())],
    "titles": [["Do it for Ada of done?"], []],
    "act": [Act("PROPOSAL", "U3", "Said\0.", SOON, MESSAGE)],
    "actor": ["U3"],
    "alone_since": [NOW],
    "amount": [RICH],
    "approved": [[]],
    "arrivals": [[NewEvent("evt_9", "order.paid", b"{}", "", NOW, NOW)]],
    "assessor": [WILLING],
    "assignee": ["U2"],
    "at": [SOON],
    "author": ["U1"],
    "body": [{"note": "\0\ud800"}],
    "bundle_id": ["b1", "b2"],
    "by": ["U1"],
    "cause": [CAUSE],
    "changed": [Relabelled([], []), CHANGED],
    "check": [CountCheck(SOON, 2, [Miscount(KIND.hash, "A kind", ["cases"], True)])],
    "certainly_not_posted": [True],
    "changes": [(("Question", "a", "b"),)],
    "channel": ["C1"],
    "closing": [Closing("tap_1", "t", "first approval", "approved")],
    "cases": [[Case(new(name, customer_id=f"c\0{name}"), WILLING, Past()) for name in ("new", "newer")]],
    "conclusions": [[CONCLUSION, replace(CONCLUSION, event_id="evt_2", token="other", results=())]],
    "currency": ["idr"],
    "customer_id": ["c1"],
    "made": [[new("new"), new("newer", event_id="evt_2")]],
    "born": [[Born(new("new"), mode) for mode in (Mode.AUTO, Mode.ASKED)][:1]],
    "entries": [[Entry("test", None, {"note": "\0"}, NOW), Entry("test", "p\0", {}, SOON)]],
    "hashes": [[KIND.hash, "none"]],
    "sought": [SOUGHT],
    "told": [[("evt_1", SIGHTING), ("evt_2", replace(SIGHTING, rank=2))]],
    "deadline_before": [None, LATER],
    "decision": [Decision("PROPOSAL", "U3", verdict, "button", SOON, "No\0") for verdict in Verdict],
    "detail": ["more\0"],
    "difference": [MISCOUNTED],
    "digest": ["", "0"],
    "drawings": ["[DRAWING OF PROPOSAL]"],
    "drawn": [
        [CardDrawn(name, token, 2, 1, "C1", "2", SOON, [2], {2: MESSAGE}, "evt_1") for name in NAMES]
        for token in ("d", "t")
    ],
    "drawn_before": [SOON],
    "due_at": [LATER],
    "revision": [1],
    "revisions": [dict.fromkeys(NAMES, 1), {}],
    "superseded_by": ["U1"],
    "event_id": ["evt_1", "evt_9"],
    "event_ids": [["evt_1", "evt_9"]],
    "rule_match": [RULE_MATCH],
    "first": [NOW],
    "found": ["[PROPOSAL]"],
    "generation": [0, 1],
    "from_": [ProposalState.PENDING],
    "held": [[HeldRow(OUTBOX, "t", ("note",)), HeldRow(RULE_MATCHES, "t", ("fact new", "a-rule"))]],
    "ids": [list(NAMES[:-1])],
    "inverse": [new("inverse", case_kind=None)],
    "evaluator": [WILLING],
    "key": ["a kind\0"],
    "kind": ["pause"],
    "label": [WILLING.label],
    "lacks": [lambda case_kind: [LACK], lambda case_kind: []],
    "left": [LEFT],
    "learn": [WILLING.learn],
    "limit": [2, 40],
    "message": [MESSAGE],
    "moment": [SOON],
    "most": [2],
    "most_attempts": [3],
    "name": ["refunds"],
    "new": [new("PROPOSAL", title="Otherwise?")],
    "note": ["note\0"],
    "message_id": ["note", "other\0"],
    "now": [SOON, LATER],
    "number": [0],
    "older_than": [LATER],
    "original": ["PROPOSAL"],
    "opened_since": [NOW],
    "own": [list(NAMES[:-1])],
    "outcome": [Outcome("PROPOSAL", OutcomeKind.DISPUTED, "an event\0", SOON)],
    "page": [1, 2],
    "path": [{}],
    "people": [1],
    "person": ["U1", "U2"],
    "planned": [(PlannedCall("orders:generate_invoice", body={"note": "\0\ud800"}),)],
    "posts": [9],
    "preset": [None],
    "proposal": ["PROPOSAL"],
    "proposal_id": ["PROPOSAL"],
    "proposal_ids": [["pending", "first", "tapped"]],
    "reason": [Reason.of(ReasonCode.TEXT, text="why\0"), None],
    "redraws": [9],
    "required": [ApprovalRequirements()],
    "reminded_before": [NOW],
    "scope": ["all"],
    "said": ["Said\0."],
    "seq": [1, 3],
    "setting": list(Setting),
    "case_kind": [KIND.hash, "none"],
    "shown": [list(NAMES)],
    "since": [NOW],
    "size": [1],
    "soon": [LATER],
    "sources": [{"v2": ("b-rule", {"note": "\0"})}],
    "result": ["approved"],
    "start": ["p", "pending", "5", "%", "\\"],
    "state": list(ProposalState),
    "guard": [ExecutionGuard()],
    "subject": ["PROPOSAL", "order:pending"],
    "approval": [PendingApproval("tap_2", "PROPOSAL", 1, "U1", "button", SOON, reason="So\0")],
    "approval_id": ["tap_1", "tap_2"],
    "text": ["text\0"],
    "to": [ProposalState.APPROVED],
    "token": ["t", "d"],
    "ts": ["1.pending", "2"],
    "undo": ["pundo"],
    "until": [LATER],
    "user_id": ["U1", "U9"],
    "value": ["ada@example.com", "c1", "a-rule", "U1", ""],
    "verdict": list(Verdict),
    "version": [1],
    "waiting": ["[PROPOSAL]"],
    "wanted": [[Since("all", "2026-11-21")]],
    "counters": [[Counter("all", "2026-11-21"), Counter("case_kind:\0", "2026-11-21")]],
    "step": list(Step),
    "which": ["", "urgent", "mine", "snoozed", "unknown", "failed"],
    "work": [lambda: 1, lambda: 1 // 0],
    "wish": [
        Wish("w2", WishKind.DECLINE, "U1", "button", SOON, "pending", reason="No\0", would_run_at=LATER)
    ],
    "over": [[], [FAILED]],
    "versions": [["v1"], []],
    "wish_id": ["w1", "w2"],
    "held_by": ["U1"],
    "rest": [HOUR],
    "notice": [MESSAGE],
    "why": ["why\0"],
    "words": [["invoice"], ["5A"], ["an", "%"], []],
}
OTHERWISE: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "actions.edit": {"new": [REVISION]},
    "execution.bind_call": {"to": [PlannedCall("orders:generate_invoice", path={"id": "\0"})]},
    "execution.answer_late": {"state": list(CallState), "started_at": [NOW, SOON]},
    "execution.end_call": {"state": list(CallState)},
    "execution.finish_execution": {"to": [ProposalState.SUCCEEDED, ProposalState.WITHDRAWN]},
    "events.conclude_rule_match": {"state": [RuleMatchState.SILENT], "proposal": [None, new("new")]},
    "events.rule_source": {"version": ["v1", "v2"]},
    "events.note_rule_matches": {
        "found": [[RULE_MATCH, RULE_MATCH, replace(RULE_MATCH, fact_key="other\0")]]
    },
    "cards.redraw_bundles": {"bundle_ids": [["b1"]], "values": [{}]},
    "bundles.bundle_drawn": {"version": [2]},
    "admission.evaluate": {"proposal": [new("new")]},
    "admission.insert_with_policy": {"proposal": [new("new")]},
    "lists.history": {"by": ["", "customer", "customer_id", "rule", "person"]},
    "case_kinds.record_outcome": {"to": list(ProposalState)},
    "admission.past_of": {"proposal": [new("new"), new("new", customer_id="c\0")]},
    "proposals.insert_proposal": {"proposal": [new("new")]},
    "proposals.propose_by_hand": {"proposal": [new("done"), new("new")]},
    "proposals.advance": {"from_": ["STATE"], "to": list(ProposalState), "values": [{}]},
    "proposals.touch": {"values": [{"assignee": "U1"}]},
    "details.add_comment": {"kind": list(CommentKind)},
    "case_kinds.change": {"trust_change": [TrustChange(state, CAUSE) for state in CaseKindState]},
    "case_kinds.note_case_kind": {"new": [KIND, replace(KIND, hash="other", label="A\0")]},
    "settings_kv.hold_or_set": {"first": ["1"]},
    "settings_kv.try_to_write": {"size": [0, 1_000]},
    "case_kinds.spent": {"wanted": [Since("all", "2026-11-21")]},
    "learn.add_offer": {"question": [new("offer", kind=ProposalKind.GRADUATION)], "case_kind": [OFFERED]},
    "learn.set_aside": {"reason": [WHY]},
    "timers.in_doubt": {"looks": [0], "again": [LATER], "escalated": [False, True]},
    "timers.call_people": {
        "kind": ["reminder", "escalation", "doubt"],
        "say": [lambda _: MESSAGE],
        "window": [HOUR],
    },
    "find.customers_in": {"wanted": [ADA, Customer(frozenset({"ada@example.com"}))]},
    "find.customer_of_proposals": {"wanted": [ADA, Customer()]},
    "find.events_of": {"held": [HELD, Held()]},
    "find.proposals_of": {"held": [HELD, Held()]},
    "events.keep_failures": {"failed": [[], [FAILED, replace(FAILED, rule="b-rule")]]},
    "events.fail_event": {"failed": [FAILED]},
    "events.retry_events": {"start": [None, "evt", "%"]},
    "decisions.reopen_declined": {"actor": ["U2"]},
    "decisions.renew_approved": {"actor": ["U1"]},
    "wishes.grant_wish": {"work": [lambda _: (True, 1), lambda _: (False, 1)]},
    "timers.expire": {"limit": [200]},
}


@dataclass(frozen=True)
class Question:
    """One query with arguments for it."""

    name: str
    query: Callable[..., Any]
    arguments: Mapping[str, Any]


def _queries() -> Iterator[tuple[str, Callable[..., Any]]]:
    for module in pkgutil.walk_packages(store.__path__, "store."):
        short = module.name.rpartition(".")[2]
        if module.ispkg or short in FREE or "migrations" in module.name:
            continue
        loaded = importlib.import_module(module.name)
        for name, query in vars(loaded).items():
            own = inspect.isfunction(query) and query.__module__ == loaded.__name__ and name[0] != "_"
            if own and next(iter(inspect.signature(query).parameters), "") == "connection":
                yield f"{short}.{name}", query


def _questions() -> Iterator[Question]:
    for name, query in _queries():
        own = {**GIVEN, **OTHERWISE.get(name, {})}
        wanted = [
            one.name
            for one in list(inspect.signature(query).parameters.values())[1:]
            if one.default is inspect.Parameter.empty or one.name in ("page", "most", "currency")
        ]
        unknown = [each for each in wanted if each not in own]
        assert not unknown, f"say in GIVEN what {name} is to be given as {unknown}"
        for values in product(*(own[each] for each in wanted)):
            yield Question(name, query, dict(zip(wanted, values, strict=True)))


def _placed(value: Any, found: Proposal | None, name: str) -> Any:
    """The argument for one proposal."""
    if value == "PROPOSAL":
        return name
    if value == "STATE":
        return ProposalState.PENDING if found is None else found.state
    if value == "[PROPOSAL]":
        return [] if found is None else [found]
    if value == "[DRAWING OF PROPOSAL]":
        return [] if found is None else [Drawing(found, needs_two=True)]
    if isinstance(value, Act | Decision | Outcome | PendingApproval):
        return replace(value, proposal_id=name)
    if isinstance(value, NewProposal) and value.id == "PROPOSAL":
        return replace(value, id=name)
    return value


def _ask(connection: Connection, question: Question, name: str) -> Any:
    """What comes of a question, in words that can be compared; nothing of it stays."""
    found = get_proposal(connection, name)
    arguments: dict[str, Any] = {}
    for each, value in question.arguments.items():
        if each in ("proposal", "original") and value == "PROPOSAL":
            arguments[each] = found or get_proposal(connection, "pending")
        elif each in ("values", "columns"):
            arguments |= value or {}
        else:
            arguments[each] = _placed(value, found, name)
    step = connection.begin_nested()
    try:
        answer = question.query(connection, **arguments)
        came = list(answer) if isinstance(answer, Iterator) else answer
        came = vars(came) if isinstance(came, Usage) else came
        return came, head(connection)
    except (SQLAlchemyError, ValueError, AssertionError, LeaseLost) as error:
        return type(error).__name__
    finally:
        step.rollback()


def _answers(connection: Connection) -> dict[str, Any]:
    prepare(connection)
    return {
        f"{question.name}({question.arguments!r:.300}) of {name}": _ask(connection, question, name)
        for question in _questions()
        for name in (NAMES if "PROPOSAL" in repr(question.arguments) else NAMES[:1])
    }


_KEPT: dict[str, dict[str, Any]] = {}  # asked once: it takes seconds


async def _all_answers(url: str) -> dict[str, Any]:
    kind = url.partition(":")[0]
    if kind not in _KEPT:
        _KEPT[kind] = await _asked(url)
    return _KEPT[kind]


async def _asked(url: str) -> dict[str, Any]:
    engine = make_engine(url)
    async with engine.connect() as connection:
        with fixed_salt():
            answers = await connection.run_sync(_answers)
        await connection.rollback()
    await engine.dispose()
    return answers


def test_arguments_are_given_to_queries_that_there_are() -> None:
    assert OTHERWISE.keys() - {name for name, _ in _queries()} == set()


async def test_every_query_can_be_asked_and_most_have_an_answer(sqlite_url: str) -> None:
    answers = await _all_answers(sqlite_url)

    asked = {key.partition("(")[0] for key in answers}
    answered = {key.partition("(")[0] for key, answer in answers.items() if not isinstance(answer, str)}
    assert asked == {name for name, _ in _queries()}
    assert asked - answered == set()


@pytest.mark.postgres
async def test_postgresql_answers_what_sqlite_answers(sqlite_url: str, postgres_url: str) -> None:
    ours, theirs = await _all_answers(sqlite_url), await _all_answers(postgres_url)

    different = {key: (ours[key], theirs[key]) for key in ours if ours[key] != theirs[key]}
    assert different == {}
