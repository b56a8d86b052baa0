"""`polar-approvals export events|proposals|decisions`: print what is stored, one JSON object a line."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from bot.cli.command import beside_the_program, parser, tells
from bot.explain.document import WITHHELD
from bot.graduation.gate import BLIND
from polar.redaction import redacted, without_secrets
from store import Connection, Store
from store.events.events import all_events
from store.models import Decision, PlannedCall, Proposal, StoredEvent
from store.models.details import Comment, Revision
from store.models.reasons import Reason, columns_of
from store.proposals.decisions import all_decisions, newest_decision
from store.proposals.details import comments_of, decisions_of, revisions_of
from store.proposals.proposals import all_proposals, proposal_ids, trail

_SLICE = 100  # rows that are read in one transaction: while somebody reads what is printed none is open

Rows = AsyncIterator[Sequence[Mapping[str, Any]]]


async def _events(store: Store) -> Rows:
    last = None
    while found := await store.read(_some_events, last):
        yield [_event(event) for event in found]
        last = found[-1]


def _event(event: StoredEvent) -> Mapping[str, Any]:
    return _with_columns(asdict(event)) | {"body": without_secrets(json.loads(event.body))}


def _some_events(connection: Connection, after: StoredEvent | None) -> list[StoredEvent]:
    return list(all_events(connection, after=after, most=_SLICE))


async def _decisions(store: Store) -> Rows:
    for number in range(0, await store.read(newest_decision), _SLICE):
        yield await store.read(_some_decisions, number)


def _some_decisions(connection: Connection, after: int) -> list[Mapping[str, Any]]:
    return [asdict(decision) for decision in all_decisions(connection, after=after, until=after + _SLICE)]


async def _proposals(store: Store) -> Rows:
    ids = await store.read(proposal_ids)
    for start in range(0, len(ids), _SLICE):
        yield await store.read(_some_proposals, ids[start : start + _SLICE])


def _some_proposals(connection: Connection, ids: Sequence[str]) -> list[Mapping[str, Any]]:
    return [_proposal(connection, proposal) for proposal in all_proposals(connection, ids)]


def _proposal(connection: Connection, proposal: Proposal) -> Mapping[str, Any]:
    changes = [_with_columns(asdict(change)) for change in trail(connection, proposal.id)]
    blind = proposal.state in BLIND
    return (
        _with_columns(asdict(proposal))
        | ({"mode": None, "gate": None} if blind else {})
        | {
            "withheld": WITHHELD if blind else None,
            "reads": _reads(proposal.reads),
            "calls": [_with_columns(asdict(call)) | _without_secrets(call) for call in proposal.calls],
            "trail": [{"from": change.pop("from_"), **change} for change in changes],
            "decisions": [_about(decision) for decision in decisions_of(connection, proposal.id)],
            "revisions": [_revision(revision) for revision in revisions_of(connection, proposal.id)],
            "comments": [_about(comment) for comment in comments_of(connection, proposal.id)],
        }
    )


def _with_columns(row: dict[str, Any]) -> dict[str, Any]:
    """The reason in a row, under the names that it has in the tables and in the log."""
    reason = row.pop("status_reason" if "status_reason" in row else "reason")
    return row | columns_of(None if reason is None else Reason(**reason))


def _about(one: Decision | Comment) -> dict[str, Any]:
    """A decision or a comment inside its proposal."""
    return {name: value for name, value in asdict(one).items() if name != "proposal_id"}


def _revision(revision: Revision) -> dict[str, Any]:
    names = ("operation", "path", "query", "body")
    calls = [PlannedCall(*(each[name] for name in names)) for each in revision.calls]
    return asdict(revision) | {"calls": [asdict(call) | _without_secrets(call) for call in calls]}


def _reads(reads: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The kept answers to reads, without secrets. A read's name is a rule's word, no field of Polar's."""
    return None if reads is None else {name: without_secrets(read) for name, read in reads.items()}


def _without_secrets(call: PlannedCall) -> dict[str, Any]:
    """The values that a call sends, without secrets: a customer's key stays in the database."""
    return {name: redacted(getattr(call, name), name) for name in ("path", "query", "body")}


_EXPORTS: Mapping[str, Callable[[Store], Rows]] = {
    "events": _events,
    "proposals": _proposals,
    "decisions": _decisions,
}


@tells()
def run(argv: Sequence[str]) -> int:
    """Print what is stored; works while the program runs."""
    about = "Print what is stored, one JSON object a line. Works while the program runs."
    arguments = parser("export", about)
    arguments.add_argument("what", choices=list(_EXPORTS))
    arguments.add_argument("--format", choices=["jsonl"], default="jsonl")
    export = _EXPORTS[arguments.parse_args(argv).what]

    async def lines(store: Store) -> int:
        async for rows in export(store):
            for row in rows:
                print(json.dumps(row, default=_plain, ensure_ascii=False))
        return 0

    return beside_the_program(lines)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    raise TypeError(f"{type(value).__name__} cannot be printed")
