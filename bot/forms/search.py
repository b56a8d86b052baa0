"""The search for operations that a person may propose, by words. Pure."""

from collections.abc import Sequence
from functools import cache
from itertools import groupby

from polar.catalog import Operation, operations

MOST_SHOWN = 100  # Slack's limit of options, groups together or not


@cache
def proposable() -> tuple[Operation, ...]:
    """Every operation that changes something and that our token may call, by family, then title."""
    found = (one for one in operations().values() if one.is_write and one.refused is None)
    return tuple(sorted(found, key=lambda one: (family(one), title(one))))


def family(operation: Operation) -> str:
    """The family of an operation, in words: `customer-seats:assign_seat` is of "Customer seats"."""
    return operation.id.partition(":")[0].replace("-", " ").replace("_", " ").capitalize()


def title(operation: Operation) -> str:
    """Its title, told apart from its twin that takes the merchant's own id."""
    return operation.title + (" (by your own id)" if "external" in operation.path else "")


def search(words: str) -> list[Operation]:
    """The operations that have every word in their title, id, path or family; all for no words.

    Those whose title has the words come first.
    """
    wanted = words.lower().split()
    found = [one for one in proposable() if all(word in _text(one) for word in wanted)]
    return sorted(found, key=lambda one: sum(word not in title(one).lower() for word in wanted))[:MOST_SHOWN]


def _text(one: Operation) -> str:
    return (
        f"{title(one)} {one.id} {one.id.replace('_', ' ').replace('-', ' ')} {one.path} {family(one)}".lower()
    )


def by_family(found: Sequence[Operation]) -> list[tuple[str, list[Operation]]]:
    """The same, grouped by family, for a select's groups."""
    ordered = sorted(found, key=family)
    return [(name, list(group)) for name, group in groupby(ordered, family)]
