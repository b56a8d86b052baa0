"""Queries on the past as a replay walks it: each case with all that came of it, in a few passes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from store.engine.settings_kv import Setting, read
from store.graduation.evidence import evidence
from store.models import NewProposal, PlannedCall, ProposalKind, ProposalState
from store.models.graduation import NewCaseKind, PastCase
from store.schema import calls, proposals
from store.schema.graduation import case_kinds


def past_cases(
    connection: Connection, *, case_kind: str | None = None, most: int | None = None
) -> list[PastCase]:
    """The proposals of rules, oldest first: all, or of one kind of case the newest `most`."""
    own = _ids(connection, case_kind, most)
    rows = connection.execute(
        select(*_COLUMNS).where(proposals.c.id.in_(own)).order_by(proposals.c.created_at, proposals.c.id)
    ).all()
    planned, known = _calls(connection, own), evidence(connection, own)
    money = _money(connection, known.first_calls)
    cases = []
    for row in rows:
        id_ = row[0]
        amount, currency = money.get(id_, (row.amount, row.currency))
        asked = known.first_calls.get(id_) or planned.get(id_, ())
        cases.append(
            PastCase(
                proposal=_as_asked(row, asked, amount, currency),
                state=ProposalState(row.state),
                first_shown_at=row.first_shown_at,
                **known.of(id_),
            )
        )
    return cases


def _ids(connection: Connection, case_kind: str | None, most: int | None) -> Any:
    """A choice of proposals: a query for all of them, a list for the few of one kind of case."""
    wanted = select(proposals.c.id).where(proposals.c.kind == ProposalKind.CALLS)
    if case_kind is None:
        return wanted
    # PostgreSQL takes what nobody has decided for the newest, SQLite for the oldest.
    last = proposals.c.decided_at.desc().nulls_last()
    newest = wanted.where(proposals.c.case_kind == case_kind).order_by(last).limit(most)
    return connection.execute(newest).scalars().all()


def kinds(connection: Connection) -> dict[str, NewCaseKind]:
    """Every known kind of case, by hash."""
    names = NewCaseKind.__slots__
    rows = connection.execute(select(*(case_kinds.c[name] for name in names)))
    return {row.hash: NewCaseKind(**{name: getattr(row, name) for name in names}) for row in rows}


def draw_secret(connection: Connection) -> bytes | None:
    """The secret that spot checks are drawn with; None before its first use. It is shown to nobody."""
    found = read(connection, Setting.DRAW_SECRET)
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
    """The amounts of edited cases before the edit, as the gate stored them."""
    found: dict[str, tuple[int, str]] = {}
    for id_ in edited:
        gate = connection.execute(select(proposals.c.gate).where(proposals.c.id == id_)).scalar() or {}
        if gate.get("amount"):
            found[id_] = (gate["amount"], gate["currency"])
    return found


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
