"""What people do with trust: turn a kind of case on by manual override or after a pause, or off; and what
ran.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from bot.config.policy import Caps
from bot.graduation import score
from bot.graduation.eligibility import always_human, lacks
from bot.services import Queue, Services
from bot.slack.user import Person
from bot.ui.graduation_notices import Ran
from bot.ui.graduation_page import left_today
from polar.catalog import Risk
from store.engine.errors import StoreError
from store.graduation.automatic_runs import Receipt, receipts
from store.graduation.case_kinds import all_case_kinds, change, find_case_kind, graduate
from store.graduation.gate import note_human
from store.models import CaseKindState
from store.models.graduation import CaseKind

log = logging.getLogger(__name__)

_NOT_STORED = "It could not be stored, and nothing was changed. Try again in a moment."
_NO_SUCH = "There is no such kind of case, and nothing was changed. /polar trust lists them."


class Trust:
    """Everything a person can change about trust. Each answer says what was done, or why not."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def case_kinds(self) -> list[CaseKind]:
        """Every kind of case, those that run on their own first."""
        return await self._services.store.do(all_case_kinds)

    async def manual_override(self, person: Person, start: str) -> str:
        """Turn a kind of class R1 on below its bar; `start` is how its hash begins. Marked as such."""
        found, refused = await self._find(person, start)
        if found is None:
            return refused
        if found.risk != Risk.R1:
            return "Only kinds of low risk (R1) can be turned on below their bar. Nothing was changed."
        human = always_human(found, self._services.rules.policy.graduation)
        if human is not None:
            return f"This kind always asks: {human}. Nothing was changed."
        below = lacks(found, self._services.rules.policy.graduation, self._services.clock())
        return await self._turn_on(person, found, manual_override=bool(below))

    async def turn_on_again(self, person: Person, start: str) -> str:
        """End the pause of one kind of case whose breaker had opened."""
        found, refused = await self._find(person, start)
        if found is None:
            return refused
        if found.state != CaseKindState.PAUSED:
            return f"This kind is not paused: it is {found.state}. Nothing was changed."
        return await self._turn_on(person, found, manual_override=found.manual_override)

    async def turn_off(self, person: Person, start: str) -> str:
        """Have a kind of case ask again. What it has earned stays: it is no demotion."""
        found, refused = await self._find(person, start, off=True)
        if found is None:
            return refused
        if found.state == CaseKindState.ASKING:
            return "This kind asks already. Nothing was changed."
        try:
            await self._services.store.do(
                change,
                found.hash,
                CaseKindState.ASKING,
                actor=person.user_id,
                cause=f"turned off by {await self._services.authority.name(person.user_id)}",
                at=self._services.clock(),
            )
        except StoreError:
            return _NOT_STORED
        self._services.notify(Queue.LEARN)
        return f"Turned off: {found.words}. Every such case asks a person."

    async def ran(self, since: datetime) -> list[Ran]:
        """What ran on its own since then, a line for each kind."""
        now = self._services.clock()
        found = await self._services.store.do(receipts, since, now)
        return [_ran(one, self._services.rules.policy.caps) for one in found]

    async def _find(self, person: Person, start: str, *, off: bool = False) -> tuple[CaseKind | None, str]:
        """The kind, if this person may change it: those named for its class; `off`, whoever may decide."""
        found = await self._services.store.do(find_case_kind, start) if start else None
        refusal = self._services.authority.refusal
        risk = None if found is None else found.risk
        reason = await refusal(person.user_id, person.team_id, risk=risk)
        if reason is not None and off:
            reason = await refusal(person.user_id, person.team_id)
        if reason is not None:
            return None, f"{reason} Nothing was changed."
        return found, _NO_SUCH

    async def _turn_on(self, person: Person, case_kind: CaseKind, *, manual_override: bool) -> str:
        human = always_human(case_kind, self._services.rules.policy.graduation)
        name = await self._services.authority.name(person.user_id)
        how = " by manual override, below its bar," if manual_override else ""
        cause = f"turned on{' again' if case_kind.state == CaseKindState.PAUSED else ''}{how} by {name}"

        def lacking_of(now: CaseKind) -> Sequence[str]:
            if human is not None:
                return (f"always asks: {human}",)
            same = (now.state, now.generation) == (case_kind.state, case_kind.generation)
            return () if same else (f"meanwhile it has changed, and it is {now.state} now: look again",)

        try:
            await self._services.store.do(note_human, person.user_id, self._services.clock())
            lacking = await self._services.store.do(
                graduate,
                case_kind.hash,
                lacking_of,
                actor=person.user_id,
                cause=cause,
                at=self._services.clock(),
                manual_override=manual_override,
            )
        except StoreError:
            return _NOT_STORED
        if lacking:
            return f"Not turned on: {'; '.join(lacking)}."
        log.info("%s turned on %s (%s)", person.user_id, case_kind.hash[:12], cause)
        self._services.notify(Queue.LEARN)
        below = " Its score does not vouch for it: caps and audits do." if manual_override else ""
        return f"Turned on: {case_kind.words}.{below}"


def _ran(one: Receipt, caps: Caps) -> Ran:
    case_kind = one.case_kind
    found = score.score(case_kind.n, case_kind.k, case_kind.generation)
    return Ran(case_kind.words, one.count, one.moved, one.refused, one.undone, found, caps_left(one, caps))


def caps_left(one: Receipt, caps: Caps) -> str:
    """What one kind's caps leave today, in words: "38 cases and $23.00 left today"."""
    band = one.case_kind.fields.get("amount")
    currency = str(band[1]) if band else ""
    cap = caps.case_kind_amount.get(currency) if one.moved else None
    return left_today(one.today.count, caps.case_kind_count, one.today.amount, cap, currency)
