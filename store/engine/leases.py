"""Leases: who has taken a row works on it alone until the lease expires. One helper for every table.

A lease is a random token and a moment in the row itself. `take` writes both in one conditional update, so
of rivals exactly one gets each row. Every later write names the token (`held`): who was too slow changes
nothing. The token stays where only the time is taken away (`expire`): a holder that turns out to be alive may
still finish, as long as nobody else has taken the row.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnCollection,
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    Table,
    Text,
    Update,
    and_,
    bindparam,
    case,
    func,
    not_,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from store.engine.dialects import UtcDateTime, skip_locked
from store.engine.writer import without_turn
from store.models import EventState, ProposalState, RuleMatchState
from store.schema import bundles, events, outbox, pending_approvals, proposals, rule_matches
from store.schema.waiting import wishes

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
WISHES = Leases(wishes, true())  # a settled one is deleted
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
    for leases in (EVENTS, RULE_MATCHES, PENDING_APPROVALS, WISHES, EXECUTION, CARDS, BUNDLE_CARDS, OUTBOX):
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


# --- Cards --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class CardColumns:
    """The card columns of `proposals` or of `bundles`. `drawable` are the rows that get a card at all, which
    are drawn in this `order`.

    They stand in both tables. A table of messages of its own would cost more than it gives: a card is behind
    when its row has changed since, and only inside one table does a partial index hold those rows. Apart,
    each change of a proposal would write a second row, and the fifteen queries that read whole proposals
    would each need a join.
    """

    leases: Leases
    drawable: ColumnElement[bool]
    has_one: ColumnElement[bool]
    order: tuple[ColumnElement[Any], ...]

    @property
    def _c(self) -> ColumnCollection[str, Any]:
        return self.leases.table.c

    @property
    def behind(self) -> ColumnElement[bool]:
        """The row has changed since its card was drawn, or it has no card yet."""
        return self.leases.waits

    @property
    def due(self) -> ColumnElement[bool]:
        """The card is to be drawn at `NOW`."""
        return and_(self.drawable, self._c.card_due_at <= NOW)

    @property
    def free(self) -> ColumnElement[bool]:
        """The card is behind, is to be drawn at `NOW`, and nobody is drawing it."""
        return and_(self.behind, self.due, self.leases.free(NOW))

    def pick(
        self, connection: Connection, now: datetime, *, posted: bool, limit: int
    ) -> dict[str, datetime | None]:
        """Up to `limit` of the cards that are to be drawn and that are there (`posted`) or are not, by their
        keys, each with the note of an earlier try (`card_sent_at`).
        """
        if limit <= 0:
            return {}
        found = connection.execute(_picking(self, posted), {"now": now, "most": limit})
        return {row.id: row.card_sent_at for row in found}

    def take(
        self, connection: Connection, lease: Lease, picked: Mapping[str, datetime | None]
    ) -> list[tuple[Row[Any], datetime | None]]:
        """Take those of the cards picked that are still to be drawn.

        For one never posted it is noted that it is about to be (`card_sent_at`). Each row comes with the note
        of an earlier try: set, that try may have posted.
        """
        if not picked:
            return []
        # The condition stands here too: on PostgreSQL a rival may have taken a row that was picked.
        given = {"ids": list(picked), "now": lease.now, "until": lease.until, "token": lease.token}
        return [(row, picked[row.id]) for row in connection.execute(_taking(self), given)]

    def drawn(self, token: str, id_: str, *, version: int, place: tuple[str, str], **more: Any) -> Update:
        """The statement that notes that the card shows `version` and is at `place` (channel, ts)."""
        channel, ts = place
        values = {"rendered_version": version, "channel": channel, "card_ts": ts, "card_sent_at": None}
        return self.leases.releasing(token, id_, **values, **more)

    def not_drawn(
        self, connection: Connection, id_: str, *, token: str, due_at: datetime, certainly_not_posted: bool
    ) -> bool:
        """Let the card be tried again at `due_at`. False: the lease was lost."""
        forget = {"card_sent_at": None} if certainly_not_posted else {}
        return self.leases.release(connection, token, id_, card_due_at=due_at, **forget)


@cache
def _picking(cards: CardColumns, posted: bool) -> Select[Any]:
    own = cards.leases.table.c
    which = cards.has_one if posted else not_(cards.has_one)
    picked = select(own.id, own.card_sent_at).where(cards.free, which)
    return skip_locked(picked.order_by(*cards.order).limit(bindparam("most", type_=Integer)))


@cache
def _taking(cards: CardColumns) -> ReturningUpdate[Any]:
    own, leases = cards.leases.table.c, cards.leases
    sent_at = case((own.card_ts.is_(None), func.coalesce(own.card_sent_at, NOW)))
    taken = {leases.token: bindparam("token"), leases.expires_at: bindparam("until", type_=UtcDateTime)}
    which = own.id.in_(bindparam("ids", expanding=True))
    changed = update(leases.table).where(which, cards.free).values(taken | {"card_sent_at": sent_at})
    return changed.returning(leases.table)
