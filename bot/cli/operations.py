"""`python -m bot operations [SEARCH]`: the catalog of everything Polar lets one do."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from polar.catalog import to_json


def run(argv: Sequence[str]) -> int:
    """Print the operations whose id, path or title has every word of SEARCH; 1 when there is none."""
    parser = argparse.ArgumentParser(prog="python -m bot operations", description=__doc__)
    parser.add_argument("--json", action="store_true", help="as a JSON list, with everything that is known")
    parser.add_argument("search", nargs="*", metavar="SEARCH", help="words to look for")
    options = parser.parse_args(argv)
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
