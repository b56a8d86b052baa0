"""UtcDateTime: an instant comes back exactly, in UTC, and compares in SQL as it does in Python."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, literal, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import StatementError

from store.engine.dialects import UtcDateTime

_OFFSETS = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)).map(timezone)
# A day from either end, so that the instant in UTC is one that Python can hold.
_INSTANTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=_OFFSETS)  # noqa: DTZ001 - bounds
_ENGINE = create_engine("sqlite://")


@given(_INSTANTS)
def test_an_instant_comes_back_exactly_and_in_utc(instant: datetime) -> None:
    with _ENGINE.connect() as connection:
        found = connection.execute(select(literal(instant, UtcDateTime))).scalar_one()
    assert found == instant
    assert found.tzinfo is UTC


@given(_INSTANTS, _INSTANTS)
def test_instants_are_ordered_in_the_database_as_in_python(one: datetime, other: datetime) -> None:
    kind, dialect = UtcDateTime(), sqlite.dialect()
    kept = [kind.process_bind_param(value, dialect) for value in (one, other)]
    assert (kept[0] < kept[1], kept[0] == kept[1]) == (one < other, one == other)


def test_no_instant_stays_none() -> None:
    with _ENGINE.connect() as connection:
        assert connection.execute(select(literal(None, UtcDateTime))).scalar_one() is None


@given(st.datetimes())
def test_a_naive_datetime_is_refused(naive: datetime) -> None:
    with _ENGINE.connect() as connection, pytest.raises(StatementError, match="naive"):
        connection.execute(select(literal(naive, UtcDateTime)))
