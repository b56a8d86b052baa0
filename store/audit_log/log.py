"""The audit log: rows that can only be added, each hashed with the one before.

Rows stay as they were written, whatever a later version calls things: `normalize` reads them in today's
words. What may tell of a person is in a row's `personal`, with a salt; its `body`, which is hashed, holds the
hash of that. So it can be erased, and the row is still what was hashed.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from store.audit_log.old_sentences import old_comment, read_transition
from store.audit_log.old_trust import old_change, old_policy, old_proposal
from store.engine.settings_kv import Setting, hold_or_set, read, write
from store.models import PlannedCall, canonical_json, sha256
from store.models.reasons import columns_of
from store.schema.graduation import audit_log

START = "0" * 64
_NOTHING = f"0 {START}"
_ADDED = insert(audit_log)  # built once: this runs several times for every proposal
# The names of what a row's body says of a person, today's and those of earlier versions.
_PERSONAL = frozenset(
    {
        "title", "content_hash", "digest", "calls", "path", "query", "body_sha256",
        "text", "reason", "reason_args", "error", "answer",
    }
)  # fmt: skip
_HELD = "personal"  # the name, in a body, of the hash of what is in `personal`
_SALT = "salt"
ERASED = "erased"  # the kind of row that says of a proposal that its texts were erased

# What earlier versions called a kind of row and the keys of its body, and what they wrote in other values.
# Add to these whenever the log changes its words; nothing is ever removed.
_OLD_KINDS: Mapping[str, str] = {"remark": "comment", "shape": "case_kind"}
# By today's kind.
_OLD_NAMES: Mapping[str, Mapping[str, str]] = {
    "proposed": {"shape": "case_kind", "digest": "content_hash"},
    "edited": {"edition": "revision", "digest": "content_hash"},
    "restated": {"edition": "revision", "digest": "content_hash"},
    "decision": {
        "edition": "revision",
        "tap": "interaction_id",
        "seen_at": "shown_at",
        "pressed_at": "clicked_at",
        "digest": "content_hash",
    },
    "policy": {"shape": "case_kind"},
    "transition": {"version": "row_version"},
    "case_kind": {
        "epoch": "generation",
        "epoch_at": "generation_at",
        "new_epoch": "new_generation",
        "decree": "manual_override",
        "words": "label",
    },
}


def _old_reason(body: dict[str, Any]) -> dict[str, Any]:
    """A change of state with its `reason`, or an answer with its `error`, as sentences."""
    old = next((name for name in ("reason", "error") if name in body), None)
    if old is None:
        return body
    said = body.pop(old)
    reason = None if said is None else read_transition(body.get("from"), body.get("to", ""), said)
    return body | columns_of(reason)


# By today's kind, once the names are today's.
_OLD_VALUES: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "answer": _old_reason,
    "case_kind": old_change,
    "comment": old_comment,
    **dict.fromkeys(("proposed", "edited", "restated"), old_proposal),
    "policy": old_policy,
    "transition": _old_reason,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A row to be added. `body` is plain JSON: no bytes, no datetimes."""

    kind: str
    subject: str | None
    body: Mapping[str, Any]
    at: datetime


def append(
    connection: Connection, kind: str, subject: str | None, body: Mapping[str, Any], at: datetime
) -> str:
    """Add one row in the caller's transaction; its hash."""
    (digest,) = append_all(connection, [Entry(kind, subject, body, at)])
    return digest


def append_all(connection: Connection, entries: Sequence[Entry]) -> list[str]:
    """Add rows in this order, in the caller's transaction; their hashes."""
    if not entries:
        return []
    # The head of the log is written first, so that two replicas add one after the other.
    seq, previous = hold_or_set(connection, Setting.LOG_HEAD, _NOTHING).split()
    rows: list[dict[str, Any]] = []
    for number, one in enumerate(entries, int(seq) + 1):
        text, personal = _set_apart(one.body)
        previous = row_hash(previous, seq=number, at=one.at, kind=one.kind, subject=one.subject, body=text)
        row = {"seq": number, "at": one.at, "kind": one.kind, "subject": one.subject}
        rows.append(row | {"body": text, "hash": previous, "personal": personal})
    connection.execute(_ADDED, rows)
    write(connection, Setting.LOG_HEAD, f"{rows[-1]['seq']} {previous}")
    return [row["hash"] for row in rows]


def _set_apart(body: Mapping[str, Any]) -> tuple[str, str | None]:
    """A body as it is hashed, and what it says of a person. The salt keeps anybody from guessing that."""
    personal = {name: value for name, value in body.items() if value and name in _PERSONAL}
    if not personal:
        return canonical_json(body), None
    text = canonical_json({**personal, _SALT: token_hex(16)})
    rest = {name: value for name, value in body.items() if name not in personal}
    return canonical_json({**rest, _HELD: sha256(text)}), text


def head(connection: Connection) -> tuple[int, str]:
    """The number and the hash of the newest row; a cut-off end is noticed by it."""
    seq, digest = (read(connection, Setting.LOG_HEAD) or _NOTHING).split()
    return int(seq), digest


def kinds_of(*kinds: str) -> list[str]:
    """These kinds of rows and what they were called earlier: for queries on rows as they lie there."""
    return [*kinds, *(old for old, new in _OLD_KINDS.items() if new in kinds)]


def read_row(kind: str, body: str, personal: str | None = None) -> tuple[str, dict[str, Any]]:
    """The kind and the body of a row in today's words, with what it says of a person as far as that is given.
    ValueError: no JSON object; somebody altered it.
    """
    kind, found, held = _OLD_KINDS.get(kind, kind), json.loads(body), json.loads(personal or "{}")
    if not (isinstance(found, dict) and isinstance(held, dict)):
        msg = "a row of the log is no JSON object"
        raise ValueError(msg)
    whole = {name: value for name, value in (found | held).items() if name not in (_HELD, _SALT)}
    return kind, normalize(kind, whole)


def personal_hash(body: str) -> str | None:
    """The hash, in a row's body, of what the row says of a person; None when it says nothing."""
    if f'"{_HELD}":"' not in body:
        return None
    found = json.loads(body)
    return found.get(_HELD) if isinstance(found, dict) else None


# --- Erasing what rows say of a person ----------------------------------------------------------------------

_ABOUT = (
    select(audit_log.c.seq, audit_log.c.body, audit_log.c.hash, audit_log.c.personal)
    .where(audit_log.c.subject == bindparam("about"))
    .order_by(audit_log.c.seq)
)
_GONE = update(audit_log).where(audit_log.c.subject == bindparam("about")).values(personal=None)
_REDACTED = update(audit_log).where(audit_log.c.seq == bindparam("own")).values(body=bindparam("left"))


def erase_personal(connection: Connection, subject: str, by: str, at: datetime) -> None:
    """Erase what the rows about a proposal say of a person, and add the row that says so.

    Rows of before `personal` say it in their bodies. These are redacted, and the new row vouches for each:
    its number, its hash as it was, and the hash of its body as it is now.
    """
    redacted = []
    for row in connection.execute(_ABOUT, {"about": subject}).all():
        found = json.loads(row.body)
        left = {name: value for name, value in found.items() if not (value and name in _PERSONAL)}
        if left != found:
            body = canonical_json(left)
            connection.execute(_REDACTED, {"own": row.seq, "left": body})
            redacted.append([row.seq, row.hash, sha256(body)])
    connection.execute(_GONE, {"about": subject})
    append(connection, ERASED, subject, {"by": by, "rows": redacted}, at)


def normalize(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A row's body in the names, codes and reasons of today. Every reader of a row goes through this."""
    present = _OLD_KINDS.get(kind, kind)
    names = _OLD_NAMES.get(present, {})
    found = {names.get(name, name): value for name, value in body.items()}
    rewrite = _OLD_VALUES.get(present)
    return found if rewrite is None else rewrite(found)


def fingerprint(
    operation: str, path: Mapping[str, Any], query: Mapping[str, Any], body: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A call as the log keeps it: its body, which may hold a secret, only as a hash."""
    digest = None if body is None else sha256(canonical_json(body))
    return {"operation": operation, "path": dict(path), "query": dict(query), "body_sha256": digest}


def fingerprints(planned: Iterable[PlannedCall]) -> list[dict[str, Any]]:
    """The fingerprint of each call."""
    return [fingerprint(call.operation, call.path, call.query, call.body) for call in planned]


def row_hash(previous: str, *, seq: int, at: datetime, kind: str, subject: str | None, body: str) -> str:
    """The hash of one row: of the hash before it and of everything in it."""
    parts = (previous, seq, at.isoformat(), kind, subject, body)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
