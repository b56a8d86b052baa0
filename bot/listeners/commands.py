"""`/polar`: its commands, what each answers, and the buttons that turn the pages of its lists."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from slack_bolt.async_app import AsyncApp

from bot.approvals.graduation import GraduationService
from bot.forms.service import Proposing
from bot.listeners.acknowledge import Answer, Interaction, listen
from bot.listeners.graduation import GraduationScreen
from bot.listeners.home import SOON
from bot.listeners.workspace import HealthSource
from bot.pipeline.announce import view_of
from bot.services import Queue, Services
from bot.slack.client import SlackUser
from bot.slack.permalinks import Links
from bot.ui import ephemeral, lists, reports
from bot.ui.card import card
from bot.ui.elements import Message, Text, text
from bot.ui.home import COMMANDS as ABOUT
from bot.ui.home import help_message
from store.engine.dialects import readable
from store.engine.errors import StoreError
from store.events.events import retry_events
from store.proposals.lists import beginning, history, mine, queue, whole

log = logging.getLogger(__name__)

_USER = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")
_MAIL = re.compile(r"<mailto:([^|>]+)(?:\|[^>]*)?>")
_BECAUSE = re.compile(r"^(?:because\b|:)[\s:]*", re.IGNORECASE)
_SOUGHT = 200  # characters of what is looked for, and of why something is paused
_LONGEST = 500  # characters of a command that are read
_NOBODY = SlackUser("", None)


@dataclass(frozen=True, slots=True)
class Command:
    """One word: what it answers; None for the one that opens a form.

    `paged` ones only look, so that a button may ask for them. `for_all`: whoever may not read gets an answer
    too, or the command asks by itself who it is.
    """

    answer: "Callable[[SlashCommand, CommandCall], Awaitable[Message]] | None"
    paged: bool = False
    for_all: bool = False


@dataclass(frozen=True, slots=True)
class CommandCall:
    """One use of the command: the word as typed, what followed it, who calls and where.

    `about` is the text after the word without the `page` at its end, which is 1 without one.
    """

    word: str
    rest: str
    about: str
    page: int
    command: Command
    user: SlackUser
    channel: str | None = None


def read_command(text: str, user: SlackUser = _NOBODY, channel: str | None = None) -> CommandCall:
    """The command typed after `/polar`: no text means the queue, an unknown word means help."""
    # A database may refuse a character in a query too, not only in a stored value.
    word, _, rest = readable(text).strip()[:_LONGEST].partition(" ")
    word, rest = word.lower(), rest.strip()
    start, _, last = rest.rpartition(" ")
    about, page = (start.strip(), int(last)) if last.isdecimal() and len(last) < 7 else (rest, 1)
    known = COMMANDS.get(word, COMMANDS["help"]) if word else COMMANDS["queue"]
    return CommandCall(word, rest, about, page, known, user, channel)


class SlashCommand:
    """Answers `/polar`, and the buttons below its lists. A method for each command; it raises StoreError."""

    def __init__(self, services: Services, health: HealthSource, links: Links, proposing: Proposing) -> None:
        self._services, self._health, self._links = services, health, links
        self._graduation, self._proposing = GraduationScreen(services), proposing
        self._runs = GraduationService(services)

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""
        services, failed = self._services, _content(text(ephemeral.COMMAND_FAILED).message)
        listen(services, app.command("/polar"), self._answered, failed=failed, later=_late)
        listen(services, app.action(_TURNED), self._turned)

    async def _answered(self, on: Interaction) -> Answer | None:
        """`/polar`: see COMMANDS."""
        call = read_command(str(on.body.get("text") or ""), on.user, on.place.channel)
        if call.command.answer is not None:
            return _content(await self._message(call))

        async def tell(said: Text) -> None:
            await on.respond(**_content(said.message))

        await self._proposing.open(call.user, trigger_id=on.trigger_id, words=call.rest, tell=tell)
        return None

    async def _turned(self, on: Interaction) -> None:
        """Back or Next was clicked below a list: the value is the command of that page."""
        call = read_command(str(on.payload.get("value", "")), on.user)
        if call.command.answer is None or not call.command.paged:
            log.warning("a button asked for %r, which no button shows", call.word[:40])
            return
        await on.replace(await self._message(call))

    async def _message(self, call: CommandCall) -> Message:
        """The answer. Whoever may not read gets the help only."""
        command = call.command
        assert command.answer is not None  # noqa: S101 - the caller has looked
        user = call.user
        try:
            if not command.for_all:
                refused = await self._services.authority.refusal_to_read(user.id, user.team_id)
                if refused is not None:
                    return ephemeral.refused_command(refused).message
            return await command.answer(self, call)
        except StoreError as error:
            return ephemeral.not_shown(str(error)).message

    async def queue(self, call: CommandCall) -> Message:
        """The open proposals, or those of a filter in lists.QUEUES; an unknown filter shows all."""
        now, store, which = self._services.clock(), self._services.store, call.about.lower()
        which = which if which in lists.QUEUES else ""
        found = await store.read(
            queue, which=which, person=call.user.id, now=now, soon=now + SOON, page=call.page
        )
        return lists.queue_message(
            found.found,
            await self._links.of(found.found),
            pages=lists.Pages("queue", which, found.number, found.more),
            total=found.total or 0,
            counts=(await self._health.counts.now()).proposals,
            now=now,
        )

    async def mine(self, call: CommandCall) -> Message:
        """The unfinished proposals that are assigned to somebody, or that they proposed or approved."""
        now = self._services.clock()
        found = await self._services.store.read(mine, person=call.user.id, soon=now + SOON, page=call.page)
        groups = (
            ("Assigned to you", found.assigned),
            ("Proposed by you", found.proposed),
            ("Approved by you", found.approved),
        )
        shown = [proposal for _, part in groups for proposal in part.found]
        return lists.mine_message(
            [(heading, part.found) for heading, part in groups],
            await self._links.of(shown),
            pages=lists.Pages("mine", "", max(call.page, 1), any(part.more for _, part in groups)),
            now=now,
        )

    async def show(self, call: CommandCall) -> Message:
        """One proposal by its id or the start of it: what its card says, and every step since."""
        start = call.rest.strip().strip("`").casefold()[:_SOUGHT]
        ids = await self._services.store.read(beginning, start) if start else []
        found = await self._services.store.read(whole, ids[0]) if len(ids) == 1 else None
        if found is None:
            return lists.not_found_message(call.rest, ids)
        proposal, steps = found
        shown = card(proposal, await view_of(self._services, proposal))
        return lists.show_message(proposal, shown, steps, (await self._links.of([proposal])).get(proposal.id))

    async def history(self, call: CommandCall) -> Message:
        """The last decisions; of one customer, rule or person if `about` names one."""
        by, value = read_history(call.about, self._services.rules.origins)
        found = await self._services.store.read(history, by=by, value=value, page=call.page)
        named = await self._services.authority.name(value) if by == "person" else value
        return lists.history_message(
            lists.history_heading(by, named),
            found.found,
            await self._links.of(found.found),
            pages=lists.Pages("history", call.about.strip()[:_SOUGHT], found.number, found.more),
            now=self._services.clock(),
        )

    async def rules(self, call: CommandCall) -> Message:
        """One page of the rules, with what they have done."""
        activity = await self._health.counts.rules()
        return lists.rules_message(
            lists.rule_lines(self._services.rules, activity),
            lists.events_without_rule(self._services.rules),
            call.page,
        )

    async def trust(self, call: CommandCall) -> Message:
        """The kinds of case, each with its state on the way to automatic runs."""
        return await self._graduation.answer(call.about, call.page)

    async def status(self, _: CommandCall) -> Message:
        """Tell whether all is well."""
        return reports.status_message(await self._health.health())

    async def pause(self, call: CommandCall) -> Message:
        """Stop all automatic runs; for whoever may decide anything. The channel is told."""
        because = _BECAUSE.sub("", " ".join(call.rest.split()))[:_SOUGHT]
        result = await self._runs.pause(call.user, because, channel=call.channel)
        return reports.pause_result(result)

    async def resume(self, call: CommandCall) -> Message:
        """Allow automatic runs again; for whoever may decide every class that runs. The channel is told."""
        return reports.pause_result(await self._runs.resume(call.user))

    async def retry(self, call: CommandCall) -> Message:
        """Have failed rules asked again about one webhook, or about all; for whoever may decide anything."""
        services, start = self._services, call.rest.strip("` ")[:_SOUGHT]
        refused = await services.authority.refusal_to_pause(call.user.id, call.user.team_id)
        if refused is not None:
            return ephemeral.refused(refused).message
        if not start:
            return text(reports.RETRY_WHAT).message
        every = start == "all"
        ids = await services.store.do(retry_events, None if every else start, services.clock())
        services.notify(Queue.PROPOSE)
        return reports.retried_message("" if every else start, ids)

    async def help(self, call: CommandCall) -> Message:
        """The commands, and the one that an unknown word may have meant."""
        unknown = "" if call.word in COMMANDS else call.word
        closest = get_close_matches(unknown, COMMANDS, 1) if unknown else []
        return help_message(ABOUT, unknown, "".join(closest))


# What each does stands in bot.ui.home.
COMMANDS: Mapping[str, Command] = {
    "queue": Command(SlashCommand.queue, paged=True),
    "mine": Command(SlashCommand.mine, paged=True),
    "show": Command(SlashCommand.show),
    "history": Command(SlashCommand.history, paged=True),
    "propose": Command(None),
    "rules": Command(SlashCommand.rules, paged=True),
    "trust": Command(SlashCommand.trust, paged=True),
    "pause": Command(SlashCommand.pause, for_all=True),
    "resume": Command(SlashCommand.resume, for_all=True),
    "retry": Command(SlashCommand.retry),
    "status": Command(SlashCommand.status),
    "help": Command(SlashCommand.help, for_all=True),
}
_TURNED = re.compile(
    rf"(?:{'|'.join(w for w, c in COMMANDS.items() if c.paged)})\.(?:{lists.BACK}|{lists.NEXT})"
)


async def _late(on: Interaction, answer: Answer) -> None:
    await on.respond(**answer)


def _content(message: Message) -> Answer:
    return message.content | {"response_type": "ephemeral"}


def read_history(typed: str, rules: Mapping[str, object]) -> tuple[str, str]:
    """The filter typed after `/polar history`: a mention, an address, `rule NAME`, a customer's id.

    `by` and the value, as in the store's `history`.
    """
    text = " ".join(typed.split())[:_SOUGHT]
    if (user := _USER.match(text)) is not None:
        return ("person", user[1])
    mail = _MAIL.search(text)
    kind, _, rest = text.partition(" ")
    value = mail[1] if mail else rest.strip() if kind in ("rule", "customer") and rest else text
    if not value:
        return ("", "")
    if (kind == "rule" and rest) or ("@" not in value and value in rules):
        return ("rule", value)
    if "@" in value:
        return ("customer", value.lower())
    return ("customer_id", value)
