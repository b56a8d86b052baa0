"""Offers to let a kind of case run on its own: whether there is one to make, and what a person said to it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, bindparam, select, update

from store.graduation.case_kinds import get_case_kind, graduate, hold_trust
from store.graduation.past_cases import draw_secret, past_cases
from store.graduation.set_aside import Step, attempt
from store.models import Actor, CaseKind, CaseKindState, NewProposal, ProposalKind, ProposalState
from store.models.graduation import Assessor, PastCase
from store.models.reasons import ChangeCause, ChangeCode, Lack, Reason, ReasonCode
from store.proposals.proposals import advance, propose_by_hand
from store.schema import proposals
from store.schema.graduation import case_kinds

_BACKTESTED = 2_000  # cases a back-test on a card walks at most: a third of a second
_P = proposals.c
_GRADUATION = _P.kind == ProposalKind.GRADUATION
_LAST = (
    select(_P.state)
    .where(_P.case_kind == bindparam("case_kind"), _GRADUATION)
    .order_by(_P.created_at.desc())
    .limit(1)
)
_DUE = select(_P.id, _P.case_kind, _P.decided_by).where(
    _P.state == ProposalState.APPROVED,
    _P.due_at <= bindparam("now", type_=_P.due_at.type),
    _GRADUATION,
    _P.held_by.is_(None),
    _P.case_kind.not_in(select(case_kinds.c.hash).where(case_kinds.c.retry_at.is_not(None))),
)


@dataclass(frozen=True, slots=True)
class OfferBasis:
    """A kind of case that meets its threshold, and the cases of its back-test, oldest first."""

    case_kind: CaseKind
    past: Sequence[PastCase]
    secret: bytes


def wants_offer(connection: Connection, case_kind: str, assessor: Assessor, now: datetime) -> CaseKind | None:
    """The kind of case if a person is to be asked whether it may run on its own."""
    found = get_case_kind(connection, case_kind)
    if found is None or found.state != CaseKindState.ASKING or found.set_aside is not None:
        return None
    if assessor.lacks(found, now) or not assessor.wants_offer(found, last_offer(connection, case_kind)):
        return None
    return found


def offer_basis(
    connection: Connection, case_kind: str, assessor: Assessor, now: datetime
) -> OfferBasis | None:
    """The inputs of the back-test of an offer, beside the writer; None when there is no offer to make."""
    found = wants_offer(connection, case_kind, assessor, now)
    if found is None:
        return None
    past = past_cases(connection, case_kind=case_kind, most=_BACKTESTED)
    return OfferBasis(found, past, draw_secret(connection) or b"")


def add_offer(connection: Connection, case_kind: CaseKind, question: NewProposal, now: datetime) -> bool:
    """Ask the question if the kind is as it was when the question was made; once for each generation."""
    hold_trust(connection)
    found = get_case_kind(connection, case_kind.hash)
    if found is None or replace(found, last_case_at=case_kind.last_case_at) != case_kind:
        return False  # what changed it brings up the question anew
    if not propose_by_hand(connection, question):
        return False
    offered = {"offered_at": now, "offered_generation": found.generation, "offered_cases": found.cases}
    connection.execute(update(case_kinds).where(case_kinds.c.hash == found.hash).values(offered))
    return True


def last_offer(connection: Connection, case_kind: str) -> ProposalState | None:
    """The state of the newest offer of a kind of case."""
    state = connection.execute(_LAST, {"case_kind": case_kind}).scalar()
    return None if state is None else ProposalState(state)


def turn_on(connection: Connection, assessor: Assessor, now: datetime) -> int:
    """Carry out the offers that a person has accepted, if the threshold is still met. Those of a kind that is
    set aside wait.
    """
    due = connection.execute(_DUE, {"now": now}).all()
    for row in due:
        actor = row.decided_by or Actor.PROGRAM
        accept = partial(_accept, connection, row.id, row.case_kind, assessor, actor=actor, now=now)
        attempt(connection, row.case_kind, Step.TURN_ON, accept, now)
    return len(due)


def _accept(
    connection: Connection, proposal_id: str, case_kind: str, assessor: Assessor, *, actor: str, now: datetime
) -> None:
    missing = graduate(
        connection,
        case_kind,
        lambda found: assessor.lacks(found, now),
        actor=actor,
        cause=ChangeCause.of(ChangeCode.OFFER_ACCEPTED, proposal=proposal_id),
        at=now,
    )
    _close(connection, proposal_id, missing, now)


def _close(connection: Connection, proposal_id: str, missing: Sequence[Lack], now: datetime) -> None:
    approved = ProposalState.APPROVED
    if missing:
        states, by = (approved, ProposalState.WITHDRAWN), Actor.PROGRAM
        why = Reason.of(ReasonCode.THRESHOLD_NOT_MET, missing=[one.to_json() for one in missing])
        advance(connection, proposal_id, *states, actor=by, at=now, reason=why)
        return
    advance(connection, proposal_id, approved, ProposalState.EXECUTING, at=now)
    said = Reason(ReasonCode.TURNED_ON)
    done = ProposalState.SUCCEEDED
    advance(connection, proposal_id, ProposalState.EXECUTING, done, at=now, reason=said)
