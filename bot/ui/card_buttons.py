"""The controls of a card: at most three buttons and one menu, by the state of the proposal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bot.ui.button_value import ButtonValue
from bot.ui.decline_reasons import reason_select
from bot.ui.elements import button, option
from bot.ui.message import CardView
from bot.ui.text import Block, Element
from store.models import CallState, Proposal, ProposalKind, ProposalState
from store.models.reasons import ReasonCode

# Action ids that tests and users rely on.
APPROVE, DECLINE, WHY, UNDO, RETRY = "approve", "decline", "why", "undo", "retry"
CHECK, MARK_DONE, MARK_NOT_DONE, MENU = "check", "mark_done", "mark_not_done", "menu"

DETAILS, EDIT, SNOOZE, ASSIGN, ASK = "details", "edit", "snooze", "assign", "ask"  # the items of the menu
_OPTIONS: Mapping[str, str] = {
    DETAILS: "Details",
    EDIT: "Edit",
    SNOOZE: "Snooze",
    ASSIGN: "Assign",
    ASK: "Ask in thread",
}


@dataclass(frozen=True, slots=True)
class _Button:
    """The label: at most two words. Its first letter differs from its neighbours', because phones cut it."""

    action_id: str
    label: str
    style: str | None = None


_APPROVE = _Button(APPROVE, "Approve", "primary")
_DECLINE = _Button(DECLINE, "Decline", "danger")
_UNDO = _Button(UNDO, "Undo")
_TURN_ON = (
    _Button(APPROVE, "Turn on", "primary"),
    _Button(DECLINE, "Keep asking"),
    _Button(WHY, "Why?"),
)
_IN_DOUBT = (
    _Button(CHECK, "Check again", "primary"),
    _Button(MARK_DONE, "Was done"),
    _Button(MARK_NOT_DONE, "Not done"),
)
_UNDO_AGAIN = frozenset({ProposalState.DECLINED, ProposalState.EXPIRED, ProposalState.WITHDRAWN})


def actions(p: Proposal, view: CardView) -> Block | None:
    """The row of buttons; None during the decision and during the run."""
    deciding = p.state == ProposalState.PENDING and p.approval_checking_by is not None
    if deciding or p.state == ProposalState.EXECUTING:
        return None
    elements = [_button(p, one) for one in _buttons(p, view)]
    if p.state == ProposalState.DECLINED and not view.decline_reasons:
        elements.append(reason_select(p))
    elements.append(_menu(p, _menu_of(p)))
    return {"type": "actions", "block_id": f"decide.{p.id}.{p.row_version}", "elements": elements}


def is_held(p: Proposal, view: CardView) -> bool:
    """Tell whether it is approved and waits for the end of its undo window."""
    return (
        p.state == ProposalState.APPROVED
        and p.cancellable_until is not None
        and view.now < p.cancellable_until
    )


def is_put_off(p: Proposal) -> bool:
    """Tell whether a failed run is tried again. The approver's own reason does not count."""
    put_off = p.status_reason is not None and p.status_reason.code is not ReasonCode.GIVEN
    return p.state == ProposalState.APPROVED and put_off


def can_be_taken_back(p: Proposal, view: CardView) -> bool:
    """Tell whether it is approved and waits, and no call of it was sent."""
    waits = is_held(p, view) or p.held_by is not None or is_put_off(p)
    unsent = all(call.state == CallState.PLANNED for call in p.calls)
    return p.state == ProposalState.APPROVED and waits and unsent


def can_be_undone(p: Proposal, view: CardView) -> bool:
    """Tell whether it is done and can be undone, and nobody has begun to undo it."""
    free = view.undone is None or view.undone.state in _UNDO_AGAIN
    return p.state == ProposalState.SUCCEEDED and view.undo and free and p.undone_at is None


def _buttons(p: Proposal, view: CardView) -> tuple[_Button, ...]:
    match p.state:
        case ProposalState.PENDING if p.kind == ProposalKind.GRADUATION:
            return _TURN_ON[1:] if p.held_by else _TURN_ON
        case ProposalState.PENDING:
            return (_DECLINE,) if p.held_by else (_APPROVE, _DECLINE)
        case ProposalState.FAILED:
            return (_Button(RETRY, "Retry", "primary"),)
        case ProposalState.UNKNOWN:
            return _IN_DOUBT
    return (_UNDO,) if can_be_taken_back(p, view) or can_be_undone(p, view) else ()


def _menu_of(p: Proposal) -> Iterable[str]:
    if p.state != ProposalState.PENDING:
        return (DETAILS, ASK)
    if p.kind == ProposalKind.GRADUATION:
        return (DETAILS, SNOOZE, ASSIGN, ASK)
    return _OPTIONS


def _button(p: Proposal, one: _Button) -> Element:
    value = ButtonValue(p.id, p.revision)
    return button(one.action_id, one.label, value, style=one.style, about=p.title)


def _menu(p: Proposal, names: Iterable[str]) -> Element:
    options = [option(_OPTIONS[name], ButtonValue(p.id, p.revision, name)) for name in names]
    return {"type": "overflow", "action_id": MENU, "options": options}
