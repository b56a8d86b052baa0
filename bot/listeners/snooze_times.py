"""Until when something is put aside: in a person's words, in the operator's time zone. Pure."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MORNING = time(9, 0)
LONGEST = timedelta(days=90)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d{1,4})\s*(m|h|d|w)(?:in|ins|inutes?|ours?|ays?|eeks?)?")
_CLOCK = re.compile(r"(?:at\s+)?(\d{1,2}):(\d{2})")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def until(words: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    """The moment that "2h", "until tomorrow", "until monday 14:00" or "until 2026-12-01" means, in UTC.

    None when it cannot be read, has passed, or is further away than LONGEST.
    """
    said = " ".join(words.lower().replace(",", " ").split()).removesuffix(".")
    span = _SPAN.fullmatch(said.removeprefix("for "))
    try:
        found = now + timedelta(**{_UNITS[span[2]]: int(span[1])}) if span else _named(said, now, zone)
    except (OverflowError, ValueError):
        return None
    return found if found is not None and now < found <= now + LONGEST else None


def _named(said: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    said = said.removeprefix("until ")
    local = now.astimezone(zone)
    if clock := _CLOCK.fullmatch(said):
        at = _at(local.date(), _time(clock), zone)
        return at if at > now else _at(local.date() + timedelta(days=1), _time(clock), zone)
    name, _, rest = said.partition(" ")
    clock = _CLOCK.fullmatch(rest)
    day = _day(name, local.date())
    if day is None or (rest and clock is None):
        return None
    return _at(day, _time(clock) if clock else MORNING, zone)


def _day(name: str, today: date) -> date | None:
    if name == "tomorrow":
        return today + timedelta(days=1)
    if name in _DAYS:
        return today + timedelta(days=(_DAYS.index(name) - today.weekday() - 1) % 7 + 1)
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None


def _time(clock: re.Match[str]) -> time:
    return time(int(clock[1]), int(clock[2]))


def _at(day: date, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)


# What the menu offers, by key: the words on the option and the moment.
OFFERED: dict[str, tuple[str, Callable[[datetime, ZoneInfo], datetime | None]]] = {
    "1h": ("1 hour", lambda now, zone: until("1h", now, zone)),
    "4h": ("4 hours", lambda now, zone: until("4h", now, zone)),
    "tomorrow": ("Tomorrow 9:00", lambda now, zone: until("tomorrow", now, zone)),
    "monday": ("Monday 9:00", lambda now, zone: until("monday", now, zone)),
}
