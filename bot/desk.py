"""Where people's decisions arrive: authorise, decide once, tell whoever was not first."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from bot import cards
from bot.approvers import Authority
from bot.pipeline.parts import Parts
from bot.rule_list import reasons, rule_lines
from bot.slack import SlackError
from store.activity import rule_activity
from store.decisions import decide
from store.errors import StoreError
from store.events import count_events
from store.models import Decision, Proposal, Verdict
from store.proposals import count_proposals, get_proposal, waiting

log = logging.getLogger(__name__)

_LISTED = 10


@dataclass(frozen=True, slots=True)
class Tap:
    """A button pressed: by whom, for which proposal, on which message. Only the ids are believed."""

    user_id: str
    team_id: str | None
    proposal_id: str
    channel: str | None
    message_ts: str | None


class Desk:
    """What a person can do. Buttons, and later commands and threads, all come through here."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def authority(self) -> Authority:
        """Who may decide."""
        return self._parts.authority

    async def decide(self, tap: Tap, verdict: Verdict) -> None:
        """Decide a proposal if this person may and nobody was first; otherwise tell them why not."""
        reason = await self.authority.refusal(tap.user_id, tap.team_id)
        if reason is not None:
            log.info("refused a tap on %s by %s: %s", tap.proposal_id, tap.user_id, reason)
            await self.whisper(tap, cards.refusal(reason, await self.authority.describe()))
            return
        decision = Decision(tap.proposal_id, tap.user_id, verdict, "button", self._parts.clock())
        try:
            if verdict == Verdict.APPROVE and await self._is_their_own(tap):
                log.info("refused a tap on %s by its proposer %s", tap.proposal_id, tap.user_id)
                await self.whisper(tap, cards.refusal(cards.OWN_PROPOSAL, await self.authority.describe()))
                return
            won, proposal = await self._parts.store.do(decide, decision)
        except StoreError as error:
            await self.whisper(tap, cards.not_stored(str(error)))
            return
        log.info("%s by %s on %s: %s", verdict, tap.user_id, tap.proposal_id, "counts" if won else "too late")
        self._parts.wake("execute")
        self._parts.wake("announce")
        if proposal is None:
            await self.whisper(tap, cards.gone())
            return
        if not won:
            await self.whisper(tap, cards.already_decided(proposal))
        await self._mend_copy(tap, proposal)

    async def _is_their_own(self, tap: Tap) -> bool:
        """Whether they proposed it themselves and somebody else could decide: four eyes see more."""
        proposal = await self._parts.store.do(get_proposal, tap.proposal_id)
        if proposal is None or proposal.proposer != tap.user_id:
            return False
        return not await self.authority.is_only_approver(tap.user_id)

    async def _mend_copy(self, tap: Tap, proposal: Proposal) -> None:
        """A card posted twice (a crash between posting and noting it): the copy points to the card."""
        copy, card = tap.message_ts, proposal.card_ts
        if tap.channel is None or copy is None or card is None or copy == card:
            return
        try:
            link = await self._parts.slack.permalink(proposal.channel or self._parts.channel, card)
            await self._parts.slack.update(tap.channel, copy, cards.copy_of(proposal, link))
        except SlackError as error:
            log.warning("a copy of the card of %s is not redrawn: %s", proposal.id, error)

    async def whisper(self, tap: Tap, text: cards.Whisper) -> None:
        """Tell one person something, where they tapped."""
        try:
            await self._parts.slack.whisper(tap.channel or self._parts.channel, tap.user_id, text)
        except SlackError as error:
            log.warning("%s could not be told that a tap did not count: %s", tap.user_id, error)

    async def queue(self) -> cards.Message:
        """What waits for a decision."""
        found, counts = await self._waiting()
        return cards.queue_message(found, counts, await self._links(found))

    async def rules(self, page: int) -> cards.Message:
        """One page of the rules, with what they have done."""
        activity = await self._parts.store.do(rule_activity)
        return cards.rules_message(rule_lines(self._parts.rules, activity), reasons(self._parts.rules), page)

    async def show_home(self, user_id: str) -> None:
        """Publish somebody's Home tab."""
        found, counts = await self._waiting()
        events = await self._parts.store.do(count_events)
        view = cards.home_view(
            found,
            counts,
            await self._links(found),
            deciders=await self.authority.describe(),
            failed_events=events.get("failed", 0),
            now=self._parts.clock(),
        )
        await self._parts.slack.publish_home(user_id, view)

    async def _waiting(self) -> tuple[list[Proposal], dict[str, int]]:
        found = await self._parts.store.do(waiting, _LISTED)
        return found, await self._parts.store.do(count_proposals)

    async def _links(self, found: list[Proposal]) -> Mapping[str, str]:
        links = {}
        for proposal in found:
            if proposal.card_ts is not None and proposal.channel is not None:
                try:
                    links[proposal.id] = await self._parts.slack.permalink(proposal.channel, proposal.card_ts)
                except SlackError as error:
                    log.info("no link to the card of %s: %s", proposal.id, error)
        return links
