"""People act on the Slack stand-in, a real Bolt app answers, over Socket Mode and over signed HTTP."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.slack import SlackStandIn
from tests.fixtures.slack import (
    DORA,
    HOME,
    JONAS,
    LENA,
    MAYA,
    MODAL,
    OMAR,
    Clock,
    card,
    change_group,
    change_role,
    http_app,
    no_wait,
    plain,
    posted,
    refusal,
    socket_app,
    web_client,
)
from tests.fixtures.slack_http import forged_click


@pytest.fixture
async def slack() -> AsyncIterator[SlackStandIn]:
    async with SlackStandIn.serve(sleep=no_wait, scopes=None) as stand_in:
        yield stand_in


@pytest.fixture
async def client(slack) -> AsyncIterator[AsyncWebClient]:
    async with web_client(slack) as made:
        yield made


@pytest.fixture(params=[socket_app, http_app], ids=["socket", "http"])
async def heard(request, slack, client):
    """A Bolt app that listens over either transport; what it heard."""
    kept: list = []
    async with request.param(slack, client, kept):
        yield kept


async def test_a_tap_reaches_the_app_and_its_response_url_changes_the_card(slack, client, heard):
    ts = await posted(slack, client, "approve", "decline")
    clicked = await slack.click(MAYA, slack.channel, ts, "approve")
    assert clicked.acked
    assert clicked.error is None
    await slack.wait_until(lambda: slack.message(ts).action_ids == [])
    body = dict(heard)["approve"]
    assert body["user"] == {"id": MAYA, "username": "maya", "name": "maya", "team_id": "T0HARBORS01"}
    assert body["actions"][0]["value"] == "prop_1"
    assert body["message"]["ts"] == ts
    assert body["container"]["channel_id"] == slack.channel


async def test_a_button_that_is_gone_cannot_be_tapped(slack, client, heard):
    ts = await posted(slack, client)
    clicked = await slack.click(MAYA, slack.channel, ts, "approve")
    assert not clicked.acked
    assert "approve" in clicked.error
    assert [name for name, _ in heard if name != "message"] == []


async def test_a_forged_tap_reaches_the_app_with_any_value(slack, client, heard):
    ts = await posted(slack, client)
    assert (await forged_click(slack, OMAR, slack.channel, ts, "approve", value="other")).acked
    body = dict(heard)["approve"]
    assert body["actions"][0]["value"] == "other"
    assert body["user"]["team_id"] == "T0PARTNER01"


async def test_a_deactivated_person_cannot_act(slack, client, heard):
    ts = await posted(slack, client, "approve")
    assert not (await slack.click(DORA, slack.channel, ts, "approve")).acked


@pytest.fixture
async def impatient() -> AsyncIterator[tuple[SlackStandIn, AsyncWebClient]]:
    """A Slack that waits 50 ms instead of 3 s, and an app on its socket."""
    async with (
        SlackStandIn.serve(ack_timeout=0.05, scopes=None) as made,
        web_client(made) as its_client,
        socket_app(made, its_client, []),
    ):
        yield made, its_client


async def test_a_late_acknowledgement_shows_the_warning_to_who_tapped(impatient):
    slack, client = impatient
    ts = await posted(slack, client, "late")
    clicked = await slack.click(MAYA, slack.channel, ts, "late")
    assert (clicked.acked, clicked.error) == (False, "timeout")
    assert slack.workspace.warnings.get((JONAS, ts)) is None
    shown = next(message for message in slack.snapshot(MAYA)["messages"] if message["ts"] == ts)
    assert (
        shown["warning"] == slack.workspace.warnings.get((MAYA, ts)) == "This app did not respond. Try again."
    )


async def test_the_next_acknowledged_tap_takes_the_warning_away(impatient):
    slack, client = impatient
    ts = await posted(slack, client, "late", "refresh")
    await slack.click(MAYA, slack.channel, ts, "late")
    assert (await slack.click(MAYA, slack.channel, ts, "refresh")).acked
    assert slack.workspace.warnings.get((MAYA, ts)) is None


async def test_an_unknown_action_shows_the_warning(impatient):
    slack, client = impatient
    ts = await posted(slack, client, "nobody_listens")
    assert not (await slack.click(MAYA, slack.channel, ts, "nobody_listens")).acked
    assert slack.workspace.warnings.get((MAYA, ts))


async def test_a_command_nobody_answers_in_time_says_so_to_who_typed_it(impatient):
    slack, _ = impatient
    slack.sockets.drop()
    assert not (await slack.command(MAYA, "/polar")).acked
    assert slack.ephemerals(MAYA)[0].text == '/polar failed with the error "dispatch_failed"'


async def test_a_modal_opens_takes_errors_and_closes(slack, client, heard):
    ts = await posted(slack, client, "decline")
    await slack.click(MAYA, slack.channel, ts, "decline")
    await slack.wait_until(lambda: slack.modals(MAYA))
    view = slack.modals(MAYA)[0]
    missing = await slack.submit(MAYA, view.id, {})
    assert not missing.acked
    assert slack.modals(MAYA)[0].errors == {"why": "Please complete this required field."}
    await slack.submit(MAYA, view.id, {"why": {"text": {"value": "bad"}}})
    assert slack.modals(MAYA)[0].errors == {"why": "Say more."}
    await slack.submit(MAYA, view.id, {"why": {"text": {"value": "fraud"}}})
    assert slack.modals(MAYA) == []


async def test_a_modal_answers_with_update_push_and_clear(slack, client, heard):
    ts = await posted(slack, client, "decline")
    await slack.click(MAYA, slack.channel, ts, "decline")
    await slack.wait_until(lambda: slack.modals(MAYA))
    view = slack.modals(MAYA)[0]
    await slack.submit(MAYA, view.id, {"why": {"text": {"value": "other"}}})
    assert slack.modals(MAYA)[0].content["title"]["text"] == "Again"
    await slack.submit(MAYA, view.id, {"why": {"text": {"value": "more"}}})
    assert len(slack.modals(MAYA)) == 2
    top = slack.modals(MAYA)[-1]
    assert top.previous == view.id
    assert not (await slack.submit(MAYA, view.id)).acked
    await slack.submit(MAYA, top.id, {"why": {"text": {"value": "all"}}})
    assert slack.modals(MAYA) == []


async def test_closing_a_modal_is_told_when_the_app_asked(slack, client, heard):
    ts = await posted(slack, client, "decline")
    await slack.click(MAYA, slack.channel, ts, "decline")
    await slack.wait_until(lambda: slack.modals(MAYA))
    assert (await slack.close(MAYA, slack.modals(MAYA)[0].id)).acked
    assert slack.modals(MAYA) == []
    await slack.wait_until(lambda: "closed" in dict(heard))


async def test_a_command_is_answered_only_to_who_typed_it(slack, client, heard):
    assert (await slack.command(LENA, "/polar", "pending")).acked
    assert [message.text for message in slack.ephemerals(LENA)] == ["You said pending"]
    assert slack.ephemerals(MAYA) == []
    body = dict(heard)["command"]
    assert (body["user_id"], body["channel_id"], body["command"]) == (LENA, slack.channel, "/polar")
    assert not (await slack.command(LENA, "/unknown")).acked


async def test_the_home_tab_is_published_when_it_is_opened(slack, client, heard):
    slack.open_home(LENA)
    await slack.wait_until(lambda: slack.home(LENA))
    assert slack.snapshot(LENA)["home"]["blocks"][0]["text"]["text"] == "Nothing waits"
    assert slack.snapshot(MAYA)["home"] is None


async def test_a_mention_is_told_twice_as_slack_does(slack, client, heard):
    root = await posted(slack, client, "approve")
    ts = slack.say(JONAS, f"<@{slack.workspace.app.bot_user_id}> why?", thread_ts=root)
    await slack.wait_until(lambda: "app_mention" in dict(heard))
    await slack.drain_events()
    event = dict(heard)["app_mention"]["event"]
    assert (event["user"], event["ts"], event["thread_ts"]) == (JONAS, ts, root)
    assert [body["event"]["ts"] for name, body in heard if name == "message"] == [ts]
    assert [message.ts for message in slack.thread(root)] == [ts]


async def test_a_changed_person_is_told(slack, client, heard):
    change_role(slack, LENA, "deactivated")
    await slack.wait_until(lambda: "user_change" in dict(heard))
    assert dict(heard)["user_change"]["event"]["user"]["deleted"] is True
    assert (await client.users_info(user=LENA))["user"]["deleted"] is True


async def test_an_event_can_come_twice_and_out_of_order(slack, client, heard):
    slack.fail_next("events", "duplicate")
    slack.say(JONAS, "one")
    slack.fail_next("events", "reorder")
    slack.say(JONAS, "two")
    slack.say(JONAS, "three")
    await slack.drain_events()
    await slack.wait_until(lambda: len(heard) == 4)
    outer = [body for _, body in heard]
    assert outer[0]["event_id"] == outer[1]["event_id"]
    assert [body["event"]["text"] for body in outer] == ["one", "one", "three", "two"]


async def test_suggestions_come_from_the_app_and_only_they_can_be_chosen(slack, client, heard):
    picker = {"type": "external_select", "action_id": "customer", "min_query_length": 1}
    blocks = [
        {"type": "input", "block_id": "who", "label": plain("Who?"), "element": picker},
        *MODAL["blocks"],
    ]
    ts = await posted(slack, client, "decline")
    await slack.click(MAYA, slack.channel, ts, "decline")
    await slack.wait_until(lambda: slack.modals(MAYA))
    view = slack.modals(MAYA)[0]
    await client.views_update(view_id=view.id, hash=view.hash, view={**MODAL, "blocks": blocks})
    values = {"who": {"customer": {"selected_option": {"value": "c1"}}}, "why": {"text": {"value": "fine"}}}
    assert not (await slack.submit(MAYA, view.id, values)).acked
    offered = await slack.suggest(MAYA, view.id, "customer", "bo")
    assert [option["text"]["text"] for option in offered.options] == ["bo 0", "bo 1"]
    assert (await slack.submit(MAYA, view.id, values)).acked
    state = dict(heard)["submit"]["view"]["state"]["values"]
    assert state["who"]["customer"]["selected_option"]["text"]["text"] == "bo 1"


async def test_a_trigger_works_once_and_for_three_seconds():
    clock = Clock()
    async with SlackStandIn.serve(clock=clock, scopes=None) as slack, web_client(slack) as client:
        fresh, old = slack.workspace.triggers.issue(MAYA), slack.workspace.triggers.issue(MAYA)
        clock.now += 2.9
        view = (await client.views_open(trigger_id=fresh, view=MODAL))["view"]
        assert await refusal(client.views_open(trigger_id=fresh, view=MODAL)) == "exchanged_trigger_id"
        clock.now += 0.2
        assert await refusal(client.views_open(trigger_id=old, view=MODAL)) == "expired_trigger_id"
        assert (
            await refusal(client.views_update(view_id=view["id"], hash="1.x", view=MODAL)) == "hash_conflict"
        )
        assert await refusal(client.views_update(view_id="V0", view=MODAL)) == "not_found"


async def test_a_stack_of_modals_is_three_deep(slack, client):
    issue = slack.workspace.triggers.issue
    await client.views_open(trigger_id=issue(MAYA), view=MODAL)
    for _ in range(2):
        await client.views_push(trigger_id=issue(MAYA), view=MODAL)
    assert await refusal(client.views_push(trigger_id=issue(MAYA), view=MODAL)) == "push_limit_reached"


async def test_a_response_url_works_five_times_in_thirty_minutes():
    clock = Clock()
    async with SlackStandIn.serve(clock=clock) as slack, aiohttp.ClientSession() as session:
        urls = [
            f"{slack.origin}/slack/response/{slack.workspace.response_urls.issue(MAYA, slack.channel, None)}"
        ] * 6
        urls.append(
            f"{slack.origin}/slack/response/{slack.workspace.response_urls.issue(MAYA, slack.channel, None)}"
        )
        answers = []
        for number, url in enumerate(urls):
            clock.now += 1801 if number == 6 else 0
            async with session.post(url, json={"text": f"{number}"}) as answer:
                answers.append((answer.status, await answer.text()))
        assert answers == [(200, "ok")] * 5 + [(404, "used_url"), (404, "expired_url")]
        assert [message.text for message in slack.ephemerals(MAYA)] == ["0", "1", "2", "3", "4"]


async def test_a_response_url_replaces_and_deletes_an_ephemeral(slack, client, heard):
    shown = await client.chat_postEphemeral(
        channel=slack.channel, user=LENA, text="x", blocks=card("approve")
    )
    assert (await slack.click(LENA, slack.channel, shown["message_ts"], "approve")).acked
    await slack.wait_until(lambda: slack.ephemerals(LENA)[0].text == "Approved")
    body = dict(heard)["approve"]
    assert body["container"]["is_ephemeral"] is True
    assert "message" not in body
    assert not (await slack.click(MAYA, slack.channel, shown["message_ts"], "approve")).acked
    async with (
        aiohttp.ClientSession() as session,
        session.post(body["response_url"], json={"delete_original": True}) as answer,
    ):
        assert answer.status == 200
    assert slack.ephemerals(LENA) == []


async def test_a_response_url_refuses_what_slack_refuses(slack):
    url = f"{slack.origin}/slack/response/{slack.workspace.response_urls.issue(MAYA, slack.channel, None)}"
    async with aiohttp.ClientSession() as session:
        for body, error in (
            ({}, "no_text"),
            ({"text": "x", "blocks": [{}]}, "invalid_blocks"),
            ([], "invalid_payload"),
        ):
            async with session.post(url, json=body) as answer:
                assert (answer.status, await answer.text()) == (400, error)
        async with session.post(url, json={"text": "For all", "response_type": "in_channel"}) as answer:
            assert answer.status == 200
    assert [message.text for message in slack.messages()] == ["For all"]


async def test_the_chosen_option_of_a_menu_is_sent_and_only_what_it_offers(slack, client, heard):
    options = [{"text": plain(name), "value": name} for name in ("hour", "day")]
    menu = {"type": "overflow", "action_id": "refresh", "options": options}
    blocks = [{"type": "section", "text": plain("Later?"), "accessory": menu}]
    ts = (await client.chat_postMessage(channel=slack.channel, text="x", blocks=blocks))["ts"]
    assert (await slack.click(MAYA, slack.channel, ts, "refresh", value="day")).acked
    assert dict(heard)["refresh"]["actions"][0]["selected_option"] == options[1]
    assert "week" in (await slack.click(MAYA, slack.channel, ts, "refresh", value="week")).error
    assert (await slack.click(MAYA, slack.channel, ts, "refresh", selected_option=options[0])).acked


async def test_a_button_of_the_home_tab_is_tapped_with_its_view(slack, client, heard):
    buttons = card("refresh")[1]
    await client.views_publish(user_id=MAYA, view={**HOME, "blocks": [buttons]})
    home = slack.home(MAYA)
    assert (await slack.view_click(MAYA, home.id, "refresh")).acked
    body = dict(heard)["refresh"]
    assert body["container"] == {"type": "view", "view_id": home.id}
    assert (body["view"]["hash"], body["actions"][0]["value"]) == (home.hash, "prop_1")
    assert not (await slack.view_click(JONAS, home.id, "refresh")).acked


async def test_errors_for_a_block_that_is_not_there_leave_the_modal_open(slack, client, heard):
    ts = await posted(slack, client, "decline")
    await slack.click(MAYA, slack.channel, ts, "decline")
    await slack.wait_until(lambda: slack.modals(MAYA))
    answer = await slack.submit(MAYA, slack.modals(MAYA)[0].id, {"why": {"text": {"value": "nowhere"}}})
    assert "invalid_errors" in answer.error
    assert list(slack.modals(MAYA)[0].errors) == [""]


async def test_a_changed_user_group_is_told(slack, client, heard):
    change_group(slack, "S0APPROVERS", [JONAS, LENA])
    await slack.wait_until(lambda: "subteam_members_changed" in dict(heard))
    event = dict(heard)["subteam_members_changed"]["event"]
    assert (event["added_users"], event["removed_users"]) == ([LENA], [MAYA])
    assert (await client.usergroups_users_list(usergroup="S0APPROVERS"))["users"] == [JONAS, LENA]


async def test_only_the_events_of_the_manifest_are_sent():
    async with (
        SlackStandIn.serve(subscriptions=frozenset({"app_mention"})) as slack,
        web_client(slack) as client,
    ):
        heard: list = []
        async with socket_app(slack, client, heard):
            slack.say(MAYA, f"<@{slack.workspace.app.bot_user_id}>")
            await slack.drain_events()
        assert [name for name, _ in heard] == ["app_mention"]


async def test_a_test_waits_for_a_message_and_for_no_longer_than_it_says(slack, client):
    waiting = asyncio.create_task(slack.wait_for_message(lambda message: "decline" in message.action_ids))
    ts = await posted(slack, client, "decline")
    assert (await waiting).ts == ts
    assert (await slack.wait_for_message(lambda message: message.ts == ts)).text == "Refund?"
    with pytest.raises(TimeoutError):
        await slack.wait_for_message(lambda message: message.ts == "1.0", timeout=0.01)


async def test_old_handles_are_forgotten_before_they_fill_the_memory(slack):
    first = (
        slack.workspace.triggers.issue(MAYA),
        slack.workspace.response_urls.issue(MAYA, slack.channel, None),
    )
    for _ in range(10_000):
        slack.workspace.triggers.issue(MAYA)
        slack.workspace.response_urls.issue(MAYA, slack.channel, None)
    assert slack.workspace.triggers.spend(first[0]) == ((), "invalid_trigger_id")
    assert slack.workspace.response_urls.spend(first[1]) == ((), "invalid_url")
