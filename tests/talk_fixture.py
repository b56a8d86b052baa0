"""What people do with the menu and the thread of a card, against the whole program."""

from datetime import UTC, datetime
from typing import Any

from bot.app import Running
from bot.demo.blockkit import lint_view
from bot.demo.slack.state import Message, View
from store.models.details import Dossier
from store.proposals.details import dossier
from tests.e2e.app_harness import MAYA, World, words_of


def value_of(card: Message, action_id: str) -> str:
    """The value of a button, or of the first option of a menu."""
    for block in card.blocks:
        for element in block.get("elements", ()):
            if element.get("action_id") == action_id:
                return str(element["value"] if "value" in element else element["options"][0]["value"])
    raise AssertionError(f"the card has no {action_id}")


def id_of(card: Message) -> str:
    """The proposal of a card, as its metadata says."""
    assert card.metadata is not None
    return str(card.metadata["event_payload"]["proposal_id"])


async def choose(line: World, card: Message, name: str, user: str = MAYA) -> View:
    """Choose something of the menu; the modal as it is once it is filled."""
    shown = line.shown(card)
    about = value_of(shown, "menu").partition(":")[2]
    clicked = await line.slack.click(user, card.channel, card.ts, "menu", value=f"{name}:{about}")
    assert clicked.acked, clicked.error
    return await filled(line, user)


async def filled(line: World, user: str = MAYA) -> View:
    """The modal on top, once it no longer says that it is loading."""
    await line.slack.wait_until(
        lambda: line.slack.modals(user) and "One moment" not in words_in(line.slack.modals(user)[-1]), 5
    )
    view: View = line.slack.modals(user)[-1]
    assert lint_view(view.content) == []
    return view


def words_in(view: View) -> str:
    """Every word of a modal."""
    message = Message("", "", "", "", view.content["blocks"])
    return words_of(message)


async def send(line: World, view: View, user: str = MAYA, **entered: Any) -> None:
    """Submit a modal with `block=state` filled in."""
    values = {block: {_action(view, block): state} for block, state in entered.items()}
    sent = await line.slack.submit(user, view.id, values)
    assert sent.error is None, sent.error


def _action(view: View, block_id: str) -> str:
    return next(
        str(block["element"]["action_id"])
        for block in view.content["blocks"]
        if block["block_id"] == block_id
    )


async def everything(app: Running, card: Message) -> Dossier:
    """All that is stored about the proposal of a card."""
    found = await app.services.store.do(dossier, id_of(card))
    assert found is not None
    return found


async def in_thread(line: World, card: Message, part: str) -> str:
    """Wait until a line of the thread has these words; the line."""
    await line.slack.wait_until(
        lambda: any(part in words_of(each) for each in line.slack.thread(card.ts)), 10
    )
    return next(words_of(each) for each in line.slack.thread(card.ts) if part in words_of(each))


def at(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
