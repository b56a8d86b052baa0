"""A link that Polar made reaches whoever approved and nobody else, through the whole program and a strict Slack."""

from bot.demo.server import Desk

LINK = "https://demo.invalid/portal?customer_session_token="


async def test_the_link_is_shown_to_whoever_tapped_and_never_in_the_channel() -> None:
    said: list[str] = []
    async with Desk.start(opening=False, say=said.append) as desk:
        maya, jonas = [each.id for each in desk.slack.workspace.cast.users if each.role == "approver"][
            :2
        ]
        await desk.story.send("subscription.past_due")
        card = await desk.slack.wait_for_message(lambda each: "approve" in each.action_ids, 10)

        await desk.slack.click(maya, card.channel, card.ts, "approve")
        await desk.slack.wait_until(lambda: desk.slack.ephemerals(maya), 10)
        await desk.slack.wait_until(lambda: desk.slack.thread(card.ts), 10)

        (shown,) = desk.slack.ephemerals(maya)
        posted = [*desk.slack.messages(), *desk.slack.thread(card.ts)]
        assert LINK in shown.text
        assert desk.slack.ephemerals(jonas) == []
        assert not any("customer_session_token" in repr(each) for each in posted)
    assert not any("customer_session_token" in each for each in said)
