"""The step that learns: what the log says since the last look becomes labels, counts and messages."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, select

from store.audit_log.log import kinds_of, read_row
from store.engine.settings_kv import Setting, hold_or_set, write
from store.graduation.case_kinds import hold_trust
from store.graduation.counts import learn_values, move_counts
from store.graduation.labels import Relabelled, Ripening, cases_by_kind, relabel, ripen, ripening
from store.graduation.offers import turn_on, wants_offer
from store.graduation.set_aside import (
    MOST_POSTPONED,
    Step,
    attempt,
    forget_postponed,
    postpone,
    postponed,
    retries,
    set_aside_kinds,
    take_back,
)
from store.messages.outbox import add_to_outbox
from store.models.graduation import Assessor, SetAside
from store.schema.graduation import audit_log

_CHUNK = 500
_ABOUT_CASES = ("decision", "edited", "restated", "transition", "outcome")
_A = audit_log.c
_NEWS = (
    select(_A.seq, _A.kind, _A.subject, _A.body)
    .where(_A.seq > bindparam("read"))
    .order_by(_A.seq)
    .limit(_CHUNK)
)


@dataclass(frozen=True, slots=True)
class Assessed:
    """The result of one pass: whether more work waits, and whether there are cards or messages to send;
    `offers` are the kinds of case that may be offered to run on their own; `failed` were set aside.
    """

    more: bool = False
    cards: bool = False
    notices: bool = False
    offers: Sequence[str] = ()
    failed: Sequence[SetAside] = ()


@dataclass(slots=True)
class _Work:
    """The sources of one kind: cases that the log tells of, and approvals that became mature."""

    cases: set[str] = field(default_factory=set)
    ripe: set[str] = field(default_factory=set)
    again: bool = False  # it was set aside, and is assessed again
    more: bool = False  # there are more cases than one pass takes


def assess(connection: Connection, assessor: Assessor, now: datetime) -> Assessed:
    """Read on in the log and bring up to date what follows from it, all in the caller's transaction."""
    read = int(hold_or_set(connection, Setting.LEARNED_ROW, "0"))
    rows = connection.execute(_NEWS, {"read": read}).all()
    ripe, aside = ripening(connection, now), retries(connection)
    work = _work(connection, rows, ripe, [one for one, due in aside.items() if due <= now])
    if work:
        hold_trust(connection)  # nobody changes a kind while its counts move
    offers = []
    for case_kind, own in sorted(work.items()):
        if case_kind in aside and not own.again:
            postpone(connection, case_kind, own.cases | own.ripe)
        elif _learn(connection, case_kind, own, assessor, ripe.until, now=now):
            offers.append(case_kind)
    changes = [row for row in rows if row.kind in kinds_of("case_kind")]
    announced = [row for row in changes if _tell(connection, row, assessor, now)]
    decided = turn_on(connection, assessor, now)
    if rows:
        write(connection, Setting.LEARNED_ROW, str(rows[-1].seq))
    more = len(rows) == _CHUNK or ripe.more or any(own.more for own in work.values())
    failed = [one for one in set_aside_kinds(connection) if aside.get(one.case_kind) != one.retry_at]
    return Assessed(more, bool(decided), bool(announced), offers, failed)


def _work(
    connection: Connection, rows: Sequence[Any], ripe: Ripening, again: Sequence[str]
) -> Mapping[str, _Work]:
    """The work to learn from, by kind of case; `again` are kinds that were set aside."""
    work: defaultdict[str, _Work] = defaultdict(_Work)
    cases = {row.subject for row in rows if row.kind in _ABOUT_CASES and row.subject is not None}
    if cases:
        for case_kind, ids in cases_by_kind(connection, cases).items():
            work[case_kind].cases.update(ids)
    for case_kind, ripened in ripe.ids.items():
        work[case_kind].ripe.update(ripened)
    for case_kind in again:
        waiting, own = postponed(connection, case_kind), work[case_kind]
        own.cases.update(waiting)
        own.again, own.more = True, len(waiting) == MOST_POSTPONED
    return work


def _learn(
    connection: Connection, case_kind: str, own: _Work, assessor: Assessor, until: datetime, *, now: datetime
) -> bool:
    """Learn from the work of one kind, or set the kind aside; whether to offer it now."""
    count = partial(_count, connection, case_kind, own, assessor, until)
    if attempt(connection, case_kind, Step.LEARN, count, now) is None:
        postpone(connection, case_kind, own.cases | own.ripe)
        return False
    offer = partial(wants_offer, connection, case_kind, assessor, now)
    return attempt(connection, case_kind, Step.OFFER, offer, now) is not None


def _count(
    connection: Connection, case_kind: str, own: _Work, assessor: Assessor, until: datetime
) -> Relabelled:
    """Make the labels anew and move the counts by the difference."""
    labels = relabel(connection, list(own.cases), assessor.label, until)
    changed = labels + ripen(connection, list(own.ripe - own.cases))
    move_counts(connection, case_kind, changed)
    if own.again or any(row["is_learnt"] for row in (*labels.before, *labels.after)):
        learn_values(connection, case_kind, assessor.learn)
    if own.again:
        forget_postponed(connection, list(own.cases))
        if not own.more:
            take_back(connection, case_kind)
    return changed


def _tell(connection: Connection, row: Any, assessor: Assessor, now: datetime) -> bool:
    def tell() -> bool:
        found = assessor.notice(row.subject, read_row(row.kind, row.body)[1])
        if found is None:
            return False
        kind, message = found
        return add_to_outbox(connection, f"case_kind:{row.seq}", kind=kind, message=message, at=now)

    return bool(attempt(connection, row.subject, Step.TELL, tell, now))
