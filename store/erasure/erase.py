"""Erase what rows say of a person. Each function takes a few rows: what there is to erase may be much."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, Table, bindparam, delete, select, update

from store.audit_log.log import erase_personal
from store.engine.dialects import insert_new, row_of
from store.engine.settings_kv import Setting, hold_or_set, read, write
from store.erasure.texts import (
    reason_without_texts,
    state_without_texts,
    without_texts,
)
from store.models import (
    ERASED_BODY,
    EventState,
    PlannedCall,
    Proposal,
    ProposalKind,
    ProposalState,
    RuleMatchState,
)
from store.models.reasons import Reason, ReasonCode, columns_of
from store.proposals.proposals import advance, lock_proposal, touch
from store.schema import (
    calls,
    decisions,
    erased_customers,
    events,
    outbox,
    pending_approvals,
    proposal_comments,
    proposals,
    revisions,
    rule_matches,
    subjects,
    transitions,
)
from store.schema.waiting import failed_matches, wishes

# A call may be on its way: what is known of it is still needed.
BEING_DONE = (ProposalState.EXECUTING, ProposalState.UNKNOWN)
_UNSENT = (ProposalState.PENDING, ProposalState.APPROVED)
_REASON = Reason(ReasonCode.ERASED)
_CLOSED = {"lease_token": None, "lease_expires_at": None} | columns_of(_REASON)
_IDS: BindParameter[Sequence[str]] = bindparam("ids", expanding=True)


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure by somebody. `title_of` makes a title without a person of the operations of a proposal's
    calls; `words_of` names the fields of an operation's body that hold one of a list of words.
    """

    by: str
    at: datetime
    title_of: Callable[[Sequence[str]], str]
    words_of: Callable[[str], Collection[str]]


def erase_proposals(connection: Connection, ids: Sequence[str], erasure: Erasure) -> list[str]:
    """Erase the texts of proposals and have their cards drawn again; those that were erased. What waits for a
    decision or a run is closed. One whose call may be on its way stays as it is.
    """
    done = []
    for proposal_id in ids:
        found = lock_proposal(connection, proposal_id)
        if found is None or found.erased_at is not None or found.state in BEING_DONE:
            continue
        if found.state in _UNSENT:
            states, at = (found.state, ProposalState.WITHDRAWN), erasure.at
            closed: dict[str, Any] = {"approval_checking_by": None, "cancellable_until": None}
            advance(connection, found.id, *states, at=at, reason=_REASON, **closed)
        _erase_proposal(connection, found, erasure)
        done.append(found.id)
    if done:
        _erase_around(connection, done, erasure.at)
    for proposal_id in done:
        erase_personal(connection, proposal_id, erasure.by, erasure.at)
    return done


def _erase_proposal(connection: Connection, found: Proposal, erasure: Erasure) -> None:
    own = select(proposals.c.reason_code, proposals.c.reason_args).where(proposals.c.id == found.id)
    reason = reason_without_texts(*connection.execute(own).one())
    offer = found.kind == ProposalKind.GRADUATION  # its title is that of a kind of case
    values: dict[str, Any] = {
        "title": found.title if offer else erasure.title_of([call.operation for call in found.calls]),
        "erased_at": erasure.at,
    }
    values |= {"reasons": [], "facts": [], **dict.fromkeys(("reads", "changes", "content_hash", "customer"))}
    touch(connection, found.id, erasure.at, **values, **reason)
    for call in found.calls:
        words = erasure.words_of(call.operation)
        why = None if call.reason is None else call.reason.code.value
        left = _call_without_texts(row_of(PlannedCall.of(call)), words) | {"before": None}
        left |= {"answer": without_texts(call.answer, {"status"})}
        left |= reason_without_texts(why, None if call.reason is None else call.reason.args)
        where = (calls.c.proposal_id == found.id, calls.c.number == call.number)
        connection.execute(update(calls).where(*where).values(left))
    _erase_revisions(connection, found.id, erasure)


def _call_without_texts(call: Mapping[str, Any], words: Collection[str]) -> dict[str, Any]:
    return {
        "path": without_texts(call["path"]),
        "query": without_texts(call["query"]),
        "body": without_texts(call["body"], words),
    }


def _erase_revisions(connection: Connection, proposal_id: str, erasure: Erasure) -> None:
    own = select(revisions.c.revision, revisions.c.calls).where(revisions.c.proposal_id == proposal_id)
    for row in connection.execute(own).all():
        asked = [one | _call_without_texts(one, erasure.words_of(one["operation"])) for one in row.calls]
        where = (revisions.c.proposal_id == proposal_id, revisions.c.revision == row.revision)
        left = {"title": "", "reasons": [], "facts": [], "calls": asked}
        connection.execute(update(revisions).where(*where).values(left))


def _erase_around(connection: Connection, ids: Sequence[str], at: datetime) -> None:
    """Erase what people said of these proposals, and messages that are not sent."""
    for table, name, value in (
        (decisions, "reason", None),
        (pending_approvals, "reason", None),
        (wishes, "reason", None),
        (proposal_comments, "text", ""),
    ):
        connection.execute(update(table).where(table.c.proposal_id.in_(ids)).values({name: value}))
    _erase_reasons(connection, transitions, transitions.c.proposal_id.in_(ids))
    unsent = (outbox.c.proposal_id.in_(ids), outbox.c.sent_at.is_(None))
    drop_messages(
        connection,
        [
            row.id
            for row in connection.execute(select(outbox.c.id, outbox.c.message).where(*unsent))
            if "text" in row.message
        ],
        at,
    )


def _erase_reasons(connection: Connection, table: Table, where: Any) -> None:
    """Strip the reasons of rows of their texts."""
    keys = list(table.primary_key)
    rows = connection.execute(
        select(*keys, table.c.reason_code, table.c.reason_args).where(where, table.c.reason_args.is_not(None))
    )
    for row in rows.all():
        left = reason_without_texts(row.reason_code, row.reason_args)
        if left != {"reason_code": row.reason_code, "reason_args": row.reason_args}:
            own = [key == getattr(row, key.name) for key in keys]
            connection.execute(update(table).where(*own).values(left))


def drop_messages(connection: Connection, ids: Sequence[str], at: datetime) -> None:
    """Let messages that wait to be sent never be sent."""
    if ids:
        gone = {"message": {}, "sent_at": at, "note": ReasonCode.ERASED.value, "lease_token": None}
        unsent = (outbox.c.id.in_(ids), outbox.c.sent_at.is_(None))
        connection.execute(update(outbox).where(*unsent).values(gone))


def erase_events(connection: Connection, ids: Sequence[str]) -> None:
    """Erase webhooks; their ids, types and times stay, so that one that comes again is known. What waits for
    rules is closed.
    """
    own = select(events.c.id, events.c.type, events.c.state).where(events.c.id.in_(_IDS))
    for row in connection.execute(own, {"ids": list(ids)}).all():
        left: dict[str, Any] = {"body": _erased_body(row.type), "signature": ""}
        if row.state != EventState.DONE:  # there is nothing left to try again
            left |= {"state": EventState.DONE, **_CLOSED}
        connection.execute(update(events).where(events.c.id == row.id).values(left))
    _erase_reasons(connection, events, events.c.id.in_(ids))
    connection.execute(delete(failed_matches).where(failed_matches.c.event_id.in_(ids)))
    waiting = (rule_matches.c.event_id.in_(ids), rule_matches.c.state == RuleMatchState.WAITING)
    silent = {"state": RuleMatchState.SILENT, "due_at": None, **_CLOSED}
    connection.execute(update(rule_matches).where(*waiting).values(silent))
    _erase_reasons(connection, rule_matches, rule_matches.c.event_id.in_(ids))


def _erased_body(event_type: str) -> bytes:
    return ERASED_BODY + json.dumps({"type": event_type})[1:].encode()


def erase_subjects(connection: Connection, keys: Sequence[str]) -> None:
    """Erase the newest states of subjects; what a customer's past is counted from stays."""
    own = select(subjects.c.subject, subjects.c.state).where(subjects.c.subject.in_(_IDS))
    for row in connection.execute(own, {"ids": list(keys)}).all():
        left = state_without_texts(row.state)
        if left != row.state:
            connection.execute(update(subjects).where(subjects.c.subject == row.subject).values(state=left))


def erase_offer_reasons(
    connection: Connection, ids: Sequence[str], titles: Collection[str], at: datetime
) -> None:
    """Take the reasons that name a proposal by its title out of offers to turn on a kind of case."""
    own = select(proposals.c.id, proposals.c.reasons.label("shown")).where(proposals.c.id.in_(_IDS))
    for row in connection.execute(own, {"ids": list(ids)}).all():
        left = [one for one in row.shown if not any(title in one for title in titles)]
        if left != row.shown:
            touch(connection, row.id, at, reasons=left)


def note_erased(connection: Connection, customers: Collection[str], at: datetime) -> None:
    """Keep whose texts are not kept."""
    rows = [{"customer_id": one, "erased_at": at} for one in sorted(customers)]
    if rows:
        insert_new(connection, erased_customers, rows)


def finish_erasure(connection: Connection, proposal_id: str, erasure: Erasure) -> bool:
    """Note that an approved erasure was carried out, and erase its question. False: it is not approved."""
    approved, executing = ProposalState.APPROVED, ProposalState.EXECUTING
    if advance(connection, proposal_id, approved, executing, at=erasure.at) is None:
        return False
    advance(connection, proposal_id, executing, ProposalState.SUCCEEDED, at=erasure.at)
    erase_proposals(connection, [proposal_id], erasure)
    return True


def last_night(connection: Connection) -> datetime | None:
    """The newest night after which nothing was left to erase."""
    found = read(connection, Setting.ERASED_AT)
    return None if found is None else datetime.fromisoformat(found)


def note_night(connection: Connection, at: datetime) -> None:
    """Note that nothing is left to erase tonight."""
    hold_or_set(connection, Setting.ERASED_AT, at.isoformat())
    write(connection, Setting.ERASED_AT, at.isoformat())
