"""Whether one case runs on its own, asks, or asks as an audit: the policy's whole judgement. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.config.policy import Caps, Policy
from bot.graduation import score, spot_checks
from bot.graduation.case_kind import case_kind_of, parameters
from bot.graduation.eligibility import always_human, opted_in, standard_of
from bot.graduation.novelty import Seen, novelty
from bot.graduation.thresholds import Standard
from bot.rules.always_ask import always_asks
from polar.catalog import Call, Risk, operations
from polar.events import Event
from polar.text.money import format_money
from store.models import CaseKindState, Mode, NewProposal, Proposal, ProposalKind
from store.models.graduation import CaseKind, GateInputs, Judged, NewCaseKind, Past, Spent, Still

_HOURS = 6  # the latest hours, in which a flood is looked for
_WEEK = 168


@dataclass(frozen=True, slots=True)
class Gate:
    """The policy over the proposals of one event (a `store.models.graduation.Judge`)."""

    policy: Policy
    event: Event
    environment: str

    def case_kind(self, proposal: NewProposal, past: Past) -> NewCaseKind | None:
        """The kind of case it is; None for what is not a rule's, or always asks."""
        if never(proposal, self.event.type) is not None:
            return None
        return case_kind_of(proposal, self.event, past, environment=self.environment)

    def judge(self, proposal: NewProposal, past: Past, inputs: GateInputs | None) -> Judged:  # noqa: ARG002 - the kind of case holds what matters of the past
        """Whether it runs. Without inputs it is a case that always asks."""
        if inputs is None:
            why = never(proposal, self.event.type) or "no kind of case fits it"
            return Judged(Mode.ASKED, _record("ask", f"always asks: {why}"))
        return judge(proposal, inputs, self.policy)


def never(proposal: NewProposal, event_type: str) -> str | None:
    """Why a proposal is a person's whatever the history says; None when its kind of case decides.

    Asked of the calls themselves once more: what a rule says of its own risk is not believed.
    """
    if proposal.kind != ProposalKind.CALLS or not proposal.calls:
        return "it is about trust itself"
    if proposal.rule is None or proposal.event_id is None or proposal.proposer is not None:
        return "proposed by hand"
    risks = [operations()[call.operation].describe(Call.of(call)).risk.value for call in proposal.calls]
    return proposal.always_asks or always_asks(event_type, [*risks, proposal.risk])


def judge(proposal: NewProposal, inputs: GateInputs, policy: Policy) -> Judged:
    """The judgement over a case that has a kind of case, with everything that speaks against running it
    in order.
    """
    case_kind, trust = inputs.case_kind, policy.graduation
    standard = standard_of(case_kind, trust)
    human = _human(proposal, case_kind, policy)
    moved = _moved(proposal)
    novel = _novel(proposal, inputs, ask_first=trust.ask_first_of_week)
    over = "the money it moves is not known" if moved is None else _over(policy.caps, *moved, inputs)
    would = next((why for why in (human, novel, over) if why is not None), None)
    facts = _facts(inputs, standard, moved) | {"would_run": would is None, "would_why": would or ""}
    facts["caps"] = _caps(policy.caps, None if moved is None else moved[1])
    facts["dead_man"] = int(trust.max_idle.total_seconds())
    asks = human or _not_trusted(inputs, trust.max_idle, standard)
    if asks is not None or standard is None:
        return Judged(Mode.ASKED, _record("ask", asks or "no bar", **facts))
    flood = _flood(inputs)
    if flood is not None:
        return Judged(Mode.ASKED, _record("ask", flood, **facts), pauses=flood)
    if novel is not None:
        return Judged(Mode.ASKED, _record("ask", novel, **facts))
    if over is not None or moved is None:
        twice = inputs.breaches + 1 >= BREACHES
        pauses = f"over a cap twice within a day, last: {over}" if twice else None
        return Judged(Mode.ASKED, _record("ask", over or "", **facts), breach=True, pauses=pauses)
    pi = spot_checks.probability(case_kind.audits_agreed, standard.audit_floor)
    drawn = spot_checks.drawn(inputs.secret, proposal.id, pi)
    verdict, why = ("audit", "drawn for an audit") if drawn else ("run", "its kind runs on its own")
    return Judged(Mode.AUDIT if drawn else Mode.AUTO, _record(verdict, why, **facts | {"pi": pi}), *moved)


def _record(verdict: str, why: str, **facts: Any) -> dict[str, Any]:
    return {"verdict": verdict, "why": why, "would_run": False, "would_why": why, "pi": None, **facts}


def _facts(inputs: GateInputs, standard: Standard | None, moved: tuple[int, str] | None) -> dict[str, Any]:
    case_kind = inputs.case_kind
    return {
        "state": case_kind.state.value,
        "manual_override": case_kind.manual_override,
        "generation": case_kind.generation,
        "n": case_kind.n,
        "k": case_kind.k,
        "score": round(score.score(case_kind.n, case_kind.k, case_kind.generation), 6),
        "target": None if standard is None else standard.target,
        "audits": [case_kind.audits_agreed, case_kind.audits],
        "amount": None if moved is None else moved[0],
        "currency": None if moved is None else moved[1],
        "spent": {
            name: [spent.count, spent.amount]
            for name, spent in (
                ("customer", inputs.customer),
                ("case_kind", inputs.case_kind_day),
                ("day", inputs.day),
            )
        },
        "paused": inputs.paused,
        "human_at": None if inputs.human_at is None else inputs.human_at.isoformat(),
        "at": inputs.now.isoformat(),
    }


def _caps(caps: Caps, currency: str | None) -> dict[str, Any]:
    """The caps in force: money in minor units of `currency`; of one case, then with how many cases each."""
    code = currency or ""
    return {
        "case": caps.action_amount.get(code, 0),
        "customer": [caps.customer_count, caps.customer_amount.get(code, 0)],
        "case_kind": [caps.case_kind_count, caps.case_kind_amount.get(code, 0)],
        "day": [caps.day_count, caps.day_amount.get(code, 0)],
    }


def still_of(policy: Policy) -> Still:
    """What the policy's yes must meet once more when it is sent."""

    def allows(proposal: Proposal, case_kind: CaseKind) -> bool:
        return _human(proposal, case_kind, policy) is None and _meets_bar(
            case_kind, standard_of(case_kind, policy.graduation)
        )

    return Still(allows, policy.graduation.max_idle)


def _meets_bar(case_kind: CaseKind, standard: Standard | None) -> bool:
    if standard is None:
        return False
    return case_kind.manual_override or score.reached(
        case_kind.n, case_kind.k, case_kind.generation, standard.limit
    )


def _human(proposal: NewProposal | Proposal, case_kind: CaseKind, policy: Policy) -> str | None:
    """Why a person always sees this case, whatever the state of its kind of case."""
    trust = policy.graduation
    reason = always_human(case_kind, trust)
    if reason is not None:
        return f"always asks: {reason}"
    if case_kind.risk == Risk.R3 and not opted_in(case_kind, trust):
        return "always asks: high risk, and not opted in"
    if policy.takes_two(Risk(proposal.risk), proposal.amount, proposal.currency):
        return "always asks: it takes two people"
    return None


def _not_trusted(inputs: GateInputs, dead_man: timedelta, standard: Standard | None) -> str | None:
    """Why the kind of case does not run on its own at the moment; None when it does."""
    case_kind = inputs.case_kind
    if case_kind.state == CaseKindState.PAUSED:
        return f"this kind is paused: {case_kind.cause}"
    if case_kind.state != CaseKindState.GRADUATED or standard is None:
        return "this kind asks"
    if inputs.paused is not None:
        return f"everything is paused: {inputs.paused}"
    if inputs.human_at is None or inputs.now - inputs.human_at > dead_man:
        return "nobody has decided anything for too long"
    if not _meets_bar(case_kind, standard):
        return "its score is below the bar now"
    return None


def _novel(proposal: NewProposal, inputs: GateInputs, *, ask_first: bool) -> str | None:
    found = novelty(Seen.from_json(inputs.case_kind.seen), parameters(proposal.calls))
    if found is not None:
        return f"new: {found}"
    if proposal.customer_id is None:
        return "nobody knows its customer, so no cap of theirs can hold"
    if ask_first and inputs.first_this_week:
        return "new: the first case of this kind for this customer this week"
    return None


def _moved(proposal: NewProposal) -> tuple[int, str] | None:
    """The money it would move (minor units, currency); (0, "") for none, None when it is not known."""
    bodies = [
        call.body or {}
        for call in proposal.calls
        if operations()[call.operation].describe(Call.of(call)).money
    ]
    if not bodies:
        return 0, ""
    amounts = [body["amount"] for body in bodies if isinstance(body.get("amount"), int)]
    if proposal.currency is None or proposal.amount is None or 0 < len(amounts) < len(bodies):
        return None
    total = sum(abs(one) for one in amounts) if amounts else abs(proposal.amount) * len(bodies)
    return max(total, abs(proposal.amount)), proposal.currency


def _over(caps: Caps, amount: int, currency: str, inputs: GateInputs) -> str | None:
    """The first cap that running this case would break, in words."""
    held: list[tuple[str, Spent, int, Mapping[str, int]]] = [
        ("the customer's cap of 30 days", inputs.customer, caps.customer_count, caps.customer_amount),
        ("this kind's cap of today", inputs.case_kind_day, caps.case_kind_count, caps.case_kind_amount),
        ("the cap of today", inputs.day, caps.day_count, caps.day_amount),
    ]
    if amount and amount > caps.action_amount.get(currency, 0):
        return f"over the cap of one case, {_money(caps.action_amount.get(currency, 0), currency)}"
    for name, spent, count, money in held:
        if spent.count + 1 > count:
            return f"over {name}, {count} cases"
        if amount and spent.amount + amount > money.get(currency, 0):
            return f"over {name}, {_money(money.get(currency, 0), currency)}"
    return None


def _money(minor: int, currency: str) -> str:
    return format_money(minor, currency)


def _flood(inputs: GateInputs) -> str | None:
    """Why the kind of case is paused when its latest hours, this case with them, hold far more cases than
    usual.
    """
    now = inputs.now.replace(minute=0, second=0, microsecond=0)
    newest = [f"{now - timedelta(hours=back):%Y-%m-%dT%H}" for back in range(_HOURS - 1, -1, -1)]
    latest = [inputs.hours.get(hour, 0) for hour in newest]
    latest[-1] += 1
    earlier = sum(count for hour, count in inputs.hours.items() if hour < newest[0])
    oldest = datetime.fromisoformat(f"{min([*inputs.hours, newest[-1]])}:00+00:00")
    span = min((now - oldest) // timedelta(hours=1), _WEEK) - _HOURS + 1
    if not flooded(latest, usual_rate(earlier, span)):
        return None
    return f"far more cases than usual: {sum(latest)} in {_HOURS} hours"


# A flood is three times the usual, and must be so clear that chance alone shows one a year at most.
FLOOD = 3


_HOURS_A_YEAR = 8_760


# A kind of case seen less than once a day has no rate an hour worth the name.
SLOWEST = 1 / 24


# So many breaches of a cap within a day stop the kind: one asks.
BREACHES = 2


def usual_rate(cases: int, hours: float) -> float:
    """Cases an hour of a kind of case that had so many in so many hours; never below SLOWEST."""
    return max(SLOWEST, cases / hours) if hours > 0 else SLOWEST


def flooded(hourly: Sequence[int], usual: float) -> bool:
    """Whether a kind of case's latest hours, oldest first, clearly run at three times the `usual` rate:
    pause it.

    A running sum of the evidence for three times the rate, begun anew whenever it says nothing (CUSUM), so a
    quiet kind of case is not paused for two cases in an hour, nor a busy one let off for a flood in small
    waves.
    """
    total = 0.0
    for cases in hourly:
        total = max(0.0, total) + cases * math.log(FLOOD) - (FLOOD - 1) * usual
        if total >= math.log(_HOURS_A_YEAR):
            return True
    return False
