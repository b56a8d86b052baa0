"""Everything that explains one proposal, in one read: its details and its rows of the log."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from store.audit_log.log import START, head
from store.engine.dialects import value_of
from store.graduation.case_kinds import get_case_kind
from store.models.details import ProposalDetails
from store.models.graduation import CaseKind, Outcome
from store.proposals.details import proposal_details
from store.schema.graduation import audit_log, outcomes


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row of the log as it lies there; `previous` is the hash of the row before it."""

    seq: int
    at: datetime
    kind: str
    subject: str | None
    body: str
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Explained:
    """A proposal with its details, its kind of case, what came of it, and the log about both of them.

    `head` is the newest row of the whole log: its number and hash.
    """

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
    came = connection.execute(
        select(outcomes).where(outcomes.c.proposal_id == proposal_id).order_by(outcomes.c.at, outcomes.c.id)
    )
    return Explained(
        found,
        None if case_kind is None else get_case_kind(connection, case_kind),
        tuple(value_of(Outcome, row) for row in came),
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
