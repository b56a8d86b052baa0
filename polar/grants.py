"""The models of what customers were given: grants of benefits, with properties by the type of the benefit."""

from typing import Generic, TypeAlias, TypeVar

from polar.models import Benefit, Customer, Member, Part, Resource, UtcDatetime


class GrantProperties(Part):
    """The properties of a grant; this base is for benefits without any, such as custom and feature_flag."""


class LicenseKeysProperties(GrantProperties):
    """The key of the grant; `display_key` shows only its last characters."""

    license_key_id: str | None = None
    display_key: str | None = None


class DiscordProperties(GrantProperties):
    """The Discord account and the role it was given."""

    account_id: str | None = None
    guild_id: str | None = None
    role_id: str | None = None


class GitHubRepositoryProperties(GrantProperties):
    """The repository the customer was invited to."""

    account_id: str | None = None
    repository_owner: str | None = None
    repository_name: str | None = None
    permission: str | None = None


class DownloadablesProperties(GrantProperties):
    """The ids of the files."""

    files: tuple[str, ...] | None = None


class MeterCreditProperties(GrantProperties):
    """The last credit, in the meter's own units."""

    last_credited_meter_id: str | None = None
    last_credited_units: float | None = None
    # Polar documents plain text here, not a date.
    last_credited_at: str | None = None


class SlackSharedChannelProperties(GrantProperties):
    """The shared channel and who was invited; the invitation's URL is a secret and left out."""

    invited_email: str | None = None
    channel_id: str | None = None
    channel_name: str | None = None


class GrantError(Part):
    """Polar's reason why a benefit could not be given."""

    message: str | None = None
    type: str | None = None


PropertiesT_co = TypeVar("PropertiesT_co", bound=GrantProperties, covariant=True)


class BenefitGrant(Resource, Generic[PropertiesT_co]):
    """A benefit given to a customer; the same id is granted again, so trust the two flags, not the dates."""

    customer_id: str
    benefit_id: str
    is_granted: bool
    is_revoked: bool
    granted_at: UtcDatetime | None = None
    revoked_at: UtcDatetime | None = None
    subscription_id: str | None = None
    order_id: str | None = None
    member_id: str | None = None
    error: GrantError | None = None
    customer: Customer | None = None
    member: Member | None = None
    benefit: Benefit | None = None
    properties: PropertiesT_co | None = None
    previous_properties: PropertiesT_co | None = None


AnyGrant: TypeAlias = "BenefitGrant[GrantProperties]"
"""For annotations; at run time ask `isinstance(it, BenefitGrant)`."""

GRANTS: dict[str, type[AnyGrant]] = {
    "custom": BenefitGrant,
    "discord": BenefitGrant[DiscordProperties],
    "downloadables": BenefitGrant[DownloadablesProperties],
    "feature_flag": BenefitGrant,
    "github_repository": BenefitGrant[GitHubRepositoryProperties],
    "license_keys": BenefitGrant[LicenseKeysProperties],
    "meter_credit": BenefitGrant[MeterCreditProperties],
    "slack_shared_channel": BenefitGrant[SlackSharedChannelProperties],
}
"""The model of a grant by its benefit's type."""
