"""The operations of Polar that the stand-in simulates, each with its handler; all others answer 501."""

from collections.abc import Callable

from bot.demo.polar import (
    customers,
    endpoints,
    grants,
    orders,
    reads,
    sales,
    seats,
    subscriptions,
)
from bot.demo.polar.call import Call
from bot.demo.polar.errors import Answer

_READ = (
    "organizations", "products", "benefits", "orders", "disputes", "payments", "subscriptions", "discounts",
    "checkouts", "checkout-links",
)  # fmt: skip
HANDLERS: dict[str, Callable[[Call], Answer]] = {
    **{f"{table}:get": reads.get(table) for table in _READ},
    **{f"{table}:list": reads.listing(table) for table in (*_READ, "benefit-grants", "refunds", "customers")},
    "products:update": sales.update_product,
    "benefits:grants": reads.grants_of_benefit,
    "orders:update": orders.update_order,
    "orders:invoice": orders.get_invoice,
    "orders:generate_invoice": orders.generate_invoice,
    "refunds:create": orders.create_refund,
    "disputes:accept": orders.accept_dispute,
    "subscriptions:update": subscriptions.update,
    "subscriptions:revoke": subscriptions.revoke,
    "license_keys:get": reads.get_key,
    "license_keys:list": reads.listing("license-keys"),
    "license_keys:update": grants.update_key,
    "customers:get": customers.get,
    "customers:get_external": customers.get,
    "customers:get_state": customers.get_state,
    "customers:get_state_external": customers.get_state,
    "customers:update": customers.update,
    "customers:update_external": customers.update,
    "customer-sessions:create": customers.create_session,
    "members:list_members": reads.listing("members"),
    "customer-seats:list_seats": seats.list_seats,
    "customer-seats:assign_seat": seats.assign,
    "customer-seats:revoke_seat": seats.revoke_call,
    "customer-seats:resend_invitation": seats.resend,
    "discounts:create": sales.create_discount,
    "discounts:delete": sales.delete_discount,
    "checkouts:create": sales.create_checkout,
    "checkout-links:create": sales.create_link,
    "checkout-links:update": sales.update_link,
    "checkout-links:delete": sales.delete_link,
    "webhooks:list_webhook_endpoints": reads.listing(endpoints.TABLE),
    "webhooks:get_webhook_endpoint": reads.get(endpoints.TABLE),
    "webhooks:create_webhook_endpoint": endpoints.create,
    "webhooks:update_webhook_endpoint": endpoints.update,
    "webhooks:delete_webhook_endpoint": endpoints.delete,
    "webhooks:reset_webhook_endpoint_secret": endpoints.reset_secret,
    "webhooks:list_webhook_deliveries": reads.listing("webhooks/deliveries"),
}
