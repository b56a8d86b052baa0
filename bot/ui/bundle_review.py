"""The modal that reviews a bundle: ten proposals a page with checkboxes, and other results. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.ui.bundle import counted
from bot.ui.elements import (
    Block,
    Element,
    actions,
    bullets,
    button,
    input_block,
    modal,
    option,
    rich,
    section,
    select,
)
from bot.ui.states import phrase
from polar.text.money import format_money
from store.models import Proposal

REVIEWED, PAGE, ALONE, TICKED = "bundle_reviewed", "bundle_page", "bundle_alone", "bundle_ticked"
BACK, NEXT = "back", "next"
TITLE = "Review"
_OWN = "Undo, Details and the reason of a no are on the card that “Own card for…” gives one of them."
A_PAGE = 10  # Slack's limit of one group of checkboxes


@dataclass(frozen=True, slots=True)
class Review:
    """The place of a person in the review of a bundle, kept in the modal itself.

    `seen` is the time in microseconds at which their card was drawn: proposals that joined later are not
    shown. `ticked` is the first state of every checkbox. `flipped` are the proposals whose checkbox this
    person has changed.
    """

    bundle_id: str
    seen: int
    ticked: bool
    page: int = 0
    turn: int = 0  # grows with each drawing: Slack keeps the input of a block whose id it knows
    flipped: frozenset[str] = frozenset()

    def approves(self, proposal_id: str) -> bool:
        """Tell whether it is ticked."""
        return self.ticked != (proposal_id in self.flipped)

    def with_page(self, shown: Sequence[str], ticked: Sequence[str]) -> "Review":
        """The same review after the checkboxes of the shown proposals were read."""
        changed = {one for one in shown if (one in ticked) != self.ticked}
        return replace(self, flipped=self.flipped - set(shown) | changed)

    def dumped(self) -> str:
        """For `private_metadata`: a hundred ids fit well into its 3,000 characters."""
        kept = [self.bundle_id, self.seen, self.ticked, self.page, self.turn, sorted(self.flipped)]
        return json.dumps(kept, separators=(",", ":"))


def loaded(metadata: str) -> Review:
    """The review that a modal holds. Raises ValueError for text that this program did not write."""
    try:
        bundle_id, seen, ticked, page, turn, flipped = json.loads(metadata)
        return Review(str(bundle_id), int(seen), bool(ticked), int(page), int(turn), frozenset(flipped))
    except (TypeError, ValueError) as error:
        msg = "this modal is not of this version"
        raise ValueError(msg) from error


def pages(count: int) -> int:
    """The number of pages for so many proposals."""
    return max(1, -(-count // A_PAGE))


def review_view(
    review: Review, waiting: Sequence[Proposal], settled: Sequence[Proposal] = ()
) -> dict[str, Any]:
    """One page of the modal. `waiting` are the proposals that can be decided, the oldest first.

    `settled` are the others that have no card of their own, each with its state.
    """
    everything = [*waiting, *settled]
    last = pages(len(everything)) - 1
    page = min(max(review.page, 0), last)
    shown = everything[page * A_PAGE : (page + 1) * A_PAGE]
    review = replace(review, page=page, turn=review.turn + 1)
    known = {proposal.id for proposal in waiting}
    here = [proposal for proposal in shown if proposal.id in known]
    rest = [proposal for proposal in shown if proposal.id not in known]
    said = f"{_said(review, waiting, everything)} Page {page + 1} of {last + 1}."
    blocks = [section(f"said.{review.turn}", said), *([_ticks(review, here)] if here else [])]
    if rest:
        rows = [f"{proposal.title} – {phrase(proposal.state)}" for proposal in rest]
        blocks.append(rich(f"stands.{review.turn}", bullets(rows, 200)))
    blocks.append(_ways(review, shown, last))
    submit = "Approve" if waiting else ""
    return modal(TITLE, blocks, callback_id=REVIEWED, metadata=review.dumped(), submit=submit)


def _said(review: Review, waiting: Sequence[Proposal], everything: Sequence[Proposal]) -> str:
    if not waiting:
        return f"{counted(everything)}: none waits. {_OWN}"
    ticked = sum(review.approves(proposal.id) for proposal in waiting)
    said = f"{counted(waiting)}. Ticked: {ticked} of {len(waiting)}."
    more = " Approve counts for the ticked ones of all pages." if len(everything) > A_PAGE else ""
    return f"{said}{more}{f' {_OWN}' if len(everything) > len(waiting) else ''}"


def _ticks(review: Review, shown: Sequence[Proposal]) -> Block:
    options = [_option(proposal) for proposal in shown]
    initial = [each for each in options if review.approves(each["value"])]
    element: Element = {"type": "checkboxes", "action_id": TICKED, "options": options}
    element |= {"initial_options": initial} if initial else {}
    return input_block(f"ticks.{review.turn}", "To be approved", element, optional=True)


def _option(proposal: Proposal) -> Element:
    amount = proposal.amount
    money = "" if amount is None or not proposal.currency else format_money(amount, proposal.currency)
    small = " · ".join(part for part in (money, proposal.customer) if part)
    return option(proposal.title, proposal.id, small)


def _ways(review: Review, shown: Sequence[Proposal], last: int) -> Block:
    turns = [(BACK, "Back", review.page > 0), (NEXT, "Next", review.page < last)]
    elements = [button(f"{PAGE}.{way}", label, way) for way, label, there in turns if there]
    own = select(ALONE, "Own card for…", [option(each.title, each.id) for each in shown])
    return actions(f"ways.{review.turn}", [*elements, own])
