"""Make untrusted text safe to show."""

import unicodedata

# Control, format (zero-width and bidirectional marks), surrogate, private and unassigned characters: they
# can hide text, turn its order around or fail to encode.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


_BREAKS = frozenset({"Zl", "Zp"})


def clean(text: str, limit: int) -> str:
    """`text` on one line, at most `limit` characters, without invisible or reordering characters."""
    safe = "".join(_safe(char) for char in text[: limit * 4])
    line = " ".join(safe.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _safe(char: str) -> str:
    if char.isspace() or unicodedata.category(char) in _BREAKS:
        return " "
    return "" if unicodedata.category(char) in _UNSAFE else char
