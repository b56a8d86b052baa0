"""`polar-approvals verify-log`: find any altered, missing or moved row of the audit log."""

import argparse
import re
import sys
from collections.abc import Sequence

from bot.cli.command import from_database, parser, tells
from store.audit_log.verify import MOST_PROBLEMS, Verified, knows, verify

_HEAD = re.compile(r"[0-9a-f]{8,64}")


@tells()
def run(argv: Sequence[str]) -> int:
    """0 when nothing is wrong, 1 when something is; works while the program runs."""
    arguments = parser(
        "verify-log",
        "Check the audit log from its first row. Each row's hash covers the row before it, so a row that was "
        "altered, removed or moved is found. Whoever can write to the database could rewrite all of it; "
        "--head finds that too.",
    )
    arguments.add_argument(
        "--head",
        type=_head,
        metavar="HASH",
        help="look for a newest hash that was noted earlier, such as that of a digest in the channel",
    )
    head = arguments.parse_args(argv).head
    found, noted = from_database(lambda log: (verify(log), None if head is None else knows(log, head)))
    problems = [*found.problems, *_about_head(head, noted)]
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


def _said(found: Verified, noted: int | None) -> str:
    where = "" if noted is None else f"\nThe hash noted earlier is that of row {noted}."
    return f"Log: {found.rows:,} rows, newest hash {found.head}{where}"


def _about_head(head: str | None, noted: int | None) -> list[str]:
    if head is None or noted is not None:
        return []
    return [f"no row has the hash {head}: the log was rewritten since it was noted, or it is another log"]
