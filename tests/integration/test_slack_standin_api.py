"""The Web API of the Slack stand-in, called by the real SDK: formats, tokens, errors, faults."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.slack import SlackStandIn
from bot.demo.slack.web_api import METHODS
from tests.fixtures.slack import (
    DORA,
    GUS,
    JONAS,
    LENA,
    MAYA,
    OMAR,
    Clock,
    card,
    http_app,
    no_wait,
    posted,
    refusal,
    remove_app,
    socket_app,
    web_client,
)


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


async def test_update_with_text_alone_removes_the_blocks(slack, client):
    ts = await posted(slack, client, "approve")
    await client.chat_update(channel=slack.channel, ts=ts, text="Approved")
    message = slack.message(ts)
    assert (message.text, message.blocks, message.edited) == ("Approved", [], True)


async def test_update_with_blocks_alone_keeps_the_text_and_shows_no_edit_mark(slack, client):
    ts = await posted(slack, client, "approve")
    await client.api_call("chat.update", json={"channel": slack.channel, "ts": ts, "blocks": card()})
    message = slack.message(ts)
    assert (message.text, message.action_ids, message.edited) == ("Refund?", [], False)


async def test_update_of_metadata_alone_keeps_text_and_blocks(slack, client):
    ts = await posted(slack, client, "approve")
    metadata = {"event_type": "proposal", "event_payload": {"id": "prop_1"}}
    await client.api_call("chat.update", json={"channel": slack.channel, "ts": ts, "metadata": metadata})
    await client.chat_update(channel=slack.channel, ts=ts, text="New", blocks=card("approve"))
    message = slack.message(ts)
    assert (message.text, message.action_ids, message.metadata) == ("New", ["approve"], metadata)


async def test_the_errors_of_writing_have_slacks_names(slack, client):
    channel, ts = slack.channel, await posted(slack, client, "approve")
    hers = slack.say(LENA, "hello")
    long, here = "x" * 4001, {"channel": channel, "ts": ts}
    assert await refusal(client.chat_postMessage(channel="C0NOWHERE01", text="x")) == "channel_not_found"
    assert await refusal(client.api_call("chat.postMessage", json={"channel": channel})) == "no_text"
    assert await refusal(client.chat_postMessage(channel=channel, text="x" * 40_001)) == "msg_too_long"
    assert await refusal(client.chat_postMessage(channel=channel, text="x", thread_ts="1.000001")) == (
        "thread_not_found"
    )
    assert await refusal(client.chat_update(channel=channel, ts="1.000001", text="x")) == "message_not_found"
    assert await refusal(client.chat_update(channel=channel, ts=hers, text="x")) == "cant_update_message"
    assert await refusal(client.chat_update(channel="#approvals", ts=ts, text="x")) == "channel_not_found"
    assert await refusal(client.chat_update(**here, text=long)) == "msg_too_long"
    assert await refusal(client.chat_delete(channel=channel, ts=hers)) == "cant_delete_message"
    assert (
        await refusal(client.chat_postEphemeral(channel=channel, user=DORA, text="x"))
        == "user_not_in_channel"
    )
    assert await refusal(client.users_info(user="U0NOBODY001")) == "user_not_found"
    assert await refusal(client.usergroups_users_list(usergroup="S0NONE")) == "no_such_subteam"
    assert await refusal(client.api_call("chat.unknown")) == "unknown_method"
    remove_app(slack)
    assert await refusal(client.chat_postMessage(channel=channel, text="x")) == "not_in_channel"


async def test_invalid_blocks_are_refused_with_pointers_and_nothing_is_posted(slack, client):
    blocks = [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]
    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(channel=slack.channel, text="x", blocks=blocks)
    assert caught.value.response["error"] == "invalid_blocks"
    assert "[json-pointer:/blocks/0/text/type]" in caught.value.response["errors"][0]
    assert "[json-pointer:/blocks/0/text/type]" in caught.value.response["response_metadata"]["messages"][0]
    assert slack.messages() == []


async def test_invalid_views_are_refused_with_pointers(slack, client):
    with pytest.raises(SlackApiError) as caught:
        await client.views_publish(user_id=MAYA, view={"type": "home", "blocks": [{"type": "alert"}]})
    assert caught.value.response["error"] == "invalid_arguments"
    assert "/view/blocks/0/type" in caught.value.response["response_metadata"]["messages"][0]


async def test_tokens_are_checked_for_kind_and_scope():
    async with SlackStandIn.serve(scopes=frozenset({"chat:write"})) as slack, web_client(slack) as client:
        assert (await client.auth_test())["user_id"] == slack.workspace.app.bot_user_id
        for token, scopes in ((slack.bot_token, "chat:write"), (slack.app_token, "connections:write")):
            assert (await client.auth_test(token=token)).headers["x-oauth-scopes"] == scopes
        assert await refusal(client.auth_test(token="xoxb-other")) == "invalid_auth"
        assert (
            await refusal(client.apps_connections_open(app_token=slack.bot_token)) == "not_allowed_token_type"
        )
        assert await refusal(client.chat_delete(channel="C", ts="1", token=slack.app_token)) == (
            "not_allowed_token_type"
        )
        with pytest.raises(SlackApiError) as caught:
            await client.users_info(user=MAYA)
        assert caught.value.response["error"] == "missing_scope"
        assert caught.value.response["needed"] == "users:read"
        assert caught.value.response["provided"] == "chat:write"
        slack.fail_next("*", "account_inactive")
        assert await refusal(client.auth_test()) == "account_inactive"


async def test_every_wire_format_is_read(slack):
    url = f"{slack.api_url}chat.postMessage"
    fields = {"channel": slack.channel, "text": "x", "blocks": json.dumps(card("approve"))}
    async with aiohttp.ClientSession() as session:
        for sent in (
            {"data": {**fields, "token": slack.bot_token}},
            {"data": fields, "headers": {"Authorization": f"Bearer {slack.bot_token}"}},
            {"params": {**fields, "token": slack.bot_token}},
            {"json": fields, "headers": {"Authorization": f"Bearer {slack.bot_token}"}},
        ):
            async with session.post(url, **sent) as answer:
                assert (await answer.json())["ok"], sent
        header = {"Authorization": f"Bearer {slack.bot_token}", "Content-Type": "application/json"}
        for body, error in (
            (b"{", "invalid_json"),
            (b"[]", "json_not_object"),
            (b"[" * 100_000, "invalid_json"),
        ):
            async with session.post(url, data=body, headers=header) as answer:
                assert (await answer.json())["error"] == error
        async with session.post(url, data=fields) as answer:
            assert (await answer.json())["error"] == "not_authed"
        async with session.post(f"{slack.api_url}users.info", json={"user": MAYA}, headers=header) as answer:
            assert (await answer.json())["error"] == "user_not_found"  # this method reads no JSON
    assert [message.action_ids for message in slack.messages()] == [["approve"]] * 4


async def test_look_ups_answer_as_slack_does(slack, client):
    channel = (await client.conversations_info(channel=slack.channel))["channel"]
    assert (channel["is_member"], channel["is_ext_shared"]) == (True, True)
    members = await client.conversations_members(channel=slack.channel, limit=2)
    assert len(members["members"]) == 2
    rest = await client.conversations_members(
        channel=slack.channel, cursor=members["response_metadata"]["next_cursor"]
    )
    assert DORA not in {*members["members"], *rest["members"]}
    users = {user: (await client.users_info(user=user))["user"] for user in (MAYA, GUS, OMAR, DORA)}
    assert not users[MAYA]["is_restricted"]
    assert users[GUS]["is_ultra_restricted"]
    assert users[OMAR]["team_id"] != users[MAYA]["team_id"]
    assert users[OMAR]["is_stranger"]
    assert users[DORA]["deleted"]
    assert (await client.usergroups_users_list(usergroup="S0APPROVERS"))["users"] == [MAYA, JONAS]
    assert (await client.usergroups_list())["usergroups"][0]["handle"] == "approvers"
    assert (await client.team_info())["team"]["id"] == "T0HARBORS01"
    assert (await client.users_conversations())["channels"][0]["id"] == slack.channel
    assert (await client.bots_info(bot=slack.workspace.app.bot_id))["bot"]["user_id"].startswith("U")
    slack.workspace.paid_plan = False
    assert await refusal(client.usergroups_list()) == "plan_upgrade_required"


async def test_a_thread_is_read_in_order_and_its_root_counts_replies(slack, client):
    root = await posted(slack, client)
    reply = await client.chat_postMessage(channel=slack.channel, text="one", thread_ts=root)
    await client.chat_postMessage(channel=slack.channel, text="two", thread_ts=reply["ts"])
    thread = (await client.conversations_replies(channel=slack.channel, ts=root))["messages"]
    assert [message["text"] for message in thread] == ["Refund?", "one", "two"]
    assert thread[0]["reply_count"] == 2
    link = (await client.chat_getPermalink(channel=slack.channel, message_ts=root))["permalink"]
    async with aiohttp.ClientSession() as session, session.get(link, allow_redirects=False) as answer:
        assert answer.headers["Location"] == f"/?thread={root}"


async def test_a_file_is_uploaded_in_two_steps(slack, client):
    await client.files_upload_v2(channel=slack.channel, content="id,amount", filename="a.csv", title="Export")
    assert "Export" in slack.messages()[0].text
    assert next(iter(slack.workspace.uploads.values())) == ("a.csv", b"id,amount")


async def test_direct_messages_and_reactions_work(slack, client):
    opened = (await client.conversations_open(users=LENA))["channel"]["id"]
    answer = await client.chat_postMessage(channel=LENA, text="Only for you")
    assert answer["channel"] == opened
    assert await refusal(client.conversations_open(users=DORA)) == "user_disabled"
    ts = await posted(slack, client)
    await client.reactions_add(channel=slack.channel, timestamp=ts, name="eyes")
    assert (
        await refusal(client.reactions_add(channel=slack.channel, timestamp=ts, name="eyes"))
        == "already_reacted"
    )


async def test_joining_is_told_and_allows_posting(slack, client, heard):
    remove_app(slack)
    await client.conversations_join(channel=slack.channel)
    await slack.wait_until(lambda: slack.calls("event member_joined_channel"))
    assert await posted(slack, client)


async def test_a_rate_limit_is_429_with_retry_after(slack, client):
    slack.fail_next("chat.postMessage", "ratelimited", retry_after=7)
    with pytest.raises(SlackApiError) as caught:
        await posted(slack, client)
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "7"
    assert slack.messages() == []
    assert await posted(slack, client)


async def test_faults_answer_slacks_errors_and_server_errors(slack, client):
    slack.fail_next("chat.update", "edit_window_closed")
    slack.fail_next("*", "server_error")
    ts = None
    with pytest.raises(SlackApiError) as caught:
        await posted(slack, client)
    assert caught.value.response.status_code == 503
    ts = await posted(slack, client)
    assert await refusal(client.chat_update(channel=slack.channel, ts=ts, text="x")) == "edit_window_closed"


@pytest.mark.parametrize(("kind", "written"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_dropped_connection_before_or_after_the_write(slack, kind, written, caplog):
    slack.fail_next("chat.postMessage", kind)
    header = {"Authorization": f"Bearer {slack.bot_token}"}
    async with aiohttp.ClientSession(headers=header) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(
                f"{slack.api_url}chat.postMessage", json={"channel": slack.channel, "text": "x"}
            )
    assert len(slack.messages()) == written
    assert caplog.records == []


async def test_the_sdk_posts_twice_after_a_drop_by_default(slack):
    client = AsyncWebClient(slack.bot_token, base_url=slack.api_url)
    slack.fail_next("chat.postMessage", "drop_after")
    await posted(slack, client)
    assert len(slack.messages()) == 2


async def test_limits_allow_a_burst_and_then_one_post_a_second():
    clock = Clock()
    async with SlackStandIn.serve(limits=True, clock=clock) as slack, web_client(slack) as client:
        for _ in range(4):
            await posted(slack, client)
        with pytest.raises(SlackApiError) as caught:
            await posted(slack, client)
        assert caught.value.response.headers["Retry-After"] == "1"
        clock.now += 1
        assert await posted(slack, client)


async def test_ts_are_unique_and_increase_though_the_clock_stands_still():
    async with SlackStandIn.serve(clock=Clock()) as slack, web_client(slack) as client:
        times = [await posted(slack, client) for _ in range(20)]
    assert sorted(set(times)) == times


@pytest.mark.parametrize("junk", [[], {}, 0, True, "", "\x00", None, [[]], {"type": "home", "blocks": 7}])
@pytest.mark.parametrize("method", sorted(METHODS))
async def test_no_argument_breaks_a_method(slack, method, junk):
    token = slack.app_token if METHODS[method].caller == "app" else slack.bot_token
    names = (
        "channel",
        "ts",
        "text",
        "blocks",
        "user",
        "users",
        "view",
        "view_id",
        "user_id",
        "metadata",
        "files",
    )
    more = (
        "thread_ts",
        "trigger_id",
        "usergroup",
        "cursor",
        "limit",
        "name",
        "timestamp",
        "message_ts",
        "length",
    )
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        for given in ({}, {"channel": slack.channel}):
            async with session.post(
                f"{slack.api_url}{method}", json={**dict.fromkeys((*names, *more), junk), **given}
            ) as answer:
                assert answer.status == 200
                assert isinstance((await answer.json())["ok"], bool)


async def test_a_deleted_message_is_gone_and_its_thread_counts_one_less(slack, client):
    root = await posted(slack, client)
    reply = await client.chat_postMessage(channel=slack.channel, text="one", thread_ts=root)
    await client.chat_delete(channel=slack.channel, ts=reply["ts"])
    assert slack.thread(root) == []
    assert "reply_count" not in slack.workspace.message_json(slack.message(root))
    assert await refusal(client.chat_delete(channel=slack.channel, ts=reply["ts"])) == "message_not_found"


async def test_nothing_is_posted_into_an_archived_channel(slack, client):
    slack.workspace.channel.is_archived = True
    assert await refusal(posted(slack, client)) == "is_archived"
    assert await refusal(client.conversations_join(channel=slack.channel)) == "is_archived"


async def test_metadata_has_errors_of_its_own(slack, client):
    send = {"channel": slack.channel, "text": "x"}
    wrong = {"event_type": "proposal"}
    assert await refusal(client.chat_postMessage(**send, metadata=wrong)) == "invalid_metadata_format"
    large = {"event_type": "proposal", "event_payload": {"text": "x" * 20_000}}
    assert await refusal(client.chat_postMessage(**send, metadata=large)) == "metadata_too_large"
    assert (
        await refusal(client.api_call("chat.postMessage", json={**send, "thread": "1.0"}))
        == "invalid_arguments"
    )


async def test_missing_ids_are_given_as_slack_gives_them(slack, client):
    anonymous = {"type": "button", "text": {"type": "plain_text", "text": "Go"}}
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}, "accessory": anonymous}
    blocks = [{"type": "actions", "elements": [anonymous, anonymous]}, section]
    answer = await client.chat_postMessage(channel=slack.channel, text="x", blocks=blocks)
    message = slack.message(answer["ts"])
    assert len(set(message.action_ids)) == 3
    assert len({block["block_id"] for block in message.blocks}) == 2


async def test_a_slow_answer_comes_late_and_is_right(slack, client):
    slack.fail_next("chat.postMessage", "slow", seconds=0.02)
    assert await posted(slack, client)
    assert slack.calls("chat.postMessage")[0].ms >= 20
