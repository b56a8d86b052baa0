"""A strict Slack on loopback: Web API, Socket Mode, signed HTTP, people who act, faults on request.

How it differs from Slack: one workspace, one channel, one app; only the methods of `methods.METHODS`; only
the blocks of `blockkit_models`, unknown keys refused; a text over 40,000 characters is refused, not cut;
messages of people have no `rich_text` blocks; a deleted root leaves no tombstone; permalinks lead to the demo
page; nothing is stored, and the retries of an event end with the process.
"""

from bot.demo.slack.page import Page
from bot.demo.slack.people import DEMO_CAST
from bot.demo.slack.stand_in import SlackStandIn
from bot.demo.slack.state import Message, View

__all__ = ["DEMO_CAST", "Message", "Page", "SlackStandIn", "View"]
