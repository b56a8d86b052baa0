"""Messages about automatic runs and about changes of the trust in a kind of case, with reasons. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.config.policy import Caps, Policy
from bot.graduation.backtest import SECONDS_A_CASE
from bot.graduation.score import score, standard_of
from bot.sanitize import clean
from bot.ui.elements import Block, bullets, emoji, escape, glue, line, rich, words
from bot.ui.graduation_words import RESULTS, cause_words
from polar.text.money import format_money
from store.models import CaseKindState
from store.models.graduation import AutomaticRuns, BacktestSummary, CaseKind, Spent
from store.models.reasons import ChangeCause, ChangeCode

DEMOTION, PAUSE, TURNED_ON = "demotion", "breaker", "graduation"


def duration(seconds: int) -> str:
    """A length of time in minutes, or in hours from two hours on."""
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def change_notice(case_kind: str, change: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The message about a change of trust, by its row in the log; None when nobody needs to be told."""
    before, after = CaseKindState(change["from"]), CaseKindState(change["to"])
    if before == after:
        return None
    kind, sign, said, next_ = _SAID[after]
    if after == CaseKindState.ASKING and not change.get("new_generation", True):
        next_ = "Every such case asks a person again. What it has earned stays"
    cause = cause_words(ChangeCause(ChangeCode(change["cause_code"]), change["cause_args"]))
    why, label = clean(cause, 300), str(change["label"])
    text = f"{said}: {clean(label, 300)}. Why: {why}."
    body = line(emoji(sign), glue(" "), words(f"{said}: ", 100, bold=True), words(label, 400))
    tag = f"trust.{case_kind[:12]}.{change['generation']}"
    block = rich(tag, body, bullets([f"Why: {why}", next_]))
    return kind, {"text": escape(clean(text, 500)), "blocks": [block]}


_SAID: Mapping[CaseKindState, tuple[str, str, str, str]] = {
    CaseKindState.ASKING: (
        DEMOTION,
        "rotating_light",
        "No longer runs on its own",
        "Every such case asks a person again. It starts again from zero, with a higher threshold",
    ),
    CaseKindState.PAUSED: (
        PAUSE,
        "double_vertical_bar",
        "Paused",
        "Every such case asks a person until somebody turns it on again in /polar trust",
    ),
    CaseKindState.GRADUATED: (
        TURNED_ON,
        "white_check_mark",
        "Runs on its own now",
        "The digest says what ran. Turn it off in /polar trust",
    ),
}


def runs_block(runs: Sequence[AutomaticRuns], caps: Caps, tag: str) -> Block | None:
    """The automatic runs, a line for each kind of case, for the digest and the Home tab; None without any."""
    if not runs:
        return None
    said = [runs_line(one, caps) for one in runs]
    return rich(f"ran.{tag}", line(words("Ran on its own", 60, bold=True)), bullets(said[:20]))


def runs_line(one: AutomaticRuns, caps: Caps) -> str:
    """One kind's line: `Generate an invoice · …: 12 ran, 0 failed, 0 undone. Score 91.8. 38 left today`."""
    kind = one.case_kind
    moved = [format_money(total, currency) for currency, total in sorted(one.moved.items())]
    parts = [f"{one.count} ran", *moved, f"{one.failed} failed", f"{one.undone} undone"]
    found = score(*kind.counts)
    left = left_today(kind, one.today, caps, with_money=bool(one.moved))
    return f"{clean(kind.label, 300)}: {', '.join(parts)}. Score {found:.1f}. {left}"


def left_today(case_kind: CaseKind, used: Spent, caps: Caps, *, with_money: bool) -> str:
    """The part of a kind's caps that is left today: `38 cases and $23.00 left today`."""
    left = max(caps.case_kind_count - used.count, 0)
    count = f"{left:,} case{'' if left == 1 else 's'}"
    currency = case_kind.currency or ""
    most = caps.case_kind_amount.get(currency) if with_money else None
    if most is None:
        return f"{count} left today"
    return f"{count} and {format_money(max(most - used.amount, 0), currency)} left today"


def offer_title(case_kind: CaseKind) -> str:
    """The title of the proposal."""
    return f"Let this kind of case run on its own: {case_kind.label}?"


def offer_facts(case_kind: CaseKind, policy: Policy) -> list[tuple[str, str]]:
    """The decisions so far, the score and the caps."""
    n, k, first = case_kind.cases, case_kind.rejections, case_kind.first_at
    found = score(*case_kind.counts)
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
    one = format_money(caps.action_amount[currency], currency)
    day = format_money(caps.case_kind_amount.get(currency, 0), currency)
    return f"{daily}; where money moves {one} a case, {day} a day"


def offer_reasons(case_kind: CaseKind, past: BacktestSummary, policy: Policy) -> list[str]:
    """The results that automatic runs would have had so far, and the changes from now on."""
    sums = [format_money(total, currency) for currency, total in sorted(past.moved.items())]
    moved = ", ".join(sums) or "no money"
    tried = (
        f"{past.would_run} would have run, {past.rejected} of them you declined or took back, {moved} moved, "
        f"{duration(past.would_run * SECONDS_A_CASE)} saved"
    )
    long = "90 days" if past.newest is None else f"the last {past.newest:,} cases"
    said = [f"Had it been on for {long}: {tried}"]
    if past.worst is not None:
        worst = past.worst
        about = f" ({format_money(worst.amount, worst.currency)})" if worst.currency else ""
        said.append(f"The worst of those: {worst.title} ({RESULTS[worst.result]}){about}")
    standard = standard_of(case_kind, policy.graduation)
    floor = 0.0 if standard is None else standard.spot_check_floor
    later = round(1 / floor) if floor else 0
    return [
        *said,
        f"One in two is still asked at first, later one in {later}, at random",
        "One no to those, an undo, a dispute or an error, and all of this kind asks again",
    ]
