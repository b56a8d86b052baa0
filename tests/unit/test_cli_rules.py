"""`python -m bot rules`: what is listed, what is wrong with a file, and what the rules would propose, with why."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.__main__ import main
from bot.cli import rules as command
from bot.rules.expression import Expression, Scope
from bot.rules.template import false_part, parts
from polar.catalog import event_types
from polar.client import PolarClient

DELIVERIES = Path(__file__).parent.parent / "payloads/deliveries.jsonl"
LINES = {json.loads(line)["type"]: line for line in DELIVERIES.read_text().splitlines()}
ORDER = json.loads(json.loads(LINES["order.paid"])["body"])
MINE = """
[[rule]]
name  = "tag-big-order"
on    = ["order.paid"]
read  = { customer = { operation = "customers:get", path = { id = "${data.customer_id}" } } }
when  = "data.total_amount > 1000 && data.currency == 'usd'"
precondition = "customer.metadata.vip != 'yes'"
operation  = "customers:update"
path  = { id = "${data.customer_id}" }
body  = { metadata = { vip = "yes" } }
title = "Mark ${who(data.customer)} as a VIP?"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("RULES_FILE", "POLAR_ACCESS_TOKEN", "SLACK_BOT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "mine.toml").write_text(MINE)
    (tmp_path / "order.json").write_text(LINES["order.paid"])
    return tmp_path


@pytest.fixture
def nothing_is_sent(monkeypatch):
    async def refuse(*_: object, **__: object) -> None:
        pytest.fail("a request was made")

    monkeypatch.setattr(PolarClient, "_exchange", refuse)


def run(capsys, *argv: str) -> tuple[int, str, str]:
    code = main(["rules", *argv])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


# -- list and check --------------------------------------------------------------------------------------


def test_list_has_every_rule_and_every_event_without_one(folder, capsys):
    code, out, _ = run(capsys, "list")

    first_words = {line.split()[0] for line in out.splitlines()}
    listened = {word for line in out.splitlines() for word in line.replace(",", "").split()}
    assert code == 0
    assert {"generate-invoice", "restore-license-key", "subscription.migrated"} <= first_words
    assert event_types() <= listened


def test_list_says_what_is_ones_own_replaced_and_off(folder, capsys):
    off = '\n[[rule]]\nname = "win-back-offer"\nenabled = false\n'
    replaced = MINE.replace("tag-big-order", "generate-invoice")
    (folder / "mine.toml").write_text(MINE + replaced + off)

    _, out, _ = run(capsys, "list", "mine.toml")

    state = {line.split()[0]: line for line in out.splitlines()}
    assert state["tag-big-order"].endswith(" on, your own: order.paid")
    assert state["generate-invoice"].endswith(" on, your own in place of the default: order.paid")
    assert state["win-back-offer"].split()[1:] == ["off"]
    assert state["restore-license-key"].split()[1] == "on:"


def test_check_says_that_all_is_well_and_what_the_file_does(folder, capsys):
    code, out, _ = run(capsys, "check", "mine.toml")

    assert (code, out) == (0, "mine.toml: nothing is wrong.\n  tag-big-order: new\n")


def test_check_says_every_problem_and_fails(folder, capsys):
    bad = MINE.replace("order.paid", "order.payed").replace("customers:update", "customers:updat")
    (folder / "mine.toml").write_text(bad.replace("who(", "whom("))

    code, _, err = run(capsys, "check", "mine.toml")

    assert code == 1
    assert "did you mean `order.paid`?" in err
    assert "did you mean `customers:update`" in err
    assert "there is no function `whom`" in err


@pytest.mark.parametrize(("text", "said"), [("[[rule]", "is not TOML"), (None, "cannot be read")])
def test_check_of_what_is_no_rule_file_says_so(folder, capsys, text, said):
    path = folder / "other.toml"
    if text is not None:
        path.write_text(text)

    code, _, err = run(capsys, "check", str(path))

    assert code == 1
    assert said in err


# -- try -------------------------------------------------------------------------------------------------


def test_rule_that_would_ask_shows_question_reason_risk_and_call(folder, capsys, nothing_is_sent):
    (folder / "reads.json").write_text(
        '{"customer": {"metadata": {"vip": "no"}}, "order": {"is_invoice_generated": true, "status": "paid"}}'
    )

    code, out, _ = run(capsys, "try", "mine.toml", "--event", "order.json", "--reads", "reads.json")

    assert code == 0
    assert "tag-big-order: would ask\n  Mark Bob as a VIP?\n  - " in out
    assert f"call PATCH /v1/customers/{ORDER['data']['customer_id']}  (" in out
    assert 'body {"metadata": {"vip": "yes"}}' in out
    assert "  risk R" in out
    assert (
        "generate-invoice: proposes nothing, because in `precondition`, this is not true: !order.is_invoice_generated"
        in out
    )


def test_rule_that_does_not_fire_names_the_part_that_is_not_true(folder, capsys):
    (folder / "mine.toml").write_text(MINE.replace("'usd'", "'eur'"))

    code, out, _ = run(capsys, "try", "mine.toml", "--event", "order.json")

    assert code == 0
    assert (
        "tag-big-order: proposes nothing, because in `when`, this is not true: data.currency == 'eur'" in out
    )


def test_reads_that_nobody_answered_are_named_and_the_command_fails(folder, capsys, nothing_is_sent):
    code, out, _ = run(capsys, "try", "mine.toml", "--event", "order.json")

    assert code == 1
    assert f"  needs customer: customers:get id = {ORDER['data']['customer_id']}" in out
    assert "generate-invoice: would ask" in out  # a fresh event is proof enough


def test_answer_may_be_for_one_rule_alone(folder, capsys):
    answers = {"tag-big-order.customer": {"metadata": {"vip": "yes"}}, "customer": {"metadata": {}}}
    (folder / "reads.json").write_text(json.dumps(answers))

    _, out, _ = run(capsys, "try", "mine.toml", "--event", "order.json", "--reads", "reads.json")

    assert "in `precondition`, this is not true: customer.metadata.vip != 'yes'" in out


def test_expression_that_fails_is_said_with_its_field(folder, capsys):
    (folder / "reads.json").write_text('{"customer": {}}')

    code, out, _ = run(capsys, "try", "mine.toml", "--event", "order.json", "--reads", "reads.json")

    assert code == 1
    assert "tag-big-order: proposes nothing, because it fails: rule 'tag-big-order', `precondition`: " in out


def test_own_rule_for_another_event_says_what_it_listens_to(folder, capsys):
    (folder / "other.json").write_text(LINES["customer.created"])

    code, out, _ = run(capsys, "try", "mine.toml", "--event", "other.json")

    assert code == 0
    assert "tag-big-order: does not listen to customer.created, only to order.paid" in out


def test_rule_that_compares_says_what_it_was_not_given(folder, capsys):
    (folder / "state.json").write_text(LINES["customer.state_changed"])

    _, out, _ = run(capsys, "try", "--event", "state.json")

    assert "this is not true: before != null\n  note: `before` is null: give --before" in out


def test_earlier_event_is_what_a_rule_compares_with(folder, capsys):
    later = json.loads(json.loads(LINES["customer_seat.revoked"])["body"])
    earlier = json.loads(json.dumps(later))
    earlier["data"] |= {"status": "claimed", "email": "ann@example.com"}
    seats = {"available_seats": 1, "total_seats": 1, "seats": []}
    (folder / "later.json").write_text(json.dumps(later))
    (folder / "earlier.json").write_text(json.dumps(earlier))
    (folder / "reads.json").write_text(
        json.dumps({"in_subscription": seats, "subscription": {"status": "active"}})
    )

    code, out, _ = run(
        capsys, "try", "--event", "later.json", "--before", "earlier.json", "--reads", "reads.json"
    )

    assert code == 0, out
    assert "restore-seat: would ask\n  Give ann@example.com their seat back?" in out
    assert "always asks a person" in out


@pytest.mark.parametrize("type_", sorted(LINES))
def test_every_recorded_event_is_understood_in_all_three_forms(folder, capsys, type_, monkeypatch):
    recorded = json.loads(LINES[type_])
    exported = {"id": "msg_1", "type": type_, "body": json.loads(recorded["body"])}
    told = set()
    for content in (LINES[type_], recorded["body"], json.dumps(exported)):
        (folder / "event.json").write_text(content)
        _, out, err = run(capsys, "try", "--event", "event.json")
        told.add(out)
        assert err == ""

    assert len(told) == 1
    assert told.pop().startswith(f"{type_}, as if it had just arrived. Nothing is sent.\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "should hold an event as one JSON object, and does not"),
        ("[]", "holds something else"),
        ('{"type": 5}', "holds no event of Polar"),
        ('{"body": 7}', "holds no event of Polar"),
        (LINES["order.paid"] + "\n" + LINES["order.created"], "It has several lines: give one of them."),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_event_is_said_in_words(folder, capsys, content, said):
    if content is not None:
        (folder / "event.json").write_text(content)

    code, out, err = run(capsys, "try", "--event", "event.json")

    assert (code, out) == (1, "")
    assert said in err


def test_live_without_settings_says_which_are_missing(folder, capsys):
    code, _, err = run(capsys, "try", "--event", "order.json", "--live")

    assert code == 1
    assert "POLAR_ACCESS_TOKEN" in err


def test_what_a_customer_wrote_cannot_steer_the_terminal(folder, capsys):
    order = json.loads(json.dumps(ORDER))
    order["data"]["customer"]["name"] = "Bob\x1b[2J\nrm -rf"
    (folder / "event.json").write_text(json.dumps(order))

    _, out, _ = run(capsys, "try", "--event", "event.json")

    assert "Bob [2J rm -rf" in out
    assert "\x1b" not in out


def test_an_unknown_subcommand_is_a_wrong_command_line(folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["rules", "prune"])
    assert stopped.value.code == 2


# -- which part was false --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a && b", ("a", "b")),
        ("a &&\n  (b && c) && d", ("a", "(b && c)", "d")),
        ("a || b && c", ("a || b && c",)),
        ("a && b ? c : d", ("a && b ? c : d",)),
        ("a && x == 'p && q' && f(\"(\")", ("a", "x == 'p && q'", 'f("(")')),
        (r"x == 'it\'s && so' && b", (r"x == 'it\'s && so'", "b")),
        ("l.exists(o, o.a && o.b)", ("l.exists(o, o.a && o.b)",)),
        ("a", ("a",)),
    ],
)
def test_condition_is_cut_at_its_outermost_ands(source, expected):
    assert parts(source) == expected


@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_the_first_part_that_is_not_true_is_named(values):
    scope = Scope({f"v{number}": value for number, value in enumerate(values)})
    condition = Expression(" && ".join(f"v{number}" for number in range(len(values))))

    named = false_part(condition, scope)

    first = next((f"v{number}" for number, value in enumerate(values) if not value), condition.source)
    assert named == first


@given(st.text("ab'\"\\ &|?()[]{}", max_size=20))
def test_no_text_breaks_the_cutting(source):
    assert "".join(" ".join(parts(source)).split()).replace("&&", "") == "".join(source.split()).replace(
        "&&", ""
    )


def test_command_is_registered():
    assert command.run.__doc__
