"""The base of all models of Polar's resources: frozen objects that ignore unknown fields, UTC dates,
amounts.
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
        msg = "the date is outside the calendar"
        raise ValueError(msg) from error


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
