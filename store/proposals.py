"""Queries on proposals. `advance` is the only writer of a proposal's state."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, func, insert, literal, or_, select, update

from store.columns import UtcDateTime
from store.database import insert_new
from store.models import (
    TRANSITIONS,
    Call,
    CallState,
    Firing,
    Mode,
    NewProposal,
    Proposal,
    ProposalKind,
    ProposalState,
    Transition,
)
from store.tables import calls, firings, proposals, transitions

# A card of something just decided goes before a card that is merely new: somebody is looking at it.
_DECIDED_FIRST = case((proposals.c.decided_at.is_not(None), 0), else_=1)


def add_proposal(connection: Connection, firing: Firing, proposal: NewProposal | None) -> bool:
    """Note that a rule spoke up for a change and, with `proposal`, what it proposes.

    False when that rule has already spoken up for that change: nothing is written. One proposal per
    (change, rule), whatever is repeated.
    """
    row = {name: getattr(firing, name) for name in Firing.__slots__}
    if insert_new(connection, firings, [row | {"attempts": 0}]).rowcount != 1:
        return False
    if proposal is not None:
        insert_proposal(connection, proposal)
    return True


def propose_by_hand(connection: Connection, proposal: NewProposal) -> bool:
    """Store what a person proposes. False when it is there already: a form was submitted twice."""
    if connection.execute(select(proposals.c.id).where(proposals.c.id == proposal.id)).first() is not None:
        return False
    insert_proposal(connection, proposal)
    return True


def insert_proposal(connection: Connection, proposal: NewProposal) -> None:
    """Store a proposal as pending, with its calls and the first line of its audit trail."""
    row = {name: getattr(proposal, name) for name in NewProposal.__slots__ if name != "calls"}
    row |= {"because": list(proposal.because), "facts": [list(fact) for fact in proposal.facts]}
    row |= {"state": ProposalState.PENDING, "due_at": proposal.created_at, "card_due_at": proposal.created_at}
    connection.execute(insert(proposals), [row])
    rows = [
        {
            "proposal_id": proposal.id,
            "number": number,
            "operation": call.operation,
            "state": CallState.PLANNED,
        }
        | {
            "path": dict(call.path),
            "query": dict(call.query),
            "body": None if call.body is None else dict(call.body),
        }
        for number, call in enumerate(proposal.calls)
    ]
    if rows:
        connection.execute(insert(calls), rows)
    born = ProposalState.PENDING
    by = proposal.proposer or f"rule {proposal.rule}"
    _log(connection, Transition(proposal.id, 1, None, born, by, None, proposal.created_at))


def advance(
    connection: Connection,
    proposal_id: str,
    from_: ProposalState,
    to: ProposalState,
    *,
    actor: str,
    at: datetime,
    reason: str | None = None,
    token: str | None = None,
    **values: Any,
) -> int | None:
    """Move a proposal from one state to the next and write the audit line; its new version, or None.

    None: it was no longer in `from_` (someone was first), or `token` no longer holds the claim that
    leaving `executing` requires. Raises ValueError for a move that TRANSITIONS does not know.
    """
    if to not in TRANSITIONS[from_]:
        msg = f"a proposal cannot go from {from_} to {to}"
        raise ValueError(msg)
    where: list[ColumnElement[bool]] = [proposals.c.id == proposal_id, proposals.c.state == from_]
    if token is not None:
        where.append(proposals.c.claim == token)
    version = connection.execute(
        update(proposals)
        .where(*where)
        .values(state=to, version=proposals.c.version + 1, card_due_at=at, note=reason, **values)
        .returning(proposals.c.version)
    ).scalar()
    if version is not None:
        _log(connection, Transition(proposal_id, version, from_, to, actor, reason, at))
    return version


def _log(connection: Connection, change: Transition) -> None:
    row = {name: getattr(change, name) for name in ("proposal_id", "version", "actor", "reason", "at")}
    row |= {"from_state": change.from_, "to_state": change.to, "told": 0}
    connection.execute(insert(transitions), [row])


def claim_cards(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int
) -> list[Proposal]:
    """Take up to `limit` proposals whose card is behind; for one never posted, note that it is about to be.

    `card_sent_at` in what is returned is the note of an earlier try: set, that try may have posted.
    """
    free = [
        proposals.c.drawn < proposals.c.version,
        proposals.c.card_due_at <= now,
        or_(proposals.c.card_claimed_until.is_(None), proposals.c.card_claimed_until < now),
    ]
    behind = (
        select(proposals.c.id).where(*free).order_by(_DECIDED_FIRST, proposals.c.card_due_at).limit(limit)
    )
    before = {row.id: row for row in connection.execute(select(proposals).where(proposals.c.id.in_(behind)))}
    if not before:
        return []
    sent_at = case(
        (proposals.c.card_ts.is_(None), func.coalesce(proposals.c.card_sent_at, literal(now, UtcDateTime)))
    )
    taken = connection.execute(
        update(proposals)
        .where(proposals.c.id.in_(before), *free)
        .values(card_claim=token, card_claimed_until=until, card_sent_at=sent_at)
        .returning(proposals)
    )
    found = [replace(_proposal(row), card_sent_at=before[row.id].card_sent_at) for row in taken]
    return _with_calls(connection, sorted(found, key=lambda p: (p.decided_at is None, p.created_at, p.id)))


def card_posted(connection: Connection, proposal_id: str, *, token: str, channel: str, ts: str) -> None:
    """Note where the card is, as soon as it is there."""
    connection.execute(
        update(proposals)
        .where(proposals.c.id == proposal_id, proposals.c.card_claim == token)
        .values(channel=channel, card_ts=ts, card_sent_at=None)
    )


def line_told(connection: Connection, proposal_id: str, version: int) -> None:
    """Note that the thread has the line about one change."""
    connection.execute(
        update(transitions)
        .where(transitions.c.proposal_id == proposal_id, transitions.c.version == version)
        .values(told=1)
    )


def card_drawn(
    connection: Connection,
    proposal_id: str,
    *,
    token: str,
    version: int,
    channel: str,
    ts: str,
    told: Sequence[int],
) -> bool:
    """Note that the card shows `version` and the thread has the lines `told`. False: the claim ran out."""
    if told:
        connection.execute(
            update(transitions)
            .where(transitions.c.proposal_id == proposal_id, transitions.c.version.in_(told))
            .values(told=1)
        )
    result = connection.execute(
        update(proposals)
        .where(proposals.c.id == proposal_id, proposals.c.card_claim == token)
        .values(
            drawn=version,
            channel=channel,
            card_ts=ts,
            card_claim=None,
            card_claimed_until=None,
            card_sent_at=None,
        )
    )
    return result.rowcount == 1


def card_not_drawn(
    connection: Connection, proposal_id: str, *, token: str, due_at: datetime, certainly_not_posted: bool
) -> bool:
    """Let the card be tried again at `due_at`. False: the claim ran out."""
    forget = {"card_sent_at": None} if certainly_not_posted else {}
    result = connection.execute(
        update(proposals)
        .where(proposals.c.id == proposal_id, proposals.c.card_claim == token)
        .values(card_due_at=due_at, card_claim=None, card_claimed_until=None, **forget)
    )
    return result.rowcount == 1


def untold(connection: Connection, proposal_id: str) -> list[Transition]:
    """The changes of a proposal whose line is not yet in its card's thread, oldest first."""
    rows = connection.execute(
        select(transitions)
        .where(transitions.c.proposal_id == proposal_id, transitions.c.told == 0)
        .order_by(transitions.c.version)
    )
    return [_transition(row) for row in rows]


def trail(connection: Connection, proposal_id: str) -> list[Transition]:
    """Every change of a proposal, oldest first."""
    rows = connection.execute(
        select(transitions).where(transitions.c.proposal_id == proposal_id).order_by(transitions.c.version)
    )
    return [_transition(row) for row in rows]


def get_proposal(connection: Connection, proposal_id: str) -> Proposal | None:
    """One proposal with its calls."""
    rows = connection.execute(select(proposals).where(proposals.c.id == proposal_id))
    found = _with_calls(connection, [_proposal(row) for row in rows])
    return found[0] if found else None


def waiting(connection: Connection, limit: int) -> list[Proposal]:
    """The oldest proposals that wait for a person, without their calls."""
    rows = connection.execute(
        select(proposals)
        .where(proposals.c.state == ProposalState.PENDING)
        .order_by(proposals.c.created_at)
        .limit(limit)
    )
    return [_proposal(row) for row in rows]


def count_proposals(connection: Connection) -> dict[str, int]:
    """How many proposals stand in each state."""
    rows = connection.execute(select(proposals.c.state, func.count()).group_by(proposals.c.state))
    return dict(tuple(row) for row in rows)


def all_proposals(connection: Connection) -> Iterator[Proposal]:
    """Every proposal with its calls, oldest first. Go through it inside the transaction."""
    rows = connection.execute(select(proposals).order_by(proposals.c.created_at, proposals.c.id))
    yield from _with_calls(connection, [_proposal(row) for row in rows])


def _with_calls(connection: Connection, found: list[Proposal]) -> list[Proposal]:
    by_proposal: defaultdict[str, list[Call]] = defaultdict(list)
    for chunk in _chunks([proposal.id for proposal in found], 500):
        rows = connection.execute(
            select(calls).where(calls.c.proposal_id.in_(chunk)).order_by(calls.c.number)
        )
        for row in rows:
            by_proposal[row.proposal_id].append(read_call(row))
    return [replace(proposal, calls=tuple(by_proposal[proposal.id])) for proposal in found]


def _chunks(ids: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _proposal(row: Row[Any]) -> Proposal:
    names = set(Proposal.__slots__) - {"calls", "because", "facts", "changes", "state", "kind", "mode"}
    return Proposal(
        **{name: getattr(row, name) for name in names},
        because=tuple(row.because),
        facts=tuple((label, value) for label, value in row.facts),
        changes=tuple((label, before, now) for label, before, now in row.changes or ()),
        state=ProposalState(row.state),
        kind=ProposalKind(row.kind),
        mode=Mode(row.mode),
    )


def read_call(row: Row[Any]) -> Call:
    """A row of `calls` as a value."""
    return Call(
        operation=row.operation,
        path=row.path,
        query=row.query,
        body=row.body,
        number=row.number,
        state=CallState(row.state),
        status=row.status,
        error=row.error,
        answer=row.answer,
        before=row.before,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _transition(row: Row[Any]) -> Transition:
    return Transition(
        proposal_id=row.proposal_id,
        version=row.version,
        from_=None if row.from_state is None else ProposalState(row.from_state),
        to=ProposalState(row.to_state),
        actor=row.actor,
        reason=row.reason,
        at=row.at,
    )
