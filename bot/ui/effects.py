"""The effects of a proposal's calls in words: "Disable a license key × 2", "low, can be undone"."""

from polar.catalog import Call, Operation, operations
from store.models import Proposal, ProposalCall, ProposalKind

_RISK = {
    "R0": "none, only reads",
    "R1": "low",
    "R2": "some money or access, bounded",
    "R3": "high",
    "R4": "highest",
}


def does(p: Proposal) -> str:
    """The effect of an approval: "Disable a license key × 2"."""
    if p.kind == ProposalKind.GRADUATION:
        return "Lets such cases run without asking, except for spot checks and what is over a cap"
    titles = list(dict.fromkeys(call_title(call) for call in p.calls))
    count = f" × {len(p.calls)}" if len(p.calls) > 1 else ""
    return "; ".join(titles) + count


def risk_words(p: Proposal) -> str:
    """The risk, and the possibility of an undo."""
    if p.kind == ProposalKind.GRADUATION:
        return "ends by itself at the first bad case; /polar pause stops it"
    effects = [effect for call in p.calls if (effect := effect_of(call)) is not None]
    undo = "can be undone" if effects and all(effect.reversible for effect in effects) else "cannot be undone"
    return _RISK.get(p.risk, p.risk) + ("" if p.risk == "R0" else f", {undo}")


def call_title(call: ProposalCall) -> str:
    """The effect of one call, as a command: "Disable a license key"."""
    effect = effect_of(call)
    return call.operation if effect is None else effect.title


def effect_of(call: ProposalCall) -> Operation | None:
    """The operation of exactly this call; None for one that this version does not know."""
    known = operations().get(call.operation)
    return None if known is None else known.describe(Call.of(call))
