"""The gate: a proposal is judged, stored and (when the policy says so) approved in one transaction."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from store.audit_log.log import append
from store.engine.dialects import insert_new
from store.events.customer_history import past_of, seen_this_week
from store.graduation.caps import (
    ALL,
    MONTH,
    Since,
    breaches_of,
    cases_of,
    counters,
    day,
    hour,
    of_case_kind,
    of_customer,
    spend,
    summed,
)
from store.graduation.case_kinds import change, demote, get_case_kind, hold_trust, note_case_kind
from store.graduation.pause import paused
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
from store.models.graduation import POLICY, PROGRAM, GateInputs, Judge, Judged, NewCaseKind, Still
from store.models.reasons import Reason, ReasonCode
from store.proposals.proposals import advance, get_proposal, insert_proposal
from store.schema import decisions, marks

HUMAN = "human_at"  # the mark of when a person last decided anything
# Built once: every case that comes needs them.
_HUMAN = select(marks.c.value).where(marks.c.name == HUMAN)
_DECIDED = insert(decisions)
_WEEK, _DAY = timedelta(days=7), timedelta(hours=23)


def put(connection: Connection, proposal: NewProposal, judge: Judge) -> None:
    """Store a proposal as the policy judges it: it asks, or it is approved and due at once."""
    kind, judged = look(connection, proposal, judge)
    shaped = replace(proposal, case_kind=None if kind is None else kind.hash)
    quiet = int(judged.mode == Mode.AUTO)
    insert_proposal(connection, shaped, mode=judged.mode, gate=dict(judged.gate), quiet=quiet)
    append(
        connection,
        "policy",
        proposal.id,
        {"case_kind": shaped.case_kind, "mode": judged.mode, "gate": dict(judged.gate)},
        proposal.created_at,
    )
    if kind is not None:
        _count(connection, shaped, kind.hash, judged)
    if judged.mode == Mode.AUTO:
        _run(connection, shaped, judged)


def look(connection: Connection, proposal: NewProposal, judge: Judge) -> tuple[NewCaseKind | None, Judged]:
    """The kind of a case and what the policy says of it now; from here on no rival changes either."""
    past = past_of(connection, proposal)
    kind = judge.case_kind(proposal, past)
    inputs = None if kind is None else _inputs(connection, proposal, kind)
    return kind, judge.judge(proposal, past, inputs)


def _inputs(connection: Connection, proposal: NewProposal, kind: NewCaseKind) -> GateInputs:
    """What the policy asks about the surroundings of a case: a few reads by key, however long the history."""
    now, currency = proposal.created_at, proposal.currency
    secret = hold_trust(connection)  # from here on no rival spends, demotes or graduates
    case_kind = note_case_kind(connection, kind, now)
    stopped = paused(connection)
    customer, own, over = (
        of_customer(proposal.customer_id or ""),
        of_case_kind(kind.hash),
        breaches_of(kind.hash),
    )
    wanted = [Since(customer, day(now - MONTH)), Since(own, day(now)), Since(ALL, day(now))]
    wanted.append(Since(over, hour(now - _DAY)))
    cases = cases_of(kind.hash)
    if case_kind.state == CaseKindState.GRADUATED:  # only what runs on its own is watched for a flood
        wanted.append(Since(cases, hour(now - _WEEK)))
    rows = counters(connection, wanted)
    return GateInputs(
        case_kind=case_kind,
        now=now,
        secret=secret,
        paused=None if stopped is None else f"by {stopped.by}",
        human_at=last_human(connection, now),
        customer=summed(rows, customer, currency),
        case_kind_day=summed(rows, own, currency),
        day=summed(rows, ALL, currency),
        breaches=summed(rows, over, None).count,
        hours={row.day: row.cases for row in rows if row.scope == cases},
        first_this_week=not seen_this_week(connection, proposal, case_kind.hash, now),
    )


def _count(connection: Connection, proposal: NewProposal, case_kind: str, judged: Judged) -> None:
    at = proposal.created_at
    counted = [cases_of(case_kind), breaches_of(case_kind)] if judged.breach else [cases_of(case_kind)]
    spend(connection, [(scope, hour(at)) for scope in counted], "", 0)
    if judged.pauses is not None:
        change(connection, case_kind, CaseKindState.PAUSED, actor=POLICY, cause=judged.pauses, at=at)


def _run(connection: Connection, proposal: NewProposal, judged: Judged) -> None:
    """Approve it and count it against every cap, in the transaction that has just compared them."""
    at = proposal.created_at
    states = (ProposalState.PENDING, ProposalState.APPROVED)
    advance(
        connection, proposal.id, *states, actor=POLICY, at=at, decided_by=POLICY, decided_at=at, due_at=at
    )
    row = {"proposal_id": proposal.id, "actor": POLICY, "verdict": Verdict.APPROVE, "via": POLICY, "at": at}
    connection.execute(_DECIDED, [row | {"revision": 1}])
    scopes = [of_case_kind(proposal.case_kind or ""), ALL]
    if proposal.customer_id is not None:
        scopes.append(of_customer(proposal.customer_id))
    spend(connection, [(scope, day(at)) for scope in scopes], judged.currency, judged.amount)


def heard(connection: Connection, decision: Decision, proposal: Proposal) -> None:
    """A person has decided: what runs on its own may go on for a while, and a bad audit ends it at once.

    Called by `store.proposals.decisions.decide`, in its transaction, with the proposal as it was.
    """
    note_human(connection, decision.actor, decision.at)
    if proposal.mode != Mode.AUDIT or proposal.case_kind is None:
        return
    declined = decision.verdict == Verdict.DECLINE
    if declined or proposal.edited_by is not None:
        word = "declined" if declined else "changed"
        cause = f"an audited case was {word} ({proposal.id})"
        demote(connection, proposal.case_kind, cause=cause, at=decision.at, actor=decision.actor)


def note_human(connection: Connection, actor: str, at: datetime) -> None:
    """Note when a person last decided anything, for the dead man's switch."""
    if actor in (POLICY, PROGRAM):
        return
    text = at.isoformat(timespec="microseconds")
    insert_new(connection, marks, [{"name": HUMAN, "value": text}])
    known = marks.c.name == HUMAN
    # Texts of one length in one zone: they compare as they follow.
    connection.execute(update(marks).where(known, marks.c.value < text).values(value=text))


def last_human(connection: Connection, now: datetime) -> datetime | None:
    """When a person last decided anything; what a clock that ran ahead wrote down is brought back to now.

    It is written anew, or else it would be "just now" at every look until that moment comes.
    """
    found = connection.execute(_HUMAN).scalar()
    if found is None or (at := datetime.fromisoformat(found)) <= now:
        return None if found is None else at
    text = now.astimezone(UTC).isoformat(timespec="microseconds")
    connection.execute(update(marks).where(marks.c.name == HUMAN).values(value=text))
    return now


def still_trusted(connection: Connection, proposal_id: str, now: datetime, still: Still) -> bool:
    """Whether what the policy approved may still be sent; a person's yes always may.

    Not when its kind lost its trust since, everything was paused, nobody has decided anything for too long,
    it waited too long, or the policy has become another one. What was begun is finished.
    """
    proposal = get_proposal(connection, proposal_id)
    if proposal is None or proposal.mode != Mode.AUTO or proposal.decided_by != POLICY or _begun(proposal):
        return True
    case_kind = None if proposal.case_kind is None else get_case_kind(connection, proposal.case_kind)
    generation = (proposal.gate or {}).get("generation")
    if case_kind is None or case_kind.state != CaseKindState.GRADUATED or case_kind.generation != generation:
        return False
    human, decided = last_human(connection, now), proposal.decided_at
    lately = human is not None and now - human <= still.dead_man
    fresh = decided is not None and now - decided <= still.within
    return lately and fresh and paused(connection) is None and still.allows(proposal, case_kind)


def _begun(proposal: Proposal) -> bool:
    return any(call.state != CallState.PLANNED for call in proposal.calls)


def ask_instead(connection: Connection, proposal_id: str, at: datetime) -> bool:
    """Take the policy's yes back before anything was sent: a person is asked. False: it has moved on."""
    values: dict[str, Any] = {"decided_by": None, "decided_at": None, "quiet": 0, "mode": Mode.ASKED}
    states = (ProposalState.APPROVED, ProposalState.PENDING)
    why = Reason(ReasonCode.TRUST_LOST)
    return advance(connection, proposal_id, *states, actor=POLICY, at=at, reason=why, **values) is not None
