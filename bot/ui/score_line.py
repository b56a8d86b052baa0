"""A card's small print on automatic runs: the score of its kind, and a spot check's result. Pure."""

from datetime import datetime

from bot.config.policy import Trust
from bot.graduation import score
from bot.graduation.eligibility import lacks, standard_of
from bot.graduation.spot_checks import BLIND
from bot.ui.graduation_words import lack_words, reason_words, score_words
from store.models import CaseKindState, Mode, Proposal, ProposalState
from store.models.graduation import CaseKind
from store.models.trust_codes import PolicyCode, read_policy_reason


def score_line(proposal: Proposal, case_kind: CaseKind | None, trust: Trust, now: datetime) -> str | None:
    """The words `score 91.8 · 50 yes 0 no · 35 more to 95`, or the reason why it always asks, or None.

    When the score is reached, the other unmet requirements are named. The card of a spot check looks like any
    other card of a kind that runs on its own.
    """
    stored = (proposal.gate or {}).get("reason")
    reason = None if stored is None else read_policy_reason(stored)
    if case_kind is None or (reason is not None and reason.code == PolicyCode.ALWAYS_ASKS):
        return None if reason is None else reason_words(reason)
    standard = standard_of(case_kind, trust)
    if standard is None:
        return None
    said = score_words(*case_kind.counts, standard.target)
    if proposal.mode == Mode.AUTO:
        return f"ran on its own · {said}"
    if case_kind.state == CaseKindState.GRADUATED:
        return f"{said} · most of this kind run on their own"
    lacking = lacks(case_kind, trust, now) if score.reached(*case_kind.counts, standard.limit) else []
    return f"{said} · not yet: {'; '.join(map(lack_words, lacking))}" if lacking else said


def spot_check_line(proposal: Proposal, case_kind: CaseKind | None) -> str | None:
    """The words `spot check: agreed, 31/31` for a decided spot check; None for every other card."""
    if proposal.mode != Mode.SPOT_CHECK or proposal.state in BLIND or case_kind is None:
        return None
    if proposal.state == ProposalState.DECLINED or proposal.edited_by is not None:
        return "spot check: not agreed, 0/1"  # the generation ended, so its earlier spot checks do not count
    return f"spot check: agreed, {case_kind.spot_checks_agreed}/{case_kind.spot_checks}"
