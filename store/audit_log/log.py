"""The log that everything is explained from: rows that can only be added, each hashed with the one before."""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from store.audit_log.old_sentences import read_sentence, read_transition
from store.audit_log.old_trust import old_change, old_policy
from store.engine.dialects import insert_new
from store.models.reasons import columns_of
from store.schema import marks
from store.schema.graduation import audit_log

HEAD = "audit_log"  # the mark that holds "SEQ HASH" of the newest row: a cut-off end is noticed
START = "0" * 64
# Built once: this runs several times for every proposal.
_MARK = update(marks).where(marks.c.name == HEAD)
_HELD = _MARK.values(value=marks.c.value).returning(marks.c.value)
_MOVED = _MARK.values(value=bindparam("head"))
_ADDED = insert(audit_log)


def append(
    connection: Connection, kind: str, subject: str | None, body: Mapping[str, Any], at: datetime
) -> str:
    """Add one row in the caller's transaction; its hash. `body` is plain JSON: no bytes, no datetimes.

    The mark's row is written first, so that two replicas add one after the other.
    """
    seq, previous = (_hold(connection) or _begin(connection)).split()
    number, text = int(seq) + 1, canonical(body)
    digest = row_hash(previous, seq=number, at=at, kind=kind, subject=subject, body=text)
    row = {"seq": number, "at": at, "kind": kind, "subject": subject, "body": text, "hash": digest}
    connection.execute(_ADDED, [row])
    connection.execute(_MOVED, {"head": f"{number} {digest}"})
    return digest


def _hold(connection: Connection) -> str | None:
    """The newest row's number and hash, held until the transaction ends."""
    found: str | None = connection.execute(_HELD).scalar()
    return found


def _begin(connection: Connection) -> str:
    insert_new(connection, marks, [{"name": HEAD, "value": f"0 {START}"}])
    return _hold(connection) or f"0 {START}"


def head(connection: Connection) -> tuple[int, str]:
    """The number and the hash of the newest row."""
    found = connection.execute(select(marks.c.value).where(marks.c.name == HEAD)).scalar()
    seq, digest = (found or f"0 {START}").split()
    return int(seq), digest


def canonical(body: Mapping[str, Any]) -> str:
    """JSON with sorted names and nothing between: the same content is the same text."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def fingerprint(
    operation: str, path: Mapping[str, Any], query: Mapping[str, Any], body: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A call as the log keeps it: its body, which may hold a secret, only as a hash."""
    digest = None if body is None else hashlib.sha256(canonical(body).encode()).hexdigest()
    return {"operation": operation, "path": dict(path), "query": dict(query), "body_sha256": digest}


def row_hash(previous: str, *, seq: int, at: datetime, kind: str, subject: str | None, body: str) -> str:
    """The hash of one row: of the hash before it and of everything in it."""
    parts = (previous, seq, at.isoformat(), kind, subject, body)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _old_transition(body: dict[str, Any]) -> dict[str, Any]:
    if "reason" not in body:
        return body
    said = body.pop("reason")
    return body | columns_of(None if said is None else read_transition(body["from"], body["to"], said))


def _old_answer(body: dict[str, Any]) -> dict[str, Any]:
    if "error" not in body:
        return body
    said = body.pop("error")
    return body | columns_of(None if said is None else read_sentence(said))


# What earlier versions called a kind of row and the names in its body, and what they wrote in other words or
# values; their rows stay as they are. (Not all of the old names are here yet: those that graduation reads.)
_OLD_KINDS: Mapping[str, str] = {"shape": "case_kind"}
_OLD_NAMES: Mapping[str, Mapping[str, str]] = {
    "case_kind": {
        "epoch": "generation",
        "epoch_at": "generation_at",
        "new_epoch": "new_generation",
        "decree": "manual_override",
        "words": "label",
    },
    "policy": {"shape": "case_kind"},
}
_OLD_VALUES: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "answer": _old_answer,
    "case_kind": old_change,
    "policy": old_policy,
    "transition": _old_transition,
}


def kinds_of(kind: str) -> tuple[str, ...]:
    """All names of a kind of row, the present one first."""
    return (kind, *(old for old, new in _OLD_KINDS.items() if new == kind))


def normalize(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A row's body in the names, codes and reasons of today."""
    present = _OLD_KINDS.get(kind, kind)
    names = _OLD_NAMES.get(present, {})
    found = {names.get(name, name): value for name, value in body.items()}
    rewrite = _OLD_VALUES.get(present)
    return found if rewrite is None else rewrite(found)
