"""The trust in each kind of case, as `/polar trust` and the Home tab show it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.config.policy import Policy, Trust
from bot.graduation.eligibility import STANDARDS, always_human_now, lacks, standard_of
from bot.graduation.spot_checks import rejection_rate_bound
from bot.sanitize import clean
from bot.ui.elements import (
    Block,
    ButtonValue,
    Element,
    Message,
    actions,
    button,
    context,
    escape,
    glue,
    header,
    line,
    person,
    plain,
    rich,
    when,
    words,
)
from bot.ui.ephemeral import Text, text
from bot.ui.graduation_notices import left_today
from bot.ui.graduation_words import always_words, cause_words, score_words
from bot.ui.lists import Pages, turn
from polar.catalog import Risk
from store.models import CaseKindState
from store.models.graduation import CaseKind, KindStanding
from store.models.reasons import AlwaysAsk

TURN_ON, TURN_OFF, PLOT = "trust.turn_on", "trust.turn_off", "trust.plot"
PAGE = 6  # kinds on one page: each takes two of Slack's fifty blocks, and a longer page is hard to read
_ON_HOME = 5
_WORDS = 300


@dataclass(frozen=True, slots=True)
class KindLine:
    """One kind of case in words. `score` is its score, or the reason to always ask; `stands` is its state.

    `button` is TURN_ON, TURN_OFF or empty; with `below`, turning it on is a manual override. `spot_checks`
    are (agreed, all) over all generations. `bound` is the highest rejection rate that they leave possible,
    None without a spot check. `demotion` is the time and the reason of the last demotion.
    """

    hash: str
    label: str
    risk: str
    score: str
    state: CaseKindState
    manual_override: bool
    spot_checks: tuple[int, int]
    bound: float | None
    left: str
    changed_at: datetime | None
    cause: str
    button: str = ""
    below: bool = False
    demotion: tuple[datetime, str] | None = None


def kind_line(kind: KindStanding, policy: Policy, now: datetime) -> KindLine:
    """One kind of case in words."""
    own, trust = kind.case_kind, policy.graduation
    standard, always = standard_of(own, trust), always_human_now(own, trust)
    fell, checks = kind.demotion, kind.spot_checks
    button, below = _switch(own, always, trust, now)
    return KindLine(
        hash=own.hash,
        label=own.label,
        risk=own.risk,
        score=always_words(always or AlwaysAsk.NO_THRESHOLD)
        if standard is None or always
        else score_words(*own.counts, standard.target),
        state=own.state,
        manual_override=own.manual_override,
        spot_checks=checks,
        bound=rejection_rate_bound(*checks) if checks[1] else None,
        left=left_today(own, kind.today, policy.caps, with_money=True),
        changed_at=own.changed_at,
        cause="" if own.cause is None else cause_words(own.cause),
        button=button,
        below=below,
        demotion=None if fell is None else (fell.at, cause_words(fell.cause)),
    )


def _switch(kind: CaseKind, always: str | None, trust: Trust, now: datetime) -> tuple[str, bool]:
    """The button, and True if it turns the kind on below its threshold."""
    if kind.state == CaseKindState.GRADUATED:
        return TURN_OFF, False
    if always is not None:
        return "", False
    if kind.state == CaseKindState.PAUSED:
        return TURN_ON, False
    return (TURN_ON, bool(lacks(kind, trust, now))) if Risk(kind.risk) == Risk.R1 else ("", False)


def threshold_lines(trust: Trust) -> list[str]:
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


@dataclass(frozen=True, slots=True)
class TrustPage:
    """One page. `about` is the search, `rules` the requirements of the classes, `result` that of a click."""

    kinds: Sequence[KindLine]
    number: int
    total: int
    more: bool
    on: int
    about: str = ""
    paused_by: str | None = None
    rules: Sequence[str] = ()
    result: str = ""


def trust_message(page: TrustPage) -> Message:
    """The answer to `/polar trust`."""
    head = _head(page)
    blocks: list[Block] = []
    if page.result:
        blocks.append(rich("trust.result", line(words(page.result, 600, bold=True))))
    blocks.append(rich("trust.head", line(words(head, 300, bold=True))))
    if page.paused_by is not None:
        said = [glue("Everything asks: "), person(page.paused_by), glue(" paused what runs on its own.")]
        blocks.append(rich("trust.paused", line(*said)))
    for kind in page.kinds:
        tag = kind.hash[:12]
        blocks.append(rich(f"trust.kind.{tag}", line(*_kind(kind))))
        blocks.append(_buttons(kind, page, tag))
    blocks += [context(f"trust.rules.{number}", one) for number, one in enumerate(page.rules)]
    pages = Pages("trust", page.about, page.number, page.more)
    text = f"{page.result} {head}" if page.result else head
    return Message(escape(clean(text, 500)), (*blocks, *turn(pages)))


def _head(page: TrustPage) -> str:
    about = f" with “{clean(page.about, 60)}”" if page.about else ""
    if not page.total:
        return f"No kind of case{about} yet" if not page.about else f"No kind of case{about}"
    of = f", page {page.number}" if page.number > 1 or page.more else ""
    kinds = "1 kind of case" if page.total == 1 else f"{page.total:,} kinds of case"
    return f"{kinds}{about}{of}; {page.on:,} of all run on their own"


def _kind(kind: KindLine) -> list[Element]:
    elements = [words(kind.label, _WORDS, bold=True), glue(f"\n{kind.risk} · "), words(kind.score, 200)]
    elements += [glue("\n"), *_stands(kind)]
    elements += [glue("\n"), words(_checked(kind), 200), glue(" · on its own: "), words(kind.left, 100)]
    return elements + _demoted(kind, "\nLast")


def _demoted(kind: KindLine, start: str) -> list[Element]:
    """The time and the reason of the last demotion; nothing when its present state says the same."""
    if kind.demotion is None or kind.demotion[0] == kind.changed_at:
        return []
    at, why = kind.demotion
    return [glue(f"{start} demoted "), when(at), glue(": "), words(why, 200)]


def _stands(kind: KindLine) -> list[Element]:
    how = ", by manual override, no bound" if kind.manual_override else ""
    said = {
        CaseKindState.ASKING: "Asks each time",
        CaseKindState.PAUSED: "Paused, asks until it is turned on again",
        CaseKindState.GRADUATED: f"Runs on its own{how}",
    }[kind.state]
    if kind.changed_at is None:
        return [words(said)]
    return [words(said), glue(" since "), when(kind.changed_at), glue(": "), words(kind.cause or "–", 200)]


def _checked(kind: KindLine) -> str:
    agreed, total = kind.spot_checks
    if kind.bound is None:
        return "no spot check yet"
    return f"spot checks: {agreed}/{total} agreed, at most {100 * kind.bound:.1f} % bad with 95 % certainty"


def _buttons(kind: KindLine, page: TrustPage, tag: str) -> Block:
    value = ButtonValue(kind.hash, page.number, page.about)
    elements = [button(PLOT, "Plot", value)]
    if kind.button == TURN_OFF:
        elements.insert(0, button(TURN_OFF, "Turn off", value))
    elif kind.button == TURN_ON:
        elements.insert(0, button(TURN_ON, "Turn on", value) | (_override(kind) if kind.below else {}))
    return actions(f"trust.do.{tag}", elements)


def _override(kind: KindLine) -> Element:
    """The confirmation before a kind is turned on below its threshold."""
    said = (
        f"By manual override, no bound: {clean(kind.score, 150)}. It is below its threshold. "
        "The caps hold, and one in two cases is still asked at first."
    )
    parts = {
        "title": "Turn on by manual override?",
        "text": said,
        "confirm": "Turn on",
        "deny": "Keep asking",
    }
    return {"confirm": {name: plain(part, 300) for name, part in parts.items()}}


def home_section(kinds: Sequence[KindLine], total: int, on: int) -> list[Block]:
    """The part of the Home tab on trust: the kinds that run on their own, or come nearest to it."""
    if not total:
        return []
    head = f"Trust: {on:,} of {total:,} kinds of case run on their own"
    blocks: list[Block] = [header("home.trust.head", head)]
    for kind in kinds[:_ON_HOME]:
        blocks.append(rich(f"home.trust.{kind.hash[:12]}", line(*_on_home(kind))))
    more = total - min(len(kinds), _ON_HOME)
    small = "/polar trust shows each with its plot, and turns it on or off"
    return [*blocks, context("home.trust.small", f"{more:,} more: {small}" if more > 0 else small)]


def _on_home(kind: KindLine) -> list[Element]:
    elements = [words(kind.label, 200, bold=True), glue("\n"), words(kind.score, 200), glue("\n")]
    elements += [*_stands(kind), glue("\n" if kind.spot_checks[1] else " · "), words(_checked(kind), 200)]
    return elements + _demoted(kind, "; last")


# --- A plot -------------------------------------------------------------------------------------------------

PLOTTED = "The plot is in the channel of the cards."
_REFUSED = {"missing_scope": "the app has no scope files:write (optional in manifest.yml)"}


def plot_title(kind: str) -> str:
    """The title of the file."""
    return f"Trust: {clean(kind, 150)}"


def plot_comment(user_id: str, kind: str) -> Text:
    """The text above the plot in the channel."""
    return text(
        "{user} asked how far this is trusted: {kind}", user=person(user_id), kind=words(kind, _WORDS)
    )


def plot_numbers(score: str, target: float, course: str) -> str:
    """The plot in numbers; `course` is the course of the score."""
    return f"Score now {score} of {target:g}; so far {course}."


def no_plot(error: str) -> str:
    """The text for a plot that Slack refused. `error` is Slack's code, or a description of the failure."""
    return f"There is no plot: {_REFUSED.get(error, clean(error, 200))}. The numbers instead:"
