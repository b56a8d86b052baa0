"""What people do with trust: turn a kind of case on by decree or after a pause, or off; and what ran."""

import logging
from collections.abc import Sequence
from datetime import datetime

from bot.config.policy import Caps
from bot.graduation import score
from bot.graduation.eligibility import always_human, lacks
from bot.services import Parts
from bot.slack.user import Person
from bot.ui.graduation_notices import Ran
from bot.ui.graduation_page import left_today
from polar.catalog import Risk
from store.engine.errors import StoreError
from store.graduation.automatic_runs import Receipt, receipts
from store.graduation.case_kinds import all_shapes, change, find_shape, graduate
from store.graduation.gate import note_human
from store.models import ShapeState
from store.models.graduation import Shape

log = logging.getLogger(__name__)

_NOT_STORED = "It could not be stored, and nothing was changed. Try again in a moment."
_NO_SUCH = "There is no such kind of case, and nothing was changed. /polar trust lists them."


class Trust:
    """Everything a person can change about trust. Each answer says what was done, or why not."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def shapes(self) -> list[Shape]:
        """Every kind of case, those that run on their own first."""
        return await self._parts.store.do(all_shapes)

    async def decree(self, person: Person, start: str) -> str:
        """Turn a kind of class R1 on below its bar; `start` is how its hash begins. Marked as such."""
        found, refused = await self._find(person, start)
        if found is None:
            return refused
        if found.risk != Risk.R1:
            return "Only kinds of low risk (R1) can be turned on below their bar. Nothing was changed."
        human = always_human(found, self._parts.rules.policy.graduation)
        if human is not None:
            return f"This kind always asks: {human}. Nothing was changed."
        below = lacks(found, self._parts.rules.policy.graduation, self._parts.clock())
        return await self._turn_on(person, found, decree=bool(below))

    async def turn_on_again(self, person: Person, start: str) -> str:
        """End the pause of one kind of case whose breaker had opened."""
        found, refused = await self._find(person, start)
        if found is None:
            return refused
        if found.state != ShapeState.PAUSED:
            return f"This kind is not paused: it is {found.state}. Nothing was changed."
        return await self._turn_on(person, found, decree=found.decree)

    async def turn_off(self, person: Person, start: str) -> str:
        """Have a kind of case ask again. What it has earned stays: it is no demotion."""
        found, refused = await self._find(person, start, off=True)
        if found is None:
            return refused
        if found.state == ShapeState.ASKING:
            return "This kind asks already. Nothing was changed."
        try:
            await self._parts.store.do(
                change,
                found.hash,
                ShapeState.ASKING,
                actor=person.user_id,
                cause=f"turned off by {await self._parts.authority.name(person.user_id)}",
                at=self._parts.clock(),
            )
        except StoreError:
            return _NOT_STORED
        self._parts.wake("assess")
        return f"Turned off: {found.words}. Every such case asks a person."

    async def ran(self, since: datetime) -> list[Ran]:
        """What ran on its own since then, a line for each kind."""
        now = self._parts.clock()
        found = await self._parts.store.do(receipts, since, now)
        return [_ran(one, self._parts.rules.policy.caps) for one in found]

    async def _find(self, person: Person, start: str, *, off: bool = False) -> tuple[Shape | None, str]:
        """The kind, if this person may change it: those named for its class; `off`, whoever may decide."""
        found = await self._parts.store.do(find_shape, start) if start else None
        refusal = self._parts.authority.refusal
        risk = None if found is None else found.risk
        reason = await refusal(person.user_id, person.team_id, risk=risk)
        if reason is not None and off:
            reason = await refusal(person.user_id, person.team_id)
        if reason is not None:
            return None, f"{reason} Nothing was changed."
        return found, _NO_SUCH

    async def _turn_on(self, person: Person, shape: Shape, *, decree: bool) -> str:
        human = always_human(shape, self._parts.rules.policy.graduation)
        name = await self._parts.authority.name(person.user_id)
        how = " by decree, below its bar," if decree else ""
        cause = f"turned on{' again' if shape.state == ShapeState.PAUSED else ''}{how} by {name}"

        def lacking_of(now: Shape) -> Sequence[str]:
            if human is not None:
                return (f"always asks: {human}",)
            same = (now.state, now.epoch) == (shape.state, shape.epoch)
            return () if same else (f"meanwhile it has changed, and it is {now.state} now: look again",)

        try:
            await self._parts.store.do(note_human, person.user_id, self._parts.clock())
            lacking = await self._parts.store.do(
                graduate,
                shape.hash,
                lacking_of,
                actor=person.user_id,
                cause=cause,
                at=self._parts.clock(),
                decree=decree,
            )
        except StoreError:
            return _NOT_STORED
        if lacking:
            return f"Not turned on: {'; '.join(lacking)}."
        log.info("%s turned on %s (%s)", person.user_id, shape.hash[:12], cause)
        self._parts.wake("assess")
        below = " Its score does not vouch for it: caps and audits do." if decree else ""
        return f"Turned on: {shape.words}.{below}"


def _ran(one: Receipt, caps: Caps) -> Ran:
    shape = one.shape
    found = score.score(shape.n, shape.k, shape.epoch)
    return Ran(shape.words, one.count, one.moved, one.refused, one.undone, found, caps_left(one, caps))


def caps_left(one: Receipt, caps: Caps) -> str:
    """What one kind's caps leave today, in words: "38 cases and $23.00 left today"."""
    band = one.shape.fields.get("amount")
    currency = str(band[1]) if band else ""
    cap = caps.shape_amount.get(currency) if one.moved else None
    return left_today(one.today.count, caps.shape_count, one.today.amount, cap, currency)
