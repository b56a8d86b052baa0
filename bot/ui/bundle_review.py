"""The modal in which a bundle is gone through: ten a page, to be ticked, with what came of the rest. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.sanitize import clean
from bot.ui.bundle import counted
from bot.ui.states import phrase
from bot.ui.text import Block, Element, bullets, rich
from polar.text.money import format_money
from store.models import Proposal

REVIEWED, PAGE, ALONE, TICKED = "bundle_reviewed", "bundle_page", "bundle_alone", "bundle_ticked"
BACK, NEXT = "back", "next"
TITLE = "Review"
_OWN = "Undo, Details and the reason of a no are on the card that “Own card for…” gives one of them."
A_PAGE = 10  # Slack's limit of one group of checkboxes


@dataclass(frozen=True, slots=True)
class Review:
    """Where somebody is in a bundle, kept in the modal itself.

    `seen` is when the card they came from was drawn (microseconds): what joined later is not shown. `ticked`
    is how each proposal begins; `flipped` are those that this person has changed.
    """

    bundle_id: str
    seen: int
    ticked: bool
    page: int = 0
    turn: int = 0  # grows with each drawing: Slack keeps what was typed in a block whose id it knows
    flipped: frozenset[str] = frozenset()

    def approves(self, proposal_id: str) -> bool:
        """Whether it is ticked."""
        return self.ticked != (proposal_id in self.flipped)

    def with_page(self, shown: Sequence[str], ticked: Sequence[str]) -> "Review":
        """The same after what is ticked now of those shown."""
        changed = {one for one in shown if (one in ticked) != self.ticked}
        return replace(self, flipped=self.flipped - set(shown) | changed)

    def dumped(self) -> str:
        """For `private_metadata`: a hundred ids fit well into its 3,000 characters."""
        kept = [self.bundle_id, self.seen, self.ticked, self.page, self.turn, sorted(self.flipped)]
        return json.dumps(kept, separators=(",", ":"))


def loaded(metadata: str) -> Review:
    """The review that a modal holds. Raises ValueError for what we did not write."""
    try:
        bundle_id, seen, ticked, page, turn, flipped = json.loads(metadata)
        return Review(str(bundle_id), int(seen), bool(ticked), int(page), int(turn), frozenset(flipped))
    except (TypeError, ValueError) as error:
        msg = "this modal is not of this version"
        raise ValueError(msg) from error


def pages(count: int) -> int:
    """How many pages so many proposals take."""
    return max(1, -(-count // A_PAGE))


def review_view(
    review: Review, waiting: Sequence[Proposal], settled: Sequence[Proposal] = ()
) -> dict[str, Any]:
    """One page of the modal. `waiting` are the proposals that can be decided, the oldest first.

    `settled` are the others that have no card of their own: each with where it stands.
    """
    everything = [*waiting, *settled]
    last = pages(len(everything)) - 1
    page = min(max(review.page, 0), last)
    shown = everything[page * A_PAGE : (page + 1) * A_PAGE]
    review = replace(review, page=page, turn=review.turn + 1)
    known = {proposal.id for proposal in waiting}
    here = [proposal for proposal in shown if proposal.id in known]
    rest = [proposal for proposal in shown if proposal.id not in known]
    blocks = [
        _section(
            f"said.{review.turn}", f"{_said(review, waiting, everything)} Page {page + 1} of {last + 1}."
        ),
        *([_ticks(review, here)] if here else []),
        *([_stands(review, rest)] if rest else []),
        _ways(review, shown, last),
    ]
    return _modal(tuple(blocks), submit="Approve" if waiting else None) | {
        "callback_id": REVIEWED,
        "private_metadata": review.dumped(),
    }


def _said(review: Review, waiting: Sequence[Proposal], everything: Sequence[Proposal]) -> str:
    if not waiting:
        return f"{counted(everything)}: none waits. {_OWN}"
    ticked = sum(review.approves(proposal.id) for proposal in waiting)
    said = f"{counted(waiting)}. Ticked: {ticked} of {len(waiting)}."
    more = " Approve counts for the ticked ones of all pages." if len(everything) > A_PAGE else ""
    return f"{said}{more}{f' {_OWN}' if len(everything) > len(waiting) else ''}"


def _stands(review: Review, settled: Sequence[Proposal]) -> Block:
    """What became of those that no longer wait."""
    rows = [f"{proposal.title} – {phrase(proposal.state)}" for proposal in settled]
    return rich(f"stands.{review.turn}", bullets(rows, 200))


def _ticks(review: Review, shown: Sequence[Proposal]) -> Block:
    options = [_option(proposal) for proposal in shown]
    initial = [each for each in options if review.approves(each["value"])]
    element: Element = {"type": "checkboxes", "action_id": TICKED, "options": options}
    element |= {"initial_options": initial} if initial else {}
    label = {"type": "plain_text", "text": "To be approved", "emoji": False}
    block_id = f"ticks.{review.turn}"
    return {"type": "input", "block_id": block_id, "optional": True, "label": label, "element": element}


def _option(proposal: Proposal) -> Element:
    amount = proposal.amount
    money = "" if amount is None or not proposal.currency else format_money(amount, proposal.currency)
    small = " · ".join(part for part in (money, proposal.customer) if part)
    option: Element = {"text": _plain(proposal.title, 75), "value": proposal.id}
    return option | ({"description": _plain(small, 75)} if small else {})


def _ways(review: Review, shown: Sequence[Proposal], last: int) -> Block:
    elements: list[Element] = []
    if review.page > 0:
        elements.append(_button(BACK, "Back"))
    if review.page < last:
        elements.append(_button(NEXT, "Next"))
    own = {
        "type": "static_select",
        "action_id": ALONE,
        "placeholder": _plain("Own card for…", 75),
        "options": [{"text": _plain(each.title, 75), "value": each.id} for each in shown],
    }
    return {"type": "actions", "block_id": f"ways.{review.turn}", "elements": [*elements, own]}


def _button(way: str, label: str) -> Element:
    return {"type": "button", "action_id": f"{PAGE}.{way}", "text": _plain(label, 75), "value": way}


def _modal(blocks: tuple[Block, ...], submit: str | None = None) -> dict[str, Any]:
    view: dict[str, Any] = {"type": "modal", "title": _plain(TITLE, 24), "close": _plain("Close", 24)}
    return view | {"blocks": list(blocks)} | ({"submit": _plain(submit, 24)} if submit else {})


def _section(block_id: str, text: str) -> Block:
    return {"type": "section", "block_id": block_id, "text": _plain(text, 2_900)}


def _plain(text: str, limit: int) -> Element:
    return {"type": "plain_text", "text": clean(text, limit) or "–", "emoji": False}
