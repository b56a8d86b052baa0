"""A link that Polar made reaches whoever approved and nobody else, through the whole program and a strict Slack."""

from bot.demo.server import Demo

LINK = "https://demo.invalid/portal?customer_session_token="


async def test_the_link_is_shown_to_whoever_tapped_and_never_in_the_channel() -> None:
    said: list[str] = []
    async with Demo.start(opening=False, say=said.append) as demo:
        maya, jonas = [each.id for each in demo.slack.workspace.users.values() if each.role == "approver"][:2]
        await demo.story.send("subscription.past_due")
        card = await demo.slack.wait_for_message(lambda each: "approve" in each.action_ids, 10)

        await demo.slack.click(maya, card.channel, card.ts, "approve")
        await demo.slack.wait_until(lambda: demo.slack.ephemerals(maya), 10)
        await demo.slack.wait_until(lambda: demo.slack.thread(card.ts), 10)

        (shown,) = demo.slack.ephemerals(maya)
        posted = [*demo.slack.messages(), *demo.slack.thread(card.ts)]
        assert LINK in shown.text
        assert demo.slack.ephemerals(jonas) == []
        assert not any("customer_session_token" in repr(each) for each in posted)
    assert not any("customer_session_token" in each for each in said)
