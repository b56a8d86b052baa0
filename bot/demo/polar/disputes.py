"""Disputes: the one thing that can be done about them by API is to concede."""

from bot.demo.polar.call import Call
from bot.demo.polar.errors import Answer, rule


def accept(call: Call) -> Answer:
    """disputes:accept: lost at once. Only while Polar waits for evidence."""
    shop, dispute = call.shop, call.shop.get("disputes", call.id)
    if dispute["status"] != "needs_response":
        raise rule(409, "DisputeNotOpenError", "This dispute is not open for a response.")
    shop.change(dispute, status="lost", resolved=True, closed=True)
    shop.note("dispute conceded")
    return Answer(200, dispute)
