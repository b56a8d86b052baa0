"""A strict Slack on loopback: Web API, Socket Mode, people who act, faults on request.

The README of bot/demo says how it differs from Slack.
"""

from bot.demo.slack.page import Page
from bot.demo.slack.people import DEMO_CAST
from bot.demo.slack.stand_in import SlackStandIn
from bot.demo.slack.state import Message, View

__all__ = ["DEMO_CAST", "Message", "Page", "SlackStandIn", "View"]
