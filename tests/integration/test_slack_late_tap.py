"""The stand-in as Slack for who is late: a tap on what was on the screen a moment ago reaches the app."""

from dataclasses import replace
from typing import Any

from aiohttp import ClientSession

from bot.demo.slack import Message, SlackStandIn


def buttons(*names: str) -> list[dict[str, Any]]:
    elements = [
        {
            "type": "button",
            "action_id": name,
            "value": f"p1:{name}",
            "text": {"type": "plain_text", "text": name},
        }
        for name in names
    ]
    return [{"type": "actions", "block_id": "decide", "elements": elements}]


async def test_a_tap_on_a_button_that_has_just_gone_is_sent_with_its_value() -> None:
    async with SlackStandIn.serve() as slack:
        room = slack.workspace
        card = room.put(
            Message(slack.channel, room.next_ts(), "U0PLRAPPRV1", "?", buttons("approve"), from_bot=True)
        )
        room.put(replace(card, blocks=buttons("undo")))
        late = await slack.click(slack.people[0], slack.channel, card.ts, "approve")
        never = await slack.click(slack.people[0], slack.channel, card.ts, "retry")
        (sent,) = slack.calls("block_actions approve")

    assert late.error == "not_connected"  # it went out; nobody listens here
    assert sent.arguments["actions"][0]["value"] == "p1:approve"
    assert never.error == "There is no 'retry' to tap any more."


async def test_a_picture_that_was_uploaded_is_shown_and_no_other_file() -> None:
    async with SlackStandIn.serve() as slack:
        room = slack.workspace
        room.uploads["F1"] = ("a.png", b"\x89PNG\r\n\x1a\n and more")
        room.uploads["F2"] = ("a.html", b"<script>alert(1)</script>")
        async with ClientSession() as client:
            shown = await client.get(f"{slack.origin}/slack/files/F1")
            hidden = await client.get(f"{slack.origin}/slack/files/F2")

    assert (shown.status, shown.content_type, hidden.status) == (200, "image/png", 404)
