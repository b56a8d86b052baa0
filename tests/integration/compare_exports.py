"""Compare the exports of a database before and after migration 0004: they differ in names and codes alone.

By hand: `python -m tests.integration.compare_exports OLD.jsonl NEW.jsonl` prints each other difference.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Old name: new name, wherever a field of this name stands.
FIELDS: Mapping[str, str] = {
    "because": "reasons", "card_at": "first_shown_at", "deciding_by": "approval_checking_by",
    "decree": "manual_override", "digest": "content_hash", "drawn": "rendered_version", "edition": "revision",
    "editions": "revisions", "ended_at": "superseded_at", "ended_by": "superseded_by", "epoch": "generation",
    "held_until": "cancellable_until", "looks": "verify_attempts", "n": "cases", "k": "rejections",
    "on_hold_by": "held_by", "audits": "spot_checks", "pi": "spot_check_probability", "dead_man": "max_idle",
    "pressed_at": "clicked_at", "remarks": "comments", "seen_at": "shown_at", "shape": "case_kind",
    "tap": "interaction_id", "undoes": "undo_of_id", "undone_by": "undo_id", "version": "row_version",
}  # fmt: skip
# A sentence that became a code with arguments: (old field, field of the code, field of the arguments).
SENTENCES: Mapping[str, str] = {"note": "reason_code", "error": "reason_code"}
# Words of an enumeration that were renamed.
WORDS: Mapping[str, str] = {"audit": "spot_check"}
# Sentences that became codes elsewhere; a code stands there where a sentence stood.
CODED = frozenset({"always_asks", "withheld"})
_POLARS = frozenset({"answer", "body", "before", "reads", "path", "query", "facts"})  # as Polar has it


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """What differs beside names and codes, one line each."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name, value in old.items():
            yield from _field(name, value, new, f"{where}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f"{where}[{number}]")
    elif WORDS.get(str(old), old) != new:
        yield f"{where}: {old!r} became {new!r}"


def _field(name: str, value: Any, new: Mapping[str, Any], where: str) -> Iterator[str]:
    leaf = where.split(".")
    if any(part.partition("[")[0] in _POLARS for part in leaf[:-1]):
        yield from differences(value, new.get(name), where)
    elif name == "quiet":
        if new["has_card"] == value:
            yield f"{where}: {value} must be the other way round in has_card"
    elif name in SENTENCES or (name == "reason" and "reason_code" in new):
        yield from _said(value, new["reason_code"], where)
    elif name in ("why", "would_why") and "gate" in leaf:
        coded = new[{"why": "reason", "would_why": "would_reason"}[name]]
        yield from _said(value, None if coded is None else coded["code"], where)
    elif name == "paused" and "gate" in leaf:
        yield from _said(value, new["paused_by"], where)
    elif name == "text" and new.get("deleted"):
        yield from differences(value, f"(deleted) {new['text']}", where)
    elif name in CODED:
        yield from _said(value, new[name], where)
    else:
        yield from differences(value, new.get(FIELDS.get(name, name)), where)


def _said(sentence: str | None, code: str | None, where: str) -> Iterator[str]:
    if bool(sentence) != (code is not None):  # an empty sentence said nothing
        yield f"{where}: {sentence!r} became the code {code!r}"


def read(path: Path) -> dict[str, Any]:
    """The rows of an export of proposals by their ids."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["id"]: row for row in rows}


def main(before: str, after: str) -> int:
    """Print every difference; 1 when there is one."""
    old, new = read(Path(before)), read(Path(after))
    found = [] if old.keys() == new.keys() else [f"other proposals: {sorted(old.keys() ^ new.keys())}"]
    found += [
        f"{name}{line}" for name, row in old.items() if name in new for line in differences(row, new[name])
    ]
    print("\n".join(found) or f"{len(old)} proposals differ in names and codes alone.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
