"""Texts that one person sees: the results of their actions, and the reasons of refusals. Pure.

Each text tells the result, the omitted actions and the next step. One table serves Slack (blocks that show
every word unchanged), modals and the Home tab (elements), and the command line (plain text).
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from bot.results import (
    ActionResult,
    ActionStatus,
    ApproverNames,
    DecisionResult,
    DecisionStatus,
    FollowupResult,
    FollowupStatus,
    Purpose,
    Refusal,
    RefusalCode,
)
from bot.ui.elements import BLOCK_TEXT, Element, Text, glue, is_user, link_to, person, text, words
from bot.ui.reasons import nothing_done, sentence
from bot.ui.states import approver_line, phrase, title
from polar.text.words import clean
from store.models import Proposal, ProposalState

_R, _D, _F, _A = RefusalCode, DecisionStatus, FollowupStatus, ActionStatus
_REASON, _ERROR, _TITLE = 600, 300, 150  # characters


# --- Fixed texts --------------------------------------------------------------------------------------------

FAILED = (
    "Something failed here. What was done so far is on the card; the rest is unchanged. "
    "Look at the card, and try again if it still waits."
)
COMMAND_FAILED = "Something failed here, so there is no answer. The log of the program says more."
KEPT = "Slack did not say who you are. It is stored, and done as soon as Slack says that you may."
NOT_FOUND = (
    "The proposal of this card is not in the database. Nothing was changed. Type /polar to see what waits."
)
SLOW = "This takes longer than Slack waits. The result is shown here in a moment."
FORM_WAS_SLOW = "The program took too long to handle your form. Nothing was done."
# The form of /polar propose and of Edit. Some have {places}.
FORM_FAILED = "Something failed here, and nothing was proposed. Close this and type /polar propose again."
FORM_SLOW = "The program is still working on this, longer than Slack waits. The result is shown here."
FORM_LOST = (
    "This form is no longer known here: it was open for too long, or the program was restarted. "
    "Nothing was proposed. Close it and type /polar propose again."
)
FORM_NOT_STORED = "It could not be stored, so nothing was proposed. Try again."
PROPOSED = "Proposed: {title}. Its card is in the channel. Nothing is done until somebody approves it there."
ALREADY_PROPOSED = "Already proposed: {title}. Its card is in the channel. Type /polar propose for another."
ALREADY_EDITED = "Already saved: “{title}”. Its card shows what changed."
CHOOSE_ONE = "Choose one from the list."
CHANGE_SOMETHING = "Choose at least one thing to change."
REVIEW_NOT_OPENED = "Review could not be opened. Nothing was changed. Click it again."


def not_opened(error: str) -> Text:
    """The text for a modal that did not open."""
    return text("It could not be opened: {error}. Nothing was done. Try again.", error=words(error, _ERROR))


def form_not_opened(error: str) -> Text:
    """The text for the form of /polar propose that did not open."""
    return text(
        "The form could not be opened ({error}). Nothing was proposed. Type /polar propose again.",
        error=words(error, _ERROR),
    )


def not_shown(error: str) -> Text:
    """The text for a database that does not answer."""
    return text("Nothing can be shown just now: {error}", error=words(error, _ERROR))


# --- Refusals -----------------------------------------------------------------------------------------------

_REASONS: Mapping[RefusalCode, str] = {
    _R.NOT_AN_APPROVER: "You are not an approver.",
    _R.NOT_A_READER: "Only those of READERS and approvers may {wanted}, and you are neither.",
    _R.NOT_IN_CHANNEL: "Only members of the channel of the cards and approvers may {wanted}.",
    _R.NOT_OF_EVERY_CLASS: "Only whoever may decide every class that runs may resume, but not you: {error}.",
    _R.OTHER_WORKSPACE: "You are not a member of this workspace.",
    _R.DEACTIVATED: "Your account is deactivated or is a bot.",
    _R.GUEST: "You are a guest here, and guests may not {wanted}.",
    _R.OWN_PROPOSAL: "You proposed this yourself, so somebody else must approve it. You may decline it.",
    _R.OWN_EDIT: "You edited what this asks, so somebody else must approve it. You may decline it.",
    _R.SLACK_REFUSED: "Slack refused to say who you are ({error}).",
    _R.WORKSPACE_UNKNOWN: "Slack has not said yet which workspace this is.",
    _R.USER_UNKNOWN: "Slack did not say who you are.",
    _R.OTHER_APPROVERS_UNKNOWN: "Slack did not say whether anybody else may decide this.",
    _R.EARLIER_APPROVER_UNKNOWN: "Slack did not say whether {who} may still decide this.",
}
_WANTED: Mapping[Purpose, tuple[str, str]] = {
    Purpose.DECIDE: ("decide", "Nothing was changed."),
    Purpose.PROPOSE: ("propose", "Nothing was proposed."),
    Purpose.ASK: ("ask", "Nothing was asked."),
    Purpose.VIEW: ("look at this", ""),
}


def refused(refusal: Refusal) -> Text:
    """The refusal of an action: the reason, the omitted action, the people allowed, or the next step."""
    wanted, untouched = _WANTED[refusal.purpose]
    who = person(refusal.detail) if is_user(refusal.detail) else "an earlier approver"
    why = text(_REASONS[refusal.code], wanted=wanted, error=words(refusal.detail, 60), who=who)
    why += text(untouched)
    if refusal.retryable:
        return why + text("Try again in a moment.")
    return why if refusal.approvers is None else why + _who(refusal.approvers)


def refused_command(refusal: Refusal) -> Text:
    """The text of `refused` for a command after `/polar`."""
    return refused(refusal) + text("/polar help works for everybody.")


def _who(found: ApproverNames) -> Text:
    return text("{line}.", line=words(approver_line(found), 400))


# --- Decisions ----------------------------------------------------------------------------------------------

_DECISIONS: Mapping[DecisionStatus, str] = {
    _D.APPROVED: "Approved. {runs}",
    _D.FIRST_APPROVAL: "Your approval counts. {more}",
    _D.ALREADY_APPROVED: "Your approval counts already. {more}",
    _D.DECLINED: "Declined. Nothing was done.",
    _D.UNDONE: "Undone in time. {nothing}",
    _D.UNDO_STARTED: "It is being undone. Its card shows the result.",
    _D.UNDO_NEEDS_APPROVAL: (
        "Your approval of the undo counts. Two people had to approve this, so somebody else must approve the "
        "undo too. It has a card of its own."
    ),
    _D.RESTATED: "{stale}",
    _D.STALE: "{stale}",
    _D.WITHDRAWN: "Nothing was done. {reason}",
    _D.REFUSED: "You may not do this. Nothing was changed.",
    _D.UNCHECKED: "Slack did not answer. Nothing was changed. Try again in a moment.",
    _D.ON_HOLD: (
        "This is on hold{by}. Nothing was changed. To release it, mention me with “release” in its thread."
    ),
    _D.ALREADY_DECIDED: "{first}{state} Nothing was changed.",
    _D.TOO_LATE_TO_UNDO: (
        "It is too late to undo this: it is being sent. Nothing was changed. "
        "Once it is done, its card offers Undo if that is possible."
    ),
    _D.NOTHING_TO_UNDO: "There is nothing to undo here. Nothing was changed. {state}",
    _D.CHANGED_SINCE: (
        "Somebody changed it in Polar after this call, so nothing was undone. "
        "Use /polar propose for another change."
    ),
    _D.UNDO_UNDER_WAY: "Somebody is undoing this already. Nothing was changed.",
    _D.NOT_FOUND: NOT_FOUND,
    _D.REPEATED: "This was received already.",
    _D.NOT_STORED: ("Your decision could not be stored, so nothing was done: {error} Try again."),
    _D.POSTPONED: (
        "Your approval is stored, but could not be completed just now. It is retried automatically."
    ),
    _D.KEPT: KEPT,
}
_STALE = (
    "This changed since the card you saw, so your decision was not counted. "
    "Its card shows what it asks now. Look at it and decide again."
)
_ONE_MORE = "Two approvers are needed. Nothing is done until somebody else approves it too."
_NOBODY_LEFT = (
    "Two approvers are needed, and nobody else may decide this. It cannot be approved. "
    "Add an approver, or decline it."
)


def decision(result: DecisionResult) -> Text:
    """The result of an Approve, a Decline or an Undo."""
    if result.refusal is not None:
        return refused(result.refusal)
    found = result.proposal
    held, runs = None if found is None else found.held_by, "It runs now. Its card shows the result."
    if found is not None and found.cancellable_until is not None:
        runs = f"It runs at {found.cancellable_until:%H:%M:%S} UTC. Until then it can be undone."
    said = text(
        _DECISIONS[result.status],
        runs="" if found is None else runs,
        nothing=nothing_done(None, doubt=found is not None and found.in_doubt),
        more=_NOBODY_LEFT if result.alone else _ONE_MORE,
        stale=_STALE,
        reason=sentence(found.status_reason, _REASON) if found and found.status_reason else "",
        by=[glue(" by "), person(held)] if held and is_user(held) else [],
        first=_first(result),
        state="" if found is None else f"Its state is “{phrase(found.state)}”.",
        error=words(result.error, _ERROR),
    )
    return _removed(result) + said if result.removed else said


def about(found: Proposal, said: Text) -> Text:
    """A text with its subject before it."""
    return Text((words(found.title, _TITLE), glue(" – "), *said.elements))


def _first(result: DecisionResult) -> Sequence[Element]:
    first = None if result.proposal is None else result.proposal.decided_by
    if first and first == result.actor:
        return [glue("You decided this already. ")]
    return [person(first), glue(" was first. ")] if first and is_user(first) else []


def _removed(result: DecisionResult) -> Text:
    """The people whose earlier approval no longer counts."""
    named = sorted(filter(is_user, result.removed))
    names = [element for actor in named for element in (glue(" and "), person(actor))][1:]
    if not names:
        return Text(())
    if len(named) > 1:
        return text("{names} approved this but are no longer approvers, so they do not count.", names=names)
    return text(
        "{names} approved this earlier but is no longer an approver, so that approval was removed.",
        names=names,
    )


# --- After a call was made ----------------------------------------------------------------------------------

_LOOK_THERE = "Nothing was changed. Look in Polar and click Was done or Not done."
_FOLLOWUPS: Mapping[FollowupStatus, str] = {
    _F.RETRIED: "It is tried again. Its card shows the result.",
    _F.MARKED: "Stored. Its card shows it.",
    _F.FOUND_DONE: "Polar shows that it was done. Its card shows its state.",
    _F.NO_TRACE: (
        "Polar shows no trace of it so far. It may still be on its way, and nothing was sent again. "
        "Check again in some minutes, or look in Polar and click Was done or Not done."
    ),
    _F.CANNOT_TELL: f"What Polar shows does not tell whether it was done. {_LOOK_THERE}",
    _F.IN_FLIGHT: "Polar may still answer. Nothing was changed. Try again in a minute, or Check again now.",
    _F.FIRST_RETRY: "Your Retry counts. It takes two people: somebody else has to tap Retry too.",
    _F.NOT_YOURS: "This takes two people who neither asked for it nor said Not done. Nothing was changed.",
    _F.NO_ANSWER: "Polar could not be asked just now. Nothing was changed. Check again in a moment.",
    _F.NO_READ: f"Polar has no read that shows whether it was done. {_LOOK_THERE}",
    _F.BEING_CHECKED: "Polar is being asked just now. Nothing was changed. Look at the card soon.",
    _F.NOT_UNKNOWN: "Its result is known by now. Nothing was changed. Its card shows it.",
    _F.NOTHING_TO_RETRY: "It cannot be retried as it is now. Nothing was changed. Look at its card.",
    _F.REFUSED: "You may not do this. Nothing was changed.",
    _F.NOT_FOUND: NOT_FOUND,
    _F.NOT_STORED: "That could not be stored, so nothing was done: {error} Try again.",
}


def followup(result: FollowupResult) -> Text:
    """The result of Retry, Check again, Was done or Not done."""
    if result.refusal is not None:
        return refused(result.refusal)
    return text(_FOLLOWUPS[result.status], error=words(result.error, _ERROR))


# --- Other actions on a proposal ----------------------------------------------------------------------------

_INSTEAD = "Nothing was changed. Decline it, and use /polar propose for what you want instead."
_ACTIONS: Mapping[ActionStatus, str] = {
    _A.SNOOZED: "Snoozed until {at}.",
    _A.ASSIGNED: "Assigned.",
    _A.ASKED: "Asked.",
    _A.HELD: "On hold.",
    _A.RELEASED: "Released.",
    _A.REASON_STORED: "Stored.",
    _A.EDITED: "Saved. Its card asks “{title}” now, shows what changed, and needs a new decision.",
    _A.KEPT: KEPT,
    _A.REFUSED: "You may not do this. Nothing was changed.",
    _A.NOT_FOUND: NOT_FOUND,
    _A.NOT_STORED: "That could not be stored, so nothing was done: {error} Try again.",
    _A.NOT_PENDING: "It no longer waits for a decision, so nothing was done. Its card shows its state.",
    _A.CHANGED: "It has changed since you looked, so nothing was done. Look at its card and try again.",
    _A.IN_THE_PAST: "That time has passed, so nothing was done. Choose a later one.",
    _A.TOO_LATE: "It closes on {at}, so nothing was done. Choose an earlier time.",
    _A.ASSIGNEE_REFUSED: "They may not decide this, so it was not assigned to them.",
    _A.ASSIGNEE_OWN: (
        "They proposed or edited this, so somebody else must approve it. It was not assigned to them. "
        "Choose somebody else."
    ),
    _A.ALREADY_HELD: "It is on hold already.",
    _A.NOT_HELD: "It is not on hold.",
    _A.NOTHING_TO_HOLD: "It waits neither for a decision nor for its run, so it was not put on hold.",
    _A.NOT_DECLINED: "Only a declined proposal can have a reason, so nothing was stored. Look at its card.",
    _A.NO_REASON: "No reason was given, so nothing was stored.",
    _A.BEING_APPROVED: "Somebody is approving it just now, so it cannot be edited. Look at its card.",
    _A.NOT_ONE_CALL: f"It makes {{count}} calls, and only a proposal of one call can be edited. {_INSTEAD}",
    _A.NOT_BY_FORM: f"Its values do not fit the form, or one of them is secret. {_INSTEAD}",
    _A.NOTHING_TO_EDIT: f"Its call has no value that can be edited. {_INSTEAD}",
    _A.FORM_LOST: (
        "The program was restarted while this form was open, so your input is lost. Nothing was changed. "
        "Close this and choose Edit again."
    ),
    _A.SAME: "You changed nothing, so it stays as it is.",
}


def action(result: ActionResult) -> Text:
    """The result of an action on a proposal other than a decision."""
    if result.refusal is not None:
        return refused(result.refusal)
    said = text(
        _ACTIONS[result.status],
        at="" if result.at is None else f"{result.at:%d %b %Y %H:%M} UTC",
        title=words(result.title, _TITLE),
        count=str(result.count or "no"),
        error=words(result.error, _ERROR),
    )
    return said if result.approvers is None else said + _who(result.approvers)


# --- Several proposals at once ------------------------------------------------------------------------------

_VERBS: Mapping[DecisionStatus, str] = {
    _D.APPROVED: "approved",
    _D.DECLINED: "declined",
    _D.UNDONE: "undone",
}
_LISTED = 5  # named proposals for each reason why they were not decided
_MOST_REASONS = 12
_AS_WANTED = frozenset({_D.REPEATED, _D.POSTPONED})
_NEED_ANOTHER = frozenset({_D.FIRST_APPROVAL, _D.UNDO_NEEDS_APPROVAL})
ONE_BY_ONE = "These are decided one by one. Nothing was changed. Click Review."
NONE_WAITS = "Nothing on this card waits any more. Nothing was changed. The card shows each state."
REDRAWN = "This card has changed since you saw it. Nothing was changed. Look at it and click again."
NOTHING_TICKED = "Nothing was ticked, or nothing of it waits any more. Nothing was changed."


def several(
    wanted: DecisionStatus,
    results: Sequence[tuple[Proposal, DecisionResult]],
    later: int,
    *,
    named: bool = True,
) -> list[Text]:
    """The undecided proposals and the reasons, a paragraph for each reason; empty when the card shows all.

    `later` is the number of proposals that joined after the person's card was drawn. Without `named` no
    proposal is named.
    """
    missed: dict[str, tuple[Text, list[str]]] = {}
    for proposal, result in results:
        as_wanted = result.counts or result.status in _AS_WANTED
        if not as_wanted or result.status in _NEED_ANOTHER:
            why = decision(result)
            missed.setdefault(why.plain, (why, []))[1].append(proposal.title)
    count = len(results) - sum(len(titles) for _, titles in missed.values())
    said = [text(f"{count} of {len(results)} {_VERBS[wanted]}.")] if missed else []
    reasons = list(missed.values())
    said += [why + _named(titles) if named else why for why, titles in reasons[:_MOST_REASONS]]
    if more := sum(len(titles) for _, titles in reasons[_MOST_REASONS:]):
        said.append(text(f"{more} more were not {_VERBS[wanted]}. Click Review to see their states."))
    if later > 0:
        said.append(text(f"{later} joined after the card you saw was drawn. They still wait."))
    return said if said or results else [text(NONE_WAITS)]


def all_approved(count: int) -> Text:
    """The number of approved proposals. The card shows the others."""
    return text(f"{title(ProposalState.APPROVED)}{count}. The card shows the results.")


def _named(titles: Sequence[str]) -> Text:
    more = f" and {len(titles) - _LISTED} more" if len(titles) > _LISTED else ""
    return text("({titles}{more})", titles=words("; ".join(titles[:_LISTED]), 500), more=more)


# --- Of Polar's answer --------------------------------------------------------------------------------------


_URL = re.compile(r"https://[!-~]+")
_POLAR = "polar.sh"


def handed(message: str) -> Text:
    """The private part of Polar's answer, e.g. a link. Only the approver sees it. It is never stored.

    A link leads to Polar alone: the words of a customer may hold others.
    """
    said = clean(message, BLOCK_TEXT)
    found: list[Element] = []
    end = 0
    for match in _URL.finditer(said):
        if _is_polar(match[0]):
            found += [glue(said[end : match.start()]), link_to(match[0], match[0])]
            end = match.end()
    found.append(glue(said[end:]))
    return Text(tuple(one for one in found if one["text"]))


def _is_polar(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, plain = parts.hostname or "", parts.netloc == parts.hostname
    except ValueError:
        return False
    return plain and (host == _POLAR or host.endswith(f".{_POLAR}"))
