"""The end of wishes that were made before Slack said by whom: confirmed, done now, or taken back."""

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from bot.approvals.actions import Actions
from bot.approvals.graduation import GraduationService
from bot.approvals.service import ApprovalService
from bot.results import ON_THE_CARD, ActionStatus, DecisionStatus, PauseStatus, Refusal, RefusalCode
from bot.services import Claimed, Queue, Services, claim_rows
from bot.slack.client import SlackError, SlackUser
from bot.ui import ephemeral, reports
from bot.ui.elements import Message, Text
from bot.ui.thread_lines import action_record, stranger_line
from store import Connection
from store.graduation.case_kinds import resume
from store.models import Actor
from store.proposals.actions import Act, release_of
from store.proposals.decisions import renew_approved, reopen_declined
from store.proposals.proposals import get_proposal
from store.proposals.wishes import Wish, WishKind, claim_wishes, close_wish, postpone_wish

log = logging.getLogger(__name__)

# Slack is asked again after as long as the wish has waited; it stands as it is once nobody expects an answer.
_SOONEST, _LATEST, _GIVE_UP_AFTER = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=24)
_STRANGER = frozenset({RefusalCode.OTHER_WORKSPACE, RefusalCode.DEACTIVATED, RefusalCode.GUEST})
_NONE = timedelta(0)


async def claim(services: Services, limit: int) -> list[Claimed[Wish]]:
    """Take wishes that nobody sees to."""
    return await claim_rows(services, claim_wishes, limit)


async def settle(services: Services, claimed: Claimed[Wish]) -> None:
    """Ask Slack who made a wish, and settle it accordingly. Raises StoreError; then it stays open."""
    wish, now = claimed.row, services.clock()
    refused = await _refusal(services, wish)
    doubt = refused is not None and (refused.retryable or refused.code is RefusalCode.SLACK_REFUSED)
    done, work = True, None
    answer: Text | Message | None = None if refused is None else ephemeral.refused(refused)
    if doubt and now - wish.at < _GIVE_UP_AFTER:
        done = False
    elif wish.took_effect:
        stranger = refused is not None and refused.code in _STRANGER
        work, answer = (_taken_back(services, wish), answer) if stranger else (None, None)
    elif refused is None:
        done, answer = await _carry_out(services, wish)
    if not done:
        due_at = services.clock() + min(max(now - wish.at, _SOONEST), _LATEST)
        await services.store.do(postpone_wish, wish.id, token=claimed.token, due_at=due_at)
        return
    closed = await services.store.do(close_wish, wish.id, token=claimed.token, work=work)
    log.info("%s by %s on %s: %s", wish.kind, wish.actor, wish.proposal_id, refused and refused.code)
    services.notify(Queue.ANNOUNCE, Queue.OUTBOX, Queue.EXECUTE, Queue.HOME)
    if closed and answer is not None and wish.channel is not None:
        await _tell(services, wish, wish.channel, answer)


async def _refusal(services: Services, wish: Wish) -> Refusal | None:
    authority = services.authority
    if wish.proposal_id is None:
        return await authority.refusal_to_pause(wish.actor, None)
    proposal = await services.store.do(get_proposal, wish.proposal_id)
    return await authority.refusal(wish.actor, None, proposal)


def _taken_back(services: Services, wish: Wish) -> Callable[[Connection], Any]:
    """Whatever takes back what a stranger has stopped."""
    log.warning("%s of %s is taken back: %s may not decide", wish.kind, wish.proposal_id, wish.actor)
    at, about, line = services.clock(), wish.proposal_id or "", stranger_line(wish.actor)
    if wish.kind is WishKind.DECLINE:
        return partial(reopen_declined, proposal_id=about, actor=wish.actor, at=at, notice=line)
    if wish.kind is WishKind.UNDO:
        rest = _NONE if wish.would_run_at is None else max(wish.would_run_at - wish.at, _NONE)
        again = partial(renew_approved, proposal_id=about, actor=wish.actor, at=at)
        return partial(again, rest=rest, notice=line)
    if wish.kind is WishKind.HOLD:
        act = Act(about, Actor.PROGRAM, action_record(ActionStatus.RELEASED), at, line)
        return partial(release_of, act=act, held_by=wish.actor)
    return partial(
        resume,
        by=Actor.PROGRAM,
        at=at,
        notice=lambda was: reports.pause_ended_message(was).content,
        only=(wish.actor, wish.at),
    )


async def _carry_out(services: Services, wish: Wish) -> tuple[bool, Text | Message | None]:
    """Do now what is wanted, by somebody who may: whether it is settled, and what they are told."""
    user, about = SlackUser(wish.actor, None), wish.proposal_id or ""
    if wish.kind is WishKind.PAUSE:
        paused = await GraduationService(services).pause(user, wish.reason or "", via=wish.via)
        return paused.status is not PauseStatus.KEPT, reports.pause_result(paused)
    if wish.kind is WishKind.HOLD:
        held = await Actions(services).hold(user, about)
        return held.status is not ActionStatus.KEPT, None if held.done else ephemeral.action(held)
    approvals = ApprovalService(services)
    if wish.kind is WishKind.UNDO:
        result = await approvals.undo(user, about, via=wish.via)
    else:
        result = await approvals.decline(
            user,
            about,
            via=wish.via,
            revision=wish.revision,
            reason=wish.reason,
            interaction_id=wish.interaction_id,
        )
    unsettled = (DecisionStatus.KEPT, DecisionStatus.UNCHECKED, DecisionStatus.NOT_STORED)
    said = None if result.status in ON_THE_CARD else ephemeral.decision(result)
    return result.status not in unsettled, said


async def _tell(services: Services, wish: Wish, channel: str, answer: Text | Message) -> None:
    try:
        await services.slack.post_ephemeral(channel, wish.actor, answer.content)
    except SlackError as error:
        log.warning("%s could not be told the result of a %s: %s", wish.actor, wish.kind, error)
