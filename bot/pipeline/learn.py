"""What is learnt from decided cases, and the question whether a kind of case may run on its own. Pure."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.config.policy import Policy
from bot.graduation import labels, score
from bot.graduation.backtest import report
from bot.graduation.case_kind import parameters
from bot.graduation.eligibility import lacks, standard_of
from bot.graduation.gate import Gate
from bot.graduation.novelty import Seen
from bot.graduation.replay import replay
from bot.services import Queue, Services
from bot.ui.graduation_notices import change_notice, duration, money
from polar.events import Event
from store.graduation.learn import assess as read_on
from store.models import NewProposal, PlannedCall, ProposalKind, ProposalState
from store.models.graduation import (
    PROGRAM,
    CaseHistory,
    CaseKind,
    Label,
    LastOffer,
    NewCaseKind,
    PastCase,
    Rehearsal,
)

BACK = timedelta(days=90)
_MANY = 2_000  # cases from which on a back-test may not reach ninety days back
SECONDS_A_CASE = 20  # what asking costs a person (graduation.md 3.6)
ASK_AGAIN_AFTER = 20  # more counted cases after "keep asking"
_OPEN = (ProposalState.PENDING, ProposalState.APPROVED, ProposalState.EXECUTING)


@dataclass(frozen=True, slots=True)
class Assessor:
    """The policy over what was decided (a `store.graduation.learn.Assessor`)."""

    policy: Policy

    def label(self, case: CaseHistory) -> Label | None:
        return labels.label(case, self.policy.graduation.outcome_window)

    def learn(self, approved: Sequence[Sequence[PlannedCall]]) -> Mapping[str, Any]:
        seen = Seen()
        for calls in approved:
            seen = seen.learn(parameters(calls))
        return seen.to_json() if approved else {}

    def rehearse(
        self, case_kind: CaseKind, past: Sequence[PastCase], secret: bytes, now: datetime
    ) -> Rehearsal:
        """The replay of `python -m bot backtest`, with the kind on from its first case on."""
        # Of the other kinds nothing is known here: that nobody was there for days cannot be told.
        trust = self.policy.graduation.model_copy(update={"max_idle": timedelta.max})
        policy = self.policy.model_copy(update={"graduation": trust})
        kind = NewCaseKind(
            case_kind.hash, case_kind.family, case_kind.fields, case_kind.words, case_kind.risk
        )
        walked = replay(
            past, {case_kind.hash: kind}, policy, secret=secret or b"none yet", on=(case_kind.hash,)
        )
        total = report(walked, now - BACK).total
        worst = total.worst
        return Rehearsal(
            total.ran,
            total.bad,
            dict(total.moved),
            None if worst is None else (worst.amount, worst.currency, f"{worst.title} ({worst.came})"),
            len(past) if past and total.cases == len(past) >= _MANY else None,
        )

    def lacks(self, case_kind: CaseKind, now: datetime) -> list[str]:
        return lacks(case_kind, self.policy.graduation, now)

    def wants_offer(self, case_kind: CaseKind, last: LastOffer | None, now: datetime) -> bool:  # noqa: ARG002 - see the protocol
        """Once for each bar reached; after "keep asking" only when twenty more cases have counted."""
        if last is None or last.generation != case_kind.generation:
            return True
        return last.state not in _OPEN and case_kind.n >= last.n + ASK_AGAIN_AFTER

    def offer(self, case_kind: CaseKind, rehearsal: Rehearsal, now: datetime) -> NewProposal:
        change = f"graduation|{case_kind.hash}|{case_kind.generation}|{case_kind.n}"
        digest = hashlib.sha256(change.encode()).digest()
        return NewProposal(
            id="p" + base64.b32encode(digest).decode().lower()[:12],
            fact_key=change,
            event_id=None,
            rule=None,
            rule_version=None,
            subject=None,
            title=f"Let this kind of case run on its own: {case_kind.words}?",
            reasons=tuple(self._reasons(case_kind, rehearsal)),
            facts=tuple(self._facts(case_kind)),
            risk=case_kind.risk,
            always_asks="it is about trust itself",
            calls=(),
            created_at=now,
            proposer=PROGRAM,
            kind=ProposalKind.GRADUATION,
            content_hash=hashlib.sha256(digest).hexdigest()[:16],
            expires_at=now + self.policy.schedule.expires_after,
            case_kind=case_kind.hash,
        )

    def notice(self, change: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
        return change_notice(change)

    def _facts(self, case_kind: CaseKind) -> list[tuple[str, str]]:
        found = score.score(case_kind.n, case_kind.k, case_kind.generation)
        since = "" if case_kind.first_at is None else f" since {case_kind.first_at:%d %b %Y}"
        return [
            (
                "Said",
                f"{case_kind.n - case_kind.k} yes, {case_kind.k} no{since}, {case_kind.customers} customers",
            ),
            ("Score", f"{found:.1f}: at least 95 % sure that at least {found:.1f} % would get a yes"),
            ("Caps", self._caps(case_kind)),
        ]

    def _caps(self, case_kind: CaseKind) -> str:
        caps = self.policy.caps
        band = case_kind.fields.get("amount")
        currency = str(band[1]) if band else ""
        daily = f"{caps.case_kind_count} cases a day"
        if currency not in caps.action_amount:
            return daily
        one, day = caps.action_amount[currency], caps.case_kind_amount.get(currency, 0)
        return f"{daily}; where money moves {money(one, currency)} a case, {money(day, currency)} a day"

    def _reasons(self, case_kind: CaseKind, past: Rehearsal) -> list[str]:
        saved = duration(past.would * SECONDS_A_CASE)
        sums = [money(total, currency) for currency, total in sorted(past.moved.items())]
        moved = ", ".join(sums) or "no money"
        tried = (
            f"{past.would} would have run, {past.declined} of them you declined or took back, {moved} moved, "
            f"{saved} saved"
        )
        long = "90 days" if past.last is None else f"the last {past.last:,} cases"
        said = [f"Had it been on for {long}: {tried}"]
        if past.worst is not None:
            amount, currency, title = past.worst
            about = f" ({money(amount, currency)})" if currency else ""
            said.append(f"The worst of those: {title}{about}")
        standard = standard_of(case_kind, self.policy.graduation)
        floor = 0.0 if standard is None else standard.audit_floor
        said.append(
            f"One in two is still asked at first, later one in {round(1 / floor) if floor else 0}, at random"
        )
        said.append("One no to those, an undo, a dispute or an error, and all of this kind asks again")
        return said


def gate(services: Services, event: Event) -> Gate:
    """The policy over the proposals of one event."""
    return Gate(services.rules.policy, event, services.polar.environment)


async def claim(services: Services, _limit: int) -> Sequence[None]:
    """Learn from what the log says since the last look; there are no rows to hand on."""
    more = True
    while more:
        found = await services.store.do(read_on, Assessor(services.rules.policy), services.clock())
        more = found.more
        if found.cards:
            services.notify(Queue.ANNOUNCE)
        if found.notices:
            services.notify(Queue.OUTBOX)
    return ()
