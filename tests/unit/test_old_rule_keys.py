"""Names that rule keys and settings had before: refused in a file with the new name, read in a stored rule."""

import hashlib
import json
import tomllib

import pytest

from bot.rules import RulesError, Scope, compile_rule, compile_stored, in_new_keys, load_rules

# As an earlier version of the program kept it in `rule_versions`.
STORED = {
    "name": "disable-keys",
    "on": ["order.refunded"],
    "once": "${data.id}",
    "wait": "7d",
    "fresh": "10m",
    "expire": "3d",
    "read": {"grants": {"call": "benefit-grants:list", "query": {"customer_id": "${data.customer_id}"}}},
    "each": "grants.items.filter(g, g.order_id == data.id)",
    "still": "size(each) > 0",
    "call": "license_keys:update",
    "path": {"id": "${item.properties.license_key_id}"},
    "body": {"status": "disabled"},
    "title": "Disable ${plural(size(each), 'license key')}, each of them?",
    "because": ["${size(each)} keys"],
}
CHAIN = {
    "name": "offer",
    "on": ["order.paid"],
    "call": "discounts:create",
    "title": "Offer?",
    "tell": "${answer.url}",
    "then": [{"call": "checkouts:create", "body": {"discount_id": "${answers[0].id}"}}],
}
RULE = """
[[rule]]
name      = "tag"
on        = ["order.refunded"]
operation = "license_keys:update"
path      = { id = "x" }
body      = { status = "disabled" }
title     = "Disable?"
"""
GRANTS = {"items": [{"order_id": "o", "properties": {"license_key_id": f"k{n}"}} for n in (1, 2)]}


def version_before(source: dict) -> str:
    """As the program computed it when the keys had their old names."""
    text = json.dumps(source, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def renamed(source: dict) -> dict:
    """The same rule as somebody writes it now: other keys, and `for_each` in the expressions."""
    return json.loads(json.dumps(in_new_keys(source)).replace("size(each)", "size(for_each)"))


@pytest.mark.parametrize(
    ("line", "old", "new"),
    [
        ('still = "true"', "still", "precondition"),
        ('wait = "1h"', "wait", "delay"),
        ('once = "x"', "once", "dedupe_key"),
        ('tell = "x"', "tell", "private_message"),
        ('each = "[1]"', "each", "for_each"),
        ('because = "x"', "because", "reasons"),
        ('fresh = "1m"', "fresh", "skip_precondition_for"),
        ('expire = "1d"', "expire", "expires_after"),
        ('call = "orders:get"', "call", "operation"),
        ('read = { o = { call = "orders:get", path = { id = "x" } } }', "read.o.call", "operation"),
        ('[[rule.then]]\ncall = "orders:update"', "then[1].call", "operation"),
    ],
)  # fmt: skip
def test_an_old_key_is_refused_with_file_rule_and_the_new_name(tmp_path, line, old, new):
    (tmp_path / "mine.toml").write_text(f"{RULE}{line}\n")

    with pytest.raises(RulesError) as caught:
        load_rules(tmp_path / "mine.toml")

    assert (f"mine.toml, rule 'tag', `{old}`: is now called `{new}`",) == caught.value.problems


def test_the_old_name_of_the_list_is_refused_with_the_new_one(tmp_path):
    (tmp_path / "mine.toml").write_text(f'{RULE}for_each = "[1]"\nprecondition = "size(each) > 0"\n')

    with pytest.raises(RulesError, match="`precondition`: nothing is called `each` here; use `for_each`"):
        load_rules(tmp_path / "mine.toml")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[hold]\nR3 = "1m"', "`[hold]`: is now called `[undo_window]`"),
        ('[schedule]\nquiet = "20:00-08:00"', "`schedule.quiet`: is now called `quiet_hours`"),
        ('[schedule]\nexpire_after = "3d"', "`schedule.expire_after`: is now called `expires_after`"),
        ("[caps]\nshape_amount = { usd = 1 }", "`caps.shape_amount`: is now called `case_kind_amount`"),
        ("[caps]\nshape_count = 3", "`caps.shape_count`: is now called `case_kind_count`"),
        ('[graduation]\ndead_man = "72h"', "`graduation.dead_man`: is now called `max_idle`"),
    ],
)
def test_an_old_settings_table_is_refused_with_file_and_the_new_name(tmp_path, table, said):
    (tmp_path / "mine.toml").write_text(table)

    with pytest.raises(RulesError) as caught:
        load_rules(tmp_path / "mine.toml")

    assert (f"mine.toml, {said}",) == caught.value.problems


def test_a_rule_stored_with_old_keys_proposes_what_it_did():
    rule = compile_stored(STORED)
    scope = Scope({"data": {"id": "o", "customer_id": "c"}, "grants": GRANTS})

    items = rule.items(scope)
    scope = scope.plus(**{rule.list_name: items})
    draft = rule.draft(scope, items)

    assert rule.holds(scope)
    assert "Disable 2 license keys, each of them?" == draft.title
    assert ("2 keys",) == draft.reasons
    assert ["k1", "k2"] == [call.path["id"] for call in draft.calls]
    assert "benefit-grants:list" == rule.reads[0].operation
    assert ("o", 7, 600, 3) == (
        rule.change(scope), rule.delay.days, rule.skip_precondition_for.seconds, rule.expires_after.days,
    )  # fmt: skip


def test_a_stored_chain_with_old_keys_still_hands_its_answer_over():
    rule = compile_stored(CHAIN)

    assert ["discounts:create", "checkouts:create"] == [
        call.operation for call in rule.calls(Scope({}), None)
    ]
    assert "https://x" == rule.private_text(Scope({}), {"url": "https://x"})


@pytest.mark.parametrize("source", [STORED, CHAIN])
def test_a_new_name_for_a_key_is_no_new_version(source):
    assert version_before(source) == compile_stored(source).version
    assert version_before(source) == compile_rule(renamed(source)).version
    assert version_before(source) != compile_rule(renamed(source) | {"title": "Another?"}).version


def test_a_rule_in_the_new_keys_is_stored_and_read_as_it_is():
    [source] = tomllib.loads(RULE)["rule"]

    assert (source, "for_each") == (compile_stored(source).source, compile_stored(source).list_name)
    assert source is in_new_keys(source)
