"""Any order of takes, finishes, extensions and crashes: a lease has one holder, and ends when it says."""

import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection, Engine, create_engine, select

from store.engine.leases import OUTBOX, HeldRow, Lease, renew_leases
from store.messages.outbox import add_to_outbox
from store.schema import outbox
from store.schema.graduation import metadata

START = datetime(2026, 11, 21, 9, tzinfo=UTC)
_PICK = st.integers(0, 7)  # which of those there are: taken modulo their number
_SECONDS = st.integers(0, 90)


@dataclass
class Row:
    """A row as it must be: the token that may write it, until when nobody else may take it, and its fate."""

    token: str | None = None
    until: datetime | None = None
    done: bool = False

    def is_free(self, now: datetime) -> bool:
        return not self.done and (self.until is None or self.until < now)


class LeaseMachine(RuleBasedStateMachine):
    """Rows of a real database beside a model of them. Time is an argument and never goes back."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.engine: Engine = create_engine(f"sqlite:///{self.folder / 'leases.db'}")
        metadata.create_all(self.engine)
        self.now = START
        self.rows: dict[str, Row] = {}
        self.tokens: list[tuple[str, str]] = []  # every lease ever taken: (token, row), also the lost ones
        self.numbers = count()

    def teardown(self) -> None:
        self.engine.dispose()
        shutil.rmtree(self.folder)

    @initialize(rows=st.integers(1, 3))
    def begin(self, rows: int) -> None:
        for _ in range(rows):
            self.add()

    @rule()
    def add(self) -> None:
        id_ = f"row{next(self.numbers):03}"
        with self.engine.begin() as connection:
            assert add_to_outbox(connection, id_, kind="act", message={}, at=START)
        self.rows[id_] = Row()

    @rule(seconds=_SECONDS)
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def _taken(self, connection: Connection, lease: Lease, found: list[str], wanted: list[str]) -> None:
        assert found == wanted
        for id_ in found:
            self.rows[id_].token, self.rows[id_].until = lease.token, lease.until
            self.tokens.append((lease.token, id_))

    def _lease(self, seconds: int) -> Lease:
        return Lease(f"token{next(self.numbers)}", self.now, self.now + timedelta(seconds=seconds))

    @rule(limit=st.integers(1, 4), seconds=_SECONDS)
    def take(self, limit: int, seconds: int) -> None:
        """What is free goes to the one who asks, in order; what somebody holds does not."""
        lease = self._lease(seconds)
        free = sorted(id_ for id_, row in self.rows.items() if row.is_free(self.now))
        with self.engine.begin() as connection:
            taken = OUTBOX.take(connection, OUTBOX.taking(order=(outbox.c.id,)), lease, limit)
            self._taken(connection, lease, sorted(row.id for row in taken), free[:limit])

    @rule(pick=_PICK, seconds=_SECONDS)
    def take_one(self, pick: int, seconds: int) -> None:
        """One row by its key: the lease is given only where it is free."""
        lease, id_ = self._lease(seconds), sorted(self.rows)[pick % len(self.rows)]
        with self.engine.begin() as connection:
            taken = OUTBOX.take(connection, OUTBOX.taking_those(outbox.c.id == id_), lease)
            free = [id_] if self.rows[id_].is_free(self.now) else []
            self._taken(connection, lease, [row.id for row in taken], free)

    @precondition(lambda self: self.tokens)
    @rule(pick=st.integers(0, 50), done=st.booleans())
    def give_back(self, pick: int, done: bool) -> None:
        """A holder, perhaps of a lease that was lost long ago, finishes or postpones: only the last one can."""
        token, id_ = self.tokens[pick % len(self.tokens)]
        row = self.rows[id_]
        values = {"sent_at": self.now} if done else {"note": "later"}
        with self.engine.begin() as connection:
            assert OUTBOX.release(connection, token, id_, **values) == (row.token == token)
        if row.token == token:
            self.rows[id_] = Row(done=done)

    @precondition(lambda self: self.tokens)
    @rule(pick=st.integers(0, 50), seconds=_SECONDS)
    def extend(self, pick: int, seconds: int) -> None:
        token, id_ = self.tokens[pick % len(self.tokens)]
        row, until = self.rows[id_], self.now + timedelta(seconds=seconds)
        with self.engine.begin() as connection:
            assert OUTBOX.extend(connection, token, id_, until=until) == (row.token == token)
        if row.token == token:
            row.until = until

    @precondition(lambda self: self.tokens)
    @rule(picks=st.lists(_PICK, min_size=1, max_size=4), seconds=_SECONDS)
    def renew(self, picks: list[int], seconds: int) -> None:
        """Of several leases, lost ones among them, those still held end no sooner than then."""
        held = [self.tokens[pick % len(self.tokens)] for pick in picks]
        until = self.now + timedelta(seconds=seconds)
        with self.engine.begin() as connection:
            renew_leases(connection, [HeldRow(OUTBOX, token, (id_,)) for token, id_ in held], until)
        for token, id_ in held:
            row = self.rows[id_]
            if row.token == token and row.until is not None:
                row.until = max(row.until, until)

    @rule()
    def restart(self) -> None:
        """Whoever held a lease is dead: everything that waits is free, and its token still counts."""
        with self.engine.begin() as connection:
            OUTBOX.expire(connection)
        for row in self.rows.values():
            row.until = None if not row.done else row.until

    @invariant()
    def the_database_holds_what_the_model_does(self) -> None:
        kept = select(outbox.c.id, outbox.c.lease_token, outbox.c.lease_expires_at, outbox.c.sent_at)
        with self.engine.begin() as connection:
            rows = connection.execute(kept).all()
        found = {row.id: Row(row.lease_token, row.lease_expires_at, row.sent_at is not None) for row in rows}
        assert found == self.rows


LeaseMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestLeases = LeaseMachine.TestCase
