"""Leases: who has taken a row works on it alone until the lease expires. One helper for every table.

A lease is a random token and a moment in the row itself. `take` writes both in one conditional update, so
of rivals exactly one gets each row. Every later write names the token (`held`): who was too slow changes
nothing. The token stays where only the time is taken away (`expire`): a holder that turns out to be alive may
still finish, as long as nobody else has taken the row.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Table,
    Text,
    Update,
    and_,
    bindparam,
    or_,
    select,
    tuple_,
    update,
)

from store.engine.dialects import UtcDateTime
from store.engine.locks import skip_locked
from store.engine.writer import without_turn
from store.models import EventState, ProposalState, RuleMatchState
from store.schema import bundles, events, outbox, pending_approvals, proposals, rule_matches

# The moment of a statement that is built once and executed often.
NOW: Any = bindparam("now", type_=UtcDateTime)
_UNTIL, _TOKEN = bindparam("until", type_=UtcDateTime), bindparam("token", type_=Text)
_LIMIT = bindparam("limit", type_=Integer)


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease to be taken: by whom, from when until when."""

    token: str
    now: datetime
    until: datetime


@dataclass(frozen=True, eq=False, slots=True)
class Leases:
    """The leases of one table: where they stand, and which rows may be taken at all."""

    table: Table
    waits: ColumnElement[bool]  # what is still to be done; a partial index holds these rows
    token: str = "lease_token"  # noqa: S105 - the name of a column
    expires_at: str = "lease_expires_at"

    @property
    def key(self) -> ColumnElement[Any]:
        """The primary key, as one value."""
        columns = list(self.table.primary_key)
        return columns[0] if len(columns) == 1 else tuple_(*columns)

    def free(self, now: datetime) -> ColumnElement[bool]:
        """Nobody works on the row: it was never taken, or its lease has expired."""
        expires_at = self.table.c[self.expires_at]
        return or_(expires_at.is_(None), expires_at < now)

    def held(self, token: str, *key: Any) -> ColumnElement[bool]:
        """The row with this primary key is still held under `token`."""
        own = (column == value for column, value in zip(self.table.primary_key, key, strict=True))
        return and_(*own, self.table.c[self.token] == token)

    def taking(self, *due: ColumnElement[bool], order: Sequence[Any], **values: Any) -> Update:
        """The statement for `take`, built once: it takes rows that are `due` (at `NOW`), in this order."""
        # A CTE: PostgreSQL may run a subquery several times, and lock more rows each time.
        found = select(*self.table.primary_key).where(self.waits, *due, self.free(NOW))
        picked = select(*skip_locked(found.order_by(*order).limit(_LIMIT)).cte("picked").c)
        return self.taking_those(self.key.in_(picked), *due, **values)

    def taking_those(self, *which: ColumnElement[bool], **values: Any) -> Update:
        """The statement that takes the rows that `which` picks, if they wait and are free."""
        # The condition stands here too: on PostgreSQL a rival may have taken a row that was picked.
        where = (self.waits, *which, self.free(NOW))
        taken = {self.token: _TOKEN, self.expires_at: _UNTIL}
        return update(self.table).where(*where).values(taken | values).returning(self.table)

    def take(
        self, connection: Connection, taking: Update, lease: Lease, limit: int | None = None, **given: Any
    ) -> Sequence[Row[Any]]:
        """Take up to `limit` rows; they come as they now are. One that a rival writes at the moment is left
        out: it waits for nobody. `given` are the statement's other parameters.
        """
        given |= {"token": lease.token, "now": lease.now, "until": lease.until}
        return connection.execute(taking, given if limit is None else given | {"limit": limit}).all()

    def releasing(self, token: str, *key: Any, **values: Any) -> Update:
        """The statement that gives a row back with what came of it."""
        given_back = {self.token: None, self.expires_at: None}
        return update(self.table).where(self.held(token, *key)).values(given_back | values)

    def release(self, connection: Connection, token: str, *key: Any, **values: Any) -> bool:
        """Give a row back with what came of it. False: the lease was lost, and nothing is written."""
        return connection.execute(self.releasing(token, *key, **values)).rowcount == 1

    def extend(self, connection: Connection, token: str, *key: Any, until: datetime) -> bool:
        """Let the lease expire at `until`; its holder may still finish. False: the lease was lost."""
        own = update(self.table).where(self.held(token, *key)).values({self.expires_at: until})
        return connection.execute(own).rowcount == 1

    def renew(self, connection: Connection, held: Sequence["HeldRow"], until: datetime) -> None:
        """Let the leases on these rows expire no sooner than `until`. Those that were lost stay lost."""
        keys = [one.key if len(one.key) > 1 else one.key[0] for one in held]
        token, expires_at = self.table.c[self.token], self.table.c[self.expires_at]
        # Key and token together: a row may be lost under one token and held under that of another row. The
        # keys alone are what an index finds.
        pairs = tuple_(*self.table.primary_key, token).in_([(*one.key, one.token) for one in held])
        own = (self.key.in_(keys), pairs, expires_at < until)
        mine = select(*skip_locked(select(*self.table.primary_key).where(*own)).cte("mine").c)
        renewed = update(self.table).where(self.key.in_(mine), *own[1:])
        connection.execute(renewed.values({self.expires_at: until}))

    def expire(self, connection: Connection) -> None:
        """Let every lease on what waits expire: whoever held one is dead."""
        expires_at = self.table.c[self.expires_at]
        held = (self.waits, expires_at.is_not(None))
        connection.execute(update(self.table).where(*held).values({self.expires_at: None}))


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A row that somebody works on: whose lease it is, and its primary key."""

    leases: Leases
    token: str
    key: tuple[Any, ...]

    @classmethod
    def of(cls, leases: Leases, token: str, row: Any) -> "HeldRow":
        """From a row as a value, which has the columns of the key."""
        return cls(leases, token, tuple(getattr(row, column.name) for column in leases.table.primary_key))


class Held:
    """The rows that this process works on at the moment."""

    def __init__(self) -> None:
        self._rows: Counter[HeldRow] = Counter()
        self.renewed_at = datetime.min.replace(tzinfo=UTC)

    @contextmanager
    def working(self, row: HeldRow) -> Iterator[None]:
        """Somebody works on the row until the block ends: its lease is renewed."""
        self._rows[row] += 1
        try:
            yield
        finally:
            self._rows[row] -= 1
            self._rows = +self._rows

    def rows(self) -> list[HeldRow]:
        """All of them."""
        return list(self._rows)


# Every lease that the program takes.
EVENTS = Leases(events, events.c.state == EventState.NEW)
RULE_MATCHES = Leases(rule_matches, rule_matches.c.state == RuleMatchState.WAITING)
PENDING_APPROVALS = Leases(pending_approvals, pending_approvals.c.closed_at.is_(None))
UNKNOWN = Leases(proposals, proposals.c.state == ProposalState.UNKNOWN)
EXECUTION = Leases(
    proposals, proposals.c.state.in_([ProposalState.APPROVED, ProposalState.EXECUTING, ProposalState.UNKNOWN])
)
_CARD = ("card_lease_token", "card_lease_expires_at")
CARDS = Leases(proposals, proposals.c.rendered_version < proposals.c.row_version, *_CARD)
BUNDLE_CARDS = Leases(bundles, bundles.c.rendered_version < bundles.c.row_version, *_CARD)
OUTBOX = Leases(outbox, outbox.c.sent_at.is_(None))


def expire_all_leases(connection: Connection) -> None:
    """At the start of the only process: whoever held a lease is dead, so nobody waits for it to expire."""
    for leases in (EVENTS, RULE_MATCHES, PENDING_APPROVALS, EXECUTION, CARDS, BUNDLE_CARDS, OUTBOX):
        leases.expire(connection)


@without_turn
def renew_leases(connection: Connection, held: Sequence[HeldRow], until: datetime) -> None:
    """Let the leases on these rows expire no sooner than `until`, for as long as nobody else has taken them.

    A row that a rival writes at the moment is left for the next time: this waits for nobody.
    """
    of: defaultdict[Leases, list[HeldRow]] = defaultdict(list)
    for one in held:
        of[one.leases].append(one)
    for leases, rows in of.items():
        leases.renew(connection, rows, until)
