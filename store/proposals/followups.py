"""Follow-ups of a call that was made: undo it, retry it, or mark it done or not done.

Every function decides by compare-and-set: of two people who press at once, the second finds it decided.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select, update

from store.audit_log.log import append
from store.graduation.case_kinds import asked_to_undo
from store.models import (
    Actor,
    CallState,
    CommentKind,
    Decision,
    NewProposal,
    Proposal,
    ProposalState,
    Verdict,
)
from store.models.reasons import Reason, ReasonCode, columns_of, proposal_id
from store.proposals.actions import Act, ActionOutcome
from store.proposals.decisions import ApprovalRequirements, decide
from store.proposals.details import add_comment
from store.proposals.execution import after_doubt, claim_doubt
from store.proposals.proposals import advance, get_proposal, insert_proposal, lock_proposal, touch
from store.schema import calls, proposals

# A call as it is before it is sent.
_ANEW = dict.fromkeys(("status", "answer", "started_at", "finished_at")) | {"state": CallState.PLANNED}
_IN_DOUBT = (CallState.UNKNOWN, CallState.SENDING)


def undo(connection: Connection, act: Act, inverse: NewProposal, people: int = 1) -> ActionOutcome:
    """Propose what undoes a proposal and approve it, as one step; the new proposal when it counts.

    With two `people` it waits for the other one, on a card of its own. `inverse` gets its id here.
    (False, the original): it is not done, or somebody undoes it already.
    """
    original = lock_proposal(connection, act.proposal_id)
    if original is None or not _can_be_undone(original) or original.undo_id is not None:
        return False, original
    fact_key = f"undo|{original.id}|{_count_undos(connection, original.id) + 1}"
    identity = proposal_id(fact_key)
    made = replace(inverse, id=identity, fact_key=fact_key, undo_of_id=original.id, created_at=act.at)
    # As long as it goes well, the card of what is undone shows it; it needs none of its own.
    insert_proposal(connection, made, has_card=int(people > 1))
    # Whoever undoes approves by it. There is no hold: it can be proposed the other way again.
    approval = Decision(identity, act.actor, Verdict.APPROVE, "undo", act.at)
    decide(connection, approval, ApprovalRequirements(people))
    touch(connection, original.id, act.at, undo_id=identity)
    asked_to_undo(connection, original, identity, act.at)
    _keep(connection, act)
    return True, get_proposal(connection, identity)


def _can_be_undone(original: Proposal) -> bool:
    done = original.state == ProposalState.SUCCEEDED and original.undone_at is None
    return done and original.undo_of_id is None


def _count_undos(connection: Connection, original_id: str) -> int:
    found = select(func.count()).select_from(proposals).where(proposals.c.undo_of_id == original_id)
    return int(connection.execute(found).scalar_one())


def retry(connection: Connection, act: Act, *, hold: timedelta = timedelta(0)) -> ActionOutcome:
    """Let what Polar refused be called again: the refused calls are planned anew, those done stay done.

    It waits out `hold` first, as after an approval; until then it can be undone if nothing of it is done.
    What undoes another proposal is tried again only while nothing else does.
    """
    found = lock_proposal(connection, act.proposal_id)
    if found is None or found.state != ProposalState.FAILED or not _take_again(connection, found, act.at):
        return False, found
    until = act.at + hold
    values: dict[str, Any] = {"cancellable_until": until, "due_at": until, "attempts": 0}
    if (
        found.decided_by == Actor.POLICY
    ):  # from here on it is this person's yes: the policy's has lost its trust
        values["decided_by"] = act.actor
    _move(connection, found, ProposalState.APPROVED, act, **values)
    connection.execute(
        update(calls)
        .where(calls.c.proposal_id == found.id, calls.c.state == CallState.REFUSED)
        .values(_ANEW | columns_of(None))
    )
    return True, get_proposal(connection, found.id)


def _take_again(connection: Connection, found: Proposal, at: datetime) -> bool:
    """True when nothing keeps this from being tried again; the other one then shows that it is undone."""
    if found.undo_of_id is None:
        return True
    original = lock_proposal(connection, found.undo_of_id)
    if original is None or not _can_be_undone(original) or original.undo_id not in (None, found.id):
        return False
    touch(connection, original.id, at, undo_id=found.id)
    return True


def mark_done(connection: Connection, act: Act) -> ActionOutcome:
    """A person who has looked says that the calls which Polar never answered were carried out."""
    return _mark(connection, act, CallState.DONE, Reason.of(ReasonCode.DONE_BY_HAND, actor=act.actor))


def mark_not_done(connection: Connection, act: Act) -> ActionOutcome:
    """A person who has looked says that the calls which Polar never answered were not carried out.

    They count as refused, so that a retry may plan them anew. Nothing but that person's word says
    that this is the first time they arrive: by itself the program sends none of them twice.
    """
    return _mark(connection, act, CallState.REFUSED, Reason.of(ReasonCode.NOT_DONE_BY_HAND, actor=act.actor))


def _mark(connection: Connection, act: Act, state: CallState, reason: Reason) -> ActionOutcome:
    found = lock_proposal(connection, act.proposal_id)
    if found is None or found.state != ProposalState.UNKNOWN:
        return False, found
    own = (calls.c.proposal_id == found.id, calls.c.state.in_(_IN_DOUBT))
    why = columns_of(reason if state == CallState.REFUSED else None)
    marked = connection.execute(
        update(calls).where(*own).values(state=state, **why).returning(calls.c.number)
    ).scalars()
    for number in sorted(marked.all()):
        told = {"number": number, "state": state.value, "status": None, "answer": None, "actor": act.actor}
        append(connection, "answer", found.id, told | why, act.at)
    # With calls that were never sent, "done" lets those go on, just as finding it out by a look does.
    to = after_doubt(connection, found.id)
    assert to is not None  # noqa: S101 - no call is in doubt any more
    _move(connection, found, to, act, reason=reason)
    return True, get_proposal(connection, found.id)


def _move(
    connection: Connection,
    found: Proposal,
    to: ProposalState,
    act: Act,
    reason: Reason | None = None,
    **values: Any,
) -> None:
    """Change the state, whoever holds a lease: a worker that still looks finds its own gone."""
    values = {"lease_token": None, "lease_expires_at": None, "due_at": act.at} | values
    advance(connection, found.id, found.state, to, actor=act.actor, at=act.at, reason=reason, **values)
    _keep(connection, act)


def _keep(connection: Connection, act: Act) -> None:
    add_comment(connection, act.proposal_id, CommentKind.ACT, act.actor, act.said, at=act.at)


def check(connection: Connection, act: Act, *, token: str, until: datetime) -> Proposal | None:
    """Take a proposal in doubt for a look at once; None: somebody is looking just now, or it is closed."""
    found = claim_doubt(connection, act.proposal_id, token=token, now=act.at, until=until)
    if found is not None:
        _keep(connection, act)
    return found
