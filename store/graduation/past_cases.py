"""Queries on the past as a replay walks it: each case with all that came of it, in a few passes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from store.graduation.case_kinds import SECRET
from store.graduation.labels import hasty
from store.models import (
    Decision,
    NewProposal,
    OutcomeKind,
    PlannedCall,
    ProposalKind,
    ProposalState,
    Verdict,
)
from store.models.graduation import POLICY, PROGRAM, NewCaseKind, Outcome, PastCase
from store.schema import calls, decisions, marks, proposals, revisions
from store.schema.graduation import case_kinds, outcomes

_NOBODY = (POLICY, PROGRAM)


def past_cases(
    connection: Connection, *, case_kind: str | None = None, most: int | None = None
) -> list[PastCase]:
    """The proposals of rules, oldest first: all, or of one kind of case the newest `most`."""
    own = _ids(connection, case_kind, most)
    found = proposals.c.id.in_(own)
    rows = connection.execute(
        select(*_COLUMNS).where(found).order_by(proposals.c.created_at, proposals.c.id)
    ).all()
    said, later = _decisions(connection, own)
    planned, first, enders = _calls(connection, own), *_revisions(connection, own)
    came, in_haste = _outcomes(connection, own), hasty(connection, own)
    money = _money(connection, first)
    cases = []
    for row in rows:
        id_ = row[0]
        amount, currency = money.get(id_, (row.amount, row.currency))
        cases.append(
            PastCase(
                proposal=_as_asked(row, first.get(id_) or planned.get(id_, ()), amount, currency),
                state=ProposalState(row.state),
                decisions=said.get(id_, ()),
                edited_by=[actor for actor in enders.get(id_, ()) if actor not in _NOBODY],
                outcomes=came.get(id_, ()),
                first_of_tap=id_ not in later,
                first_shown_at=row.first_shown_at,
                restated=PROGRAM in enders.get(id_, ()),
                hasty=id_ in in_haste,
            )
        )
    return cases


def _ids(connection: Connection, case_kind: str | None, most: int | None) -> Any:
    """Which proposals: as a query for all of them, as a list for the few of one kind of case."""
    wanted = select(proposals.c.id).where(proposals.c.kind == ProposalKind.CALLS)
    if case_kind is None:
        return wanted
    # PostgreSQL takes what nobody has decided for the newest, SQLite for the oldest.
    last = proposals.c.decided_at.desc().nulls_last()
    newest = wanted.where(proposals.c.case_kind == case_kind).order_by(last).limit(most)
    return connection.execute(newest).scalars().all()


def kinds(connection: Connection) -> dict[str, NewCaseKind]:
    """What every known kind of case is, by hash."""
    names = NewCaseKind.__slots__
    rows = connection.execute(select(*(case_kinds.c[name] for name in names)))
    return {row.hash: NewCaseKind(**{name: getattr(row, name) for name in names}) for row in rows}


def draw_secret(connection: Connection) -> bytes | None:
    """What audits are drawn with; None while nothing has asked for it yet. It is shown to nobody."""
    found = connection.execute(select(marks.c.value).where(marks.c.name == SECRET)).scalar()
    return None if found is None else bytes.fromhex(found)


_COLUMNS = tuple(
    proposals.c[name]
    for name in (
        "id", "rule", "rule_version", "event_id", "subject", "title", "risk", "always_asks", "created_at",
        "state", "amount", "currency", "customer_id", "case_kind", "first_shown_at",
    )
)  # fmt: skip


def _as_asked(
    row: Row[Any], planned: Sequence[PlannedCall], amount: int | None, currency: str | None
) -> NewProposal:
    """The proposal as it was made."""
    return NewProposal(
        id=row.id,
        fact_key="",
        event_id=row.event_id,
        rule=row.rule,
        rule_version=row.rule_version,
        subject=row.subject,
        title=row.title,
        reasons=(),
        facts=(),
        risk=row.risk,
        always_asks=row.always_asks,
        calls=tuple(planned),
        created_at=row.created_at,
        amount=amount,
        currency=currency,
        customer_id=row.customer_id,
        case_kind=row.case_kind,
    )


def _money(connection: Connection, edited: Iterable[str]) -> dict[str, tuple[int, str]]:
    """What the edited ones moved before somebody changed it: the gate wrote it down."""
    found: dict[str, tuple[int, str]] = {}
    for id_ in edited:
        gate = connection.execute(select(proposals.c.gate).where(proposals.c.id == id_)).scalar() or {}
        if gate.get("amount"):
            found[id_] = (gate["amount"], gate["currency"])
    return found


def _decisions(connection: Connection, own: Any) -> tuple[Mapping[str, Sequence[Decision]], set[str]]:
    """What people decided, and which proposals were approved by a press that had approved another before."""
    names = (
        "proposal_id",
        "actor",
        "verdict",
        "via",
        "at",
        "revision",
        "interaction_id",
        "shown_at",
        "clicked_at",
    )
    rows = connection.execute(
        select(*(decisions.c[name] for name in names))
        .where(decisions.c.proposal_id.in_(own), decisions.c.actor.not_in(_NOBODY))
        .order_by(decisions.c.id)
    )
    found: defaultdict[str, list[Decision]] = defaultdict(list)
    pressed: set[str] = set()
    later: set[str] = set()
    for id_, actor, said, via, at, revision, tap, *times in rows:
        verdict = Verdict(said)
        found[id_].append(Decision(id_, actor, verdict, via, at, None, revision, tap, *times))
        if tap is not None and verdict == Verdict.APPROVE:
            if tap in pressed:
                later.add(id_)
            pressed.add(tap)
    return found, later


def _calls(connection: Connection, own: Any) -> Mapping[str, Sequence[PlannedCall]]:
    rows = connection.execute(
        select(calls.c.proposal_id, calls.c.operation, calls.c.path, calls.c.query, calls.c.body)
        .where(calls.c.proposal_id.in_(own))
        .order_by(calls.c.proposal_id, calls.c.number)
    )
    found: defaultdict[str, list[PlannedCall]] = defaultdict(list)
    for id_, operation, path, query, body in rows:
        found[id_].append(PlannedCall(operation, path, query, body))
    return found


def _revisions(
    connection: Connection, own: Any
) -> tuple[Mapping[str, Sequence[PlannedCall]], Mapping[str, Sequence[str]]]:
    """What the edited ones asked first, and who changed what a proposal asks."""
    rows = connection.execute(
        select(revisions.c.proposal_id, revisions.c.calls, revisions.c.superseded_by)
        .where(revisions.c.proposal_id.in_(own))
        .order_by(revisions.c.proposal_id, revisions.c.revision)
    )
    first: dict[str, Sequence[PlannedCall]] = {}
    enders: defaultdict[str, list[str]] = defaultdict(list)
    for id_, planned, superseded_by in rows:
        first.setdefault(id_, tuple(PlannedCall(**call) for call in planned))
        enders[id_].append(superseded_by)
    return first, enders


def _outcomes(connection: Connection, own: Any) -> Mapping[str, Sequence[Outcome]]:
    rows = connection.execute(
        select(outcomes).where(outcomes.c.proposal_id.in_(own)).order_by(outcomes.c.at, outcomes.c.id)
    )
    found: defaultdict[str, list[Outcome]] = defaultdict(list)
    for row in rows:
        found[row.proposal_id].append(Outcome(row.proposal_id, OutcomeKind(row.kind), row.source, row.at))
    return found
