"""Every word a person reads in Slack, and the blocks around it. Pure."""

from bot.ui.card import CardView, Message, card, copy_of, thread_line, visible
from bot.ui.ephemeral import (
    BEING_DECIDED,
    BEING_UNDONE,
    FIRST_YES,
    NOBODY_MAY,
    NOT_IN_DOUBT,
    NOTHING_TO_RETRY,
    NOTHING_TO_UNDO,
    OWN_PROPOSAL,
    SECOND_YES_NEEDED,
    STALE,
    TOO_LATE_TO_UNDO,
    Whisper,
    already_decided,
    gone,
    handed,
    not_stored,
    on_hold,
    refusal,
)
from bot.ui.home import help_message, home_view
from bot.ui.lists import queue_message
from bot.ui.rules_page import RuleLine, rules_message

__all__ = [
    "BEING_DECIDED",
    "BEING_UNDONE",
    "FIRST_YES",
    "NOBODY_MAY",
    "NOTHING_TO_RETRY",
    "NOTHING_TO_UNDO",
    "NOT_IN_DOUBT",
    "OWN_PROPOSAL",
    "SECOND_YES_NEEDED",
    "STALE",
    "TOO_LATE_TO_UNDO",
    "CardView",
    "Message",
    "RuleLine",
    "Whisper",
    "already_decided",
    "card",
    "copy_of",
    "gone",
    "handed",
    "help_message",
    "home_view",
    "not_stored",
    "on_hold",
    "queue_message",
    "refusal",
    "rules_message",
    "thread_line",
    "visible",
]
