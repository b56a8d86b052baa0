"""The judgement of the policy over one case: it runs on its own, asks, or asks as a spot check. Pure."""

import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.config.policy import Caps, Policy
from bot.graduation import score
from bot.graduation.case_kind import case_kind_of, novelty, values_of
from bot.graduation.score import EVER, Standard, always_human_now, ln_incomplete_beta, standard_of
from bot.rules.rule import always_asks
from polar.catalog import Call, Risk, money_moved, operations
from polar.events import Event
from store.models import CaseKindState, Mode, NewProposal, Proposal, ProposalKind, ProposalState
from store.models.graduation import CaseKind, Evaluation, ExecutionGuard, GateInputs, NewCaseKind, Past
from store.models.reasons import AlwaysAsk, ChangeCause, ChangeCode, PolicyCode, PolicyReason

# Before the decision, a spot check must look like any other question. Otherwise people would look closer.
BLIND = frozenset({ProposalState.PENDING, ProposalState.EXPIRED})
# After graduation half of the cases are checked, then a quarter, then the floor of the risk class.
FIRST, SECOND = 0.50, 0.25

ASK, SPOT_CHECK, RUN = "ask", "spot_check", "run"  # the verdicts
_HOURS = 6  # the latest hours, which are checked for an unusual volume
_WEEK = 168
# This number of breaches of a cap within a day pauses the kind.
BREACHES = 2
# An unusual volume is three times the usual rate. By chance alone the test reports at most one a year.
UNUSUAL = 3
_HOURS_A_YEAR = 8_760
# A kind of case seen less than once a day has no hourly rate to compare with.
SLOWEST = 1 / 24


@dataclass(frozen=True, slots=True)
class Gate:
    """The policy over the proposals of one event (a `store.models.graduation.Evaluator`)."""

    policy: Policy
    event: Event
    environment: str

    def case_kind(self, proposal: NewProposal, past: Past) -> NewCaseKind | None:
        """The kind of case of a proposal; None for one that is not of a rule, or that always asks."""
        if never(proposal, self.event.type) is not None:
            return None
        return case_kind_of(proposal, self.event, past, environment=self.environment)

    def evaluate(self, proposal: NewProposal, inputs: GateInputs | None) -> Evaluation:
        """Judge a proposal. Without inputs it always asks."""
        if inputs is None:
            because = never(proposal, self.event.type) or AlwaysAsk.NO_CASE_KIND
            return _asks(_always(because), would_run=False, would_reason=_always(because).to_json())
        return evaluate(proposal, inputs, self.policy)


def never(proposal: NewProposal, event_type: str) -> str | None:
    """The reason why a proposal always asks: an AlwaysAsk, or the words of the proposal.

    None when its kind of case decides. The risk is read from the calls again, because a rule may state a
    wrong risk.
    """
    if proposal.kind != ProposalKind.CALLS or not proposal.calls:
        return AlwaysAsk.ABOUT_TRUST
    if proposal.rule is None or proposal.event_id is None or proposal.proposer is not None:
        return AlwaysAsk.BY_HAND
    risks = [operations()[call.operation].describe(Call.of(call)).risk.value for call in proposal.calls]
    because = proposal.always_asks or always_asks(event_type, [*risks, proposal.risk])
    if because is None and money_moved(proposal.calls, proposal.amount, proposal.currency) is None:
        because = AlwaysAsk.UNKNOWN_AMOUNT
    return because


def evaluate(proposal: NewProposal, inputs: GateInputs, policy: Policy) -> Evaluation:
    """The judgement over a case with a kind of case: the reasons against a run, in order."""
    kind, trust = inputs.case_kind, policy.graduation
    standard = standard_of(kind, trust)
    human = _human(proposal, kind, policy)
    moved = money_moved(proposal.calls, proposal.amount, proposal.currency)
    novel = _novel(proposal, inputs, ask_first=trust.ask_first_of_week)
    unknown = PolicyReason(PolicyCode.UNKNOWN_AMOUNT)
    over = unknown if moved is None else _over(policy.caps, *moved, inputs)
    facts = _facts(inputs, standard, moved, policy)
    against = human or novel or over
    facts |= {"would_run": against is None, "would_reason": against and against.to_json()}
    asks = human or _not_trusted(inputs, trust.max_idle, standard)
    if asks is not None or standard is None:
        return _asks(asks or _always(AlwaysAsk.NO_THRESHOLD), **facts)
    volume = _unusual_volume(inputs)
    if volume is not None:
        return _asks(volume, ChangeCause(ChangeCode.UNUSUAL_VOLUME, volume.args), **facts)
    if novel is not None:
        return _asks(novel, **facts)
    if over is not None or moved is None:
        twice = inputs.breaches + 1 >= BREACHES
        last = over or unknown
        pause = ChangeCause.of(ChangeCode.OVER_CAP_TWICE, last=last.to_json()) if twice else None
        return _asks(last, pause, over_cap=True, **facts)
    share = probability(kind.spot_checks_agreed, standard.spot_check_floor, of=kind.spot_checks)
    checked = drawn(inputs.secret, proposal.id, share)
    verdict, mode = (SPOT_CHECK, Mode.SPOT_CHECK) if checked else (RUN, Mode.AUTO)
    reason = PolicyReason(PolicyCode.SPOT_CHECK if checked else PolicyCode.RUNS)
    gate = {"verdict": verdict, "reason": reason.to_json(), "spot_check_probability": share, **facts}
    return Evaluation(mode, gate, *moved)


def _asks(
    reason: PolicyReason, pause: ChangeCause | None = None, *, over_cap: bool = False, **facts: Any
) -> Evaluation:
    gate = {"verdict": ASK, "reason": reason.to_json(), "spot_check_probability": None, **facts}
    return Evaluation(Mode.ASKED, gate, over_cap=over_cap, pause=pause)


def _always(because: str) -> PolicyReason:
    return PolicyReason.of(PolicyCode.ALWAYS_ASKS, because=str(because))


def _facts(
    inputs: GateInputs, standard: Standard | None, moved: tuple[int, str] | None, policy: Policy
) -> dict[str, Any]:
    """The inputs of the gate as plain JSON."""
    kind, human_at, caps = inputs.case_kind, inputs.human_at, policy.caps
    amount, currency = (None, None) if moved is None else moved
    code = currency or ""
    spent = {"customer": inputs.customer, "case_kind": inputs.case_kind_day, "day": inputs.day}
    return {
        "state": kind.state.value,
        "manual_override": kind.manual_override,
        "generation": kind.generation,
        "cases": kind.cases,
        "rejections": kind.rejections,
        "score": round(score.score(*kind.counts), 6),
        "target": None if standard is None else standard.target,
        "spot_checks": [kind.spot_checks_agreed, kind.spot_checks],
        "amount": amount,
        "currency": currency,
        "spent": {name: [one.count, one.amount] for name, one in spent.items()},
        # Money in minor units of the currency: the cap of one case, then others with counts.
        "caps": {
            "case": caps.action_amount.get(code, 0),
            "customer": [caps.customer_count, caps.customer_amount.get(code, 0)],
            "case_kind": [caps.case_kind_count, caps.case_kind_amount.get(code, 0)],
            "day": [caps.day_count, caps.day_amount.get(code, 0)],
        },
        "paused_by": inputs.paused_by,
        "human_at": None if human_at is None else human_at.isoformat(),
        "max_idle": int(policy.graduation.max_idle.total_seconds()),
        "at": inputs.now.isoformat(),
    }


def guard_of(policy: Policy) -> ExecutionGuard:
    """The conditions that the policy's approval must meet again when the call is sent."""

    def allows(proposal: Proposal, kind: CaseKind) -> bool:
        standard = standard_of(kind, policy.graduation)
        return _human(proposal, kind, policy) is None and _meets_threshold(kind, standard)

    return ExecutionGuard(allows, policy.graduation.max_idle)


def _meets_threshold(kind: CaseKind, standard: Standard | None) -> bool:
    if standard is None:
        return False
    return kind.manual_override or score.reached(*kind.counts, standard.limit)


def _human(proposal: NewProposal | Proposal, kind: CaseKind, policy: Policy) -> PolicyReason | None:
    """The reason why this case always asks, in every state of its kind of case."""
    because = always_human_now(kind, policy.graduation)
    if because is None and policy.takes_two(
        Risk(proposal.risk), proposal.amount, proposal.currency, proposal.calls
    ):
        because = AlwaysAsk.TWO_PEOPLE
    return None if because is None else _always(because)


def _not_trusted(inputs: GateInputs, max_idle: timedelta, standard: Standard | None) -> PolicyReason | None:
    """The reason why the kind of case does not run on its own now; None when it does."""
    kind = inputs.case_kind
    if kind.state != CaseKindState.GRADUATED:
        return asks_because(kind)
    if kind.set_aside is not None:
        return PolicyReason(PolicyCode.KIND_SET_ASIDE)
    if standard is None:
        return PolicyReason(PolicyCode.KIND_ASKS)
    if inputs.paused_by is not None:
        return PolicyReason.of(PolicyCode.ALL_PAUSED, by=inputs.paused_by)
    if inputs.human_at is None or inputs.now - inputs.human_at > max_idle:
        return PolicyReason(PolicyCode.NOBODY_DECIDES)
    if not _meets_threshold(kind, standard):
        return PolicyReason(PolicyCode.BELOW_THRESHOLD)
    return None


def asks_because(kind: CaseKind) -> PolicyReason:
    """The reason why a kind that has not graduated asks."""
    if kind.state == CaseKindState.PAUSED:
        cause = None if kind.cause is None else kind.cause.to_json()
        return PolicyReason.of(PolicyCode.KIND_PAUSED, cause=cause)
    return PolicyReason(PolicyCode.KIND_ASKS)


def _novel(proposal: NewProposal, inputs: GateInputs, *, ask_first: bool) -> PolicyReason | None:
    found = novelty(inputs.case_kind.approved_values, values_of(proposal))
    if found is not None:
        return found
    if proposal.customer_id is None:
        return PolicyReason(PolicyCode.UNKNOWN_CUSTOMER)
    return PolicyReason(PolicyCode.FIRST_OF_WEEK) if ask_first and inputs.first_this_week else None


def _over(caps: Caps, amount: int, currency: str, inputs: GateInputs) -> PolicyReason | None:
    """The first cap that running this case would break."""

    def money(cap: str, most: int) -> PolicyReason:
        return PolicyReason.of(PolicyCode.OVER_CAP, cap=cap, amount=most, currency=currency)

    of_one = caps.action_amount.get(currency, 0)
    if amount and amount > of_one:
        return money("case", of_one)
    for cap, spent, count, amounts in (
        ("customer", inputs.customer, caps.customer_count, caps.customer_amount),
        ("case_kind", inputs.case_kind_day, caps.case_kind_count, caps.case_kind_amount),
        ("day", inputs.day, caps.day_count, caps.day_amount),
    ):
        if spent.count + 1 > count:
            return PolicyReason.of(PolicyCode.OVER_CAP, cap=cap, cases=count)
        most = amounts.get(currency, 0)
        if amount and spent.amount + amount > most:
            return money(cap, most)
    return None


def _unusual_volume(inputs: GateInputs) -> PolicyReason | None:
    """The reason to pause a kind with an unusual number of cases in its latest hours, this case included."""
    now = inputs.now.replace(minute=0, second=0, microsecond=0)
    newest = [f"{now - timedelta(hours=back):%Y-%m-%dT%H}" for back in range(_HOURS - 1, -1, -1)]
    latest = [inputs.hours.get(hour, 0) for hour in newest]
    latest[-1] += 1
    earlier = sum(count for hour, count in inputs.hours.items() if hour < newest[0])
    oldest = datetime.fromisoformat(f"{min([*inputs.hours, newest[-1]])}:00+00:00")
    span = min((now - oldest) // timedelta(hours=1), _WEEK) - _HOURS + 1
    if not is_unusual_volume(latest, usual_rate(earlier, span)):
        return None
    return PolicyReason.of(PolicyCode.UNUSUAL_VOLUME, cases=sum(latest), hours=_HOURS)


def usual_rate(cases: int, hours: float) -> float:
    """The cases an hour of a kind with so many cases in so many hours; never below SLOWEST."""
    return max(SLOWEST, cases / hours) if hours > 0 else SLOWEST


def is_unusual_volume(hourly: Sequence[int], usual: float) -> bool:
    """Tell whether a kind's latest hours, oldest first, clearly run at three times the `usual` rate.

    The test is a running sum of the evidence for three times the rate. It restarts at zero when there is no
    evidence (CUSUM). Two cases in an hour do not pause a quiet kind, but small rises of a busy kind add up.
    """
    total = 0.0
    for cases in hourly:
        total = max(0.0, total) + cases * math.log(UNUSUAL) - (UNUSUAL - 1) * usual
        if total >= math.log(_HOURS_A_YEAR):
            return True
    return False


# --- Spot checks: cases of a graduated kind that a person still decides -------------------------------------


def drawn(secret: bytes, proposal_id: str, probability: float) -> bool:
    """Tell whether a case is checked.

    Nobody can predict the draw without the secret, and a retry does not change it. Raises ValueError for a
    probability outside 0 to 1, and for an empty secret.
    """
    if not 0 <= probability <= 1 or not secret:
        raise ValueError("a spot check is drawn with a secret and a probability between 0 and 1")
    # The prefix is part of every past draw. Another prefix would draw other cases in a replay.
    digest = hmac.digest(secret, b"audit:" + proposal_id.encode(), "sha256")
    return int.from_bytes(digest[:8]) < int(probability * 2**64)


def probability(agreed: int, floor: float, *, of: int | None = None) -> float:
    """The chance that the next case is checked, after so many agreed spot checks since graduation (`of` all).

    The chance falls to a share only when the spot checks alone show, with 95 % confidence, that the rejection
    rate is at most that share: 25 % after 11 agreed, 10 % after 29 and none that was not. A floor of 0 asks
    nobody.
    """
    if floor <= 0 or floor >= FIRST:
        return floor
    total = agreed if of is None else of
    for share in (floor, max(SECOND, floor)):
        # So many agreed spot checks exclude a rate above the share with 95 %: (1 - share)^n <= 0.05.
        enough = agreed >= math.ceil(math.log(EVER) / math.log1p(-share))
        if enough and (agreed == total or rejection_rate_bound(agreed, total) <= share):
            return share
    return FIRST


def rejection_rate_bound(agreed: int, total: int) -> float:
    """The upper 95 % bound (Clopper-Pearson) on the rejection rate of spot checks; 1.0 without any.

    It holds for one fixed moment. Cases that ask because of a cap or a new value are not a random sample, so
    they are left out. Raises ValueError for impossible counts.
    """
    if not 0 <= agreed <= total:
        raise ValueError(f"{agreed} agreed of {total} spot checks cannot be")
    if agreed == 0:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(50):  # fifty halvings give an error of 1e-15
        middle = (low + high) / 2
        # P(at most this many rejected | middle) = 1 - I_middle(rejected + 1, agreed)
        above = ln_incomplete_beta(total - agreed + 1, agreed, -math.log1p(-middle)) > math.log(1 - EVER)
        low, high = (low, middle) if above else (middle, high)
    return high
