"""The bounds of automatic runs: the caps, the pause, and that a person is there."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    or_,
    select,
)

from store.audit_log.log import append
from store.engine.dialects import insert_new, readable, row_of, upsert_increment
from store.engine.settings_kv import Setting, hold_or_set, read, write
from store.graduation.case_kinds import demote, get_case_kind
from store.graduation.reducer import (
    Counter,
    Since,
    Usage,
    cause_of_decision,
)
from store.messages.outbox import add_to_outbox
from store.models import (
    Actor,
    CallState,
    CaseKindState,
    Decision,
    Mode,
    Proposal,
    ProposalState,
)
from store.models.graduation import ExecutionGuard, Paused, Spent
from store.models.reasons import Reason, ReasonCode
from store.proposals.proposals import advance, get_proposal
from store.schema.graduation import cap_usage
from store.schema.graduation import pause as table

_PAUSED = select(table.c.paused_by, table.c.paused_at, table.c.reason)  # built once: every case asks


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


# --- The counters of the caps -----------------------------------------------------------------------------


def spend(connection: Connection, counters: Iterable[Counter]) -> None:
    """Add to the counters."""
    sums: dict[tuple[str, str, str], Counter] = {}
    for one in counters:
        key = (one.scope, one.day, one.currency)
        known = sums.get(key, replace(one, count=0, amount=0))
        sums[key] = replace(known, count=known.count + one.count, amount=known.amount + one.amount)
    if sums:
        rows = [row_of(sums[key]) for key in sorted(sums)]
        upsert_increment(connection, cap_usage, rows, "count", "amount")


def usage(connection: Connection, wanted: Sequence[Since]) -> Usage:
    """The counters of several scopes in one read."""
    scopes: defaultdict[str, set[str]] = defaultdict(set)
    for one in wanted:
        scopes[one.since].add(one.scope)
    known: dict[str, Any] = {}
    for number, since in enumerate(sorted(scopes)):
        known |= {f"since{number}": since, f"scopes{number}": sorted(scopes[since])}
    found = Usage()
    for row in connection.execute(_counters(len(scopes)), known):
        found.add(Counter(*row))
    return found


@cache  # building it costs ten times what the database takes for it
def _counters(moments: int) -> Select[str, str, str, int, int]:
    c = cap_usage.c
    where = [
        and_(c.scope.in_(bindparam(f"scopes{n}", expanding=True)), c.day >= bindparam(f"since{n}"))
        for n in range(moments)
    ]
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
