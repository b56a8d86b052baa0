"""Scenes about sales: asked about first, then trusted, watched, held by a cap, and asked about again."""

import asyncio
from functools import partial

from bot.demo.month.cast import Cast
from bot.demo.month.stage import Stage
from bot.demo.polar.shop import Row
from bot.demo.polar.webhooks import WebhookEvent
from bot.demo.slack import Message

CAP = 3  # of the shop's rules: `case_kind_count`
_OPEN = "Generate the invoice"


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
        _, card = await stage.sale(cast.often(1)[0], cast.credits)
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
        _, card = await stage.sale(cast.often(1)[0], cast.credits)
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
        await asked_sales(stage, cast.often(2), cast)
        return
    for hour in range(10, 10 + CAP):  # one more would ask because of the cap, and be no spot check
        await stage.at(hour)
        _, card = await stage.sale(cast.often(1)[0], cast.credits)
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
    checks = (
        "1 was asked and turned out to be a spot check"
        if checked == 1
        else f"{checked} were asked: spot checks"
    )
    return f"{own} by itself, {checks}, agreed." if ran < 2 else f"{own} by themselves, {checks}, agreed."


_A_LOOK = 3.0  # seconds between two taps


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
