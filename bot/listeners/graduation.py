"""`/polar trust`: how far each kind of case is trusted, its switches, its picture; also for Home."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.approvals.graduation import Trust
from bot.graduation import score
from bot.graduation.eligibility import standard_of
from bot.graduation.history import events, points
from bot.sanitize import clean
from bot.services import Services
from bot.slack.client import SlackError, SlackRefused
from bot.slack.user import Person, person_of
from bot.ui.card import Message
from bot.ui.graduation_notices import runs_block
from bot.ui.graduation_page import (
    PAGE,
    PLOT,
    TURN_OFF,
    TURN_ON,
    KindLine,
    TrustPage,
    home_section,
    kind_line,
    threshold_lines,
    trust_message,
)
from bot.ui.graduation_words import shown_score, switch_words
from bot.ui.score_chart import score_chart, score_list
from bot.ui.text import Block, escape
from store.engine.errors import StoreError
from store.graduation.case_kinds import find_case_kind
from store.graduation.pages import KindsPage, history, kinds_page
from store.models import CaseKindState
from store.models.graduation import KindStanding

_LONGEST = 100  # characters of what is looked for
_NOT_STORED = "The database does not answer. Nothing was changed. Try again in a moment."


class TrustScreen:
    """Shows trust, and does what the buttons below it ask."""

    def __init__(self, services: Services) -> None:
        self._services, self._trust = services, Trust(services)

    async def answer(self, about: str, page: int, *, told: str = "") -> Message:
        """One page of the kinds of case with these words. Raises StoreError."""
        about = " ".join(about.split())[:_LONGEST]
        found = await self._page(about.split(), page, PAGE)
        return trust_message(
            TrustPage(
                kinds=self._lines(found.found),
                number=found.number,
                total=found.total,
                more=found.more,
                on=found.on,
                about=about,
                paused_by=None if found.paused is None else found.paused.by,
                rules=threshold_lines(self._services.rules.policy.graduation),
                told=told,
            )
        )

    async def panel(self, midnight: datetime) -> Sequence[Block]:
        """What the Home tab says of trust, below what ran today. Raises StoreError."""
        ran = runs_block(await self._trust.ran(midnight), self._services.rules.policy.caps, "home")
        found = await self._page((), 1, PAGE)
        return [
            *([ran] if ran else []),
            *home_section(self._lines(found.found), found.total, found.on),
        ]

    def _lines(self, kinds: Sequence[KindStanding]) -> list[KindLine]:
        policy, now = self._services.rules.policy, self._services.clock()
        return [kind_line(one, policy, now) for one in kinds]

    async def _page(self, words: Sequence[str], page: int, size: int) -> KindsPage:
        now = self._services.clock()
        return await self._services.store.do(kinds_page, words, page=page, size=size, now=now)

    async def outsider(self, who: Person) -> str | None:
        """Why somebody may not even look, in words; None when they may."""
        return await self._services.authority.outsider(who.user_id, who.team_id, "look at this")

    async def switch(self, who: Person, action_id: str, start: str) -> str:
        """Turn a kind on or off; what came of it. Whether this person may is asked now."""
        try:
            if action_id == TURN_OFF:
                return switch_words(await self._trust.turn_off(who, start))
            found = await self._services.store.do(find_case_kind, start) if start else None
            paused = found is not None and found.state == CaseKindState.PAUSED
            turn_on = self._trust.turn_on_again if paused else self._trust.manual_override
            return switch_words(await turn_on(who, start))
        except StoreError:
            return _NOT_STORED

    async def plot(self, who: Person, start: str) -> str:
        """Put a kind's picture into the channel of the cards; what to tell whoever asked."""
        case_kind = await self._services.store.do(find_case_kind, start) if start else None
        if case_kind is None:
            return "There is no such kind of case any more. /polar trust lists those there are."
        past = await self._services.store.do(history, case_kind.hash, self._services.clock())
        found = await asyncio.to_thread(points, past)
        standard = standard_of(case_kind, self._services.rules.policy.graduation)
        target = 100.0 if standard is None else standard.target
        exact = score.score(*case_kind.counts)
        numbers = f"Score now {shown_score(exact, target)} of {target:g}; so far {score_list(found)}."
        picture = await asyncio.to_thread(
            score_chart, found, threshold=target, events=events(past), title=clean(case_kind.label, 120)
        )
        comment = f"<@{who.user_id}> asked how far this is trusted: {escape(clean(case_kind.label, 300))}"
        try:
            await self._services.slack.upload(
                self._services.channel,
                f"trust-{case_kind.hash[:8]}.png",
                picture,
                title=f"Trust: {clean(case_kind.label, 150)}",
                comment=comment,
            )
        except SlackError as error:
            return f"{_no_picture(error)} {numbers}"
        return f"The picture is in the channel of the cards. {numbers}"


def _no_picture(error: SlackError) -> str:
    if isinstance(error, SlackRefused) and error.code == "missing_scope":
        return "No picture: the app has no scope files:write (optional in manifest.yml). The numbers instead:"
    return f"No picture: {error}. The numbers instead:"


log = logging.getLogger(__name__)


Payload = Mapping[str, Any]


class TrustButtons:
    """What came of a tap stands on top of the page it was made on."""

    def __init__(self, screen: TrustScreen) -> None:
        self._screen = screen

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""
        for action_id in (TURN_ON, TURN_OFF, PLOT):
            app.action(action_id)(self.pressed)

    async def pressed(self, ack: AsyncAck, body: Payload, action: Payload, respond: AsyncRespond) -> None:
        """One of them was tapped. The value is the kind of case's hash, the page, and what was looked for."""
        await ack()
        try:
            await self._press(body, action, respond)
        except Exception:  # Slack has been answered: Bolt must not turn this into a second answer
            log.exception("a button of trust failed after it was acknowledged")

    async def _press(self, body: Payload, action: Payload, respond: AsyncRespond) -> None:
        who, action_id = person_of(body), str(action.get("action_id"))
        case_kind, _, rest = str(action.get("value", "")).partition(" ")
        page, _, about = rest.partition(" ")
        refused = await self._screen.outsider(who)
        if refused is not None:
            await respond(text=escape(refused), response_type="ephemeral", replace_original=False)
            return
        try:
            if action_id == PLOT:
                told = await self._screen.plot(who, case_kind)
            else:
                told = await self._screen.switch(who, action_id, case_kind)
            message = await self._screen.answer(about, int(page) if page.isdecimal() else 1, told=told)
        except StoreError as error:
            said = escape(f"Nothing can be shown just now: {error}")
            await respond(text=said, response_type="ephemeral", replace_original=False)
            return
        await respond(text=message.text, blocks=list(message.blocks), replace_original=True)
