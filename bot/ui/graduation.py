"""Automatic runs and the trust in each kind of case: `/polar trust`, the Home tab, notices, offers. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.config.policy import Caps, Policy, Trust
from bot.graduation.backtest import SECONDS_A_CASE
from bot.graduation.gate import rejection_rate_bound
from bot.graduation.score import STANDARDS, always_human_now, lacks, score, standard_of
from bot.ui.card import score_words
from bot.ui.elements import (
    Block,
    ButtonValue,
    Element,
    Message,
    actions,
    bullets,
    button,
    context,
    emoji,
    escape,
    glue,
    header,
    line,
    person,
    plain,
    rich,
    text,
    when,
    words,
)
from bot.ui.graduation_words import RESULTS, always_words, cause_words
from bot.ui.lists import Pages, turn
from polar.catalog import Risk
from polar.text.words import clean, format_money
from store.models import CaseKindState
from store.models.graduation import AutomaticRuns, BacktestSummary, CaseKind, KindsPage, KindStanding, Spent
from store.models.reasons import AlwaysAsk, ChangeCause, ChangeCode

TURN_ON, TURN_OFF, PLOT = "trust.turn_on", "trust.turn_off", "trust.plot"
PAGE = 6  # kinds on one page: each takes two of Slack's fifty blocks, and a longer page is hard to read
_ON_HOME = 5
_WORDS = 300
DEMOTION, PAUSE, TURNED_ON = "demotion", "breaker", "graduation"


def trust_message(found: KindsPage, policy: Policy, now: datetime, *, about: str, result: str) -> Message:
    """The answer to `/polar trust`. `about` is the search, and `result` that of a click."""
    trust, head = policy.graduation, _head(found, about)
    blocks: list[Block] = []
    if result:
        blocks.append(rich("trust.result", line(words(result, 600, bold=True))))
    blocks.append(rich("trust.head", line(words(head, 300, bold=True))))
    if found.paused is not None:
        said = [glue("Everything asks: "), person(found.paused.by), glue(" paused what runs on its own.")]
        blocks.append(rich("trust.paused", line(*said)))
    for kind in found.found:
        tag, value = kind.case_kind.hash[:12], ButtonValue(kind.case_kind.hash, found.number, about)
        blocks.append(rich(f"trust.kind.{tag}", line(*_kind(kind, policy))))
        switch = _switch(kind.case_kind, trust, now, value)
        blocks.append(actions(f"trust.do.{tag}", [*switch, button(PLOT, "Plot", value)]))
    blocks += [context(f"trust.rules.{number}", one) for number, one in enumerate(_threshold_lines(trust))]
    pages = Pages("trust", about, found.number, found.more)
    text = f"{result} {head}" if result else head
    return Message(escape(clean(text, 500)), (*blocks, *turn(pages)))


def _head(found: KindsPage, about: str) -> str:
    named = f" with “{clean(about, 60)}”" if about else ""
    if not found.total:
        return f"No kind of case{named}" if about else "No kind of case yet"
    of = f", page {found.number}" if found.number > 1 or found.more else ""
    kinds = "1 kind of case" if found.total == 1 else f"{found.total:,} kinds of case"
    return f"{kinds}{named}{of}; {found.on:,} of all run on their own"


def _score(kind: CaseKind, trust: Trust) -> str:
    """The score, or the reason to always ask."""
    standard, always = standard_of(kind, trust), always_human_now(kind, trust)
    if standard is None or always:
        return always_words(always or AlwaysAsk.NO_THRESHOLD)
    return score_words(*kind.counts, standard.target)


def _kind(kind: KindStanding, policy: Policy) -> list[Element]:
    own = kind.case_kind
    left = left_today(own, kind.today, policy.caps, with_money=True)
    elements = [words(own.label, _WORDS, bold=True), glue(f"\n{own.risk} · ")]
    elements += [words(_score(own, policy.graduation), 200), glue("\n"), *_stands(own)]
    elements += [glue("\n"), words(_checked(kind), 200), glue(" · on its own: "), words(left, 100)]
    return elements + _demoted(kind, "\nLast")


def _demoted(kind: KindStanding, start: str) -> list[Element]:
    """The time and the reason of the last demotion; nothing when its present state says the same."""
    fell = kind.demotion
    if fell is None or fell.at == kind.case_kind.changed_at:
        return []
    return [glue(f"{start} demoted "), when(fell.at), glue(": "), words(cause_words(fell.cause), 200)]


def _stands(kind: CaseKind) -> list[Element]:
    how = " by manual override, below its threshold" if kind.manual_override else ""
    said = {
        CaseKindState.ASKING: "Asks each time",
        CaseKindState.PAUSED: "Paused, asks until it is turned on again",
        CaseKindState.GRADUATED: f"Runs on its own{how}",
    }[kind.state]
    if kind.changed_at is None:
        return [words(said)]
    cause = "–" if kind.cause is None else cause_words(kind.cause)
    return [words(said), glue(" since "), when(kind.changed_at), glue(": "), words(cause, 200)]


def _checked(kind: KindStanding) -> str:
    agreed, total = kind.spot_checks
    if not total:
        return "no spot check yet"
    bound = 100 * rejection_rate_bound(agreed, total)
    return f"spot checks: {agreed}/{total} agreed, at most {bound:.1f} % bad with 95 % certainty"


def _switch(kind: CaseKind, trust: Trust, now: datetime, value: ButtonValue) -> list[Element]:
    """The button that turns the kind on or off, if it can be turned."""
    if kind.state == CaseKindState.GRADUATED:
        return [button(TURN_OFF, "Turn off", value)]
    paused = kind.state == CaseKindState.PAUSED
    if always_human_now(kind, trust) is not None or not (paused or Risk(kind.risk) == Risk.R1):
        return []
    below = not paused and lacks(kind, trust, now)
    return [button(TURN_ON, "Turn on", value) | (_override(_score(kind, trust)) if below else {})]


def _override(score: str) -> Element:
    """The confirmation before a kind is turned on below its threshold."""
    said = (
        f"By manual override, no bound: {clean(score, 150)}. It is below its threshold. "
        "The caps hold, and one in two cases is still asked at first."
    )
    parts = {
        "title": "Turn on by manual override?",
        "text": said,
        "confirm": "Turn on",
        "deny": "Keep asking",
    }
    return {"confirm": {name: plain(part, 300) for name, part in parts.items()}}


def home_section(found: KindsPage, policy: Policy) -> list[Block]:
    """The part of the Home tab on trust: the kinds that run on their own, or come nearest to it."""
    if not found.total:
        return []
    head = f"Trust: {found.on:,} of {found.total:,} kinds of case run on their own"
    shown = found.found[:_ON_HOME]
    lines = []
    for kind in shown:
        own, checked = kind.case_kind, glue("\n" if kind.spot_checks[1] else " · ")
        elements = [words(own.label, 200, bold=True), glue("\n")]
        elements += [words(_score(own, policy.graduation), 200), glue("\n"), *_stands(own)]
        elements += [checked, words(_checked(kind), 200), *_demoted(kind, "; last")]
        lines.append(rich(f"home.trust.{own.hash[:12]}", line(*elements)))
    more = found.total - len(shown)
    small = "/polar trust shows each with its plot, and turns it on or off"
    small = f"{more:,} more: {small}" if more > 0 else small
    return [header("home.trust.head", head), *lines, context("home.trust.small", small)]


def _threshold_lines(trust: Trust) -> list[str]:
    """The requirements of each risk class, in two lines of small print."""
    thresholds = ", ".join(
        f"{risk.value} at {getattr(trust, risk.value):g}, "
        f"then 1 in {round(1 / one.spot_check_floor)} still asked"
        for risk, one in STANDARDS.items()
    )
    meaning = "The score: at least 95 % sure that at least this share of such cases would get a yes."
    override = "Turn on below the threshold is a manual override, for R1 only."
    return [
        f"Runs on its own once a person turns it on: {thresholds}. R3 only where opted in, R4 never.",
        f"{meaning} /polar trust WORDS looks for a kind. {override}",
    ]


# --- A plot -------------------------------------------------------------------------------------------------

PLOTTED = "The plot is in the channel of the cards."
APPROVERS_ONLY = "only who may decide puts one into the channel"
_REFUSED = {"missing_scope": "the app has no scope files:write (optional in manifest.yml)"}


def plot_title(kind: str) -> str:
    """The title of the file."""
    return f"Trust: {clean(kind, 150)}"


def plot_comment(user_id: str) -> str:
    """The text above the plot in the channel. The plot names the kind: Slack takes no blocks here."""
    return text("{user} asked how far this is trusted:", user=person(user_id)).mrkdwn


def plot_numbers(score: str, target: float, course: str) -> str:
    """The plot in numbers; `course` is the course of the score."""
    return f"Score now {score} of {target:g}; so far {course}."


def no_plot(error: str) -> str:
    """The text for a plot that Slack refused. `error` is Slack's code, or a description of the failure."""
    return f"There is no plot: {_REFUSED.get(error, clean(error, 200))}. The numbers instead:"


# --- Messages about runs, changes and offers ---------------------------------------------------------------


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
    caps, currency = policy.caps, case_kind.currency or ""
    said = f"{caps.case_kind_count} cases a day"
    if currency in caps.action_amount:
        one = format_money(caps.action_amount[currency], currency)
        day = format_money(caps.case_kind_amount.get(currency, 0), currency)
        said = f"{said}; where money moves {one} a case, {day} a day"
    return [
        ("Said", f"{n - k} yes, {k} no{since}, {case_kind.customers} customers"),
        (
            "Score",
            f"{found:.1f}: with 95 % confidence, people would approve at least {found:.1f} % of such cases",
        ),
        ("Caps", said),
    ]


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
        "One declined spot check, undo, dispute or error ends the automatic runs of this kind",
    ]
