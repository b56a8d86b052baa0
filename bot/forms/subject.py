"""The subject of a form, in the terms of events, and the questions on which others depend."""

from bot.forms import names
from bot.forms.fields import Form, all_leaves
from bot.forms.lookup import SOURCES
from polar.catalog import Call

# Objects that events are about too, by the source in which they are looked up.
_SUBJECTS = {
    "benefits": "benefit",
    "checkouts": "checkout",
    "customers": "customer",
    "discounts": "discount",
    "orders": "order",
    "products": "product",
    "subscriptions": "subscription",
}


def watched_in(form: Form) -> frozenset[str]:
    """The questions whose answer changes how another one is asked: the currency, the object to look in."""
    found = (
        {names.OBJECT_CURRENCY[form.operation.id][1]} if form.operation.id in names.OBJECT_CURRENCY else set()
    )
    for leaf in all_leaves(form):
        if leaf.currency[:1] not in ("", "=", "@"):
            found.add(leaf.currency)
        if leaf.source == "payment methods":
            found.add("path.id")
        elif leaf.source in SOURCES:
            found.update(SOURCES[leaf.source].limits.values())
    return frozenset(found)


def subject_of(form: Form, call: Call) -> str | None:
    """The subject of the proposal, as events name it: "order:…"."""
    held = {**{f"body.{name}": value for name, value in (call.body or {}).items()}}
    held |= {f"path.{name}": value for name, value in call.path.items()}
    for leaf in all_leaves(form):
        if leaf.source in _SUBJECTS and isinstance(held.get(leaf.path), str):
            return f"{_SUBJECTS[leaf.source]}:{held[leaf.path]}"
    return None
