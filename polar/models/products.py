"""The models of products and of the merchant: products, their prices and benefits, discounts, the
organization.
"""

from polar.models.base import MinorUnits, Part, Resource, UtcDatetime


class Benefit(Resource):
    """A benefit that a product gives: license keys, a Discord role, files, credit …; `description` is its
    name.
    """

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
