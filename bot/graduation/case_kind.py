"""The kind of case of a proposal, its values, those that were approved of its kind, and what is new. Pure.

Every value of path, query and body counts, however deep. Numbers are compared with the range that was
approved, times as minutes from the moment of the case, everything else with what was approved there. What
cannot be compared is new.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from typing import Any

from polar.catalog import Call, operations
from polar.events import Event
from polar.text.words import clean, format_money
from polar.was_done import MARK
from store.models import NewProposal, PlannedCall, canonical_json, sha256
from store.models.graduation import Asked, NewCaseKind, Past
from store.models.reasons import PolicyCode, PolicyReason

# The fields that give the reason of an event. The first field that is present counts.
_SUB_REASONS = ("billing_reason", "customer_cancellation_reason", "reason")
_OFTEN = {None: "", "day": "daily", "week": "weekly", "month": "monthly", "year": "yearly"}
_REFUNDS = {0: "no refund before", 1: "1 refund before", 2: "2 or more refunds before"}


Number = int | float
Choice = str | bool | None

# The rank of a number needs 19 approvals for a result and 200 for a good one. More would react too slowly.
RECENT = 200
CHOICES = 50
RARE = 0.05
# A case with more than this is like no other.
MOST_VALUES, MOST_NAMES, DEEPEST, LONGEST_NAME = 500, 200, 20, 300

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\S+)?")
_SHORT_ID = 8  # characters: a shorter one may stand in a text by chance
_OWN = {"subject": "=subject", "customer": "=customer"}


def case_kind_of(proposal: NewProposal, event: Event, past: Past, *, environment: str) -> NewCaseKind:
    """The kind of case of a rule's proposal about `event`. `environment` is "production" or "sandbox"."""
    data = event.data
    fields: dict[str, Any] = {
        "action": _action(proposal.calls),
        "trigger": _trigger(event, proposal.calls),
        "product": _text(data.get("product_id")) or _text(_part(data, "product").get("id")),
        "interval": _interval(data),
        "amount": _band(proposal.amount, proposal.currency),
        "customer": {
            "orders": "first" if past.orders == 0 else "returning",
            "refunds": min(past.refunds, 2),
            "dispute": past.dispute,
        },
        "rule": proposal.rule_version,
        "environment": environment,
        "risk": proposal.risk,
    }
    family = sha256(canonical_json({"action": fields["action"], "trigger": fields["trigger"]}))
    label = " · ".join(filter(None, (clean(part, 120) for part in _labelled(fields, proposal, data))))
    return NewCaseKind(sha256(canonical_json(fields)), family, fields, label, proposal.risk)


def _action(calls: Sequence[PlannedCall]) -> list[list[Any]]:
    """The method, the path template and the names of the set fields: each different call once, sorted."""
    known = [(operations()[call.operation], sorted([*(call.body or {}), *call.query])) for call in calls]
    found = [[operation.method, operation.path, fields] for operation, fields in known]
    return sorted({canonical_json({"": one}): one for one in found}.values())


def _trigger(event: Event, calls: Sequence[PlannedCall]) -> list[str]:
    """The type of the event, its reason, and for refunds the share of the order."""
    data = event.data
    why = next((said for name in _SUB_REASONS if (said := _text(data.get(name)))), None)
    return [part for part in (event.type, why, _extent(event, calls)) if part]


def _extent(event: Event, calls: Sequence[PlannedCall]) -> str | None:
    data = event.data
    if event.type == "order.refunded":
        return "partial" if data.get("status") == "partially_refunded" else "full"
    refunded = [
        call.body.get("amount")
        for call in calls
        if call.operation == "refunds:create" and call.body is not None
    ]
    whole = data.get("refundable_amount", data.get("net_amount"))
    if not refunded or not isinstance(whole, int):
        return None
    return "full" if any(isinstance(one, int) and one >= whole for one in refunded) else "partial"


def _interval(data: Mapping[str, Any]) -> str | None:
    for part in (data, _part(data, "product"), _part(data, "subscription")):
        if unit := _text(part.get("recurring_interval")):
            count = part.get("recurring_interval_count")
            return f"{count} {unit}" if isinstance(count, int) and count > 1 else unit
    return None


def _band(amount: int | None, currency: str | None) -> list[Any] | None:
    """The floor of the base-2 logarithm of minor units, with the currency; -1 for 0; None without money."""
    if amount is None or currency is None:
        return None
    return [abs(amount).bit_length() - 1, currency.lower()]


def _labelled(fields: Mapping[str, Any], proposal: NewProposal, data: Mapping[str, Any]) -> list[str]:
    titles = dict.fromkeys(
        operations()[call.operation].describe(Call.of(call)).title for call in proposal.calls
    )
    kind, *more = fields["trigger"]
    said = [kind.replace(".", " ").replace("_", " "), *(one.replace("_", " ") for one in more)]
    product = _text(_part(data, "product").get("name")) or fields["product"]
    interval = fields["interval"]
    how_often = _OFTEN.get(interval, f"every {interval}s")
    said_already = how_often and product is not None and how_often in product.lower()
    sold = " ".join(filter(None, (product, "" if said_already else how_often)))
    customer = fields["customer"]
    who = "first order" if customer["orders"] == "first" else "returning customer"
    if customer["refunds"]:
        who += f", {_REFUNDS[customer['refunds']]}"
    if customer["dispute"]:
        who += ", open dispute"
    sandbox = "sandbox" if fields["environment"] == "sandbox" else ""
    return ["; ".join(titles), ", ".join(said), sold, _range(fields["amount"]), who, sandbox]


def _range(band: Sequence[Any] | None) -> str:
    if band is None:
        return ""
    exponent, currency = band
    if exponent < 0:
        return format_money(0, currency)
    return f"{format_money(2**exponent, currency)} to {format_money(2 ** (exponent + 1) - 1, currency)}"


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = data.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(value: Any) -> str | None:
    return value[:200] if isinstance(value, str) and value else None


# --- The values of a case ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one case by name, such as "refunds:create.amount" or "events:ingest.events[].name".

    `numbers` are the smallest and the largest of a name; `choices` are switches, words of a list and what
    stands for the case's own subject or customer; `texts` and `ids` are digests. `unlike` is the name of a
    value that cannot be compared.
    """

    numbers: dict[str, tuple[Number, Number]] = field(default_factory=dict)
    choices: dict[str, set[Choice]] = field(default_factory=dict)
    texts: dict[str, set[str]] = field(default_factory=dict)
    ids: dict[str, set[str]] = field(default_factory=dict)
    unlike: str | None = None


def values_of(case: Asked | NewProposal) -> Values:
    """The values of the calls of a case. With several calls, all values of a name count together."""
    walk = _Walk(case)
    for call in case.calls:
        for name, value in call.path.items():
            walk.into(f"{call.operation}.path.{name}", value, is_id=True)
        for name, value in call.query.items():
            walk.into(f"{call.operation}.query.{name}", value)
        words = _words_of(call.operation)
        for name, value in (call.body or {}).items():
            walk.into(f"{call.operation}.{name}", value, is_word=name in words)
    if len(case.calls) > 1:
        walk.number("calls", len(case.calls))
    return walk.found()


class _Walk:
    """The walk over the values of one case."""

    def __init__(self, case: Asked | NewProposal) -> None:
        self._at = case.created_at
        subject = (case.subject or "").partition(":")[2]
        own = {subject: _OWN["subject"], case.customer_id or "": _OWN["customer"]}
        self._own = {identity: word for identity, word in own.items() if identity}
        self._values = Values()
        self._unlike: str | None = None
        self._left = MOST_VALUES

    def found(self) -> Values:
        """All that was found."""
        values = self._values
        kinds = (values.numbers, values.choices, values.texts, values.ids)
        many = [name for kind in kinds for name in kind]
        crowded = next(
            (name for kind in kinds[1:] for name, held in kind.items() if len(held) > CHOICES), None
        )
        unlike = self._unlike or crowded or (many[MOST_NAMES] if len(many) > MOST_NAMES else None)
        return Values(values.numbers, values.choices, values.texts, values.ids, unlike)

    def into(
        self, name: str, value: Any, depth: int = 0, *, is_id: bool = False, is_word: bool = False
    ) -> None:
        """Note a value and all that is in it."""
        self._left -= 1
        if self._left < 0 or depth > DEEPEST or len(name) > LONGEST_NAME:
            self._unlike = self._unlike or name[:LONGEST_NAME]
        elif isinstance(value, Mapping):
            inside = {
                str(key): each for key, each in value.items() if key != MARK
            }  # another one for each case
            self._text(f"{name}.fields", ",".join(sorted(inside)))
            for key, each in islice(inside.items(), MOST_VALUES):
                self.into(f"{name}.{key}", each, depth + 1)
        elif isinstance(value, list | tuple):
            self.number(f"{name}.count", len(value))
            for each in value[:MOST_VALUES]:
                self.into(f"{name}[]", each, depth + 1, is_id=is_id, is_word=is_word)
        elif value is None or isinstance(value, bool) or (is_word and isinstance(value, str)):
            self._values.choices.setdefault(name, set()).add(value)
        elif isinstance(value, int | float):
            self.number(name, value)
        elif isinstance(value, str):
            self._string(name, value, is_id=is_id or _names_id(name))
        else:
            self._unlike = self._unlike or name

    def number(self, name: str, value: Number) -> None:
        """Note a number: of several the smallest and the largest; one that is not finite stands for all."""
        low, high = self._values.numbers.get(name, (value, value))
        known = [low, high, value]
        odd = next((one for one in known if not math.isfinite(one)), None)
        self._values.numbers[name] = (min(known), max(known)) if odd is None else (odd, odd)

    def _string(self, name: str, value: str, *, is_id: bool) -> None:
        if (word := self._own.get(value)) is not None:
            self._values.choices.setdefault(name, set()).add(word)
        elif is_id or _ID.fullmatch(value):
            self._values.ids.setdefault(name, set()).add(_digest(value))
        elif (ahead := self._ahead(value)) is not None:
            self.number(f"{name}, minutes ahead", ahead)
        else:
            for identity, word in self._own.items():
                value = value.replace(identity, word) if len(identity) >= _SHORT_ID else value
            self._text(name, value)

    def _text(self, name: str, value: str) -> None:
        self._values.texts.setdefault(name, set()).add(_digest(value))

    def _ahead(self, value: str) -> int | None:
        """The minutes from the case to a time; None for another text. A rule's `now` is seconds off."""
        if not _TIME.fullmatch(value):
            return None
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return None
        return round(((at if at.tzinfo else at.replace(tzinfo=UTC)) - self._at) / timedelta(minutes=1))


def _digest(text: str) -> str:
    """The value that stands for a text: it is kept for long, and may be about a person."""
    return sha256(canonical_json(text))[:16]


def _names_id(name: str) -> bool:
    last = name.rpartition(".")[2].rstrip("[]")
    return last in ("id", "ids") or last.endswith(("_id", "_ids"))


@cache
def _words_of(operation: str) -> frozenset[str]:
    """The fields of an operation's body that take one of a list of words."""
    known = operations().get(operation)
    if known is None or known.body is None:
        return frozenset()
    schemas = [pair for one in known.body.variants for pair in one.fields.items()]
    return frozenset(name for name, one in schemas if any(each.enum for each in (one, *one.options)))


# --- The approved values of a kind ------------------------------------------------------------------------


def approved_values(cases: Sequence[Values]) -> dict[str, dict[str, Any]]:
    """The values of a kind's approved cases, oldest first, by name, for a JSON column.

    Of `numbers` the smallest and the largest of all, and the largest of the latest RECENT cases. Of `choices`
    and `texts` the latest CHOICES: a case with one that was dropped asks again, which is safe. Of `ids` the
    number of cases that had one, of those that brought a new one, and the latest.
    """
    cases = [one for one in cases if one.unlike is None]
    numbers: dict[str, tuple[Number, Number, list[Number]]] = {}
    for case in cases:
        for name, (low, high) in case.numbers.items():
            if math.isfinite(low):
                least, most, recent = numbers.get(name, (low, high, []))
                recent.append(high)
                numbers[name] = min(low, least), max(high, most), recent
    return {
        "numbers": {name: [least, most, all_[-RECENT:]] for name, (least, most, all_) in numbers.items()},
        "choices": {name: known for name, (_, _, known) in _latest([one.choices for one in cases]).items()},
        "texts": {name: known for name, (_, _, known) in _latest([one.texts for one in cases]).items()},
        "ids": {name: list(known) for name, known in _latest([one.ids for one in cases]).items()},
    }


def _latest(cases: Sequence[Mapping[str, set[Any]]]) -> dict[str, tuple[int, int, list[Any]]]:
    """By name, how many cases had a value, how many a new one, and the latest CHOICES values."""
    found: dict[str, tuple[int, int, dict[Any, None]]] = {}
    for case in cases:
        for name, values in case.items():
            had, fresh, known = found.get(name, (0, 0, {}))
            found[name] = had + 1, fresh + (not values <= known.keys()), known
            for value in sorted(values, key=str):
                known.pop(value, None)
                known[value] = None
    return {name: (had, fresh, list(known)[-CHOICES:]) for name, (had, fresh, known) in found.items()}


# --- What is new about a case -----------------------------------------------------------------------------


def novelty(approved: Mapping[str, Any], values: Values) -> PolicyReason | None:
    """The reason why a case asks at any score; None when it is like those of `approved_values`."""
    if values.unlike is not None:
        return PolicyReason.of(PolicyCode.NOT_COMPARABLE, name=values.unlike)
    numbers, choices = approved.get("numbers", {}), approved.get("choices", {})
    for name, (low, high) in values.numbers.items():
        if (found := _new_number(low, high, *numbers.get(name, ()))) is not None:
            return PolicyReason(found.code, {"name": name, **found.args})
    for name, chosen in values.choices.items():
        for value in sorted(chosen - set(choices.get(name, ())), key=str):
            short = value[:200] if isinstance(value, str) else value
            return PolicyReason.of(PolicyCode.NEW_CHOICE, name=name, value=short)
    for name, texts in values.texts.items():
        if not texts <= set(approved.get("texts", {}).get(name, ())):
            return PolicyReason.of(PolicyCode.NEW_TEXT, name=name)
    for name, ids in values.ids.items():
        if _is_new_id(ids, *approved.get("ids", {}).get(name, ())):
            return PolicyReason.of(PolicyCode.NEW_ID, name=name)
    return None


def _is_new_id(ids: set[str], had: int = 0, fresh: int = 0, known: Sequence[str] = ()) -> bool:
    """Tell whether an id is new where the approved cases shared theirs. Where each brought its own, as the
    object that it is about, another one is like them.
    """
    each_its_own = fresh > 1 and 2 * fresh >= had
    return not (each_its_own or ids <= set(known))


def _new_number(
    low: Number, high: Number, least: Number = 0, most: Number = 0, recent: Sequence[Number] = ()
) -> PolicyReason | None:
    value = low if recent and low < least else high
    plain = value if math.isfinite(value) else str(value)  # JSON knows no NaN
    if not recent:
        return PolicyReason.of(PolicyCode.FIRST_NUMBER, value=plain)
    if not least <= value <= most:  # also for NaN
        return PolicyReason.of(PolicyCode.OUT_OF_RANGE, value=plain, low=least, high=most)
    as_large, of = sum(one >= high for one in recent), len(recent)
    if (1 + as_large) / (of + 1) < RARE:
        return PolicyReason.of(PolicyCode.RARE_NUMBER, value=high, as_large=as_large, approved=of)
    return None
