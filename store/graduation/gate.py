"""The gate: a proposal is evaluated, stored and (when the policy says so) approved in one transaction."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
)

from store.audit_log.log import append
from store.engine.dialects import UtcDateTime, insert_new, readable, row_of, upsert_increment
from store.engine.settings_kv import Setting, hold_or_set, read, write
from store.graduation.case_kinds import change, demote, get_case_kind, hold_trust, note_case_kind
from store.graduation.reducer import (
    WEEK,
    Counter,
    Since,
    TrustChange,
    Usage,
    Wanted,
    cause_of_decision,
    counted,
)
from store.messages.outbox import add_to_outbox
from store.models import (
    Actor,
    CallState,
    CaseKindState,
    Decision,
    Mode,
    NewCaseKind,
    NewProposal,
    Proposal,
    ProposalState,
    Verdict,
)
from store.models.graduation import Evaluation, Evaluator, ExecutionGuard, GateInputs, Past, Paused, Spent
from store.models.reasons import Reason, ReasonCode
from store.proposals.proposals import advance, get_proposal, insert_proposal
from store.schema import decisions, proposals, subjects
from store.schema.graduation import cap_usage
from store.schema.graduation import pause as table

# Built once: every case that comes needs them.
_DECIDED = insert(decisions)
_ENOUGH = 2  # first or returning; none, one, or two and more refunds
_PAID = ("paid", "partially_refunded", "refunded")
_REFUND = ("succeeded", "pending")
# A dispute of any other status is money in doubt.
_OVER = ("won", "lost", "prevented")
_PAUSED = select(table.c.paused_by, table.c.paused_at, table.c.reason)  # built once: every case asks


def insert_with_policy(connection: Connection, proposal: NewProposal, evaluator: Evaluator) -> None:
    """Store a proposal as the policy evaluates it: it asks, or it is approved and due at once."""
    kind, found = evaluate(connection, proposal, evaluator)
    case = replace(proposal, case_kind=None if kind is None else kind.hash)
    has_card = int(found.mode != Mode.AUTO)
    insert_proposal(connection, case, mode=found.mode, gate=dict(found.gate), has_card=has_card)
    logged = {"case_kind": case.case_kind, "mode": found.mode, "gate": dict(found.gate)}
    append(connection, "policy", proposal.id, logged, proposal.created_at)
    if kind is not None:
        spend(connection, counted(case, kind.hash, found))
        if found.pause is not None:
            paused_kind = TrustChange(CaseKindState.PAUSED, found.pause)
            change(connection, kind.hash, paused_kind, actor=Actor.POLICY, at=proposal.created_at)
    if found.mode == Mode.AUTO:
        _approve(connection, case)


def evaluate(
    connection: Connection, proposal: NewProposal, evaluator: Evaluator
) -> tuple[NewCaseKind | None, Evaluation]:
    """The kind of a case and what the policy says of it now; from here on no rival changes either."""
    kind = evaluator.case_kind(proposal, past_of(connection, proposal))
    inputs = None if kind is None else _inputs(connection, proposal, kind)
    return kind, evaluator.evaluate(proposal, inputs)


def _inputs(connection: Connection, proposal: NewProposal, new: NewCaseKind) -> GateInputs:
    """The inputs that the policy asks for about a case: a few reads by key, however long the history."""
    now = proposal.created_at
    secret = hold_trust(connection)  # from here on no rival spends, demotes or graduates
    kind = note_case_kind(connection, new, now)
    stopped = paused(connection)
    wanted = Wanted.of(proposal, kind)
    return wanted.inputs(
        usage(connection, wanted.all()),
        proposal,
        kind,
        secret=secret,
        paused_by=None if stopped is None else stopped.by,
        human_at=last_human(connection, now),
        first_this_week=not seen_this_week(connection, proposal, kind.hash, now),
    )


def _approve(connection: Connection, proposal: NewProposal) -> None:
    """Approve it in the transaction that has just counted it against every cap."""
    at, policy = proposal.created_at, Actor.POLICY
    states = (ProposalState.PENDING, ProposalState.APPROVED)
    values: dict[str, Any] = {"decided_by": policy, "decided_at": at, "due_at": at}
    advance(connection, proposal.id, *states, actor=policy, at=at, **values)
    row = {"proposal_id": proposal.id, "actor": policy, "verdict": Verdict.APPROVE, "via": policy, "at": at}
    connection.execute(_DECIDED, [row | {"revision": 1}])


def record_human_activity(connection: Connection, decision: Decision, proposal: Proposal) -> None:
    """A person decides (`proposal` as it was): automatic runs go on; a rejected spot check ends them."""
    note_human(connection, decision.actor, decision.at)
    edited = proposal.edited_by is not None
    cause = cause_of_decision(proposal.id, proposal.mode, decision.verdict, edited=edited)
    if cause is not None and proposal.case_kind is not None:
        demote(connection, proposal.case_kind, cause=cause, at=decision.at, actor=decision.actor)


def note_human(connection: Connection, actor: str, at: datetime) -> None:
    """Note when a person last decided anything, for the dead man's switch."""
    if actor in tuple(Actor):
        return
    text = at.isoformat(timespec="microseconds")
    # Texts of one length in one zone: they compare as they follow.
    if hold_or_set(connection, Setting.LAST_HUMAN_AT, text) < text:
        write(connection, Setting.LAST_HUMAN_AT, text)


def last_human(connection: Connection, now: datetime) -> datetime | None:
    """When a person last decided anything. What a clock that ran ahead wrote is written anew as now: else it
    would be "just now" at every look until that moment comes.
    """
    found = read(connection, Setting.LAST_HUMAN_AT)
    if found is None or (at := datetime.fromisoformat(found)) <= now:
        return None if found is None else at
    text = now.astimezone(UTC).isoformat(timespec="microseconds")
    write(connection, Setting.LAST_HUMAN_AT, text)
    return now


def may_still_run(connection: Connection, proposal_id: str, now: datetime, guard: ExecutionGuard) -> bool:
    """Tell whether what the policy approved may still be sent; what a person approved always may.

    It may not when its kind was demoted or set aside since, everything was paused, nobody has decided
    anything for too long, it waited too long, or the policy has become another one. What was begun is
    finished.
    """
    proposal = get_proposal(connection, proposal_id)
    if proposal is None or proposal.mode != Mode.AUTO or proposal.decided_by != Actor.POLICY:
        return True
    if any(call.state != CallState.PLANNED for call in proposal.calls):
        return True
    case_kind = None if proposal.case_kind is None else get_case_kind(connection, proposal.case_kind)
    generation = (proposal.gate or {}).get("generation")
    if case_kind is None or case_kind.state != CaseKindState.GRADUATED or case_kind.generation != generation:
        return False
    if case_kind.set_aside is not None:
        return False
    human, decided = last_human(connection, now), proposal.decided_at
    lately = human is not None and now - human <= guard.max_idle
    fresh = decided is not None and now - decided <= guard.max_age
    return lately and fresh and paused(connection) is None and guard.allows(proposal, case_kind)


def revert_to_manual(connection: Connection, proposal_id: str, at: datetime) -> bool:
    """Take the policy's approval back before anything was sent: a person is asked. False: it has moved on."""
    values: dict[str, Any] = {"decided_by": None, "decided_at": None, "has_card": 1, "mode": Mode.ASKED}
    states = (ProposalState.APPROVED, ProposalState.PENDING)
    values |= {"reason": Reason(ReasonCode.TRUST_LOST)}
    return advance(connection, proposal_id, *states, actor=Actor.POLICY, at=at, **values) is not None


# --- What is known of the customer ------------------------------------------------------------------------


def past_of(connection: Connection, proposal: NewProposal) -> Past:
    """The past of a proposal's customer; that of a first customer when nobody can tell who it is."""
    if proposal.customer_id is None:
        return Past()
    known = {"customer": proposal.customer_id, "own": proposal.subject or ""}
    orders, refunded, refunds, disputes, disputed_refunds = connection.execute(_PAST, known).one()
    return Past(orders, max(refunded, refunds), dispute=bool(disputes or disputed_refunds))


def _count(kind: str, *where: ColumnElement[bool]) -> ScalarSelect[int]:
    # ";" is the character after ":": the range that holds everything of a kind, by the index.
    of_kind = [subjects.c.subject >= f"{kind}:", subjects.c.subject < f"{kind};"]
    own = subjects.c.customer_id == bindparam("customer")
    found = select(subjects.c.subject).where(own, *of_kind, *where).limit(_ENOUGH).subquery()
    return select(func.count()).select_from(found).scalar_subquery()


def _past() -> Select[int, int, int, int, int]:
    other = subjects.c.subject != bindparam("own")
    status = subjects.c.state["status"].as_string()
    disputed = subjects.c.state["dispute"]["status"].as_string()
    return select(
        _count("order", other, status.in_(_PAID)),
        _count("order", other, status.in_(_PAID[1:])),
        _count("refund", other, status.in_(_REFUND)),
        # Its own dispute counts too: nothing under dispute runs on its own.
        _count("dispute", status.not_in(_OVER)),
        _count("refund", disputed.not_in(_OVER)),
    )


_PAST = _past()  # built once: building it costs ten times what the database takes for it


_THIS_WEEK = (
    proposals.c.customer_id == bindparam("customer"),
    proposals.c.created_at > bindparam("since", type_=UtcDateTime),
    proposals.c.case_kind == bindparam("kind"),
)
_SEEN = select(proposals.c.id).where(*_THIS_WEEK, proposals.c.id != bindparam("own")).limit(1)


def seen_this_week(connection: Connection, proposal: NewProposal, case_kind: str, now: datetime) -> bool:
    """Tell whether this customer had a case of this kind in the last seven days."""
    if proposal.customer_id is None:
        return False
    known = {"customer": proposal.customer_id, "since": now - WEEK, "kind": case_kind, "own": proposal.id}
    return connection.execute(_SEEN, known).first() is not None


# --- The counters of the caps -----------------------------------------------------------------------------


def spend(connection: Connection, counters: Iterable[Counter]) -> None:
    """Add to the counters."""
    upsert_increment(connection, cap_usage, [row_of(one) for one in counters], "count", "amount")


def usage(connection: Connection, wanted: Sequence[Since]) -> Usage:
    """The counters of several scopes in one read."""
    known = {f"scope{n}": one.scope for n, one in enumerate(wanted)}
    known |= {f"since{n}": one.since for n, one in enumerate(wanted)}
    found = Usage()
    for row in connection.execute(_counters(len(wanted)), known):
        found.add(Counter(*row))
    return found


@cache  # building it costs ten times what the database takes for it
def _counters(scopes: int) -> Select[str, str, str, int, int]:
    where = [
        and_(cap_usage.c.scope == bindparam(f"scope{n}"), cap_usage.c.day >= bindparam(f"since{n}"))
        for n in range(scopes)
    ]
    c = cap_usage.c
    return select(c.scope, c.day, c.currency, c.count, c.amount).where(or_(*where))


def spent(connection: Connection, wanted: Since, currency: str | None) -> Spent:
    """The count of one scope."""
    return usage(connection, [wanted]).spent(wanted, currency)


# --- The pause of everything that runs on its own; what people decide is not affected ---------------------


def paused(connection: Connection) -> Paused | None:
    """The pause that is on, or None."""
    row = connection.execute(_PAUSED).one_or_none()
    return None if row is None else Paused(row.paused_by, row.paused_at, row.reason)


def pause(
    connection: Connection, *, by: str, why: str, at: datetime, notice: Mapping[str, Any] | None = None
) -> bool:
    """Pause everything that runs on its own. False when it is paused already: the first pause stands.

    `notice` ({text, blocks}) is what the channel is told of it; notify the queue `OUTBOX` afterwards.
    """
    row = {"id": 1, "paused_by": by, "paused_at": at, "reason": readable(why)}
    if insert_new(connection, table, [row]).rowcount != 1:
        return False
    append(connection, "pause", None, {"by": by, "at": at.isoformat(), "why": row["reason"]}, at)
    _tell(connection, "pause", notice, at)
    return True


def resume(
    connection: Connection,
    *,
    by: str,
    at: datetime,
    notice: Callable[[Paused], Mapping[str, Any]] | None = None,
) -> Paused | None:
    """End the pause; what it was, or None when there was none. `notice` as in `pause`, of what it was."""
    before = paused(connection)
    if before is None or connection.execute(delete(table)).rowcount != 1:
        return None
    append(connection, "resume", None, {"by": by, "paused_by": before.by, "since": before.at.isoformat()}, at)
    _tell(connection, "resume", notice(before) if notice else None, at)
    return before


def _tell(connection: Connection, kind: str, message: Mapping[str, Any] | None, at: datetime) -> None:
    if message is not None:
        add_to_outbox(connection, f"{kind}:{at.isoformat()}", kind=kind, message=message, at=at)
