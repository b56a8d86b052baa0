"""`python -m bot verify-log`: whether the log is whole, every row unaltered and in its place."""

import argparse
import asyncio
import re
import sys
from collections.abc import Sequence

from bot.config.settings import SettingsError, load_settings
from store import Connection, open_store
from store.audit_log.verify import MOST_PROBLEMS, Verified, knows, verify
from store.engine.errors import StoreError

_HEAD = re.compile(r"[0-9a-f]{8,64}")


def run(argv: Sequence[str]) -> int:
    """0 when nothing is wrong, 1 when something is; works while the program runs."""
    parser = argparse.ArgumentParser(
        prog="python -m bot verify-log",
        description="Go through the log from its first row: each row's hash covers the row before it, so a "
        "row that was altered, removed or moved shows. Whoever can write to the database could rewrite "
        "all of it; --head shows that too.",
    )
    parser.add_argument(
        "--head",
        type=_head,
        metavar="HASH",
        help="a newest hash noted earlier (the morning digest in the channel says it); is it in the log?",
    )
    options = parser.parse_args(argv)
    try:
        url = load_settings().database_url.get_secret_value()
        found, noted = asyncio.run(_look(url, options.head))
    except (SettingsError, StoreError) as error:
        print(error, file=sys.stderr)
        return 1
    problems = [*found.problems, *_about_head(options.head, noted)]
    print(_said(found, noted))
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)
    if len(found.problems) >= MOST_PROBLEMS:
        print(f"  These are the first {MOST_PROBLEMS}; there may be more.", file=sys.stderr)
    print("Something is wrong." if problems else "Nothing is wrong.")
    return 1 if problems else 0


def _head(value: str) -> str:
    digest = value.strip().rstrip("…").lower()
    if not _HEAD.fullmatch(digest):
        msg = "must be a hash as the digest shows it: at least its first eight characters, 0-9 and a-f"
        raise argparse.ArgumentTypeError(msg)
    return digest


async def _look(url: str, head: str | None) -> tuple[Verified, int | None]:
    def both(connection: Connection) -> tuple[Verified, int | None]:
        return verify(connection), None if head is None else knows(connection, head)

    async with open_store(url, exclusive=False) as store:
        return await store.do(both)


def _said(found: Verified, noted: int | None) -> str:
    where = "" if noted is None else f"\nThe hash noted earlier is that of row {noted}."
    return f"Log: {found.rows:,} rows, newest hash {found.head}{where}"


def _about_head(head: str | None, noted: int | None) -> list[str]:
    if head is None or noted is not None:
        return []
    return [f"no row has the hash {head}: the log was rewritten since it was noted, or it is another log"]
