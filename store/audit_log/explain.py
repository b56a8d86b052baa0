"""Everything that explains one proposal, in one read: what is kept of it, and its rows of the log."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from store.audit_log.log import START, head
from store.graduation.case_kinds import get_shape
from store.models import OutcomeKind
from store.models.details import Dossier
from store.models.graduation import Outcome, Shape
from store.proposals.details import dossier
from store.schema.graduation import ledger, outcomes


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
    """A proposal with its dossier, its kind of case, what came of it, and the log about both of them.

    `head` is the newest row of the whole log: its number and hash.
    """

    dossier: Dossier
    shape: Shape | None
    outcomes: tuple[Outcome, ...]
    rows: tuple[LogRow, ...]
    trust: tuple[LogRow, ...]
    head: tuple[int, str]


def explained(connection: Connection, proposal_id: str) -> Explained | None:
    """All of it; None when there is no such proposal."""
    found = dossier(connection, proposal_id)
    if found is None:
        return None
    shape = found.proposal.shape
    came = connection.execute(
        select(outcomes).where(outcomes.c.proposal_id == proposal_id).order_by(outcomes.c.at, outcomes.c.id)
    )
    return Explained(
        found,
        None if shape is None else get_shape(connection, shape),
        tuple(Outcome(row.proposal_id, OutcomeKind(row.kind), row.source, row.at) for row in came),
        tuple(_rows(connection, proposal_id)),
        () if shape is None else tuple(_rows(connection, shape)),
        head(connection),
    )


def _rows(connection: Connection, subject: str) -> list[LogRow]:
    earlier = ledger.alias()
    rows = connection.execute(
        select(ledger, earlier.c.hash.label("previous"))
        .join(earlier, earlier.c.seq == ledger.c.seq - 1, isouter=True)
        .where(ledger.c.subject == subject)
        .order_by(ledger.c.seq)
    )
    names = set(LogRow.__slots__) - {"previous"}
    return [
        LogRow(**{name: getattr(row, name) for name in names}, previous=row.previous or START) for row in rows
    ]
