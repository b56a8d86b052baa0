"""`/polar trust`: how far each kind of case is trusted, its switches, its plot; also for the Home tab."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from slack_bolt.async_app import AsyncApp

from bot.approvals.graduation import GraduationService
from bot.graduation import score
from bot.graduation.score import events, points, standard_of
from bot.listeners.acknowledge import Interaction, listen
from bot.results import Refusal
from bot.services import Services
from bot.slack.client import SlackError, SlackRefused, SlackUser
from bot.ui import ephemeral
from bot.ui import graduation as trust_page
from bot.ui.elements import Block, Message
from bot.ui.graduation_words import switch_words
from bot.ui.score_chart import score_chart, score_list
from polar.text.words import clean
from store.engine.errors import StoreError
from store.graduation.case_kinds import find_case_kind
from store.graduation.pages import history, kinds_page
from store.models import CaseKindState
from store.models.graduation import KindsPage
from store.models.reasons import SwitchCode, Switched

_LONGEST = 100  # characters of what is looked for
_LAST_PAGE = 100_000


class GraduationScreen:
    """Shows the kinds of case, and does what the buttons below each ask."""

    def __init__(self, services: Services) -> None:
        self._services, self._graduation = services, GraduationService(services)

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""
        for action_id in (trust_page.TURN_ON, trust_page.TURN_OFF, trust_page.PLOT):
            listen(self._services, app.action(action_id), self._clicked)

    async def answer(self, about: str, page: int, *, result: str = "") -> Message:
        """One page of the kinds of case with these words, the result of a click on top. Raises StoreError."""
        about = " ".join(about.split())[:_LONGEST]
        found = await self._page(about.split(), page)
        policy, now = self._services.rules.policy, self._services.clock()
        return trust_page.trust_message(found, policy, now, about=about, result=result)

    async def panel(self, midnight: datetime) -> Sequence[Block]:
        """The part of the Home tab about automatic runs, below today's runs. Raises StoreError."""
        policy = self._services.rules.policy
        ran = trust_page.runs_block(await self._graduation.ran(midnight), policy.caps, "home")
        return [*([ran] if ran else []), *trust_page.home_section(await self._page((), 1), policy)]

    async def _page(self, words: Sequence[str], page: int) -> KindsPage:
        now = self._services.clock()
        return await self._services.store.read(kinds_page, words, page=page, size=trust_page.PAGE, now=now)

    async def _clicked(self, on: Interaction) -> None:
        """A button of a kind was clicked: the result stands on top of the page it was clicked on."""
        user, value, action_id = on.user, on.value, str(on.payload.get("action_id"))
        refused = await self._services.authority.refusal_to_read(user.id, user.team_id)
        try:
            if refused is None:
                result = (
                    await self.plot(user, value.id)
                    if action_id == trust_page.PLOT
                    else switch_text(await self.switch(user, action_id, value.id))
                )
                page = min(value.number, _LAST_PAGE)
                await on.replace(await self.answer(value.detail, page, result=result))
                return
            said = ephemeral.refused(refused)
        except StoreError as error:
            said = ephemeral.not_shown(str(error))
        await on.respond(**said.content, response_type="ephemeral", replace_original=False)

    async def switch(self, user: SlackUser, action_id: str, start: str) -> Switched | Refusal:
        """Turn a kind on or off. Whether this person may is asked now."""
        try:
            if action_id == trust_page.TURN_OFF:
                return await self._graduation.turn_off(user, start)
            found = await self._services.store.read(find_case_kind, start) if start else None
            paused = found is not None and found.state == CaseKindState.PAUSED
            turn_on = self._graduation.turn_on_again if paused else self._graduation.manual_override
            return await turn_on(user, start)
        except StoreError:
            return Switched(SwitchCode.NOT_STORED)

    async def plot(self, user: SlackUser, start: str) -> str:
        """Put a kind's chart into the channel if this person may decide; the result for whoever asked."""
        case_kind = await self._services.store.read(find_case_kind, start) if start else None
        if case_kind is None:
            return switch_words(Switched(SwitchCode.NO_SUCH_KIND))
        past = await self._services.store.read(history, case_kind.hash, self._services.clock())
        found = await asyncio.to_thread(points, past)
        standard = standard_of(case_kind, self._services.rules.policy.graduation)
        target = 100.0 if standard is None else standard.target
        now = score.shown_score(score.score(*case_kind.counts), target)
        numbers = trust_page.plot_numbers(now, target, score_list(found))
        if not await self._graduation.may_decide(user, case_kind.risk):
            return f"{trust_page.no_plot(trust_page.APPROVERS_ONLY)} {numbers}"
        picture = await asyncio.to_thread(
            score_chart, found, threshold=target, events=events(past), title=clean(case_kind.label, 120)
        )
        try:
            await self._services.slack.upload(
                self._services.channel,
                f"trust-{case_kind.hash[:8]}.png",
                picture,
                title=trust_page.plot_title(case_kind.label),
                comment=trust_page.plot_comment(user.id),
            )
        except SlackError as error:
            why = error.code if isinstance(error, SlackRefused) else str(error)
            return f"{trust_page.no_plot(why)} {numbers}"
        return f"{trust_page.PLOTTED} {numbers}"


def switch_text(result: Switched | Refusal) -> str:
    """The result of a switch, or why this person may not."""
    return ephemeral.refused(result).plain if isinstance(result, Refusal) else switch_words(result)
