"""`/polar trust`: how far each kind of case is trusted, its switches, its picture; also for Home."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.approvals.graduation import Trust
from bot.graduation import score, spot_checks
from bot.graduation.eligibility import always_human, lacks, opted_in, standard_of
from bot.graduation.history import events, in_words, points
from bot.graduation.plot import trust_plot
from bot.graduation.thresholds import STANDARDS
from bot.sanitize import clean
from bot.services import Parts
from bot.slack.client import SlackError, SlackRefused
from bot.slack.user import Person, person_of
from bot.ui.card import Message
from bot.ui.graduation_notices import receipts_block
from bot.ui.graduation_page import (
    PAGE,
    PLOT,
    TURN_OFF,
    TURN_ON,
    KindLine,
    TrustPage,
    home_section,
    left_today,
    trust_message,
)
from bot.ui.text import Block, escape
from polar.catalog import Risk
from store.engine.errors import StoreError
from store.graduation.case_kinds import find_shape
from store.graduation.pages import Kind, KindsPage, course, kinds_page
from store.models import ShapeState
from store.models.graduation import Shape

_LONGEST = 100  # characters of what is looked for
_NOT_STORED = "The database does not answer. Nothing was changed. Try again in a moment."


class TrustScreen:
    """Shows trust, and does what the buttons below it ask."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._trust = parts, Trust(parts)

    async def answer(self, about: str, page: int, *, told: str = "") -> Message:
        """One page of the kinds of case with these words. Raises StoreError."""
        about = " ".join(about.split())[:_LONGEST]
        found = await self._page(about.split(), page, PAGE)
        return trust_message(
            TrustPage(
                kinds=[self._line(one) for one in found.found],
                number=found.number,
                total=found.total,
                more=found.more,
                on=found.on,
                about=about,
                paused_by=None if found.paused is None else found.paused.by,
                rules=_rules(self._parts),
                told=told,
            )
        )

    async def panel(self, midnight: datetime) -> Sequence[Block]:
        """What the Home tab says of trust, below what ran today. Raises StoreError."""
        ran = receipts_block(await self._trust.ran(midnight), "home")
        found = await self._page((), 1, PAGE)
        return [
            *([ran] if ran else []),
            *home_section([self._line(one) for one in found.found], found.total, found.on),
        ]

    async def _page(self, words: Sequence[str], page: int, size: int) -> KindsPage:
        now = self._parts.clock()
        return await self._parts.store.do(kinds_page, words, page=page, size=size, now=now)

    async def outsider(self, who: Person) -> str | None:
        """Why somebody may not even look, in words; None when they may."""
        return await self._parts.authority.outsider(who.user_id, who.team_id, "look at this")

    async def switch(self, who: Person, action_id: str, start: str) -> str:
        """Turn a kind on or off; what came of it. Whether this person may is asked now."""
        try:
            if action_id == TURN_OFF:
                return await self._trust.turn_off(who, start)
            found = await self._parts.store.do(find_shape, start) if start else None
            paused = found is not None and found.state == ShapeState.PAUSED
            return await (self._trust.turn_on_again if paused else self._trust.decree)(who, start)
        except StoreError:
            return _NOT_STORED

    async def plot(self, who: Person, start: str) -> str:
        """Put a kind's picture into the channel of the cards; what to tell whoever asked."""
        shape = await self._parts.store.do(find_shape, start) if start else None
        if shape is None:
            return "There is no such kind of case any more. /polar trust lists those there are."
        way = await self._parts.store.do(course, shape.hash, self._parts.clock())
        found = await asyncio.to_thread(points, way)
        standard = standard_of(shape, self._parts.rules.policy.graduation)
        target = 100.0 if standard is None else standard.target
        now = score.shown(shape.n, shape.k, shape.epoch, target)
        numbers = f"Score now {now} of {target:g}; so far {in_words(found)}."
        picture = await asyncio.to_thread(
            trust_plot, found, bar=target, events=events(way), title=clean(shape.words, 120)
        )
        comment = f"<@{who.user_id}> asked how far this is trusted: {escape(clean(shape.words, 300))}"
        try:
            await self._parts.slack.upload(
                self._parts.channel,
                f"trust-{shape.hash[:8]}.png",
                picture,
                title=f"Trust: {clean(shape.words, 150)}",
                comment=comment,
            )
        except SlackError as error:
            return f"{_no_picture(error)} {numbers}"
        return f"The picture is in the channel of the cards. {numbers}"

    # --- Words --------------------------------------------------------------------------------------------

    def _line(self, kind: Kind) -> KindLine:
        shape, trust = kind.shape, self._parts.rules.policy.graduation
        standard, human = standard_of(shape, trust), _human(shape, self._parts)
        said = f"always asks: {human}"
        if human is None and standard is not None:
            said = score.words(shape.n, shape.k, shape.epoch, standard.target)
        button, below = self._button(shape, human)
        caps, band = self._parts.rules.policy.caps, shape.fields.get("amount")
        currency = str(band[1]) if band else ""
        return KindLine(
            hash=shape.hash,
            words=shape.words,
            risk=shape.risk,
            score=said,
            state=shape.state,
            decree=shape.decree,
            audits=kind.audits,
            bound=spot_checks.bad_rate_bound(*kind.audits) if kind.audits[1] else None,
            left=left_today(
                kind.today.count,
                caps.shape_count,
                kind.today.amount,
                caps.shape_amount.get(currency) if band else None,
                currency,
            ),
            changed_at=shape.changed_at,
            cause=shape.cause or "",
            button=button,
            below=below,
            fell=None if kind.fell is None else (kind.fell.at, kind.fell.cause),
        )

    def _button(self, shape: Shape, human: str | None) -> tuple[str, bool]:
        """What may be tapped, and whether turning it on would be below its bar."""
        if shape.state == ShapeState.GRADUATED:
            return TURN_OFF, False
        if human is not None:
            return "", False
        if shape.state == ShapeState.PAUSED:
            return TURN_ON, False
        if Risk(shape.risk) != Risk.R1:
            return "", False
        return TURN_ON, bool(lacks(shape, self._parts.rules.policy.graduation, self._parts.clock()))


def _human(shape: Shape, parts: Parts) -> str | None:
    trust = parts.rules.policy.graduation
    reason = always_human(shape, trust)
    if reason is None and shape.risk == Risk.R3 and not opted_in(shape, trust):
        return "high risk, and not opted in"
    return reason


def _rules(parts: Parts) -> list[str]:
    """What each risk class asks, in two lines of small print."""
    trust = parts.rules.policy.graduation
    bars = ", ".join(
        f"{risk.value} at {getattr(trust, risk.value):g}, then 1 in {round(1 / one.audit_floor)} still asked"
        for risk, one in STANDARDS.items()
    )
    meaning = "The score: at least 95 % sure that at least this share of such cases would get a yes."
    decree = "Turn on below the bar is by decree, for R1 only."
    return [
        f"Runs on its own once a person turns it on: {bars}. R3 only where opted in, R4 never.",
        f"{meaning} /polar trust WORDS looks for a kind. {decree}",
    ]


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
        """One of them was tapped. The value is the shape's hash, the page, and what was looked for."""
        await ack()
        try:
            await self._press(body, action, respond)
        except Exception:  # Slack has been answered: Bolt must not turn this into a second answer
            log.exception("a button of trust failed after it was acknowledged")

    async def _press(self, body: Payload, action: Payload, respond: AsyncRespond) -> None:
        who, action_id = person_of(body), str(action.get("action_id"))
        shape, _, rest = str(action.get("value", "")).partition(" ")
        page, _, about = rest.partition(" ")
        refused = await self._screen.outsider(who)
        if refused is not None:
            await respond(text=escape(refused), response_type="ephemeral", replace_original=False)
            return
        try:
            if action_id == PLOT:
                told = await self._screen.plot(who, shape)
            else:
                told = await self._screen.switch(who, action_id, shape)
            message = await self._screen.answer(about, int(page) if page.isdecimal() else 1, told=told)
        except StoreError as error:
            said = escape(f"Nothing can be shown just now: {error}")
            await respond(text=said, response_type="ephemeral", replace_original=False)
            return
        await respond(text=message.text, blocks=list(message.blocks), replace_original=True)
