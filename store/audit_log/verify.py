"""The check of the audit log: every row is in its place with its hash, and what it speaks of is as it was."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Row, Select, func, select, type_coerce

from store.audit_log.log import (
    ERASED,
    START,
    fingerprint,
    head,
    kinds_of,
    personal_hash,
    read_row,
    row_hash,
)
from store.engine.dialects import readable, stream_rows
from store.graduation.case_kinds import paused
from store.models import Actor, CallState, CaseKindState, Mode, ProposalState, sha256
from store.schema import calls, decisions, events, proposals
from store.schema.graduation import audit_log, case_kinds, outcomes

MOST_PROBLEMS = 100
_MOST_MOVED = 12  # broken rows that are tried in each other's places
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Body = Mapping[str, Any]


class ProblemCode(StrEnum):
    """The problems of a row, or of what it speaks of. The arguments are named beside each code."""

    ALTERED = "altered"  # row, kind, subject: it, or the row before it
    BEFORE_FIRST = "before_first"  # row: the numbers begin at 1
    MISSING = "missing"  # first, last
    MOVED = "moved"  # row, place: where it stands
    CUT_OFF = "cut_off"  # row: the last one; written: the last that was there
    NEWEST_REPLACED = "newest_replaced"
    UNREADABLE = "unreadable"  # row, subject: what is kept of it
    PERSONAL = "personal"  # row, kind, subject: what it says of a person
    ERASED = "erased"  # row, kind, subject: that is gone, and no later row says that it was erased
    UNLOGGED_DECISION = "unlogged_decision"  # proposal, actor
    UNLOGGED_OUTCOME = "unlogged_outcome"  # proposal, outcome
    CALLS = "calls"  # row, proposal: it asks for other calls
    EVENT_GONE = "event_gone"  # row, event
    EVENT = "event"  # row, event, proposal
    REQUEST = "request"  # row, proposal
    DECISION = "decision"  # row, proposal, actor
    OUTCOME = "outcome"  # row, proposal, outcome
    GATE = "gate"  # row, proposal
    MODE = "mode"  # row, proposal, kept, logged
    STATE = "state"  # proposal, kept, logged
    CASE_KIND = "case_kind"  # hash; kept and logged: state, generation, manual override
    PAUSE = "pause"  # kept: whether it is paused


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    code: ProblemCode
    args: Mapping[str, Any]


def _wrong(code: ProblemCode, **args: Any) -> Problem:
    return Problem(code, args)


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of a check: the number of rows, the newest hash, and what is wrong."""

    rows: int
    head: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Broken:
    """A row that does not follow from the one before it; `before` is that one's hash."""

    row: Row[Any]
    before: str


def verify(connection: Connection) -> Verified:
    """Check the whole log; at most the first hundred problems are named."""
    expected, previous = 1, START
    problems: list[Problem] = []
    broken: list[_Broken] = []
    for row in connection.execute(stream_rows(_ROWS)):
        problems += _gap(expected, row.seq)
        if _digest(row, previous, row.seq) == row.hash:
            problems += [*_personal(connection, row), *_checked(connection, row)]
        elif _is_redacted(connection, row):
            problems += _checked(connection, row)
        else:
            broken.append(_Broken(row, previous))
            problems.append(_wrong(ProblemCode.ALTERED, row=row.seq, kind=row.kind, subject=row.subject))
        expected, previous = row.seq + 1, row.hash
        if len(problems) >= MOST_PROBLEMS:
            break
    else:
        problems += [*_moved(broken), *_end(connection, expected - 1, previous), *_unlogged(connection)]
        problems += islice(altered(connection), MOST_PROBLEMS)
    return Verified(expected - 1, previous, tuple(problems[:MOST_PROBLEMS]))


def knows(connection: Connection, digest: str) -> int | None:
    """The number of the row whose hash begins so, as the morning digest shows it; None when there is none."""
    own = select(_LOG.seq).where(_LOG.hash.startswith(digest, autoescape=True)).order_by(_LOG.seq).limit(1)
    return connection.execute(own).scalar()


# The time as it lies there: one that was made unreadable is a finding, no crash.
_LOG = audit_log.c
_AT = type_coerce(_LOG.at, BigInteger).label("at")
_ROWS = select(_LOG.seq, _AT, _LOG.kind, _LOG.subject, _LOG.body, _LOG.hash, _LOG.personal).order_by(_LOG.seq)


def _digest(row: Row[Any], previous: str, seq: int) -> str | None:
    try:
        at = _EPOCH + timedelta(microseconds=row.at)
        return row_hash(previous, seq=seq, at=at, kind=row.kind, subject=row.subject, body=row.body)
    except (TypeError, ValueError, OverflowError):
        return None


def _personal(connection: Connection, row: Row[Any]) -> Iterator[Problem]:
    """Check that what a row says of a person is what was hashed, or that a later row says it was erased."""
    logged = personal_hash(row.body)
    if row.personal is not None:
        if not isinstance(row.personal, str) or sha256(row.personal) != logged:
            yield _wrong(ProblemCode.PERSONAL, row=row.seq, kind=row.kind, subject=row.subject)
    elif logged is not None and connection.execute(_later(row, ERASED).limit(1)).first() is None:
        yield _wrong(ProblemCode.ERASED, row=row.seq, kind=row.kind, subject=row.subject)


def _is_redacted(connection: Connection, row: Row[Any]) -> bool:
    """Tell whether a row of before `personal` was redacted by an erasure that a later row vouches for."""
    if not isinstance(row.seq, int) or not isinstance(row.body, str):
        return False
    own = [row.seq, row.hash, sha256(row.body)]
    return any(own in body.get("rows", ()) for body in _bodies(connection, row, ERASED))


def _gap(expected: int, seq: int) -> Iterator[Problem]:
    if seq < expected:
        yield _wrong(ProblemCode.BEFORE_FIRST, row=seq)
    elif seq > expected:
        yield _wrong(ProblemCode.MISSING, first=expected, last=seq - 1)


def _moved(broken: Sequence[_Broken]) -> Iterator[Problem]:
    """Rows that are whole, but stand in another's place."""
    among = broken[:_MOST_MOVED]
    hashes = {one.before for one in among} | {one.row.hash for one in among}
    for one in among:
        for other in among:
            place = other.row.seq
            if place != one.row.seq and any(_digest(one.row, each, place) == one.row.hash for each in hashes):
                yield _wrong(ProblemCode.MOVED, row=place, place=one.row.seq)


def _end(connection: Connection, last: int, newest: str) -> Iterator[Problem]:
    """A cut-off end leaves a chain that is whole in itself; the head of the log knows how long it was."""
    seq, digest = head(connection)
    if seq != last:
        yield _wrong(ProblemCode.CUT_OFF, row=last, written=seq)
    elif digest != newest:
        yield _wrong(ProblemCode.NEWEST_REPLACED)


def _checked(connection: Connection, row: Row[Any]) -> list[Problem]:
    """Problems of what a row speaks of; somebody may have left there what cannot even be read."""
    check = _CHECKS.get(row.kind)
    if check is None:
        return []
    try:
        return list(check(connection, row, read_row(row.kind, row.body, row.personal)[1]))
    except (TypeError, ValueError, LookupError, OverflowError):
        return [_wrong(ProblemCode.UNREADABLE, row=row.seq, subject=row.subject)]


def _unlogged(connection: Connection) -> Iterator[Problem]:
    """Decisions that somebody wrote into the database past the log."""
    about = select(_LOG.seq).where(_LOG.subject == decisions.c.proposal_id)
    in_log = about.where(_LOG.kind.in_(kinds_of("decision")), _LOG.at == decisions.c.at)
    # What was proposed before there was a log is in none of its rows.
    known = about.where(_LOG.kind.in_(kinds_of("proposed")))
    rows = connection.execute(
        select(decisions.c.proposal_id, decisions.c.actor)
        .where(decisions.c.actor != Actor.POLICY, known.exists(), ~in_log.exists())
        .limit(MOST_PROBLEMS)
    )
    for row in rows:
        yield _wrong(ProblemCode.UNLOGGED_DECISION, proposal=row.proposal_id, actor=row.actor)


def _proposed(connection: Connection, row: Row[Any], body: _Body) -> Iterator[Problem]:
    """The webhook behind a proposal and, until it is carried out, what it asks."""
    yield from _event(connection, row, body)
    yield from _planned(connection, row, body)


def _planned(connection: Connection, row: Row[Any], body: _Body) -> Iterator[Problem]:
    """The calls of the newest revision, while nothing of it has been sent."""
    logged = body.get("calls")
    untouched = select(proposals.c.id).where(
        proposals.c.id == row.subject,
        proposals.c.state.in_([ProposalState.PENDING, ProposalState.APPROVED]),
        proposals.c.attempts == 0,
        ~_later(row, *_REVISIONS).exists(),
    )
    if logged is None or connection.execute(untouched).first() is None:
        return
    kept = connection.execute(
        select(calls.c.operation, calls.c.path, calls.c.query, calls.c.body)
        .where(calls.c.proposal_id == row.subject, calls.c.state == CallState.PLANNED)
        .order_by(calls.c.number)
    )
    if [fingerprint(*call) for call in kept] != logged:
        yield _wrong(ProblemCode.CALLS, row=row.seq, proposal=row.subject)


def _event(connection: Connection, row: Row[Any], body: _Body) -> Iterator[Problem]:
    """The webhook behind a proposal, byte for byte."""
    event_id = body.get("event_id")
    if event_id is None:
        return
    kept = connection.execute(select(events.c.body).where(events.c.id == event_id)).scalar()
    if kept is None:
        yield _wrong(ProblemCode.EVENT_GONE, row=row.seq, event=event_id)
    elif "body_sha256" not in body:
        return  # erased, as the row is
    elif not isinstance(kept, bytes) or hashlib.sha256(kept).hexdigest() != body["body_sha256"]:
        yield _wrong(ProblemCode.EVENT, row=row.seq, event=event_id, proposal=row.subject)


def _request(connection: Connection, row: Row[Any], body: _Body) -> Iterator[Problem]:
    """The call as it was sent; one that was sent again is held against the later row."""
    logged = dict(body)
    number = logged.pop("number")
    where = [calls.c.proposal_id == row.subject, calls.c.number == number]
    kept = select(calls.c.operation, calls.c.path, calls.c.query, calls.c.body).where(*where)
    found = connection.execute(kept).first()
    if found is not None and _same(fingerprint(*found), logged):
        return
    if not any(later["number"] == number for later in _bodies(connection, row, "request")):
        yield _wrong(ProblemCode.REQUEST, row=row.seq, proposal=row.subject)


def _same(kept: _Body, logged: _Body) -> bool:
    """Tell whether all is as logged; what was erased from the row is not compared."""
    return all(kept[name] == value for name, value in logged.items())


def _decision(connection: Connection, row: Row[Any], logged: _Body) -> Iterator[Problem]:
    """The decision as the score counts it."""
    names = ("actor", "verdict", "via", "revision", "interaction_id", "reason")
    where = [decisions.c[name] == logged[name] for name in names if name in logged]
    pressed = logged.get("clicked_at")
    where.append(decisions.c.clicked_at == (None if pressed is None else datetime.fromisoformat(pressed)))
    at = _EPOCH + timedelta(microseconds=row.at)
    kept = select(decisions.c.id).where(decisions.c.proposal_id == row.subject, decisions.c.at == at, *where)
    if connection.execute(kept).first() is None:
        yield _wrong(ProblemCode.DECISION, row=row.seq, proposal=row.subject, actor=logged["actor"])


def _outcome(connection: Connection, row: Row[Any], logged: _Body) -> Iterator[Problem]:
    """The later fate of a proposal, as the score counts it."""
    at = datetime.fromisoformat(logged["at"])  # when it happened; the row is of when it was told
    where = (outcomes.c.kind == logged["kind"], outcomes.c.source == logged["source"], outcomes.c.at == at)
    kept = select(outcomes.c.id).where(outcomes.c.proposal_id == row.subject, *where)
    if connection.execute(kept).first() is None:
        yield _wrong(ProblemCode.OUTCOME, row=row.seq, proposal=row.subject, outcome=logged["kind"])


def _policy(connection: Connection, row: Row[Any], logged: _Body) -> Iterator[Problem]:
    """The policy's judgement of a case; that it asked instead of running is told by a later row."""
    kept = connection.execute(
        select(proposals.c.case_kind, proposals.c.mode, proposals.c.gate).where(proposals.c.id == row.subject)
    ).first()
    if kept is None or (kept.case_kind, kept.gate) != (logged["case_kind"], readable(logged["gate"])):
        yield _wrong(ProblemCode.GATE, row=row.seq, proposal=row.subject)
    elif kept.mode != logged["mode"] and not (kept.mode == Mode.ASKED and _asked_instead(connection, row)):
        yield _wrong(
            ProblemCode.MODE, row=row.seq, proposal=row.subject, kept=kept.mode, logged=logged["mode"]
        )


def _asked_instead(connection: Connection, row: Row[Any]) -> bool:
    later = _bodies(connection, row, "transition")
    return any(body["actor"] == Actor.POLICY and body["to"] == ProposalState.PENDING for body in later)


_REVISIONS = ("proposed", "edited", "restated")
_Check = Callable[[Connection, Row[Any], _Body], Iterator[Problem]]
_CHECKS: Mapping[str, _Check] = dict.fromkeys(_REVISIONS, _planned) | {
    "proposed": _proposed,
    "request": _request,
    "decision": _decision,
    "outcome": _outcome,
    "policy": _policy,
}


def _later(row: Row[Any], *kinds: str) -> Select[Any]:
    """The later rows of these kinds about the same subject."""
    later = select(_LOG.kind, _LOG.body, _LOG.personal).where(_LOG.subject == row.subject, _LOG.seq > row.seq)
    return later.where(_LOG.kind.in_(kinds_of(*kinds)))


def _bodies(connection: Connection, row: Row[Any], kind: str) -> Iterator[_Body]:
    for later in connection.execute(_later(row, kind)):
        yield read_row(later.kind, later.body, later.personal)[1]


def altered(connection: Connection) -> Iterator[Problem]:
    """Everything that is not as the newest row about it says."""
    for check in (_states, _trust, _outcomes, _pause):
        yield from check(connection)


def _with_newest(query: Select[Any], key: ColumnElement[str], kind: str) -> Select[Any]:
    """The query with the newest row of a kind about each `key`, if any, read as you go."""
    of_kind = select(_LOG.subject, func.max(_LOG.seq).label("seq")).where(_LOG.kind.in_(kinds_of(kind)))
    newest = of_kind.group_by(_LOG.subject).subquery()
    joined = query.outerjoin(newest, newest.c.subject == key)
    return stream_rows(joined.outerjoin(audit_log, _LOG.seq == newest.c.seq))


def _states(connection: Connection) -> Iterator[Problem]:
    """The state of every proposal that the log knows from its beginning."""
    proposed = audit_log.alias().c
    own = (proposed.subject == proposals.c.id, proposed.kind.in_(kinds_of("proposed")))
    born = select(proposals.c.id, proposals.c.state, _LOG.body).where(
        select(proposed.seq).where(*own).exists()
    )
    for row in connection.execute(_with_newest(born, proposals.c.id, "transition")):
        logged = _read_body("transition", row.body).get("to", ProposalState.PENDING)
        if row.state != logged:
            yield _wrong(ProblemCode.STATE, proposal=row.id, kept=row.state, logged=logged)


def _trust(connection: Connection) -> Iterator[Problem]:
    """The trust in every kind of case."""
    rows = _with_newest(select(case_kinds, _LOG.body), case_kinds.c.hash, "case_kind")
    for row in connection.execute(rows):
        body = _read_body("case_kind", row.body)
        override = bool(body.get("manual_override"))
        logged = (body.get("to", CaseKindState.ASKING), body.get("generation", 0), override)
        kept = (row.state, row.generation, bool(row.manual_override))
        if kept != logged:
            yield _wrong(ProblemCode.CASE_KIND, hash=row.hash, kept=kept, logged=logged)


def _outcomes(connection: Connection) -> Iterator[Problem]:
    """Outcomes that somebody wrote into the database past the log."""
    in_log = select(_LOG.seq).where(
        _LOG.subject == outcomes.c.proposal_id,
        _LOG.kind.in_(kinds_of("outcome")),
        _LOG.body.contains('"kind":"' + outcomes.c.kind + '"'),
    )
    rows = connection.execute(select(outcomes.c.kind, outcomes.c.proposal_id).where(~in_log.exists()))
    for row in rows:
        yield _wrong(ProblemCode.UNLOGGED_OUTCOME, proposal=row.proposal_id, outcome=row.kind)


def _pause(connection: Connection) -> Iterator[Problem]:
    """The pause of everything."""
    newest = select(_LOG.kind).where(_LOG.kind.in_(kinds_of("pause", "resume")))
    logged = connection.execute(newest.order_by(_LOG.seq.desc()).limit(1)).scalar() == "pause"
    kept = paused(connection) is not None
    if logged != kept:
        yield _wrong(ProblemCode.PAUSE, kept=kept)


def _read_body(kind: str, body: str | None) -> dict[str, Any]:
    """A row's body; nothing of one that cannot be read, which has been found altered already."""
    try:
        return read_row(kind, body or "{}")[1]
    except ValueError:
        return {}
