"""Kinds of case with a known true rate, run through the rules of graduation, each from a seed."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

from bot.graduation import score
from bot.graduation.gate import drawn, probability
from bot.graduation.score import Standard

# A rule: the number of cases at which it graduates, with `k` rejections so far, the latest of them case `last`.
Rule = Callable[[int, int], int]
Rate = Callable[[int], float]
# Later than any case simulated.
_NEVER = 1 << 60


@cache
def bet(limit: float, generation: int) -> Rule:
    """Our rule: the smallest number of cases for each number of rejections, found once, when first asked for."""
    smallest: list[int] = []

    def enough(k: int, _last: int) -> int:
        while len(smallest) <= k:
            smallest.append(score.smallest(len(smallest), generation, limit))
        return smallest[k]

    return enough


def in_a_row(_k: int, last: int) -> int:
    """Twenty approvals in a row."""
    return last + 20


def raw_rate(k: int, _last: int) -> int:
    """At least 95 % approved of at least 20, looked at after every case."""
    return max(20, 20 * k)


def gap(chance: Random, rate: float) -> int:
    """How many cases until the next bad one, itself counted, at a constant `rate`."""
    if rate <= 0:
        return _NEVER
    if rate >= 1:
        return 1
    return 1 + int(math.log(1 - chance.random()) / math.log1p(-rate))


def graduates(rule: Rule, chance: Random, rate: float, cases: int) -> bool:
    """Whether a kind of case of constant true `rate` ever graduates within so many cases."""
    n = k = 0
    while n < cases:
        next_bad = n + gap(chance, rate)
        if max(rule(k, n), n + 1) < min(next_bad, cases + 1):
            return True
        n, k = next_bad, k + 1
    return False


def graduates_drifting(rule: Rule, chance: Random, rate: Rate, highest: float, cases: int) -> bool:
    """The same where the rate of the n-th case is `rate(n)`, at most `highest`: bad ones are thinned out."""
    n = k = last = 0
    while n < cases:
        n += gap(chance, highest)
        if chance.random() * highest >= rate(n):
            continue
        if max(rule(k, last), last + 1) < min(n, cases + 1):
            return True
        last, k = n, k + 1
    return max(rule(k, last), last + 1) <= cases


def graduates_restarting(limit: float, chance: Random, patience: int, cases: int) -> bool:
    """Whether an adversary ever gets through who starts a new generation after so many bad cases, to try again.

    They stay at the limit exactly, which is the most the claim allows.
    """
    at = generation = n = k = 0
    while at + n < cases:
        enough, next_bad = bet(limit, generation)(k, n), n + gap(chance, limit)
        if max(enough, n + 1) < min(next_bad, cases - at + 1):
            return True
        n, k = next_bad, k + 1
        if k >= patience:
            at, generation, n, k = at + n, generation + 1, 0, 0
    return False


@dataclass(slots=True)
class Life:
    """What became of the cases of one kind: how many were asked, how many bad ones ran on their own."""

    standard: Standard
    cases: int
    asked: int = 0
    bad_alone: int = 0


def live(standard: Standard, chance: Random, rate: float, cases: int) -> Life:
    """One kind of constant `rate` through graduation, spot checks and demotion, over and over, for so many cases."""
    life, at, generation = Life(standard, cases), 0, 0
    while at < cases:
        at = _ask(life, chance, rate, at, generation)
        at = _run_alone(life, chance, rate, at)
        generation += 1
    return life


def _ask(life: Life, chance: Random, rate: float, start: int, generation: int) -> int:
    """Everything is asked until the threshold is met; the number of the last case asked."""
    rule, n, k = bet(life.standard.limit, generation), 0, 0
    while start + n < life.cases:
        next_bad = n + gap(chance, rate)
        enough = max(rule(k, n), n + 1)
        if enough < next_bad:
            n = min(enough, life.cases - start)
            break
        n, k = next_bad, k + 1
    end = min(start + n, life.cases)
    life.asked += end - start
    return end


def _run_alone(life: Life, chance: Random, rate: float, start: int) -> int:
    """Only spot checks ask, until one of them is bad; the number of that case."""
    at, agreed = start, 0
    next_bad = at + gap(chance, rate)
    share = probability(agreed, life.standard.spot_check_floor)
    next_check = at + gap(chance, share)
    while (at := min(next_bad, next_check)) <= life.cases:
        if next_check == at:
            life.asked += 1
            if next_bad == at:
                return at
            agreed += 1
            share = probability(agreed, life.standard.spot_check_floor)
            next_check = at + gap(chance, share)
        else:
            life.bad_alone += 1
            next_bad = at + gap(chance, rate)
    return life.cases


def adversary(standard: Standard, cases: int, chance: Random) -> float:
    """The share of bad automatic runs of all cases, for one who is good until spot checks are rare and then bad.

    Good until graduated and until spot checks are down to their floor, bad until the next one, over and over.
    """
    at = generation = bad = 0
    while at < cases:
        at, agreed = at + score.smallest(0, generation, standard.limit), 0
        while probability(agreed, standard.spot_check_floor) > standard.spot_check_floor:
            at += gap(chance, probability(agreed, standard.spot_check_floor))
            agreed += 1
        slipped = gap(chance, standard.spot_check_floor) - 1
        at, bad, generation = at + slipped + 1, bad + slipped, generation + 1
    return bad / at


def slips(standard: Standard, name: str) -> int:
    """How many bad cases run when all turn bad overnight at the floor: drawn as the program draws spot checks."""
    slipped = 0
    while not drawn(b"simulation", f"{name}-{slipped}", standard.spot_check_floor):
        slipped += 1
    return slipped
