"""Lines in the thread of a card: actions on the proposal, and answers for every reader. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from bot.results import ActionStatus, ApproverNames
from bot.ui.card import DETAILS
from bot.ui.elements import (
    Block,
    ButtonValue,
    Element,
    actions,
    bullets,
    button,
    escape,
    filled,
    glue,
    line,
    person,
    rich,
    when,
    words,
)
from bot.ui.graduation_words import because_words
from bot.ui.states import approver_line, does
from polar.text.words import clean
from store.models import Proposal

Notice = dict[str, Any]  # a message in the outbox
_LONGEST_TEXT = 1_000


def _line(text: str, sentences: str, **values: str | Element | Sequence[Element]) -> Notice:
    """A line for a thread: `text` for notifications, the sentences with their values for display."""
    shown = rich("line", line(*filled(sentences, **values)))
    return {"text": escape(clean(text, 500)), "blocks": [shown]}


def snoozed_line(actor: str, until: datetime) -> Notice:
    """The line for a snooze until a time."""
    shown = "{who} snoozed this until {at}. It stays open."
    return _line(f"Snoozed until {until:%d %b %Y %H:%M} UTC.", shown, who=person(actor), at=when(until))


def assigned_line(actor: str, assignee: str, proposal: Proposal) -> Notice:
    """The line that mentions the assignee, so that Slack notifies them."""
    return _line(
        f"Please decide: {proposal.title}",
        "{assignee} please decide: {title}\nAssigned by {actor}.",
        assignee=person(assignee),
        title=words(proposal.title, 300),
        actor=person(actor),
    )


def asked_line(actor: str, whom: str | None, question: str) -> Notice:
    """The line for a question in a person's own words."""
    whose = [person(whom), glue(" ")] if whom else []
    asked = words(question, _LONGEST_TEXT)
    return _line(
        f"A question: {question}", "{whose}{who} asks: {asked}", whose=whose, who=person(actor), asked=asked
    )


def held_line(actor: str) -> Notice:
    """The line for a hold: nobody can approve or run the proposal now."""
    return _line(
        "On hold: nothing runs until it is released.",
        "{who} put this on hold. Nobody approves it and nothing runs until somebody writes {release} here.",
        who=person(actor),
        release=glue("release") | {"style": {"code": True}},
    )


def released_line(actor: str, *, runs: bool) -> Notice:
    """The line for the end of a hold."""
    then = " What was approved goes on now." if runs else " It waits for a decision again."
    return _line(f"Released.{then}", f"{{who}} released this.{then}", who=person(actor))


def stranger_line(actor: str) -> Notice:
    """The line for a decline, undo or hold that is taken back, because its person may not decide."""
    then = "may not decide here, so what they stopped goes on as before."
    return _line(f"Taken back: it goes on. Who stopped it {then}", f"{{who}} {then}", who=person(actor))


def reason_line(actor: str, reason: str) -> Notice:
    """The line for the reason of a decline."""
    shown, said = "{who} says why it was declined: {said}", words(reason, _LONGEST_TEXT)
    return _line(f"Why declined: {reason}", shown, who=person(actor), said=said)


def edited_line(actor: str, changes: Sequence[tuple[str, str, str]]) -> Notice:
    """The line for an edit: the changes, and the need for a new decision."""
    rows: list[Element] = []
    for label, before, now in changes:
        rows += [glue("\n"), words(label, 60, bold=True), glue("  "), words(before or "nothing", 150)]
        rows += [glue(" → "), words(now or "nothing", 150)]
    shown = "{who} edited this. It needs a decision of its own.{rows}"
    return _line("Edited: it needs a decision of its own.", shown, who=person(actor), rows=rows)


def action_record(
    status: ActionStatus,
    *,
    until: datetime | None = None,
    assignee: str = "",
    changes: Sequence[tuple[str, str, str]] = (),
) -> str:
    """The action of a person, for the proposal's record; `changes` as in `edited_line`."""
    if status is ActionStatus.SNOOZED and until is not None:
        return f"Snoozed until {until:%d %b %Y %H:%M} UTC."
    if status is ActionStatus.EDITED:
        rows = (f"{label}: {before or 'nothing'} → {now or 'nothing'}" for label, before, now in changes)
        return f"Edited. {'; '.join(rows)}"
    return _RECORDS[status].format(assignee=assignee)


_RECORDS: Mapping[ActionStatus, str] = {
    ActionStatus.ASSIGNED: "Assigned to {assignee}.",
    ActionStatus.HELD: "Put on hold.",
    ActionStatus.RELEASED: "Released.",
}


class Followup(StrEnum):
    """An action on an approved proposal, as its record says it."""

    UNDO = "{name} undid it."
    ASK_TO_UNDO = "{name} asks to undo it."
    CHECK = "{name} had Polar asked again."
    RETRY = "Retried it."
    MARK_DONE = "Says that it was done."
    MARK_NOT_DONE = "Says that it was not done."


def followup_record(what: Followup, name: str = "") -> str:
    """The action of a person, for the proposal's record; `name` is the person's, if the text has it."""
    return what.format(name=name)


def undo_reason(record: str, original: Proposal) -> str:
    """The reason of a proposed undo; `record` is from `followup_record`."""
    return f"{record} It takes back {original.id}: {does(original)}."


# --- Answers to messages in the thread ---------------------------------------------------------------------


def why_answer(proposal: Proposal) -> Notice:
    """The answer with the reasons of the proposal."""
    made = f"Rule {proposal.rule} asks this." if proposal.rule else "It was proposed by hand."
    parts: list[Element] = [line(words(made, 200))]
    parts += [bullets(proposal.reasons[:8])] if proposal.reasons else []
    if proposal.always_asks:
        parts.append(line(words(f"Always asks: {because_words(proposal.always_asks)}", 200)))
    return _answer(made, rich(f"why.{proposal.id}", *parts))


def who_answer(proposal: Proposal, approvers: ApproverNames) -> Notice:
    """The answer with the approvers."""
    who = f"{approver_line(approvers)}."
    return _answer(who, rich(f"who.{proposal.id}", line(words(who, 600))))


def details_answer(proposal: Proposal) -> Notice:
    """A button that opens the details, because Slack opens a modal only after a click."""
    lead = "Everything about this:"
    value = ButtonValue(proposal.id, proposal.revision)
    shown = rich(f"details.{proposal.id}", line(glue(lead)))
    return _answer(lead, shown, actions("open", [button(DETAILS, "Details", value)]))


def _answer(text: str, *blocks: Block) -> Notice:
    return {"text": escape(clean(text, 300)), "blocks": list(blocks)}


BACK = "Back from snooze."
NO_CARD = "I answer in the thread of a card. Type /polar for what waits."
IN_A_BUNDLE = "This card holds several proposals, so nothing was done. Click Review on the card to choose."
NO_TIME = (
    "I did not understand that time, so nothing was snoozed. Write snooze 2h, or snooze until tomorrow, "
    "monday 14:00 or 2026-12-01, at most 90 days ahead."
)
NOT_UNDERSTOOD = "I did not understand that, so nothing was done."


def help_line(commands: Iterable[str]) -> str:
    """All commands that the program understands, in one line."""
    known = [name if name != "decline" else "decline [because …]" for name in commands]
    return f"In this thread I understand: {', '.join(known)}. Example: snooze 2h, assign @somebody."
