"""The check of the audit log: every row is in its place with its hash, and what it speaks of is as it was."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, Subquery, func, select, type_coerce

from store.audit_log.log import START, fingerprint, head, kinds_of, read_row, row_hash
from store.engine.dialects import readable, stream_rows
from store.graduation.gate import paused
from store.models import Actor, CallState, CaseKindState, Mode, ProposalState
from store.schema import calls, decisions, events, proposals
from store.schema.graduation import audit_log, case_kinds, outcomes

MOST_PROBLEMS = 100
_MOST_MOVED = 12  # broken rows that are tried in each other's places
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of a check: the number of rows, the newest hash, and what is wrong, in words."""

    rows: int
    head: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Broken:
    """A row that does not follow from the one before it; `before` is that one's hash."""

    row: Row[Any]
    before: str


def verify(connection: Connection) -> Verified:
    """Check the whole log; at most the first hundred problems are named."""
    expected, previous = 1, START
    problems: list[str] = []
    broken: list[_Broken] = []
    for row in connection.execute(stream_rows(_ROWS)):
        problems += _gap(expected, row.seq)
        if _digest(row, previous, row.seq) == row.hash:
            problems += _checked(connection, row)
        else:
            broken.append(_Broken(row, previous))
            who = f"{row.kind} {row.subject or ''}".strip()
            problems.append(f"row {row.seq} ({who}) was altered, or the row before it was")
        expected, previous = row.seq + 1, row.hash
        if len(problems) >= MOST_PROBLEMS:
            break
    else:
        problems += [*_moved(broken), *_end(connection, expected - 1, previous), *_unlogged(connection)]
        problems += islice(altered(connection), MOST_PROBLEMS)
    return Verified(expected - 1, previous, tuple(problems[:MOST_PROBLEMS]))


def knows(connection: Connection, digest: str) -> int | None:
    """The number of the row whose hash begins so, as the morning digest shows it; None when there is none."""
    return connection.execute(
        select(audit_log.c.seq).where(audit_log.c.hash.startswith(digest, autoescape=True)).limit(1)
    ).scalar()


# The time as it lies there: one that was made unreadable is a finding, no crash.
_LOG = audit_log.c
_ROWS = select(
    _LOG.seq, type_coerce(_LOG.at, BigInteger).label("at"), _LOG.kind, _LOG.subject, _LOG.body, _LOG.hash
).order_by(_LOG.seq)


def _digest(row: Row[Any], previous: str, seq: int) -> str | None:
    try:
        at = _EPOCH + timedelta(microseconds=row.at)
        return row_hash(previous, seq=seq, at=at, kind=row.kind, subject=row.subject, body=row.body)
    except (TypeError, ValueError, OverflowError):
        return None


def _gap(expected: int, seq: int) -> list[str]:
    if seq == expected:
        return []
    if seq < expected:
        return [f"row {seq} does not belong to the log: its numbers begin at 1"]
    missing = f"row {expected} is" if seq == expected + 1 else f"rows {expected} to {seq - 1} are"
    return [f"{missing} missing"]


def _moved(broken: Sequence[_Broken]) -> Iterator[str]:
    """Rows that are whole, but stand in another's place."""
    among = broken[:_MOST_MOVED]
    hashes = {one.before for one in among} | {one.row.hash for one in among}
    for one in among:
        for other in among:
            place = other.row.seq
            if place != one.row.seq and any(_digest(one.row, each, place) == one.row.hash for each in hashes):
                yield f"row {place} stands in the place of row {one.row.seq}: the order was changed"


def _end(connection: Connection, last: int, newest: str) -> list[str]:
    """A cut-off end leaves a chain that is whole in itself; the head of the log knows how long it was."""
    seq, digest = head(connection)
    if (seq, digest) == (last, newest):
        return []
    if seq == last:
        return ["the newest row was replaced"]
    return [f"the log ends at row {last}, but row {seq} was written"]


def _checked(connection: Connection, row: Row[Any]) -> list[str]:
    """Problems of what a row speaks of; somebody may have left there what cannot even be read."""
    check = _CHECKS.get(row.kind)
    if check is None:
        return []
    try:
        _, body = read_row(row.kind, row.body)
        return check(connection, row, body)
    except (TypeError, ValueError, LookupError, OverflowError):
        return [f"row {row.seq}: what is kept of {row.subject} was altered and cannot be read"]


def _unlogged(connection: Connection) -> Iterator[str]:
    """Decisions that somebody wrote into the database past the log."""
    in_log = select(audit_log.c.seq).where(
        audit_log.c.subject == decisions.c.proposal_id,
        audit_log.c.kind.in_(kinds_of("decision")),
        audit_log.c.at == decisions.c.at,
    )
    # What was proposed before there was a log is in none of its rows.
    known = select(audit_log.c.seq).where(
        audit_log.c.subject == decisions.c.proposal_id, audit_log.c.kind.in_(kinds_of("proposed"))
    )
    rows = connection.execute(
        select(decisions.c.proposal_id, decisions.c.actor)
        .where(decisions.c.actor != Actor.POLICY, known.exists(), ~in_log.exists())
        .limit(MOST_PROBLEMS)
    )
    for row in rows:
        yield f"a decision of {row.actor} on {row.proposal_id} is in no row of the log"


def _proposed(connection: Connection, row: Row[Any], body: _Body) -> list[str]:
    """The webhook behind a proposal and, until it is carried out, what it asks."""
    return [*_event(connection, row, body), *_planned(connection, row, body)]


def _planned(connection: Connection, row: Row[Any], body: _Body) -> list[str]:
    """The calls of the newest revision, while nothing of it has been sent."""
    told = body.get("calls")
    later = select(audit_log.c.seq).where(
        audit_log.c.subject == row.subject,
        audit_log.c.kind.in_(kinds_of(*_REVISIONS)),
        audit_log.c.seq > row.seq,
    )
    untouched = select(proposals.c.id).where(
        proposals.c.id == row.subject,
        proposals.c.state.in_([ProposalState.PENDING, ProposalState.APPROVED]),
        proposals.c.attempts == 0,
        ~later.exists(),
    )
    if told is None or connection.execute(untouched).first() is None:
        return []
    kept = connection.execute(
        select(calls.c.operation, calls.c.path, calls.c.query, calls.c.body)
        .where(calls.c.proposal_id == row.subject, calls.c.state == CallState.PLANNED)
        .order_by(calls.c.number)
    )
    if [fingerprint(*call) for call in kept] == told:
        return []
    return [f"row {row.seq}: what {row.subject} would do is not what it says"]


def _event(connection: Connection, row: Row[Any], body: _Body) -> list[str]:
    """The webhook behind a proposal, byte for byte."""
    event_id = body.get("event_id")
    if event_id is None:
        return []
    kept = connection.execute(select(events.c.body).where(events.c.id == event_id)).scalar()
    if kept is None:
        return [f"row {row.seq}: webhook {event_id} is gone"]
    if isinstance(kept, bytes) and hashlib.sha256(kept).hexdigest() == body["body_sha256"]:
        return []
    return [f"row {row.seq}: webhook {event_id} was altered after {row.subject} was proposed"]


def _request(connection: Connection, row: Row[Any], body: _Body) -> list[str]:
    """The call as it was sent; one that was sent again is held against the later row."""
    told = dict(body)
    number = told.pop("number")
    where = [calls.c.proposal_id == row.subject, calls.c.number == number]
    kept = select(calls.c.operation, calls.c.path, calls.c.query, calls.c.body).where(*where)
    found = connection.execute(kept).first()
    if found is not None and fingerprint(*found) == told:
        return []
    again = any(later["number"] == number for later in _later(connection, row, "request"))
    return [] if again else [f"row {row.seq}: a call of {row.subject} is not what was sent"]


def _decision(connection: Connection, row: Row[Any], told: _Body) -> list[str]:
    """The decision as the score counts it."""
    names = ("actor", "verdict", "via", "revision", "interaction_id", "reason")
    where = [decisions.c[name] == told[name] for name in names]
    pressed = told.get("clicked_at")
    where.append(decisions.c.clicked_at == (None if pressed is None else datetime.fromisoformat(pressed)))
    at = _EPOCH + timedelta(microseconds=row.at)
    kept = select(decisions.c.id).where(decisions.c.proposal_id == row.subject, decisions.c.at == at, *where)
    if connection.execute(kept).first() is not None:
        return []
    return [f"row {row.seq}: the decision of {told['actor']} on {row.subject} was altered or removed"]


def _outcome(connection: Connection, row: Row[Any], told: _Body) -> list[str]:
    """The later fate of a proposal, as the score counts it."""
    at = datetime.fromisoformat(told["at"])  # when it happened; the row is of when it was told
    where = (outcomes.c.kind == told["kind"], outcomes.c.source == told["source"], outcomes.c.at == at)
    kept = select(outcomes.c.id).where(outcomes.c.proposal_id == row.subject, *where)
    if connection.execute(kept).first() is not None:
        return []
    return [f"row {row.seq}: that {row.subject} was {told['kind']} was altered or removed"]


def _policy(connection: Connection, row: Row[Any], told: _Body) -> list[str]:
    """The policy's judgement of a case; that it asked instead of running is told by a later row."""
    kept = connection.execute(
        select(proposals.c.case_kind, proposals.c.mode, proposals.c.gate).where(proposals.c.id == row.subject)
    ).first()
    if kept is None or (kept.case_kind, kept.gate) != (told["case_kind"], readable(told["gate"])):
        return [f"row {row.seq}: what the policy said of {row.subject} was altered or removed"]
    if kept.mode != told["mode"] and not (kept.mode == Mode.ASKED and _asked_instead(connection, row)):
        return [f"row {row.seq}: {row.subject} is {kept.mode}, but the policy said {told['mode']}"]
    return []


def _asked_instead(connection: Connection, row: Row[Any]) -> bool:
    later = _later(connection, row, "transition")
    return any(body["actor"] == Actor.POLICY and body["to"] == ProposalState.PENDING for body in later)


_REVISIONS = ("proposed", "edited", "restated")
_Check = Callable[[Connection, Row[Any], _Body], list[str]]
_CHECKS: Mapping[str, _Check] = dict.fromkeys(_REVISIONS, _planned) | {
    "proposed": _proposed,
    "request": _request,
    "decision": _decision,
    "outcome": _outcome,
    "policy": _policy,
}


def _later(connection: Connection, row: Row[Any], kind: str) -> Iterator[_Body]:
    """The bodies of the later rows of a kind about the same subject."""
    own = (
        audit_log.c.subject == row.subject,
        audit_log.c.seq > row.seq,
        audit_log.c.kind.in_(kinds_of(kind)),
    )
    for later in connection.execute(select(audit_log.c.kind, audit_log.c.body).where(*own)):
        yield read_row(later.kind, later.body)[1]


def altered(connection: Connection) -> Iterator[str]:
    """Everything that is not as the newest row about it says, in words."""
    yield from _states(connection)
    yield from _trust(connection)
    yield from _outcomes(connection)
    yield from _pause(connection)


def _newest(kind: str) -> Subquery:
    """The number of the newest row of a kind about each subject."""
    newest = func.max(audit_log.c.seq).label("seq")
    return (
        select(audit_log.c.subject, newest)
        .where(audit_log.c.kind.in_(kinds_of(kind)))
        .group_by(audit_log.c.subject)
        .subquery()
    )


def _states(connection: Connection) -> Iterator[str]:
    """The state of every proposal that the log knows from its beginning."""
    newest, proposed = _newest("transition"), audit_log.alias()
    born = select(proposed.c.seq).where(
        proposed.c.subject == proposals.c.id, proposed.c.kind.in_(kinds_of("proposed"))
    )
    rows = connection.execute(
        stream_rows(
            select(proposals.c.id, proposals.c.state, audit_log.c.body)
            .outerjoin(newest, newest.c.subject == proposals.c.id)
            .outerjoin(audit_log, audit_log.c.seq == newest.c.seq)
            .where(born.exists())
        )
    )
    for row in rows:
        told = _told("transition", row.body).get("to", ProposalState.PENDING)
        if row.state != told:
            yield f"{row.id} is {row.state}, but the log says {told}"


def _trust(connection: Connection) -> Iterator[str]:
    """The trust in every kind of case."""
    newest = _newest("case_kind")
    rows = connection.execute(
        stream_rows(
            select(case_kinds, audit_log.c.body)
            .outerjoin(newest, newest.c.subject == case_kinds.c.hash)
            .outerjoin(audit_log, audit_log.c.seq == newest.c.seq)
        )
    )
    for row in rows:
        body = _told("case_kind", row.body)
        known = (body.get("to", CaseKindState.ASKING), body.get("generation", 0), body.get("manual_override"))
        kept, told = _standing(row.state, row.generation, row.manual_override), _standing(*known)
        if kept != told:
            yield f"the kind of case {row.hash[:12]} is {kept}, but the log says {told}"


def _standing(state: str, generation: int, manual_override: Any) -> str:
    return f"{state} in generation {generation}{' by manual override' if manual_override else ''}"


def _outcomes(connection: Connection) -> Iterator[str]:
    """Outcomes that somebody wrote into the database past the log."""
    in_log = select(audit_log.c.seq).where(
        audit_log.c.subject == outcomes.c.proposal_id,
        audit_log.c.kind.in_(kinds_of("outcome")),
        audit_log.c.body.contains('"kind":"' + outcomes.c.kind + '"'),
    )
    rows = connection.execute(select(outcomes.c.kind, outcomes.c.proposal_id).where(~in_log.exists()))
    for row in rows:
        yield f"that {row.proposal_id} was {row.kind} is in no row of the log"


def _pause(connection: Connection) -> Iterator[str]:
    """The pause of everything."""
    newest = select(audit_log.c.kind).where(audit_log.c.kind.in_(kinds_of("pause", "resume")))
    told = connection.execute(newest.order_by(audit_log.c.seq.desc()).limit(1)).scalar() == "pause"
    kept = paused(connection) is not None
    if told != kept:
        yield f"it is {'' if kept else 'not '}paused, but the log says otherwise"


def _told(kind: str, body: str | None) -> dict[str, Any]:
    """A row's body; nothing of one that cannot be read, which has been found altered already."""
    try:
        return read_row(kind, body or "{}")[1]
    except ValueError:
        return {}
