"""One proposal in detail: comments, revisions, its rows of the log, and what a Slack thread is about."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, bindparam, func, select, update

from store.audit_log.log import START, append, head
from store.engine.dialects import insert_new, value_of, values_of
from store.engine.writer import without_turn
from store.events.events import get_event, latest_state, rule_source
from store.graduation.case_kinds import get_case_kind
from store.models import Actor, Decision, Proposal, Verdict
from store.models.details import Comment, CommentKind, ProposalDetails, Revision
from store.models.graduation import CaseKind, Outcome
from store.proposals.proposals import get_proposal, read_proposals, trail
from store.schema import bundles, decisions, proposal_comments, proposals, revisions
from store.schema.graduation import audit_log, outcomes

LONGEST = 4_000  # characters kept of one message: Slack's own advice for a message's length
_EARLIER = 10  # proposals of the same customer that are shown
_MOST_IN_A_THREAD = 200  # proposals of one bundle that keep what is said in its thread
_COMMENT = proposal_comments.c
# Built once: every card needs these, or every tap.
_APPROVALS = (
    select(decisions.c.proposal_id, decisions.c.revision, decisions.c.actor)
    .where(
        decisions.c.proposal_id.in_(bindparam("ids", expanding=True)),
        decisions.c.verdict == Verdict.APPROVE,
        decisions.c.actor != Actor.POLICY,
    )
    .order_by(decisions.c.id)
)
_REASONS = (
    select(_COMMENT.proposal_id, _COMMENT.text)
    .where(_COMMENT.proposal_id.in_(bindparam("ids", expanding=True)), _COMMENT.kind == CommentKind.REASON)
    .where(_COMMENT.text != "")  # erased
    .order_by(_COMMENT.at, _COMMENT.id)
)


@dataclass(frozen=True, slots=True)
class Thread:
    """The proposals that a thread is about: one, or those of a bundle."""

    ids: tuple[str, ...]
    bundle_id: str | None = None


def proposal_details(connection: Connection, proposal_id: str) -> ProposalDetails | None:
    """Everything about one proposal; None when there is no such proposal."""
    found = get_proposal(connection, proposal_id)
    if found is None:
        return None
    return ProposalDetails(
        found,
        None if found.event_id is None else get_event(connection, found.event_id),
        None if found.subject is None else latest_state(connection, found.subject),
        rule_source(connection, found.rule_version),
        tuple(trail(connection, proposal_id)),
        tuple(decisions_of(connection, proposal_id)),
        tuple(revisions_of(connection, proposal_id)),
        tuple(comments_of(connection, proposal_id)),
        *_history(connection, found),
    )


def _history(connection: Connection, found: Proposal) -> tuple[tuple[Proposal, ...], Mapping[str, int]]:
    if not found.customer_id:
        return (), {}
    theirs, newest = proposals.c.customer_id == found.customer_id, [proposals.c.created_at.desc()]
    others = [theirs, proposals.c.id != found.id]
    earlier = read_proposals(connection, others, order=newest, limit=_EARLIER)
    counted = select(proposals.c.state, func.count()).where(theirs).group_by(proposals.c.state)
    return tuple(earlier), dict(tuple(row) for row in connection.execute(counted))


def decisions_of(connection: Connection, proposal_id: str) -> list[Decision]:
    """The decisions on a proposal, oldest first."""
    own = select(decisions).where(decisions.c.proposal_id == proposal_id)
    return values_of(connection, own.order_by(decisions.c.id), Decision)


def approvals(connection: Connection, proposal_id: str, revision: int) -> list[str]:
    """The people who have approved this revision, in order. The policy is none: never the first of two."""
    return approvals_among(connection, {proposal_id: revision})[proposal_id]


def approvals_among(connection: Connection, revisions: Mapping[str, int]) -> dict[str, list[str]]:
    """The people who have approved each of these proposals in this revision, as `approvals` says."""
    found: dict[str, dict[str, None]] = {proposal_id: {} for proposal_id in revisions}
    for row in connection.execute(_APPROVALS, {"ids": list(revisions)}):
        if row.revision == revisions[row.proposal_id]:
            found[row.proposal_id][row.actor] = None
    return {proposal_id: list(people) for proposal_id, people in found.items()}


def revisions_of(connection: Connection, proposal_id: str) -> list[Revision]:
    """The earlier revisions of a proposal, oldest first."""
    own = select(revisions).where(revisions.c.proposal_id == proposal_id)
    return values_of(connection, own.order_by(revisions.c.revision), Revision)


def revision_at(connection: Connection, proposal_id: str, moment: datetime) -> int:
    """The revision that somebody who wrote at that moment can have seen: the current one or the last."""
    columns = select(proposals.c.revision, proposals.c.first_shown_at)
    found = connection.execute(columns.where(proposals.c.id == proposal_id)).first()
    if found is None:
        return 1
    shown = found.first_shown_at is not None and found.first_shown_at <= moment
    return int(found.revision) if shown else max(found.revision - 1, 1)


def in_thread(connection: Connection, channel: str, ts: str) -> Thread | None:
    """The proposals that the thread under this message is about; None when it is no card of ours."""

    def shown_by(one: Table) -> str | None:
        return connection.execute(
            select(one.c.id).where(one.c.card_ts == ts, one.c.channel == channel)
        ).scalar()

    card = shown_by(proposals)
    if card is not None:
        return Thread((card,))
    bundle = shown_by(bundles)
    if bundle is None:
        return None
    members = select(proposals.c.id).where(proposals.c.bundle_id == bundle).limit(_MOST_IN_A_THREAD)
    return Thread(tuple(connection.execute(members).scalars()), bundle)


def add_comment(
    connection: Connection,
    proposal_id: str,
    kind: CommentKind,
    author: str,
    text: str,
    *,
    at: datetime,
    preset: str | None = None,
    channel: str | None = None,
    ts: str | None = None,
) -> bool:
    """Keep a comment; `preset`: the key of an offered reason. False: its Slack message was kept before."""
    row: dict[str, Any] = {"proposal_id": proposal_id, "kind": kind, "author": author, "text": text[:LONGEST]}
    row |= {"preset": preset, "channel": channel, "ts": ts, "deleted": 0}
    if insert_new(connection, proposal_comments, [row | {"at": at}]).rowcount != 1:
        return False
    logged = {name: value for name, value in row.items() if name != "proposal_id" and value is not None}
    append(connection, "comment", proposal_id, logged, at)
    return True


def keep_message(
    connection: Connection,
    ids: Sequence[str],
    author: str,
    text: str,
    *,
    at: datetime,
    channel: str,
    ts: str,
    then: Callable[[Connection], object] | None = None,
) -> bool:
    """Keep a message of a thread with every proposal its card is for, without its text where the texts are
    erased, and `then` what it asks for. False: it was kept before.
    """
    where: dict[str, Any] = {"at": at, "channel": channel, "ts": ts}
    erased = _erased_among(connection, ids)
    kept = [
        add_comment(connection, one, CommentKind.THREAD, author, "" if one in erased else text, **where)
        for one in ids
    ]
    if any(kept) and then is not None:
        then(connection)
    return any(kept)


def _erased_among(connection: Connection, ids: Sequence[str]) -> set[str]:
    erased = select(proposals.c.id).where(proposals.c.id.in_(ids), proposals.c.erased_at.is_not(None))
    return set(connection.execute(erased).scalars())


def mend_message(connection: Connection, text: str | None, *, at: datetime, channel: str, ts: str) -> None:
    """Change a message that was kept to what it says now; None: it was deleted, and is marked so.

    The log keeps every wording. Nothing happens when no such message was kept, or it says the same.
    """
    own = (_COMMENT.kind == CommentKind.THREAD, _COMMENT.channel == channel, _COMMENT.ts == ts)
    rows = connection.execute(select(proposal_comments).where(*own)).all()
    erased = _erased_among(connection, [row.proposal_id for row in rows])
    for row in (one for one in rows if one.proposal_id not in erased):
        now = {"text": row.text if text is None else text[:LONGEST], "deleted": int(text is None)}
        if now == {"text": row.text, "deleted": row.deleted}:
            continue
        connection.execute(update(proposal_comments).where(_COMMENT.id == row.id).values(now))
        logged = {"kind": row.kind, "author": row.author, "channel": channel, "ts": ts} | now
        append(connection, "comment", row.proposal_id, logged, at)


def comments_of(
    connection: Connection, proposal_id: str, kinds: Sequence[CommentKind] = tuple(CommentKind)
) -> list[Comment]:
    """The comments of these kinds on a proposal, oldest first."""
    own = select(proposal_comments).where(_COMMENT.proposal_id == proposal_id, _COMMENT.kind.in_(kinds))
    return values_of(connection, own.order_by(_COMMENT.at, _COMMENT.id), Comment)


def reasons_by_proposal(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The reasons that people gave for declining each of these, oldest first."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in connection.execute(_REASONS, {"ids": list(ids)}):
        found[row.proposal_id].append(row.text)
    return {proposal_id: tuple(texts) for proposal_id, texts in found.items()}


@without_turn
def reasons_among(connection: Connection, ids: Sequence[str]) -> tuple[str, ...]:
    """The reasons for which any of these were declined, each once."""
    why = (_COMMENT.proposal_id.in_(ids), _COMMENT.kind == CommentKind.REASON)
    found = connection.execute(select(_COMMENT.text).where(*why).order_by(_COMMENT.id)).scalars()
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row of the log as it lies there; `previous` is the hash of the row before it. `personal` is what it
    says of a person; its hash is in `body`.
    """

    seq: int
    at: datetime
    kind: str
    subject: str | None
    body: str
    previous: str
    hash: str
    personal: str | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """A proposal with its details, kind of case and outcomes, and the log of both; `head` of the log."""

    details: ProposalDetails
    case_kind: CaseKind | None
    outcomes: tuple[Outcome, ...]
    rows: tuple[LogRow, ...]
    trust: tuple[LogRow, ...]
    head: tuple[int, str]


def explained(connection: Connection, proposal_id: str) -> Explained | None:
    """The explanation; None when there is no such proposal."""
    found = proposal_details(connection, proposal_id)
    if found is None:
        return None
    case_kind = found.proposal.case_kind
    outcome_rows = select(outcomes).where(outcomes.c.proposal_id == proposal_id)
    return Explained(
        found,
        None if case_kind is None else get_case_kind(connection, case_kind),
        tuple(values_of(connection, outcome_rows.order_by(outcomes.c.at, outcomes.c.id), Outcome)),
        tuple(_rows(connection, proposal_id)),
        () if case_kind is None else tuple(_rows(connection, case_kind)),
        head(connection),
    )


def _rows(connection: Connection, subject: str) -> list[LogRow]:
    earlier = audit_log.alias()
    rows = connection.execute(
        select(audit_log, earlier.c.hash.label("previous"))
        .join(earlier, earlier.c.seq == audit_log.c.seq - 1, isouter=True)
        .where(audit_log.c.subject == subject)
        .order_by(audit_log.c.seq)
    )
    return [value_of(LogRow, row, previous=row.previous or START) for row in rows]
