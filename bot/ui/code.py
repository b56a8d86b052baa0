"""Values and source text for the details: without secrets, in pieces that Slack accepts. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from bot.sanitize import clean
from bot.ui.text import Element, glue, line, preformatted
from polar import redaction

_PIECE = 2_400  # characters of one preformatted block
_MOST_PIECES = 8  # of one value: 19,000 characters; the rest is in the export
# These values give access, so the details do not show them to everybody.
_BEARER = redaction.SECRET | {"client_secret", "secret", "token", "access_token", "customer_session_token"}


def public(value: Any, name: str = "") -> Any:
    """The content of a webhook for every reader: without secrets, and only the host of each link."""
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
    """The content of a rule, much as in its file."""
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
    """Indented JSON for a reader."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def code(text: str) -> list[Element]:
    """The text line by line, in pieces that Slack accepts. Omitted text is counted."""
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
    """One line without characters that hide or reverse text. Its indentation stays."""
    indent = len(row) - len(row.lstrip(" "))
    return " " * min(indent, 40) + clean(row, _PIECE - 100)
