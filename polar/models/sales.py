"""The models of sales: checkouts, orders, subscriptions, refunds."""

from polar.models.base import MinorUnits, Resource, UtcDatetime
from polar.models.customers import Customer
from polar.models.products import Discount, Product


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
