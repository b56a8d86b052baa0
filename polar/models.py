"""Polar's resources, as far as the program reads them.

Frozen, and liberal about what Polar adds or leaves out: what it documents as always there and we rely on
(ids, statuses, amounts, currencies) is required, everything else may be null or absent. Amounts are integers
in the minor unit of the resource's currency, dates are UTC. Enumerations are plain strings, because Polar
adds members without notice. Bearer secrets (a checkout's `client_secret` and `url`) are left out on purpose.
Source: Polar's OpenAPI document 2026-10, and the webhook guide for the nulls.
"""

from datetime import UTC, datetime
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _utc(moment: datetime) -> datetime:
    """Polar's dates carry a Z; one without a zone is taken as UTC too."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the date is outside the calendar") from error


UtcDatetime = Annotated[datetime, AfterValidator(_utc)]

# A database's bigint: no real amount comes near, and an absurd one must not reach arithmetic or a card.
MinorUnits = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Part(BaseModel):
    """Any object inside a payload; fields we do not know are ignored."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="ignore")


class Resource(Part):
    """A thing Polar keeps under an id."""

    id: str
    created_at: UtcDatetime | None = None
    modified_at: UtcDatetime | None = None


class Customer(Resource):
    """A buyer; `type` is individual or team, and a team may have no e-mail."""

    organization_id: str | None = None
    external_id: str | None = None
    email: str | None = None
    name: str | None = None
    billing_name: str | None = None
    type: str | None = None
    deleted_at: UtcDatetime | None = None


class ActiveSubscription(Resource):
    """One subscription inside a customer's state: only active and trialing ones are listed."""

    status: str
    amount: MinorUnits
    currency: str
    product_id: str
    recurring_interval: str | None = None
    current_period_end: UtcDatetime | None = None
    cancel_at_period_end: bool = False
    ends_at: UtcDatetime | None = None
    discount_id: str | None = None


class GrantedBenefit(Resource):
    """One benefit a customer holds, inside a customer's state."""

    benefit_id: str
    benefit_type: str
    granted_at: UtcDatetime | None = None


class ActiveMeter(Resource):
    """One usage meter inside a customer's state, in the meter's own units."""

    meter_id: str
    consumed_units: float = 0
    credited_units: float = 0
    balance: float = 0


class CustomerState(Customer):
    """A snapshot of what a customer has; `modified_at` is the customer's and does not move with the state."""

    active_subscriptions: tuple[ActiveSubscription, ...] = ()
    granted_benefits: tuple[GrantedBenefit, ...] = ()
    active_meters: tuple[ActiveMeter, ...] = ()


class Member(Resource):
    """A person in a customer's team; `role` is owner, billing_manager or member."""

    customer_id: str
    email: str | None = None
    name: str | None = None
    external_id: str | None = None
    role: str | None = None


class CustomerSeat(Resource):
    """A seat; after a revocation `customer_id`, `member_id` and `email` are null, `member` often remains."""

    status: str
    subscription_id: str | None = None
    order_id: str | None = None
    customer_id: str | None = None
    member_id: str | None = None
    member: Member | None = None
    email: str | None = None
    customer_email: str | None = None
    invitation_token_expires_at: UtcDatetime | None = None
    claimed_at: UtcDatetime | None = None
    revoked_at: UtcDatetime | None = None


class Benefit(Resource):
    """A benefit of a product: license keys, a Discord role, files, credit …; `description` is its name."""

    type: str
    description: str | None = None
    organization_id: str | None = None
    is_deleted: bool = False


class SeatTier(Part):
    """The price of a seat from `min_seats` up to `max_seats`."""

    min_seats: int
    price_per_seat: MinorUnits
    max_seats: int | None = None


class SeatTiers(Part):
    """The price ladder of a seat-based product."""

    tiers: tuple[SeatTier, ...] = ()
    minimum_seats: int | None = None
    maximum_seats: int | None = None


class ProductPrice(Resource):
    """One price; `amount_type` is fixed, custom, seat_based or metered_unit, and says which field counts."""

    amount_type: str
    price_currency: str | None = None
    is_archived: bool = False
    price_amount: MinorUnits | None = None
    minimum_amount: MinorUnits | None = None
    preset_amount: MinorUnits | None = None
    seat_tiers: SeatTiers | None = None
    # Decimal string in minor units: it may be a fraction of a cent.
    unit_amount: str | None = None
    meter_id: str | None = None


class Product(Resource):
    """Something for sale; an order's copy has neither `prices` nor `benefits`."""

    name: str
    organization_id: str | None = None
    description: str | None = None
    visibility: str | None = None
    is_archived: bool = False
    is_recurring: bool = False
    recurring_interval: str | None = None
    recurring_interval_count: int | None = None
    prices: tuple[ProductPrice, ...] = ()
    benefits: tuple[Benefit, ...] = ()


class Discount(Resource):
    """A discount: `basis_points` (1,000 is 10 %) when percentage, `amounts` by currency when fixed."""

    name: str
    type: str | None = None
    code: str | None = None
    basis_points: int | None = None
    amounts: dict[str, MinorUnits] | None = None
    duration: str | None = None
    duration_in_months: int | None = None
    starts_at: UtcDatetime | None = None
    ends_at: UtcDatetime | None = None
    max_redemptions: int | None = None
    redemptions_count: int | None = None
    organization_id: str | None = None


class Organization(Resource):
    """The merchant."""

    name: str
    slug: str | None = None
    email: str | None = None
    website: str | None = None
    status: str | None = None
    default_presentment_currency: str | None = None


class PendingUpdate(Resource):
    """A change of product or seats that waits for the next period."""

    applies_at: UtcDatetime | None = None
    product_id: str | None = None
    seats: int | None = None


class Subscription(Resource):
    """A subscription; while a cancellation is only scheduled it is active with `cancel_at_period_end`."""

    status: str
    amount: MinorUnits
    currency: str
    customer_id: str
    product_id: str
    recurring_interval: str | None = None
    recurring_interval_count: int | None = None
    current_period_start: UtcDatetime | None = None
    current_period_end: UtcDatetime | None = None
    trial_start: UtcDatetime | None = None
    trial_end: UtcDatetime | None = None
    cancel_at_period_end: bool = False
    pause_at_period_end: bool = False
    canceled_at: UtcDatetime | None = None
    started_at: UtcDatetime | None = None
    ends_at: UtcDatetime | None = None
    ended_at: UtcDatetime | None = None
    past_due_at: UtcDatetime | None = None
    paused_at: UtcDatetime | None = None
    resumes_at: UtcDatetime | None = None
    discount_id: str | None = None
    checkout_id: str | None = None
    seats: int | None = None
    customer_cancellation_reason: str | None = None
    customer_cancellation_comment: str | None = None
    customer: Customer | None = None
    product: Product | None = None
    discount: Discount | None = None
    pending_update: PendingUpdate | None = None


class Order(Resource):
    """An order; `product` is null for a wallet top-up, and `paid` stays true after a refund.

    `net_amount` is before tax and `total_amount` with it; `refunded_amount` is net of `refunded_tax_amount`.
    """

    status: str
    paid: bool
    currency: str
    net_amount: MinorUnits
    tax_amount: MinorUnits
    total_amount: MinorUnits
    due_amount: MinorUnits
    refunded_amount: MinorUnits
    refunded_tax_amount: MinorUnits
    refundable_amount: MinorUnits
    refundable_tax_amount: MinorUnits
    customer_id: str
    billing_reason: str
    billing_name: str | None = None
    invoice_number: str | None = None
    is_invoice_generated: bool = False
    description: str | None = None
    seats: int | None = None
    product_id: str | None = None
    discount_id: str | None = None
    subscription_id: str | None = None
    checkout_id: str | None = None
    next_payment_attempt_at: UtcDatetime | None = None
    customer: Customer | None = None
    product: Product | None = None
    discount: Discount | None = None


class RefundDispute(Resource):
    """The dispute that a refund settled or prevented."""

    status: str
    reason: str | None = None
    evidence_due_by: UtcDatetime | None = None


class Refund(Resource):
    """A refund; `amount` is net, and the customer receives `amount` plus `tax_amount`."""

    status: str
    reason: str
    amount: MinorUnits
    tax_amount: MinorUnits
    currency: str
    order_id: str
    customer_id: str
    organization_id: str | None = None
    subscription_id: str | None = None
    revoke_benefits: bool = False
    dispute: RefundDispute | None = None


class Checkout(Resource):
    """A checkout session; the buyer and the chosen product may not be known yet."""

    status: str
    amount: MinorUnits
    net_amount: MinorUnits
    total_amount: MinorUnits
    currency: str
    tax_amount: MinorUnits | None = None
    discount_amount: MinorUnits | None = None
    expires_at: UtcDatetime | None = None
    organization_id: str | None = None
    product_id: str | None = None
    discount_id: str | None = None
    subscription_id: str | None = None
    seats: int | None = None
    customer_id: str | None = None
    external_customer_id: str | None = None
    customer_name: str | None = None
    customer_email: str | None = None
    product: Product | None = None
    discount: Discount | None = None
