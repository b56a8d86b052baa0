"""Scenes about everything that is no sale: keys, refunds, offers, disputes, and what goes wrong."""

from bot.demo.month.cast import Cast
from bot.demo.month.stage import Stage, Stuck
from bot.demo.polar import stock
from bot.demo.polar.faults import Fault
from bot.demo.polar.grants import revoke_grant
from bot.demo.polar.wire import wire
from bot.demo.slack import Message

BOT = "@polar-approvals"


async def lost_key(stage: Stage, _: Cast) -> None:
    """A key is granted again, and that is taken back the same day."""
    card = await stage.case("benefit_grant.revoked", "Grant license key")
    stage.tell("A customer lost a license key. Such cases always ask a person; Jonas grants it again.")
    await stage.approve(card, stage.team.jonas)
    await stage.later(minutes=50)
    await stage.tap(card, "undo", stage.team.maya)
    await stage.says(card, "Undone: ")
    stage.tell("Maya knows better and taps Undo: the inverse runs, with a record of its own.")


async def too_generous(stage: Stage, _: Cast) -> None:
    """An offer is declined, with a reason."""
    card = await stage.case("subscription.canceled", "Offer")
    await stage.tap(card, "decline", stage.team.maya, thought=70)
    await stage.pick(card, "reason", ":too_much", stage.team.maya)
    await stage.says(card, "Too generous")
    stage.tell("A subscriber leaves. Maya declines the discount and says why: too generous.")


async def smaller_refund(stage: Stage, _: Cast) -> None:
    """A refund is edited by one and approved by the other."""
    card = await stage.case("order.created.twice", "Refund")
    form = await stage.choose(card, "edit", stage.team.jonas)
    await stage.submit(form, stage.team.jonas, **{"body.amount": {"value": "20.00"}})
    await stage.says(card, "needs a decision of its own")
    await stage.tap(card, "approve", stage.team.maya, thought=45)
    await _held_then_done(stage, card)
    stage.tell("Somebody bought twice. Jonas edits the refund, and Maya approves what is asked now.")


async def second_thoughts(stage: Stage, _: Cast) -> None:
    """A refund is approved and taken back while it is held."""
    card = await stage.case("order.created.twice", "Refund")
    await stage.tap(card, "approve", stage.team.maya)
    await stage.offers(card, "undo")
    await stage.tap(card, "undo", stage.team.maya, thought=4)
    await stage.says(card, "in time. Nothing was done")
    stage.tell("Money waits 15 seconds before it moves: Maya has second thoughts and taps Undo in time.")


async def no_address(stage: Stage, _: Cast) -> None:
    """Polar refuses an invoice; once the address is there, Retry makes it."""
    card = await stage.case("order.paid.bare", "Generate the invoice")
    order = list(stage.shop.tables["orders"].values())[-1]
    await stage.tap(card, "approve", stage.team.jonas)
    await stage.offers(card, "retry")
    await stage.later(minutes=40)
    stage.shop.change(order, billing_address=stage.story.address())
    await stage.tap(card, "retry", stage.team.jonas)
    await stage.says(card, "Done: ")
    stage.tell("Polar refuses an invoice without an address. The customer adds it, Jonas taps Retry.")


async def not_today(stage: Stage, cast: Cast) -> None:
    """Put aside until tomorrow, and decided then."""
    card = await stage.case("order.refunded", "Disable 2 license keys")
    form = await stage.choose(card, "snooze", stage.team.maya)
    await stage.submit(form, stage.team.maya, span={"value": "tomorrow"})
    await stage.says(card, "Snoozed until")
    cast.snoozed = card
    stage.tell("Two keys of a refunded order are still good. Maya snoozes the card until tomorrow.")


async def tomorrow(stage: Stage, cast: Cast) -> None:
    """What was put aside is back."""
    card = cast.snoozed
    if card is None:
        raise Stuck("a card that was put aside yesterday")
    await stage.until(lambda: not stage.has(card, "Snoozed until"), "the snoozed card to be back")
    await stage.approve(card, stage.team.jonas)
    stage.tell("The snoozed card is back in the morning; Jonas approves it.")


async def talked_over(stage: Stage, _: Cast) -> None:
    """Assigned, discussed, held, released and approved in the thread."""
    card = await stage.case("subscription.revoked.last", "Offer")
    form = await stage.choose(card, "assign", stage.team.jonas)
    await stage.submit(form, stage.team.jonas, whom={"selected_user": stage.team.maya})
    await stage.says(card, "Assigned to")
    await stage.write(card, stage.team.lena, "We talked last week. They only wait for the spring release.")
    await stage.write(card, stage.team.maya, f"{BOT} why")
    await stage.replied(card, "subscription ended")
    await stage.write(card, stage.team.maya, f"{BOT} hold")
    await stage.replied(card, "put this on hold")
    await stage.later(hours=2)
    await stage.write(card, stage.team.lena, "They said yes to a discount.")
    await stage.write(card, stage.team.maya, f"{BOT} release")
    await stage.replied(card, "released this")
    await stage.write(card, stage.team.maya, f"{BOT} approve")
    await _held_then_done(stage, card)
    stage.tell("A customer is gone. Jonas assigns the offer to Maya; it is talked over in the thread.")


async def changed_meanwhile(stage: Stage, _: Cast) -> None:
    """What the card showed has changed when it is tapped."""
    card = await stage.case("order.refunded", "Disable 2 license keys")
    order = list(stage.shop.tables["orders"].values())[-1]
    await stage.later(minutes=30)
    revoke_grant(stage.shop, next(stage.shop.rows("benefit-grants", order_id=order["id"])))
    await stage.happened("A colleague revokes one of the keys in Polar")
    await stage.tap(card, "approve", stage.team.jonas)
    await stage.says(card, "Changed: ")
    stage.tell("A colleague changed something in Polar: at the tap the card shows what, and asks again.")
    await stage.approve(card, stage.team.jonas)


async def no_answer(stage: Stage, _: Cast) -> None:
    """Polar does not answer: nobody sends twice, somebody looks."""
    card = await stage.case("order.created.twice", "Refund")
    stage.polar.fail_next(Fault.DROP_AFTER, only="refunds:create")
    await stage.tap(card, "approve", stage.team.maya, thought=60)
    await stage.offers(card, "undo")
    await stage.later(seconds=20)
    await stage.offers(card, "check")
    await stage.tap(card, "check", stage.team.jonas, thought=40)
    done = await stage.happens(lambda: stage.shown(card).text.startswith("Done: "), 1.5)
    if not done:
        await stage.tap(card, "mark_done", stage.team.jonas, thought=90)
        await stage.says(card, "Done: ")
    stage.tell("Polar gives no answer to a refund. Nothing is sent twice: Jonas looks, and settles it.")


async def disputed(stage: Stage, cast: Cast) -> None:
    """A dispute is looked up, asks in any case, and is declined in the thread."""
    shop, customer = stage.shop, cast.regulars[-1]
    order = next(shop.rows("orders", customer_id=customer["id"]))
    shop.add(
        "disputes", status="needs_response", resolved=False, closed=False, amount=order["net_amount"],
        tax_amount=0, currency="usd", order_id=order["id"], payment_id=shop.new_id(), customer=customer,
        reason="product_not_received", evidence_due_by=shop.now(days=9), past_due=False,
    )  # fmt: skip
    await stage.later(minutes=12)
    card = await stage.message("Concede the dispute", customer["name"])
    await stage.write(card, stage.team.jonas, f"{BOT} decline because they used the credits, we have the log")
    await stage.says(card, "Declined: ")
    stage.tell("A dispute. Money under dispute always asks; Jonas declines in the thread, with his reason.")


async def left_alone(stage: Stage, _: Cast) -> None:
    """An offer with a deadline that nobody looks at."""
    shop = stage.shop
    customer = stage.story.customer("Otto Lang")
    subscription = stock.add_subscription(
        shop, customer, stage.story.catalog.monthly, current_period_end=shop.now(days=1, hours=23)
    )
    end = {"canceled_at": shop.now(), "ends_at": subscription["current_period_end"]}
    shop.change(subscription, cancel_at_period_end=True, customer_cancellation_reason="too_expensive", **end)
    shop.tell("subscription.canceled", wire(shop, "subscriptions", subscription))
    await stage.happened("Otto Lang cancels Pro monthly: too expensive")
    await stage.message("Offer", "Otto Lang")
    stage.tell("Otto Lang cancels, his period ends in two days. Nobody looks at the card.")


async def reminded(stage: Stage, _: Cast) -> None:
    """A card waits for hours: one reminder for all that waits, then it is decided."""
    card = await stage.case("subscription.past_due", "Get a link")
    last = card.ts
    await stage.at(16, 30)
    await stage.message("still wait", after=last)
    await stage.approve(card, stage.team.maya)
    stage.tell("After hours without a decision there is one reminder. Maya gets the link; only she sees it.")


async def called(stage: Stage, _: Cast) -> None:
    """What waits for more than a day calls Maya."""
    last = max(each.ts for each in stage.messages())
    await stage.at(18)
    await stage.message("too long for a decision", "Otto Lang", after=last)
    stage.tell("After a day Maya is called by name. She is on a plane.")


async def expired(stage: Stage, _: Cast) -> None:
    """The deadline has passed."""
    await stage.at(16, 30)
    await stage.message("Expired: ", "Otto Lang")
    stage.tell("The deadline has passed: the card says that it expired, and nothing was done.")


async def _held_then_done(stage: Stage, card: Message) -> None:
    await stage.offers(card, "undo")
    await stage.later(seconds=20)
    await stage.says(card, "Done: ")
