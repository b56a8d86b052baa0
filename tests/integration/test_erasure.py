"""Erased: nothing that a customer wrote is left in a table, an export or on a card, and the log is still whole."""

import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bot.approvals.erasure import (
    Erased,
    erase_customer,
    erasure_of,
    typed,
)
from bot.cli.export import _EXPORTS, _plain
from bot.demo.polar import stock
from bot.demo.polar.orders import tell_order
from bot.demo.polar.sales import _checkout_fields
from bot.explain.document import explanation
from bot.explain.verify import check
from bot.ui.card import card
from bot.ui.digest import reminder
from bot.ui.states import CardView
from store import Store
from store.audit_log.verify import verify
from store.messages.outbox import add_to_outbox
from store.models import (
    Decision,
    Proposal,
    ProposalState,
    Verdict,
)
from store.models.details import CommentKind
from store.models.reasons import ReasonCode
from store.proposals.actions import Act, ask
from store.proposals.decisions import decide
from store.proposals.details import add_comment, explained, keep_message
from store.schema import metadata, proposals
from store.schema.graduation import case_kinds, case_labels
from tests.fixtures.line import MAYA, Line, line


@dataclass(frozen=True)
class Buyer:
    """A customer all of whose texts hold the mark."""

    mark: str
    row: dict[str, Any]

    @property
    def email(self) -> str:
        return str(self.row["email"])


def buyer(shop: Line, mark: str) -> Buyer:
    address = {"country": "DE", "line1": f"{mark} street", "line2": f"{mark} yard", "city": f"{mark} town",
               "postal_code": f"{mark}99", "state": None}  # fmt: skip
    more = {"external_id": f"ext-{mark}", "metadata": {f"note {mark}": f"Said {mark}"}}
    made = stock.add_customer(
        shop.shop, f"Ada {mark} \u0416", f"ada.{mark}@example.com", address=address, **more
    )
    return Buyer(mark, made)


async def buys(shop: Line, who: Buyer) -> Proposal:
    """An order is paid; the question about it."""
    before = {one.id for one in await shop.proposals()}
    written = {"billing_name": f"Ada {who.mark}", "metadata": {"gift": f"For {who.mark}"},
               "custom_field_data": {"wish": f"Engrave {who.mark}"}}  # fmt: skip
    tell_order(shop.shop, "order.paid", stock.add_order(shop.shop, who.row, shop.polar.product, **written))
    await shop.deliver()
    return next(one for one in await shop.proposals() if one.id not in before)


async def cancels(shop: Line, who: Buyer) -> None:
    said = {
        "customer_cancellation_comment": f"{who.mark} is poor",
        "customer_cancellation_reason": "too_expensive",
    }
    subscription = stock.add_subscription(shop.shop, who.row, shop.polar.monthly, **said)
    shop.shop.change(subscription, cancel_at_period_end=True, canceled_at=shop.shop.now(),
                     ends_at=subscription["current_period_end"])  # fmt: skip
    shop.tell("subscription.canceled", "subscriptions", subscription)
    await shop.deliver()


async def leaves_a_checkout(shop: Line, who: Buyer) -> None:
    """Without an id of the customer: only their address tells whose it is."""
    body = {"customer_email": who.email, "customer_name": f"Ada {who.mark}"}
    fields = _checkout_fields(shop.shop, body, shop.polar.product, None, None)
    checkout = shop.shop.add("checkouts", **fields)
    shop.shop.change(checkout, status="expired")
    shop.tell("checkout.expired", "checkouts", checkout)
    await shop.deliver()


async def is_decided(shop: Line, asked: Proposal, mark: str, draw: random.Random) -> None:
    """The team writes about the customer and decides, or not yet."""
    at = shop.clock()
    where = {"at": at, "channel": "C0CARDS", "ts": f"{draw.random():.6f}"}
    await shop.store.do(keep_message, [asked.id], MAYA, f"Is {mark} the one who called?", **where)
    await shop.store.do(
        ask, Act(asked.id, MAYA, f"Asked about {mark}", at, {"text": f"{mark}?", "blocks": []})
    )
    match draw.choice(["approved", "declined", "open", "approved"]):
        case "approved":
            await shop.approve(asked)
        case "declined":
            said = Decision(asked.id, MAYA, Verdict.DECLINE, "button", at, reason=f"{mark} is a fraud")
            await shop.store.do(decide, said)
            await shop.store.do(add_comment, asked.id, CommentKind.REASON, MAYA, f"{mark} again", at=at)


async def lives(shop: Line, marks: Sequence[str], draw: random.Random) -> list[Buyer]:
    buyers = [buyer(shop, mark) for mark in marks]
    for who in buyers:
        shop.tell("customer.updated", "customers", who.row)
    await shop.deliver()
    for _ in range(2):
        for who in draw.sample(buyers, len(buyers)):
            await is_decided(shop, await buys(shop, who), who.mark, draw)
            if draw.random() < 0.5:
                await cancels(shop, who)
            if draw.random() < 0.5:
                await leaves_a_checkout(shop, who)
    waiting = [one for one in await shop.proposals() if one.state == ProposalState.PENDING]
    listed = reminder(waiting, {}).content
    await shop.store.do(add_to_outbox, "reminder:1", kind="reminder", message=listed, at=shop.clock())
    await shop.assess()
    return buyers


def tables(connection: Connection) -> dict[str, str]:
    """Every table as one text; webhooks as they are, not as bytes."""
    found = {}
    for table in metadata.sorted_tables:
        rows = [
            {
                name: value.decode() if isinstance(value, bytes) else value
                for name, value in row._mapping.items()
            }
            for row in connection.execute(select(table))
        ]
        found[table.name] = "\n".join(
            json.dumps(
                {name: _unfolded(value) for name, value in row.items()}, default=str, ensure_ascii=False
            )
            for row in rows
        )
    return found


def _unfolded(value: Any) -> Any:
    """JSON that is kept as a text, as its value, so that no escape hides anything."""
    try:
        return json.loads(value) if isinstance(value, str) and value[:1] == "{" else value
    except ValueError:
        return value


async def everything(shop: Line) -> dict[str, str]:
    """Tables, exports, explanations and cards, each as one text."""
    found = await shop.store.do(tables)
    for what, export in _EXPORTS.items():
        lines = [json.dumps(row, default=_plain) async for rows in export(shop.store) for row in rows]
        found[f"export {what}"] = "\n".join(lines)
    for one in await shop.proposals():
        shown = card(one, CardView(undo=False))
        found["cards"] = found.get("cards", "") + json.dumps(shown.content, ensure_ascii=False)
        told = await shop.store.do(explained, one.id)
        assert told is not None
        document = json.loads(json.dumps(explanation(told, shop.clock())))
        assert [each for each in check(document) if each.fits is False] == []
        found["explanations"] = found.get("explanations", "") + json.dumps(document, ensure_ascii=False)
    return found


async def erase(shop: Line, who: str) -> Erased | None:
    return await erase_customer(shop.store, typed(who), erasure_of("a test", shop.clock()))


@asynccontextmanager
async def opened(folder: Path, url: str) -> AsyncIterator[Line]:
    async with line(folder, url=url) as shop:
        yield shop


@pytest.fixture
async def shop(tmp_path: Path, database_url: str) -> AsyncIterator[Line]:
    """The line with its rules, on each database."""
    async with line(tmp_path, url=database_url) as made:
        yield made


async def numbers(store: Store) -> dict[str, Any]:
    """What trust and statistics are made of."""

    def read(connection: Connection) -> dict[str, Any]:
        def rows(*columns: Any) -> list[Any]:
            return sorted(map(tuple, connection.execute(select(*columns))), key=repr)

        kinds = [one for one in case_kinds.c if one.name != "approved_values"]
        states = (
            proposals.c.id,
            proposals.c.mode,
            proposals.c.amount,
            proposals.c.decided_by,
            proposals.c.case_kind,
        )
        return {"kinds": rows(*kinds), "labels": rows(*case_labels.c), "proposals": rows(*states)}

    return await store.do(read)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("by", ["id", "email", "external_id"])
async def test_of_an_erased_customer_nothing_is_left_and_of_the_others_all(
    shop: Line, seed: int, by: str, caplog: pytest.LogCaptureFixture
) -> None:
    draw = random.Random(f"{seed} {by}")  # noqa: S311 - a test that can be repeated
    marks = [f"zq{draw.randrange(16**6):06x}x" for _ in range(3)]
    gone, *others = await lives(shop, marks, draw)
    before, kept = await everything(shop), await numbers(shop.store)
    assert all(
        gone.mark in before[where]
        for where in ("events", "proposals", "proposal_comments", "outbox", "cards")
    )
    open_before = [one.id for one in await shop.proposals() if one.state == ProposalState.PENDING]

    found = await erase(shop, str(gone.row[by]))

    assert found is not None
    assert found.left == 0
    after = await everything(shop)
    assert {where: text.count(gone.mark) for where, text in after.items() if gone.mark in text} == {}
    for other in others:
        for where, text in before.items():
            if where != "outbox":  # the reminder that named all of them is not sent
                assert text.count(other.mark) == after[where].count(other.mark), where
    assert (await shop.store.do(verify)).problems == ()
    assert (await numbers(shop.store))["proposals"] == kept["proposals"]
    theirs = {one.id for one in await shop.proposals() if one.customer_id == gone.row["id"]}
    for one in await shop.proposals():
        if one.id in theirs & set(open_before):
            assert (one.state, one.status_reason and one.status_reason.code) == (
                "withdrawn",
                ReasonCode.ERASED,
            )
        elif one.id in open_before and one.erased_at is None:
            assert one.state == "pending"
    assert gone.mark not in caplog.text
    # Once more: nothing changes.
    await erase(shop, str(gone.row["id"]))
    assert await shop.store.do(tables) == await shop.store.do(tables)
    assert (await shop.store.do(verify)).problems == ()
    await shop.assess()
    assert (await numbers(shop.store))["kinds"] == kept["kinds"]
    assert (await numbers(shop.store))["labels"] == kept["labels"]
