"""Changes of a proposal beside deciding it: snooze, assign, hold, release, ask, edit, restate, withdraw."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from store.audit_log.log import append, fingerprints
from store.engine.dialects import row_of
from store.graduation.case_kinds import asked_to_undo
from store.messages.outbox import add_to_outbox, coded
from store.models import (
    Actor,
    CallState,
    Decision,
    NewProposal,
    PlannedCall,
    Proposal,
    ProposalState,
    Verdict,
    proposal_id,
)
from store.models.details import CommentKind, OutboxCode
from store.models.reasons import SENT_BEFORE, Reason, ReasonCode, columns_of, in_flight
from store.proposals.decisions import ApprovalRequirements, decide
from store.proposals.details import add_comment, approvals
from store.proposals.execution import claim_one_unknown, state_after_unknown
from store.proposals.proposals import (
    advance,
    get_proposal,
    insert_proposal,
    lock_proposal,
    replace_calls,
    touch,
)
from store.schema import calls, proposals, revisions

# An approved proposal on hold is due in this year; what goes beyond it is the rest of its hold.
PINNED = datetime(9000, 1, 1, tzinfo=UTC)
_NOTHING = timedelta(0)
_ONE_PERSON = ApprovalRequirements()
ActionOutcome = tuple[bool, Proposal | None]  # True when it was done, and the proposal as it is now


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody's act: `said` in plain words for the record, `message` for the thread (None: no line)."""

    proposal_id: str
    actor: str
    said: str
    at: datetime
    message: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class NewRevision:
    """The content of a new revision; `revision` is the one that was shown while editing."""

    revision: int
    title: str
    facts: tuple[tuple[str, str], ...]
    calls: tuple[PlannedCall, ...]
    changes: tuple[tuple[str, str, str], ...]
    content_hash: str
    risk: str
    always_asks: str | None
    amount: int | None
    currency: str | None


def snooze(connection: Connection, act: Act, until: datetime) -> ActionOutcome:
    """Keep a pending proposal out of the queue and the reminders until then; never past its end."""
    found = lock_proposal(connection, act.proposal_id)
    ends = [at for at in (found.deadline, found.expires_at) if at is not None] if found else []
    if found is None or found.state != ProposalState.PENDING or any(until >= at for at in ends):
        return False, found
    return _done(connection, act, snoozed_until=until, snoozed_by=act.actor)


def due_snoozes(connection: Connection, now: datetime, said: str, *, limit: int = 20) -> list[str]:
    """Wake up to `limit` that were snoozed until now, and tell their threads; the ids. `said` is for the
    record: see `Act`.
    """
    rows = connection.execute(
        select(proposals.c.id, proposals.c.snoozed_by)
        .where(proposals.c.state == ProposalState.PENDING, proposals.c.snoozed_until <= now)
        .order_by(proposals.c.snoozed_until)
        .limit(limit)
    ).all()
    for row in rows:
        line = coded(OutboxCode.BACK_FROM_SNOOZE, actor=row.snoozed_by)
        act = Act(row.id, Actor.PROGRAM, said, now, line)
        _done(connection, act, snoozed_until=None, snoozed_by=None)
    return [row.id for row in rows]


def assign(connection: Connection, act: Act, assignee: str) -> ActionOutcome:
    """Ask one person to decide a pending proposal. Whether they may is for the caller to know."""
    found = lock_proposal(connection, act.proposal_id)
    if found is None or found.state != ProposalState.PENDING:
        return False, found
    return _done(connection, act, assignee=assignee)


def ask(connection: Connection, act: Act) -> ActionOutcome:
    """Put a question into the thread of its card, whatever state it is in."""
    found = get_proposal(connection, act.proposal_id)
    if found is None or found.erased_at is not None:
        return False, found
    return _done(connection, act, CommentKind.THREAD)


def hold(connection: Connection, act: Act) -> ActionOutcome:
    """Let nobody approve it and nothing run until it is released; the clock of its hold stands still."""
    found = lock_proposal(connection, act.proposal_id)
    if found is None or found.held_by is not None:
        return False, found
    if found.state == ProposalState.PENDING:
        return _done(connection, act, held_by=act.actor)
    if found.state != ProposalState.APPROVED:
        return False, found
    rest = max(found.cancellable_until - act.at, _NOTHING) if found.cancellable_until else _NOTHING
    return _done(connection, act, held_by=act.actor, cancellable_until=PINNED + rest, due_at=PINNED + rest)


def release(connection: Connection, act: Act) -> ActionOutcome:
    """Take back a hold: what was approved runs after the rest of its wait, or now."""
    found = lock_proposal(connection, act.proposal_id)
    if found is None or found.held_by is None:
        return False, found
    if found.state != ProposalState.APPROVED:
        return _done(connection, act, held_by=None)
    pinned = found.cancellable_until is not None and found.cancellable_until >= PINNED
    rest = found.cancellable_until - PINNED if pinned and found.cancellable_until is not None else _NOTHING
    return _done(connection, act, held_by=None, cancellable_until=act.at + rest, due_at=act.at + rest)


def release_of(connection: Connection, act: Act, held_by: str) -> ActionOutcome:
    """Take back the hold of one person; that of anybody else stays."""
    found = lock_proposal(connection, act.proposal_id)
    return release(connection, act) if found is not None and found.held_by == held_by else (False, found)


def give_reason(connection: Connection, act: Act, preset: str | None) -> ActionOutcome:
    """Keep why something was declined; `act.said` is the reason, in somebody's own words or a preset's."""
    found = lock_proposal(connection, act.proposal_id)
    if found is None or found.state != ProposalState.DECLINED or found.erased_at is not None:
        return False, found
    return _done(connection, act, CommentKind.REASON, preset)


def edit(connection: Connection, act: Act, new: NewRevision) -> ActionOutcome:
    """Have it ask something else, to be decided anew; not while it is decided, nor of another revision."""
    found = lock_proposal(connection, act.proposal_id)
    if found is None or not _asks(found, new.revision) or found.approval_checking_by is not None:
        return False, found
    asked = _supersede(connection, "edited", found, new, changes=new.changes, by=act.actor, at=act.at)
    return _done(connection, act, edited_by=act.actor, **asked)


def _supersede(
    connection: Connection,
    kind: str,
    found: Proposal,
    new: NewRevision | NewProposal,
    *,
    changes: Sequence[tuple[str, str, str]],
    by: str,
    at: datetime,
) -> dict[str, Any]:
    """Keep what a proposal asks as a revision, and give it new calls; the columns that it now has."""
    old: dict[str, Any] = {"proposal_id": found.id, "revision": found.revision, "title": found.title}
    old |= {"reasons": list(found.reasons), "facts": [list(fact) for fact in found.facts]}
    old |= {"calls": [row_of(PlannedCall.of(call)) for call in found.calls]}
    connection.execute(insert(revisions), [old | {"superseded_by": by, "superseded_at": at}])
    replace_calls(connection, found.id, new.calls)
    asked = {name: getattr(new, name) for name in ("title", "content_hash", "risk", "amount", "currency")}
    asked |= {"revision": found.revision + 1, "changes": [list(one) for one in changes]}
    append(connection, kind, found.id, asked | {"by": by, "calls": fingerprints(new.calls)}, at)
    facts = [list(fact) for fact in new.facts]
    return asked | {"facts": facts, "always_asks": new.always_asks, "first_shown_at": None}


def _done(
    connection: Connection,
    act: Act,
    kind: CommentKind = CommentKind.ACT,
    preset: str | None = None,
    **values: Any,
) -> ActionOutcome:
    """Set what the act sets, and write down the act and its line for the thread."""
    version = touch(connection, act.proposal_id, act.at, **values)
    add_comment(connection, act.proposal_id, kind, act.actor, act.said, at=act.at, preset=preset)
    if act.message is not None:
        name, own = f"act.{act.proposal_id}.{version}", act.proposal_id
        add_to_outbox(connection, name, kind="act", message=act.message, at=act.at, proposal_id=own)
    return True, get_proposal(connection, act.proposal_id)


def restate(
    connection: Connection,
    revision: int,
    new: NewProposal,
    *,
    changes: tuple[tuple[str, str, str], ...],
    at: datetime,
) -> tuple[bool, Proposal | None]:
    """Have a pending proposal ask what `new` (of the same id) asks: a new revision; the proposal as it now
    is. False: it is not pending or not of that revision. `changes` are (label, before, now) for its card.
    """
    found = lock_proposal(connection, new.id)
    if found is None or not _asks(found, revision):
        return False, found
    asked = _supersede(connection, "restated", found, new, changes=changes, by=Actor.PROGRAM, at=at)
    asked |= {"reasons": list(new.reasons), "deadline": new.deadline, "expires_at": new.expires_at}
    touch(connection, new.id, at, approval_checking_by=None, **asked)
    return True, get_proposal(connection, new.id)


def withdraw(
    connection: Connection, proposal_id: str, revision: int, *, reason: Reason, at: datetime
) -> tuple[bool, Proposal | None]:
    """Close a pending proposal that no longer applies; False: it is no longer pending or of that revision."""
    found = lock_proposal(connection, proposal_id)
    if found is None or not _asks(found, revision):
        return False, found
    states = (ProposalState.PENDING, ProposalState.WITHDRAWN)
    advance(connection, proposal_id, *states, at=at, reason=reason, approval_checking_by=None)
    return True, get_proposal(connection, proposal_id)


def _asks(found: Proposal, revision: int) -> bool:
    return found.state == ProposalState.PENDING and found.revision == revision


# A call as it is before it is sent.
_ANEW = dict.fromkeys(("status", "answer", "started_at", "finished_at")) | {"state": CallState.PLANNED}
# One that may have been carried out keeps what is known of that.
_AGAIN = {"status": None, "answer": None, "state": CallState.PLANNED}
_SENT_BEFORE = calls.c.reason_code.in_(sorted(SENT_BEFORE))
_IN_DOUBT = (CallState.UNKNOWN, CallState.SENDING)


def undo(connection: Connection, act: Act, inverse: NewProposal, people: int = 1) -> ActionOutcome:
    """Propose what undoes a proposal and approve it, as one step; the new proposal when it counts. (False,
    the original): it is not done, or is being undone. With two `people` it waits for the other one, on a card
    of its own.
    """
    original = lock_proposal(connection, act.proposal_id)
    if original is None or not _can_be_undone(original) or original.undo_id is not None:
        return False, original
    fact_key = f"undo|{original.id}|{_count_undos(connection, original.id) + 1}"
    identity = proposal_id(fact_key)
    made = replace(inverse, id=identity, fact_key=fact_key, undo_of_id=original.id, created_at=act.at)
    # As long as it goes well, the card of what is undone shows it; it needs none of its own.
    insert_proposal(connection, made, has_card=people > 1)
    # Whoever undoes approves by it. There is no hold: it can be proposed the other way again.
    approval = Decision(identity, act.actor, Verdict.APPROVE, "undo", act.at)
    decide(connection, approval, ApprovalRequirements(people))
    touch(connection, original.id, act.at, undo_id=identity)
    asked_to_undo(connection, original, identity, act.at)
    _keep(connection, act)
    return True, get_proposal(connection, identity)


def _can_be_undone(original: Proposal) -> bool:
    done = original.state == ProposalState.SUCCEEDED and original.undone_at is None
    return done and original.undo_of_id is None and original.erased_at is None


def _count_undos(connection: Connection, original_id: str) -> int:
    found = select(func.count()).select_from(proposals).where(proposals.c.undo_of_id == original_id)
    return int(connection.execute(found).scalar_one())


def retry(
    connection: Connection,
    act: Act,
    *,
    required: ApprovalRequirements = _ONE_PERSON,
    without: Collection[str] = (),
) -> ActionOutcome:
    """Let what Polar refused be called again: the refused calls are planned anew, those done stay done.

    It is a new question: what took two people takes two again, none of them `not_theirs`; the first of two
    leaves it failed. A first one by a user in `without` does not count. It waits out `required.hold`, as
    after an approval; until then it can be undone if nothing of it is done. What undoes another proposal is
    tried again only while nothing else does.
    """
    found = lock_proposal(connection, act.proposal_id)
    if found is None or found.state != ProposalState.FAILED or found.erased_at is not None:
        return False, found
    if max(required.people, len(approvals(connection, found.id, found.revision))) > 1:
        if act.actor in not_theirs(found) or act.actor == found.retry_by:
            return False, found
        if found.retry_by is None or found.retry_by in without:
            touch(connection, found.id, act.at, retry_by=act.actor)
            _keep(connection, act)
            return True, get_proposal(connection, found.id)
    if not _take_again(connection, found, act.at):
        return False, found
    until = act.at + required.hold
    values: dict[str, Any] = {"cancellable_until": until, "due_at": until, "attempts": 0, "retry_by": None}
    if (
        found.decided_by == Actor.POLICY
    ):  # from here on it is this person's yes: the policy's has lost its trust
        values["decided_by"] = act.actor
    _move(connection, found, ProposalState.APPROVED, act, **values)
    refused = (calls.c.proposal_id == found.id, calls.c.state == CallState.REFUSED)
    connection.execute(update(calls).where(*refused, _SENT_BEFORE).values(_AGAIN))
    connection.execute(update(calls).where(*refused).values(_ANEW | columns_of(None)))
    return True, get_proposal(connection, found.id)


def not_theirs(found: Proposal) -> frozenset[str | None]:
    """The people who are none of the two: whoever asked for it, or said that it was not done."""
    said = [
        call.reason.args.get("actor") for call in found.calls if call.in_doubt and call.reason is not None
    ]
    return frozenset(said if found.undo_of_id else [*said, found.proposer, found.edited_by])


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
    if state == CallState.REFUSED and any(in_flight(call.reason, act.at) for call in found.calls):
        return False, found
    for call in found.calls:
        if call.state not in _IN_DOUBT:
            continue
        since = None if call.started_at is None else call.started_at.isoformat()
        said = Reason.of(reason.code, **reason.args, since=since)
        why = columns_of(said if state == CallState.REFUSED else None)
        own = (calls.c.proposal_id == found.id, calls.c.number == call.number)
        connection.execute(update(calls).where(*own).values(state=state, **why))
        logged = {"number": call.number, "state": state.value, "status": None, "answer": None}
        append(connection, "answer", found.id, logged | {"actor": act.actor} | why, act.at)
    # With calls that were never sent, "done" lets those go on, just as finding it out by a look does.
    to = state_after_unknown(connection, found.id)
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
    found = claim_one_unknown(connection, act.proposal_id, token=token, now=act.at, until=until)
    if found is not None:
        _keep(connection, act)
    return found
