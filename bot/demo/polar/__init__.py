"""A small Polar on loopback: REST with state, Polar's rules and errors, signed webhooks, faults on demand."""

from bot.demo.polar.standin import Fault, PolarStandIn, Received

__all__ = ["Fault", "PolarStandIn", "Received"]
