"""Which proposals share a card: nothing lost, nothing twice, nothing hidden in a crowd, never too many cards."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.config.policy import Policy
from bot.ui.bundling import LEAST, MOST, SINGLES, Put, kind_of, plan, set_apart
from store.models import Proposal, ProposalCall, ProposalState
from store.models.details import Bundle

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NUMBERS = count(1)
POLICY = Policy.model_validate({"two_people": {"amount": {"usd": 50_000}}})


def make(**fields: Any) -> Proposal:
    number = next(NUMBERS)
    defaults: dict[str, Any] = {
        "id": f"p{number:012}",
        "fact_key": f"f{number}",
        "event_id": f"e{number}",
        "rule": "generate-invoice",
        "rule_version": "v1",
        "subject": None,
        "title": f"Generate invoice {number}?",
        "reasons": (),
        "facts": (),
        "risk": "R1",
        "always_asks": None,
        "created_at": NOW,
        "state": ProposalState.PENDING,
        "row_version": 1,
        "status_reason": None,
        "attempts": 0,
        "verify_attempts": 0,
        "decided_by": None,
        "decided_at": None,
        "channel": None,
        "card_ts": None,
        "rendered_version": 0,
        "amount": 2_900,
        "currency": "usd",
        "customer_id": f"c{number}",
        "calls": (ProposalCall("orders:generate_invoice", {"id": "o"}),),
    }
    return Proposal(**(defaults | fields))


def bundle(key: str, members: list[Proposal], *, one_by_one: bool = False) -> Bundle:
    none = (None,) * 4
    return Bundle(f"b{next(NUMBERS)}", key, NOW, None, 1, *none, tuple(members), one_by_one)


def planned(waiting: list[Proposal], *open_: Bundle, known: frozenset[str] = frozenset()) -> list[Put]:
    return plan(waiting, open_, known=known, policy=POLICY, now=NOW)


def known_of(*groups: list[Proposal]) -> frozenset[str]:
    return frozenset(p.customer_id for group in groups for p in group if p.customer_id)


def test_five_of_a_kind_share_a_card_and_four_do_not() -> None:
    five = [make() for _ in range(5)]
    (put,) = planned(five)
    assert (put.bundle_id, put.proposals) == (None, tuple(five))
    assert (put.rule, put.one_by_one) == ("generate-invoice", False)
    assert planned(five[:4]) == []


def test_kinds_differ_by_rule_version_operation_and_currency() -> None:
    kinds = [
        {},
        {"rule": "b"},
        {"rule_version": "v2"},
        {"currency": "eur"},
        {"calls": (ProposalCall("refunds:create"),)},
    ]
    assert len({kind_of(make(**kind)) for kind in kinds}) == len(kinds)
    assert planned([make(**kind) for kind in kinds]) == []


def test_an_unusual_amount_among_usual_ones_is_carved_out() -> None:
    usual, large = [make() for _ in range(12)], make(amount=8_701)
    group = [*usual, large]
    assert set_apart(group, [], known_of(group), POLICY, NOW) == [large]
    (put,) = planned(group, known=known_of(group))
    assert large not in put.proposals


def test_amounts_that_are_all_over_the_place_are_nothing_unusual() -> None:
    group = [make(amount=amount) for amount in (100, 100, 100, 100, 100, 900, 900, 900, 900)]
    assert set_apart(group, [], known_of(group), POLICY, NOW) == []


def test_the_first_time_customer_among_known_ones_is_carved_out() -> None:
    known, new = [make() for _ in range(12)], make()
    assert set_apart([*known, new], [], known_of(known), POLICY, NOW) == [new]


def test_a_flood_of_new_customers_is_nothing_odd() -> None:
    group = [make() for _ in range(200)]
    assert set_apart(group, [], frozenset(), POLICY, NOW) == []
    first, later = group[:150], group[150:152]
    assert set_apart(later, first, frozenset(), POLICY, NOW) == []


def test_what_is_risky_always_asks_takes_two_or_is_soon_due_is_never_in_a_crowd() -> None:
    odd = [
        make(risk="R3"),
        make(always_asks="irreversible"),
        make(amount=50_000),
        make(deadline=NOW + timedelta(hours=3)),
    ]
    usual = [make() for _ in range(20)]
    assert set_apart([*usual, *odd], [], known_of(usual, odd), POLICY, NOW) == odd


def test_too_many_odd_ones_share_a_card_that_is_gone_through_one_by_one() -> None:
    odd = [make(risk="R3") for _ in range(SINGLES)]
    assert planned(odd) == []
    (put,) = planned([*odd, make(risk="R3")])
    assert put.one_by_one
    assert len(put.proposals) == SINGLES + 1


def test_later_ones_join_what_is_open_until_it_is_full() -> None:
    first = [make() for _ in range(98)]
    open_ = bundle(planned(first)[0].key, first)
    later = [make() for _ in range(4)]
    (put,) = planned(later, open_)
    assert (put.bundle_id, len(put.proposals)) == (open_.id, 2)


def test_odd_ones_join_only_what_is_gone_through_one_by_one() -> None:
    odd = [make(risk="R3") for _ in range(3)]
    key = kind_of(odd[0])
    together, apart = bundle(key, []), bundle(key, [], one_by_one=True)
    (put,) = planned(odd, together, apart)
    assert (put.bundle_id, put.one_by_one, put.proposals) == (apart.id, True, tuple(odd))


made = st.builds(
    make,
    risk=st.sampled_from(["R1", "R1", "R1", "R2", "R3", "R4"]),
    rule=st.sampled_from(["a", "b"]),
    amount=st.one_of(st.none(), st.integers(0, 60_000)),
    currency=st.sampled_from(["usd", "eur", None]),
    customer_id=st.one_of(st.none(), st.sampled_from([f"c{n}" for n in range(40)])),
    always_asks=st.sampled_from([None, None, None, "irreversible"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(made, max_size=260), st.frozensets(st.sampled_from([f"c{n}" for n in range(40)])))
def test_nothing_is_lost_doubled_or_hidden_and_few_are_left_alone(
    waiting: list[Proposal], known: frozenset[str]
) -> None:
    puts = planned(waiting, known=known)
    placed = [proposal.id for put in puts for proposal in put.proposals]
    assert len(placed) == len(set(placed))
    assert set(placed) <= {proposal.id for proposal in waiting}
    kinds = {kind_of(proposal) for proposal in waiting}
    assert len(waiting) - len(placed) <= len(kinds) * (SINGLES + LEAST - 1)
    for put in puts:
        assert LEAST <= len(put.proposals) <= MOST
        assert len({kind_of(proposal) for proposal in put.proposals}) == 1
        if not put.one_by_one:
            assert all(p.risk < "R3" and p.always_asks is None for p in put.proposals)
            assert all((p.amount or 0) < 50_000 or p.currency != "usd" for p in put.proposals)
