"""Queries on the cards of proposals: which are behind, and what each shows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, literal, or_, select, update

from store.messages.outbox import LINE, add_notice
from store.models import Proposal, ProposalState, Transition
from store.proposals.proposals import read_proposal, read_transition, with_calls
from store.schema import bundles, proposals, transitions
from store.schema.columns import UtcDateTime

# A card of something just decided goes before one that is merely changed: somebody is looking at it.
_DECIDED_FIRST = case((proposals.c.decided_at.is_not(None), 0), else_=1)
BEHIND = proposals.c.rendered_version < proposals.c.row_version
# Not IS NULL: SQLite would look in the index of card_ts, where every proposal without a card stands, and not
# in the short index of those that are behind.
NO_CARD = func.coalesce(proposals.c.card_ts, "") == ""
# Part of a bundle, and still shown by its card alone: what fails or asks something new gets its own.
IN_BUNDLE_ONLY = (
    proposals.c.bundle_id.is_not(None)
    & NO_CARD
    & proposals.c.state.not_in([ProposalState.FAILED, ProposalState.UNKNOWN])
    & (proposals.c.revision == 1)
)


def card_free(now: datetime) -> list[ColumnElement[bool]]:
    """A proposal whose own card is to be drawn now and that nobody is drawing."""
    return [
        BEHIND,
        proposals.c.quiet == 0,
        ~IN_BUNDLE_ONLY,
        proposals.c.card_due_at <= now,
        or_(proposals.c.card_lease_expires_at.is_(None), proposals.c.card_lease_expires_at < now),
    ]


def claim_cards(
    connection: Connection, *, token: str, now: datetime, until: datetime, redraws: int, posts: int
) -> list[Proposal]:
    """Take proposals whose card is behind: up to `redraws` that have one, up to `posts` that have none yet.

    For one never posted it is noted that it is about to be: `card_sent_at` in what is returned is the note
    of an earlier try; set, that try may have posted.
    """
    order = (_DECIDED_FIRST, proposals.c.card_due_at)
    ids: list[str] = []
    for which, room in ((~NO_CARD, redraws), (NO_CARD, posts)):
        if room > 0:
            due = select(proposals.c.id).where(*card_free(now), which).order_by(*order).limit(room)
            ids += connection.execute(due).scalars()
    before = {row.id: row for row in connection.execute(select(proposals).where(proposals.c.id.in_(ids)))}
    if not before:
        return []
    sent_at = case(
        (proposals.c.card_ts.is_(None), func.coalesce(proposals.c.card_sent_at, literal(now, UtcDateTime)))
    )
    taken = connection.execute(
        update(proposals)
        .where(proposals.c.id.in_(before), *card_free(now))
        .values(card_lease_token=token, card_lease_expires_at=until, card_sent_at=sent_at)
        .returning(proposals)
    )
    found = [replace(read_proposal(row), card_sent_at=before[row.id].card_sent_at) for row in taken]
    return with_calls(connection, sorted(found, key=lambda p: (p.decided_at is None, p.created_at, p.id)))


def card_drawn(
    connection: Connection,
    proposal_id: str,
    *,
    token: str,
    version: int,
    revision: int,
    channel: str,
    ts: str,
    at: datetime,
    told: Sequence[int] = (),
    lines: Mapping[int, Mapping[str, Any]] | None = None,
) -> bool:
    """Note that the card shows `version`, and what is to be said in its thread. False: the claim ran out.

    `revision` is the one drawn; `first_shown_at` is when the one that is current was first shown.

    `told` are the versions that need no more telling; `lines` the messages about some of them. The bundle
    it belongs to is drawn again.
    """
    first_shown = proposals.c.first_shown_at.is_(None) & (proposals.c.revision == revision)
    result = connection.execute(
        update(proposals)
        .where(proposals.c.id == proposal_id, proposals.c.card_lease_token == token)
        .values(
            rendered_version=version,
            channel=channel,
            card_ts=ts,
            first_shown_at=case((first_shown, literal(at, UtcDateTime)), else_=proposals.c.first_shown_at),
            card_lease_token=None,
            card_lease_expires_at=None,
            card_sent_at=None,
        )
        .returning(proposals.c.bundle_id)
    ).first()
    if result is None:
        return False
    if told:
        connection.execute(
            update(transitions)
            .where(transitions.c.proposal_id == proposal_id, transitions.c.row_version.in_(told))
            .values(told=1)
        )
    for number, line in (lines or {}).items():
        name = f"{LINE}:{proposal_id}:{number}"
        add_notice(connection, name, kind=LINE, message=line, at=at, proposal_id=proposal_id)
    if result.bundle_id is not None:
        redraw_bundles(connection, [result.bundle_id])
    return True


def redraw_bundles(connection: Connection, bundle_ids: Sequence[str], **values: Any) -> None:
    """Have the cards of these bundles drawn again, no sooner than was planned."""
    if bundle_ids:
        connection.execute(
            update(bundles)
            .where(bundles.c.id.in_(bundle_ids))
            .values(row_version=bundles.c.row_version + 1, **values)
        )


def card_not_drawn(
    connection: Connection, proposal_id: str, *, token: str, due_at: datetime, certainly_not_posted: bool
) -> bool:
    """Let the card be tried again at `due_at`. False: the claim ran out."""
    forget = {"card_sent_at": None} if certainly_not_posted else {}
    result = connection.execute(
        update(proposals)
        .where(proposals.c.id == proposal_id, proposals.c.card_lease_token == token)
        .values(card_due_at=due_at, card_lease_token=None, card_lease_expires_at=None, **forget)
    )
    return result.rowcount == 1


def untold(connection: Connection, proposal_id: str, version: int) -> list[Transition]:
    """The changes of a proposal up to `version` that its card's thread does not know of, oldest first."""
    rows = connection.execute(
        select(transitions)
        .where(
            transitions.c.proposal_id == proposal_id,
            transitions.c.told == 0,
            transitions.c.row_version <= version,
        )
        .order_by(transitions.c.row_version)
    )
    return [read_transition(row) for row in rows]
