"""The reads of a proposal at Polar: the answers its rule asks for, and the true sum of its money."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.config.policy import Policy
from bot.rules import Rule, Scope
from bot.services import Services
from polar.catalog import Call, operations
from polar.client import READ_WITHIN, PolarClient
from polar.errors import MissingScope, NoAnswer, NotSent, PolarError, RateLimited
from polar.text.words import format_money
from polar.was_done import MOST_LISTED
from store.models import Proposal, canonical_json
from store.proposals.stats import refunds_since

_MOST_KEPT = 5  # of a list, beside the proposal
_TELLING = frozenset(
    {"id", "status", "amount", "currency", "is_invoice_generated", "is_granted", "inserted", "duplicates"}
)
_TELLING_ENDS = ("_id", "_amount")

Fact = tuple[str, str]
Amounts = Mapping[int, tuple[int, str]]  # by the number of the call: minor units and currency
GETS, KEEPS, LEFT, TOO_MUCH = "Customer gets", "Fees", "Left afterwards", "Too much"
PAYS, LOSES = "Customer pays", "You lose"
_LABELS = frozenset({GETS, KEEPS, LEFT, TOO_MUCH, PAYS, LOSES, "Left to refund"})  # the last: earlier cards
_REFUND = "refunds:create"


class Reads:
    """Answers of Polar, kept for as long as one event is looked at; each is tried for `within` seconds."""

    def __init__(self, polar: PolarClient, *, within: float = READ_WITHIN) -> None:
        self._polar, self._within = polar, within
        self._kept: dict[str, Any] = {}
        self._away: PolarError | None = None

    async def fill(self, rule: Rule, scope: Scope) -> Scope:
        """The scope with every read of the rule in it. Raises PolarError, EvaluationError."""
        for read in rule.reads:
            call = rule.request(read, scope)
            scope = scope.plus(**{read.name: None if call is None else await self.answer(call)})
        return scope

    async def answer(self, call: Call) -> Any:
        """Polar's answer; of a list, all items. Raises PolarError."""
        key = _key(call)
        if key not in self._kept:
            if self._away is not None:
                raise self._away  # the next rule would wait just as long, and our claim runs out
            try:
                self._kept[key] = await self._read(call)
            except (NotSent, RateLimited, NoAnswer) as error:
                self._away = error
                raise
        return self._kept[key]

    def kept(self, rule: Rule, scope: Scope) -> dict[str, Any] | None:
        """The part of the reads that is stored beside a proposal; None when there are none."""
        calls = {read.name: rule.request(read, scope) for read in rule.reads}
        found = {name: self._kept.get(_key(call)) for name, call in calls.items() if call is not None}
        return {name: _cut(answer) for name, answer in found.items()} or None

    async def _read(self, call: Call) -> Any:
        if not operations()[call.operation].paginated:
            return (await self._polar.read(call, within=self._within)).body
        items: list[Any] = []  # of every page: a rule must not take the first ten for all there are
        async for item in self._polar.pages(call, within=self._within):
            items.append(item)
            if len(items) >= MOST_LISTED:
                break
        return {"items": items}


def _key(call: Call) -> str:
    return canonical_json([call.operation, call.path, call.query])


def _cut(answer: Any) -> Any:
    listed = answer.get("items") if isinstance(answer, Mapping) else None
    if not isinstance(listed, list):
        return excerpt(answer)
    return {"count": len(listed), "first": [excerpt(one) for one in listed[:_MOST_KEPT]]}


def excerpt(body: Any) -> dict[str, Any] | None:
    """The part of Polar's answer that is stored: ids, state, amounts; no keys, tokens, links or addresses."""
    if not isinstance(body, Mapping):
        return None
    return {
        name: value
        for name, value in body.items()
        if (name in _TELLING or name.endswith(_TELLING_ENDS)) and isinstance(value, str | int | bool)
    }


# --- The true sum of a money card: what the customer gets or pays, what Polar keeps, what is left ---------


@dataclass(frozen=True, slots=True)
class RefundSum:
    """The sums of one refund, in minor units of `currency`; `net` is the amount asked for, before tax.

    `refundable` is the most that Polar gives back before tax; `fee` is what it charged and does not return.
    """

    net: int
    tax: int
    currency: str
    refundable: int
    fee: int = 0
    fee_currency: str = ""

    @property
    def total(self) -> int:
        """The amount that the customer gets."""
        return self.net + self.tax

    @property
    def excess(self) -> int:
        """By how much it is more than Polar gives back; then all of it is refused."""
        return max(0, self.net - self.refundable)


def refund_sum(order: Mapping[str, Any], amount: int) -> RefundSum:
    """The sums of refunding `amount` (minor units before tax) of an order as Polar shows it."""
    currency = str(order["currency"])
    refundable = order["refundable_amount"]
    fee_currency = str(order.get("platform_fee_currency") or currency)
    fee = order.get("platform_fee_amount") or 0
    return RefundSum(amount, _tax(order, amount), currency, refundable, fee, fee_currency)


def _tax(order: Mapping[str, Any], amount: int) -> int:
    """The tax that Polar gives back with `amount`: all that is left with the last of it, else in proportion.

    As in `calculate_refunded_tax_from_subtotal` of polarsource/polar:server/polar/models/order.py, floating
    point and rounding included.
    """
    net: int = order["net_amount"]
    if amount >= order["refundable_amount"]:
        left: int = order["refundable_tax_amount"]
        return left
    return round(amount * (order["tax_amount"] / net)) if net else 0


def refund_facts(sums: Sequence[RefundSum]) -> tuple[Fact, ...]:
    """The lines of a card about what these refunds come to."""
    if not sums:
        return ()
    gets, taxes = _each(sums, lambda one: one.total), [one for one in sums if one.tax]
    of_it = f"of it {_each(taxes, lambda one: one.tax)} tax" if taxes else "no tax"
    found = [(GETS, f"{gets}, {of_it}")]
    if over := [one for one in sums if one.excess]:
        most = _each(over, lambda one: one.refundable)
        found.insert(0, (TOO_MUCH, f"Polar refuses more than {most} before tax"))
    if fees := [one for one in sums if one.fee]:
        kept = _each(fees, lambda one: one.fee, lambda one: one.fee_currency)
        found.append((KEEPS, f"{kept}, not returned by Polar"))
    if not over:
        left = [one for one in sums if one.refundable > one.net]
        rest = f"{_each(left, lambda one: one.refundable - one.net)} before tax" if left else "nothing"
        found.append((LEFT, rest))
    return tuple(found)


def _each(
    sums: Sequence[RefundSum],
    amount: Callable[[RefundSum], int],
    currency: Callable[[RefundSum], str] = lambda one: one.currency,
) -> str:
    """The total in each currency: they are never added up."""
    totals: dict[str, int] = {}
    for one in sums:
        totals[currency(one)] = totals.get(currency(one), 0) + amount(one)
    return " and ".join(format_money(total, code) for code, total in totals.items())


@dataclass(frozen=True, slots=True)
class Money:
    """The sums of calls that move money, as Polar shows them: the lines of the card, and by the number of the
    call its amount in minor units and its currency.
    """

    facts: tuple[Fact, ...] = ()
    amounts: Amounts = field(default_factory=dict)


async def read_money(reads: Reads, calls: Sequence[Call]) -> Money:
    """The sums of calls that move money, as Polar shows them now; none for other calls.

    Raises PolarError, unless it is only that our token may not read it: then that is said.
    """
    sums: list[RefundSum] = []
    found: list[Fact] = []
    amounts: dict[int, tuple[int, str]] = {}
    try:
        for number, call in enumerate(calls):
            if call.operation == _REFUND and (one := await _refund(reads, call)):
                sums.append(one)
                amounts[number] = one.total, one.currency.lower()
            elif call.operation in _TOLD and (told := await _TOLD[call.operation](reads, call)):
                label, amount, currency = told
                found.append((label, f"{format_money(amount, currency)} including tax"))
                amounts[number] = amount, currency.lower()
    except MissingScope as error:
        return Money(((GETS, f"cannot be told: {error.plain}"),))
    return Money((*refund_facts(sums), *found), amounts)


async def _refund(reads: Reads, call: Call) -> RefundSum | None:
    body = call.body or {}
    amount, order_id = body.get("amount"), body.get("order_id")
    if not isinstance(amount, int) or not isinstance(order_id, str):
        return None
    order = await reads.answer(Call("orders:get", {"id": order_id}))
    return refund_sum(order, amount) if _has(order, "refundable_amount", "refundable_tax_amount") else None


_Told = tuple[str, int, str]  # the label, the amount with tax, the currency


async def _charge(reads: Reads, call: Call) -> _Told | None:
    order = await reads.answer(Call("orders:get", dict(call.path)))
    return (PAYS, order["due_amount"], str(order["currency"])) if _has(order, "due_amount") else None


async def _dispute(reads: Reads, call: Call) -> _Told | None:
    dispute = await reads.answer(Call("disputes:get", dict(call.path)))
    if not _has(dispute, "amount", "tax_amount"):
        return None
    return LOSES, dispute["amount"] + dispute["tax_amount"], str(dispute["currency"])


def _has(found: Any, *names: str) -> bool:
    return isinstance(found, Mapping) and all(isinstance(found.get(name), int) for name in names)


# Of each call in AMOUNT_IS_READ, the read that tells.
_TOLD: Mapping[str, Callable[[Reads, Call], Awaitable[_Told | None]]] = {
    "orders:finalize": _charge,
    "disputes:accept": _dispute,
}


def of_order(facts: Sequence[Fact], event_type: str, money: Sequence[Fact]) -> list[Fact]:
    """An event's facts, its amount told apart from what the customer gets when that stands beside it."""
    beside = event_type.startswith("order.") and any(label == GETS for label, _ in money)
    return [("Order" if beside and label == "Amount" else label, value) for label, value in facts]


def with_money(facts: Sequence[Fact], money: Sequence[Fact]) -> tuple[Fact, ...]:
    """The facts of a card with these about its money, which stand first, instead of those it had."""
    return (*money, *(fact for fact in facts if fact[0] not in _LABELS))


async def today(services: Services, proposal: Proposal) -> tuple[Fact, ...]:
    """For the card of a refund: what we have refunded today (in the policy's time zone) of the day's cap."""
    if proposal.currency is None or all(call.operation != _REFUND for call in proposal.calls):
        return ()
    policy = services.rules.policy
    spent = await services.store.read(refunds_since, midnight(services.clock(), policy))
    return today_lines(spent, proposal.currency, policy)


def midnight(now: datetime, policy: Policy) -> datetime:
    """The beginning of the day of `now`."""
    return now.astimezone(policy.schedule.timezone).replace(hour=0, minute=0, second=0, microsecond=0)


def today_lines(spent: Mapping[str, int], currency: str, policy: Policy) -> tuple[Fact, ...]:
    """The line of today's refunds; the cap is what may run without being asked. Minor units by currency."""
    code = currency.lower()
    cap = policy.caps.day_amount.get(code)
    limit = "" if cap is None else f"; at most {format_money(cap, code)} a day without asking"
    return (("Refunded today", f"{format_money(spent.get(code, 0), code)} before tax{limit}"),)
