"""Writes that lead to a sale: checkouts, checkout links, discounts, and changes of products."""

from typing import Any

from bot.demo.polar.call import Call, check_body, problem
from bot.demo.polar.errors import Answer, invalid, not_simulated, unacceptable
from bot.demo.polar.shop import Row, Shop, wire

_LINK_FIELDS = (
    "metadata", "label", "allow_discount_codes", "require_billing_address", "discount_id", "success_url",
    "return_url", "seats", "trial_interval", "trial_interval_count",
)  # fmt: skip
_ADDRESS_PARTS = ("country", "state", "city", "postal_code", "line1", "line2")
_PRODUCT_FIELDS = (
    "metadata", "name", "description", "visibility", "is_archived", "trial_interval", "trial_interval_count",
)  # fmt: skip


def update_product(call: Call) -> Answer:
    """products:update without prices. An archived product leaves its checkout links for good."""
    shop, product = call.shop, call.shop.get("products", call.id)
    fields = {name: value for name, value in call.body.items() if name in _PRODUCT_FIELDS}
    if len(fields) < len(call.body):
        raise not_simulated(f"a change of a product's {', '.join(sorted(set(call.body) - set(fields)))}")
    check_body(fields)
    if shop.change(product, **fields):
        shop.note(f"product {product['name']}: {', '.join(fields)} changed")
    if product["is_archived"]:
        for link in shop.rows("checkout-links"):
            link["product_ids"] = [each for each in link["product_ids"] if each != product["id"]]
    shop.tell("product.updated", wire(shop, "products", product))
    return Answer(200, wire(shop, "products", product))


def create_link(call: Call) -> Answer:
    """checkout-links:create: a page that anybody may open, until the link is deleted."""
    shop, body = call.shop, call.body
    check_body(body, needs="payment_processor products")
    products = _products(shop, body)
    _named(shop, body, "discount_id", "discounts", "Discount")
    secret = f"polar_cl_demo{shop.random.getrandbits(96):024x}"
    defaults: Row = {
        **dict.fromkeys(_LINK_FIELDS),
        "metadata": {}, "allow_discount_codes": True, "require_billing_address": False,
    }  # fmt: skip
    link = shop.add(
        "checkout-links", **{**defaults, **{name: body[name] for name in _LINK_FIELDS if name in body}},
        payment_processor="stripe", client_secret=secret, units=None, organization_id=shop.organization_id,
        product_ids=products, url=f"https://demo.invalid/buy/{secret}",
    )  # fmt: skip
    shop.note(f"checkout link made for {_names(shop, products)}")
    return Answer(201, wire(shop, "checkout-links", link))


def update_link(call: Call) -> Answer:
    """checkout-links:update: the live page changes at once."""
    shop, link = call.shop, call.shop.get("checkout-links", call.id)
    check_body(call.body)
    fields = {name: call.body[name] for name in _LINK_FIELDS if name in call.body}
    _named(shop, fields, "discount_id", "discounts", "Discount")
    if call.body.get("products"):
        fields["product_ids"] = _products(shop, call.body)
    if shop.change(link, **fields):
        shop.note("checkout link changed")
    return Answer(200, wire(shop, "checkout-links", link))


def delete_link(call: Call) -> Answer:
    """checkout-links:delete: the address is dead, there is no restore."""
    link = call.shop.get("checkout-links", call.id)
    link["deleted_at"] = call.shop.now()
    call.shop.note(f"checkout link deleted: {_names(call.shop, link['product_ids'])}")
    return Answer(204)


def create_discount(call: Call) -> Answer:
    """discounts:create: basis points, or amounts by currency in minor units; a code is unique."""
    shop, body = call.shop, call.body
    check_body(body, needs="name duration")
    code = body.get("code")
    if code and any((each["code"] or "").lower() == code.lower() for each in shop.rows("discounts")):
        raise unacceptable("code", "Discount with this code already exists.", code)
    discount = shop.add(
        "discounts", **_discount_value(body), metadata=body.get("metadata", {}), name=body["name"], code=code,
        starts_at=body.get("starts_at"), ends_at=body.get("ends_at"),
        max_redemptions=body.get("max_redemptions"),
        max_redemptions_per_customer=body.get("max_redemptions_per_customer"), redemptions_count=0,
        organization_id=shop.organization_id,
        products=[shop.peek("products", each) for each in body.get("products") or []],
    )  # fmt: skip
    shop.note(f"discount {discount['name']} made")
    shop.tell("discount.created", discount)
    return Answer(201, discount)


def delete_discount(call: Call) -> Answer:
    """discounts:delete: final; running subscriptions keep it."""
    shop, discount = call.shop, call.shop.get("discounts", call.id)
    shop.tell("discount.deleted", discount)
    shop.remove("discounts", discount["id"])
    shop.note(f"discount {discount['name']} deleted")
    return Answer(204)


def create_checkout(call: Call) -> Answer:
    """checkouts:create: a session of 24 hours. Nobody is told: someone must hand the URL on."""
    shop, body = call.shop, call.body
    check_body(body, needs="products")
    product = shop.tables["products"][_products(shop, body)[0]]
    discount = _named(shop, body, "discount_id", "discounts", "Discount")
    customer = _named(shop, body, "customer_id", "customers", "Customer")
    checkout = shop.add("checkouts", **_checkout_fields(shop, body, product, discount, customer))
    shop.note(f"checkout of {product['name']} opened")
    shop.tell("checkout.created", wire(shop, "checkouts", checkout))
    return Answer(201, wire(shop, "checkouts", checkout))


def _checkout_fields(shop: Shop, body: Row, product: Row, discount: Row | None, customer: Row | None) -> Row:
    amount = body.get("amount") or product["prices"][0]["price_amount"] * (body.get("seats") or 1)
    off = amount * discount.get("basis_points", 0) // 10_000 if discount else 0
    secret = f"polar_c_demo{shop.random.getrandbits(96):024x}"
    return {
        "custom_field_data": {}, "payment_processor": "stripe", "status": "open", "client_secret": secret,
        "url": f"https://demo.invalid/checkout/{secret}", "expires_at": shop.now(hours=24),
        "success_url": body.get("success_url") or "https://demo.invalid/thanks",
        "return_url": body.get("return_url"), "embed_origin": None, "amount": amount,
        "seats": body.get("seats"),
        "discount_amount": off, "net_amount": amount - off, "tax_amount": None, "tax_behavior": None,
        "total_amount": amount - off, "currency": product["prices"][0]["price_currency"], "allow_trial": None,
        "active_trial_interval": None, "active_trial_interval_count": None, "trial_end": None,
        "organization_id": shop.organization_id, "product_id": product["id"],
        "product_price_id": product["prices"][0]["id"], "discount_id": discount["id"] if discount else None,
        "allow_discount_codes": True, "require_billing_address": False,
        "is_discount_applicable": discount is not None, "is_free_product_price": amount == 0,
        "is_payment_required": amount > off, "is_payment_setup_required": product["is_recurring"],
        "is_payment_form_required": amount > off or product["is_recurring"],
        "customer_id": customer["id"] if customer else None, "is_business_customer": False,
        "customer_name": customer["name"] if customer else None,
        "customer_email": customer["email"] if customer else body.get("customer_email"),
        "customer_ip_address": None, "customer_billing_name": None, "customer_billing_address": None,
        "customer_tax_id": None, "locale": None, "payment_method_type": None,
        "payment_processor_metadata": {},
        "billing_address_fields": dict.fromkeys(_ADDRESS_PARTS, "optional"),
        "trial_interval": None, "trial_interval_count": None,
        "metadata": body.get("metadata", {}), "external_customer_id": body.get("external_customer_id"),
        "prices": None, "subscription_id": body.get("subscription_id"), "attached_custom_fields": [],
        "customer_metadata": body.get("customer_metadata", {}),
    }  # fmt: skip


def _products(shop: Shop, body: Row) -> list[str]:
    """The ids in `products`, each of a product that is there and not archived."""
    ids: Any = body["products"]
    if not ids or not isinstance(ids, list):
        message = "List should have at least 1 item after validation"
        raise invalid(problem("too_short", ("body", "products"), message, ids))
    for each in ids:
        product = shop.peek("products", str(each))
        if product is None or product["is_archived"]:
            raise unacceptable("products", "Product does not exist or is archived.", each)
    return list(ids)


def _named(shop: Shop, body: Row, field: str, table: str, what: str) -> Row | None:
    """The row that a field of the body names, None if it names none."""
    row_id = body.get(field)
    row = next(shop.rows(table, id=row_id), None) if row_id else None
    if row_id and row is None:
        raise unacceptable(field, f"{what} does not exist.", row_id)
    return row


def _discount_value(body: Row) -> Row:
    """The value of the discount: a share (1,000 basis points are 10 %) or an amount for each currency."""
    value = {"duration": body["duration"]}
    if body["duration"] == "repeating":
        check_body(body, needs="duration_in_months")
        value["duration_in_months"] = body["duration_in_months"]
    if body.get("type", "percentage") == "percentage":
        check_body(body, needs="basis_points")
        return {**value, "type": "percentage", "basis_points": body["basis_points"]}
    amounts = body.get("amounts") or {body.get("currency", "usd"): body.get("amount")}
    currency, amount = next(iter(amounts.items()))
    return {**value, "type": "fixed", "amount": amount, "currency": currency, "amounts": amounts}


def _names(shop: Shop, product_ids: list[str]) -> str:
    return ", ".join(shop.tables["products"][each]["name"] for each in product_ids)
