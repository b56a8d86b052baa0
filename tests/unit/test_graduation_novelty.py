"""What is asked whatever the score, because it is not like what was approved."""

import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bot.graduation.case_kind import CHOICES, DEEPEST, MOST_NAMES, RECENT, Values, approved_values, values_of
from bot.graduation.case_kind import novelty as novelty_of
from bot.ui.graduation_words import reason_words
from store.models import PlannedCall
from store.models.graduation import Asked

VALUES = st.dictionaries(
    st.sampled_from(["amount", "seats", "reason", "revoke"]),
    st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5), st.booleans(), st.none()),
)


def values(case):
    """The values of a case by name: numbers and choices."""
    numbers = {name: (one, one) for name, one in case.items() if not isinstance(one, str | bool | None)}
    return Values(numbers, {name: {one} for name, one in case.items() if name not in numbers})


def learned(*cases):
    return approved_values([values(case) for case in cases])


def novelty(approved, case):
    return novelty_of(approved, values(case))


AMOUNTS = learned(*({"amount": amount} for amount in range(100, 300)))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"amount": 99}, "new: amount is 99, outside what was approved so far (100 to 299)"),
        ({"amount": 4_500}, "new: amount is 4,500, outside what was approved so far (100 to 299)"),
        ({"amount": 295}, "new: amount is 295; only 5 of the last 200 approved values were as large"),
        ({"amount": math.nan}, "new: amount is nan, outside what was approved so far (100 to 299)"),
        ({"seats": 3}, "new: seats is 3, and no number was approved here before"),
        ({"amount": True}, "new: amount is true, which was not approved before"),
        ({"amount": "200"}, "new: amount is “200”, which was not approved before"),
        ({"amount": None}, "new: amount is empty, which was not approved before"),
    ],
)
def test_what_is_new_is_said(values, words):
    found = novelty(AMOUNTS, values)
    assert found is not None
    assert reason_words(found) == words
    json.dumps(found.to_json(), allow_nan=False)


def test_what_is_like_the_approved_passes():
    assert novelty(AMOUNTS, {"amount": 200}) is None
    assert novelty(AMOUNTS, {}) is None
    assert (
        novelty(
            learned(*[{"amount": 500, "reason": "duplicate"}] * 40), {"amount": 500, "reason": "duplicate"}
        )
        is None
    )


def test_the_rank_is_one_more_than_those_as_large_over_one_more_than_all():
    # Eleven of 201 are more than one in twenty, ten are not.
    assert novelty(AMOUNTS, {"amount": 290}) is None
    assert novelty(AMOUNTS, {"amount": 291}) is not None


def test_nothing_seen_is_nothing_known():
    found = novelty({}, {"reason": "other"})
    assert found is not None
    assert reason_words(found) == "new: reason is “other”, which was not approved before"


def test_hostile_text_is_cut_and_harmless_in_the_words():
    found = novelty({}, {"reason\u202e": "x\n" * 500})
    assert found is not None
    words = reason_words(found)
    assert "\n" not in words
    assert "\u202e" not in words
    assert len(words) < 150


def test_only_the_latest_values_are_kept_but_the_range_stays():
    seen = learned(*({"amount": amount, "reason": f"r{amount}"} for amount in range(1_000)))
    low, high, recent = seen["numbers"]["amount"]
    assert len(recent) == RECENT
    assert (low, high) == (0, 999)
    assert len(seen["choices"]["reason"]) == CHOICES
    assert novelty(seen, {"reason": "r0"}) is not None
    assert novelty(seen, {"reason": "r999"}) is None


def test_a_choice_approved_again_is_not_forgotten():
    others = [{"reason": f"r{i}"} for i in range(CHOICES - 1)]
    seen = learned({"reason": "first"}, *others, {"reason": "first"}, {"reason": "one more"})
    assert novelty(seen, {"reason": "first"}) is None


@given(st.lists(VALUES, max_size=30))
def test_what_was_learned_survives_json_and_stays_the_same(cases):
    seen = learned(*cases)
    assert json.loads(json.dumps(seen, allow_nan=False)) == seen


@given(st.lists(VALUES, min_size=1, max_size=18))
def test_anything_finite_among_few_approved_passes_again(cases):
    seen = learned(*cases)
    for case in cases:
        known = {name: v for name, v in case.items() if not isinstance(v, float) or math.isfinite(v)}
        assert novelty(seen, known) is None


# --- Any one value of a call ------------------------------------------------------------------------------

AT = datetime(2026, 5, 1, 9, tzinfo=UTC)
ID, OTHER = "11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555"


def calls(body, **path):
    return [PlannedCall("discounts:create", dict(path), {}, body)]


def judged(approved, now):
    """The words for what is new about the last of these cases; the others, (calls, more), were approved."""
    seen = approved_values(
        [values_of(Asked(*one[:2], **(one[2] if len(one) > 2 else {}))) for one in approved]
    )
    found = novelty_of(
        json.loads(json.dumps(seen)), values_of(Asked(*now[:2], **(now[2] if len(now) > 2 else {})))
    )
    return None if found is None else reason_words(found)


LEAVES = st.one_of(
    st.integers(-(10**9), 10**9),
    st.floats(-1e9, 1e9),
    st.booleans(),
    st.none(),
    st.text(max_size=8),
    st.sampled_from([ID, "2026-06-01T09:00:00Z", "2026-06-01", "fixed"]),
)
BODIES = st.dictionaries(
    st.sampled_from(["type", "amounts", "name", "metadata", "products", "product_id", "code"]),
    st.recursive(
        LEAVES,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.text(min_size=1, max_size=4).filter(lambda k: k != "polar_approvals"), inner, max_size=3
            )
        ),
        max_leaves=6,
    ),
    min_size=1,
    max_size=4,
)


def _places(value, place=()):
    """Every place in a body: leaves, and the objects and lists themselves."""
    if place:
        yield place
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield from _places(each, (*place, key))


def _put(value, place, new):
    """The body with another value at a place; without it if that is `GONE`."""
    if not place:
        return new
    key, *rest = place
    copy = dict(value) if isinstance(value, dict) else list(value)
    if not rest and new is GONE:
        del copy[key]
    else:
        copy[key] = _put(copy[key], rest, new)
    return copy


GONE = object()
BEYOND = st.sampled_from(
    [
        10**12,
        -(10**12),
        1e300,
        "never seen",
        True,
        False,
        None,
        OTHER,
        "2099-01-01T00:00:00Z",
        [],
        [1, 2, 3, 4],
        {},
        {"a": 1},
        GONE,
    ]
)


@settings(max_examples=150)
@given(body=BODIES, new=BEYOND, data=st.data())
def test_no_one_value_may_change_beyond_what_was_approved(body, new, data):
    approved = approved_values([values_of(Asked(calls(body), AT)) for _ in range(120)])
    assert novelty_of(approved, values_of(Asked(calls(body), AT))) is None
    place = data.draw(st.sampled_from(list(_places(body))))
    changed = _put(body, place, new)
    assume(len(place) > 1 or new is not GONE)  # other fields of the body are another kind of case
    same = json.dumps(changed, sort_keys=True) == json.dumps(body, sort_keys=True)
    fewer = _known(changed) <= _known(body)  # a list that holds the same as before
    assert novelty_of(approved, values_of(Asked(calls(changed), AT))) is not None or same or fewer


def _known(body):
    """What a body says without the order and the repetition of what its lists hold."""
    if isinstance(body, dict):
        return {(key, one) for key, each in body.items() for one in _known(each)} | {
            ("fields", tuple(sorted(body)))
        }
    if isinstance(body, list):
        return {("[]", one) for each in body for one in _known(each)} | {("count", len(body))}
    return {(type(body).__name__, str(body))}


def refund(order, **more):
    return [PlannedCall("refunds:create", body={"order_id": order, "amount": 900, **more})]


def uuid(number):
    return f"{number:08x}-2222-4333-8444-555555555555"


def test_a_time_is_compared_by_how_far_ahead_it_is():
    def case(day, ahead):
        at = AT + timedelta(days=day)
        return calls({"ends_at": (at + timedelta(days=ahead)).isoformat()}), at

    approved = [case(day, 30) for day in range(60)]
    assert judged(approved, case(400, 30)) is None
    assert judged(approved, case(400, 31)) == (
        "new: discounts:create.ends_at, minutes ahead is 44,640, outside what was approved so far "
        "(43,200 to 43,200)"
    )


def test_an_id_is_new_where_all_shared_one_and_not_where_each_brought_its_own():
    approved = [(refund(uuid(n), product_id=ID), AT) for n in range(60)]
    assert judged(approved, (refund(OTHER, product_id=ID), AT)) is None
    assert judged(approved, (refund(uuid(1), product_id=OTHER), AT)) == (
        "new: refunds:create.product_id is the id of something that was not approved before"
    )
    assert judged([(refund(ID), AT)], (refund(OTHER), AT)) is not None


def test_what_was_about_the_cases_own_order_and_customer_stays_about_them():
    approved = [
        (refund(uuid(n), comment=f"for {uuid(n)}"), AT, {"subject": f"order:{uuid(n)}", "customer_id": "c"})
        for n in range(60)
    ]
    own = {"subject": f"order:{OTHER}", "customer_id": "d"}
    assert judged(approved, (refund(OTHER, comment=f"for {OTHER}"), AT, own)) is None
    assert judged(approved, (refund(ID, comment=f"for {OTHER}"), AT, own)) == (
        "new: refunds:create.order_id is the id of something that was not approved before"
    )
    assert judged(approved, (refund(OTHER, comment=f"for {ID}"), AT, own)) == (
        "new: refunds:create.comment is a text that was not approved before"
    )


def test_the_path_and_the_query_count_and_the_mark_of_a_call_does_not():
    def case(status, flag, mark):
        body = {"metadata": {"polar_approvals": mark}}
        return [PlannedCall("orders:update", {"id": ID, "n": status}, {"flag": flag}, body)], AT

    approved = [case(1, True, f"proposal-{n}") for n in range(60)]
    assert judged(approved, case(1, True, "another")) is None
    assert judged(approved, case(2, True, "another")) is not None
    assert judged(approved, case(1, False, "another")) is not None


def test_what_is_too_large_to_be_compared_is_new_also_when_it_was_approved():
    deep = {"name": "x"}
    for _ in range(DEEPEST + 1):
        deep = {"name": deep}
    wide = [calls({"metadata": {f"k{n}": n for n in range(MOST_NAMES + 1)}}), calls({"metadata": deep})]
    many = [calls({"products": [f"p{n}" for n in range(size)]}) for size in (CHOICES + 1, 10_000)]
    for made in (*wide, *many, calls({"name": object()})):
        said = judged([(made, AT)] * 60, (made, AT))
        assert said is not None
        assert said.endswith("cannot be compared with what was approved")


def test_no_text_is_kept_as_it_is():
    seen = approved_values([values_of(Asked(refund(ID, comment="Ada Lovelace, ada@example.com"), AT))])
    assert "Ada" not in json.dumps(seen)
