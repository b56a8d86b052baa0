"""CEL expressions and `${…}` templates: what they give, what they name, and how they fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.rules.check import STANDARD_FUNCTIONS
from bot.rules.expression import FUNCTIONS, Expression, Scope
from bot.rules.template import template, tree

SCOPE = Scope(
    {"data": {"id": "o1", "amount": 2900, "currency": "usd", "customer": None, "items": [{"n": 1}, {"n": 2}]}}
)


def test_a_template_that_is_one_expression_gives_the_value_itself():
    assert 2900 == template("${data.amount}").value(SCOPE)
    assert [{"n": 2}] == template("${data.items.filter(i, i.n > 1)}").value(SCOPE)


def test_text_around_an_expression_interpolates():
    assert "Order o1: $29.00" == template("Order ${data.id}: ${money(data.amount, data.currency)}").value(
        SCOPE
    )


def test_null_and_booleans_read_as_a_person_writes_them():
    assert "<> true" == template("<${data.customer}> ${data.amount > 1}").value(SCOPE)


@pytest.mark.parametrize("source", ["${'}'}", "${{'a': 1}.a}x", "a${'\\'}'}", '${"{"}'])
def test_braces_and_quotes_inside_an_expression_do_not_end_it(source):
    assert template(source).value(SCOPE) is not None


@pytest.mark.parametrize("source", ["${data.id", "${}", "${1 +}", "x ${'"])
def test_a_broken_template_is_refused_when_it_is_read(source):
    with pytest.raises(ValueError, match=r"\S"):
        template(source)


@given(st.text(alphabet=st.characters(exclude_characters="$"), max_size=50))
def test_text_without_expressions_stays_as_it_is(text):
    assert text == template(text).value(SCOPE)


@given(st.text(max_size=60))
def test_any_text_either_reads_or_is_refused_in_words(text):
    try:
        template(text)
    except ValueError as error:
        assert str(error)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=3)
    )
)
def test_a_value_a_customer_sent_is_never_evaluated(value):
    scope = Scope({"data": {"name": f"${{{value!r}}} ${{data.id}}"}})

    assert scope is not None
    assert f"${{{value!r}}} ${{data.id}}" == template("${data.name}").value(scope)


def test_a_tree_renders_every_string_in_its_case_kind():
    body = tree({"status": "disabled", "ids": ["${data.id}"], "n": 3})

    assert {"status": "disabled", "ids": ["o1"], "n": 3} == body.value(SCOPE)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("data.items.filter(g, g.n == now)", {"data", "now"}),
        ("grants.items.exists(x, x.id == data.id)", {"data", "grants"}),
        ("'now' + data.id", {"data"}),
        ("size(for_each) > 0", {"for_each"}),
    ],
)
def test_names_bound_by_a_macro_are_its_own(source, names):
    assert names == Expression(source).names


def test_the_fields_of_the_event_it_names_are_known():
    expression = Expression(
        "data.customer.email.startsWith('data.x') && data.items.size() > 0 && grants.data.y == 1"
    )

    assert {("customer", "email"), ("items",)} == expression.data_paths


@pytest.mark.parametrize(
    "source", ["data.nope", "data.customer.email", "data.amount + 'x'", "nobody.knows", "1 / 0"]
)
def test_an_expression_without_a_value_fails_in_words(source):
    with pytest.raises(ValueError, match=r"\S"):
        Expression(source).value(SCOPE)


CALLS = {
    "size": "size([1])", "contains": "'ab'.contains('a')", "startsWith": "'ab'.startsWith('a')",
    "endsWith": "'ab'.endsWith('b')", "matches": "'ab'.matches('a.')", "string": "string(1)", "int": "int('1')",
    "uint": "uint(1)", "double": "double(1)", "bytes": "bytes('a')", "timestamp": "timestamp('2026-11-21T00:00:00Z')",
    "duration": "duration('1h')",
    "money": "money(1, 'usd')", "who": "who({'name': 'a'})", "day": "day('2026-11-21')", "plural": "plural(2, 'key')",
}  # fmt: skip
PARTS_OF_A_TIME = {
    name: f"timestamp('2026-11-21T00:00:00Z').{name}()" for name in STANDARD_FUNCTIONS if name[:3] == "get"
}


@pytest.mark.parametrize("name", sorted(STANDARD_FUNCTIONS | FUNCTIONS.keys()))
def test_every_function_the_check_allows_is_there(name):
    assert Expression((CALLS | PARTS_OF_A_TIME)[name]).value(SCOPE) is not None


@given(
    st.lists(
        st.none() | st.booleans() | st.integers() | st.text() | st.dictionaries(st.text(), st.text()),
        max_size=2,
    )
)
def test_our_functions_never_raise(arguments):
    first, second = [*arguments, None, None][:2]

    assert all(isinstance(word, str) for word in (FUNCTIONS["money"](first, second), FUNCTIONS["who"](first)))
    assert all(
        isinstance(word, str) for word in (FUNCTIONS["day"](first), FUNCTIONS["plural"](first, second))
    )
