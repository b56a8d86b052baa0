"""Plays the scenes that are written as steps in `script.toml`; their verbs beyond the methods of Stage."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from inspect import isawaitable
from typing import Any

from bot.demo.month.cast import Cast
from bot.demo.month.stage import Stage, Stuck
from bot.demo.month.trust import asked_sales
from bot.demo.polar.grants import revoke_grant
from bot.demo.polar.shop import Row
from bot.demo.polar.standin import Fault
from bot.demo.slack import Message
from bot.demo.story import cancel

Step = Sequence[Any]


async def play_steps(steps: Sequence[Step], stage: Stage, cast: Cast) -> None:
    """Play one scene. What a step gives is kept under its verb, for later scenes too. Raises Stuck."""
    cast.kept |= {f"${name}": user for name, user in asdict(stage.team).items()}
    cast.kept["$start"] = max((each.ts for each in stage.messages()), default="")
    for verb, *rest in steps:
        given = _meant(rest, cast.kept)
        options = given.pop() if given and isinstance(given[-1], dict) else {}
        own = VERBS.get(verb)
        gave = own(stage, cast, *given, **options) if own else getattr(stage, verb)(*given, **options)
        cast.kept[f"${verb}"] = await gave if isawaitable(gave) else gave


def _meant(written: Any, kept: Mapping[str, Any]) -> Any:
    """The written part of a step, with the things that `$names` stand for."""
    match written:
        case list():
            return [_meant(each, kept) for each in written]
        case dict():
            return {name: _meant(each, kept) for name, each in written.items()}
        case str() if written.startswith("$"):
            if written not in kept:
                raise Stuck(f"{written}, which an earlier step did not get")
            return kept[written]
    return written


# --- Verbs of the script ----------------------------------------------------------------------------


async def sales(stage: Stage, cast: Cast, count: int) -> None:
    await asked_sales(stage, cast.next(count), cast)


async def sales_to_often(stage: Stage, cast: Cast, count: int) -> None:
    await asked_sales(stage, cast.often(count), cast)


async def says_no_more(stage: Stage, _: Cast, card: Message, words: str) -> None:
    await stage.until(lambda: not stage.has(card, words), f"{card.text!r} to say {words!r} no more")


def add_address(stage: Stage, _: Cast) -> None:
    stage.shop.change(_newest_order(stage), billing_address=stage.story.address())


async def revoke_one_key(stage: Stage, _: Cast) -> None:
    grants = stage.shop.rows("benefit-grants", order_id=_newest_order(stage)["id"])
    revoke_grant(stage.shop, next(grants))
    await stage.happened("A colleague revokes one of the keys in Polar")


def _newest_order(stage: Stage) -> Row:
    return list(stage.shop.tables["orders"].values())[-1]


def lose_the_answer(stage: Stage, _: Cast, operation: str) -> None:
    stage.polar.fail_next(Fault.DROP_AFTER, only=operation)


async def settle(stage: Stage, _: Cast, card: Message, who: str) -> None:
    """Say that it was done, unless the program has found that out itself."""
    if not await stage.happens(lambda: stage.shown(card).text.startswith("Done: "), 1.5):
        await stage.tap(card, "mark_done", who, thought=90)
        await stage.says(card, "Done: ")


def open_dispute(stage: Stage, cast: Cast) -> None:
    """The last of the regulars disputes an order."""
    shop, customer = stage.shop, cast.regulars[-1]
    order = next(shop.rows("orders", customer_id=customer["id"]))
    shop.add(
        "disputes", status="needs_response", resolved=False, closed=False, amount=order["net_amount"],
        tax_amount=0, currency="usd", order_id=order["id"], payment_id=shop.new_id(), customer=customer,
        reason="product_not_received", evidence_due_by=shop.now(days=9), past_due=False,
    )  # fmt: skip


async def picture(stage: Stage, _: Cast) -> None:
    await stage.until(lambda: any(each.files for each in stage.messages()), "the picture of the score")


async def cancel_in_two_days(stage: Stage, _: Cast, name: str) -> None:
    cancel(stage.story, name, current_period_end=stage.shop.now(days=1, hours=23))
    await stage.happened(f"{name} cancels Pro monthly: too expensive")


VERBS: Mapping[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        sales, sales_to_often, says_no_more, add_address, revoke_one_key, lose_the_answer, settle,
        open_dispute, cancel_in_two_days, picture,
    )
}  # fmt: skip
