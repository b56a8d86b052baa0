"""The Home tab and the answer to `/polar`: what waits, and whether all is well."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.cards.card import Message, when
from bot.cards.text import Block, clean, context, escape, glue, line, rich, words
from store.models import Proposal

_MOST_LISTED = 10


def queue_message(
    waiting: Sequence[Proposal], counts: Mapping[str, int], links: Mapping[str, str]
) -> Message:
    """The oldest proposals that wait, with links to their cards; `counts` by state."""
    text = _headline(counts)
    blocks = [rich("queue.head", line(words(text, bold=True))), *_list(waiting, links)]
    return Message(escape(text), tuple(blocks))


def help_message(commands: Mapping[str, str], unknown: str = "") -> Message:
    """What may follow `/polar`, {word: what it does}; `unknown` is what somebody typed instead."""
    lead = f"/polar knows no “{clean(unknown, 40)}”. It knows:" if unknown else "What may follow /polar:"
    rows = [line(words(word, bold=True), glue("  "), words(about)) for word, about in commands.items()]
    listed = {"type": "rich_text_list", "style": "bullet", "elements": rows}
    text = f"{lead} {', '.join(commands)}"
    return Message(escape(text), (rich("help", line(words(lead)), listed),))


def home_view(
    waiting: Sequence[Proposal],
    counts: Mapping[str, int],
    links: Mapping[str, str],
    *,
    deciders: str,
    failed_events: int,
    now: datetime,
) -> dict[str, Any]:
    """The app's Home tab. `failed_events` are webhooks no rule could be applied to."""
    blocks: list[Block] = [
        {
            "type": "header",
            "block_id": "head",
            "text": {"type": "plain_text", "text": "Polar approvals", "emoji": False},
        },
        rich(
            "about",
            line(
                glue(
                    "Each thing that could be done about a Polar event is a card in the channel. "
                    "Approve does it, once; Decline does nothing."
                )
            ),
        ),
        rich("count", line(words(_headline(counts), bold=True))),
        *_list(waiting, links),
        {"type": "divider", "block_id": "end"},
        rich("as_of", line(glue("As of "), when(now), glue("."))),
        context("deciders", deciders),
    ]
    if failed_events:
        blocks.append(
            context(
                "failed", f"{failed_events} webhooks could not be handled: see `python -m bot export events`"
            )
        )
    return {"type": "home", "blocks": blocks}


def _headline(counts: Mapping[str, int]) -> str:
    pending = counts.get("pending", 0)
    unclear = counts.get("unknown", 0)
    failed = counts.get("failed", 0)
    said = "Nothing waits for a decision" if not pending else f"{pending} waiting for a decision"
    return (
        said
        + (f", {unclear} without an answer" if unclear else "")
        + (f", {failed} refused by Polar" if failed else "")
    )


def _list(waiting: Sequence[Proposal], links: Mapping[str, str]) -> list[Block]:
    rows = []
    for proposal in waiting[:_MOST_LISTED]:
        link = links.get(proposal.id)
        open_it = [glue("  "), {"type": "link", "url": link, "text": "open"}] if link else []
        title = words(clean(proposal.title, 150))
        rows.append(line(title, glue("  since "), when(proposal.created_at), *open_it))
    if not rows:
        return []
    if len(waiting) > _MOST_LISTED:
        rows.append(line(glue(f"and {len(waiting) - _MOST_LISTED} more or older ones")))
    return [rich("queue.list", {"type": "rich_text_list", "style": "bullet", "elements": rows})]
