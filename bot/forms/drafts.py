"""The forms that people have open, page by page: kept in memory for an hour, named by an opaque id."""

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bot.forms.fields import MOST_ENTRIES, Form, Leaf, Node, Pick, Series, all_leaves, form_of, walk
from bot.forms.values import entry
from polar.catalog import Operation
from store.models import Proposal

KEPT_FOR = timedelta(hours=1)
MOST = 500
PICKED, ADDED = "pick:", "more"  # how the ids of blocks begin that hold no value


# --- The questions on each page: the required ones, then those chosen under "More" --------------------------

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

    options: Mapping[str, str]  # labels by path
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
    for part in walk(node):
        if isinstance(part, Leaf):
            yield part
        elif isinstance(part, Series):
            if len(part.entries) < MOST_ENTRIES:
                yield Adder(part.path, part.label, len(part.entries))
        elif part.pick is not None:
            yield part.pick


# --- The open forms ---------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class FormDraft:
    """One open form. Slack is given its id alone: the answers stay here."""

    id: str
    user_id: str
    touched_at: datetime
    operation: Operation | None = None
    picks: dict[str, str] = field(default_factory=dict)
    added: frozenset[str] = frozenset()
    answers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    page: int = 0
    currency: tuple[str, str] | None = None  # of an object: its id and what Polar said
    title: str = ""  # of the proposal it has become
    edits: Proposal | None = None  # what it changes, as it was when the form was opened
    kept: frozenset[str] = frozenset()  # questions of an edit that are not asked: they stay as answered
    # Slack sends clicks concurrently. They are handled one at a time, so that the last one is shown.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def start(self, operation: Operation) -> None:
        """Begin the form of an operation; nothing of another one is kept."""
        self.operation = operation
        self.picks, self.added, self.answers = {}, frozenset(), {}
        self.page, self.currency = 0, None

    @property
    def known_currency(self) -> str | None:
        """The currency of the object, as far as it is known."""
        return None if self.currency is None else self.currency[1]

    def form(self) -> Form:
        """The form as far as it is known. Only for a draft that has an operation."""
        assert self.operation is not None  # noqa: S101 - callers look first
        return form_of(self.operation, self.picks, self.added)

    def page_items(self) -> tuple[Form, list[list[Item]]]:
        """The form and its pages; the current page is put back where there are fewer now."""
        form = self.form()
        found = pages(form)
        if self.edits is not None:
            found = together([asked for page in found if (asked := self._open_to_change(page))] or [[]])
        self.page = min(self.page, len(found) - 1)
        return form, found

    def _open_to_change(self, page: list[Item]) -> list[Item]:
        """A page of an edit, without what stays as it is."""
        found: list[Item] = []
        for item in page:
            if not isinstance(item, More):
                found += [] if item.path in self.kept else [item]
            elif options := {path: label for path, label in item.options.items() if path not in self.kept}:
                found.append(replace(item, options=options, chosen=item.chosen - self.kept))
        return found

    def absorb(self, values: Mapping[str, Any]) -> bool:
        """Take over a view's state; True if that changes which questions follow.

        Only what the current page asks is believed.
        """
        form, found = self.page_items()
        shown = found[self.page]
        leaves = {item.path: item for item in shown if isinstance(item, Leaf)}
        picks = {f"{PICKED}{item.path}": item for item in shown if isinstance(item, Pick)}
        before = (dict(self.picks), self.added)
        for block_id, actions in values.items():
            state = next(iter(actions.values()), None)
            if block_id in leaves and state is not None:
                self.answers[block_id] = state
            elif block_id in picks:
                self._pick(picks[block_id], entry(state))
            elif block_id == ADDED and any(isinstance(item, More) for item in shown):
                chosen = frozenset(one["value"] for one in entry(state) or ())
                self.added = (chosen & form.more.keys()) | (self.added & self.kept)
        return before != (self.picks, self.added)

    def _pick(self, pick: Pick, chosen: Any) -> None:
        value = str(chosen["value"]) if isinstance(chosen, Mapping) else ""
        if not value.isdigit() or int(value) >= len(pick.options) or self.picks.get(pick.path) == value:
            return
        if pick.path == "body":  # another way has other questions
            self.added = frozenset()
        if pick.current != int(value):
            self.picks[pick.path] = value

    def known(self) -> dict[str, str]:
        """The ids chosen so far, by question."""
        held = {leaf.path: entry(self.answers.get(leaf.path)) for leaf in all_leaves(self.form())}
        return {path: str(one["value"]) for path, one in held.items() if isinstance(one, Mapping)}


class Drafts:
    """The open forms of everybody."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], FormDraft] = {}  # by id and user

    def new(self, user_id: str, now: datetime) -> FormDraft:
        """A form just opened. The oldest goes when there are too many."""
        for old in [key for key, each in self._open.items() if now - each.touched_at > KEPT_FOR]:
            del self._open[old]
        while len(self._open) >= MOST:
            del self._open[next(iter(self._open))]
        draft = FormDraft(secrets.token_urlsafe(12), user_id, now)
        self._open[draft.id, user_id] = draft
        return draft

    def keep(self, draft: FormDraft) -> None:
        """A form that was made elsewhere; it takes the place of the same person's of the same id."""
        self._open[draft.id, draft.user_id] = draft

    def get(self, identity: str, user_id: str, now: datetime) -> FormDraft | None:
        """Somebody's own form, unless its time is over."""
        draft = self._open.get((identity, user_id))
        if draft is None or now - draft.touched_at > KEPT_FOR:
            return None
        draft.touched_at = now
        return draft
