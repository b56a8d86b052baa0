"""`python -m bot export events|proposals|decisions`: what is stored, one JSON object a line."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.forms.redaction import redacted
from bot.settings import SettingsError, load_settings
from store import open_store
from store.decisions import all_decisions
from store.errors import StoreError
from store.events import all_events
from store.models import Call
from store.proposals import all_proposals, trail


def _events(connection: Connection) -> Iterator[Mapping[str, Any]]:
    for event in all_events(connection):
        yield asdict(event) | {"body": json.loads(event.body)}


def _proposals(connection: Connection) -> Iterator[Mapping[str, Any]]:
    for proposal in all_proposals(connection):
        changes = [asdict(change) for change in trail(connection, proposal.id)]
        yield asdict(proposal) | {
            "calls": [asdict(call) | _without_secrets(call) for call in proposal.calls],
            "trail": [{"from": change.pop("from_"), **change} for change in changes],
        }


def _without_secrets(call: Call) -> dict[str, Any]:
    """What a call sends, for other eyes: a customer's key stays in the database until it is sent."""
    return {name: redacted(getattr(call, name), name) for name in ("path", "query", "body")}


def _decisions(connection: Connection) -> Iterator[Mapping[str, Any]]:
    return (asdict(decision) for decision in all_decisions(connection))


_EXPORTS: Mapping[str, Callable[[Connection], Iterator[Mapping[str, Any]]]] = {
    "events": _events,
    "proposals": _proposals,
    "decisions": _decisions,
}


def run(argv: Sequence[str]) -> int:
    """Print what is stored; works while the program runs."""
    parser = argparse.ArgumentParser(prog="python -m bot export", description=__doc__)
    parser.add_argument("what", choices=list(_EXPORTS))
    parser.add_argument("--format", choices=["jsonl"], default="jsonl")
    options = parser.parse_args(argv)
    try:
        url = load_settings().database_url.get_secret_value()
        asyncio.run(_print(url, _EXPORTS[options.what]))
    except (SettingsError, StoreError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _print(url: str, export: Callable[[Connection], Iterator[Mapping[str, Any]]]) -> None:
    def lines(connection: Connection) -> None:
        for row in export(connection):
            print(json.dumps(row, default=_plain, ensure_ascii=False))

    async with open_store(url, exclusive=False) as store:
        await store.do(lines)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    msg = f"{type(value).__name__} cannot be printed"
    raise TypeError(msg)
