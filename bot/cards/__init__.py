"""Every word a person reads in Slack, and the blocks around it. Pure."""

from bot.cards.card import Message, card, copy_of, thread_line
from bot.cards.home import home_view, queue_message
from bot.cards.whispers import Whisper, already_decided, gone, not_stored, refusal

__all__ = [
    "Message",
    "Whisper",
    "already_decided",
    "card",
    "copy_of",
    "gone",
    "home_view",
    "not_stored",
    "queue_message",
    "refusal",
    "thread_line",
]
