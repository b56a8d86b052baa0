"""Queries on what ran on its own: for the digest, the Home tab and `/polar trust`."""

from collections import defaultdict
from datetime import datetime

from sqlalchemy import BigInteger, Connection, cast, func, select

from store.graduation.caps import spent
from store.graduation.case_kinds import get_case_kind
from store.graduation.usage import Since, day, of_case_kind
from store.models import Mode, OutcomeKind, ProposalState
from store.models.graduation import AutomaticRuns
from store.schema import proposals
from store.schema.graduation import outcomes

_WENT_WRONG = (ProposalState.FAILED, ProposalState.UNKNOWN)


def automatic_runs(connection: Connection, since: datetime, now: datetime) -> list[AutomaticRuns]:
    """The automatic runs since then, the most frequent kind first."""
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
        today = spent(connection, Since(of_case_kind(case_kind), day(now)), known.currency)
        failed = sum(by_state.get(state, 0) for state in _WENT_WRONG)
        undone = taken_back.get(case_kind, 0)
        found.append(AutomaticRuns(known, sum(by_state.values()), failed, undone, moved[case_kind], today))
    return sorted(found, key=lambda one: (-one.count, one.case_kind.label))


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
    """The number of automatic runs that were undone, reversed or disputed since then, by kind of case."""
    kinds = [OutcomeKind.UNDONE, OutcomeKind.REVERSED, OutcomeKind.DISPUTED]
    rows = connection.execute(
        select(proposals.c.case_kind, func.count(outcomes.c.proposal_id.distinct()))
        .join_from(outcomes, proposals, proposals.c.id == outcomes.c.proposal_id)
        .where(proposals.c.mode == Mode.AUTO, outcomes.c.at >= since, outcomes.c.kind.in_(kinds))
        .group_by(proposals.c.case_kind)
    )
    return {case_kind: count for case_kind, count in rows if case_kind is not None}
