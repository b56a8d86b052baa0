"""The models of those who buy and use: customers, what they have, the members of their teams and their
seats.
"""

from polar.models.base import MinorUnits, Resource, UtcDatetime


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
