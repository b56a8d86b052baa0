"""Values and source text for whoever looks closely: without secrets, in pieces that Slack takes. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from bot.sanitize import clean
from bot.ui.text import Element, glue, line, preformatted
from polar import redaction

_PIECE = 2_400  # characters of one preformatted block
_MOST_PIECES = 8  # of one value: 19,000 characters; the rest is in the export
# Whoever has these may act: they are not shown to everybody who can open the details.
_BEARER = redaction.SECRET | {"client_secret", "secret", "token", "access_token", "customer_session_token"}


def public(value: Any, name: str = "") -> Any:
    """A webhook's content for everybody who may look: no secrets, and of links the host only."""
    if value is None:
        return None
    if name in _BEARER:
        return redaction.ending(value)
    if isinstance(value, Mapping):
        return {key: public(each, str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [public(each, name) for each in value]
    if isinstance(value, str) and name.endswith("url"):
        return redaction.host(value)
    return value


def toml(source: Mapping[str, Any]) -> str:
    """A rule's content much as it stands in its file."""
    plain = [f"{name} = {_toml(value)}" for name, value in source.items() if not isinstance(value, Mapping)]
    tables = [
        f"\n[{name}]\n" + "\n".join(f"{key} = {_toml(each)}" for key, each in value.items())
        for name, value in source.items()
        if isinstance(value, Mapping)
    ]
    return "\n".join([*plain, *tables])


def _toml(value: Any) -> str:
    if isinstance(value, str) and "\n" in value:
        return f"'''\n{value}'''"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False, default=str)


def pretty(value: Any) -> str:
    """JSON to be read."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def code(text: str) -> list[Element]:
    """Text as it is, line by line, in pieces that Slack takes; what is left out is counted."""
    pieces = [""]
    for row in (_visible(one) for one in text.splitlines()):
        if len(pieces[-1]) + len(row) >= _PIECE:
            pieces.append("")
        pieces[-1] += f"{row}\n"
    shown = [piece for piece in pieces if piece.strip()][:_MOST_PIECES]
    left = len(text) - sum(len(piece) for piece in shown)
    more = (
        [line(glue(f"and {left} more characters: see `polar-approvals export`"))]
        if len(pieces) > _MOST_PIECES
        else []
    )
    return [preformatted(piece.rstrip("\n")) for piece in shown] + more


def _visible(row: str) -> str:
    """One line without what can hide text or turn it around; its indentation stays."""
    indent = len(row) - len(row.lstrip(" "))
    return " " * min(indent, 40) + clean(row, _PIECE - 100)
