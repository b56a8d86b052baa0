"""Benefit grants and license keys: granted, revoked, granted again, and the writes on keys."""

from bot.demo.polar.call import Call, check_body
from bot.demo.polar.errors import Answer
from bot.demo.polar.shop import Row, Shop
from bot.demo.polar.wire import customer_state, grant_event, wire

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


def grant_again(shop: Shop, grant: Row, key: Row, status: str) -> None:
    """Revive a revoked grant with the same id; the key's own limits are lost."""
    shop.change(grant, is_granted=True, is_revoked=False, granted_at=shop.now())
    properties = shop.tables["benefits"][key["benefit_id"]]["properties"]
    activations = properties.get("activations") or {}
    shop.change(
        key,
        expires_at=None,
        limit_usage=properties.get("limit_usage"),
        limit_activations=activations.get("limit"),
    )
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
    body = call.body
    check_body(body)
    shop = call.shop
    key = shop.get("license-keys", call.id)
    _write_limits(shop, key, {name: body[name] for name in ("usage", *LIMITS) if name in body})
    if body.get("status"):
        _write_status(shop, key, body["status"])
    return Answer(200, wire(shop, "license-keys", key))


def _write_limits(shop: Shop, key: Row, limits: Row) -> None:
    for name, value in limits.items():
        before = key[name]
        if shop.change(key, **{name: value}):
            shop.note(f"license key {key['display_key']}: {name} {before} → {value}")


def _write_status(shop: Shop, key: Row, status: str) -> None:
    grant = grant_of(shop, key)
    if grant is None or (status != "revoked" and grant["is_granted"]):
        change_status(shop, key, status)
    elif status == "revoked":
        change_status(shop, key, status)
        revoke_grant(shop, grant)
    else:
        grant_again(shop, grant, key, status)
