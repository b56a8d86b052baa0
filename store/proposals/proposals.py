"""Proposals: stored, read and changed. `advance` is the only writer of a proposal's state."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, delete, insert, select, update

from store.audit_log.log import Entry, append_all, fingerprints
from store.engine.dialects import row_of, value_of, values_of
from store.engine.writer import without_turn
from store.graduation.case_kinds import record_outcome
from store.messages.outbox import LINE, add_to_outbox, coded
from store.models import (
    TRANSITIONS,
    Actor,
    CallState,
    Mode,
    NewProposal,
    PlannedCall,
    Proposal,
    ProposalCall,
    ProposalState,
    Transition,
)
from store.models.details import OutboxCode
from store.models.reasons import Reason, columns_of
from store.schema import calls, events, proposals, transitions

# Built once: every proposal needs them.
_PROPOSED, _PLANNED, _MOVED = insert(proposals), insert(calls), insert(transitions)
_WEBHOOKS = select(events.c.id, events.c.body).where(events.c.id.in_(bindparam("ids", expanding=True)))
_LOGGED = (
    "kind", "event_id", "rule", "rule_version", "risk", "always_asks", "case_kind", "title",
    "content_hash", "subject", "amount", "currency", "customer_id",
)  # fmt: skip
_PROPOSAL = select(proposals).where(proposals.c.id == bindparam("own"))
_LOCKED = _PROPOSAL.with_for_update(key_share=True)
_CALLS = (
    select(calls).where(calls.c.proposal_id.in_(bindparam("ids", expanding=True))).order_by(calls.c.number)
)
# Parameters that are named like a column are what it is set to.
_TOUCHED = (
    update(proposals)
    .where(proposals.c.id == bindparam("own"))
    .values(row_version=proposals.c.row_version + 1)
    .returning(proposals.c.row_version, proposals.c.undo_of_id, proposals.c.decided_by)
)
_ADVANCED = _TOUCHED.where(proposals.c.state == bindparam("from_"))
_ADVANCED_BY_HOLDER = _ADVANCED.where(proposals.c.lease_token == bindparam("held"))
_OVER = (ProposalState.FAILED, ProposalState.WITHDRAWN, ProposalState.DECLINED, ProposalState.EXPIRED)


def propose_by_hand(connection: Connection, proposal: NewProposal) -> bool:
    """Store what a person proposes. False when it is there already: a form was submitted twice."""
    if connection.execute(select(proposals.c.id).where(proposals.c.id == proposal.id)).first() is not None:
        return False
    insert_proposal(connection, proposal)
    return True


def insert_proposal(connection: Connection, proposal: NewProposal, *, has_card: bool = True) -> None:
    """Store a pending proposal with its calls, its trail's first line and its row of the log."""
    insert_proposals(connection, [Born(proposal, has_card=has_card)])
    append_all(connection, proposed(connection, [proposal]))


@dataclass(frozen=True, slots=True)
class Born:
    """A proposal as it is stored first: pending, or (AUTO) approved by the policy at once."""

    proposal: NewProposal
    mode: Mode = Mode.ASKED
    gate: Mapping[str, Any] | None = None
    has_card: bool = True

    @property
    def asked(self) -> Transition:
        """The first line of its trail."""
        one = self.proposal
        return Transition(one.id, 1, None, ProposalState.PENDING, _proposer(one), None, one.created_at)

    @property
    def approved(self) -> Transition | None:
        """The second line of its trail, when the policy approves it."""
        if self.mode != Mode.AUTO:
            return None
        states = (ProposalState.PENDING, ProposalState.APPROVED)
        return Transition(self.proposal.id, 2, *states, Actor.POLICY, None, self.proposal.created_at)


def insert_proposals(connection: Connection, born: Sequence[Born]) -> None:
    """Store proposals with their calls and the first lines of their trails. What the log says of them,
    `proposed` and the `transition_entry` of `approved`, is the caller's to add.
    """
    connection.execute(_PROPOSED, [_row(one) for one in born])
    _insert_calls(connection, ((one.proposal.id, one.proposal.calls) for one in born))
    lines = [line for one in born for line in (one.asked, one.approved)]
    _trace(connection, [line for line in lines if line is not None])


def _row(born: Born) -> dict[str, Any]:
    row, at, approved = row_of(born.proposal), born.proposal.created_at, born.approved
    del row["calls"]
    newest = approved or born.asked
    row |= {"mode": born.mode, "gate": born.gate, "has_card": int(born.has_card)}
    row |= {"state": newest.to, "row_version": newest.row_version, "due_at": at, "card_due_at": at}
    row |= {"decided_by": approved and approved.actor, "decided_at": approved and approved.at}
    return row


def _proposer(proposal: NewProposal) -> str:
    return proposal.proposer or f"rule {proposal.rule}"


def replace_calls(connection: Connection, proposal_id: str, planned: Iterable[PlannedCall]) -> None:
    """Give other calls to a proposal of which none has been sent."""
    connection.execute(delete(calls).where(calls.c.proposal_id == proposal_id))
    _insert_calls(connection, [(proposal_id, planned)])


def _insert_calls(connection: Connection, planned: Iterable[tuple[str, Iterable[PlannedCall]]]) -> None:
    rows = [
        {"proposal_id": proposal_id, "number": number, "state": CallState.PLANNED}
        | row_of(PlannedCall.of(call))
        for proposal_id, own in planned
        for number, call in enumerate(own)
    ]
    if rows:
        connection.execute(_PLANNED, rows)


def proposed(connection: Connection, made: Sequence[NewProposal]) -> list[Entry]:
    """The log's rows of new proposals: what each asks, and the fingerprint of the webhook behind it."""
    wanted = sorted({one.event_id for one in made if one.event_id is not None})
    bodies = connection.execute(_WEBHOOKS, {"ids": wanted}) if wanted else ()
    hashes = {row.id: hashlib.sha256(row.body).hexdigest() for row in bodies}
    entries = []
    for one in made:
        body = {name: getattr(one, name) for name in _LOGGED}
        body |= {"by": _proposer(one), "calls": fingerprints(one.calls)}
        body |= {"body_sha256": hashes.get(one.event_id or "")}
        entries.append(Entry("proposed", one.id, body, one.created_at))
    return entries


def advance(
    connection: Connection,
    proposal_id: str,
    from_: ProposalState,
    to: ProposalState,
    *,
    at: datetime,
    actor: str = Actor.PROGRAM,
    reason: Reason | None = None,
    token: str | None = None,
    **values: Any,
) -> int | None:
    """Move a proposal from one state to the next and write it down; its new version, or None.

    None: it was no longer in `from_` (someone was first), or `token` no longer holds the lease, which ends
    with the move. Raises ValueError for a move that TRANSITIONS does not know. What follows from the
    new state for trust and for a proposal that this one undoes is written in the same transaction.
    """
    if to not in TRANSITIONS[from_]:
        msg = f"a proposal cannot go from {from_} to {to}"
        raise ValueError(msg)
    moved = {"own": proposal_id, "from_": from_, "state": to, "card_due_at": at} | columns_of(reason) | values
    if token is None:
        row = connection.execute(_ADVANCED, moved).first()
    else:
        given_back = {"lease_token": None, "lease_expires_at": None}
        row = connection.execute(_ADVANCED_BY_HOLDER, {"held": token} | given_back | moved).first()
    if row is None:
        return None
    version: int = row.row_version
    _log(connection, Transition(proposal_id, version, from_, to, actor, reason, at))
    record_outcome(connection, proposal_id, to, actor, at)
    if row.undo_of_id is not None:
        _settle_undo(connection, proposal_id, to, row, at)
    return version


def _settle_undo(connection: Connection, proposal_id: str, to: ProposalState, row: Any, at: datetime) -> None:
    """Tell the proposal that this one (`row`) undoes: done, it is undone; not done, it may be undone anew,
    unless a part was. Only what goes wrong gets a card of its own.
    """
    if to in _OVER or to == ProposalState.UNKNOWN:
        connection.execute(update(proposals).where(proposals.c.id == proposal_id).values(has_card=1))
    if to == ProposalState.SUCCEEDED:
        touch(connection, row.undo_of_id, at, undone_at=at)
        _tell(connection, row, proposal_id, coded(OutboxCode.UNDONE, actor=row.decided_by), at)
    elif to in _OVER and not _done_in_part(connection, proposal_id):
        touch(connection, row.undo_of_id, at, undo_id=None)
        _tell(connection, row, proposal_id, coded(OutboxCode.NOT_UNDONE), at)
    elif to in _OVER or to == ProposalState.UNKNOWN:
        touch(connection, row.undo_of_id, at)
        _tell(connection, row, proposal_id, coded(OutboxCode.PERHAPS_UNDONE), at)


def _done_in_part(connection: Connection, proposal_id: str) -> bool:
    """True if a call of this undo is done. A new undo would repeat that call; a retry does not."""
    done = (calls.c.proposal_id == proposal_id, calls.c.state == CallState.DONE)
    return connection.execute(select(calls.c.number).where(*done).limit(1)).first() is not None


def _tell(
    connection: Connection, row: Any, proposal_id: str, message: Mapping[str, Any], at: datetime
) -> None:
    """Put a line into the thread of the card of what is undone, if it has one."""
    shown = (proposals.c.id == row.undo_of_id, proposals.c.has_card == 1)
    if connection.execute(select(proposals.c.id).where(*shown)).first() is None:
        return
    identity = f"undo:{proposal_id}:{row.row_version}"
    add_to_outbox(connection, identity, kind=LINE, message=message, at=at, proposal_id=row.undo_of_id)


def touch(connection: Connection, /, proposal_id: str, at: datetime, **values: Any) -> int | None:
    """Set columns (ValueError for `state`) and have the card redrawn; its new version, or None: not there."""
    if "state" in values:
        msg = "only `advance` changes a proposal's state"
        raise ValueError(msg)
    return connection.execute(_TOUCHED, {"own": proposal_id, "card_due_at": at} | values).scalar()


def _log(connection: Connection, change: Transition) -> None:
    append_all(connection, [transition_entry(change)])
    _trace(connection, [change])


def transition_entry(change: Transition) -> Entry:
    """The log's row of a change of state."""
    body = {"from": change.from_, "to": change.to, "actor": change.actor, "row_version": change.row_version}
    return Entry("transition", change.proposal_id, body | columns_of(change.reason), change.at)


def _trace(connection: Connection, changes: Sequence[Transition]) -> None:
    rows = [
        {name: getattr(change, name) for name in ("proposal_id", "row_version", "actor", "at")}
        | columns_of(change.reason)
        | {"from_state": change.from_, "to_state": change.to, "announced": 0}
        for change in changes
    ]
    connection.execute(_MOVED, rows)


def trail(connection: Connection, proposal_id: str) -> list[Transition]:
    """The changes of a proposal, oldest first."""
    own = select(transitions).where(transitions.c.proposal_id == proposal_id)
    return [transition_of(row) for row in connection.execute(own.order_by(transitions.c.row_version))]


def transition_of(row: Any) -> Transition:
    """The change of a proposal that is in a row."""
    from_ = None if row.from_state is None else ProposalState(row.from_state)
    return value_of(Transition, row, from_=from_, to=ProposalState(row.to_state))


@without_turn
def get_proposal(connection: Connection, proposal_id: str) -> Proposal | None:
    """One proposal with its calls."""
    return _one(connection, _PROPOSAL, proposal_id)


def lock_proposal(connection: Connection, proposal_id: str) -> Proposal | None:
    """One proposal, unchanged by rivals until the transaction ends: its row is locked as it is read."""
    return _one(connection, _LOCKED, proposal_id)


def _one(connection: Connection, query: Select[Any], proposal_id: str) -> Proposal | None:
    row = connection.execute(query, {"own": proposal_id}).one_or_none()
    return None if row is None else with_calls(connection, [value_of(Proposal, row, calls=())])[0]


def proposal_ids(connection: Connection) -> Sequence[str]:
    """The id of every proposal, oldest first."""
    wanted = select(proposals.c.id).order_by(proposals.c.created_at, proposals.c.id)
    return connection.execute(wanted).scalars().all()


def all_proposals(connection: Connection, ids: Sequence[str] | None = None) -> list[Proposal]:
    """Every proposal with its calls, or those with these ids, oldest first."""
    where = [] if ids is None else [proposals.c.id.in_(ids)]
    return with_calls(connection, read_proposals(connection, where))


def with_calls(connection: Connection, found: list[Proposal]) -> list[Proposal]:
    """The same proposals, each with its calls."""
    by_proposal: defaultdict[str, list[ProposalCall]] = defaultdict(list)
    ids = [proposal.id for proposal in found]
    for start in range(0, len(ids), 500):
        for row in connection.execute(_CALLS, {"ids": ids[start : start + 500]}):
            by_proposal[row.proposal_id].append(value_of(ProposalCall, row))
    return [replace(proposal, calls=tuple(by_proposal[proposal.id])) for proposal in found]


def read_proposals(
    connection: Connection,
    where: Sequence[ColumnElement[bool]] = (),
    *,
    order: Sequence[ColumnElement[Any]] = (proposals.c.created_at, proposals.c.id),
    limit: int | None = None,
) -> list[Proposal]:
    """The proposals that meet all of `where`, oldest first or in this order, without their calls."""
    query = select(proposals).where(*where).order_by(*order).limit(limit)
    return values_of(connection, query, Proposal, calls=())
