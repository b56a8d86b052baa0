"""The proposal that lets a kind of case run on its own: its title, facts and reasons. Pure."""

from bot.config.policy import Caps, Policy
from bot.graduation import score
from bot.graduation.backtest import SECONDS_A_CASE
from bot.graduation.eligibility import standard_of
from bot.ui.graduation_notices import duration, money
from bot.ui.graduation_words import RESULTS
from store.models.graduation import BacktestSummary, CaseKind


def offer_title(case_kind: CaseKind) -> str:
    """The title of the proposal."""
    return f"Let this kind of case run on its own: {case_kind.label}?"


def offer_facts(case_kind: CaseKind, policy: Policy) -> list[tuple[str, str]]:
    """The decisions so far, the score and the caps."""
    n, k, first = case_kind.cases, case_kind.rejections, case_kind.first_at
    found = score.score(*case_kind.counts)
    since = "" if first is None else f" since {first:%d %b %Y}"
    return [
        ("Said", f"{n - k} yes, {k} no{since}, {case_kind.customers} customers"),
        ("Score", f"{found:.1f}: at least 95 % sure that at least {found:.1f} % would get a yes"),
        ("Caps", _caps(case_kind, policy.caps)),
    ]


def _caps(case_kind: CaseKind, caps: Caps) -> str:
    currency = case_kind.currency or ""
    daily = f"{caps.case_kind_count} cases a day"
    if currency not in caps.action_amount:
        return daily
    one, day = caps.action_amount[currency], caps.case_kind_amount.get(currency, 0)
    return f"{daily}; where money moves {money(one, currency)} a case, {money(day, currency)} a day"


def offer_reasons(case_kind: CaseKind, past: BacktestSummary, policy: Policy) -> list[str]:
    """The results that automatic runs would have had so far, and the changes from now on."""
    sums = [money(total, currency) for currency, total in sorted(past.moved.items())]
    moved = ", ".join(sums) or "no money"
    tried = (
        f"{past.would_run} would have run, {past.rejected} of them you declined or took back, {moved} moved, "
        f"{duration(past.would_run * SECONDS_A_CASE)} saved"
    )
    long = "90 days" if past.newest is None else f"the last {past.newest:,} cases"
    said = [f"Had it been on for {long}: {tried}"]
    if past.worst is not None:
        worst = past.worst
        about = f" ({money(worst.amount, worst.currency)})" if worst.currency else ""
        said.append(f"The worst of those: {worst.title} ({RESULTS[worst.result]}){about}")
    standard = standard_of(case_kind, policy.graduation)
    floor = 0.0 if standard is None else standard.spot_check_floor
    later = round(1 / floor) if floor else 0
    return [
        *said,
        f"One in two is still asked at first, later one in {later}, at random",
        "One no to those, an undo, a dispute or an error, and all of this kind asks again",
    ]
