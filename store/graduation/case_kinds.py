"""Kinds of case: how far each is trusted, which `change` alone writes; the caps and the pause of them all."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from secrets import token_hex
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)

from store.audit_log.log import append
from store.engine.dialects import (
    insert_new,
    readable,
    row_of,
    upsert_increment,
    upsert_newer,
    value_of,
    values_of,
)
from store.engine.settings_kv import Setting, hold, hold_or_set, read, write
from store.graduation import reducer
from store.graduation.reducer import (
    Counter,
    Since,
    TrustChange,
    Usage,
    cause_of_decision,
    cause_of_outcome,
)
from store.messages.outbox import add_to_outbox
from store.models import (
    WENT_WRONG,
    Actor,
    CaseKindState,
    Decision,
    Mode,
    OutcomeKind,
    Proposal,
    ProposalState,
)
from store.models.graduation import CaseKind, NewCaseKind, Outcome, Paused, Spent
from store.models.reasons import ChangeCause, Lack, LackCode
from store.schema import proposals, settings_kv
from store.schema.graduation import cap_usage, case_kinds, outcomes
from store.schema.graduation import pause as pause_table

_HOUR = timedelta(hours=1)  # when a kind's last case came is not kept more finely
# Built once: every case that comes needs them.
_OWN = case_kinds.c.hash == bindparam("case_kind")
_ONE = select(case_kinds).where(_OWN)
_THOSE = select(case_kinds).where(case_kinds.c.hash.in_(bindparam("hashes", expanding=True)))
_PAUSED = select(pause_table.c.paused_by, pause_table.c.paused_at, pause_table.c.reason)
_CAME = update(case_kinds).where(_OWN).values(last_case_at=bindparam("now"))


def hold_trust(connection: Connection) -> bytes:
    """Let nobody else decide about trust before this transaction ends; the secret that draws spot checks.

    The secret is made once and shown to nobody. SQLite has one writer anyway; PostgreSQL locks the row.
    """
    secret = hold(connection, Setting.DRAW_SECRET)
    return bytes.fromhex(secret or hold_or_set(connection, Setting.DRAW_SECRET, token_hex(32)))


def get_case_kind(connection: Connection, case_kind: str) -> CaseKind | None:
    """One kind of case by its hash."""
    row = connection.execute(_ONE, {"case_kind": case_kind}).one_or_none()
    return None if row is None else value_of(CaseKind, row)


def get_case_kinds(connection: Connection, hashes: Iterable[str]) -> dict[str, CaseKind]:
    """These kinds of case, by hash, as far as there are such."""
    wanted = sorted(hashes)
    rows = connection.execute(_THOSE, {"hashes": wanted}) if wanted else ()
    return {row.hash: value_of(CaseKind, row) for row in rows}


def find_case_kind(connection: Connection, start: str) -> CaseKind | None:
    """The one kind of case whose hash begins so; None when there is none or more than one."""
    own = select(case_kinds).where(case_kinds.c.hash.startswith(start, autoescape=True))
    found = values_of(connection, own.limit(2), CaseKind)
    return found[0] if len(found) == 1 else None


def came_lately(case_kind: CaseKind, at: datetime) -> bool:
    """Tell whether a kind stays as it is when a case comes now: the last one is noted closely enough."""
    return at - case_kind.last_case_at < _HOUR


def note_case_kind(connection: Connection, new: NewCaseKind, at: datetime) -> CaseKind:
    """A case of this kind came: the kind as it is now; one not seen for half a year begins anew."""
    known = get_case_kind(connection, new.hash)
    if known is not None and came_lately(known, at):
        return known
    if known is None:
        insert_new(connection, case_kinds, [row_of(reducer.first_seen(new, at))])
    elif reducer.is_idle(known.state, known.cases, known.last_case_at, at):
        change(connection, new.hash, reducer.IDLE, actor=Actor.POLICY, at=at)
    connection.execute(_CAME, {"case_kind": new.hash, "now": at})
    found = get_case_kind(connection, new.hash)
    assert found is not None  # noqa: S101 - it was inserted above
    return found


def change(
    connection: Connection, case_kind: str, trust_change: TrustChange, *, actor: str, at: datetime
) -> bool:
    """Change how far a kind is trusted, and write down who did and why. False: there is no such kind."""
    hold_trust(connection)
    before = get_case_kind(connection, case_kind)
    if before is None:
        return False
    after = reducer.changed(before, trust_change, at, begins=_begins(connection, before, at))
    connection.execute(update(case_kinds).where(case_kinds.c.hash == case_kind).values(row_of(after)))
    body = {
        "from": before.state,
        "to": after.state,
        "actor": actor,
        "cause_code": trust_change.cause.code,
        "cause_args": dict(trust_change.cause.args),
        "generation": after.generation,
        "generation_at": after.generation_at.isoformat(),
        "new_generation": trust_change.new_generation,
        "manual_override": after.manual_override,
        "label": after.label,
    }
    append(connection, "case_kind", case_kind, body, at)
    return True


def _begins(connection: Connection, case_kind: CaseKind, at: datetime) -> datetime:
    """When a generation that begins now begins: after all decided before, also when the clock went back."""
    own = select(func.max(proposals.c.decided_at)).where(proposals.c.case_kind == case_kind.hash)
    newest: datetime | None = connection.execute(own).scalar()
    return max(at, case_kind.generation_at, newest or at)


def demote(
    connection: Connection, case_kind: str, *, cause: ChangeCause, at: datetime, actor: str = Actor.POLICY
) -> list[str]:
    """Take trust back: the kind, or its whole family, asks again, in a new generation; their hashes."""
    hold_trust(connection)
    found = get_case_kind(connection, case_kind)
    if found is None:
        return []
    family = select(case_kinds).where(case_kinds.c.family == found.family)
    demoted = reducer.demotions(found, values_of(connection, family, CaseKind), cause, at)
    for one, fall in demoted:
        change(connection, one.hash, fall, actor=actor, at=at)
    return [one.hash for one, _ in demoted]


def graduate(
    connection: Connection,
    case_kind: str,
    lacks: Callable[[CaseKind], Sequence[Lack]],
    *,
    actor: str,
    cause: ChangeCause,
    at: datetime,
    manual_override: bool = False,
) -> list[Lack]:
    """Let a kind of case run on its own if it lacks nothing now; what it lacks. Its generation stays."""
    hold_trust(connection)
    found = get_case_kind(connection, case_kind)
    if found is None:
        return [Lack(LackCode.UNKNOWN_KIND)]
    if found.set_aside is not None:
        return [Lack(LackCode.SET_ASIDE)]
    missing = list(lacks(found))
    if not missing and found.state != CaseKindState.GRADUATED:
        on = TrustChange(CaseKindState.GRADUATED, cause, manual_override=manual_override)
        change(connection, case_kind, on, actor=actor, at=at)
    return missing


def add_outcome(connection: Connection, outcome: Outcome, now: datetime) -> bool:
    """Keep an outcome and demote the kind of case it speaks against. False: it is known already.

    An event may arrive long after it happened: trust is lost now, or what counted since would count twice.
    """
    if insert_new(connection, outcomes, [row_of(outcome)]).rowcount != 1:
        return False
    body = {"kind": outcome.kind, "source": outcome.source, "at": outcome.at.isoformat()}
    append(connection, "outcome", outcome.proposal_id, body, now)
    columns = select(proposals.c.case_kind, proposals.c.mode)
    found = connection.execute(columns.where(proposals.c.id == outcome.proposal_id)).one()
    cause = cause_of_outcome(outcome.proposal_id, Mode(found.mode), outcome.kind)
    if found.case_kind is not None and cause is not None:
        demote(connection, found.case_kind, cause=cause, at=now)
    return True


def asked_to_undo(connection: Connection, original: Proposal, undo: str, at: datetime) -> None:
    """Somebody undoes a run by the proposal `undo`. A person's own case waits for its undo to succeed; of the
    others it was wrong whether or not it can still be undone.
    """
    if original.mode != Mode.ASKED:
        add_outcome(connection, Outcome(original.id, OutcomeKind.UNDONE, undo, at), at)


def record_outcome(
    connection: Connection, proposal_id: str, to: ProposalState, actor: str, at: datetime
) -> None:
    """Record what a proposal's new state says of trust: called by `advance`, in its transaction."""
    if to not in (ProposalState.SUCCEEDED, ProposalState.WITHDRAWN, *WENT_WRONG):
        return
    columns = select(proposals.c.mode, proposals.c.undo_of_id)
    own = connection.execute(columns.where(proposals.c.id == proposal_id)).one()
    if to == ProposalState.SUCCEEDED and own.undo_of_id is not None:
        add_outcome(connection, Outcome(own.undo_of_id, OutcomeKind.UNDONE, proposal_id, at), at)
    elif to == ProposalState.WITHDRAWN and actor not in tuple(Actor):
        add_outcome(connection, Outcome(proposal_id, OutcomeKind.UNDONE, actor, at), at)
    elif to in WENT_WRONG and own.mode == Mode.AUTO:
        # Nobody has seen it yet, and now somebody has to.
        connection.execute(update(proposals).where(proposals.c.id == proposal_id).values(has_card=1))
        add_outcome(connection, Outcome(proposal_id, OutcomeKind.FAILED, to, at), at)


# --- That a person is there -------------------------------------------------------------------------------


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
    # Texts of one length in one zone: they compare as they follow.
    newest = {"name": Setting.LAST_HUMAN_AT, "value": at.isoformat(timespec="microseconds")}
    upsert_newer(connection, settings_kv, [newest], "value")


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
    if insert_new(connection, pause_table, [row]).rowcount != 1:
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
    only: tuple[str, datetime] | None = None,
) -> Paused | None:
    """End the pause; what it was, or None when there was none. `notice` as in `pause`, of what it was.

    `only`: by whom and when the pause was made that is to end; another one stays.
    """
    before = paused(connection)
    if before is None or (only is not None and only != (before.by, before.at)):
        return None
    if connection.execute(delete(pause_table)).rowcount != 1:
        return None
    append(connection, "resume", None, {"by": by, "paused_by": before.by, "since": before.at.isoformat()}, at)
    _tell(connection, "resume", notice(before) if notice else None, at)
    return before


def _tell(connection: Connection, kind: str, message: Mapping[str, Any] | None, at: datetime) -> None:
    if message is not None:
        add_to_outbox(connection, f"{kind}:{at.isoformat()}", kind=kind, message=message, at=at)
