"""Shared by all commands: the name in their usage, settings and database, printing of errors."""

import argparse
import asyncio
import os
import re
import stat
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from bot.config.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from store import Connection, Store

T = TypeVar("T")

Command = Callable[[Sequence[str]], int]
PROGRAM = "polar-approvals"
VIA = "cli"  # how somebody decides who comes in here
_USER = re.compile(r"[UW][A-Z0-9]{2,}")


class CommandError(Exception):
    """The command cannot do what it was asked; the text says why."""


def parser(command: str, description: str | None, **options: Any) -> argparse.ArgumentParser:
    """The parser of one command."""
    return argparse.ArgumentParser(prog=f"{PROGRAM} {command}", description=description, **options)


def ask_who(arguments: argparse.ArgumentParser) -> None:
    """Have a command take `--as USER`: in whose name it acts."""
    arguments.add_argument(
        "--as",
        dest="user",
        required=True,
        type=_user,
        metavar="USER",
        help="the Slack user id (U…) of an approver",
    )


def _user(value: str) -> str:
    if not _USER.fullmatch(value):
        msg = "must be a Slack user id such as U012AB3CD (in Slack: profile, ⋮, Copy member ID)"
        raise argparse.ArgumentTypeError(msg)
    return value


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
    return beside_the_program(lambda store: store.read(query))


def beside_the_program(work: "Callable[[Store], Awaitable[T]]") -> T:
    """The result of work that only looks at the database of the settings; raises as `from_database` does.

    A new file that it is printed into is for its owner alone: it holds what customers wrote.
    """
    from store import open_store  # noqa: PLC0415 - wrong arguments are told without loading SQLAlchemy
    from store.engine.errors import StoreError  # noqa: PLC0415 - see above

    async def look(url: str) -> T:
        async with open_store(url, exclusive=False) as store:
            return await work(store)

    url = load_settings().database_url.get_secret_value()
    _keep_private(sys.stdout)
    try:
        return asyncio.run(look(url))
    except StoreError as error:
        raise CommandError(str(error)) from error


def _keep_private(output: TextIO) -> None:
    with suppress(OSError, ValueError):  # it is no file, or another user's
        found = os.fstat(output.fileno())
        if stat.S_ISREG(found.st_mode) and not found.st_size:
            os.fchmod(output.fileno(), stat.S_IRUSR | stat.S_IWUSR)
