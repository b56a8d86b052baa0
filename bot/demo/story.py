"""The demo's small shop, and the events that can be sent: made-up cases and the recorded deliveries."""

import asyncio
import random
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, cycle
from typing import Any

from bot.demo.polar import PolarStandIn, recorded, stock
from bot.demo.polar.grants import revoke_grant
from bot.demo.polar.orders import tell_order
from bot.demo.polar.seats import revoke as revoke_seat
from bot.demo.polar.shop import Row, Shop, Told
from bot.demo.polar.webhooks import WebhookEvent
from bot.demo.polar.wire import wire

OPENING = ("order.paid", "order.refunded", "benefit_grant.revoked")
"""What happens by itself when the demo starts: an invoice, two keys, a key to restore."""

_FIRST = ("Jane", "Amara", "Luca", "Mei", "Noah", "Priya", "Sofia", "Tomás", "Ingrid", "Omar", "Zoë", "Kofi")
_LAST = ("Cooper", "Okafor", "Rossi", "Lindqvist", "Novák", "Sharma", "García", "Müller", "Haddad", "Mensah")
_JAPANESE = (("佐藤 花子", "hanako.sato"), ("鈴木 一郎", "ichiro.suzuki"), ("高橋 美咲", "misaki.takahashi"))
_ADDRESSES: tuple[Row, ...] = (
    {"line1": "548 Market St", "line2": None, "postal_code": "94104", "city": "San Francisco",
     "state": "US-CA", "country": "US"},
    {"line1": "Lindenstraße 9", "line2": None, "postal_code": "10969", "city": "Berlin", "state": None,
     "country": "DE"},
    {"line1": "4 Rue de Rivoli", "line2": "2e étage", "postal_code": "75004", "city": "Paris", "state": None,
     "country": "FR"},
)  # fmt: skip
_TOKYO: Row = {"line1": "丸の内1-9-1", "line2": None, "postal_code": "100-0005", "city": "千代田区",
               "state": "JP-13", "country": "JP"}  # fmt: skip
HOSTILE = (
    "<!channel> <https://evil.example|Approve here>",
    "*Approved by @here* `rm -rf` ~gone~ <@U0000000001> :white_check_mark:",
    "</script><img src=x onerror=alert(1)>",
    "\u202egnp.drac\u202c\u200b <#C0000000001|general> & \u0007",
    "Ω" * 256,
)
"""Names that customers could type: mentions, links, mark-up, direction marks, far too much."""


@dataclass(frozen=True, slots=True)
class Case:
    """One entry of the panel: a name for the page, a title in plain words, a group, what it does.

    `play` changes the shop and says in words what happened to whom.
    """

    name: str
    title: str
    group: str
    play: Callable[["Story"], str]


@dataclass(frozen=True, slots=True)
class Catalog:
    """The products of the shop."""

    keys: Row
    pro: Row
    pro_yen: Row
    studio: Row
    monthly: Row
    annual: Row


class Story:
    """Plays cases in one stand-in's shop. Each time it is a new one: other people, other ids, from `seed`."""

    def __init__(self, polar: PolarStandIn, seed: int = 7) -> None:
        self._polar = polar
        self.shop: Shop = polar.shop
        self.random = random.Random(seed)
        self.hostile: Iterator[str] = cycle(HOSTILE)
        self.japanese = cycle(_JAPANESE)
        self._count = count(1)
        self.catalog = _stock_shop(self.shop)

    def menu(self) -> list[dict[str, str]]:
        """What the page offers: name, title and group of each case."""
        return [{"name": each.name, "title": each.title, "group": each.group} for each in EVENTS]

    def snapshot(self, viewer: str) -> dict[str, Any]:
        """Polar's side of the page; it is the same for every viewer."""
        del viewer
        return {**self._polar.snapshot(), "events": self.menu()}

    def subscribe(self, subscriber: Callable[[], None]) -> Callable[[], None]:
        """Have `subscriber` called after each change of the snapshot; returns how to stop that."""
        return self._polar.subscribe(subscriber)

    async def send(self, name: str) -> dict[str, Any]:
        """Play the case and send its webhooks.

        The answer is the page's: `status` is the app's to the last of them, `webhook_id` that one's id.
        """
        case = _BY_NAME.get(name)
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
        return self._polar.send_pending(case.play(self))

    def customer(self, name: str | None = None, address: Row | None = None, local: str = "") -> Row:
        """A customer nobody had before, with a billing address of `address` or none."""
        name = name or f"{self.random.choice(_FIRST)} {self.random.choice(_LAST)}"
        email = f"{local or _mailbox(name)}{next(self._count)}@example.com"
        return stock.add_customer(self.shop, name, email, address=address)

    def address(self) -> Row:
        """One of a few billing addresses."""
        return dict(self.random.choice(_ADDRESSES))

    def tell_grant(self, event_type: str, grant: Row) -> None:
        """A benefit_grant event without the state that Polar sends after it."""
        shown = {**wire(self.shop, "benefit-grants", grant), "previous_properties": grant["properties"]}
        self.shop.tell(event_type, shown)

    def buy(self, customer: Row, product: Row, *, tax: int = 0) -> Row:
        """A one-time sale, its license key, and what Polar tells of it (polar.md 1.9 A, without repeats)."""
        order = stock.add_order(self.shop, customer, product, tax=tax)
        tell_order(self.shop, "order.created", order)
        grant, _ = stock.add_grant(self.shop, order, self.catalog.keys)
        self.tell_grant("benefit_grant.created", grant)
        tell_order(self.shop, "order.paid", order)
        return order


def _mailbox(name: str) -> str:
    """The name without accents and blanks: tomas.garcia."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return plain.lower().replace(" ", ".")


def _stock_shop(shop: Shop) -> Catalog:
    keys = stock.add_license_benefit(shop, "License key for one machine", "NORTH")
    return Catalog(
        keys=keys,
        pro=stock.add_product(shop, "Pro", 2_900, benefits=(keys,)),
        pro_yen=stock.add_product(shop, "Pro", 2_900, "jpy", benefits=(keys,)),
        studio=stock.add_product(shop, "Studio, two machines", 14_900, "eur", benefits=(keys,)),
        monthly=stock.add_product(shop, "Pro monthly", 1_200, every="month", benefits=(keys,)),
        annual=stock.add_product(shop, "Team annual", 1_188_00, "eur", every="year", benefits=(keys,)),
    )


def _sale(story: Story) -> str:
    customer = story.customer(address=story.address())
    story.buy(customer, story.catalog.pro)
    return f"{customer['name']} buys Pro for $29.00"


def _sale_in_yen(story: Story) -> str:
    name, local = next(story.japanese)
    story.buy(story.customer(name, dict(_TOKYO), local), story.catalog.pro_yen)
    return f"{name} buys Pro for ¥2,900"


def _sale_without_address(story: Story) -> str:
    customer = story.customer()
    story.buy(customer, story.catalog.pro)
    return f"{customer['name']} buys Pro for $29.00 and gives no billing address"


def _sale_to_hostile(story: Story) -> str:
    customer = story.customer(next(story.hostile), story.address(), "mallory")
    story.buy(customer, story.catalog.pro)
    return "Somebody with a hostile name buys Pro for $29.00"


def _first_subscription_payment(story: Story) -> str:
    customer = story.customer(address=story.address())
    shop, product = story.shop, story.catalog.annual
    subscription = stock.add_subscription(shop, customer, product)
    shop.tell("subscription.created", wire(shop, "subscriptions", subscription))
    order = stock.add_order(
        shop,
        customer,
        product,
        tax=22_572,
        subscription_id=subscription["id"],
        billing_reason="subscription_create",
    )
    tell_order(shop, "order.created", order)
    stock.add_grant(shop, subscription, story.catalog.keys)
    tell_order(shop, "order.paid", order)
    return f"{customer['name']} subscribes to Team annual for €1,188.00 and tax"


def _refund(story: Story, share: float) -> Row:
    """A one-time order with two license keys, of which a share is given back; the keys stay granted."""
    shop = story.shop
    customer = story.customer(address=story.address())
    order = stock.add_order(shop, customer, story.catalog.studio)
    for _ in range(2):
        stock.add_grant(shop, order, story.catalog.keys)
    whole = share == 1
    amount = round(order["net_amount"] * share)
    shop.change(order, refunded_amount=amount, status="refunded" if whole else "partially_refunded")
    refund = shop.add(
        "refunds", metadata={}, status="succeeded", reason="customer_request", amount=amount, tax_amount=0,
        currency="eur", organization_id=shop.organization_id, order_id=order["id"], subscription_id=None,
        customer_id=customer["id"], revoke_benefits=False, dispute=None,
    )  # fmt: skip
    shop.tell("refund.created", refund)
    tell_order(shop, "order.updated", order)
    tell_order(shop, "order.refunded", order)
    return customer


def _refunded(story: Story) -> str:
    customer = _refund(story, 1)
    return f"{customer['name']}'s order is refunded in full, two license keys stay granted"


def _refunded_partly(story: Story) -> str:
    customer = _refund(story, 0.25)
    return f"A quarter of {customer['name']}'s order is refunded"


def _key_lost_while_subscribed(story: Story) -> str:
    customer = story.customer()
    subscription = stock.add_subscription(story.shop, customer, story.catalog.monthly)
    grant, _ = stock.add_grant(story.shop, subscription, story.catalog.keys)
    _revoke(story, grant)
    return f"{customer['name']}'s license key is revoked although the subscription is active"


def _key_lost_though_bought(story: Story) -> str:
    customer = story.customer(address=story.address())
    order = stock.add_order(story.shop, customer, story.catalog.pro)
    grant, _ = stock.add_grant(story.shop, order, story.catalog.keys)
    _revoke(story, grant)
    return f"{customer['name']}'s license key is revoked although the order was never refunded"


def _one_of_two_ended(story: Story) -> str:
    customer = story.customer()
    stock.add_subscription(story.shop, customer, story.catalog.annual)
    return f"{_end(story, customer)}; another one goes on"


def _subscription_ended(story: Story) -> str:
    return _end(story, story.customer())


def _end(story: Story, customer: Row) -> str:
    shop = story.shop
    subscription = stock.add_subscription(shop, customer, story.catalog.monthly)
    grant, _ = stock.add_grant(shop, subscription, story.catalog.keys)
    now = shop.now()
    shop.change(subscription, status="canceled", canceled_at=now, ends_at=now, ended_at=now)
    for event_type in ("subscription.updated", "subscription.canceled", "subscription.revoked"):
        shop.tell(event_type, wire(shop, "subscriptions", subscription))
    _revoke(story, grant)
    return f"{customer['name']}'s subscription ends, the license key with it"


def _bought_twice(story: Story) -> str:
    customer = story.customer(address=story.address())
    for _ in range(2):
        tell_order(story.shop, "order.created", stock.add_order(story.shop, customer, story.catalog.pro))
    return f"{customer['name']} buys Pro twice within seconds"


def _canceled(story: Story) -> str:
    shop, customer = story.shop, story.customer()
    subscription = stock.add_subscription(shop, customer, story.catalog.monthly)
    end = {"canceled_at": shop.now(), "ends_at": subscription["current_period_end"]}
    shop.change(subscription, cancel_at_period_end=True, customer_cancellation_reason="too_expensive", **end)
    for event_type in ("subscription.updated", "subscription.canceled"):
        shop.tell(event_type, wire(shop, "subscriptions", subscription))
    return f"{customer['name']} cancels Pro monthly: too expensive"


def _payment_failed(story: Story) -> str:
    shop, customer = story.shop, story.customer()
    late = {"status": "past_due", "past_due_at": shop.now()}
    subscription = stock.add_subscription(shop, customer, story.catalog.monthly, **late)
    for event_type in ("subscription.updated", "subscription.past_due"):
        shop.tell(event_type, wire(shop, "subscriptions", subscription))
    return f"{customer['name']}'s card is declined at the renewal"


def _seat_lost(story: Story) -> str:
    shop, customer = story.shop, story.customer()
    subscription = stock.add_subscription(shop, customer, story.catalog.annual, seats=2)
    owner = next(shop.rows("members", customer_id=customer["id"]))
    seat = shop.add(
        "customer-seats", subscription_id=subscription["id"], order_id=None, status="claimed",
        customer_id=customer["id"], member_id=owner["id"], email=owner["email"],
        customer_email=owner["email"], invitation_token_expires_at=None, claimed_at=shop.now(),
        revoked_at=None, seat_metadata={},
    )  # fmt: skip
    shop.tell("customer_seat.claimed", wire(shop, "customer-seats", seat))
    revoke_seat(shop, seat)
    return f"{customer['name']}'s seat is taken away"


def _revoke(story: Story, grant: Row) -> None:
    """As a colleague would in Polar's dashboard: key and grant are revoked, the state follows."""
    revoke_grant(story.shop, grant)


def _replay(delivery: recorded.Delivery) -> Callable[[Story], str]:
    """The recorded body byte for byte, with the state as it was then."""

    def play(story: Story) -> str:
        recorded.load(story.shop, delivery)
        story.shop.tell_as_written(Told(delivery.type, delivery.payload))
        return f"Recorded: {delivery.type}"

    return play


EVENTS: tuple[Case, ...] = (
    Case("order.paid", "A customer buys Pro for $29.00, with a billing address", "story", _sale),
    Case(
        "order.refunded",
        "A one-time order is refunded in full, its two keys stay granted",
        "story",
        _refunded,
    ),
    Case(
        "benefit_grant.revoked",
        "A license key is revoked although the subscription is active",
        "story",
        _key_lost_while_subscribed,
    ),
    Case("order.paid.yen", "A customer in Tokyo buys Pro for ¥2,900", "story", _sale_in_yen),
    Case(
        "order.paid.annual", "A team subscribes for €1,188.00 and tax", "story", _first_subscription_payment
    ),
    Case("order.paid.hostile", "A customer with a hostile name buys Pro", "story", _sale_to_hostile),
    Case(
        "benefit_grant.revoked.order",
        "A license key is revoked although the order was never refunded",
        "story",
        _key_lost_though_bought,
    ),
    Case(
        "order.paid.bare", "A customer buys Pro and gives no billing address", "story", _sale_without_address
    ),
    Case(
        "order.refunded.partly",
        "A quarter of an order is refunded: nothing to ask",
        "story",
        _refunded_partly,
    ),
    Case(
        "subscription.revoked",
        "A subscription ends, its key with it; another goes on: nothing to ask",
        "story",
        _one_of_two_ended,
    ),
    Case("subscription.revoked.last", "A customer's last subscription ends", "story", _subscription_ended),
    Case("order.created.twice", "A customer buys Pro twice within seconds", "story", _bought_twice),
    Case("subscription.canceled", "A subscription is canceled: too expensive", "story", _canceled),
    Case("subscription.past_due", "A renewal's payment fails", "story", _payment_failed),
    Case("customer_seat.revoked", "A seat in use is taken away", "story", _seat_lost),
    *(
        Case(f"recorded:{each.type}", f"Recorded {each.type}", "recorded", _replay(each))
        for each in recorded.deliveries()
    ),
)
"""Everything that can be sent: fifteen cases and the 28 recorded deliveries."""

_BY_NAME = {each.name: each for each in EVENTS}


async def play_opening(story: Story, pause: float = 0.4) -> None:
    """Send the opening, one case after the other, so that the cards come in this order."""
    for name in OPENING:
        await story.send(name)
        await asyncio.sleep(pause)
