"""The questions on each page of the modal: the required ones, then those chosen under "More". Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from bot.forms.fields import MOST_ENTRIES, Form, Group, Leaf, Node, Option, Pick, Series

# Slack takes 100 blocks (https://docs.slack.dev/reference/views); on a phone this many is already a lot.
MOST_ON_A_PAGE = 15


@dataclass(frozen=True, slots=True)
class Adder:
    """A button for one more entry of a list; `count` entries are there."""

    path: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class More:
    """The select of the optional questions."""

    options: tuple[Option, ...]
    chosen: frozenset[str]
    needed: bool  # whether at least one has to be chosen


Item = Leaf | Pick | Adder | More


def pages(form: Form) -> list[list[Item]]:
    """The pages in order; there is always a first."""
    first: list[Item] = [*form.places]
    first += [form.way] if form.way else []
    added: list[Item] = [leaf for leaf in form.asked if leaf.path in form.added]
    for member in form.body.members.values() if form.body else ():
        (added if member.path in form.added else first).extend(_items(member))
    found = _cut(first)
    if form.more:
        found[-1].append(More(form.more, form.added, _needs_one(form)))
    return found + (_cut(added) if added else [])


def together(found: list[list[Item]]) -> list[list[Item]]:
    """The pages as one, "More" last, when that is not too long: for changing what is there already."""
    items = [item for page in found for item in page]
    if len(items) > MOST_ON_A_PAGE:
        return found
    return [sorted(items, key=lambda item: isinstance(item, More))]


def _needs_one(form: Form) -> bool:
    """An update that changes nothing is no proposal."""
    if form.operation.method != "PATCH" or form.body is None or form.body.fixed.keys() - {"type"}:
        return False
    return all(member.path in form.added for member in form.body.members.values())


def _cut(items: list[Item]) -> list[list[Item]]:
    return [items[at : at + MOST_ON_A_PAGE] for at in range(0, len(items), MOST_ON_A_PAGE)] or [[]]


def _items(node: Node) -> Iterator[Item]:
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Group):
        if node.pick is not None:
            yield node.pick
        for member in node.members.values():
            yield from _items(member)
    else:
        yield from _series(node)


def _series(series: Series) -> Iterator[Item]:
    for entry in series.entries:
        yield from _items(entry)
    if len(series.entries) < MOST_ENTRIES:
        yield Adder(series.path, series.label, len(series.entries))
