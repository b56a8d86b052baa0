"""The page on writing a rule is true: its examples load and ask what they seem to, its tables are complete."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.config.policy import TABLES, Policy
from bot.rules import load_rules
from bot.rules.check import STANDARD_FUNCTIONS
from bot.rules.expression import FUNCTIONS
from bot.rules.load import _FIELDS as FIELDS
from bot.rules.rule import ALWAYS_ASK_EVENTS

TESTS = Path(__file__).parent.parent
PAGE = (TESTS.parent / "bot/rules/README.md").read_text("utf-8")
_TOML = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = [example for example in _TOML if "[[rule]]" in example]
[POLICY] = [example for example in _TOML if "[[rule]]" not in example]
DELIVERIES = (TESTS / "payloads/deliveries.jsonl").read_text().splitlines()
BODIES = {json.loads(line)["type"]: json.loads(json.loads(line)["body"]) for line in DELIVERIES}


def name_of(example: str) -> str:
    return tomllib.loads(example)["rule"][0]["name"]


def table(heading: str) -> str:
    return PAGE.split(heading)[1].split("\n## ")[0]


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """What `rules try` prints for the example of a name."""
    monkeypatch.chdir(tmp_path)

    def asked(name: str, event: dict, reads: dict, before: dict | None = None) -> str:
        contents = {"mine.toml": next(one for one in EXAMPLES if name_of(one) == name)}
        contents |= {"event.json": json.dumps(event), "reads.json": json.dumps(reads)}
        contents |= {"before.json": json.dumps(before or event)}
        for file, content in contents.items():
            (tmp_path / file).write_text(content)
        earlier = ["--before", "before.json"] if before else []
        main(["rules", "try", "mine.toml", "--event", "event.json", "--reads", "reads.json", *earlier])
        return next(part for part in capsys.readouterr().out.split("\n\n") if part.startswith(f"{name}:"))

    return asked


def told(type_: str, **data: object) -> dict:
    event = json.loads(json.dumps(BODIES[type_]))
    event["data"] |= data
    return event


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_example_is_without_problems(example, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(example)

    rules = load_rules(path)

    assert (name_of(example) in [rule.name for rule in rules.rules]) is ("enabled" not in example)


def test_all_examples_go_into_one_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("\n".join([*EXAMPLES, POLICY]))

    assert len(load_rules(path).origins) > len(EXAMPLES)


def test_the_tables_beside_the_rules_load_and_show_everything_there_is(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(POLICY)
    shown = tomllib.loads(POLICY)

    policy = load_rules(path).policy

    assert shown.keys() == TABLES
    for name in ("two_people", "schedule", "caps", "graduation"):
        assert shown[name].keys() == type(getattr(policy, name)).model_fields.keys()
    assert all(f"| `[{name}]` |" in PAGE for name in TABLES)


def test_what_the_example_does_not_mark_is_what_holds_when_nothing_is_said(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(POLICY)

    said, default = load_rules(path).policy, Policy()

    assert said.caps == default.caps
    assert said.schedule.model_copy(update={"quiet_hours": None, "escalate_to": ()}) == default.schedule
    marked = {"opt_in": (), "never": (), "accept": {}}
    assert said.graduation.model_copy(update=marked) == default.graduation


def test_the_first_example_is_five_lines_below_its_name():
    assert [line.split()[0] for line in EXAMPLES[0].splitlines()[2:]] == [
        "on",
        "operation",
        "path",
        "body",
        "title",
    ]


def test_every_field_is_in_the_table_and_nothing_else():
    rows = re.findall(r"^\| (`[^|]*) \|", table("## The fields"), re.MULTILINE)

    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == FIELDS


def test_every_function_is_in_the_table_and_none_that_is_not_there():
    named = set(re.findall(r"`(\w+)", table("| function | gives |")))
    macros = {"has", "filter", "map", "exists", "all"}

    assert FUNCTIONS.keys() <= named
    assert re.search(r"`who\(data\.customer\)`", PAGE)
    assert {
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "timestamp",
        "duration",
    } <= STANDARD_FUNCTIONS & named
    assert macros <= named


def test_what_always_asks_is_named():
    assert all(f"`{name}`" in PAGE for name in ALWAYS_ASK_EVENTS)


def test_welcome_asks_for_a_new_customer(ask):
    said = ask("welcome-customer", told("customer.created", name="Ann"), {})

    assert "would ask\n  Mark Ann for the welcome mail?" in said
    assert 'body {"metadata": {"welcome": "pending"}}' in said


def test_refund_asks_while_the_order_is_refundable_and_not_after(ask):
    event = told("subscription.revoked", amount=900, customer_cancellation_reason="unused")
    order = {"id": BODIES["order.paid"]["data"]["id"], "refundable_amount": 900}

    assert "Refund $9.00 to" in ask("refund-unused-first-month", event, {"orders": {"items": [order]}})
    refunded = ask(
        "refund-unused-first-month", event, {"orders": {"items": [order | {"refundable_amount": 0}]}}
    )
    assert "in `precondition`, this is not true: orders.items[0].refundable_amount > 0" in refunded


def test_renamed_product_asks_with_what_it_was_called_before(ask):
    event = told("product.updated", name="Pro")
    links = {
        "items": [
            {"id": event["data"]["id"], "label": "Basic"},
            {"id": event["data"]["id"], "label": "Other"},
        ]
    }

    said = ask(
        "rename-links-of-renamed-product", event, {"links": links}, told("product.updated", name="Basic")
    )

    assert "Rename 1 checkout link from Basic to Pro too?" in said


def test_forgotten_trial_waits_and_then_asks(ask):
    event = told("subscription.created", status="trialing")
    reads = {"subscription": {"status": "trialing", "cancel_at_period_end": False}}

    said = ask("forgotten-trial", event, reads)

    assert "for a nudge?" in said
    assert "note: it waits 3d first" in said


def test_thanks_make_two_calls_and_tell_the_link(ask):
    event = told("order.paid", total_amount=50_000, billing_reason="purchase")

    said = ask("thank-large-order", event, {})

    assert said.count("\n  call POST ") == 2
    assert '"discount_id": "${answers[0].id}"' in said
    assert (
        "private message to whoever approves: For ${who(data.customer)}, good for a day: ${answer.url}"
        in said
    )
    assert "always asks a person" in said
