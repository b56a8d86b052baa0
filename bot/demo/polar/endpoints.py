"""Webhook endpoints as the API shows and changes them."""

import base64
import ipaddress
import string
from urllib.parse import urlsplit

from bot.demo.polar.call import Call, check_body, problem
from bot.demo.polar.errors import Answer, invalid
from bot.demo.polar.shop import Row, Shop

TABLE = "webhooks/endpoints"
EVENT_TYPES = (
    "checkout.created", "checkout.updated", "checkout.expired", "customer.created", "customer.updated",
    "customer.deleted", "customer.state_changed", "customer_seat.assigned", "customer_seat.claimed",
    "customer_seat.revoked", "member.created", "member.updated", "member.deleted", "order.created",
    "order.updated", "order.paid", "order.refunded", "subscription.created", "subscription.updated",
    "subscription.active", "subscription.canceled", "subscription.uncanceled", "subscription.cycled",
    "subscription.revoked", "subscription.past_due", "subscription.paused", "subscription.resumed",
    "refund.created", "refund.updated", "product.created", "product.updated", "discount.created",
    "discount.updated", "discount.deleted", "benefit.created", "benefit.updated", "benefit_grant.created",
    "benefit_grant.cycled", "benefit_grant.updated", "benefit_grant.revoked", "organization.updated",
)  # fmt: skip
"""The 41 types of the 2026-10 contract."""

_WRITABLE = ("url", "name", "format", "events", "enabled")


def old_secret(shop: Shop) -> str:
    """As Polar made them before 2026-09-08: whsec_ and 43 letters and digits; the whole text is the key."""
    return "whsec_" + "".join(shop.random.choices(string.ascii_letters + string.digits, k=43))


def new_secret(shop: Shop) -> str:
    """As Polar makes them since: whsec_ and base64 of the 32 bytes that are the key (Standard Webhooks)."""
    return "whsec_" + base64.b64encode(shop.random.randbytes(32)).decode()


def add(
    shop: Shop, url: str, events: list[str], secret: str, *, standard: bool, name: str | None = None
) -> Row:
    """An enabled endpoint; the caller has checked the URL. `standard` says how its secret becomes a key."""
    return shop.add(
        TABLE, url=url, name=name, format="raw", secret=secret, organization_id=shop.organization_id,
        events=events, enabled=True, uses_standard_webhook_signature=standard,
    )  # fmt: skip


def create(call: Call) -> Answer:
    """webhooks:create_webhook_endpoint: https and no private address, as Polar demands."""
    body, shop = call.body, call.shop
    _check_fields(body, needs="url format events")
    endpoint = add(shop, body["url"], body["events"], new_secret(shop), standard=True, name=body.get("name"))
    endpoint["format"] = body["format"]
    shop.note(f"webhook endpoint {endpoint['url']} made")
    return Answer(201, endpoint)


def update(call: Call) -> Answer:
    """webhooks:update_webhook_endpoint."""
    endpoint = call.shop.get(TABLE, call.id)
    fields = {name: value for name, value in call.body.items() if name in _WRITABLE}
    _check_fields(fields)
    if call.shop.change(endpoint, **fields):
        call.shop.note(f"webhook endpoint {endpoint['url']}: {', '.join(fields)} changed")
    return Answer(200, endpoint)


def delete(call: Call) -> Answer:
    """webhooks:delete_webhook_endpoint."""
    endpoint = call.shop.get(TABLE, call.id)
    call.shop.remove(TABLE, endpoint["id"])
    call.shop.note(f"webhook endpoint {endpoint['url']} deleted")
    return Answer(204)


def reset_secret(call: Call) -> Answer:
    """webhooks:reset_webhook_endpoint_secret: the old stops at once, the new is of the new kind."""
    endpoint = call.shop.get(TABLE, call.id)
    call.shop.change(endpoint, secret=new_secret(call.shop), uses_standard_webhook_signature=True)
    call.shop.note(f"webhook endpoint {endpoint['url']}: new secret")
    return Answer(200, endpoint)


def _check_fields(body: Row, needs: str = "") -> None:
    check_body(body, needs)
    if "url" not in body:
        return
    url = body["url"]
    parts = urlsplit(url if isinstance(url, str) else "")
    if parts.scheme != "https":
        message = "URL scheme should be 'https'"
        raise invalid(problem("url_scheme", ("body", "url"), message, url, expected_schemes="'https'"))
    if _is_private(parts.hostname or ""):
        message = "Value error, Webhook URLs cannot point to localhost or private IP addresses."
        raise invalid(problem("value_error", ("body", "url"), message, url, error={}))


def _is_private(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False
