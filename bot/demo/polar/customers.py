"""Customers: found by id or external id, their state, changes, and the link into their portal."""

from bot.demo.polar.call import Call, check_body
from bot.demo.polar.errors import Answer, not_found, unacceptable
from bot.demo.polar.grants import tell_state
from bot.demo.polar.shop import Row, Shop, customer_state

_WRITABLE = (
    "metadata", "email", "name", "billing_name", "billing_address", "tax_id", "locale", "external_id",
)  # fmt: skip


def get(call: Call) -> Answer:
    """customers:get and customers:get_external."""
    return Answer(200, find(call))


def get_state(call: Call) -> Answer:
    """customers:get_state and customers:get_state_external."""
    return Answer(200, customer_state(call.shop, find(call)))


def find(call: Call) -> Row:
    """The customer that the path names by either id."""
    if "external_id" not in call.path:
        return call.shop.get("customers", call.id)
    found = next(call.shop.rows("customers", external_id=call.path["external_id"]), None)
    if found is None:
        raise not_found()
    return found


def update(call: Call) -> Answer:
    """customers:update: metadata is replaced whole, external_id can be set once."""
    shop, customer = call.shop, find(call)
    fields = {name: value for name, value in call.body.items() if name in _WRITABLE}
    check_body(fields)
    _check_unique(shop, customer, fields)
    if fields.get("email", customer["email"]) != customer["email"]:
        fields["email_verified"] = False
    if customer["billing_name"] == customer["name"] and "name" in fields:
        fields.setdefault("billing_name", fields["name"])
    if shop.change(customer, **fields):
        shop.note(f"customer {customer['email']}: {', '.join(call.body)} changed")
    shop.tell("customer.updated", customer)
    tell_state(shop, customer["id"])
    return Answer(200, customer)


def _check_unique(shop: Shop, customer: Row, fields: Row) -> None:
    known = customer["external_id"]
    if "external_id" in fields and known is not None and fields["external_id"] != known:
        raise unacceptable("external_id", "Customer external ID cannot be updated.", fields["external_id"])
    email = fields.get("email")
    others = (each["email"] for each in shop.rows("customers") if each["id"] != customer["id"])
    if email is not None and email.lower() in {each.lower() for each in others if each}:
        raise unacceptable("email", "A customer with this email address already exists.", email)


def create_session(call: Call) -> Answer:
    """customer-sessions:create: a link that logs its holder in as the customer, or as one member of a team,
    for one hour.
    """
    shop, body = call.shop, call.body
    name = "external_customer_id" if "external_customer_id" in body else "customer_id"
    check_body(body, needs=name)
    column = "external_id" if name == "external_customer_id" else "id"
    customer = next(shop.rows("customers", **{column: body[name]}), None)
    if customer is None:
        raise unacceptable(name, "Customer does not exist.", body[name])
    member_id = body.get("member_id")
    if member_id is None and customer["type"] == "team":
        raise unacceptable("member_id", "member_id is required for team customers.", None)
    if member_id is not None and not any(shop.rows("members", id=member_id, customer_id=customer["id"])):
        raise unacceptable("member_id", "Member does not exist.", member_id)
    token = f"polar_{'mst' if member_id else 'cst'}_demo{shop.random.getrandbits(96):024x}"
    shop.note(f"portal link made for {customer['email']}")
    session = {
        "created_at": shop.now(), "modified_at": None, "id": shop.new_id(), "token": token,
        "expires_at": shop.now(hours=1), "return_url": body.get("return_url"),
        "customer_portal_url": f"https://demo.invalid/portal?customer_session_token={token}",
        "customer_id": customer["id"], "customer": customer,
    }  # fmt: skip
    return Answer(201, session)
