"""Many proposals of one kind as one Slack message, and the modal that reviews them. Pure."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bot.ui.card_modals import reasons_select
from bot.ui.elements import (
    Block,
    ButtonValue,
    Element,
    Message,
    actions,
    bullets,
    button,
    context,
    emoji,
    fitted,
    glue,
    input_block,
    joined,
    labelled,
    line,
    modal,
    option,
    person,
    rich,
    section,
    select,
    when,
    words,
)
from bot.ui.states import DECIDING, does, phrase, risk_words
from polar.text.words import format_money
from store.models import Proposal, ProposalState
from store.models.details import Bundle

APPROVE_ALL, DECLINE_ALL, REVIEW, UNDO_ALL = "approve_all", "decline_all", "review", "undo_all"
REVIEWED, PAGE, ALONE, TICKED = "bundle_reviewed", "bundle_page", "bundle_alone", "bundle_ticked"
BACK, NEXT = "back", "next"
TITLE = "Review"
_OWN = "Undo, Details and the reason of a no are on the card that “Own card for…” gives one of them."
A_PAGE = 10  # Slack's limit of one group of checkboxes
_NAMED = 5  # proposals by name; the rest is only counted, and Review shows all
_EMPTY = "Each of the proposals that stood here has a card of its own now."
_FAILED = 10  # in the thread's line
_S = ProposalState
# In this order on the card, each with a count: "8 done, 1 failed, 3 waiting".
_COUNTED = (
    *(_S.SUCCEEDED, _S.FAILED, _S.UNKNOWN, _S.EXECUTING, _S.APPROVED),
    *(_S.DECLINED, _S.EXPIRED, _S.WITHDRAWN, _S.PENDING),
)
_UNDER_WAY = frozenset({_S.PENDING, _S.APPROVED, _S.EXECUTING, _S.UNKNOWN})
# "Generate the invoice of an order" gives "12 invoices to generate": the verb and the first noun only.
_ORDER = re.compile(
    r"(?P<verb>[A-Z][a-z]+) (?:an?|the) (?P<noun>[a-z]+(?: [a-z]+)?)(?: (?:of|to|from|for)\b.*)?"
)
_NO_NOUN = frozenset({"back", "again", "now", "link", "that"})


def bundle_card(bundle: Bundle, *, deciders: str, now: datetime, reasons: Sequence[str] = ()) -> Message:
    """The card of a bundle as it stands. `now` is the time of drawing: its buttons decide only what it shows.

    `reasons` are the reasons for which proposals of it were declined.
    """
    tag = f"{bundle.id}.{bundle.row_version}"  # Slack requires new block ids with each update
    # Any app in the workspace can read the link from the message to its bundle, so it is the id only.
    link = {"event_type": "polar_approvals_bundle", "event_payload": {"bundle_id": bundle.id}}
    if not bundle.members:
        return Message(_EMPTY, (rich(f"title.{tag}", line(glue(_EMPTY))),), link)
    first, total, stands = bundle.members[0], sums(bundle.members), progress(bundle.members)
    fields = [("In all", total)] if total else []
    blocks: list[Block] = [
        rich(f"title.{tag}", line(words(counted(bundle.members), 300, bold=True))),
        rich(f"facts.{tag}", labelled([*fields, ("Each", does(first)), ("Risk", risk_words(first))])),
        rich(f"named.{tag}", bullets(_named(bundle.members))),
    ]
    if stands is not None:
        blocks.append(rich(f"status.{tag}", line(*_status(bundle, stands, reasons))))
    blocks.append(context(f"small.{tag}", *_small_print(bundle, deciders)))
    row = _buttons(bundle, now, reasons)
    said = counted(bundle.members) + (f", {total} in all" if total else "")
    text = fitted(f"{said}: {stands}" if stands else f"{said}?", 500)
    return Message(text, tuple([*blocks, row] if row else blocks), link)


def counted(proposals: Sequence[Proposal]) -> str:
    """The number and the kind: "12 invoices to generate", or "3 × Take a seat back" without such words."""
    count = len(proposals)
    order = does(proposals[0]) if proposals else "Nothing"
    match = _ORDER.fullmatch(order)
    if match is None or _NO_NOUN & set(match["noun"].split()):
        return f"{count} × {order}"
    noun = match["noun"]
    if count != 1:
        noun = f"{noun[:-1]}ies" if re.search(r"[^aeiou]y$", noun) else f"{noun}s"
    return f"{count} {noun} to {match['verb'].lower()}"


def sums(proposals: Iterable[Proposal]) -> str | None:
    """The money at stake, in each currency; None without any."""
    totals: Counter[str] = Counter()
    for proposal in proposals:
        if proposal.amount is not None and proposal.currency is not None:
            totals[proposal.currency] += proposal.amount
    return " and ".join(format_money(total, code) for code, total in sorted(totals.items())) or None


def _named(members: Sequence[Proposal]) -> list[str]:
    """The first few that wait (of all, when none does), and the number of the others."""
    shown = [p for p in members if p.state == _S.PENDING] or list(members)
    more = len(shown) - _NAMED
    return [p.title for p in shown[:_NAMED]] + ([f"and {more} more"] if more > 0 else [])


def progress(members: Iterable[Proposal]) -> str | None:
    """The progress: "8 done, 1 failed, 3 waiting"; None while all proposals wait."""
    counts = Counter(DECIDING.phrase if _deciding(p) else phrase(p.state) for p in members)
    if set(counts) <= {phrase(_S.PENDING)}:
        return None
    ordered = [*map(phrase, _COUNTED), DECIDING.phrase]
    return ", ".join(f"{counts[word]} {word}" for word in ordered if counts[word])


def _deciding(proposal: Proposal) -> bool:
    return proposal.state == _S.PENDING and proposal.approval_checking_by is not None


def _status(bundle: Bundle, stands: str, reasons: Sequence[str]) -> list[Element]:
    waits = any(p.state in _UNDER_WAY for p in bundle.members)
    mark = "hourglass_flowing_sand" if waits else "white_check_mark"
    elements: list[Element] = [emoji(mark), glue(f" {stands[:1].upper()}{stands[1:]}. ")]
    latest = max((p.decided_at for p in bundle.members if p.decided_at is not None), default=None)
    deciders = Counter(p.decided_by for p in bundle.members if p.decided_by)
    named = [[person(actor), glue(f" ({count})")] for actor, count in deciders.most_common(5)]
    elements += [glue("Decided by "), *joined(named, ", ")] if named else []
    if latest is not None:
        elements += [glue(", "), when(latest), glue(".")]
    if reasons:
        elements.append(words(f"\nDeclined because: {'; '.join(reasons)}", 300))
    own = sum(p.card_ts is not None for p in bundle.members)
    if own:
        elements.append(glue(f"\n{own} of them {'has' if own == 1 else 'have'} a card below."))
    return elements


def _small_print(bundle: Bundle, deciders: str) -> list[str]:
    rule = bundle.members[0].rule
    small = [bundle.id, f"rule {rule}"] if rule else [bundle.id]
    if bundle.one_by_one:
        small.append("decided one by one in Review, without Approve all")
    waits = any(p.state == _S.PENDING for p in bundle.members)
    return [*small, deciders] if waits else small


def _buttons(bundle: Bundle, now: datetime, reasons: Sequence[str]) -> Block | None:
    waits = any(p.state == _S.PENDING and not _deciding(p) for p in bundle.members)
    held = any(
        p.state == _S.APPROVED and p.cancellable_until and now < p.cancellable_until for p in bundle.members
    )
    offered = (
        (waits and not bundle.one_by_one, APPROVE_ALL, "Approve all", "primary"),
        (waits and not held, DECLINE_ALL, "Decline all", "danger"),
        (True, REVIEW, "Review", None),  # the result of each proposal, and cards of their own
        (held, UNDO_ALL, "Undo", None),  # replaces Decline all: a card has at most three buttons
    )
    value, about = ButtonValue(bundle.id, stamp(now)), counted(bundle.members)
    elements = [
        button(action_id, label, value, style=style, about=about)
        for can, action_id, label, style in offered
        if can
    ]
    declined = [p for p in bundle.members if p.state == _S.DECLINED]
    if declined and not waits and not reasons:
        elements.append(reasons_select(declined[0], bundle.id))
    tag = f"{bundle.id}.{bundle.row_version}"
    return actions(f"decide.{tag}", elements) if elements else None


def stamp(at: datetime) -> int:
    """A moment in microseconds since 1970. A button holds the time at which its card was drawn."""
    return round(at.timestamp() * 1_000_000)


def bundle_line(bundle: Bundle) -> Message | None:
    """The line for the bundle's thread, once every proposal is decided and done; None before."""
    if not bundle.members or any(p.state in _UNDER_WAY for p in bundle.members):
        return None
    stands = progress(bundle.members) or ""
    text = f"{counted(bundle.members)}: {stands}."
    failed = [f"{phrase(p.state)}: {p.title}" for p in bundle.members if p.state != _S.SUCCEEDED]
    more = [f"and {len(failed) - _FAILED} more"] if len(failed) > _FAILED else []
    parts = [line(words(text, 1_000)), *([bullets([*failed[:_FAILED], *more])] if failed else [])]
    return Message(fitted(text, 500), (rich(f"outcome.{bundle.id}", *parts),))


# --- The modal that reviews it: ten proposals a page with checkboxes, and other results ---------------------


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
    here = [proposal for proposal in shown if proposal in waiting]
    rest = [f"{each.title} – {phrase(each.state)}" for each in shown if each not in waiting]
    turns = [(BACK, "Back", page > 0), (NEXT, "Next", page < last)]
    ways = [button(f"{PAGE}.{way}", label, way) for way, label, there in turns if there]
    own = select(ALONE, "Own card for…", [option(each.title, each.id) for each in shown])
    said = f"{_said(review, waiting, everything)} Page {page + 1} of {last + 1}."
    blocks = [
        section(f"said.{review.turn}", said),
        *([_ticks(review, here)] if here else []),
        *([rich(f"stands.{review.turn}", bullets(rest, 200))] if rest else []),
        actions(f"ways.{review.turn}", [*ways, own]),
    ]
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
    options = []
    for p in shown:
        money = "" if p.amount is None or not p.currency else format_money(p.amount, p.currency)
        options.append(option(p.title, p.id, " · ".join(filter(None, [money, p.customer]))))
    initial = [each for each in options if review.approves(each["value"])]
    element: Element = {"type": "checkboxes", "action_id": TICKED, "options": options}
    element |= {"initial_options": initial} if initial else {}
    return input_block(f"ticks.{review.turn}", "To be approved", element, optional=True)
