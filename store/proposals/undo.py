"""What becomes of a proposal when the one that takes it back gets somewhere."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from store.messages.outbox import LINE, add_notice, coded
from store.models import CallState, OutboxCode, ProposalState
from store.proposals.proposals import touch
from store.schema import calls, proposals

_OVER = (
    ProposalState.FAILED,
    ProposalState.WITHDRAWN,
    ProposalState.DECLINED,
    ProposalState.EXPIRED,
)
_LOUD = (*_OVER, ProposalState.UNKNOWN)


def settle_undo(connection: Connection, proposal_id: str, at: datetime) -> None:
    """After every step of a proposal that takes another one back: tell the other one, in this transaction.

    Done: the other one is undone. Not done: it may be taken back anew, unless a part was. Only what goes
    wrong gets a card of its own.
    """
    own = proposals.c.id == proposal_id
    names = (proposals.c.undo_of_id, proposals.c.state, proposals.c.row_version, proposals.c.decided_by)
    row = connection.execute(select(*names).where(own)).one_or_none()
    if row is None or row.undo_of_id is None:
        return
    if row.state in _LOUD:
        connection.execute(update(proposals).where(own).values(quiet=0))
    if row.state == ProposalState.SUCCEEDED:
        touch(connection, row.undo_of_id, at, undone_at=at)
        _say(connection, row, proposal_id, coded(OutboxCode.UNDONE, actor=row.decided_by), at)
    elif row.state in _OVER and not _done_in_part(connection, proposal_id):
        touch(connection, row.undo_of_id, at, undo_id=None)
        _say(connection, row, proposal_id, coded(OutboxCode.NOT_UNDONE), at)
    elif row.state in _LOUD:
        touch(connection, row.undo_of_id, at)
        _say(connection, row, proposal_id, coded(OutboxCode.PERHAPS_UNDONE), at)


def _done_in_part(connection: Connection, proposal_id: str) -> bool:
    """Then a second undo would do that part again: what is left is for a retry of this one."""
    done = (calls.c.proposal_id == proposal_id, calls.c.state == CallState.DONE)
    return bool(connection.execute(select(func.count()).select_from(calls).where(*done)).scalar())


def _say(
    connection: Connection, row: Any, proposal_id: str, message: Mapping[str, Any], at: datetime
) -> None:
    """A line for the thread of the card of what is taken back, if it has one."""
    shown = (proposals.c.id == row.undo_of_id, proposals.c.quiet == 0)
    if connection.execute(select(proposals.c.id).where(*shown)).first() is None:
        return
    identity = f"undo:{proposal_id}:{row.row_version}"
    add_notice(connection, identity, kind=LINE, message=message, at=at, proposal_id=row.undo_of_id)
