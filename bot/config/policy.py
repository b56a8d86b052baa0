"""The operator's policy from RULES_FILE: approvers, undo windows, times, thresholds and caps. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from polar.catalog import CallValues, Risk, money_moved, operations

_DURATION = re.compile(r"(\d+)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_HOURS = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
_PERSON = re.compile(r"[UWS][A-Z0-9]{2,}")
_NO_WAIT, _MONEY_WAIT = timedelta(0), timedelta(seconds=15)


def duration(value: Any) -> timedelta:
    """A time such as "30m" or "7d". Raises ValueError."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'must be a time such as "30m", "12h" or "7d", not {value!r}')
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _zone(value: Any) -> ZoneInfo:
    try:
        return value if isinstance(value, ZoneInfo) else ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f'must be a time zone such as "Europe/Berlin", not {value!r}') from None


def _quiet_hours(value: Any) -> tuple[time, time] | None:
    if value is None or isinstance(value, tuple):
        return value
    match = _HOURS.fullmatch(str(value).replace(" ", ""))
    if match is None:
        raise ValueError(f'must be two times such as "20:00-08:00", not {value!r}')
    hours = [int(part) for part in match.groups()]
    return time(hours[0], hours[1]), time(hours[2], hours[3])


def people(value: Any) -> tuple[str, ...]:
    """User ids and user group ids. Raises ValueError."""
    named = tuple(value) if isinstance(value, list | tuple) else (value,)
    wrong = [one for one in named if not isinstance(one, str) or not _PERSON.fullmatch(one)]
    if wrong:
        raise ValueError(f"must be user ids (U…) and user group ids (S…), not {wrong[0]!r}")
    return named


def _in_lower_case(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    lower = {str(currency).lower(): amount for currency, amount in value.items()}
    if len(lower) != len(value):
        raise ValueError("names a currency twice")
    return lower


Duration = Annotated[timedelta, BeforeValidator(duration)]
People = Annotated[tuple[str, ...], BeforeValidator(people)]
# Minor units by currency, in lower case as Polar writes it.
Money = Annotated[Mapping[str, Annotated[int, Field(ge=0)]], BeforeValidator(_in_lower_case)]


def ends(now: datetime, expires_after: timedelta, deadline: datetime | None) -> datetime:
    """The time at which a proposal made now closes undecided: its deadline, or the end of `expires_after`."""
    return min(now + expires_after, deadline or datetime.max.replace(tzinfo=UTC))


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class TwoPeople(_Table):
    """The proposals that need two different approvers: of these classes, or from these amounts on."""

    risk: tuple[Risk, ...] = ()
    amount: Money = {}


class Schedule(_Table):
    """The times of reminders, escalation and the digest. All times of day are in `timezone`."""

    timezone: Annotated[ZoneInfo, BeforeValidator(_zone)] = ZoneInfo("UTC")
    quiet_hours: Annotated[tuple[time, time] | None, BeforeValidator(_quiet_hours)] = None
    digest: time | None = time(9, 0)
    remind_after: Duration = timedelta(hours=4)
    remind_every: Duration = timedelta(hours=4)
    escalate_after: Duration = timedelta(days=1)
    escalate_to: People = ()
    expires_after: Duration = timedelta(days=14)


class Caps(_Table):
    """The caps on automatic runs; 0 allows none. A case over a cap asks."""

    action_amount: Money = {"usd": 2_000, "eur": 2_000, "gbp": 2_000}
    customer_amount: Money = {"usd": 5_000, "eur": 5_000, "gbp": 5_000}  # in 30 days
    customer_count: Annotated[int, Field(ge=0)] = 5  # in 30 days
    case_kind_amount: Money = {"usd": 6_000, "eur": 6_000, "gbp": 6_000}  # a day
    case_kind_count: Annotated[int, Field(ge=0)] = 50  # a day
    day_amount: Money = {"usd": 20_000, "eur": 20_000, "gbp": 20_000}
    day_count: Annotated[int, Field(ge=0)] = 200


class Accepted(_Table):
    """A threshold below that of the class, for one operation. A sentence must name who accepts it."""

    score: Annotated[float, Field(ge=50, le=100)]
    accepted: Annotated[str, Field(min_length=20, max_length=500)]


class Trust(_Table):
    """The thresholds of graduation. A class's score may be raised, or lowered for named operations only."""

    R1: Annotated[float, Field(ge=90, le=100)] = 90
    R2: Annotated[float, Field(ge=95, le=100)] = 95
    R3: Annotated[float, Field(ge=98, le=100)] = 98
    opt_in: tuple[str, ...] = ()  # operations of class R3 that may graduate
    never: tuple[str, ...] = ()  # operations that always ask, in every class
    accept: Mapping[str, Accepted] = {}
    ask_first_of_week: bool = True  # a customer's first case of a kind within seven days asks
    max_idle: Duration = timedelta(hours=72)  # without a decision by a person, automatic runs stop
    outcome_window: Duration = timedelta(days=7)

    @model_validator(mode="after")
    def _named(self) -> "Trust":
        for name in (*self.opt_in, *self.never, *self.accept):
            if name not in operations():
                raise ValueError(f"{name!r} is no operation; see `polar-approvals operations`")
        for name in self.accept:
            if operations()[name].risk == Risk.R4:
                msg = f"{name!r} is of class R4 and always asks; no lower threshold can be accepted for it"
                raise ValueError(msg)
        return self


class Policy(_Table):
    """The settings in the tables beside `[[rule]]`; each has a safe default.

    `approvers` names the only approvers of a risk class; APPROVERS decide a class that is not named.
    `undo_window` is the time for which an approved proposal of a class waits with Undo on its card.
    """

    approvers: Mapping[Risk, People] = {}
    two_people: TwoPeople = TwoPeople()
    undo_window: Mapping[Risk, Duration] = {}
    schedule: Schedule = Schedule()
    caps: Caps = Caps()
    graduation: Trust = Trust()

    @property
    def left_to_approvers(self) -> tuple[Risk, ...]:
        """The classes with calls that change something for which `approvers` names nobody."""
        return tuple(risk for risk in Risk if risk is not Risk.R0 and risk not in self.approvers)

    def undo_window_for(self, risk: Risk, *, reversible: bool, money: bool) -> timedelta:
        """The time that an approved proposal waits before it runs.

        It is zero for calls that can be undone afterwards and for class R1 (low: an invoice, an e-mail). It
        is fifteen seconds for money and for calls that cannot be undone.
        """
        if risk in self.undo_window:
            return self.undo_window[risk]
        low_risk = risk <= Risk.R1 or reversible
        return _NO_WAIT if low_risk and not money else _MONEY_WAIT

    def takes_two(
        self, risk: Risk, amount: int | None, currency: str | None, calls: Sequence[CallValues] = ()
    ) -> bool:
        """True if two different people have to approve; `amount` in minor units.

        If amounts are named, money of `calls` that is not known counts as over the amount. So does money in
        another currency, or without a currency.
        """
        limits = self.two_people.amount
        if risk in self.two_people.risk or not limits:
            return risk in self.two_people.risk
        moved = money_moved(calls, amount, currency)
        if moved is None or amount is None:
            return moved is None
        return max(moved[0], abs(amount)) >= limits.get((currency or "").lower(), 0)


TABLES = frozenset(Policy.model_fields)
# Names that tables and their fields had before.
_OLD_TABLES: Mapping[str, str] = {"hold": "undo_window"}
_OLD_FIELDS: Mapping[str, Mapping[str, str]] = {
    "schedule": {"quiet": "quiet_hours", "expire_after": "expires_after"},
    "caps": {"shape_amount": "case_kind_amount", "shape_count": "case_kind_count"},
    "graduation": {"dead_man": "max_idle"},
}


def read_policy(tables: Mapping[str, Any]) -> tuple[Policy, list[str]]:
    """The policy of the tables of a rules file, and the problems in them, a sentence each."""
    if renamed := list(_renamed(tables)):
        return Policy(), renamed
    try:
        return Policy.model_validate({name: tables[name] for name in TABLES & tables.keys()}), []
    except ValidationError as error:
        return Policy(), list(_lines(error))


def unknown_tables(names: Iterable[str]) -> set[str]:
    """The names that are not, and never were, tables of the policy."""
    return set(names) - TABLES - _OLD_TABLES.keys()


def _renamed(tables: Mapping[str, Any]) -> Iterable[str]:
    for old, new in _OLD_TABLES.items():
        if old in tables:
            yield f"`[{old}]`: is now called `[{new}]`"
    for table, fields in _OLD_FIELDS.items():
        given = tables.get(table)
        for old, new in fields.items():
            if isinstance(given, Mapping) and old in given:
                yield f"`{table}.{old}`: is now called `{new}`"


def _lines(error: ValidationError) -> Iterable[str]:
    for each in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in each["loc"])
        yield f"`{place}`: {each['msg'].removeprefix('Value error, ')}"
