"""How far each kind of case is trusted, as `/polar trust` and the Home tab show it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.sanitize import clean
from bot.ui.graduation_notices import money
from bot.ui.lists import Pages, turn
from bot.ui.message import Message
from bot.ui.text import Block, Element, context, escape, glue, line, person, rich, when, words
from store.models import CaseKindState

TURN_ON, TURN_OFF, PLOT = "trust.turn_on", "trust.turn_off", "trust.plot"
PAGE = 6  # kinds on one page: each takes two blocks of Slack's fifty, and a reader's patience
_ON_HOME = 5
_WORDS = 300


@dataclass(frozen=True, slots=True)
class KindLine:
    """One kind of case in words: `score` its score or why it always asks, `stands` what it does now.

    `button` is what may be tapped: TURN_ON, TURN_OFF or nothing; `below`: turning it on would be by
    manual_override.
    `audits` are (agreed, all) over all generations; `bound` is the highest bad rate they leave possible, None
    without an audit.
    `fell` is when it last lost its trust and why.
    """

    hash: str
    words: str
    risk: str
    score: str
    state: CaseKindState
    manual_override: bool
    audits: tuple[int, int]
    bound: float | None
    left: str
    changed_at: datetime | None
    cause: str
    button: str = ""
    below: bool = False
    fell: tuple[datetime, str] | None = None


@dataclass(frozen=True, slots=True)
class TrustPage:
    """One page: `about` is what was looked for, `rules` what each class asks, `told` what a tap came to."""

    kinds: Sequence[KindLine]
    number: int
    total: int
    more: bool
    on: int
    about: str = ""
    paused_by: str | None = None
    rules: Sequence[str] = ()
    told: str = ""


def trust_message(page: TrustPage) -> Message:
    """The answer to `/polar trust`."""
    head = _head(page)
    blocks: list[Block] = []
    if page.told:
        blocks.append(rich("trust.told", line(words(page.told, 600, bold=True))))
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
    text = f"{page.told} {head}" if page.told else head
    return Message(escape(clean(text, 500)), (*blocks, *turn(pages)))


def _head(page: TrustPage) -> str:
    about = f" with “{clean(page.about, 60)}”" if page.about else ""
    if not page.total:
        return f"No kind of case{about} yet" if not page.about else f"No kind of case{about}"
    of = f", page {page.number}" if page.number > 1 or page.more else ""
    kinds = "1 kind of case" if page.total == 1 else f"{page.total:,} kinds of case"
    return f"{kinds}{about}{of}; {page.on:,} of all run on their own"


def _kind(kind: KindLine) -> list[Element]:
    elements = [words(kind.words, _WORDS, bold=True), glue(f"\n{kind.risk} · "), words(kind.score, 200)]
    elements += [glue("\n"), *_stands(kind)]
    elements += [glue("\n"), words(_audited(kind), 200), glue(" · on its own: "), words(kind.left, 100)]
    return elements + _fell(kind, "\nLast")


def _fell(kind: KindLine, start: str) -> list[Element]:
    """When it last lost its trust and why, unless that is how it stands now: then it has been said."""
    if kind.fell is None or kind.fell[0] == kind.changed_at:
        return []
    return [glue(f"{start} lost its trust "), when(kind.fell[0]), glue(": "), words(kind.fell[1], 200)]


def _stands(kind: KindLine) -> list[Element]:
    said = {
        CaseKindState.ASKING: "Asks each time",
        CaseKindState.PAUSED: "Paused, asks until it is turned on again",
        CaseKindState.GRADUATED: "Runs on its own, by manual override, no bound"
        if kind.manual_override
        else "Runs on its own",
    }[kind.state]
    if kind.changed_at is None:
        return [words(said)]
    return [words(said), glue(" since "), when(kind.changed_at), glue(": "), words(kind.cause or "–", 200)]


def _audited(kind: KindLine) -> str:
    agreed, total = kind.audits
    if kind.bound is None:
        return "no audit yet"
    return f"audits: {agreed}/{total} agreed, at most {100 * kind.bound:.1f} % bad with 95 % certainty"


def _buttons(kind: KindLine, page: TrustPage, tag: str) -> Block:
    value = " ".join(filter(None, [kind.hash, str(page.number), page.about]))
    elements = [_button(PLOT, "Plot", value)]
    if kind.button == TURN_OFF:
        elements.insert(0, _button(TURN_OFF, "Turn off", value))
    elif kind.button == TURN_ON:
        elements.insert(0, _button(TURN_ON, "Turn on", value) | (_by_decree(kind) if kind.below else {}))
    return {"type": "actions", "block_id": f"trust.do.{tag}", "elements": elements}


def _button(action_id: str, label: str, value: str) -> Element:
    text = {"type": "plain_text", "text": label, "emoji": False}
    return {"type": "button", "action_id": action_id, "text": text, "value": value[:2_000]}


def _by_decree(kind: KindLine) -> Element:
    """The question before a kind is turned on that has not earned it."""
    said = (
        f"By manual override, no bound: {clean(kind.score, 150)}. Its score does not vouch for it. "
        "The caps hold, and one in two cases is still asked at first."
    )
    plain = {
        "title": "Turn on by manual override?",
        "text": said,
        "confirm": "Turn on",
        "deny": "Keep asking",
    }
    return {
        "confirm": {
            name: {"type": "plain_text", "text": text[:300], "emoji": False} for name, text in plain.items()
        }
    }


def home_section(kinds: Sequence[KindLine], total: int, on: int) -> list[Block]:
    """What the Home tab says of trust: the kinds that run on their own, or come nearest to it."""
    if not total:
        return []
    head = f"Trust: {on:,} of {total:,} kinds of case run on their own"
    heading = {"type": "plain_text", "text": head, "emoji": False}
    blocks: list[Block] = [{"type": "header", "block_id": "home.trust.head", "text": heading}]
    for kind in kinds[:_ON_HOME]:
        blocks.append(rich(f"home.trust.{kind.hash[:12]}", line(*_on_home(kind))))
    more = total - min(len(kinds), _ON_HOME)
    small = "/polar trust shows each with its plot, and turns it on or off"
    return [*blocks, context("home.trust.small", f"{more:,} more: {small}" if more > 0 else small)]


def _on_home(kind: KindLine) -> list[Element]:
    elements = [words(kind.words, 200, bold=True), glue("\n"), words(kind.score, 200), glue("\n")]
    elements += [*_stands(kind), glue("\n" if kind.audits[1] else " · "), words(_audited(kind), 200)]
    return elements + _fell(kind, "; last")


def left_today(cases: int, cap: int, amount: int, money_cap: int | None, currency: str) -> str:
    """What a kind's caps leave today: `38 cases and $23.00 left today`."""
    left = max(cap - cases, 0)
    count = f"{left:,} case{'' if left == 1 else 's'}"
    if money_cap is None:
        return f"{count} left today"
    return f"{count} and {money(max(money_cap - amount, 0), currency)} left today"
