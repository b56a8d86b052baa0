"""Calls that follow one another, values that come late, and what is told: checked at start, safe in use."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.rules import EvaluationError, RulesError, Scope, compile_rule, load_rules, resolve
from bot.rules.load import DEFAULTS
from polar.events import facts, parse, summarise

NOW = datetime(2026, 11, 21, tzinfo=UTC)
CHAIN = {
    "name": "offer",
    "on": ["subscription.canceled"],
    "operation": "discounts:create",
    "body": {"type": "percentage", "basis_points": 1000, "duration": "once", "name": "${data.name}"},
    "title": "Offer?",
    "then": [
        {
            "operation": "subscriptions:update",
            "path": {"id": "${data.id}"},
            "body": {"discount_id": "${answers[0].id}"},
        }
    ],
}
TOML = """
[[rule]]
name  = "offer"
on    = ["subscription.canceled"]
operation  = "customer-sessions:create"
body  = { customer_id = "${data.customer_id}" }
title = "Offer?"
"""
STEP = '[[rule.then]]\noperation = "subscriptions:update"\npath = { id = "${data.id}" }\n'


def scope(**data):
    return Scope({"data": {"id": "s1", "name": "Ada", **data}, "now": NOW})


def test_a_plan_is_complete_before_its_first_call_and_its_late_values_are_filled_in_after():
    first, second = compile_rule(CHAIN).calls(scope(), None)

    assert ("discounts:create", "Ada") == (first.operation, first.body["name"])
    assert json.dumps(second.body)
    assert {"discount_id": "d1"} == resolve(second.body, [{"id": "d1"}])


@pytest.mark.parametrize("answers", [[], [None], [{}], [{"id": None}]])
def test_an_answer_without_what_is_needed_is_said_so(answers):
    _, second = compile_rule(CHAIN).calls(scope(), None)
    with pytest.raises(ValueError, match=r"\S"):
        resolve(second.body, answers)


@given(st.text(max_size=40))
def test_what_a_customer_typed_is_never_taken_for_an_expression(text):
    typed = f"${{answers[0].id}}{text}"
    first, _ = compile_rule(CHAIN).calls(scope(name=typed), None)

    assert first.body == resolve(first.body, [{"id": "d1"}])
    assert typed == first.body["name"]


@pytest.mark.parametrize("value", [{"$late": "${answers[0].id}"}, [{"a": {"$late": "x"}}]])
def test_a_value_that_looks_like_a_late_one_is_refused(value):
    with pytest.raises(EvaluationError, match="reserved"):
        compile_rule(CHAIN).calls(scope(name=value), None)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (STEP + 'body = { discount_id = "${answer[0].id}" }', "`then[1]`: nothing is called `answer` here"),
        (STEP + 'body = { discount_id = "${answers[0].id + data.id}" }', "can use nothing else"),
        (STEP + 'body = { discoun_id = "x" }', "`then[1]`: "),
        (STEP + 'bodi = "x"', "`then[1].bodi`: is no field of a step; did you mean `body`?"),
        ('[[rule.then]]\noperation = "orders:get"\npath = { id = "x" }', "`then[1]`: orders:get only reads"),
        ('[[rule.then]]\npath = { id = "x" }', "`then[1]`: must be a table with an `operation`"),
        ('for_each = "[1]"\n' + STEP + "body = {}", "`then`: cannot be used with `for_each`"),
        ('for_each = "[1]"\nprivate_message = "x"', "`private_message`: cannot be used with `for_each`"),
        ('private_message = "${answers[0].url}"', "`private_message`: nothing is called `answers` here"),
        ('when = "answers == null"', "`when`: nothing is called `answers` here"),
    ],
)
def test_a_chain_that_cannot_work_is_refused_at_start(tmp_path, more, said):
    path = tmp_path / "mine.toml"
    path.write_text(TOML + more)
    with pytest.raises(RulesError) as caught:
        load_rules(path)

    assert said in str(caught.value)


def test_what_is_told_comes_from_the_answer_and_the_event():
    rule = compile_rule({**CHAIN, "private_message": "${data.name}: ${answer.url}"})

    assert "Ada: https://x" == rule.private_text(scope(), {"url": "https://x"})
    with pytest.raises(EvaluationError, match="`private_message`"):
        rule.private_text(scope(), {})


def test_a_polled_type_is_known_and_its_fields_are_checked(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        '[[rule]]\nname = "d"\non = ["dispute.needs_response"]\nwhen = "data.amont > 1"\n'
        'operation = "disputes:accept"\npath = { id = "${data.id}" }\ntitle = "?"\n'
    )
    with pytest.raises(RulesError, match=r"dispute\.needs_response has no field `data\.amont`"):
        load_rules(path)


def test_no_webhook_is_asked_for_what_is_polled():
    assert not {type_ for type_ in load_rules().event_types() if type_.startswith(("dispute", "webhook"))}


def test_every_rule_that_ships_has_a_name_of_its_own():
    tables = sum(path.read_text().count("[[rule]]") for path in DEFAULTS.glob("*.toml"))

    assert tables == len(load_rules().rules)


@pytest.mark.parametrize(
    ("type_", "data", "line", "labels"),
    [
        (
            "dispute.needs_response",
            {
                "id": "d1", "status": "needs_response", "amount": 2900, "tax_amount": 551, "currency": "usd",
                "order_id": "o1", "reason": "product_not_received", "evidence_due_by": "2026-12-03T00:00:00Z",
                "customer": {"id": "c1", "name": "Ada", "email": "ada@example.com"},
            },
            "Ada disputes $34.51 (needs response); evidence is due by 3 Dec 2026",
            ["Customer", "Amount", "Reason", "Due by"],
        ),
        (
            "webhook_delivery.failed",
            {
                "id": "e1", "host": "crm.example", "since": "2026-11-21T07:00:00Z", "until": "2026-11-21T08:05:00Z",
                "events": [{"id": "w1", "type": "order.paid", "created_at": "2026-11-21T07:01:00Z"}],
            },
            "crm.example did not take 1 webhook of 21 Nov 2026",
            ["Endpoint", "From", "Webhooks", "Kinds"],
        ),
    ],
)  # fmt: skip
def test_what_is_polled_reads_like_any_event(type_, data, line, labels):
    event = parse(json.dumps({"type": type_, "timestamp": "2026-11-21T09:00:00Z", "data": data}).encode())

    assert event.problem is None
    assert line == summarise(event)
    assert labels == [fact.label for fact in facts(event)]
