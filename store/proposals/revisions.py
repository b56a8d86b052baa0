"""What a proposal asks, when that changes because Polar's state has."""

from datetime import datetime

from sqlalchemy import Connection

from store.audit_log.log import append, fingerprint
from store.models import Actor, NewProposal, Proposal, ProposalState
from store.models.reasons import Reason
from store.proposals.actions import keep_revision, replace_calls
from store.proposals.proposals import advance, get_proposal, lock_proposal, touch
from store.proposals.undo import settle_undo


def restate(
    connection: Connection,
    revision: int,
    new: NewProposal,
    *,
    changes: tuple[tuple[str, str, str], ...],
    at: datetime,
) -> tuple[bool, Proposal | None]:
    """Have a pending proposal ask what `new` (of the same id) asks: a new revision, to be decided anew.

    `changes` are (label, before, now) for its card. False when it is no longer pending or of that revision:
    nothing is written. Returns the proposal as it now is.
    """
    found = lock_proposal(connection, new.id)
    if found is None or not _asks(found, revision):
        return False, found
    keep_revision(connection, found, superseded_by=Actor.PROGRAM, at=at)
    replace_calls(connection, new.id, new.calls)
    said = [list(change) for change in changes]
    body = {"revision": revision + 1, "title": new.title, "content_hash": new.content_hash, "changes": said}
    body |= {"calls": [fingerprint(c.operation, c.path, c.query, c.body) for c in new.calls]}
    body |= {"risk": new.risk, "amount": new.amount, "currency": new.currency}
    append(connection, "restated", new.id, body, at)
    touch(
        connection,
        new.id,
        at,
        title=new.title,
        reasons=list(new.reasons),
        facts=[list(fact) for fact in new.facts],
        risk=new.risk,
        always_asks=new.always_asks,
        amount=new.amount,
        currency=new.currency,
        deadline=new.deadline,
        expires_at=new.expires_at,
        content_hash=new.content_hash,
        changes=said,
        revision=revision + 1,
        first_shown_at=None,
        approval_checking_by=None,
    )
    return True, get_proposal(connection, new.id)


def withdraw(
    connection: Connection, proposal_id: str, revision: int, *, reason: Reason, at: datetime
) -> tuple[bool, Proposal | None]:
    """Close a pending proposal that no longer applies; False: it is no longer pending or of that revision."""
    found = lock_proposal(connection, proposal_id)
    if found is None or not _asks(found, revision):
        return False, found
    states = (ProposalState.PENDING, ProposalState.WITHDRAWN)
    advance(
        connection, proposal_id, *states, actor=Actor.PROGRAM, at=at, reason=reason, approval_checking_by=None
    )
    settle_undo(connection, proposal_id, at)
    return True, get_proposal(connection, proposal_id)


def _asks(found: Proposal, revision: int) -> bool:
    return found.state == ProposalState.PENDING and found.revision == revision
