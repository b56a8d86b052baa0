"""A proposal as one Slack message, in every state it can be in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bot.config.policy import Trust
from bot.graduation.gate import BLIND
from bot.graduation.score import clean_needed, lacks, reached, score, shown_score, standard_of
from bot.ui.card_modals import MENU, MENU_ITEMS, reason_select
from bot.ui.elements import (
    MESSAGE_TEXT,
    Block,
    ButtonValue,
    Element,
    Message,
    actions,
    bullets,
    button,
    context,
    escape,
    filled,
    fitted,
    glue,
    labelled,
    line,
    link_to,
    option,
    person,
    rich,
    struck,
    text,
    when,
    words,
)
from bot.ui.graduation_words import always_words, lack_words, reason_words
from bot.ui.reasons import elements, nothing_done, plain
from bot.ui.states import (
    CardView,
    call_title,
    does,
    is_held,
    is_put_off,
    outcome,
    prefix,
    risk_words,
    status,
    title,
    undone_by,
)
from polar.text.words import clean, format_money
from store.models import CallState, CaseKindState, Mode, Proposal, ProposalKind, ProposalState, Transition
from store.models.details import OutboxCode
from store.models.graduation import CaseKind
from store.models.reasons import PolicyCode, in_flight, read_policy_reason

# Action ids that tests and users rely on.
APPROVE, DECLINE, WHY, UNDO, RETRY = "approve", "decline", "why", "undo", "retry"
CHECK, MARK_DONE, MARK_NOT_DONE = "check", "mark_done", "mark_not_done"
DETAILS, EDIT, SNOOZE, ASSIGN, ASK = "details", "edit", "snooze", "assign", "ask"  # the items of the menu
TEXT = 500  # characters of the one line for a notification
VISIBLE = 2_500  # characters: a longer card is too long to read
_MOST_FIELDS = 6
_MOST_CHANGES = 6
_MOST_TODAY = 3
_LONG = 300  # characters of a title or a reason, before it is cut
_SQUEEZES = (1, 2, 3, 4)  # divisors of the text lengths, tried until the card is short enough
_MONEY_STILL_AT_STAKE = frozenset({ProposalState.PENDING, ProposalState.APPROVED})
# The cost of a missed deadline, by the subject of the proposal.
_WAITING_COSTS: Mapping[str, str] = {
    "dispute": "then the bank decides without us",
    "subscription": "then the billing period ends",
    "checkout": "then the checkout is over",
}


def card(proposal: Proposal, view: CardView) -> Message:
    """The card of a proposal as it stands: about nine blocks and at most 2,500 visible characters."""
    blocks: list[Block] = []
    for squeeze in _SQUEEZES:
        blocks = _blocks(proposal, view, squeeze)
        if visible(blocks) <= VISIBLE:
            break
    text = fitted(f"{prefix(proposal, view)}{proposal.title}", TEXT)
    # Any app in the workspace can read the link from the card to its proposal, so it is the id only.
    link = {"event_type": "polar_approvals_card", "event_payload": {"proposal_id": proposal.id}}
    return Message(text, tuple(blocks), link)


def copy_of(proposal: Proposal, url: str) -> Message:
    """The rest of a card that was posted twice: a link to the other one. `url` is Slack's permalink."""
    said = line(words(proposal.title, 300), glue(" This card was posted twice; where it stands is "),
                link_to(url, "on the other one"), glue("."))  # fmt: skip
    return Message(
        escape(clean(f"Posted twice: {proposal.title}", 500)), (rich(f"copy.{proposal.id}", said),)
    )


def visible(blocks: object) -> int:
    """The number of visible characters."""
    if isinstance(blocks, dict):
        own = blocks.get("text") if blocks.get("type") in ("text", "plain_text") else None
        return len(own) if isinstance(own, str) else sum(map(visible, blocks.values()))
    return sum(map(visible, blocks)) if isinstance(blocks, list | tuple) else 0


def _blocks(p: Proposal, view: CardView, squeeze: int) -> list[Block]:
    tag = f"{p.id}.{p.row_version}"  # Slack requires new block ids with each update
    long, value = _LONG // squeeze, 120 // squeeze
    blocks = [rich(f"title.{tag}", line(words(p.title, long, bold=True)))]
    if stands := status(p, view, long):
        blocks.append(rich(f"status.{tag}", *stands))
    if p.changes and p.state == ProposalState.PENDING:
        blocks.append(rich(f"changes.{tag}", line(*_diff(p, 80 // squeeze))))
    ours = [("Does", does(p)), ("Risk", risk_words(p))]
    today = view.today[:_MOST_TODAY] if p.state in _MONEY_STILL_AT_STAKE else ()
    fields = [*p.facts[: _MOST_FIELDS - len(ours)], *today, *ours]
    blocks.append(rich(f"facts.{tag}", labelled(fields, value)))
    if p.reasons:
        blocks.append(rich(f"reasons.{tag}", bullets(p.reasons[:5], long)))
    if p.deadline and p.state == ProposalState.PENDING:
        blocks.append(rich(f"deadline.{tag}", line(*_deadline(p, p.deadline))))
    blocks.append(context(f"small.{tag}", *(clean(one, long) for one in _small_print(p, view))))
    row = buttons(p, view)
    return [*blocks, row] if row else blocks


def _diff(p: Proposal, limit: int) -> list[Element]:
    """The changes of the question, and their cause: an edit by a person, or Polar."""
    whose = [glue("Changed at Polar since this was proposed:")]
    if p.edited_by:
        # Polar's state may have changed after the edit too, so the list names neither as the cause.
        edited = "Edited by {who}, so it needs a decision of its own. Changed:"
        whose = filled(edited, who=person(p.edited_by))
    for label, before, now in p.changes[:_MOST_CHANGES]:
        whose += [glue("\n"), words(label, 30, bold=True), glue("  "), struck(before, limit), glue(" → ")]
        whose.append(words(now, limit))
    more = len(p.changes) - _MOST_CHANGES
    return [*whose, glue(f"\nand {more} more: see Details")] if more > 0 else whose


def _deadline(p: Proposal, at: datetime) -> list[Element]:
    kind = (p.subject or "").partition(":")[0]
    costs = [_WAITING_COSTS.get(kind, "then it expires and nothing is done")]
    if p.amount and p.currency:
        costs.insert(0, f"{format_money(p.amount, p.currency)} at stake")
    return [words("Decide before", bold=True), glue(" "), when(at), glue(f": {', '.join(costs)}.")]


def _small_print(p: Proposal, view: CardView) -> list[str]:
    whose = "proposed by hand" if p.kind == ProposalKind.CALLS else p.kind.value
    small = [p.id, f"rule {p.rule}" if p.rule else whose]
    score = always_words(p.always_asks) if p.always_asks else view.score
    small += [score] if score else []
    if p.state == ProposalState.PENDING:
        two = ["two people have to approve"] if view.needs_two else []
        return [*small, *two, view.deciders]
    # Before the decision, a spot check must look like any other question.
    return [*small, view.spot_check] if view.spot_check else small


_S = ProposalState
_TOLD = frozenset({_S.SUCCEEDED, _S.FAILED, _S.UNKNOWN, _S.WITHDRAWN, _S.EXPIRED})


def thread_line(proposal: Proposal, change: Transition) -> Message | None:
    """The line for the card's thread about one change; None for a change that the card shows itself."""
    if change.to not in _TOLD:
        return None
    tag = f"{proposal.id}.{change.row_version}"
    back = undone_by(change.reason) if change.to == ProposalState.WITHDRAWN else None
    if back:
        text = f"Undone in time. {nothing_done(change.reason)}"
        return Message(text, (rich(f"outcome.{tag}", line(person(back), glue(": "), words(text))),))
    why = elements(change.reason, 1_000) if change.reason else []
    said = f": {plain(change.reason, 1_000, 'Somebody')}" if change.reason else ""
    text = clean(f"{title(change.to).rstrip(': ')}{said}", 1_000)
    details = [f"{call_title(call)}: {outcome(call)}" for call in proposal.calls[:20]]
    head = [glue(title(change.to)), *why] if why else []
    parts = [line(*(head or [words(text, 1_000)])), *([bullets(details)] if details else [])]
    return Message(fitted(text, MESSAGE_TEXT), (rich(f"outcome.{tag}", *parts),))


_BACK = "Back from snooze: it waits for a decision again."
_LINES: Mapping[OutboxCode, str] = {
    OutboxCode.UNDONE: "Undone by {who}: what it was before is back.",
    OutboxCode.NOT_UNDONE: "Not undone: nothing was changed. Its own card says why.",
    OutboxCode.PERHAPS_UNDONE: "The undo may or may not be complete. Its own card says why.",
    OutboxCode.TRUST_CHANGED: (
        "Trust in a kind of case changed: {label}. Why cannot be shown. /polar trust shows how it stands."
    ),
}


def outbox_message(content: Mapping[str, Any]) -> Message:
    """The message of a row: `content` is {text, blocks}, or {code, args}."""
    if "code" not in content:
        return Message(content["text"], tuple(content["blocks"]))
    code, actor = OutboxCode(content["code"]), content["args"].get("actor")
    if code is OutboxCode.BACK_FROM_SNOOZE:
        whom = [person(actor), glue(" ")] if actor else []
        return Message(_BACK, (rich("snooze.over", line(*whom, glue(_BACK))),))
    label = str(content["args"].get("label", "a kind of case"))
    said = text(_LINES[code], who=person(actor) if actor else "the program", label=words(label, 300))
    return said.message


# --- The controls: at most three buttons and one menu, by the state -----------------------------------------


@dataclass(frozen=True, slots=True)
class _Button:
    """The label: at most two words. Its first letter differs from its neighbours', because phones cut it."""

    action_id: str
    label: str
    style: str | None = None


_APPROVE = _Button(APPROVE, "Approve", "primary")
_DECLINE = _Button(DECLINE, "Decline", "danger")
_UNDO = _Button(UNDO, "Undo")
_TURN_ON = (_Button(APPROVE, "Turn on", "primary"), _Button(DECLINE, "Keep asking"), _Button(WHY, "Why?"))
_IN_DOUBT = (
    _Button(CHECK, "Check again", "primary"),
    _Button(MARK_DONE, "Was done"),
    _Button(MARK_NOT_DONE, "Not done"),
)
_UNDO_AGAIN = frozenset({ProposalState.DECLINED, ProposalState.EXPIRED, ProposalState.WITHDRAWN})


def buttons(p: Proposal, view: CardView) -> Block | None:
    """The row of buttons; None during the decision and during the run."""
    deciding = p.state == ProposalState.PENDING and p.approval_checking_by is not None
    if deciding or p.state == ProposalState.EXECUTING:
        return None
    value = ButtonValue(p.id, p.revision)
    elements = [
        button(one.action_id, one.label, value, style=one.style, about=p.title) for one in _buttons(p, view)
    ]
    erased = p.erased_at is not None
    if p.state == ProposalState.DECLINED and not (view.decline_reasons or erased):
        elements.append(reason_select(p))
    names: Iterable[str] = (DETAILS,) if erased else (DETAILS, ASK)
    if p.state == ProposalState.PENDING:
        names = MENU_ITEMS if p.kind == ProposalKind.CALLS else (DETAILS, SNOOZE, ASSIGN, ASK)
    items = [option(MENU_ITEMS[name], replace(value, detail=name)) for name in names]
    elements.append({"type": "overflow", "action_id": MENU, "options": items})
    return actions(f"decide.{p.id}.{p.row_version}", elements)


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
        case _ if p.erased_at is not None:
            return ()
        case ProposalState.PENDING if p.kind == ProposalKind.GRADUATION:
            return _TURN_ON[1:] if p.held_by else _TURN_ON
        case ProposalState.PENDING:
            return (_DECLINE,) if p.held_by else (_APPROVE, _DECLINE)
        case ProposalState.FAILED:
            return (_Button(RETRY, "Retry", "primary"),)
        case ProposalState.UNKNOWN:
            waits = any(in_flight(call.reason, view.now) for call in p.calls)
            return _IN_DOUBT[:-1] if waits else _IN_DOUBT
    return (_UNDO,) if can_be_taken_back(p, view) or can_be_undone(p, view) else ()


# --- The line about automatic runs --------------------------------------------------------------------------


def score_line(proposal: Proposal, case_kind: CaseKind | None, trust: Trust, now: datetime) -> str | None:
    """The words `score 91.8 · 50 yes 0 no · 35 more to 95`, or the reason why it always asks, or None.

    When the score is reached, the other unmet requirements are named. The card of a spot check looks like any
    other card of a kind that runs on its own.
    """
    stored = (proposal.gate or {}).get("reason")
    reason = None if stored is None else read_policy_reason(stored)
    if case_kind is None or (reason is not None and reason.code == PolicyCode.ALWAYS_ASKS):
        return None if reason is None else reason_words(reason)
    standard = standard_of(case_kind, trust)
    if standard is None:
        return None
    said = score_words(*case_kind.counts, standard.target)
    if proposal.mode == Mode.AUTO:
        return f"ran on its own · {said}"
    if case_kind.state == CaseKindState.GRADUATED:
        return f"{said} · most of this kind run on their own"
    lacking = lacks(case_kind, trust, now) if reached(*case_kind.counts, standard.limit) else []
    return f"{said} · not yet: {'; '.join(map(lack_words, lacking))}" if lacking else said


def score_words(n: int, k: int, generation: int, target: float) -> str:
    """The words `score 91.8 · 50 yes 0 no · 35 more to 95`.

    There are n cases, with k rejections among them. `target` is the score to reach, 0 to 100.
    """
    if target >= 100:
        ending = "100 is never reached"
    elif more := clean_needed(n, k, generation, (100 - target) / 100):
        ending = f"{more} more to {target:g}"
    else:
        ending = f"{target:g} reached"
    return f"score {shown_score(score(n, k, generation), target)} · {n - k} yes {k} no · {ending}"


def spot_check_line(proposal: Proposal, case_kind: CaseKind | None) -> str | None:
    """The words `spot check: agreed, 31/31` for a decided spot check; None for every other card."""
    if proposal.mode != Mode.SPOT_CHECK or proposal.state in BLIND or case_kind is None:
        return None
    if proposal.state == ProposalState.DECLINED or proposal.edited_by is not None:
        return "spot check: not agreed, 0/1"  # the generation ended, so its earlier spot checks do not count
    return f"spot check: agreed, {case_kind.spot_checks_agreed}/{case_kind.spot_checks}"
