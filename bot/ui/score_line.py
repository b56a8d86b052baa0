"""A card's small print on trust: the score of its kind, and after the tap whether it was an audit. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bot.config.policy import Trust
from bot.graduation import score
from bot.graduation.blinding import BLIND
from bot.graduation.eligibility import lacks, standard_of
from bot.ui.graduation_notices import audit_line
from store.models import CaseKindState, Mode, Proposal, ProposalState
from store.models.graduation import CaseKind


def score_line(proposal: Proposal, case_kind: CaseKind | None, trust: Trust, now: datetime) -> str | None:
    """`score 91.8 · 50 yes 0 no · 35 more to 95`, or why it always asks; None when there is nothing to say.

    Where the score is reached, what else is lacking is named. An audit reads like any other card of a kind
    that runs on its own.
    """
    gate: Mapping[str, Any] = proposal.gate or {}
    why = str(gate.get("why", ""))
    if why.startswith("always asks") or case_kind is None:
        return why or None
    standard = standard_of(case_kind, trust)
    if standard is None:
        return None
    said = score.words(case_kind.n, case_kind.k, case_kind.generation, standard.target)
    if proposal.mode == Mode.AUTO:
        return f"ran on its own · {said}"
    if case_kind.state == CaseKindState.GRADUATED:
        return f"{said} · most of this kind run on their own"
    reached = score.reached(case_kind.n, case_kind.k, case_kind.generation, standard.limit)
    lacking = lacks(case_kind, trust, now) if reached else []
    return f"{said} · not yet: {'; '.join(lacking)}" if lacking else said


def audited(proposal: Proposal, case_kind: CaseKind | None) -> str | None:
    """`audit: agreed, 31/31` once an audit is answered; None for every other card, and before the tap."""
    if proposal.mode != Mode.AUDIT or proposal.state in BLIND or case_kind is None:
        return None
    bad = proposal.state == ProposalState.DECLINED or proposal.edited_by is not None
    if bad:  # its generation is over, and its audits with it
        return audit_line(bad=True, agreed=0, audits=1)
    return audit_line(bad=False, agreed=case_kind.audits_agreed, audits=case_kind.audits)
