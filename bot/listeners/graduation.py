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
from bot.services import Services
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
from store.graduation.case_kinds import find_case_kind
from store.graduation.pages import Kind, KindsPage, course, kinds_page
from store.models import CaseKindState
from store.models.graduation import CaseKind

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
                kinds=[self._line(one) for one in found.found],
                number=found.number,
                total=found.total,
                more=found.more,
                on=found.on,
                about=about,
                paused_by=None if found.paused is None else found.paused.by,
                rules=_rules(self._services),
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
        now = self._services.clock()
        return await self._services.store.do(kinds_page, words, page=page, size=size, now=now)

    async def outsider(self, who: Person) -> str | None:
        """Why somebody may not even look, in words; None when they may."""
        return await self._services.authority.outsider(who.user_id, who.team_id, "look at this")

    async def switch(self, who: Person, action_id: str, start: str) -> str:
        """Turn a kind on or off; what came of it. Whether this person may is asked now."""
        try:
            if action_id == TURN_OFF:
                return await self._trust.turn_off(who, start)
            found = await self._services.store.do(find_case_kind, start) if start else None
            paused = found is not None and found.state == CaseKindState.PAUSED
            return await (self._trust.turn_on_again if paused else self._trust.manual_override)(who, start)
        except StoreError:
            return _NOT_STORED

    async def plot(self, who: Person, start: str) -> str:
        """Put a kind's picture into the channel of the cards; what to tell whoever asked."""
        case_kind = await self._services.store.do(find_case_kind, start) if start else None
        if case_kind is None:
            return "There is no such kind of case any more. /polar trust lists those there are."
        way = await self._services.store.do(course, case_kind.hash, self._services.clock())
        found = await asyncio.to_thread(points, way)
        standard = standard_of(case_kind, self._services.rules.policy.graduation)
        target = 100.0 if standard is None else standard.target
        now = score.shown(case_kind.n, case_kind.k, case_kind.generation, target)
        numbers = f"Score now {now} of {target:g}; so far {in_words(found)}."
        picture = await asyncio.to_thread(
            trust_plot, found, bar=target, events=events(way), title=clean(case_kind.words, 120)
        )
        comment = f"<@{who.user_id}> asked how far this is trusted: {escape(clean(case_kind.words, 300))}"
        try:
            await self._services.slack.upload(
                self._services.channel,
                f"trust-{case_kind.hash[:8]}.png",
                picture,
                title=f"Trust: {clean(case_kind.words, 150)}",
                comment=comment,
            )
        except SlackError as error:
            return f"{_no_picture(error)} {numbers}"
        return f"The picture is in the channel of the cards. {numbers}"

    # --- Words --------------------------------------------------------------------------------------------

    def _line(self, kind: Kind) -> KindLine:
        case_kind, trust = kind.case_kind, self._services.rules.policy.graduation
        standard, human = standard_of(case_kind, trust), _human(case_kind, self._services)
        said = f"always asks: {human}"
        if human is None and standard is not None:
            said = score.words(case_kind.n, case_kind.k, case_kind.generation, standard.target)
        button, below = self._button(case_kind, human)
        caps, band = self._services.rules.policy.caps, case_kind.fields.get("amount")
        currency = str(band[1]) if band else ""
        return KindLine(
            hash=case_kind.hash,
            words=case_kind.words,
            risk=case_kind.risk,
            score=said,
            state=case_kind.state,
            manual_override=case_kind.manual_override,
            audits=kind.audits,
            bound=spot_checks.bad_rate_bound(*kind.audits) if kind.audits[1] else None,
            left=left_today(
                kind.today.count,
                caps.case_kind_count,
                kind.today.amount,
                caps.case_kind_amount.get(currency) if band else None,
                currency,
            ),
            changed_at=case_kind.changed_at,
            cause=case_kind.cause or "",
            button=button,
            below=below,
            fell=None if kind.fell is None else (kind.fell.at, kind.fell.cause),
        )

    def _button(self, case_kind: CaseKind, human: str | None) -> tuple[str, bool]:
        """What may be tapped, and whether turning it on would be below its bar."""
        if case_kind.state == CaseKindState.GRADUATED:
            return TURN_OFF, False
        if human is not None:
            return "", False
        if case_kind.state == CaseKindState.PAUSED:
            return TURN_ON, False
        if Risk(case_kind.risk) != Risk.R1:
            return "", False
        return TURN_ON, bool(lacks(case_kind, self._services.rules.policy.graduation, self._services.clock()))


def _human(case_kind: CaseKind, services: Services) -> str | None:
    trust = services.rules.policy.graduation
    reason = always_human(case_kind, trust)
    if reason is None and case_kind.risk == Risk.R3 and not opted_in(case_kind, trust):
        return "high risk, and not opted in"
    return reason


def _rules(services: Services) -> list[str]:
    """What each risk class asks, in two lines of small print."""
    trust = services.rules.policy.graduation
    bars = ", ".join(
        f"{risk.value} at {getattr(trust, risk.value):g}, then 1 in {round(1 / one.audit_floor)} still asked"
        for risk, one in STANDARDS.items()
    )
    meaning = "The score: at least 95 % sure that at least this share of such cases would get a yes."
    manual_override = "Turn on below the bar is by manual override, for R1 only."
    return [
        f"Runs on its own once a person turns it on: {bars}. R3 only where opted in, R4 never.",
        f"{meaning} /polar trust WORDS looks for a kind. {manual_override}",
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
