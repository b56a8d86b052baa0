"""A link that Polar made reaches whoever approved and nobody else, through the whole program and a strict Slack."""

from bot.demo.desk import ApprovalService

LINK = "https://demo.invalid/portal?customer_session_token="


async def test_the_link_is_shown_to_whoever_tapped_and_never_in_the_channel() -> None:
    said: list[str] = []
    async with ApprovalService.start(opening=False, say=said.append) as approvals:
        maya, jonas = [each.id for each in approvals.slack.workspace.cast.users if each.role == "approver"][
            :2
        ]
        await approvals.story.send("subscription.past_due")
        card = await approvals.slack.wait_for_message(lambda each: "approve" in each.action_ids, 10)

        await approvals.slack.click(maya, card.channel, card.ts, "approve")
        await approvals.slack.wait_until(lambda: approvals.slack.ephemerals(maya), 10)
        await approvals.slack.wait_until(lambda: approvals.slack.thread(card.ts), 10)

        (shown,) = approvals.slack.ephemerals(maya)
        posted = [*approvals.slack.messages(), *approvals.slack.thread(card.ts)]
        assert LINK in shown.text
        assert approvals.slack.ephemerals(jonas) == []
        assert not any("customer_session_token" in repr(each) for each in posted)
    assert not any("customer_session_token" in each for each in said)
