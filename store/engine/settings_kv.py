"""Single values that the program keeps, by name: the head of the audit log, secrets, moments."""

from enum import StrEnum
from secrets import token_hex

from sqlalchemy import Connection, bindparam, select, update

from store.engine.dialects import insert_new
from store.schema import settings_kv


class Setting(StrEnum):
    """The names of the single values, and who writes them."""

    LOG_HEAD = "audit_log_head"  # store.audit_log.log: "SEQ HASH" of the newest row
    DRAW_SECRET = "draw_secret"  # noqa: S105 - store.graduation.case_kinds: what spot checks are drawn with
    LAST_HUMAN_AT = "last_human_at"  # store.graduation.case_kinds: when a person last decided anything
    LEARNED_ROW = "learned_row"  # store.graduation.learn: how far the audit log is read
    LEARNED_AT = "learned_at"  # store.graduation.labels: until when approvals are mature
    WRITE_TRIED = "write_tried"  # store.engine.store: what was written after a failed write
    ERASED_AT = "erased_at"  # store.erasure.erase: the newest night after which nothing was left to erase
    COUNTS_CHECKED = "counts_checked"  # store.graduation.count_check: the newest check, as JSON


# Built once: some of these run several times for every proposal.
_OWN = settings_kv.c.name == bindparam("setting")
_READ = select(settings_kv.c.value).where(_OWN)
_HELD = update(settings_kv).where(_OWN).values(value=settings_kv.c.value).returning(settings_kv.c.value)
_WRITTEN = update(settings_kv).where(_OWN).values(value=bindparam("new"))


def read(connection: Connection, setting: Setting) -> str | None:
    """The value, or None before the first."""
    value: str | None = connection.execute(_READ, {"setting": setting}).scalar()
    return value


def hold(connection: Connection, setting: Setting) -> str | None:
    """The value or None, safe from rivals until the transaction ends: it is written before it is read."""
    value: str | None = connection.execute(_HELD, {"setting": setting}).scalar()
    return value


def hold_or_set(connection: Connection, setting: Setting, first: str) -> str:
    """The value as `hold` gives it; `first` is written where there is none."""
    value = hold(connection, setting)
    if value is None:
        insert_new(connection, settings_kv, [{"name": setting, "value": first}])
        value = hold(connection, setting)
    assert value is not None  # noqa: S101 - it was inserted above
    return value


def write(connection: Connection, setting: Setting, value: str) -> None:
    """Change a value that is there."""
    connection.execute(_WRITTEN, {"setting": setting, "new": value})


def try_to_write(connection: Connection, size: int) -> None:
    """Write so many characters, which a full disk has no room for."""
    hold_or_set(connection, Setting.WRITE_TRIED, "")
    write(connection, Setting.WRITE_TRIED, token_hex(size // 2))  # nothing that could be compressed
