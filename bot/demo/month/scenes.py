"""The buyers of a month, and its scenes: steps of `script.toml`, or functions where something is decided.

The functions are about sales: asked about first, then trusted, watched, held by a cap, asked about again.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from inspect import isawaitable
from itertools import cycle, islice
from typing import Any

from bot.demo.month.stage import Stage, Stuck
from bot.demo.polar import stock
from bot.demo.polar.grants import revoke_grant
from bot.demo.polar.shop import Row
from bot.demo.polar.standin import Fault
from bot.demo.polar.webhooks import WebhookEvent
from bot.demo.slack import Message
from bot.demo.story import Story, cancel

CAP = 3  # of the shop's rules: `case_kind_count`
_A_LOOK = 3.0  # seconds between two taps
_OPEN = "Generate the invoice"


@dataclass
class Cast:
    """The regulars, and the credits they buy again and again; what the scenes keep for one another."""

    regulars: list[Row]
    curious: list[Row]  # they buy once
    credits: Row
    turn: Iterator[Row]  # the regulars in turn
    often: Iterator[Row]  # those who come nearly every day once they know the shop
    capped: bool = False
    demoted: bool = False
    kept: dict[str, Any] = field(default_factory=dict)  # by the step that got it


def cast(story: Story, play: int, script: Mapping[str, Any]) -> Cast:
    """A fresh cast; `play` counts the months, for people who share a name need not share a mailbox."""
    credits_ = stock.add_product(story.shop, benefits=(story.keys,), **script["product"])
    suffix = "" if play == 1 else f" {'I' * min(play, 3)}"
    people = [story.customer(f"{name}{suffix}", story.address()) for name in script["regulars"]]
    curious = [story.customer(address=story.address()) for _ in range(script["curious"])]
    return Cast(people, curious, credits_, cycle(people), cycle(people[: script["every_day"]]))


async def play_steps(steps: Sequence[Sequence[Any]], stage: Stage, cast: Cast) -> None:
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


async def morning(stage: Stage) -> None:
    """The digest of the day before."""
    last = max((each.ts for each in stage.messages("left over")), default="")
    await stage.happens(lambda: any(each.ts > last for each in stage.messages("left over")), 1.0)


async def leftovers(stage: Stage, _: Cast) -> None:
    """The cards that were still open before the month began."""
    waiting = [each for each in stage.messages() if "approve" in each.action_ids]
    for card in waiting:
        await stage.approve(card, stage.team.maya)
    if waiting:
        stage.tell(f"Maya decides the {len(waiting)} cards that were still open.")


async def newsletter(stage: Stage, cast: Cast) -> None:
    """First orders at once: some cards, and one for the rest."""
    await stage.later(minutes=20)
    people = [*cast.regulars, *cast.curious]
    await stage.taken([each for one in people for each in _buys(stage, one, cast)])

    def asked() -> bool:
        together = sum(_count(each) for each in _bundles(stage))
        return together + len(_singles(stage, people)) >= len(people)

    await stage.until(asked, "a card for each first order")
    singles, bundles = _singles(stage, people), _bundles(stage)
    stage.tell(f"The newsletter goes out: {len(people)} first orders at once. The channel stays readable.")
    for bundle in bundles:
        await stage.tap(bundle, "approve_all", stage.team.maya, thought=90)
        await stage.says(bundle, f"{_count(bundle)} done")
    stage.tell("Maya approves most of them with one tap. For trust that counts as one yes.")
    await _approve_all(stage, singles)


def _buys(stage: Stage, customer: Row, cast: Cast) -> list[WebhookEvent]:
    stage.story.buy(customer, cast.credits)
    return stage.polar.send_pending(f"{customer['name']} buys {cast.credits['name']}")


def _count(bundle: Message) -> int:
    return int(bundle.text.split(" ", 1)[0])


def _bundles(stage: Stage) -> list[Message]:
    return [each for each in stage.messages("to generate") if "approve_all" in each.action_ids]


def _singles(stage: Stage, people: list[Row]) -> list[Message]:
    names = {one["name"] for one in people}
    asked = [each for each in stage.messages(_OPEN) if "approve" in each.action_ids]
    return [each for each in asked if any(name in each.text for name in names)]


async def trusted_day(stage: Stage, cast: Cast) -> None:
    """Some run, some are asked; what is asked is approved."""
    ran = checked = 0
    for hour in (10, 12, 14):
        await stage.at(hour)
        _, card = await stage.sale(next(cast.often), cast.credits)
        if card is None:
            ran += 1
            continue
        await stage.approve(card, stage.team.jonas)
        checked += await stage.happens(partial(stage.has, card, "spot check: agreed"), 1.5)
    stage.tell(_day_in_words(ran, checked))


async def capped_day(stage: Stage, cast: Cast) -> None:
    """More than the cap of a day: the rest asks, and the second to ask opens the breaker."""
    if cast.capped:
        await trusted_day(stage, cast)
        return
    ran = over = 0
    for hour in range(9, 20):
        await stage.at(hour, 30)
        _, card = await stage.sale(next(cast.often), cast.credits)
        if card is None:
            ran += 1
            continue
        await stage.approve(card, stage.team.maya)
        over += ran >= CAP
        if over == 1:
            stage.tell(f"A good day: {ran} invoices ran, then the day's cap held, and the next one asked.")
        if over == 2:
            await _breaker(stage, card)
            break
    cast.capped = over > 0


async def _breaker(stage: Stage, card: Message) -> None:
    """Twice over a cap within a day stops the kind until a person turns it on again."""
    await stage.message("Paused: ", after=card.ts)
    stage.tell("Twice over the cap within a day: the breaker opens, and every such case asks.")
    await stage.at(20)
    listed = await stage.ask(stage.team.maya, "trust print credits")
    await stage.tap_beside(listed, "Paused, asks", "trust.turn_on", stage.team.maya)
    await stage.message("Runs on its own now", after=card.ts)
    stage.tell("Maya looks at /polar trust, finds nothing wrong, and turns it on again.")


async def bad_spot_check(stage: Stage, cast: Cast) -> None:
    """A spot check is declined: the kind is demoted at once."""
    if cast.demoted:
        await stage.at(13)
        await asked_sales(stage, list(islice(cast.often, 2)), cast)
        return
    for hour in range(10, 10 + CAP):  # one more would ask because of the cap, and be no spot check
        await stage.at(hour)
        _, card = await stage.sale(next(cast.often), cast.credits)
        if card is None:
            continue
        await stage.tap(card, "decline", stage.team.maya, thought=80)
        await stage.pick(card, "reason", ":not_wanted", stage.team.maya)
        await stage.message("No longer runs on its own", after=card.ts)
        cast.demoted = True
        stage.tell(
            "Maya declines one: no invoice is wanted. It was a spot check, so all such cases ask again."
        )
        return


def _day_in_words(ran: int, checked: int) -> str:
    own = "No invoice ran" if ran == 0 else "1 invoice ran" if ran == 1 else f"{ran} invoices ran"
    if not checked:
        return f"{own} on its own." if ran == 1 else f"{own} on their own."
    one = "1 was asked and turned out to be a spot check"
    checks = one if checked == 1 else f"{checked} were asked: spot checks"
    return f"{own} by itself, {checks}, agreed." if ran < 2 else f"{own} by themselves, {checks}, agreed."


async def asked_sales(stage: Stage, people: list[Row], cast: Cast) -> None:
    """Each buys once; what is asked is approved."""
    sold = await asyncio.gather(*(stage.sale(one, cast.credits) for one in people))
    await _approve_all(stage, [card for _, card in sold if card is not None])


async def _approve_all(stage: Stage, cards: list[Message]) -> None:
    """Maya and Jonas share what waits, after a look."""
    who = (stage.team.maya, stage.team.jonas)
    await stage.rest()
    await stage.later(seconds=stage.story.random.uniform(20, 150))
    for place, card in enumerate(cards):
        await stage.later(seconds=_A_LOOK)  # whoever taps one after the other without a look earns no trust
        await stage.tap(card, "approve", who[place % 2], thought=0)
    await asyncio.gather(*(stage.done(card) for card in cards))


# --- Verbs of the script ----------------------------------------------------------------------------


async def sales(stage: Stage, cast: Cast, count: int) -> None:
    await asked_sales(stage, list(islice(cast.turn, count)), cast)


async def sales_to_often(stage: Stage, cast: Cast, count: int) -> None:
    await asked_sales(stage, list(islice(cast.often, count)), cast)


async def says_no_more(stage: Stage, _: Cast, card: Message, words: str) -> None:
    await stage.until(lambda: not stage.has(card, words), f"{card.text!r} to say {words!r} no more")


def add_address(stage: Stage, _: Cast) -> None:
    stage.story.shop.change(_newest_order(stage), billing_address=stage.story.address())


async def revoke_one_key(stage: Stage, _: Cast) -> None:
    grants = stage.story.shop.rows("benefit-grants", order_id=_newest_order(stage)["id"])
    revoke_grant(stage.story.shop, next(grants))
    await stage.happened("A colleague revokes one of the keys in Polar")


def _newest_order(stage: Stage) -> Row:
    return list(stage.story.shop.tables["orders"].values())[-1]


def lose_the_answer(stage: Stage, _: Cast, operation: str) -> None:
    stage.polar.fail_next(Fault.DROP_AFTER, only=operation)


async def settle(stage: Stage, _: Cast, card: Message, who: str) -> None:
    """Say that it was done, unless the program has found that out itself."""
    if not await stage.happens(lambda: stage.shown(card).text.startswith("Done: "), 1.5):
        await stage.tap(card, "mark_done", who, thought=90)
        await stage.says(card, "Done: ")


def open_dispute(stage: Stage, cast: Cast) -> None:
    """The last of the regulars disputes an order."""
    shop, customer = stage.story.shop, cast.regulars[-1]
    order = next(shop.rows("orders", customer_id=customer["id"]))
    shop.add(
        "disputes", status="needs_response", resolved=False, closed=False, amount=order["net_amount"],
        tax_amount=0, currency="usd", order_id=order["id"], payment_id=shop.new_id(), customer=customer,
        reason="product_not_received", evidence_due_by=shop.now(days=9), past_due=False,
    )  # fmt: skip


async def picture(stage: Stage, _: Cast) -> None:
    await stage.until(lambda: any(each.files for each in stage.messages()), "the picture of the score")


async def cancel_in_two_days(stage: Stage, _: Cast, name: str) -> None:
    cancel(stage.story, name, current_period_end=stage.story.shop.now(days=1, hours=23))
    await stage.happened(f"{name} cancels Pro monthly: too expensive")


VERBS: Mapping[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        sales, sales_to_often, says_no_more, add_address, revoke_one_key, lose_the_answer, settle,
        open_dispute, cancel_in_two_days, picture,
    )
}  # fmt: skip
