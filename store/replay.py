"""Queries on the past as a replay walks it: each case with all that came of it, in a few passes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from store.models import (
    Decision,
    NewProposal,
    OutcomeKind,
    PlannedCall,
    ProposalKind,
    ProposalState,
    Verdict,
)
from store.shapes import SECRET
from store.tables import calls, decisions, editions, marks, proposals
from store.trust_models import POLICY, PROGRAM, NewShape, Outcome, PastCase
from store.trust_tables import outcomes, shapes

_NOBODY = (POLICY, PROGRAM)


def past_cases(
    connection: Connection,
    *,
    shape: str | None = None,
    since: datetime | None = None,
    most: int | None = None,
) -> list[PastCase]:
    """The proposals of rules, oldest first: of one shape, since some moment, or the newest `most`."""
    own = select(proposals.c.id).where(proposals.c.kind == ProposalKind.CALLS, *_narrowed(shape, since))
    if most is not None:
        own = own.order_by(proposals.c.created_at.desc()).limit(most)
    rows = connection.execute(
        select(*_COLUMNS).where(proposals.c.id.in_(own)).order_by(proposals.c.created_at, proposals.c.id)
    ).all()
    said, later = _decisions(connection, own)
    planned, first, editors = _calls(connection, own), *_editions(connection, own)
    came = _outcomes(connection, own)
    return [
        PastCase(
            proposal=_as_asked(row, first.get(row.id) or planned.get(row.id, ()), edited=row.id in first),
            state=ProposalState(row.state),
            decisions=said.get(row.id, ()),
            edited_by=editors.get(row.id, ()),
            outcomes=came.get(row.id, ()),
            first_of_tap=row.id not in later,
            card_at=row.card_at,
        )
        for row in rows
    ]


def kinds(connection: Connection) -> dict[str, NewShape]:
    """What every known kind of case is, by hash."""
    names = NewShape.__slots__
    rows = connection.execute(select(*(shapes.c[name] for name in names)))
    return {row.hash: NewShape(**{name: getattr(row, name) for name in names}) for row in rows}


def draw_secret(connection: Connection) -> bytes | None:
    """What audits are drawn with; None while nothing has asked for it yet. It is shown to nobody."""
    found = connection.execute(select(marks.c.value).where(marks.c.name == SECRET)).scalar()
    return None if found is None else bytes.fromhex(found)


_COLUMNS = tuple(
    proposals.c[name]
    for name in (
        "id", "rule", "rule_version", "event_id", "subject", "title", "risk", "always_asks", "created_at",
        "state", "amount", "currency", "customer_id", "shape", "card_at", "gate",
    )
)  # fmt: skip


def _narrowed(shape: str | None, since: datetime | None) -> list[Any]:
    where: list[Any] = [] if shape is None else [proposals.c.shape == shape]
    return where if since is None else [*where, proposals.c.created_at >= since]


def _as_asked(row: Row[Any], planned: Sequence[PlannedCall], *, edited: bool) -> NewProposal:
    """The proposal as it was made; the gate wrote down the money that an edit has changed since."""
    gate = (row.gate or {}) if edited else {}
    return NewProposal(
        id=row.id,
        fact_key="",
        event_id=row.event_id,
        rule=row.rule,
        rule_version=row.rule_version,
        subject=row.subject,
        title=row.title,
        because=(),
        facts=(),
        risk=row.risk,
        always_asks=row.always_asks,
        calls=tuple(planned),
        created_at=row.created_at,
        amount=gate.get("amount") or row.amount,
        currency=gate.get("currency") or row.currency,
        customer_id=row.customer_id,
        shape=row.shape,
    )


def _decisions(
    connection: Connection, own: Select[tuple[str]]
) -> tuple[Mapping[str, Sequence[Decision]], set[str]]:
    """What people decided, and which proposals were approved by a press that had approved another before."""
    rows = connection.execute(
        select(decisions)
        .where(decisions.c.proposal_id.in_(own), decisions.c.actor.not_in(_NOBODY))
        .order_by(decisions.c.id)
    )
    found: defaultdict[str, list[Decision]] = defaultdict(list)
    pressed: set[str] = set()
    later: set[str] = set()
    for row in rows:
        verdict = Verdict(row.verdict)
        found[row.proposal_id].append(
            Decision(
                proposal_id=row.proposal_id,
                actor=row.actor,
                verdict=verdict,
                via=row.via,
                at=row.at,
                edition=row.edition,
                tap=row.tap,
                seen_at=row.seen_at,
            )
        )
        if row.tap is not None and verdict == Verdict.APPROVE:
            if row.tap in pressed:
                later.add(row.proposal_id)
            pressed.add(row.tap)
    return found, later


def _calls(connection: Connection, own: Select[tuple[str]]) -> Mapping[str, Sequence[PlannedCall]]:
    rows = connection.execute(
        select(calls.c.proposal_id, calls.c.operation, calls.c.path, calls.c.query, calls.c.body)
        .where(calls.c.proposal_id.in_(own))
        .order_by(calls.c.proposal_id, calls.c.number)
    )
    found: defaultdict[str, list[PlannedCall]] = defaultdict(list)
    for id_, operation, path, query, body in rows:
        found[id_].append(PlannedCall(operation, path, query, body))
    return found


def _editions(
    connection: Connection, own: Select[tuple[str]]
) -> tuple[Mapping[str, Sequence[PlannedCall]], Mapping[str, Sequence[str]]]:
    """What the edited ones asked first, and which people changed what a proposal asks."""
    rows = connection.execute(
        select(editions.c.proposal_id, editions.c.calls, editions.c.ended_by)
        .where(editions.c.proposal_id.in_(own))
        .order_by(editions.c.proposal_id, editions.c.edition)
    )
    first: dict[str, Sequence[PlannedCall]] = {}
    editors: defaultdict[str, list[str]] = defaultdict(list)
    for id_, planned, ended_by in rows:
        first.setdefault(id_, tuple(PlannedCall(**call) for call in planned))
        if ended_by not in _NOBODY:
            editors[id_].append(ended_by)
    return first, editors


def _outcomes(connection: Connection, own: Select[tuple[str]]) -> Mapping[str, Sequence[Outcome]]:
    rows = connection.execute(
        select(outcomes).where(outcomes.c.proposal_id.in_(own)).order_by(outcomes.c.at, outcomes.c.id)
    )
    found: defaultdict[str, list[Outcome]] = defaultdict(list)
    for row in rows:
        found[row.proposal_id].append(Outcome(row.proposal_id, OutcomeKind(row.kind), row.source, row.at))
    return found
