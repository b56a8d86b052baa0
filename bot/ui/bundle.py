"""Many proposals of one kind as one Slack message: the question and its progress. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from bot.ui.bundling import one_by_one
from bot.ui.decline_reasons import reasons_select
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
    joined,
    labelled,
    line,
    person,
    rich,
    when,
    words,
)
from bot.ui.states import does, phrase, risk_words
from polar.text.money import format_money
from store.models import Bundle, Proposal, ProposalState

APPROVE_ALL, DECLINE_ALL, REVIEW, UNDO_ALL = "approve_all", "decline_all", "review", "undo_all"
_NAMED = 5  # proposals by name; the rest is only counted, and Review shows all
_EMPTY = "Each of the proposals that stood here has a card of its own now."
_FAILED = 10  # in the thread's line
_S = ProposalState
# In this order on the card, each with a count: "8 done, 1 failed, 3 waiting".
_COUNTED = (
    *(_S.SUCCEEDED, _S.FAILED, _S.UNKNOWN, _S.EXECUTING, _S.APPROVED),
    *(_S.DECLINED, _S.EXPIRED, _S.WITHDRAWN, _S.PENDING),
)
_BEING_DECIDED = "being decided"
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
    if not bundle.members:
        return Message(_EMPTY, (rich(f"title.{tag}", line(glue(_EMPTY))),), _metadata(bundle))
    blocks: list[Block] = [
        rich(f"title.{tag}", line(words(counted(bundle.members), 300, bold=True))),
        rich(f"facts.{tag}", labelled(_fields(bundle))),
        rich(f"named.{tag}", bullets(_named(bundle.members))),
    ]
    if progress(bundle.members) is not None:
        blocks.append(rich(f"status.{tag}", *_status(bundle, reasons)))
    blocks.append(context(f"small.{tag}", *_small_print(bundle, deciders)))
    row = _buttons(bundle, now, reasons)
    return Message(_text(bundle), tuple([*blocks, row] if row else blocks), _metadata(bundle))


def _metadata(bundle: Bundle) -> Mapping[str, object]:
    """The link from the message to its bundle. Any app in the workspace can read it, so it is the id only."""
    return {"event_type": "polar_approvals_bundle", "event_payload": {"bundle_id": bundle.id}}


def counted(proposals: Sequence[Proposal]) -> str:
    """The number and the kind: "12 invoices to generate", or "3 × Take a seat back" without such words."""
    count = len(proposals)
    order = does(proposals[0]) if proposals else "Nothing"
    match = _ORDER.fullmatch(order)
    if match is None or _NO_NOUN & set(match["noun"].split()):
        return f"{count} × {order}"
    return f"{count} {_plural(match['noun'], count)} to {match['verb'].lower()}"


def _plural(noun: str, count: int) -> str:
    if count == 1:
        return noun
    return f"{noun[:-1]}ies" if re.search(r"[^aeiou]y$", noun) else f"{noun}s"


def _text(bundle: Bundle) -> str:
    stands = progress(bundle.members)
    total = sums(bundle.members)
    said = f"{counted(bundle.members)}{f', {total} in all' if total else ''}"
    return fitted(f"{said}: {stands}" if stands else f"{said}?", 500)


def sums(proposals: Iterable[Proposal]) -> str | None:
    """The money at stake, in each currency; None without any."""
    totals: Counter[str] = Counter()
    for proposal in proposals:
        if proposal.amount is not None and proposal.currency is not None:
            totals[proposal.currency] += proposal.amount
    return " and ".join(format_money(total, code) for code, total in sorted(totals.items())) or None


def _fields(bundle: Bundle) -> list[tuple[str, str]]:
    first, total = bundle.members[0], sums(bundle.members)
    return [*([("In all", total)] if total else []), ("Each", does(first)), ("Risk", risk_words(first))]


def _named(members: Sequence[Proposal]) -> list[str]:
    """The first few that wait (of all, when none does), and the number of the others."""
    shown = [p for p in members if p.state == _S.PENDING] or list(members)
    more = len(shown) - _NAMED
    return [p.title for p in shown[:_NAMED]] + ([f"and {more} more"] if more > 0 else [])


def progress(members: Iterable[Proposal]) -> str | None:
    """The progress: "8 done, 1 failed, 3 waiting"; None while all proposals wait."""
    counts = Counter(_BEING_DECIDED if _deciding(p) else phrase(p.state) for p in members)
    if set(counts) <= {phrase(_S.PENDING)}:
        return None
    ordered = [*map(phrase, _COUNTED), _BEING_DECIDED]
    return ", ".join(f"{counts[word]} {word}" for word in ordered if counts[word])


def _deciding(proposal: Proposal) -> bool:
    return proposal.state == _S.PENDING and proposal.approval_checking_by is not None


def _status(bundle: Bundle, reasons: Sequence[str]) -> list[Element]:
    stands = progress(bundle.members) or ""
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
    return [line(*elements)]


def _small_print(bundle: Bundle, deciders: str) -> list[str]:
    rule = bundle.members[0].rule
    small = [bundle.id, f"rule {rule}"] if rule else [bundle.id]
    if one_by_one(bundle.key):
        small.append("gone through one by one: none is approved unseen")
    waits = any(p.state == _S.PENDING for p in bundle.members)
    return [*small, deciders] if waits else small


def _buttons(bundle: Bundle, now: datetime, reasons: Sequence[str]) -> Block | None:
    waits = any(p.state == _S.PENDING and not _deciding(p) for p in bundle.members)
    held = any(
        p.state == _S.APPROVED and p.cancellable_until and now < p.cancellable_until for p in bundle.members
    )
    offered = (
        (waits and not one_by_one(bundle.key), APPROVE_ALL, "Approve all", "primary"),
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
