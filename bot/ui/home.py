"""The Home tab: the next proposal, the waiting ones, today's runs and the status. And `/polar help`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.ui.card import APPROVE, DECLINE
from bot.ui.elements import (
    Block,
    ButtonValue,
    Element,
    Message,
    actions,
    bullet_list,
    button,
    context,
    emoji,
    escape,
    glue,
    header,
    line,
    rich,
    when,
    words,
)
from bot.ui.lists import content, row
from bot.ui.reports import Health, automatic, feed_line
from bot.ui.states import counted
from polar.text.words import clean, format_money
from store.models import Proposal
from store.models.details import Today

# The commands after `/polar`, and their effects.
COMMANDS: Mapping[str, str] = {
    "queue": "what waits for a decision, most urgent first; so does /polar alone. queue urgent, mine, "
    "snoozed, unknown or failed narrows it",
    "mine": "what is assigned to you, and what you proposed or approved that is not finished",
    "show": "one proposal, by its id or the start of it: its state and who decided",
    "history": "the last decisions and their results; history jane@example.com, a customer's id, rule NAME "
    "or @somebody narrows it",
    "propose": "a form for anything that can be done at Polar; “propose refund” begins with what these words "
    "find. What you propose becomes a card that somebody else approves",
    "rules": "every rule, whether it is on and what it has done, and why some events have none",
    "trust": "how far each kind of case is trusted, and what runs automatically; trust refund finds a kind. "
    "For approvers: turn one on or off",
    "pause": "stop automatic runs until somebody resumes them; “pause because …” says why. For approvers",
    "resume": "trusted kinds run automatically again. For whoever may decide every class that can run so",
    "retry": "ask the rules again that failed on a webhook, by its id as in status; retry all asks all. For "
    "approvers",
    "status": "whether webhooks arrive and all is well, and the last errors",
    "help": "this list",
}
HOME_OPEN, HOME_LOOK = "home.open", "home.look"  # action ids: a link to the card, a new check of set-up
_MOST_STEPS = 25
_THEN = line(glue("Then, most urgent first (all of them: /polar queue):"))
_ALL_SET = "All set: Slack, Polar, the webhook and the approvers are as they should be"


@dataclass(frozen=True, slots=True)
class SetUpStep:
    """One step of the set-up: done or not, in words; `remedy` is the action that completes it."""

    done: bool
    said: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Home:
    """The content of the Home tab. `next_card` is the card of `next_up`; `links` are by proposal id.

    `panels` are blocks of other parts of the program. `steps` is None until the set-up was checked. `result`
    is the result of the last click on this tab.
    """

    now: datetime
    health: Health
    counts: Mapping[str, int]
    deciders: str
    today: Today
    next_up: Proposal | None = None
    next_card: Message | None = None
    waiting: Sequence[Proposal] = ()
    links: Mapping[str, str] | None = None
    panels: Sequence[Block] = ()
    steps: Sequence[SetUpStep] | None = None
    result: Sequence[Element] = ()


def home_view(home: Home) -> dict[str, Any]:
    """The view of the app's Home tab."""
    links = home.links or {}
    others = [p for p in home.waiting if home.next_up is None or p.id != home.next_up.id][:5]
    rows = [line(*row(p, links.get(p.id), home.now)) for p in others]
    blocks: list[Block] = [
        header("home.title", "Polar approvals"),
        *([rich("home.result", line(*home.result))] if home.result else []),
        *_set_up(home.steps),
        *_next(home, links),
        header("home.count", "Proposals"),
        rich("home.counts", line(words(counted(home.counts) or "none yet", 400))),
        *([rich("home.waiting", _THEN, bullet_list(rows))] if rows else []),
        header("home.ran.head", "Automatic runs today"),
        rich("home.ran", line(*_ran(home))),
        *home.panels,
        {"type": "divider", "block_id": "home.end"},
        rich("home.feed", line(*feed_line(home.health))),
        rich("home.as_of", line(glue("As of "), when(home.now), glue("."))),
        context("home.deciders", home.deciders),
    ]
    return {"type": "home", "blocks": blocks[:100]}


def outside_view(refused: str) -> dict[str, Any]:
    """The Home tab of a person without access: the reason in one line."""
    return {"type": "home", "blocks": [rich("home.outside", line(words(refused, 300)))]}


def _set_up(steps: Sequence[SetUpStep] | None) -> list[Block]:
    """The check-list of the set-up; one line once every step is done."""
    if steps is None:
        return []
    if all(step.done for step in steps):
        return [context("home.set_up", _ALL_SET)]
    rows = []
    for step in steps[:_MOST_STEPS]:
        mark = emoji("white_check_mark" if step.done else "black_square_button")
        remedy = [glue(" "), words(step.remedy, 300)] if step.remedy and not step.done else []
        rows.append(line(mark, glue(" "), words(step.said, 300), *remedy))
    return [
        header("home.set_up.head", "Set-up"),
        rich("home.set_up", bullet_list(rows)),
        actions("home.set_up.again", [button(HOME_LOOK, "Look again", "again")]),
    ]


def _next(home: Home, links: Mapping[str, str]) -> list[Block]:
    if home.next_up is None or home.next_card is None:
        return [rich("home.next", line(words("Nothing waits for a decision.", bold=True)))]
    p, tag = home.next_up, f"{home.next_up.id}.{home.next_up.row_version}"
    value, link = ButtonValue(p.id, p.revision), links.get(p.id)
    elements = [
        button(APPROVE, "Approve", value, style="primary", about=p.title),
        button(DECLINE, "Decline", value, style="danger", about=p.title),
        *([button(HOME_OPEN, "Open") | {"url": link}] if link else []),
    ]
    return [
        header("home.next.head", "Decide next"),
        *content(home.next_card.blocks, f"home.card.{tag}"),
        actions(f"home.decide.{tag}", elements),
    ]


def _ran(home: Home) -> list[Element]:
    """The automatic runs of today, and the decisions by people."""
    today = home.today
    asked = f"People approved {today.approved:,} and declined {today.declined:,}."
    start = [*automatic(home.health.paused), glue(". ")] if home.health.paused else []
    money = ", ".join(format_money(amount, currency) for currency, amount in today.money if amount)
    ran = f"{today.ran:,} ran on {'its' if today.ran == 1 else 'their'} own" if today.ran else "Nothing ran"
    return [*start, words(f"{ran}{f', {money}' if money else ''}. {asked}", 400)]


def help_message(commands: Mapping[str, str], unknown: str = "", closest: str = "") -> Message:
    """The commands after `/polar`, as {word: its effect}. `unknown` is the text that a person typed instead.

    `closest` is the word that they may have meant.
    """
    meant = f" Did you mean {closest}?" if closest else ""
    lead = (
        f"/polar knows no “{clean(unknown, 40)}”.{meant} It knows:" if unknown else "What may follow /polar:"
    )
    rows = [line(words(word, bold=True), glue("  "), words(about)) for word, about in commands.items()]
    text = f"{lead} {', '.join(commands)}"
    return Message(escape(text), (rich("help", line(words(lead)), bullet_list(rows)),))


def greeting(deciders: str, *, here: bool) -> Message:
    """The message at the first invitation into a channel. `here`: the cards come to this channel."""
    what = (
        "Hello. When a rule proposes something after a Polar event, I post a card here. "
        "Approve sends the proposed calls to Polar, each at most once. Decline sends nothing."
        if here
        else "Hello. The cards about Polar events are posted in another channel: the one in SLACK_CHANNEL. "
        "Set it to this channel's id to have them here."
    )
    more = "/polar help lists what can be asked; the Home tab of this app shows what waits."
    said = line(glue(what + "\n"), words(deciders, 400), glue(".\n" + more))
    return Message(what, (rich("greeting", said),))
