"""Compare the exports of a database before and after migration 0004: they differ in names and codes alone.

A code with its arguments says what the sentence said that it replaces, to the letter but for REWORDED.

By hand: `python -m tests.integration.compare_exports OLD.jsonl NEW.jsonl` prints each other difference.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bot.ui.graduation_words import because_words, reason_words
from bot.ui.reasons import condition, plain
from store.models import change_key
from store.models.reasons import read_policy_reason, read_reason

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
# Old sentence: what is said today, as for `re.sub`, for every sentence that was reworded on purpose. What stands
# beside it, such as the arguments, is compared as well. A line may be there before its rewording.
REWORDED: Mapping[str, str] = {
    r"^A person (?=says that it)": "Somebody ",  # the log says who
    r"^It was already so\.": "Polar already had this state.",
    r"^Of (\d+) calls, (\d+) found it already so\.": r"For \2 of \1 calls, Polar already had this state.",
    r"it no longer applies \((.*)\)\.$": r"it no longer applies. (No longer true: \1)",
    r"^It no longer meets its (?:bar|threshold): (.*)\. It goes on asking\.$": r"The kind no longer meets its threshold: \1. Its cases still ask a person.",
    r"^It was about to run on its own; .*": "Automatic run cancelled: the kind was demoted or paused, or the approval expired.",
    r"whether it still applies cannot be told (?=\()": "the program could not check whether it still applies ",
    r"Checking whether it still applies: ": "The program could not check whether it still applies: ",
    r"what it was before could not be read\.$": "the values from before the call could not be read.",
    r"run on their own from now on, under the caps and with audits\.$": "now run automatically, within the caps and with spot checks.",
    r"^it is about trust itself$": "it is about automatic runs themselves",
    r"^drawn for an audit$": "drawn for a spot check",
    r"^everything is paused: (?=by )": "everything is paused ",
    r"^its score is below the bar now$": "its score is below the threshold now",
    r"^(?:nobody knows its customer|its customer is not known), so no cap of theirs can hold$": "its customer is not known, so the cap of one customer cannot be checked",
    r"^What the policy said of it is told once it is decided: .*": "What the policy said is shown once the case is decided, so that spot checks stay unbiased.",
}  # fmt: skip
# Fields of sentences that became a code with arguments.
SENTENCES = frozenset({"note", "error"})
# Words of an enumeration that were renamed.
WORDS: Mapping[str, str] = {"audit": "spot_check"}
_LONG = 2_000  # more characters than any sentence has
_POLARS = frozenset({"answer", "body", "before", "reads", "path", "query", "facts"})  # as Polar has it


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """What differs beside names and codes, one line each."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name, value in old.items():
            yield from _field(name, _as_kept(name, value, new), new, f"{where}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f"{where}[{number}]")
    elif WORDS.get(str(old), old) != new:
        yield f"{where}: {old!r} became {new!r}"


def _as_kept(name: str, value: Any, new: Mapping[str, Any]) -> Any:
    """A rule's own key that may name a person is kept as a hash."""
    return change_key(value) if name == "fact_key" and value != new[name] else value


def _field(name: str, value: Any, new: Mapping[str, Any], where: str) -> Iterator[str]:
    leaf = where.split(".")
    if any(part.partition("[")[0] in _POLARS for part in leaf[:-1]):
        yield from differences(value, new.get(name), where)
    elif name == "quiet":
        if new["has_card"] == value:
            yield f"{where}: {value} must be the other way round in has_card"
    elif name in SENTENCES or (name == "reason" and "reason_code" in new):
        reason = read_reason(new["reason_code"], new["reason_args"])
        beside = condition(reason)  # a card shows it as a line of its own
        words = reason and plain(reason, _LONG) + (f" ({beside})" if beside else "")
        yield from _said(value, words, where)
    elif name in ("why", "would_why") and "gate" in leaf:
        coded = new[{"why": "reason", "would_why": "would_reason"}[name]]
        yield from _said(value, coded and reason_words(read_policy_reason(coded)), where)
    elif name == "paused" and "gate" in leaf:
        yield from _said(value, new["paused_by"] and f"by {new['paused_by']}", where)
    elif name == "text" and new.get("deleted"):
        yield from differences(value, f"(deleted) {new['text']}", where)
    elif name == "always_asks":
        yield from _said(value, new[name] and because_words(new[name]), where)
    elif name == "withheld":
        yield from _said(value, new[name], where)
    else:
        yield from differences(value, new.get(FIELDS.get(name, name)), where)


def _said(sentence: str | None, words: str | None, where: str) -> Iterator[str]:
    if _today(sentence) != _today(words):
        yield f"{where}: {sentence!r} became {words!r}"


def _today(sentence: str | None) -> str | None:
    for old, new in REWORDED.items():
        sentence = sentence and re.sub(old, new, sentence)
    return sentence or None  # an empty sentence said nothing


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
