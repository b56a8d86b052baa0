"""The things a customer may use: benefit grants, license keys and seats, and the writes on them."""

from collections.abc import Iterable

from bot.demo.polar.call import Call, check_body, problem
from bot.demo.polar.errors import Answer, invalid, not_simulated, rule
from bot.demo.polar.shop import Row, Shop, customer_state, grant_event, wire
from bot.demo.polar.stock import add_grant

_HOLDERS = ("email", "customer_id", "external_customer_id", "member_id", "external_member_id")
LIMITS = ("expires_at", "limit_activations", "limit_usage")


def tell_state(shop: Shop, customer_id: str) -> None:
    """customer.state_changed follows nearly every change."""
    customer = shop.peek("customers", customer_id)
    if customer:
        shop.tell("customer.state_changed", customer_state(shop, customer))


def tell_grant(shop: Shop, event_type: str, grant: Row) -> None:
    """A benefit_grant event, and the state that follows it."""
    shop.tell(event_type, grant_event(shop, grant, grant["properties"]))
    tell_state(shop, grant["customer_id"])


def revoke_grant(shop: Shop, grant: Row) -> None:
    """End a grant, its license key with it; a grant that has ended stays as it is."""
    if not grant["is_granted"]:
        return
    shop.change(grant, is_granted=False, is_revoked=True, granted_at=None, revoked_at=shop.now())
    key = shop.peek("license-keys", grant["properties"].get("license_key_id"))
    if key:
        change_status(shop, key, "revoked")
    tell_grant(shop, "benefit_grant.revoked", grant)


def revoke_grants(shop: Shop, **match: object) -> None:
    """End every grant with these values."""
    for grant in list(shop.rows("benefit-grants", **match)):
        revoke_grant(shop, grant)


def grant_again(shop: Shop, grant: Row, key: Row, status: str) -> None:
    """Revive a revoked grant with the same id; the key's own limits are lost."""
    shop.change(grant, is_granted=True, is_revoked=False, granted_at=shop.now())
    properties = shop.tables["benefits"][key["benefit_id"]]["properties"]
    limit = (properties.get("activations") or {}).get("limit")
    shop.change(key, expires_at=None, limit_usage=properties.get("limit_usage"), limit_activations=limit)
    change_status(shop, key, status)
    tell_grant(shop, "benefit_grant.created", grant)


def change_status(shop: Shop, key: Row, status: str) -> None:
    """Write the key's status, and say so for the panel."""
    before = key["status"]
    if shop.change(key, status=status):
        shop.note(f"license key {key['display_key']}: {before} → {status}")


def grant_of(shop: Shop, key: Row) -> Row | None:
    """The grant that the key belongs to."""
    grants = shop.rows("benefit-grants", customer_id=key["customer_id"])
    return next((each for each in grants if each["properties"].get("license_key_id") == key["id"]), None)


def update_key(call: Call) -> Answer:
    """license_keys:update. granted and disabled swap silently while the grant lives, else they revive it."""
    shop, body = call.shop, call.body
    check_body(body)
    key = shop.get("license-keys", call.id)
    for name in ("usage", *LIMITS):
        before = key[name]
        if name in body and shop.change(key, **{name: body[name]}):
            shop.note(f"license key {key['display_key']}: {name} {before} → {body[name]}")
    if body.get("status"):
        _write_status(shop, key, body["status"])
    return Answer(200, wire(shop, "license-keys", key))


def _write_status(shop: Shop, key: Row, status: str) -> None:
    grant = grant_of(shop, key)
    if grant is None or (status != "revoked" and grant["is_granted"]):
        change_status(shop, key, status)
    elif status == "revoked":
        change_status(shop, key, status)
        revoke_grant(shop, grant)
    else:
        grant_again(shop, grant, key, status)


def list_seats(call: Call) -> Answer:
    """customer-seats:list_seats: the seats of one subscription or order, and how many are free."""
    asked = {name: value for name, value in call.query if name in {"subscription_id", "order_id"}}
    if len(asked) != 1:
        message = "Exactly one of subscription_id and order_id is needed"
        raise invalid(problem("value_error", ("query",), message, asked))
    container = _container(call.shop, asked)
    seats = list(call.shop.rows("customer-seats", **asked))
    total = container["seats"] or 0
    shown = [wire(call.shop, "customer-seats", each) for each in seats]
    free = total - len(taken(seats))
    return Answer(200, {"seats": shown, "available_seats": free, "total_seats": total})


def assign_seat(call: Call) -> Answer:
    """customer-seats:assign_seat to an e-mail address or a known member; a revoked row is used again."""
    shop, body = call.shop, call.body
    check_body(body)
    asked = {name: body[name] for name in ("subscription_id", "order_id") if body.get(name)}
    if len(asked) != 1 or sum(1 for name in _HOLDERS if body.get(name)) != 1:
        raise invalid(problem("value_error", ("body",), "One container and one holder are needed", body))
    container = _container(shop, asked)
    seats = list(shop.rows("customer-seats", **asked))
    member = _member(shop, container["customer_id"], body)
    if any(each["member_id"] == member["id"] for each in taken(seats)):
        raise rule(400, "SeatAlreadyAssigned", f"Seat already assigned to {member['email']}")
    if len(taken(seats)) >= (container["seats"] or 0):
        raise rule(400, "SeatNotAvailable", f"No available seats for {container['id']}")
    return Answer(200, wire(shop, "customer-seats", _fill(shop, seats, container, member, body)))


def revoke_seat_call(call: Call) -> Answer:
    """customer-seats:revoke_seat; a second time answers 200 again."""
    seat = call.shop.get("customer-seats", call.id, "Seat not found")
    revoke_seat(call.shop, seat)
    return Answer(200, wire(call.shop, "customer-seats", seat))


def resend_invitation(call: Call) -> Answer:
    """customer-seats:resend_invitation: the same token again, not prolonged."""
    seat = call.shop.get("customer-seats", call.id, "Seat not found")
    if seat["status"] != "pending":
        raise rule(400, "InvalidInvitation", "Only a pending seat has an invitation.")
    call.shop.note(f"invitation sent again to {seat['email']}")
    return Answer(200, wire(call.shop, "customer-seats", seat))


def revoke_seat(shop: Shop, seat: Row) -> None:
    """Take the seat away: its holder is forgotten, the event still shows the member."""
    if seat["status"] == "revoked":
        return
    customer_id, member_id = seat["customer_id"], seat["member_id"]
    member = shop.peek("members", member_id)
    shop.note(f"seat of {seat['email']}: {seat['status']} → revoked")
    emptied = dict.fromkeys(("customer_id", "member_id", "email", "claimed_at"))
    shop.change(seat, status="revoked", revoked_at=shop.now(), **emptied)
    shop.tell("customer_seat.revoked", {**seat, "member": member})
    revoke_grants(shop, member_id=member_id, subscription_id=seat["subscription_id"])
    tell_state(shop, customer_id)


def taken(seats: Iterable[Row]) -> list[Row]:
    """Those that somebody holds, or is invited to."""
    return [each for each in seats if each["status"] != "revoked"]


def _container(shop: Shop, asked: dict[str, str]) -> Row:
    (name, value), *_ = asked.items()
    return shop.get("subscriptions" if name == "subscription_id" else "orders", value)


def _member(shop: Shop, customer_id: str, body: Row) -> Row:
    """The member who will sit there: known, or made from the e-mail address."""
    if body.get("member_id"):
        return shop.get("members", body["member_id"], "Member not found")
    if not body.get("email"):
        raise not_simulated("a seat for an external id or another customer")
    known = shop.rows("members", customer_id=customer_id, email=body["email"])
    return next(known, None) or shop.add(
        "members", customer_id=customer_id, email=body["email"], name=None, external_id=None, role="member"
    )


def _fill(shop: Shop, seats: list[Row], container: Row, member: Row, body: Row) -> Row:
    """Put the member on a free row. With `immediate_claim` nobody is invited and the seat is claimed."""
    at_once = bool(body.get("immediate_claim"))
    fields: Row = {
        "subscription_id": body.get("subscription_id"), "order_id": body.get("order_id"),
        "status": "claimed" if at_once else "pending", "customer_id": container["customer_id"],
        "member_id": member["id"], "email": member["email"], "customer_email": member["email"],
        "invitation_token_expires_at": None if at_once else shop.now(hours=24),
        "claimed_at": shop.now() if at_once else None, "revoked_at": None,
        "seat_metadata": body.get("metadata") or {},
    }  # fmt: skip
    free = next((each for each in seats if each["status"] == "revoked"), None)
    if free is None:
        free = shop.add("customer-seats", **fields)
    else:
        shop.change(free, **fields)
    shop.note(f"seat given to {member['email']}")
    event_type = "customer_seat.claimed" if at_once else "customer_seat.assigned"
    shop.tell(event_type, wire(shop, "customer-seats", free))
    tell_state(shop, container["customer_id"])
    if at_once:
        _grant_benefits(shop, container, member)
    return free


def _grant_benefits(shop: Shop, container: Row, member: Row) -> None:
    """A claimed seat brings the product's benefits to its member."""
    for benefit_id in shop.tables["products"][container["product_id"]]["benefit_ids"]:
        grant, _ = add_grant(shop, container, shop.tables["benefits"][benefit_id], member=member)
        tell_grant(shop, "benefit_grant.created", grant)
