"""Actions of a person on automatic runs: turn a kind of case on or off, and list what ran."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from bot.approvals.approve import CLI
from bot.approvals.wishes import PATIENCE, Kept, soon, without_word
from bot.graduation.score import always_human, lacks
from bot.results import PauseResult, PauseStatus, Refusal, RefusalCode
from bot.services import Queue, Services
from bot.slack.client import SlackUser
from bot.ui.reports import paused_message, resumed_message
from polar.catalog import Risk
from store import Connection
from store.engine.errors import StoreError
from store.graduation.case_kinds import change, find_case_kind, graduate, note_human, paused, resume
from store.graduation.case_kinds import pause as pause_all
from store.graduation.pages import automatic_runs
from store.graduation.reducer import TrustChange
from store.models import CaseKindState
from store.models.graduation import AutomaticRuns, CaseKind, Paused
from store.models.reasons import ChangeCause, ChangeCode, Lack, LackCode, SwitchCode, Switched
from store.proposals.wishes import Wish, WishKind

log = logging.getLogger(__name__)


class GraduationService:
    """Everything a person can change about automatic runs."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def manual_override(self, user: SlackUser, start: str) -> Switched | Refusal:
        """Turn on a kind of class R1 below its threshold, marked as an override. `start` begins its hash."""
        found = await self._find(user, start)
        if not isinstance(found, CaseKind):
            return found
        if found.risk != Risk.R1:
            return Switched(SwitchCode.LOW_RISK_ONLY)
        always = always_human(found, self._services.rules.policy.graduation)
        if always is not None:
            return Switched.of(SwitchCode.ALWAYS_ASKS, because=always)
        below = lacks(found, self._services.rules.policy.graduation, self._services.clock())
        return await self._turn_on(user, found, manual_override=bool(below))

    async def turn_on_again(self, user: SlackUser, start: str) -> Switched | Refusal:
        """End the pause of one kind of case whose circuit breaker had opened."""
        found = await self._find(user, start)
        if not isinstance(found, CaseKind):
            return found
        if found.state != CaseKindState.PAUSED:
            return Switched.of(SwitchCode.NOT_PAUSED, state=found.state.value)
        return await self._turn_on(user, found, manual_override=found.manual_override)

    async def turn_off(self, user: SlackUser, start: str) -> Switched | Refusal:
        """Turn off the automatic runs of a kind of case. Its counts stay, because this is no demotion."""
        found = await self._find(user, start, off=True)
        if not isinstance(found, CaseKind):
            return found
        if found.state == CaseKindState.ASKING:
            return Switched(SwitchCode.ASKS_ALREADY)
        name = await self._services.authority.name(user.id)
        off = TrustChange(CaseKindState.ASKING, ChangeCause.of(ChangeCode.TURNED_OFF, by=name))
        now = self._services.clock()
        try:
            await self._services.store.do(change, found.hash, off, actor=user.id, at=now)
        except StoreError:
            return Switched(SwitchCode.NOT_STORED)
        self._services.notify(Queue.LEARN)
        return Switched.of(SwitchCode.TURNED_OFF, label=found.label)

    # --- All of them together -----------------------------------------------------------------------------

    async def pause(
        self, user: SlackUser, why: str, *, via: str = "command", channel: str | None = None
    ) -> PauseResult:
        """Stop all automatic runs; the channel of the cards is told. Raises StoreError.

        `channel` is where they are told the result once Slack has said who they are.
        """
        store, authority = self._services.store, self._services.authority
        wanted = Paused(user.id, self._services.clock(), why)
        asking = authority.refusal_to_pause(user.id, user.team_id, by_id=via == CLI)
        unknown = Refusal(RefusalCode.USER_UNKNOWN)
        refused = await soon(asking, unknown, None if via == CLI else PATIENCE)
        if refused is not None and not refused.retryable:
            return PauseResult(PauseStatus.REFUSED, refusal=refused)
        notice = paused_message(wanted).content
        if refused is None:
            made = await store.do_for_person(
                pause_all, by=wanted.by, why=wanted.why, at=wanted.at, notice=notice
            )
        else:
            id_ = f"{WishKind.PAUSE}:{user.id}:{wanted.at.isoformat()}"
            wish = Wish(id_, WishKind.PAUSE, user.id, via, wanted.at, reason=why, channel=channel)
            work = partial(_pause, wanted=wanted, notice=notice)
            kept, result = await without_word(self._services, wish, await authority.named(), work)
            if kept is Kept.NOT_KEPT:
                return PauseResult(PauseStatus.REFUSED, refusal=refused)
            if result is None:
                return PauseResult(PauseStatus.KEPT)
            made, _ = result
        self._services.notify(Queue.OUTBOX, Queue.HOME)
        status = PauseStatus.PAUSED if made else PauseStatus.PAUSED_ALREADY
        return PauseResult(status, await store.read(paused) or wanted)

    async def resume(self, user: SlackUser, *, via: str = "command") -> PauseResult:
        """Allow automatic runs again; the channel of the cards is told. Raises StoreError."""
        by_id, store = via == CLI, self._services.store
        refused = await self._services.authority.refusal_to_resume(user.id, user.team_id, by_id=by_id)
        if refused is not None:
            return PauseResult(PauseStatus.REFUSED, refusal=refused)
        before = await store.do(
            resume,
            by=user.id,
            at=self._services.clock(),
            notice=lambda was: resumed_message(user.id, was).content,
        )
        self._services.notify(Queue.OUTBOX, Queue.HOME)
        status = PauseStatus.NOT_PAUSED if before is None else PauseStatus.RESUMED
        return PauseResult(status, before, by=user.id)

    async def ran(self, since: datetime) -> list[AutomaticRuns]:
        """The automatic runs since then."""
        return await self._services.store.read(automatic_runs, since, self._services.clock())

    async def _find(self, user: SlackUser, start: str, *, off: bool = False) -> CaseKind | Switched | Refusal:
        """The kind, if this person may change it: those named for its class; `off`, every approver."""
        found = await self._services.store.read(find_case_kind, start) if start else None
        refused = await self._refused(user, None if found is None else found.risk, or_any=off)
        if refused is not None:
            return refused
        return Switched(SwitchCode.NO_SUCH_KIND) if found is None else found

    async def may_decide(self, user: SlackUser, risk: str) -> bool:
        """Tell whether this person is named for a class, or is any other approver."""
        return await self._refused(user, risk, or_any=True) is None

    async def _refused(self, user: SlackUser, risk: str | None, *, or_any: bool) -> Refusal | None:
        refusal = self._services.authority.refusal
        refused = await refusal(user.id, user.team_id, risk=risk)
        return await refusal(user.id, user.team_id) if refused is not None and or_any else refused

    async def _turn_on(
        self, user: SlackUser, case_kind: CaseKind, *, manual_override: bool
    ) -> Switched | Refusal:
        always = always_human(case_kind, self._services.rules.policy.graduation)
        name = await self._services.authority.name(user.id)
        again = case_kind.state == CaseKindState.PAUSED
        how = {"by": name, "again": again, "manual_override": manual_override}
        cause = ChangeCause(ChangeCode.TURNED_ON, how)

        def lacking_of(now: CaseKind) -> Sequence[Lack]:
            if always is not None:
                return (Lack.of(LackCode.ALWAYS_ASKS, because=always),)
            same = (now.state, now.generation) == (case_kind.state, case_kind.generation)
            return () if same else (Lack.of(LackCode.CHANGED_MEANWHILE, state=now.state.value),)

        try:
            await self._services.store.do(note_human, user.id, self._services.clock())
            lacking = await self._services.store.do(
                graduate,
                case_kind.hash,
                lacking_of,
                actor=user.id,
                cause=cause,
                at=self._services.clock(),
                manual_override=manual_override,
            )
        except StoreError:
            return Switched(SwitchCode.NOT_STORED)
        if lacking:
            return Switched.of(SwitchCode.LACKING, lacks=[one.to_json() for one in lacking])
        log.info("%s turned on %s (%s)", user.id, case_kind.hash[:12], how)
        self._services.notify(Queue.LEARN)
        return Switched.of(SwitchCode.TURNED_ON, label=case_kind.label, manual_override=manual_override)


def _pause(connection: Connection, wanted: Paused, notice: Mapping[str, Any]) -> tuple[bool, None]:
    return pause_all(connection, by=wanted.by, why=wanted.why, at=wanted.at, notice=notice), None
