"""The demo's small shop, and the events that can be sent: made-up cases and the recorded deliveries.

Names, addresses, products and the list of cases are data: `story.toml`.
"""

import asyncio
import random
import tomllib
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle
from pathlib import Path
from typing import Any

from bot.demo.polar import PolarStandIn, stock
from bot.demo.polar.grants import revoke_grant, revoke_seat
from bot.demo.polar.orders import give_back, tell_order
from bot.demo.polar.shop import Row, Shop, Told, grant_event, wire
from bot.demo.polar.webhooks import WebhookEvent

_DATA: Mapping[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
HOSTILE: tuple[str, ...] = (*_DATA["hostile"], "Ω" * 256)


@dataclass(frozen=True, slots=True)
class Case:
    """One entry of the panel: a name for the page, a title in plain words, a group, what it does.

    `play` changes the shop and returns the customer; `told` says what happened to `{name}`.
    """

    name: str
    title: str
    group: str
    told: str
    play: Callable[["Story"], Row]


class Story:
    """Plays cases in one stand-in's shop. Each time it is a new one: other people, other ids, from `seed`."""

    def __init__(self, polar: PolarStandIn, seed: int = 7) -> None:
        self._polar = polar
        self.shop: Shop = polar.shop
        self.subscribe = polar.subscribe
        self.random = random.Random(seed)
        self.hostile: Iterator[str] = cycle(HOSTILE)
        self.japanese: Iterator[tuple[str, str]] = cycle(_DATA["japanese"])
        self._count = count(1)
        self.keys = stock.add_license_benefit(self.shop, "License key for one machine", "NORTH")
        self.catalog: Mapping[str, Row] = {
            name: stock.add_product(self.shop, benefits=(self.keys,), **facts)
            for name, facts in _DATA["product"].items()
        }

    def snapshot(self, _viewer: str) -> dict[str, Any]:
        """Polar's side of the page; it is the same for every viewer."""
        cases = [{"name": each.name, "title": each.title, "group": each.group} for each in EVENTS]
        return {**self._polar.snapshot(), "events": cases}

    async def send(self, name: str) -> dict[str, Any]:
        """Play the case and send its webhooks.

        The answer is the page's: `status` is the app's to the last of them, `webhook_id` that one's id.
        """
        case = CASES.get(name)
        if case is None:
            return {"ok": False, "error": f"There is no event {name}. Nothing was sent."}
        sent = self.play(case)
        if not sent:
            return {"ok": False, "error": "No enabled webhook endpoint listens to it. Nothing was sent."}
        for each in sent:
            await each.tried.wait()
        last = sent[-1]
        if not last.succeeded:
            return {"ok": False, "error": f"The app did not take it: {last.status}", "webhook_id": last.id}
        return {"ok": True, "status": last.status, "webhook_id": last.id}

    def play(self, case: Case) -> list[WebhookEvent]:
        """Change the shop and start the webhooks; the last one is the case's own."""
        return self._polar.send_pending(case.told.format(**case.play(self)))

    def customer(self, name: str | None = None, address: Row | None = None, local: str = "") -> Row:
        """A customer nobody had before, with a billing address of `address` or none."""
        name = name or " ".join(self.random.choice(_DATA[names]) for names in ("first_names", "last_names"))
        email = f"{local or _mailbox(name)}{next(self._count)}@example.com"
        return stock.add_customer(self.shop, name, email, address=address)

    def address(self) -> Row:
        """One of a few billing addresses."""
        return _address(self.random.choice(_DATA["address"]))

    def buy(self, customer: Row, product: Row, *, tax: int = 0) -> Row:
        """A one-time sale, its license key, and what Polar tells of it, each once."""
        order = stock.add_order(self.shop, customer, product, tax=tax)
        tell_order(self.shop, "order.created", order)
        grant, _ = stock.add_grant(self.shop, order, self.keys)
        self.shop.tell("benefit_grant.created", grant_event(self.shop, grant, grant["properties"]))
        tell_order(self.shop, "order.paid", order)
        return order

    def tell(self, subscription: Row, *events: str) -> None:
        """Queue events of a subscription: "updated", "canceled", ..."""
        for event in events:
            self.shop.tell(f"subscription.{event}", wire(self.shop, "subscriptions", subscription))


def _mailbox(name: str) -> str:
    """The name without accents and blanks: tomas.garcia."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return plain.lower().replace(" ", ".")


def _address(lines: Row) -> Row:
    return {"line2": None, "state": None, **lines}


# --- Functions of the cases; each returns the customer ----------------------------------------------


def sale(story: Story, *, address: bool = True) -> Row:
    """Somebody buys Pro."""
    customer = story.customer(address=story.address() if address else None)
    story.buy(customer, story.catalog["pro"])
    return customer


def sale_in_yen(story: Story) -> Row:
    """Somebody in Tokyo buys Pro."""
    name, local = next(story.japanese)
    customer = story.customer(name, _address(_DATA["tokyo"]), local)
    story.buy(customer, story.catalog["pro_yen"])
    return customer


def sale_to_hostile(story: Story) -> Row:
    """Somebody whose name is an attack buys Pro."""
    customer = story.customer(next(story.hostile), story.address(), "mallory")
    story.buy(customer, story.catalog["pro"])
    return customer


def double_sale(story: Story) -> Row:
    """Somebody buys Pro twice within seconds."""
    customer = story.customer(address=story.address())
    for _ in range(2):
        tell_order(story.shop, "order.created", stock.add_order(story.shop, customer, story.catalog["pro"]))
    return customer


def first_subscription_payment(story: Story) -> Row:
    """A team subscribes and pays for the first year."""
    shop, product, customer = story.shop, story.catalog["annual"], story.customer(address=story.address())
    subscription = stock.add_subscription(shop, customer, product)
    story.tell(subscription, "created")
    cause = {"subscription_id": subscription["id"], "billing_reason": "subscription_create"}
    order = stock.add_order(shop, customer, product, tax=22_572, **cause)
    tell_order(shop, "order.created", order)
    stock.add_grant(shop, subscription, story.keys)
    tell_order(shop, "order.paid", order)
    return customer


def refund(story: Story, *, share: float) -> Row:
    """A one-time order with two license keys, of which a share is given back; the keys stay granted."""
    shop = story.shop
    customer = story.customer(address=story.address())
    order = stock.add_order(shop, customer, story.catalog["studio"])
    for _ in range(2):
        stock.add_grant(shop, order, story.keys)
    amount = round(order["net_amount"] * share)
    give_back(shop, order, {"amount": amount, "reason": "customer_request"})
    return customer


def lost_key(story: Story, *, bought: bool) -> Row:
    """A key is revoked, as a colleague would in Polar's dashboard, though bought or still subscribed to."""
    shop, catalog = story.shop, story.catalog
    customer = story.customer(address=story.address() if bought else None)
    source = (
        stock.add_order(shop, customer, catalog["pro"])
        if bought
        else stock.add_subscription(shop, customer, catalog["monthly"])
    )
    revoke_grant(shop, stock.add_grant(shop, source, story.keys)[0])
    return customer


def end(story: Story, *, another: bool = False) -> Row:
    """A subscription ends, and its license key with it; `another` goes on."""
    shop, customer = story.shop, story.customer()
    if another:
        stock.add_subscription(shop, customer, story.catalog["annual"])
    subscription = stock.add_subscription(shop, customer, story.catalog["monthly"])
    grant, _ = stock.add_grant(shop, subscription, story.keys)
    now = shop.now()
    shop.change(subscription, status="canceled", canceled_at=now, ends_at=now, ended_at=now)
    story.tell(subscription, "updated", "canceled", "revoked")
    revoke_grant(shop, grant)
    return customer


def cancel(story: Story, name: str | None = None, **period: str) -> Row:
    """A subscriber cancels at the end of the period."""
    shop, customer = story.shop, story.customer(name)
    subscription = stock.add_subscription(shop, customer, story.catalog["monthly"], **period)
    end_of_it = {"canceled_at": shop.now(), "ends_at": subscription["current_period_end"]}
    shop.change(
        subscription, cancel_at_period_end=True, customer_cancellation_reason="too_expensive", **end_of_it
    )
    story.tell(subscription, "updated", "canceled")
    return customer


def failed_payment(story: Story) -> Row:
    """A card is declined at the renewal."""
    shop, customer = story.shop, story.customer()
    late = {"status": "past_due", "past_due_at": shop.now()}
    subscription = stock.add_subscription(shop, customer, story.catalog["monthly"], **late)
    story.tell(subscription, "updated", "past_due")
    return customer


def lost_seat(story: Story) -> Row:
    """A seat in use is taken away."""
    shop, customer = story.shop, story.customer()
    subscription = stock.add_subscription(shop, customer, story.catalog["annual"], seats=2)
    owner = next(shop.rows("members", customer_id=customer["id"]))
    seat = shop.add(
        "customer-seats", subscription_id=subscription["id"], order_id=None, status="claimed",
        customer_id=customer["id"], member_id=owner["id"], email=owner["email"],
        customer_email=owner["email"], invitation_token_expires_at=None, claimed_at=shop.now(),
        revoked_at=None, seat_metadata={},
    )  # fmt: skip
    shop.tell("customer_seat.claimed", wire(shop, "customer-seats", seat))
    revoke_seat(shop, seat)
    return customer


def _replay(delivery: Told, story: Story) -> Row:
    """The recorded body byte for byte, with the state as it was then; nobody's name is told."""
    stock.load_delivery(story.shop, delivery)
    story.shop.tell_as_written(delivery)
    return {}


_PLAYS: Mapping[str, Callable[..., Row]] = {
    each.__name__: each
    for each in (
        sale, sale_in_yen, sale_to_hostile, double_sale, first_subscription_payment, refund, lost_key, end,
        cancel, failed_payment, lost_seat,
    )
}  # fmt: skip
EVENTS: tuple[Case, ...] = (
    *(
        Case(each["name"], each["title"], "story", each["told"],
             partial(_PLAYS[each["play"]], **each.get("with", {})))
        for each in _DATA["case"]
    ),
    *(
        Case(f"recorded:{each.type}", f"Recorded {each.type}", "recorded", f"Recorded: {each.type}",
             partial(_replay, each))
        for each in stock.deliveries()
    ),
)  # fmt: skip
"""The events that can be sent: fifteen cases and the 28 recorded deliveries."""

CASES = {each.name: each for each in EVENTS}


async def play_opening(story: Story, pause: float = 0.4) -> None:
    """Send the opening, one case after the other, so that the cards come in this order."""
    for name in _DATA["opening"]:
        await story.send(name)
        await asyncio.sleep(pause)
