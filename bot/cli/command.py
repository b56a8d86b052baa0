"""Shared by all commands: the name in their usage, settings and database, printing of errors."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from bot.config.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from store import Connection

T = TypeVar("T")

Command = Callable[[Sequence[str]], int]
PROGRAM = "polar-approvals"


class CommandError(Exception):
    """The command cannot do what it was asked; the text says why."""


def parser(command: str, description: str | None, **options: Any) -> argparse.ArgumentParser:
    """The parser of one command."""
    return argparse.ArgumentParser(prog=f"{PROGRAM} {command}", description=description, **options)


def tells(*errors: type[Exception]) -> Callable[[Command], Command]:
    """Decorate a command: what it cannot use (settings, arguments, `errors`) is printed, its code is 1."""
    known: tuple[type[Exception], ...] = (CommandError, SettingsError, *errors)

    def decorate(run: Command) -> Command:
        @wraps(run)
        def checked(argv: Sequence[str]) -> int:
            try:
                return run(argv)
            except known as error:
                print(error, file=sys.stderr)
                return 1

        return checked

    return decorate


def from_database(query: "Callable[[Connection], T]") -> T:
    """The answer of a query on the database of the settings; it works while the program runs.

    Raises SettingsError, and CommandError for a database that cannot be used.
    """
    from store import open_store  # noqa: PLC0415 - wrong arguments are told without loading SQLAlchemy
    from store.engine.errors import StoreError  # noqa: PLC0415 - see above

    async def ask(url: str) -> T:
        async with open_store(url, exclusive=False) as store:
            return await store.read(query)

    url = load_settings().database_url.get_secret_value()
    try:
        return asyncio.run(ask(url))
    except StoreError as error:
        raise CommandError(str(error)) from error
