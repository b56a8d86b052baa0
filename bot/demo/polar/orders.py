"""Writes on orders and the money given back: invoice, billing details, refunds, disputes."""

from bot.demo.polar.call import Call, check_body
from bot.demo.polar.errors import Answer, not_found, rule, unacceptable
from bot.demo.polar.grants import revoke_grants
from bot.demo.polar.shop import Row, Shop, wire


def tell_order(shop: Shop, event_type: str, order: Row) -> None:
    """An order event with the complete order."""
    shop.tell(event_type, wire(shop, "orders", order))


def generate_invoice(call: Call) -> Answer:
    """orders:generate_invoice. Polar draws the PDF a moment later; here it is there at once."""
    shop, order = call.shop, call.shop.get("orders", call.id)
    if order["status"] in {"draft", "void"}:
        raise rule(409, "OrderNotEligibleForInvoice", "Order is not eligible for invoice generation.")
    if not order["billing_name"] or not order["billing_address"]:
        detail = "Billing name and address are required to generate an invoice."
        raise rule(422, "MissingInvoiceBillingDetails", detail)
    if shop.change(order, is_invoice_generated=True):
        shop.note(f"order {order['invoice_number']}: invoice generated")
        tell_order(shop, "order.updated", order)
    return Answer(202, None)


def get_invoice(call: Call) -> Answer:
    """orders:invoice: where the PDF is, 404 until it was generated."""
    order = call.shop.get("orders", call.id)
    if not order["is_invoice_generated"]:
        raise not_found()
    return Answer(200, {"url": f"https://demo.invalid/{order['invoice_number']}.pdf"})


def update_order(call: Call) -> Answer:
    """orders:update: billing name and address only; the country stays."""
    shop, order = call.shop, call.shop.get("orders", call.id)
    check_body(call.body)
    fields = {name: call.body[name] for name in ("billing_name", "billing_address") if name in call.body}
    address, known = fields.get("billing_address"), order["billing_address"]
    if address and known and address.get("country") != known["country"]:
        raise unacceptable("billing_address", "Country cannot be changed.", address)
    if shop.change(order, **fields):
        shop.note(f"order {order['invoice_number']}: billing details changed")
        tell_order(shop, "order.updated", order)
    return Answer(200, wire(shop, "orders", order))


def create_refund(call: Call) -> Answer:
    """refunds:create: `amount` is net, in the order's smallest unit; the proportional tax is added."""
    body, shop = call.body, call.shop
    check_body(body, needs="order_id reason amount")
    order = shop.peek("orders", body["order_id"])
    if order is None:
        raise unacceptable("order_id", "Order not found", body["order_id"])
    return Answer(201, give_back(shop, order, body, _refundable_tax(shop, order, body)))


def _refundable_tax(shop: Shop, order: Row, body: Row) -> int:
    """The tax that goes with the amount; or why the refund is refused."""
    amount, shown = body["amount"], wire(shop, "orders", order)
    if order["status"] == "refunded":
        raise rule(403, "RefundedAlready", f"Order is already fully refunded: {order['id']}")
    if not order["paid"] or order["total_amount"] == 0:
        raise rule(404, "RefundUnknownPayment", f"No payment found for order: {order['id']}")
    if body.get("revoke_benefits") and order["subscription_id"]:
        detail = "Benefits of a subscription order end with the subscription, not with a refund."
        raise rule(400, "RevokeSubscriptionBenefitsProhibited", detail)
    if amount > shown["refundable_amount"]:
        raise unacceptable("amount", "Refund amount exceeds refundable amount", amount)
    if amount == shown["refundable_amount"]:
        return int(shown["refundable_tax_amount"])
    return round(amount * (order["tax_amount"] / order["net_amount"])) if order["net_amount"] else 0


def give_back(shop: Shop, order: Row, body: Row, tax: int = 0) -> Row:
    """A succeeded refund and what it changes, in Polar's sequence; `tax` is what goes with the amount."""
    shop.note(f"order {order['invoice_number']}: {body['amount']} {order['currency'].upper()} refunded")
    refund = shop.add(
        "refunds", metadata=body.get("metadata", {}), status="succeeded", reason=body["reason"],
        amount=body["amount"], tax_amount=tax, currency=order["currency"],
        organization_id=shop.organization_id, order_id=order["id"], subscription_id=order["subscription_id"],
        customer_id=order["customer_id"], revoke_benefits=bool(body.get("revoke_benefits")), dispute=None,
    )  # fmt: skip
    refunded = order["refunded_amount"] + refund["amount"]
    shop.change(
        order,
        refunded_amount=refunded,
        refunded_tax_amount=order["refunded_tax_amount"] + refund["tax_amount"],
        status="refunded" if refunded >= order["net_amount"] else "partially_refunded",
    )
    shop.tell("refund.created", refund)
    tell_order(shop, "order.updated", order)
    tell_order(shop, "order.refunded", order)
    if refund["revoke_benefits"]:
        revoke_grants(shop, order_id=order["id"], customer_id=order["customer_id"])
    return refund


def accept_dispute(call: Call) -> Answer:
    """disputes:accept, all that the API can do of it: lost at once, while Polar waits for evidence."""
    shop, dispute = call.shop, call.shop.get("disputes", call.id)
    if dispute["status"] != "needs_response":
        raise rule(409, "DisputeNotOpenError", "This dispute is not open for a response.")
    shop.change(dispute, status="lost", resolved=True, closed=True)
    shop.note("dispute conceded")
    return Answer(200, dispute)
