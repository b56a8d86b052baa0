"""A strict Slack on loopback: Web API, Socket Mode, people who act, faults on request.

The README of bot/demo says how it differs from Slack.
"""

from bot.demo.slack.page import Page
from bot.demo.slack.people import PEOPLE
from bot.demo.slack.stand_in import SlackStandIn
from bot.demo.slack.state import Message, View

__all__ = ["PEOPLE", "Message", "Page", "SlackStandIn", "View"]
