"""Cards: the Slack message of a proposal or of a bundle, which of them are behind, and what each shows.

The columns of a card stand in both tables, and `CardColumns` is the one implementation for either. A table of
messages of its own would cost more than it gives: a card is behind when its row has changed since, and only
inside one table does a partial index hold those rows. Apart, each change of a proposal would write a second
row, and the fifteen queries that read whole proposals would each need a join.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnCollection,
    ColumnElement,
    Connection,
    Row,
    Update,
    and_,
    case,
    func,
    literal,
    not_,
    select,
    true,
    update,
)

from store.engine.leases import BUNDLE_CARDS, CARDS, Lease, Leases
from store.events.events import received_at
from store.messages.outbox import LINE, add_to_outbox
from store.models import Proposal, ProposalState, Transition
from store.proposals.proposals import read_proposal, read_transition, with_calls
from store.schema import bundles, proposals, transitions
from store.schema.columns import UtcDateTime

_REDRAWN_EVERY = timedelta(
    seconds=3
)  # a bundle, while its proposals run: one card must not use up all redraws


@dataclass(frozen=True, eq=False, slots=True)
class CardColumns:
    """The card columns of `proposals` or of `bundles`. `drawable` are the rows that get a card at all."""

    leases: Leases
    drawable: ColumnElement[bool]
    has_one: ColumnElement[bool]

    @property
    def _c(self) -> ColumnCollection[str, Any]:
        return self.leases.table.c

    @property
    def behind(self) -> ColumnElement[bool]:
        """The row has changed since its card was drawn, or it has no card yet."""
        return self.leases.waits

    def due(self, now: datetime) -> ColumnElement[bool]:
        """The card is to be drawn now."""
        return and_(self.drawable, self._c.card_due_at <= now)

    def free(self, now: datetime) -> ColumnElement[bool]:
        """The card is behind, is to be drawn now, and nobody is drawing it."""
        return and_(self.behind, self.due(now), self.leases.free(now))

    def take(
        self, connection: Connection, lease: Lease, *, redraws: int, posts: int, order: Sequence[Any]
    ) -> list[tuple[Row[Any], datetime | None]]:
        """Take up to `redraws` cards that are there and `posts` that are not, in this order.

        For one never posted it is noted that it is about to be (`card_sent_at`). Each row comes with the note
        of an earlier try: set, that try may have posted.
        """
        key, earlier = self._c.id, dict[str, datetime | None]()
        for which, room in ((self.has_one, redraws), (not_(self.has_one), posts)):
            if room > 0:
                picked = select(key, self._c.card_sent_at).where(self.free(lease.now), which)
                found = connection.execute(picked.order_by(*order).limit(room))
                earlier |= {row.id: row.card_sent_at for row in found}
        if not earlier:
            return []
        noted = func.coalesce(self._c.card_sent_at, literal(lease.now, UtcDateTime))
        sent_at = case((self._c.card_ts.is_(None), noted))
        taken = self.leases.take_those(
            connection, lease, key.in_(list(earlier)), self.due(lease.now), card_sent_at=sent_at
        )
        return [(row, earlier[row.id]) for row in taken]

    def drawn(self, token: str, id_: str, *, version: int, place: tuple[str, str], **more: Any) -> Update:
        """The statement that notes that the card shows `version` and is at `place` (channel, ts)."""
        channel, ts = place
        values = {"rendered_version": version, "channel": channel, "card_ts": ts, "card_sent_at": None}
        return self.leases.releasing(token, id_, **values, **more)

    def not_drawn(
        self, connection: Connection, id_: str, *, token: str, due_at: datetime, certainly_not_posted: bool
    ) -> bool:
        """Let the card be tried again at `due_at`. False: the lease was lost."""
        forget = {"card_sent_at": None} if certainly_not_posted else {}
        return self.leases.release(connection, token, id_, card_due_at=due_at, **forget)


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
OF_PROPOSAL = CardColumns(CARDS, (proposals.c.has_card == 1) & ~IN_BUNDLE_ONLY, ~NO_CARD)
OF_BUNDLE = CardColumns(BUNDLE_CARDS, true(), bundles.c.card_ts.is_not(None))
# A card of something just decided goes before one that is merely changed: somebody is looking at it.
_DECIDED_FIRST = case((proposals.c.decided_at.is_not(None), 0), else_=1)


def claim_cards(
    connection: Connection, *, token: str, now: datetime, until: datetime, redraws: int, posts: int
) -> list[Proposal]:
    """Take proposals whose card is behind: up to `redraws` that have one, up to `posts` that have none yet.

    Their `card_sent_at` is the note of an earlier try to post: see `CardColumns.take`.
    """
    order = (_DECIDED_FIRST, proposals.c.card_due_at)
    lease = Lease(token, now, until)
    taken = OF_PROPOSAL.take(connection, lease, redraws=redraws, posts=posts, order=order)
    found = [replace(read_proposal(row), card_sent_at=earlier) for row, earlier in taken]
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
    announced: Sequence[int] = (),
    lines: Mapping[int, Mapping[str, Any]] | None = None,
    arrivals: Sequence[str] = (),
) -> dict[str, datetime] | None:
    """Note that the card shows `version`, and put lines for its thread into the outbox. None: lease lost.

    `revision` is the one drawn; `first_shown_at` is when the one that is current was first shown. `announced`
    are the versions that need no more announcing; `lines` are the messages about some of them. The bundle it
    belongs to is drawn again. Returns the times at which the events `arrivals` arrived, by their ids.
    """
    own = proposals.c
    first_shown = own.first_shown_at.is_(None) & (own.revision == revision)
    shown_at = case((first_shown, literal(at, UtcDateTime)), else_=own.first_shown_at)
    drawn = OF_PROPOSAL.drawn(
        token, proposal_id, version=version, place=(channel, ts), first_shown_at=shown_at
    )
    found = connection.execute(drawn.returning(own.bundle_id)).first()
    if found is None:
        return None
    if announced:
        connection.execute(
            update(transitions)
            .where(transitions.c.proposal_id == proposal_id, transitions.c.row_version.in_(announced))
            .values(announced=1)
        )
    for number, line in (lines or {}).items():
        name = f"{LINE}:{proposal_id}:{number}"
        add_to_outbox(connection, name, kind=LINE, message=line, at=at, proposal_id=proposal_id)
    if found.bundle_id is not None:
        redraw_bundles(connection, [found.bundle_id])
    return received_at(connection, arrivals)


def card_not_drawn(
    connection: Connection, proposal_id: str, *, token: str, due_at: datetime, certainly_not_posted: bool
) -> bool:
    """Let the card be tried again at `due_at`. False: the lease was lost."""
    return OF_PROPOSAL.not_drawn(
        connection, proposal_id, token=token, due_at=due_at, certainly_not_posted=certainly_not_posted
    )


def bundle_drawn(
    connection: Connection,
    bundle_id: str,
    *,
    token: str,
    version: int,
    channel: str,
    ts: str,
    at: datetime,
    shown: Sequence[str],
    line: Mapping[str, Any] | None = None,
    arrivals: Sequence[str] = (),
) -> dict[str, datetime] | None:
    """Note that the card shows `version`, and since when it shows each of `shown`. None: lease lost.

    `line` is for its thread, once. Returns the times at which the events `arrivals` arrived, by their ids.
    """
    first_shown_at = func.coalesce(bundles.c.first_shown_at, literal(at, UtcDateTime))
    more = {"first_shown_at": first_shown_at, "card_due_at": at + _REDRAWN_EVERY}
    drawn = OF_BUNDLE.drawn(token, bundle_id, version=version, place=(channel, ts), **more)
    if connection.execute(drawn).rowcount != 1:
        return None
    # What a bundle shows is the first revision of each.
    unseen = proposals.c.first_shown_at.is_(None) & (proposals.c.revision == 1)
    first_seen = update(proposals).where(proposals.c.id.in_(shown), unseen)
    connection.execute(first_seen.values(first_shown_at=at))
    if line is not None:
        add_to_outbox(connection, f"{LINE}:{bundle_id}", kind=LINE, message=line, at=at)
    return received_at(connection, arrivals)


def bundle_not_drawn(
    connection: Connection, bundle_id: str, *, token: str, due_at: datetime, certainly_not_posted: bool
) -> bool:
    """Let the bundle's card be tried again at `due_at`. False: the lease was lost."""
    return OF_BUNDLE.not_drawn(
        connection, bundle_id, token=token, due_at=due_at, certainly_not_posted=certainly_not_posted
    )


def redraw_bundles(connection: Connection, bundle_ids: Sequence[str], **values: Any) -> None:
    """Have the cards of these bundles drawn again, no sooner than was planned."""
    if bundle_ids:
        changed = {"row_version": bundles.c.row_version + 1} | values
        connection.execute(update(bundles).where(bundles.c.id.in_(bundle_ids)).values(changed))


def unannounced(connection: Connection, proposal_id: str, version: int) -> list[Transition]:
    """The changes of a proposal up to `version` that its card's thread does not know of, oldest first."""
    rows = connection.execute(
        select(transitions)
        .where(
            transitions.c.proposal_id == proposal_id,
            transitions.c.announced == 0,
            transitions.c.row_version <= version,
        )
        .order_by(transitions.c.row_version)
    )
    return [read_transition(row) for row in rows]
