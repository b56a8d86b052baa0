"""Threads over the wire: what is written is kept once, and `@polar …` does what the buttons do."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from bot.demo.slack.people import App
from bot.demo.slack.state import Message
from store.schema import bundles, proposals
from tests.e2e.app_harness import GUS, JONAS, LENA, MAYA, OMAR, World, eventually, words_of, world
from tests.fixtures.conversation import choose, everything, id_of, in_thread, send, value_of

BOT = f"<@{App().bot_user_id}>"


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def say(line: World, card: Message, text: str, user: str = MAYA) -> str:
    return line.slack.say(user, text, thread_ts=card.ts)


async def test_what_is_written_in_a_thread_is_kept_once_and_in_order(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        say(line, card, "Is this the one from &lt;Monday&gt;?", LENA)
        say(line, card, "Yes, <!channel> saw it", GUS)
        say(line, card, f"{BOT} why?", JONAS)
        await in_thread(line, card, "Rule generate-invoice asks this.")

        async def kept() -> bool:
            return len((await everything(app, card)).comments) == 3

        await eventually(kept)
        found = await everything(app, card)
        assert [(one.author, one.text) for one in found.comments] == [
            (LENA, "Is this the one from <Monday>?"),
            (GUS, "Yes, <!channel> saw it"),
            (JONAS, f"{BOT} why?"),
        ]


async def test_an_event_that_slack_repeats_counts_once(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        line.slack.fail_next("events", "duplicate", times=2)
        say(line, card, f"{BOT} who")
        await in_thread(line, card, "may decide")
        await line.slack.drain_events()
        said = [words_of(each) for each in line.slack.thread(card.ts) if "may decide" in words_of(each)]
        assert len(said) == 1
        assert len((await everything(app, card)).comments) == 1


async def test_a_message_is_acknowledged_once_it_is_on_disk(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        line.slack.fail_next("chat.postEphemeral", "slow", seconds=1)
        say(line, card, f"{BOT} help")
        await line.slack.drain_events()
        assert line.slack.ephemerals(MAYA) == []
        assert len((await everything(app, card)).comments) == 1
        assert "help" in await line.ephemeral_text(MAYA)


async def test_approve_in_a_thread_runs_it(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        say(line, card, f"{BOT} approve", JONAS)
        await line.says(card, "Done")
        found = await everything(app, card)
        assert [(one.actor, one.via, one.verdict) for one in found.decisions] == [
            (JONAS, "thread", "approve")
        ]


async def test_decline_with_a_reason(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        say(line, card, f"{BOT} decline because they asked &amp; got one")
        await line.says(card, "Declined")
        await line.slack.wait_until(lambda: "they asked & got one" in words_of(line.shown(card)), 10)
        found = await everything(app, card)
        assert [(one.kind, one.text) for one in found.comments if one.kind == "reason"] == [
            ("reason", "they asked & got one")
        ]
        assert found.decisions[0].reason == "they asked & got one"
        assert not line.writes


@pytest.mark.parametrize("word", ["approve", "decline", "hold", "snooze 2h", f"assign <@{MAYA}>"])
@pytest.mark.parametrize(
    ("user", "said"), [(LENA, "not an approver"), (GUS, "guest"), (OMAR, "not a member of this workspace")]
)
async def test_the_same_people_may_as_with_the_buttons(line: World, word: str, user: str, said: str) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        say(line, card, f"{BOT} {word}", user)
        assert said in await line.ephemeral_text(user)
        found = await everything(app, card)
        assert found.proposal.state == "pending"
        assert found.proposal.row_version == 1
        assert not line.slack.thread(card.ts)[1:]


async def test_on_hold_nobody_approves_until_it_is_released(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        say(line, card, f"{BOT} hold")
        await in_thread(line, card, "put this on hold")
        say(line, card, f"{BOT} approve", JONAS)
        assert f"on hold by <@{MAYA}>" in await line.ephemeral_text(JONAS)
        assert (await everything(app, card)).proposal.state == "pending"
        say(line, card, f"{BOT} release", JONAS)
        await in_thread(line, card, "released this")
        say(line, card, f"{BOT} approve", JONAS)
        await line.says(card, "Done")
        acts = [one.text for one in (await everything(app, card)).comments if one.kind == "act"]
        assert acts == ["Put on hold.", "Released."]


async def test_a_hold_stops_the_clock_of_what_is_approved(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.created.twice")
        await line.tap(card, "approve")
        await line.says(card, "Approved")
        say(line, card, f"{BOT} hold")
        await in_thread(line, card, "put this on hold")
        held = (await everything(app, card)).proposal
        assert held.state == "approved"
        assert held.held_by == MAYA
        assert held.cancellable_until is not None
        assert held.cancellable_until.year >= 9000
        say(line, card, f"{BOT} release")
        await in_thread(line, card, "What was approved goes on now")
        released = (await everything(app, card)).proposal
        assert released.cancellable_until is not None
        assert 0 <= (released.cancellable_until - app.services.clock()).total_seconds() <= 15


async def test_snooze_and_assign_in_words(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        say(line, card, f"{BOT} snooze until tomorrow")
        await in_thread(line, card, "snoozed this until")
        say(line, card, f"{BOT} assign <@{JONAS}>")
        await in_thread(line, card, "please decide")
        found = (await everything(app, card)).proposal
        assert found.assignee == JONAS
        assert found.snoozed_until is not None
        say(line, card, f"{BOT} snooze until whenever")
        assert "did not understand that time" in await line.ephemeral_text(MAYA)


async def test_details_come_behind_a_button(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid")
        say(line, card, f"{BOT} details", LENA)
        await in_thread(line, card, "Everything about this")
        reply = next(each for each in line.slack.thread(card.ts) if "details" in each.action_ids)
        clicked = await line.slack.click(LENA, reply.channel, reply.ts, "details")
        assert clicked.acked, clicked.error
        await line.slack.wait_until(
            lambda: line.slack.modals(LENA) and id_of(card) in str(line.slack.modals(LENA)[-1].content), 5
        )


@pytest.mark.parametrize(
    "text", ["approve? no, wait", "do it", "", "declined", "approve this <@U999>", "{BOT}"]
)
async def test_anything_else_gets_the_line_of_what_is_understood(line: World, text: str) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        say(line, card, f"{BOT} {text}")
        assert "In this thread I understand" in await line.ephemeral_text(MAYA)
        assert (await everything(app, card)).proposal.state == "pending"


async def test_outside_of_a_cards_thread_there_is_nothing_to_decide(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        line.slack.say(MAYA, f"{BOT} approve")
        assert "thread of a card" in await line.ephemeral_text(MAYA)
        assert (await everything(app, card)).proposal.state == "pending"


async def test_an_approve_that_was_written_before_an_edit_is_of_what_was_asked_then(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.created.twice")
        # Slack holds the message back until the edit is there
        line.slack.fail_next("events", "reorder", times=2)
        say(line, card, f"{BOT} approve", JONAS)
        await send(line, await choose(line, card, "edit"), **{"body.amount": {"value": "5.00"}})
        await in_thread(line, card, "edited this")
        say(line, card, "and?", LENA)
        assert "changed" in await line.ephemeral_text(JONAS)
        found = await everything(app, card)
        assert (found.proposal.state, found.proposal.revision) == ("pending", 2)
        assert not found.decisions


async def test_an_approve_is_of_what_was_shown_though_it_was_edited_before(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.created.twice")
        view = await choose(line, card, "edit", JONAS)
        line.slack.fail_next("chat.update", "ratelimited", times=9, retry_after=30)
        await send(line, view, JONAS, **{"body.amount": {"value": "5.00"}})
        await in_thread(line, card, "needs a decision of its own")
        before = line.shown(card).text
        say(line, card, f"{BOT} approve")
        await line.slack.wait_until(lambda: line.slack.ephemerals(MAYA), 10)
        found = await everything(app, card)

    assert line.shown(card).text == before
    assert (found.proposal.state, found.proposal.revision, found.decisions) == ("pending", 2, ())
    assert line.slack.ephemerals(MAYA)[-1].text.startswith("This changed since the card you saw")


async def test_what_is_written_is_in_the_details(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        say(line, card, "I know this customer", LENA)

        async def kept() -> bool:
            return bool((await everything(app, card)).comments)

        await eventually(kept)
        assert value_of(line.shown(card), "approve").startswith(id_of(card))
        view = await choose(line, card, "details")
        assert "I know this customer" in str(view.content)


async def test_in_the_thread_of_a_bundle_nothing_is_decided(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        other = await line.ask("order.paid.yen")

        def bundle(connection: Connection) -> None:
            row = {
                "id": "b1",
                "key": "k",
                "row_version": 1,
                "rendered_version": 1,
                "channel": card.channel,
                "card_ts": card.ts,
            }
            at = app.services.clock()
            connection.execute(
                bundles.insert(), [row | {"created_at": at, "card_due_at": at, "closed_at": at}]
            )
            both = proposals.c.id.in_([id_of(card), id_of(other)])
            connection.execute(update(proposals).where(both).values(bundle_id="b1", card_ts=None))

        await app.services.store.do(bundle)
        say(line, card, f"{BOT} approve")
        assert "Click Review on the card" in await line.ephemeral_text(MAYA)
        for each in (card, other):
            found = await everything(app, each)
            assert found.proposal.state == "pending"
            assert [one.text for one in found.comments] == [f"{BOT} approve"]


async def test_what_is_edited_or_deleted_later_is_kept_as_it_is_now(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        ts = say(line, card, "They paid twice", LENA)
        told = {"type": "message", "channel": card.channel, "channel_type": "channel", "event_ts": "1.0"}

        async def kept(text: str, deleted: int = 0) -> bool:
            return [(one.text, one.deleted) for one in (await everything(app, card)).comments] == [
                (text, deleted)
            ]

        await eventually(lambda: kept("They paid twice"))
        now = {
            "type": "message",
            "user": LENA,
            "text": "They paid &lt;once&gt;",
            "ts": ts,
            "thread_ts": card.ts,
        }
        line.slack.emit(told | {"subtype": "message_changed", "message": now, "ts": "2.0"})
        await eventually(lambda: kept("They paid <once>"))
        line.slack.emit(told | {"subtype": "message_deleted", "deleted_ts": ts, "ts": "3.0"})
        await eventually(lambda: kept("They paid <once>", 1))
        line.slack.emit(told | {"subtype": "message_deleted", "deleted_ts": ts, "ts": "4.0"})
        await line.slack.drain_events()
        assert await kept("They paid <once>", 1)
