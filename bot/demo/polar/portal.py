"""The customer portal: who may enter with which session, and a few of its operations (polar.md 2.2)."""

from dataclasses import replace

from bot.demo.polar import customers, errors, reads
from bot.demo.polar.call import Call
from bot.demo.polar.errors import Answer, Refusal, rule
from bot.demo.polar.routes import Operation
from bot.demo.polar.shop import Row, Shop

# Of the customer portal too, but meant for apps and browsers without any token.
_OPEN = frozenset(
    {"customer_portal:customers:check_email_update", "customer_portal:customers:verify_email_update",
     "customer_portal:license_keys:activate", "customer_portal:license_keys:deactivate",
     "customer_portal:license_keys:validate", "customer_portal:organizations:get"}
)  # fmt: skip
_SHOWN = (
    "created_at", "modified_at", "id", "email", "email_verified", "name", "billing_name", "billing_address",
    "tax_id", "default_payment_method_id", "type", "locale",
)  # fmt: skip
_OWN = frozenset({"billing_name", "billing_address", "tax_id", "default_payment_method_id", "locale"})


def takes_session(operation: Operation) -> bool:
    """Whether an operation takes a customer's session, and then nothing else."""
    return operation.id.startswith("customer_portal:") and operation.id not in _OPEN


def check_session(shop: Shop, token: str, organization_token: str) -> None:
    """401 for a token that is no session, or one whose hour is over."""
    session = shop.sessions.get(token)
    if token == organization_token:
        raise Refusal(errors.UNAUTHORIZED)
    if session is None or session["expires_at"] <= shop.clock():
        raise Refusal(errors.BAD_TOKEN)


def get_customer(call: Call) -> Answer:
    """customer_portal:customers:get: the customer, without what is the merchant's own (metadata, ...)."""
    customer = call.shop.get("customers", _of(call)["customer_id"])
    return Answer(200, {**{name: customer[name] for name in _SHOWN}, "oauth_accounts": {}})


def update_customer(call: Call) -> Answer:
    """customer_portal:customers:update: billing details, which the customer may change alone."""
    body = {name: value for name, value in call.body.items() if name in _OWN}
    path = {"id": _of(call)["customer_id"]}
    customers.update(Call(call.shop, call.operation, path, call.query, body))
    return get_customer(call)


def list_keys(call: Call) -> Answer:
    """customer_portal:license_keys:list: the customer's own."""
    return _own("license-keys", call)


def list_members(call: Call) -> Answer:
    """customer_portal:members:list_members: for a team's owner and billing managers."""
    session = _of(call)
    me = call.shop.peek("members", session["member_id"])
    if me is None or me["role"] not in {"owner", "billing_manager"}:
        raise rule(403, "NotPermitted", "Only owners and billing managers may see the members.")
    return _own("members", call)


def _own(table: str, call: Call) -> Answer:
    """One page of what is the customer's own."""
    operation = replace(call.operation, query=call.operation.query | {"customer_id"})
    query = (*call.query, ("customer_id", _of(call)["customer_id"]))
    return reads.listing(table)(Call(call.shop, operation, {}, query, {}))


def _of(call: Call) -> Row:
    if call.session is None:
        raise Refusal(errors.UNAUTHORIZED)
    return call.session
