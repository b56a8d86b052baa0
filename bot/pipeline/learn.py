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
from bot.services import Parts
from bot.ui.graduation_notices import change_notice, duration, money
from polar.events import Event
from store.graduation.learn import assess as read_on
from store.models import NewProposal, PlannedCall, ProposalKind, ProposalState
from store.models.graduation import (
    PROGRAM,
    CaseHistory,
    Label,
    LastOffer,
    NewShape,
    PastCase,
    Rehearsal,
    Shape,
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

    def rehearse(self, shape: Shape, past: Sequence[PastCase], secret: bytes, now: datetime) -> Rehearsal:
        """The replay of `python -m bot backtest`, with the kind on from its first case on."""
        # Of the other kinds nothing is known here: that nobody was there for days cannot be told.
        trust = self.policy.graduation.model_copy(update={"dead_man": timedelta.max})
        policy = self.policy.model_copy(update={"graduation": trust})
        kind = NewShape(shape.hash, shape.family, shape.fields, shape.words, shape.risk)
        walked = replay(past, {shape.hash: kind}, policy, secret=secret or b"none yet", on=(shape.hash,))
        total = report(walked, now - BACK).total
        worst = total.worst
        return Rehearsal(
            total.ran,
            total.bad,
            dict(total.moved),
            None if worst is None else (worst.amount, worst.currency, f"{worst.title} ({worst.came})"),
            len(past) if past and total.cases == len(past) >= _MANY else None,
        )

    def lacks(self, shape: Shape, now: datetime) -> list[str]:
        return lacks(shape, self.policy.graduation, now)

    def wants_offer(self, shape: Shape, last: LastOffer | None, now: datetime) -> bool:  # noqa: ARG002 - see the protocol
        """Once for each bar reached; after "keep asking" only when twenty more cases have counted."""
        if last is None or last.epoch != shape.epoch:
            return True
        return last.state not in _OPEN and shape.n >= last.n + ASK_AGAIN_AFTER

    def offer(self, shape: Shape, rehearsal: Rehearsal, now: datetime) -> NewProposal:
        change = f"graduation|{shape.hash}|{shape.epoch}|{shape.n}"
        digest = hashlib.sha256(change.encode()).digest()
        return NewProposal(
            id="p" + base64.b32encode(digest).decode().lower()[:12],
            fact_key=change,
            event_id=None,
            rule=None,
            rule_version=None,
            subject=None,
            title=f"Let this kind of case run on its own: {shape.words}?",
            because=tuple(self._because(shape, rehearsal)),
            facts=tuple(self._facts(shape)),
            risk=shape.risk,
            always_asks="it is about trust itself",
            calls=(),
            created_at=now,
            proposer=PROGRAM,
            kind=ProposalKind.GRADUATION,
            digest=hashlib.sha256(digest).hexdigest()[:16],
            expires_at=now + self.policy.schedule.expire_after,
            shape=shape.hash,
        )

    def notice(self, change: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
        return change_notice(change)

    def _facts(self, shape: Shape) -> list[tuple[str, str]]:
        found = score.score(shape.n, shape.k, shape.epoch)
        since = "" if shape.first_at is None else f" since {shape.first_at:%d %b %Y}"
        return [
            ("Said", f"{shape.n - shape.k} yes, {shape.k} no{since}, {shape.customers} customers"),
            ("Score", f"{found:.1f}: at least 95 % sure that at least {found:.1f} % would get a yes"),
            ("Caps", self._caps(shape)),
        ]

    def _caps(self, shape: Shape) -> str:
        caps = self.policy.caps
        band = shape.fields.get("amount")
        currency = str(band[1]) if band else ""
        daily = f"{caps.shape_count} cases a day"
        if currency not in caps.action_amount:
            return daily
        one, day = caps.action_amount[currency], caps.shape_amount.get(currency, 0)
        return f"{daily}; where money moves {money(one, currency)} a case, {money(day, currency)} a day"

    def _because(self, shape: Shape, past: Rehearsal) -> list[str]:
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
        standard = standard_of(shape, self.policy.graduation)
        floor = 0.0 if standard is None else standard.audit_floor
        said.append(
            f"One in two is still asked at first, later one in {round(1 / floor) if floor else 0}, at random"
        )
        said.append("One no to those, an undo, a dispute or an error, and all of this kind asks again")
        return said


def gate(parts: Parts, event: Event) -> Gate:
    """The policy over the proposals of one event."""
    return Gate(parts.rules.policy, event, parts.polar.environment)


async def claim(parts: Parts, _limit: int) -> Sequence[None]:
    """Learn from what the log says since the last look; there are no rows to hand on."""
    more = True
    while more:
        found = await parts.store.do(read_on, Assessor(parts.rules.policy), parts.clock())
        more = found.more
        if found.cards:
            parts.wake("announce")
        if found.notices:
            parts.wake("notices")
    return ()


async def handle(_row: None) -> None:
    """Nothing is left to do for a row: `claim` has done it."""
