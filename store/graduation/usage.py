"""The counters behind the caps and the flood check: scopes, days and hours. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from store.models import CaseKindState, Mode, NewProposal
from store.models.graduation import CaseKind, Evaluation, GateInputs, Spent

ALL = "all"
MONTH = timedelta(days=29)  # with today that is thirty days
WEEK = timedelta(days=7)
_A_DAY = timedelta(hours=23)  # with this hour that is a day


@dataclass(frozen=True, slots=True)
class Since:
    """A scope, and the day or hour from which on it is asked for."""

    scope: str
    since: str


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter: so many cases of a scope on a day or in an hour, and their money in minor units."""

    scope: str
    day: str
    currency: str = ""
    count: int = 1
    amount: int = 0


class Usage:
    """Counters by scope. What lies before the moment that is asked for is forgotten: time only goes on."""

    def __init__(self) -> None:
        self._of: defaultdict[str, dict[tuple[str, str], Spent]] = defaultdict(dict)

    def add(self, one: Counter) -> None:
        """Count it."""
        own, when = self._of[one.scope], (one.day, one.currency)
        known = own.get(when, Spent())
        own[when] = Spent(known.count + one.count, known.amount + one.amount)

    def spent(self, wanted: Since, currency: str | None) -> Spent:
        """All cases of a scope since then, and their money in one currency."""
        found = self._since(wanted)
        money = sum(one.amount for (_, code), one in found.items() if code == (currency or ""))
        return Spent(sum(one.count for one in found.values()), money)

    def by_hour(self, wanted: Since) -> dict[str, int]:
        """The cases of each hour since then that had any."""
        return {when: one.count for (when, _), one in self._since(wanted).items()}

    def _since(self, wanted: Since) -> dict[tuple[str, str], Spent]:
        own = self._of[wanted.scope]
        for when in [each for each in own if each[0] < wanted.since]:
            del own[when]
        return own


def of_case_kind(case_kind: str) -> str:
    """The scope of a kind of case."""
    return f"case_kind:{case_kind}"


def of_customer(customer_id: str) -> str:
    """The scope of a customer."""
    return f"customer:{customer_id}"


def cases_of(case_kind: str) -> str:
    """The scope under which every case of a kind is counted by the hour, whether it ran or not."""
    return f"cases:{case_kind}"


def breaches_of(case_kind: str) -> str:
    """The scope under which a kind's breaches of a cap are counted by the hour."""
    return f"over:{case_kind}"


def day(at: datetime) -> str:
    """A day in UTC: "2026-11-21"."""
    return f"{at:%Y-%m-%d}"


def hour(at: datetime) -> str:
    """An hour in UTC: "2026-11-21T09"."""
    return f"{at:%Y-%m-%dT%H}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The question of the gate to the counters about one case."""

    customer: Since
    case_kind: Since
    everything: Since
    breaches: Since
    hours: Since | None  # only what runs on its own is watched for unusual volume

    @classmethod
    def of(cls, proposal: NewProposal, kind: CaseKind) -> "Wanted":
        """The counters that are read for a case when it comes."""
        now, graduated = proposal.created_at, kind.state == CaseKindState.GRADUATED
        return cls(
            Since(of_customer(proposal.customer_id or ""), day(now - MONTH)),
            Since(of_case_kind(kind.hash), day(now)),
            Since(ALL, day(now)),
            Since(breaches_of(kind.hash), hour(now - _A_DAY)),
            Since(cases_of(kind.hash), hour(now - WEEK)) if graduated else None,
        )

    def all(self) -> list[Since]:
        """All of them, to be read at once."""
        found = [self.customer, self.case_kind, self.everything, self.breaches]
        return found if self.hours is None else [*found, self.hours]

    def inputs(self, usage: Usage, proposal: NewProposal, kind: CaseKind, **more: Any) -> GateInputs:
        """The inputs of the gate; `more` are those that no counter has."""
        currency = proposal.currency
        return GateInputs(
            case_kind=kind,
            now=proposal.created_at,
            customer=usage.spent(self.customer, currency),
            case_kind_day=usage.spent(self.case_kind, currency),
            day=usage.spent(self.everything, currency),
            breaches=usage.spent(self.breaches, None).count,
            hours={} if self.hours is None else usage.by_hour(self.hours),
            **more,
        )


def counted(proposal: NewProposal, case_kind: str, evaluation: Evaluation) -> Iterator[Counter]:
    """The amounts that an evaluated case adds to the counters."""
    at = proposal.created_at
    yield Counter(cases_of(case_kind), hour(at))
    if evaluation.over_cap:
        yield Counter(breaches_of(case_kind), hour(at))
    if evaluation.mode != Mode.AUTO:
        return
    scopes = [of_case_kind(case_kind), ALL]
    if proposal.customer_id is not None:
        scopes.append(of_customer(proposal.customer_id))
    for scope in scopes:
        yield Counter(scope, day(at), evaluation.currency, 1, evaluation.amount)
