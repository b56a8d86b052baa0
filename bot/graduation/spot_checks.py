"""Audits: which cases of a graduated kind of case a person sees all the same, and what they say about the
rest.
"""

import hmac
import math

from bot.graduation.score import EVER, ln_incomplete_beta

# Just graduated, half of the cases are seen; then a quarter; then the floor of the risk class.
FIRST, SECOND = 0.50, 0.25


def drawn(secret: bytes, proposal_id: str, probability: float) -> bool:
    """Whether a case is audited: a draw that nobody without the secret can foresee, and no retry changes.

    ValueError for a probability outside 0 to 1 or an empty secret.
    """
    if not 0 <= probability <= 1 or not secret:
        raise ValueError("an audit is drawn with a secret and a probability between 0 and 1")
    digest = hmac.digest(secret, b"audit:" + proposal_id.encode(), "sha256")
    return int.from_bytes(digest[:8]) < int(probability * 2**64)


def probability(audits_agreed: int, floor: float) -> float:
    """The chance that the next case is audited, after so many agreed audits in a row since graduation.

    A share of cases is audited only once the audits alone, without a look at the past, are 95 % sure that
    the bad rate is at most that share: 25 % after 11 agreed, 10 % after 29. A floor of 0 asks nobody.
    """
    if floor <= 0 or floor >= FIRST:
        return floor
    for share in (floor, max(SECOND, floor)):
        if audits_agreed >= _agreed_for(share):
            return share
    return FIRST


def _agreed_for(share: float) -> int:
    """How many audits, all agreed, exclude a bad rate above `share` with 95 %: (1 - share)^n <= 0.05."""
    return math.ceil(math.log(EVER) / math.log1p(-share))


def bad_rate_bound(agreed: int, total: int) -> float:
    """The upper 95 % bound (Clopper-Pearson) on the bad rate, of random audits only; 1.0 when there are none.

    It holds for a look at one moment. Asks forced by a cap or by novelty are no random sample: they stay out.
    ValueError for counts that cannot be.
    """
    if not 0 <= agreed <= total:
        raise ValueError(f"{agreed} agreed of {total} audits cannot be")
    if agreed == 0:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(50):  # halving: 1e-15 is exact enough
        middle = (low + high) / 2
        # P(at most this many bad | middle) = 1 - I_middle(bad + 1, agreed)
        above = ln_incomplete_beta(total - agreed + 1, agreed, -math.log1p(-middle)) > math.log(1 - EVER)
        low, high = (low, middle) if above else (middle, high)
    return high
