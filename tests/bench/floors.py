"""Floors that must hold on any machine: what is missed is measured once more, and only then counts."""

from collections.abc import Awaitable, Callable, Sequence

from tests.bench.report import Row, amount, at_most

# Measures anew each time; the names of its rows stay the same.
Check = Callable[[], Awaitable[Sequence[Row]]]


def times(name: str, seconds: float, beside: float, most: float) -> Row:
    """A time as a multiple of what a yardstick took in the same run: a slow machine slows both."""
    reference = f"{amount(seconds * 1_000, 'ms')} : {amount(beside * 1_000, 'ms')}"
    return at_most(name, seconds / beside, "times", most, reference)


async def hold(checks: Sequence[Check], say: Callable[[Row], None]) -> tuple[list[Row], list[str]]:
    """Run the checks one after the other; their rows, and the names of those that were missed twice."""
    rows: list[Row] = []
    missed: list[str] = []
    for check in checks:
        made = await _measured(check, say)
        if again := {row.name for row in made if row.met is False}:
            second = {row.name: row for row in await _measured(check, say)}
            made = [second[row.name] if row.name in again else row for row in made]
        rows += made
        missed += [row.name for row in made if row.met is False]
    return rows, missed


async def _measured(check: Check, say: Callable[[Row], None]) -> Sequence[Row]:
    rows = await check()
    for row in rows:
        say(row)
    return rows
