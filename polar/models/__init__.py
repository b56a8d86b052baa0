"""Polar's resources, as far as the program reads them.

Frozen, and liberal about what Polar adds or leaves out: what it documents as always there and we rely on
(ids, statuses, amounts, currencies) is required, everything else may be null or absent. Amounts are integers
in the minor unit of the resource's currency, dates are UTC. Enumerations are plain strings, because Polar
adds members without notice. Bearer secrets (a checkout's `client_secret` and `url`) are left out on purpose.
Source: Polar's OpenAPI document 2026-10, and the webhook guide for the nulls.
"""

from polar.models.base import MinorUnits, Part, Resource, UtcDatetime
from polar.models.customers import (
    ActiveMeter,
    ActiveSubscription,
    Customer,
    CustomerSeat,
    CustomerState,
    GrantedBenefit,
    Member,
)
from polar.models.grants import (
    GRANTS,
    AnyGrant,
    BenefitGrant,
    DiscordProperties,
    DownloadablesProperties,
    GitHubRepositoryProperties,
    GrantError,
    GrantProperties,
    LicenseKeysProperties,
    MeterCreditProperties,
    SlackSharedChannelProperties,
)
from polar.models.products import Benefit, Discount, Organization, Product, ProductPrice, SeatTier, SeatTiers
from polar.models.sales import Checkout, Order, PendingUpdate, Refund, RefundDispute, Subscription

__all__ = [
    "GRANTS",
    "ActiveMeter",
    "ActiveSubscription",
    "AnyGrant",
    "Benefit",
    "BenefitGrant",
    "Checkout",
    "Customer",
    "CustomerSeat",
    "CustomerState",
    "DiscordProperties",
    "Discount",
    "DownloadablesProperties",
    "GitHubRepositoryProperties",
    "GrantError",
    "GrantProperties",
    "GrantedBenefit",
    "LicenseKeysProperties",
    "Member",
    "MeterCreditProperties",
    "MinorUnits",
    "Order",
    "Organization",
    "Part",
    "PendingUpdate",
    "Product",
    "ProductPrice",
    "Refund",
    "RefundDispute",
    "Resource",
    "SeatTier",
    "SeatTiers",
    "SlackSharedChannelProperties",
    "Subscription",
    "UtcDatetime",
]
