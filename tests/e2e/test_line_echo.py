"""An event that our own call caused is stored and asks nothing; the same event of anything else does ask."""

from pathlib import Path

import pytest

from bot.demo.polar.orders import tell_order
from store.models.reasons import Reason, ReasonCode
from tests.e2e.app_harness import World, eventually, handled, proposals, world

RULES = """
[[rule]]
name  = "look-at-updated-order"
on    = ["order.updated"]
operation  = "orders:update"
path  = { id = "${data.id}" }
body  = { billing_name = "${data.billing_name}" }
title = "Look at order ${data.invoice_number}?"
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A file with a rule that listens to what our own invoice causes."""
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    return path


async def approve_an_invoice(line: World) -> str:
    """The order whose invoice was approved and generated."""
    card = await line.ask("order.paid")
    await line.tap(card)
    await line.says(card, "Done: ")
    return line.writes[-1].path.split("/")[3]


def update(line: World, order: dict) -> None:
    """Somebody changes an order at Polar."""
    line.polar.shop.change(order, billing_name=f"{order['billing_name']} Ltd")
    tell_order(line.polar.shop, "order.updated", order)


@pytest.mark.parametrize("slow", [False, True], ids=["answered at once", "echo before the answer"])
async def test_the_echo_of_our_own_call_makes_no_card(tmp_path: Path, rules: Path, *, slow: bool) -> None:
    async with world(tmp_path) as line:
        line.environment["RULES_FILE"] = str(rules)
        async with line.app() as app:
            if slow:
                line.polar.fail_next("slow", only="orders:generate_invoice", seconds=0.7)
            await approve_an_invoice(line)
            [asked] = await proposals(app)
            echo = await eventually(lambda: _echo(line))
            stored = await handled(app, echo)

            assert (stored.type, stored.reason) == (
                "order.updated",
                Reason(ReasonCode.ECHO, {"proposal": asked.id}),
            )
            assert len(line.cards) == 1
            assert [one.id for one in await proposals(app)] == [asked.id]


async def _echo(line: World):
    return next((each for each in line.polar.webhooks.newest if each.echo), None)


async def test_the_update_of_another_order_does_ask(tmp_path: Path, rules: Path) -> None:
    async with world(tmp_path) as line:
        line.environment["RULES_FILE"] = str(rules)
        async with line.app():
            ours = await approve_an_invoice(line)
            other = next(
                each
                for each in reversed(line.polar.shop.tables["orders"].values())
                if each["id"] != ours and each["billing_name"]
            )
            update(line, other)
            line.polar.send_pending("somebody renames")
            card = await line.slack.wait_for_message(lambda m: m.text.startswith("Look at order"))

    assert card.text == f"Look at order {other['invoice_number']}?"
    assert len(line.cards) == 2


async def test_a_refused_call_has_no_echo(tmp_path: Path, rules: Path) -> None:
    async with world(tmp_path) as line:
        line.environment["RULES_FILE"] = str(rules)
        async with line.app():
            card = await line.ask("order.paid.bare")
            await line.tap(card)
            await line.says(card, "Failed: ")
            order = list(line.polar.shop.tables["orders"].values())[-1]
            update(line, order)
            line.polar.send_pending("the customer adds a name")
            await line.slack.wait_for_message(lambda m: m.text.startswith("Look at order"))


async def test_one_event_for_several_rules_makes_a_card_each(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(RULES.replace("order.updated", "order.paid"))
    async with world(tmp_path) as line:
        line.environment["RULES_FILE"] = str(path)
        async with line.app():
            event = line.play("order.paid")
            await line.slack.wait_until(lambda: len(line.cards) == 2)
            line.polar.webhooks.redeliver(event)
            await line.ask("benefit_grant.revoked")

    assert len(line.cards) == 3


BROKEN = """
[[rule]]
name  = "broken"
on    = ["order.paid"]
when  = "data.discount_id.size() > 3"
operation  = "orders:update"
path  = { id = "${data.id}" }
body  = { billing_name = "Ada" }
title = "Never?"

[[rule]]
name  = "cannot-read"
on    = ["order.paid"]
read  = { files = { operation = "files:list" } }
precondition = "size(files.items) > 0"
operation  = "orders:update"
path  = { id = "${data.id}" }
body  = { billing_name = "Ada" }
title = "Never?"

[[rule]]
name  = "last"
on    = ["order.paid"]
operation  = "orders:update"
path  = { id = "${data.id}" }
body  = { billing_name = "Ada" }
title = "The last rule?"
"""


async def test_a_rule_that_fails_keeps_no_other_rule_from_asking(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(BROKEN)
    async with world(tmp_path, polar={"scopes": {"orders:read", "orders:write"}}) as line:
        line.environment["RULES_FILE"] = str(path)
        async with line.app():
            line.play("order.paid")
            await line.slack.wait_until(lambda: len(line.cards) == 2, 5)

    assert {card.text.partition(" ")[0] for card in line.cards} == {"Generate", "The"}
