"""Rule files: what is wrong with one is said at start, with file, rule and field."""

import pytest

from bot.rules import RulesError, compile_rule, load_rules

GOOD = """
[[rule]]
name  = "tag-refund"
on    = ["order.refunded"]
operation  = "license_keys:update"
path  = { id = "${data.id}" }
body  = { status = "disabled" }
title = "Disable?"
"""


def write(folder, text):
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_the_rules_that_ship_are_without_problems():
    names = [rule.name for rule in load_rules().rules]

    assert {"generate-invoice", "disable-keys-of-refunded-order", "restore-license-key"} < set(names)


def test_a_file_of_ones_own_adds_to_them(tmp_path):
    assert "tag-refund" in [rule.name for rule in load_rules(write(tmp_path, GOOD)).rules]


def test_a_rule_replaces_another_by_name(tmp_path):
    replaced = GOOD.replace("tag-refund", "generate-invoice")
    rules = {rule.name: rule for rule in load_rules(write(tmp_path, replaced)).rules}

    assert "license_keys:update" == rules["generate-invoice"].call.operation


def test_a_rule_is_switched_off_by_name(tmp_path):
    off = '[[rule]]\nname = "generate-invoice"\nenabled = false\n'

    assert "generate-invoice" not in [rule.name for rule in load_rules(write(tmp_path, off)).rules]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('on = ["order.refunder"]', "`on`: Polar has no event 'order.refunder'; did you mean `order.refunded`?"),
        ("on = []", "`on`: names no event"),
        ('operation = "license_keys:updat"', "did you mean `license_keys:update`?"),
        ('operation = "orders:get"', "`operation`: orders:get only reads"),
        ('path = { key = "${data.id}" }', "`operation`: "),
        ('body = { statsu = "disabled" }', "`statsu`"),
        ('when = "data.statsu == 1"', "`when`: order.refunded has no field `data.statsu`"),
        ('when = "grants.items == []"', "`when`: nothing is called `grants` here"),
        ('when = "sise(data.items) > 0"', "there is no function `sise`; did you mean `size`?"),
        ('when = "data.id =="', "`when`: "),
        ("when = 3", "`when`: must be an expression in quotes"),
        ('title = "Disable ${data.id"', "`title`: `${` without its `}`"),
        ('delay = "soon"', '`delay`: must be a time such as "30m"'),
        ('colour = "red"', "`colour`: is no field of a rule"),
        ('read = { o = { operation = "license_keys:update", path = { id = "x" } } }', "only reads are allowed here"),
        ('read = { o = { cal = "orders:get" } }', "`read.o`: must be a table with an `operation`"),
        ('for_each = "item.x"', "`for_each`: nothing is called `item` here"),
        ("reasons = 7", "`reasons`: must be a text or a list of texts"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_rule_and_field(tmp_path, line, said):
    field = line.partition(" =")[0]
    kept = [old for old in GOOD.splitlines() if not old.startswith(f"{field} ")]
    with pytest.raises(RulesError) as caught:
        load_rules(write(tmp_path, "\n".join([*kept, line])))

    assert "mine.toml, rule 'tag-refund', " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]]\non = []", "rule 1: `name` must be"),
        (GOOD + GOOD, "the name is used twice"),
        ("not toml at all", "is not TOML"),
        ("[rules]\na = 1", "unknown table `rules`"),
    ],
)
def test_a_file_that_is_no_list_of_rules_is_refused(tmp_path, text, said):
    with pytest.raises(RulesError, match=r"mine\.toml") as caught:
        load_rules(write(tmp_path, text))

    assert said in str(caught.value)


def test_a_missing_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(RulesError, match=r"cannot be read .* Check RULES_FILE"):
        load_rules(tmp_path / "nowhere.toml")


def test_every_problem_is_told_at_once(tmp_path):
    broken = GOOD.replace("order.refunded", "order.refunder").replace("status", "statsu")
    with pytest.raises(RulesError) as caught:
        load_rules(write(tmp_path, broken))

    assert 2 <= len(caught.value.problems)


def test_the_version_changes_with_the_content_and_with_nothing_else():
    source = {
        "name": "a",
        "on": ["order.paid"],
        "operation": "orders:generate_invoice",
        "path": {"id": "x"},
        "title": "t",
    }
    again = dict(reversed(source.items()))

    assert compile_rule(source).version == compile_rule(again).version
    assert compile_rule(source).version != compile_rule(source | {"title": "u"}).version
