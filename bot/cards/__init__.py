"""Every word a person reads in Slack, and the blocks around it. Pure."""

from bot.cards.card import Message, card, copy_of, thread_line
from bot.cards.home import help_message, home_view, queue_message
from bot.cards.rules import RuleLine, rules_message
from bot.cards.whispers import OWN_PROPOSAL, Whisper, already_decided, gone, handed, not_stored, refusal

__all__ = [
    "OWN_PROPOSAL",
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
    "queue_message",
    "refusal",
    "rules_message",
    "thread_line",
]
