"""A card around its drawing: what it shows beside its proposal, and the note that it was drawn.

Cards are drawn many at a time, so each query here is for all that are drawn at the same time.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from store.engine.dialects import insert_new
from store.engine.writer import without_turn
from store.events.events import received_at
from store.graduation.case_kinds import get_case_kinds
from store.messages.cards import OF_PROPOSAL, redraw_bundles
from store.messages.outbox import LINE, outbox_row
from store.models import CaseKind, Proposal, ProposalState, Transition
from store.proposals.decisions import approvals_among
from store.proposals.details import reasons_by_proposal
from store.proposals.proposals import read_proposals, transition_of, with_calls
from store.schema import outbox, proposals, transitions

# Built once: every card needs them.
_UNANNOUNCED = (
    select(transitions)
    .where(transitions.c.proposal_id.in_(bindparam("ids", expanding=True)), transitions.c.announced == 0)
    .order_by(transitions.c.proposal_id, transitions.c.row_version)
)
# In the order of the ids, so that no two transactions wait for each other's rows.
_LEASED = (
    select(
        proposals.c.id,
        proposals.c.card_lease_token,
        proposals.c.row_version,
        proposals.c.revision,
        proposals.c.first_shown_at,
        proposals.c.bundle_id,
    )
    .where(proposals.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(proposals.c.id)
    .with_for_update(key_share=True)
)
_DRAWN = (
    update(proposals)
    .where(proposals.c.id == bindparam("own"), proposals.c.card_lease_token == bindparam("held"))
    .values(card_lease_token=None, card_lease_expires_at=None, card_sent_at=None)
)
_ANNOUNCED = (
    update(transitions)
    .where(transitions.c.proposal_id == bindparam("own"), transitions.c.row_version == bindparam("version"))
    .values(announced=1)
)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A card to be drawn. `needs_two`: it shows who has approved so far."""

    proposal: Proposal
    needs_two: bool = False


@dataclass(frozen=True, slots=True)
class Beside:
    """The rows that a card shows beside its proposal, and the `news`: changes that its thread does not know
    of, oldest first.
    """

    case_kind: CaseKind | None = None
    approvals: tuple[str, ...] = ()
    decline_reasons: tuple[str, ...] = ()
    undo: Proposal | None = None
    news: tuple[Transition, ...] = ()


@without_turn
def read_beside(connection: Connection, drawings: Sequence[Drawing]) -> list[Beside]:
    """Read what each card shows beside its proposal; nothing is asked that no card shows."""
    shown = [one.proposal for one in drawings]
    kinds = get_case_kinds(connection, {one.case_kind for one in shown if one.case_kind})
    said = approvals_among(
        connection, {one.proposal.id: one.proposal.revision for one in drawings if one.needs_two}
    )
    declined = [one.id for one in shown if one.state == ProposalState.DECLINED]
    reasons = reasons_by_proposal(connection, declined)
    undos = _proposals(connection, {one.undo_id for one in shown if one.undo_id})
    news = _unannounced(connection, {one.id for one in shown if one.row_version > 1})
    return [
        Beside(
            kinds.get(one.case_kind or ""),
            tuple(said.get(one.id, ())),
            reasons.get(one.id, ()),
            undos.get(one.undo_id or ""),
            tuple(change for change in news.get(one.id, ()) if change.row_version <= one.row_version),
        )
        for one in shown
    ]


def _proposals(connection: Connection, ids: set[str]) -> dict[str, Proposal]:
    if not ids:
        return {}
    found = with_calls(connection, read_proposals(connection, [proposals.c.id.in_(sorted(ids))]))
    return {one.id: one for one in found}


def _unannounced(connection: Connection, ids: set[str]) -> Mapping[str, Sequence[Transition]]:
    found: defaultdict[str, list[Transition]] = defaultdict(list)
    if ids:
        for row in connection.execute(_UNANNOUNCED, {"ids": sorted(ids)}):
            found[row.proposal_id].append(transition_of(row))
    return found


@dataclass(frozen=True, slots=True)
class CardDrawn:
    """A card that was drawn under the lease `token`: it is at `ts` in `channel`, and shows `version`.

    `revision` is the one drawn. `announced` are the versions that need no more announcing; `lines` are the
    messages about some of them, for the card's thread. `arrival` is the event whose time of arrival is asked.
    """

    proposal_id: str
    token: str
    version: int
    revision: int
    channel: str
    ts: str
    at: datetime
    announced: Sequence[int] = ()
    lines: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    arrival: str | None = None


@dataclass(frozen=True, slots=True)
class NotedCard:
    """A card that is noted as drawn. `behind`: its proposal has changed meanwhile, or its bundle has to be
    drawn again.
    """

    behind: bool
    arrived_at: datetime | None = None


def cards_drawn(connection: Connection, drawn: Sequence[CardDrawn]) -> list[NotedCard | None]:
    """Note what each card shows, and put lines for their threads into the outbox. None: that lease was lost.

    `first_shown_at` is when the revision that is current was first shown. The bundle that a proposal belongs
    to is drawn again.
    """
    rows = {row.id: row for row in connection.execute(_LEASED, {"ids": [one.proposal_id for one in drawn]})}
    held = [one for one in drawn if one.proposal_id in rows and _holds(one, rows[one.proposal_id])]
    if held:
        connection.execute(_DRAWN, [_marks(one, rows[one.proposal_id]) for one in held])
    announced = [{"own": one.proposal_id, "version": number} for one in held for number in one.announced]
    if announced:
        connection.execute(_ANNOUNCED, announced)
    lines = [_line(one, number) for one in held for number in one.lines]
    if lines:
        insert_new(connection, outbox, lines)
    of_bundles = {one.proposal_id: rows[one.proposal_id].bundle_id for one in held}
    redraw_bundles(connection, sorted({bundle for bundle in of_bundles.values() if bundle is not None}))
    arrived = received_at(connection, sorted({one.arrival for one in held if one.arrival}))
    noted = {
        (one.proposal_id, one.token): NotedCard(
            rows[one.proposal_id].row_version > one.version or of_bundles[one.proposal_id] is not None,
            arrived.get(one.arrival or ""),
        )
        for one in held
    }
    return [noted.get((one.proposal_id, one.token)) for one in drawn]


def _holds(one: CardDrawn, row: Any) -> bool:
    return bool(row.card_lease_token == one.token)


def _marks(one: CardDrawn, row: Any) -> dict[str, Any]:
    first = one.at if row.revision == one.revision else None
    return {
        "own": one.proposal_id,
        "held": one.token,
        "rendered_version": one.version,
        "channel": one.channel,
        "card_ts": one.ts,
        "first_shown_at": row.first_shown_at or first,
    }


def _line(one: CardDrawn, number: int) -> dict[str, Any]:
    name = f"{LINE}:{one.proposal_id}:{number}"
    return outbox_row(name, kind=LINE, message=one.lines[number], at=one.at, proposal_id=one.proposal_id)


def card_not_drawn(
    connection: Connection, proposal_id: str, *, token: str, due_at: datetime, certainly_not_posted: bool
) -> bool:
    """Let the card be tried again at `due_at`. False: the lease was lost."""
    return OF_PROPOSAL.not_drawn(
        connection, proposal_id, token=token, due_at=due_at, certainly_not_posted=certainly_not_posted
    )
