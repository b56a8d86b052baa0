"""`polar-approvals verify-log`: find any altered, missing or moved row of the audit log."""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence

from bot.cli.command import from_database, parser, tells
from store.audit_log.verify import MOST_PROBLEMS, Problem, ProblemCode, Verified, knows, verify

_HEAD = re.compile(r"[0-9a-f]{8,64}")
_P = ProblemCode
_SENTENCES: Mapping[ProblemCode, str] = {
    _P.ALTERED: "row {row} ({about}) was altered, or the row before it was",
    _P.BEFORE_FIRST: "row {row} does not belong to the log: its numbers begin at 1",
    _P.MISSING: "{rows} missing",
    _P.MOVED: "row {row} stands in the place of row {place}: the order was changed",
    _P.CUT_OFF: "the log ends at row {row}, but row {written} was written",
    _P.NEWEST_REPLACED: "the newest row was replaced",
    _P.UNREADABLE: "row {row}: what is kept of {subject} was altered and cannot be read",
    _P.PERSONAL: "row {row} ({about}): its personal part was altered",
    _P.ERASED: "row {row} ({about}): its personal part is gone, and the log has no erasure of it",
    _P.UNLOGGED_DECISION: "a decision of {actor} on {proposal} is in no row of the log",
    _P.UNLOGGED_OUTCOME: "the outcome “{outcome}” of {proposal} is in no row of the log",
    _P.CALLS: "row {row}: the planned calls of {proposal} are not those of this row",
    _P.EVENT_GONE: "row {row}: webhook {event} is gone",
    _P.EVENT: "row {row}: webhook {event} was altered after {proposal} was proposed",
    _P.REQUEST: "row {row}: a call of {proposal} is not what was sent",
    _P.DECISION: "row {row}: the decision of {actor} on {proposal} was altered or removed",
    _P.OUTCOME: "row {row}: the outcome “{outcome}” of {proposal} was altered or removed",
    _P.GATE: "row {row}: what the policy said of {proposal} was altered or removed",
    _P.MODE: "row {row}: {proposal} is {kept}, but the policy said {logged}",
    _P.STATE: "{proposal} is {kept}, but the log says {logged}",
    _P.CASE_KIND: "the kind of case {hash:.12} is {kept}, but the log says {logged}",
    _P.PAUSE: "it is {not_}paused, but the log says otherwise",
}


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
    problems = [*map(sentence, found.problems), *_about_head(head, noted)]
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


def sentence(problem: Problem) -> str:
    """The problem, in words."""
    args = dict(problem.args)
    match problem.code:
        case ProblemCode.ALTERED | ProblemCode.PERSONAL | ProblemCode.ERASED:
            args["about"] = f"{args['kind']} {args['subject'] or ''}".strip()
        case ProblemCode.MISSING:
            first, last = args["first"], args["last"]
            args["rows"] = f"row {first} is" if first == last else f"rows {first} to {last} are"
        case ProblemCode.CASE_KIND:
            args |= {name: _standing(*args[name]) for name in ("kept", "logged")}
        case ProblemCode.PAUSE:
            args["not_"] = "" if args["kept"] else "not "
    return _SENTENCES[problem.code].format_map(args)


def _standing(state: str, generation: int, manual_override: bool) -> str:
    return f"{state} in generation {generation}{' by manual override' if manual_override else ''}"
