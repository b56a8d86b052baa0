"""Queries on the past as a replay walks it: each case with all that came of it, in a few passes."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, TypeVarTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    CursorResult,
    Select,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    type_coerce,
)

from store.engine.dialects import value_of
from store.engine.settings_kv import Setting, read
from store.models import Actor, Decision, NewProposal, PlannedCall, ProposalKind, ProposalState, Verdict
from store.models.graduation import NewCaseKind, Outcome, PastCase
from store.schema import calls, decisions, proposals, revisions, transitions
from store.schema.graduation import case_kinds, outcomes

Row = TypeVarTuple("Row")
# When a proposal ended undecided.
_OVER = (ProposalState.EXPIRED, ProposalState.WITHDRAWN)
_ENDED = select(func.max(transitions.c.at)).where(
    transitions.c.proposal_id == proposals.c.id, transitions.c.to_state.in_(_OVER)
)
LAPSED_AT = case((proposals.c.state.in_(_OVER), _ENDED.scalar_subquery()), else_=None).label("lapsed_at")
# What a proposal asked, as far as a replay needs it, and what may have changed since.
_ASKED = (
    "id", "rule", "rule_version", "event_id", "subject", "title", "risk", "always_asks", "created_at",
    "customer_id", "case_kind",
)  # fmt: skip
_LATER = ("state", "amount", "currency", "first_shown_at", "erased_at")
_NOBODY = tuple(Actor)
_MICROSECOND = timedelta(microseconds=1)
_TOO_SOON = timedelta(seconds=2) // _MICROSECOND
# An approval is stored after Polar was read: by then another one, pressed later, may have been stored.
_NEAR = timedelta(minutes=10) // _MICROSECOND


def past_cases(connection: Connection, own: Sequence[str]) -> list[PastCase]:
    """These proposals of rules, oldest first."""
    rows = connection.execute(
        select(*(proposals.c[name] for name in (*_ASKED, *_LATER)), LAPSED_AT)
        .where(proposals.c.id.in_(own))
        .order_by(proposals.c.created_at, proposals.c.id)
    ).all()
    planned, known = planned_calls(connection, own), evidence(connection, own)
    money = _money(connection, known.first_calls)
    cases = []
    for row in rows:
        id_ = row.id
        amount, currency = money.get(id_, (row.amount, row.currency))
        asked = known.first_calls.get(id_) or planned.get(id_, ())
        cases.append(
            PastCase(
                proposal=NewProposal(
                    **{name: getattr(row, name) for name in _ASKED},
                    fact_key="",
                    reasons=(),
                    facts=(),
                    calls=tuple(asked),
                    amount=amount,
                    currency=currency,
                ),
                erased=row.erased_at is not None,
                **known.of(row),
            )
        )
    return cases


def case_ids(
    connection: Connection, *, case_kind: str | None = None, most: int | None = None
) -> Sequence[str]:
    """The proposals of rules, oldest first: all, or of one kind of case the newest `most`."""
    wanted = select(proposals.c.id).where(proposals.c.kind == ProposalKind.CALLS)
    if case_kind is None:
        return connection.execute(wanted.order_by(proposals.c.created_at, proposals.c.id)).scalars().all()
    # PostgreSQL takes what nobody has decided for the newest, SQLite for the oldest.
    last = proposals.c.decided_at.desc().nulls_last()
    newest = wanted.where(proposals.c.case_kind == case_kind).order_by(last).limit(most)
    return connection.execute(newest).scalars().all()


def kinds(connection: Connection) -> dict[str, NewCaseKind]:
    """Every known kind of case, by hash."""
    return {row.hash: value_of(NewCaseKind, row) for row in connection.execute(select(case_kinds))}


def draw_secret(connection: Connection) -> bytes | None:
    """The secret that spot checks are drawn with; None before its first use. It is shown to nobody."""
    found = read(connection, Setting.DRAW_SECRET)
    return None if found is None else bytes.fromhex(found)


def _money(connection: Connection, edited: Iterable[str]) -> dict[str, tuple[int, str]]:
    """The amounts of edited cases before the edit, as the gate stored them."""
    found: dict[str, tuple[int, str]] = {}
    for id_ in edited:
        gate = connection.execute(select(proposals.c.gate).where(proposals.c.id == id_)).scalar() or {}
        if gate.get("amount"):
            found[id_] = (gate["amount"], gate["currency"])
    return found


def planned_calls(connection: Connection, own: Sequence[str]) -> Mapping[str, Sequence[PlannedCall]]:
    """The calls of these proposals, by proposal."""
    rows = connection.execute(
        select(calls.c.proposal_id, calls.c.operation, calls.c.path, calls.c.query, calls.c.body)
        .where(calls.c.proposal_id.in_(own))
        .order_by(calls.c.proposal_id, calls.c.number)
    )
    found: defaultdict[str, list[PlannedCall]] = defaultdict(list)
    for id_, operation, path, query, body in rows:
        found[id_].append(PlannedCall(operation, path, query, body))
    return found


@dataclass(frozen=True, slots=True)
class Evidence:
    """By proposal: people's decisions, oldest first; outcomes; the calls of the first revision of those that
    were changed since, and who changed them. `bulk` were approved by a press that had approved another one
    before, `hasty` within 2 seconds of that person's previous approval.
    """

    decisions: Mapping[str, Sequence[Decision]]
    outcomes: Mapping[str, Sequence[Outcome]]
    first_calls: Mapping[str, Sequence[PlannedCall]]
    editors: Mapping[str, Sequence[str]]
    bulk: set[str]
    hasty: set[str]

    def of(self, row: Any) -> dict[str, Any]:
        """The fields of a CaseEvidence; `row` is of `proposals`."""
        proposal_id, editors = row.id, self.editors.get(row.id, ())
        return {
            "state": ProposalState(row.state),
            "first_shown_at": row.first_shown_at,
            "decisions": self.decisions.get(proposal_id, ()),
            "edited_by": [one for one in editors if one not in _NOBODY],
            "restated": Actor.PROGRAM in editors,
            "outcomes": self.outcomes.get(proposal_id, ()),
            "first_of_tap": proposal_id not in self.bulk,
            "hasty": proposal_id in self.hasty,
            "lapsed_at": row.lapsed_at,
        }


def evidence(connection: Connection, own: Sequence[str]) -> Evidence:
    """The evidence on these proposals."""
    said, outcomes = _decisions(connection, own), _outcomes(connection, own)
    return Evidence(
        said,
        outcomes,
        *_revisions(connection, own),
        set(_ask(connection, _bulk, own).scalars()),
        hasty(connection, own),
    )


def _ask(
    connection: Connection, build: Callable[[Any], Select[*Row]], own: Sequence[str]
) -> CursorResult[*Row]:
    """Ask a question about these proposals. It is built once: learning asks it often."""
    asked: Select[*Row] = _of_a_list(build)
    return connection.execute(asked, {"own": list(own)})


@cache
def _of_a_list(build: Callable[[Any], Any]) -> Any:
    return build(bindparam("own", expanding=True))


def _decisions(connection: Connection, own: Sequence[str]) -> Mapping[str, Sequence[Decision]]:
    found: defaultdict[str, list[Decision]] = defaultdict(list)
    for row in _ask(connection, _by_people, own):
        found[row.proposal_id].append(value_of(Decision, row))
    return found


def _by_people(own: Any) -> Select[Any]:
    people = (decisions.c.proposal_id.in_(own), decisions.c.actor.not_in(_NOBODY))
    return select(decisions).where(*people).order_by(decisions.c.id)


def _outcomes(connection: Connection, own: Sequence[str]) -> Mapping[str, Sequence[Outcome]]:
    found: defaultdict[str, list[Outcome]] = defaultdict(list)
    for row in _ask(connection, _what_came, own):
        found[row.proposal_id].append(value_of(Outcome, row))
    return found


def _what_came(own: Any) -> Select[Any]:
    wanted = select(outcomes).where(outcomes.c.proposal_id.in_(own))
    return wanted.order_by(outcomes.c.at, outcomes.c.id)


def _revisions(
    connection: Connection, own: Sequence[str]
) -> tuple[Mapping[str, Sequence[PlannedCall]], Mapping[str, Sequence[str]]]:
    first: dict[str, Sequence[PlannedCall]] = {}
    editors: defaultdict[str, list[str]] = defaultdict(list)
    for id_, planned, superseded_by in _ask(connection, _superseded, own):
        first.setdefault(id_, tuple(PlannedCall(**call) for call in planned))
        editors[id_].append(superseded_by)
    return first, editors


def _superseded(own: Any) -> Select[str, Any, str]:
    return (
        select(revisions.c.proposal_id, revisions.c.calls, revisions.c.superseded_by)
        .where(revisions.c.proposal_id.in_(own))
        .order_by(revisions.c.proposal_id, revisions.c.revision)
    )


def _bulk(own: Any) -> Select[str]:
    """Those that a press approved after another one: one press is at most one approval."""
    mine, other = decisions.alias(), decisions.alias()
    approved = mine.c.verdict == Verdict.APPROVE
    earlier = and_(
        other.c.interaction_id == mine.c.interaction_id,
        other.c.verdict == Verdict.APPROVE,
        other.c.id < mine.c.id,
    )
    return select(mine.c.proposal_id).where(
        mine.c.proposal_id.in_(own),
        approved,
        mine.c.interaction_id.is_not(None),
        select(other.c.id).where(earlier).exists(),
    )


def hasty(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Of these proposals, those approved within 2 s of that person's previous approval.

    The times of the presses are compared. Two proposals approved by one press are no such pair.
    """
    return set(_ask(connection, _hasty, ids).scalars())


def _hasty(ids: Any) -> Select[str]:
    mine, other = decisions.alias(), decisions.alias()
    pressed, before = (
        type_coerce(func.coalesce(one.c.clicked_at, one.c.at), BigInteger) for one in (mine, other)
    )
    at, near = type_coerce(mine.c.at, BigInteger), type_coerce(other.c.at, BigInteger)
    earlier = and_(
        other.c.actor == mine.c.actor,
        near.between(at - _NEAR, at + _NEAR),
        other.c.verdict == Verdict.APPROVE,
        before > pressed - _TOO_SOON,
        or_(before < pressed, and_(before == pressed, other.c.id < mine.c.id)),
        or_(
            mine.c.interaction_id.is_(None),
            other.c.interaction_id.is_(None),
            other.c.interaction_id != mine.c.interaction_id,
        ),
        other.c.proposal_id != mine.c.proposal_id,
    )
    yes = (mine.c.verdict == Verdict.APPROVE, mine.c.actor.not_in(_NOBODY))
    return select(mine.c.proposal_id).where(
        mine.c.proposal_id.in_(ids), *yes, select(other.c.id).where(earlier).exists()
    )
