"""Find the part of a condition that is not true. Pure."""

from collections.abc import Iterator

from bot.rules.expression import Expression, Scope

_OPENING, _CLOSING = "([{", ")]}"


def false_part(condition: Expression, scope: Scope) -> str:
    """The first part of `a && b && c` that is not true, as written; the whole where it has no such parts."""
    for part in parts(condition.source):
        try:
            held = Expression(part).value(scope) is True
        except ValueError:
            held = False
        if not held:
            return part
    return _on_one_line(condition.source)


def parts(source: str) -> tuple[str, ...]:
    """The parts between the outermost `&&`; the whole when it is an alternative (`||`, `?`)."""
    cut, found = 0, []
    for at, sign in _outermost(source):
        if sign != "&&":
            return (_on_one_line(source),)
        found.append(source[cut:at])
        cut = at + 2
    return tuple(_on_one_line(part) for part in (*found, source[cut:]))


def _outermost(source: str) -> Iterator[tuple[int, str]]:
    """The places of `&&`, `||` and `?` outside brackets and quotes."""
    depth, quote, at = 0, "", 0
    while at < len(source):
        char = source[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth -= 1
        elif depth == 0 and (source.startswith(("&&", "||"), at) or char == "?"):
            yield at, "?" if char == "?" else source[at : at + 2]
            at += char != "?"
        at += 1


def _on_one_line(source: str) -> str:
    return " ".join(source.split())
