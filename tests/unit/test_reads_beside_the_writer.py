"""What only looks runs beside the writer: screens, reports and timers hand it nothing but what writes."""

import ast
import dis
import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import CodeType
from typing import Any

import pytest
import sqlalchemy

import bot
from store.engine import dialects
from store.engine.leases import Leases
from store.events.events import insert_events
from store.graduation.case_kinds import pause
from store.messages.outbox import opened_home
from store.proposals.details import explained, keep_message
from store.proposals.lists import mine, queue
from store.proposals.stats import count_open
from store.proposals.timers import call_people, expire

# The line reads a row or two through the writer, where it is about to write them.
LINE = ("bot.approvals", "bot.pipeline", "bot.proposals", "bot.services", "bot.app")
LOOKS_TOO = ("bot.approvals.graduation", "bot.pipeline.timers", "bot.proposals.reads")
MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(bot.__path__, "bot.")
    if not name.startswith((*LINE, "bot.demo")) or name in LOOKS_TOO
]
WRITE = (
    sqlalchemy.insert,
    sqlalchemy.update,
    sqlalchemy.delete,
    dialects.insert_new,
    dialects.insert_new_by_driver,
    dialects.upsert_increment,
    dialects.upsert_newer,
)
ON_LEASES = {"take", "release", "releasing", "extend", "renew", "expire"}


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


def writes(query: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a query inserts, updates or deletes, by itself or through a function of the store."""
    if query in WRITE:
        return True
    if not inspect.isfunction(query) or query in seen or not query.__module__.startswith("store."):
        return False
    steps = [step for code in _codes(query.__code__) for step in dis.get_instructions(code)]
    names = {step.argval for step in steps if step.opname == "LOAD_GLOBAL"}
    used = [query.__globals__[name] for name in names if name in query.__globals__]
    if any(isinstance(one, Leases) for one in used) and any(step.argval in ON_LEASES for step in steps):
        return True
    return any(writes(one, seen | {query}) for one in used if callable(one))


def handed_over(code: str, *methods: str) -> list[str]:
    """The queries that are handed to `store.do(…)`, `store.read(…)` and so on, by their names."""
    return [
        ast.unparse(call.args[0])
        for call in ast.walk(ast.parse(code))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in methods
        and ast.unparse(call.func.value).rpartition(".")[2] in ("store", "_store")
    ]


@pytest.mark.parametrize("name", MODULES)
def test_the_writer_is_handed_nothing_that_only_looks(name: str) -> None:
    module = import_module(name)
    asked = handed_over(inspect.getsource(module) or "", "do", "do_for_person", "do_together")

    assert [query for query in asked if not writes(getattr(module, query, None))] == []


@pytest.mark.parametrize("query", [insert_events, opened_home, keep_message, expire, pause, call_people])
def test_a_query_that_writes_is_known(query: Any) -> None:
    assert writes(query)


@pytest.mark.parametrize("query", [queue, mine, explained, count_open])
def test_a_query_that_only_looks_is_known(query: Any) -> None:
    assert not writes(query)


def test_a_query_is_found_however_it_is_handed_over() -> None:
    code = "async def f(self):\n    await self._services.store.do(queue, 1)\n    await store.do(\n        mine\n    )\n"

    assert handed_over(code, "do") == ["queue", "mine"]
