"""A proposal as one Slack message, in every state it can be in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.cards.text import (
    MESSAGE_TEXT,
    Block,
    Element,
    bullets,
    clean,
    context,
    emoji,
    escape,
    glue,
    labelled,
    line,
    metadata,
    moment,
    person,
    rich,
    words,
)
from polar.catalog import Call as PolarCall
from polar.catalog import Operation, operations
from store.models import Call, CallState, Proposal, ProposalState, Transition

APPROVE, DECLINE = "approve", "decline"  # action ids that tests and users rely on
_MOST_FIELDS = 6
_RISK = {
    "R0": "none, only reads",
    "R1": "low",
    "R2": "some money or access, bounded",
    "R3": "high",
    "R4": "highest",
}


@dataclass(frozen=True, slots=True)
class Message:
    """What Slack is given: `text` is the whole question in one line, for notifications and screen readers."""

    text: str
    blocks: tuple[Block, ...]
    metadata: Mapping[str, Any] | None = None


def card(proposal: Proposal, deciders: str) -> Message:
    """The card of a proposal as it stands. `deciders` says in words who may decide."""
    p = proposal
    tag = f"{p.id}.{p.version}"  # Slack wants new block ids with each update
    blocks = [
        rich(f"title.{tag}", line(words(p.title, 300, bold=True))),
        rich(f"facts.{tag}", labelled(_fields(p))),
    ]
    if p.because:
        blocks.append(rich(f"because.{tag}", bullets(p.because[:5])))
    if p.state != ProposalState.PENDING:
        blocks.append(rich(f"status.{tag}", *_status(p)))
    blocks.append(context(f"small.{tag}", *_small_print(p, deciders)))
    if p.state == ProposalState.PENDING:
        blocks.append(_buttons(p))
    return Message(_text(p), tuple(blocks), metadata(p.id))


def copy_of(proposal: Proposal, link: str) -> Message:
    """What is left of a card that was posted twice: where the other one is. `link` is Slack's permalink."""
    said = line(words(proposal.title, 300), glue(" This card was posted twice; where it stands is "),
                {"type": "link", "url": link, "text": "on the other one"}, glue("."))  # fmt: skip
    return Message(
        escape(clean(f"Posted twice: {proposal.title}", 500)), (rich(f"copy.{proposal.id}", said),)
    )


def _text(p: Proposal) -> str:
    prefix = _PREFIX[p.state]
    return escape(clean(f"{prefix}{p.title}", MESSAGE_TEXT // 8))


_PREFIX: Mapping[ProposalState, str] = {
    ProposalState.PENDING: "",
    ProposalState.APPROVED: "Approved: ",
    ProposalState.EXECUTING: "Running: ",
    ProposalState.SUCCEEDED: "Done: ",
    ProposalState.FAILED: "Failed: ",
    ProposalState.UNKNOWN: "No answer: ",
    ProposalState.DECLINED: "Declined: ",
    ProposalState.EXPIRED: "Expired: ",
    ProposalState.WITHDRAWN: "Withdrawn: ",
}


def _fields(p: Proposal) -> list[tuple[str, str]]:
    ours = [("Does", does(p)), ("Risk", _risk(p))]
    return [*p.facts[: _MOST_FIELDS - len(ours)], *ours]


def _risk(p: Proposal) -> str:
    effects = [effect for call in p.calls if (effect := _effect(call)) is not None]
    undo = "can be undone" if effects and all(effect.reversible for effect in effects) else "cannot be undone"
    return _RISK.get(p.risk, p.risk) + ("" if p.risk == "R0" else f", {undo}")


def does(p: Proposal) -> str:
    """What approving does, in words: "Disable a license key × 2"."""
    titles = list(dict.fromkeys(_title(call) for call in p.calls))
    count = f" × {len(p.calls)}" if len(p.calls) > 1 else ""
    return "; ".join(titles) + count


def _title(call: Call) -> str:
    effect = _effect(call)
    return call.operation if effect is None else effect.title


def _effect(call: Call) -> Operation | None:
    """The operation as it is for exactly this call; None for one this version does not know."""
    known = operations().get(call.operation)
    polar_call = PolarCall(call.operation, dict(call.path), dict(call.query), _body(call))
    return None if known is None else known.describe(polar_call)


def _body(call: Call) -> dict[str, Any] | None:
    return None if call.body is None else dict(call.body)


def _small_print(p: Proposal, deciders: str) -> list[str]:
    small = [p.id, f"rule {p.rule}" if p.rule else "proposed by hand"]
    if p.always_asks:
        small.append(f"always asks: {p.always_asks}")
    return [*small, deciders] if p.state == ProposalState.PENDING else small


def _buttons(p: Proposal) -> Block:
    def button(action_id: str, label: str, style: str) -> Element:
        return {
            "type": "button",
            "action_id": action_id,
            "text": {"type": "plain_text", "text": label, "emoji": False},
            "style": style,
            # The id and the version the person saw: nothing else is believed.
            "value": f"{p.id}:{p.version}",
            "accessibility_label": clean(f"{label}: {p.title}", 75),
        }

    elements = [button(APPROVE, "Approve", "primary"), button(DECLINE, "Decline", "danger")]
    return {"type": "actions", "block_id": f"decide.{p.id}.{p.version}", "elements": elements}


def _status(p: Proposal) -> list[Element]:
    return [line(*_STATUS[p.state](p))]


def _by(p: Proposal, verb: str) -> list[Element]:
    """Who decided and when: Approved by @Ada, 21 Nov 12:31."""
    if p.decided_by is None or p.decided_at is None:
        return []
    return [glue(f"{verb} by "), person(p.decided_by), glue(", "), when(p.decided_at)]


def when(at: datetime) -> Element:
    """A point in time in the reader's zone, UTC where Slack cannot."""
    return moment(int(at.timestamp()), f"{at:%d %b %Y %H:%M} UTC")


def _approved(p: Proposal) -> list[Element]:
    start = [emoji("hourglass_flowing_sand"), glue(" Approved. "), *_by(p, "Decided"), glue(".")]
    again = [glue("\n"), words(p.note, 400), glue(" Trying again.")] if p.note else []
    return start + again + (_progress(p) if p.note else [])


def _executing(p: Proposal) -> list[Element]:
    return [emoji("hourglass_flowing_sand"), glue(" Running now. "), *_by(p, "Approved"), glue(".")]


def _succeeded(p: Proposal) -> list[Element]:
    note = [words(p.note, 300), glue(" ")] if p.note else []
    return [emoji("white_check_mark"), glue(" Done. "), *note, *_by(p, "Approved"), glue("."), *_progress(p)]


def _failed(p: Proposal) -> list[Element]:
    said = words(p.note or "Polar refused.", 500)
    next_ = glue(
        " It is not tried again: once the reason is mended, do it in Polar, or with /polar propose.\n"
    )
    return [emoji("x"), glue(" "), said, next_, *_by(p, "Approved"), glue("."), *_progress(p)]


def _unknown(p: Proposal) -> list[Element]:
    return [
        emoji("grey_question"),
        glue(" Polar gave no answer: it may or may not have been done. Nothing is sent twice. "),
        glue("Look in Polar before doing it by hand. "),
        *([words(p.note, 300)] if p.note else []),
        glue("\n"),
        *_by(p, "Approved"),
        glue("."),
        *_progress(p),
    ]


def _declined(p: Proposal) -> list[Element]:
    return [emoji("no_entry_sign"), glue(" Declined. Nothing was done. "), *_by(p, "Decided"), glue(".")]


def _expired(p: Proposal) -> list[Element]:
    return [emoji("hourglass"), glue(" Expired. Nothing was done. "), words(p.note or "Its time has passed.")]


def _withdrawn(p: Proposal) -> list[Element]:
    why = words(p.note or "It no longer applies.", 500)
    approved = [glue(" "), *_by(p, "Approved"), glue(".")] if p.decided_by else []
    return [emoji("leftwards_arrow_with_hook"), glue(" Withdrawn. Nothing was done. "), why, *approved]


_STATUS: Mapping[ProposalState, Callable[[Proposal], list[Element]]] = {
    ProposalState.APPROVED: _approved,
    ProposalState.EXECUTING: _executing,
    ProposalState.SUCCEEDED: _succeeded,
    ProposalState.FAILED: _failed,
    ProposalState.UNKNOWN: _unknown,
    ProposalState.DECLINED: _declined,
    ProposalState.EXPIRED: _expired,
    ProposalState.WITHDRAWN: _withdrawn,
}
_CALL_WORDS: Mapping[CallState, str] = {
    CallState.PLANNED: "not sent",
    CallState.SENDING: "being sent",
    CallState.DONE: "done",
    CallState.REFUSED: "refused",
    CallState.UNKNOWN: "no answer",
    CallState.SKIPPED: "skipped, no longer applies",
}


def _progress(p: Proposal) -> list[Element]:
    """With several calls of which not all are done, how many stand where: "1 done, 1 refused"."""
    if len(p.calls) < 2 or all(call.state == CallState.DONE for call in p.calls):
        return []
    counts: dict[str, int] = {}
    for call in p.calls:
        counts[_CALL_WORDS[call.state]] = counts.get(_CALL_WORDS[call.state], 0) + 1
    return [
        glue(
            "\nOf "
            + str(len(p.calls))
            + " calls: "
            + ", ".join(f"{n} {state}" for state, n in counts.items())
            + "."
        )
    ]


_TOLD = frozenset(
    {
        ProposalState.SUCCEEDED,
        ProposalState.FAILED,
        ProposalState.UNKNOWN,
        ProposalState.WITHDRAWN,
        ProposalState.EXPIRED,
    }
)


def thread_line(proposal: Proposal, change: Transition) -> Message | None:
    """The line for the card's thread about one change; None for one the card itself shows well enough."""
    if change.to not in _TOLD:
        return None
    said = f": {change.reason}" if change.reason else ""
    text = clean(f"{_PREFIX[change.to].rstrip(': ')}{said}", 1_000)
    details = [f"{_title(call)}: {_outcome(call)}" for call in proposal.calls]
    tag = f"{proposal.id}.{change.version}"
    blocks = [rich(f"outcome.{tag}", line(words(text, 1_000)), bullets(details[:20]))]
    return Message(escape(text), tuple(blocks))


def _outcome(call: Call) -> str:
    said = _CALL_WORDS[call.state] + (
        f" ({call.status})" if call.status and call.state != CallState.DONE else ""
    )
    return f"{said}: {call.error}" if call.error else said
