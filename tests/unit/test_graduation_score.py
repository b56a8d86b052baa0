"""The score against the table of the method, an independent computation, and its own promises."""

import math
import statistics
import time

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.graduation import score as scores
from bot.graduation.score import clean_needed, log_evidence, reached, score, threshold
from bot.ui.card import score_words

COUNTS = st.integers(0, 1_000_000).flatmap(
    lambda n: st.tuples(st.just(n), st.one_of(st.integers(0, min(n, 20)), st.integers(0, n), st.just(n)))
)
SMALL = st.integers(0, 2_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


def ln_integral(k: int, yes: int, p: mpmath.mpf) -> mpmath.mpf:
    """The logarithm of the integral of q^k (1-q)^yes over q from 0 to p under a Beta(1/2, 20)."""
    a, b = mpmath.mpf(k) - mpmath.mpf("0.5"), mpmath.mpf(yes) + 19
    peak = max(a, 0) / (max(a, 0) + b)
    spread = mpmath.sqrt((a + 1.5) * (b + 1) / (a + b + 2) ** 3)
    around = {peak + d * spread for d in (-40, -20, -10, -5, -2, 0, 2, 5, 10, 20, 40, 100)}
    # Where p lies far below the peak, all that counts lies just below p.
    fall = p * (1 - p) / (abs(a * (1 - p) - b * p) + 1)
    around |= {p - d * fall for d in (1, 5, 20, 60)}
    cuts = [mpmath.mpf(0), *sorted(cut for cut in around if 0 < cut < p), p]

    def ln(q: mpmath.mpf) -> mpmath.mpf:
        return a * mpmath.log(q) + b * mpmath.log(1 - q)

    top = ln(peak) if 0 < peak < p else ln(p)
    return mpmath.log(mpmath.quad(lambda q: mpmath.exp(ln(q) - top), cuts)) + top


def by_quadrature(n: int, k: int, p: float) -> float:
    """The logarithm of E_n(p) from its definition, in thirty digits."""
    with mpmath.workdps(30):
        exact = mpmath.mpf(p)
        ratio = ln_integral(k, n - k, exact) - ln_integral(0, 0, exact)
        return float(ratio - k * mpmath.log(exact) - (n - k) * mpmath.log(1 - exact))


@pytest.mark.parametrize(
    ("n", "k", "printed"),
    [
        (5, 0, 46.8), (10, 0, 67.7), (20, 0, 81.7), (30, 0, 87.1), (40, 0, 90.0), (50, 0, 91.8), (50, 1, 86.3),
        (85, 0, 95.0), (100, 0, 95.7), (100, 1, 92.9), (150, 1, 95.2), (200, 2, 95.2), (222, 0, 98.0),
    ],
)  # fmt: skip
def test_the_table_of_the_method_comes_out_to_the_printed_digit(n, k, printed):
    assert printed == round(score(n, k), 1)


@pytest.mark.parametrize(
    ("generation", "needed"), [(0, (40, 85, 222)), (1, (47, 100, 260)), (2, (55, 115, 297))]
)
def test_clean_approvals_needed_by_class_and_by_demotions(generation, needed):
    assert needed == tuple(clean_needed(0, 0, generation, limit) for limit in (0.10, 0.05, 0.02))


def test_each_decline_costs_more_approvals_but_less_than_the_one_before():
    assert [85, 145, 191, 232] == [k + clean_needed(k, k, 0, 0.05) for k in range(4)]


def test_the_line_on_the_card():
    assert score_words(50, 0, 0, 95) == "score 91.8 · 50 yes 0 no · 35 more to 95"
    assert score_words(0, 0, 0, 90) == "score 0.0 · 0 yes 0 no · 40 more to 90"
    assert score_words(100, 1, 0, 95) == "score 92.9 · 99 yes 1 no · 45 more to 95"
    assert score_words(85, 0, 0, 95) == "score 95.0 · 85 yes 0 no · 95 reached"
    assert score_words(85, 0, 0, 100) == "score 95.0 · 85 yes 0 no · 100 is never reached"


def test_a_score_just_short_is_not_rounded_up_to_the_bar():
    assert round(score(221, 0), 1) == 98.0
    assert score_words(221, 0, 0, 98) == "score 97.9 · 221 yes 0 no · 1 more to 98"


def test_nothing_but_declines_scores_nothing():
    assert [0.0, 0.0, 0.0] == [score(0, 0), score(1, 1), score(1_000_000, 1_000_000)]
    assert bound(0, 0) == 1.0


@settings(max_examples=30, deadline=None)
@given(counts=COUNTS, p=st.floats(1e-6, 1 - 1e-6))
def test_evidence_agrees_with_the_integral_it_is_defined_by(counts, p):
    assert_agrees(*counts, p)


@settings(max_examples=30, deadline=None)
@given(counts=COUNTS, off=st.floats(-5, 5))
def test_evidence_agrees_with_the_integral_close_to_the_rate_seen(counts, off):
    n, k = counts
    mean = (k + 0.5) / (n + 20.5)
    p = mean + off * math.sqrt(mean * (1 - mean) / (n + 21.5))
    assert_agrees(n, k, min(max(p, 1e-7), 1 - 1e-7))


def bound(n, k, generation=0):
    """The largest rejection rate that the evidence does not rule out."""
    return 1 - score(n, k, generation) / 100


def assert_agrees(n, k, p):
    expected = by_quadrature(n, k, p)
    assert abs(log_evidence(n, k, p) - expected) <= 1e-6 * max(1.0, abs(expected) / 1e3)


@settings(max_examples=30, deadline=None)
@given(counts=COUNTS, generation=st.integers(0, 12))
def test_the_bound_is_where_the_evidence_meets_the_bar(counts, generation):
    n, k = counts
    upper = bound(n, k, generation)
    assert k / max(n, 1) <= upper <= 1
    # 1e-8 of a rate is 1e-6 of a score.
    for nearby, above in ((upper - 1e-8, False), (upper + 1e-8, True)):
        if 0 < nearby < 1:
            assert above == (by_quadrature(n, k, nearby) > threshold(generation))


@settings(max_examples=100, deadline=None)
@given(counts=SMALL, generation=st.integers(0, 5), limit=st.sampled_from([0.1, 0.05, 0.02]))
def test_score_bar_and_count_to_go_say_the_same(counts, generation, limit):
    n, k = counts
    more = clean_needed(n, k, generation, limit)
    assert (more == 0) == reached(n, k, generation, limit) == (bound(n, k, generation) <= limit)
    assert reached(n + more, k, generation, limit)
    assert more == 0 or not reached(n + more - 1, k, generation, limit)


@settings(max_examples=100, deadline=None)
@given(counts=SMALL, generation=st.integers(0, 5))
def test_a_yes_never_lowers_the_score_nor_a_no_or_an_generation_raise_it(counts, generation):
    n, k = counts
    now = score(n, k, generation) + 1e-9
    assert score(n + 1, k, generation) + 1e-9 >= now - 1e-9
    assert score(n + 1, k + 1, generation) <= now
    assert score(n, k, generation + 1) <= now


@settings(max_examples=100, deadline=None)
@given(counts=SMALL, p=st.sampled_from([0.02, 0.05, 0.1, 0.3]), true=st.floats(0, 1))
def test_the_bet_cannot_be_expected_to_grow_while_the_claim_is_true(counts, p, true):
    n, k = counts
    rate = max(p, true)
    now = log_evidence(n, k, p)
    no, yes = (math.exp(log_evidence(n + 1, k + bad, p) - now) for bad in (1, 0))
    assert rate * no + (1 - rate) * yes <= 1 + 1e-9


@settings(max_examples=60, deadline=None)
@given(a=st.floats(0.5, 1e6), b=st.integers(1, 1_000_000), x=st.floats(1e-6, 1 - 1e-6))
def test_the_incomplete_beta_and_its_mirror_add_up_to_one(a, b, x):
    one = scores.ln_incomplete_beta(a, b, -math.log1p(-x))
    other = scores.ln_incomplete_beta(b, a, -math.log(x))
    assert abs(math.exp(one) + math.exp(other) - 1) < 1e-7


def test_the_alphas_of_all_generations_together_stay_within_five_percent():
    assert math.isclose(sum(math.exp(-threshold(generation)) for generation in range(60)), 0.05)


@pytest.mark.parametrize(("n", "k"), [(3, 4), (-1, 0), (5, -1)])
def test_counts_that_cannot_be_are_refused(n, k):
    for ask in (
        lambda: score(n, k),
        lambda: bound(n, k),
        lambda: log_evidence(n, k, 0.05),
        lambda: clean_needed(n, k, 0, 0.05),
    ):
        with pytest.raises(ValueError, match="cannot be"):
            ask()


@pytest.mark.parametrize("p", [0, 1, -0.1, math.nan])
def test_a_rate_outside_zero_to_one_is_refused(p):
    with pytest.raises(ValueError, match="between 0 and 1"):
        log_evidence(10, 1, p)


def test_a_generation_before_the_first_is_refused():
    with pytest.raises(ValueError, match="first generation"):
        score(10, 0, -1)


@pytest.mark.timed
def test_a_score_never_asked_for_before_costs_under_fifty_microseconds():
    tallies = [(n, k) for n in range(5, 405, 4) for k in (0, 1, 2)] + [
        (10**6, k) for k in (0, 1_000, 500_000)
    ]

    def cold(n, k):
        scores._nats.cache_clear()
        begun = time.thread_time_ns()
        score(n, k)
        return (time.thread_time_ns() - begun) / 1_000

    # Processor time of this thread. A processor that others use too is slower for a while, so the runs of one
    # score lie apart: 33 microseconds on two cores with six other processes, where five in a row gave up to 71.
    rounds = [[cold(n, k) for n, k in tallies] for _ in range(20)]
    fastest = [min(times) for times in zip(*rounds, strict=True)]
    assert statistics.quantiles(fastest, n=100)[98] < 50
