"""The step that learns from decided cases, and asks whether a kind of case may run on its own."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.config.policy import Policy
from bot.graduation.backtest import replay, report
from bot.graduation.case_kind import approved_values, values_of
from bot.graduation.label import label_of
from bot.graduation.score import lacks
from bot.services import Queue, Services
from bot.ui.graduation import change_notice, offer_facts, offer_reasons, offer_title
from store.engine.errors import StoreError
from store.graduation.learn import Step, add_offer, offer_basis, reason_of, set_aside
from store.graduation.learn import assess as read_on
from store.models import Actor, NewProposal, ProposalKind, ProposalState, proposal_id, sha256
from store.models.graduation import (
    Asked,
    BacktestSummary,
    CaseHistory,
    CaseKind,
    Label,
    NewCaseKind,
    PastCase,
)
from store.models.reasons import AlwaysAsk, Lack, Reason

log = logging.getLogger(__name__)

BACK = timedelta(days=90)
_MANY = 2_000  # cases from which on a back-test may not reach ninety days back
ASK_AGAIN_AFTER = 20  # more counted cases after "keep asking"
_OPEN = (ProposalState.PENDING, ProposalState.APPROVED, ProposalState.EXECUTING)


@dataclass(frozen=True, slots=True)
class Assessor:
    """The policy over what was decided (a `store.models.graduation.Assessor`)."""

    policy: Policy

    def label(self, case: CaseHistory) -> Label | None:
        return label_of(case, self.policy.graduation.outcome_window)

    def learn(self, approved: Sequence[Asked | NewProposal]) -> Mapping[str, Any]:
        return approved_values([values_of(one) for one in approved]) if approved else {}

    def backtest(
        self, case_kind: CaseKind, past: Sequence[PastCase], secret: bytes, now: datetime
    ) -> BacktestSummary:
        """The replay of `polar-approvals backtest`, with the kind on from its first case on."""
        # Only the cases of this kind are known here, so it is not known whether anybody decided other cases.
        trust = self.policy.graduation.model_copy(update={"max_idle": timedelta.max})
        policy = self.policy.model_copy(update={"graduation": trust})
        kind = NewCaseKind(**{name: getattr(case_kind, name) for name in NewCaseKind.__slots__})
        walked = replay(past, {kind.hash: kind}, policy, secret=secret or b"none yet", on=(kind.hash,))
        total = report(walked, now - BACK).total
        newest = len(past) if past and total.cases == len(past) >= _MANY else None
        return BacktestSummary(total.ran, total.rejected, dict(total.moved), total.worst, newest)

    def lacks(self, case_kind: CaseKind, now: datetime) -> list[Lack]:
        return lacks(case_kind, self.policy.graduation, now)

    def wants_offer(self, case_kind: CaseKind, last: ProposalState | None) -> bool:
        """True once for each generation; after "Keep asking", True when twenty more cases have counted."""
        if last is None or case_kind.offered_generation != case_kind.generation:
            return True
        return last not in _OPEN and case_kind.cases >= (case_kind.offered_cases or 0) + ASK_AGAIN_AFTER

    def offer(self, case_kind: CaseKind, summary: BacktestSummary, now: datetime) -> NewProposal:
        change = f"graduation|{case_kind.hash}|{case_kind.generation}|{case_kind.cases}"
        return NewProposal(
            id=proposal_id(change),
            fact_key=change,
            event_id=None,
            rule=None,
            rule_version=None,
            subject=None,
            title=offer_title(case_kind),
            reasons=tuple(offer_reasons(case_kind, summary, self.policy)),
            facts=tuple(offer_facts(case_kind, self.policy)),
            risk=case_kind.risk,
            always_asks=AlwaysAsk.ABOUT_TRUST,
            calls=(),
            created_at=now,
            proposer=Actor.PROGRAM,
            kind=ProposalKind.GRADUATION,
            content_hash=sha256(change)[:16],
            expires_at=now + self.policy.schedule.expires_after,
            case_kind=case_kind.hash,
        )

    def notice(self, case_kind: str, change: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
        return change_notice(case_kind, change)


async def claim(services: Services, _limit: int) -> Sequence[None]:
    """Learn from what the log says since the last look; there are no rows to hand on."""
    more, assessor = True, Assessor(services.rules.policy)
    while more:
        found = await services.store.do(read_on, assessor, services.clock())
        more = found.more
        for one in found.failed:
            where = place_of(one.reason)
            log.error("case kind %s is set aside: its assessment failed (%s)", one.case_kind[:12], where)
        for case_kind in found.offers:
            await offer(services, assessor, case_kind)
        if found.cards:
            services.notify(Queue.ANNOUNCE)
        if found.notices:
            services.notify(Queue.OUTBOX)
    return ()


async def offer(services: Services, assessor: Assessor, case_kind: str) -> None:
    """Ask a person to let a kind run on its own if its threshold is reached. The back-test runs beside the
    writer, and the question is dropped when the kind has changed meanwhile.
    """
    now = services.clock()
    try:
        basis = await services.store.read(offer_basis, case_kind, assessor, now)
        if basis is None:
            return
        tried = await asyncio.to_thread(assessor.backtest, basis.case_kind, basis.past, basis.secret, now)
        question = assessor.offer(basis.case_kind, tried, now)
    except StoreError:
        raise
    except Exception as error:
        log.exception("case kind %s is set aside: its back-test failed", case_kind[:12])
        await services.store.do(set_aside, case_kind, reason_of(Step.OFFER, error), now)
        return
    if await services.store.do(add_offer, basis.case_kind, question, now):
        services.notify(Queue.ANNOUNCE)


def place_of(reason: Reason) -> str:
    """The failure and its place, for the log."""
    return ", ".join(str(reason.args.get(name, "")) for name in ("step", "error", "place"))
