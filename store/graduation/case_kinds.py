"""Kinds of case: how far each is trusted, and the outcomes that demote it. `change` alone writes a state."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from secrets import token_hex

from sqlalchemy import Connection, bindparam, func, select, update

from store.audit_log.log import append
from store.engine.dialects import insert_new, row_of, value_of, values_of
from store.engine.settings_kv import Setting, hold, hold_or_set
from store.graduation import reducer
from store.graduation.reducer import TrustChange, cause_of_outcome
from store.models import (
    WENT_WRONG,
    Actor,
    CaseKind,
    CaseKindState,
    Mode,
    NewCaseKind,
    OutcomeKind,
    Proposal,
    ProposalState,
)
from store.models.graduation import Outcome
from store.models.reasons import ChangeCause, Lack, LackCode
from store.schema import proposals
from store.schema.graduation import case_kinds, outcomes

_HOUR = timedelta(hours=1)  # when a kind's last case came is not kept more finely
# Built once: every case that comes needs them.
_OWN = case_kinds.c.hash == bindparam("case_kind")
_ONE = select(case_kinds).where(_OWN)
_THOSE = select(case_kinds).where(case_kinds.c.hash.in_(bindparam("hashes", expanding=True)))
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
