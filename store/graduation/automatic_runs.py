"""Queries on what ran on its own: for the digest, the Home tab and `/polar trust`."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import BigInteger, Connection, cast, func, select

from store.graduation.caps import ALL, day, of_case_kind, spent
from store.graduation.case_kinds import get_case_kind
from store.models import Mode, OutcomeKind, ProposalState
from store.models.graduation import CaseKind, Spent
from store.schema import proposals
from store.schema.graduation import outcomes

_WENT_WRONG = (ProposalState.FAILED, ProposalState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one kind of case did on its own since some moment.

    `moved` is money in minor units by currency; `today` what it has used of its caps today (money in the
    currency of its own amounts), `undone` counts what was undone, reversed or disputed.
    """

    case_kind: CaseKind
    count: int
    refused: int
    undone: int
    moved: Mapping[str, int] = field(default_factory=dict)
    today: Spent = field(default_factory=Spent)


def receipts(connection: Connection, since: datetime, now: datetime) -> list[Receipt]:
    """What ran on its own since then, the most frequent kind first."""
    ran = (proposals.c.decided_at >= since, proposals.c.mode == Mode.AUTO, proposals.c.case_kind.is_not(None))
    counted = connection.execute(
        select(proposals.c.case_kind, proposals.c.state, func.count())
        .where(*ran)
        .group_by(proposals.c.case_kind, proposals.c.state)
    )
    states: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for case_kind, state, count in counted:
        states[case_kind][state] = count
    taken_back = _taken_back(connection, since)
    moved = _moved(connection, ran)
    found = []
    for case_kind, by_state in states.items():
        known = get_case_kind(connection, case_kind)
        if known is None:
            continue
        today = spent(connection, of_case_kind(case_kind), day(now), _currency(known))
        refused = sum(by_state.get(state, 0) for state in _WENT_WRONG)
        total = sum(by_state.values())
        found.append(Receipt(known, total, refused, taken_back.get(case_kind, 0), moved[case_kind], today))
    return sorted(found, key=lambda one: (-one.count, one.case_kind.words))


def _moved(connection: Connection, ran: tuple[object, ...]) -> dict[str, dict[str, int]]:
    """The money that succeeded, as the gate counted it when it let each case run."""
    currency = proposals.c.gate["currency"].as_string()
    # Not as_integer(): on PostgreSQL that ends at two billion, which is a thousand dollars in rupiah.
    amount = cast(proposals.c.gate["amount"].as_string(), BigInteger)
    rows = connection.execute(
        select(proposals.c.case_kind, currency, func.sum(amount))
        .where(*ran, proposals.c.state == ProposalState.SUCCEEDED, amount > 0)  # type: ignore[arg-type]  # column conditions
        .group_by(proposals.c.case_kind, currency)
    )
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for case_kind, code, total in rows:
        found[case_kind][code] = int(total)
    return found


def _taken_back(connection: Connection, since: datetime) -> dict[str, int]:
    """How many that ran on their own were undone, reversed or disputed since then, by kind of case."""
    kinds = [OutcomeKind.UNDONE, OutcomeKind.REVERSED, OutcomeKind.DISPUTED]
    rows = connection.execute(
        select(proposals.c.case_kind, func.count(outcomes.c.proposal_id.distinct()))
        .join_from(outcomes, proposals, proposals.c.id == outcomes.c.proposal_id)
        .where(proposals.c.mode == Mode.AUTO, outcomes.c.at >= since, outcomes.c.kind.in_(kinds))
        .group_by(proposals.c.case_kind)
    )
    return {case_kind: count for case_kind, count in rows if case_kind is not None}


def used_today(connection: Connection, now: datetime, currency: str | None = None) -> Spent:
    """How much ran on its own today, all kinds together."""
    return spent(connection, ALL, day(now), currency)


def _currency(case_kind: CaseKind) -> str | None:
    band = case_kind.fields.get("amount")
    return str(band[1]) if band else None
