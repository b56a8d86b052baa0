"""A small Polar on loopback: REST with state, Polar's rules and errors, signed webhooks, faults on demand."""

from bot.demo.polar.faults import Fault
from bot.demo.polar.standin import PolarStandIn
from bot.demo.polar.traffic import Received

__all__ = ["Fault", "PolarStandIn", "Received"]
