"""What a person may do about automatic runs: turn a kind of case on or off; and what ran."""

import logging
from collections.abc import Sequence
from datetime import datetime

from bot.graduation.eligibility import always_human, lacks
from bot.services import Queue, Services
from bot.slack.user import Person
from polar.catalog import Risk
from store.engine.errors import StoreError
from store.graduation.automatic_runs import automatic_runs
from store.graduation.case_kinds import all_case_kinds, change, find_case_kind, graduate
from store.graduation.gate import note_human
from store.graduation.reducer import TrustChange
from store.models import CaseKindState
from store.models.graduation import AutomaticRuns, CaseKind
from store.models.trust_codes import ChangeCause, ChangeCode, Lack, LackCode, SwitchCode, Switched

log = logging.getLogger(__name__)


class Trust:
    """Everything a person can change about automatic runs. Each answer says what was done, or why not."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def case_kinds(self) -> list[CaseKind]:
        """Every kind of case, those that run on their own first."""
        return await self._services.store.do(all_case_kinds)

    async def manual_override(self, person: Person, start: str) -> Switched:
        """Turn a kind of class R1 on below its threshold; `start` is how its hash begins. Marked as such."""
        found = await self._find(person, start)
        if isinstance(found, Switched):
            return found
        if found.risk != Risk.R1:
            return Switched(SwitchCode.LOW_RISK_ONLY)
        always = always_human(found, self._services.rules.policy.graduation)
        if always is not None:
            return Switched.of(SwitchCode.ALWAYS_ASKS, because=always)
        below = lacks(found, self._services.rules.policy.graduation, self._services.clock())
        return await self._turn_on(person, found, manual_override=bool(below))

    async def turn_on_again(self, person: Person, start: str) -> Switched:
        """End the pause of one kind of case whose breaker had opened."""
        found = await self._find(person, start)
        if isinstance(found, Switched):
            return found
        if found.state != CaseKindState.PAUSED:
            return Switched.of(SwitchCode.NOT_PAUSED, state=found.state.value)
        return await self._turn_on(person, found, manual_override=found.manual_override)

    async def turn_off(self, person: Person, start: str) -> Switched:
        """Have a kind of case ask again. What it has earned stays: it is no demotion."""
        found = await self._find(person, start, off=True)
        if isinstance(found, Switched):
            return found
        if found.state == CaseKindState.ASKING:
            return Switched(SwitchCode.ASKS_ALREADY)
        name = await self._services.authority.name(person.user_id)
        off = TrustChange(CaseKindState.ASKING, ChangeCause.of(ChangeCode.TURNED_OFF, by=name))
        now = self._services.clock()
        try:
            await self._services.store.do(change, found.hash, off, actor=person.user_id, at=now)
        except StoreError:
            return Switched(SwitchCode.NOT_STORED)
        self._services.notify(Queue.LEARN)
        return Switched.of(SwitchCode.TURNED_OFF, label=found.label)

    async def ran(self, since: datetime) -> list[AutomaticRuns]:
        """What ran on its own since then."""
        return await self._services.store.do(automatic_runs, since, self._services.clock())

    async def _find(self, person: Person, start: str, *, off: bool = False) -> CaseKind | Switched:
        """The kind, if this person may change it: those named for its class; `off`, whoever may decide."""
        found = await self._services.store.do(find_case_kind, start) if start else None
        refusal = self._services.authority.refusal
        risk = None if found is None else found.risk
        reason = await refusal(person.user_id, person.team_id, risk=risk)
        if reason is not None and off:
            reason = await refusal(person.user_id, person.team_id)
        if reason is not None:
            return Switched.of(SwitchCode.REFUSED, text=str(reason))
        return Switched(SwitchCode.NO_SUCH_KIND) if found is None else found

    async def _turn_on(self, person: Person, case_kind: CaseKind, *, manual_override: bool) -> Switched:
        always = always_human(case_kind, self._services.rules.policy.graduation)
        name = await self._services.authority.name(person.user_id)
        again = case_kind.state == CaseKindState.PAUSED
        how = {"by": name, "again": again, "manual_override": manual_override}
        cause = ChangeCause(ChangeCode.TURNED_ON, how)

        def lacking_of(now: CaseKind) -> Sequence[Lack]:
            if always is not None:
                return (Lack.of(LackCode.ALWAYS_ASKS, because=always),)
            same = (now.state, now.generation) == (case_kind.state, case_kind.generation)
            return () if same else (Lack.of(LackCode.CHANGED_MEANWHILE, state=now.state.value),)

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
            return Switched(SwitchCode.NOT_STORED)
        if lacking:
            return Switched.of(SwitchCode.LACKING, lacks=[one.to_json() for one in lacking])
        log.info("%s turned on %s (%s)", person.user_id, case_kind.hash[:12], how)
        self._services.notify(Queue.LEARN)
        return Switched.of(SwitchCode.TURNED_ON, label=case_kind.label, manual_override=manual_override)
