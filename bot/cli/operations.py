"""`polar-approvals operations [SEARCH]`: print the catalog of Polar's operations."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from bot.cli.command import parser
from polar.catalog import to_json


def run(argv: Sequence[str]) -> int:
    """Print the operations whose id, path or title has every word of SEARCH; 1 when there is none."""
    arguments = parser("operations", "Print Polar's operations, each with its risk class.")
    arguments.add_argument("--json", action="store_true", help="print a JSON list with everything known")
    arguments.add_argument("search", nargs="*", metavar="SEARCH", help="words to look for")
    options = arguments.parse_args(argv)
    found = [one for one in to_json() if _has(one, options.search)]
    if options.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    elif not found:
        print("No operation has all these words in its id, path or title.", file=sys.stderr)
    else:
        for one in found:
            print(f"{one['risk']}  {one['id']:<46} {one['method']:<6} {one['path']:<62} {one['title']}")
    return 0 if found else 1


def _has(one: dict[str, Any], words: Sequence[str]) -> bool:
    text = f"{one['id']} {one['path']} {one['title']}".lower()
    return all(word.lower() in text for word in words)
