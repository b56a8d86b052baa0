"""A month of a small shop, played in two minutes: real webhooks, real taps, and time that moves faster.

Nothing is written past the program: what happens, happens at the Polar stand-in, at the Slack stand-in, or
because time has passed. What comes of it is read where people would read it.
"""

from bot.demo.month.month import Month
from bot.demo.month.stage import Stage

__all__ = ["Month", "Stage"]
