"""The methods that look things up: conversations, users, user groups, the team, and the token itself."""

from typing import Any

from bot.demo.slack.people import Channel, UserGroup
from bot.demo.slack.state import Json, Message, Refused, Workspace


def known_channel(slack: Workspace, channel_id: Any) -> Channel:
    """The channel with this id (names are not ids). Raises Refused channel_not_found."""
    channel = slack.channels.get(channel_id) if isinstance(channel_id, str) else None
    if channel is None:
        raise Refused("channel_not_found")
    return channel


def joined_channel(slack: Workspace, channel_id: Any) -> Channel:
    """The channel with this id, if the bot is in it. Raises Refused, also not_in_channel."""
    channel = known_channel(slack, channel_id)
    if slack.app.bot_user_id not in channel.members:
        raise Refused("not_in_channel")
    return channel


def known_message(slack: Workspace, channel: Channel, ts: Any, error: str = "message_not_found") -> Message:
    """The message with this ts. Raises Refused with `error`."""
    message = slack.find(channel.id, str(ts))
    if message is None:
        raise Refused(error)
    return message


def thread_root(slack: Workspace, channel: Channel, thread_ts: Any) -> str | None:
    """The root's ts for a reply; replying to a reply joins its thread. Raises Refused thread_not_found."""
    if thread_ts is None:
        return None
    message = known_message(slack, channel, thread_ts, "thread_not_found")
    return message.thread_ts or message.ts


def direct_messages(slack: Workspace, user_id: str) -> Channel:
    """The app's direct messages with a user, opened if need be."""
    user = slack.user(user_id)
    if user.role == "deactivated":
        raise Refused("user_disabled")
    members = {user.id, slack.app.bot_user_id}
    opened = next((c for c in slack.channels.values() if c.is_im and c.members == members), None)
    if opened is None:
        opened = Channel(slack.next_id("D"), "", "", members, is_im=True)
        slack.channels[opened.id] = opened
    return opened


def auth_test(slack: Workspace, _: Json) -> Json:
    """auth.test."""
    return {
        "url": f"https://{slack.team.domain}.slack.com/", "team": slack.team.name,
        "user": slack.app.bot_name, "team_id": slack.team.id, "user_id": slack.app.bot_user_id,
        "bot_id": slack.app.bot_id, "is_enterprise_install": False,
    }  # fmt: skip


def team_info(slack: Workspace, _: Json) -> Json:
    """team.info."""
    team = slack.team
    return {"team": {"id": team.id, "name": team.name, "domain": team.domain}}


def bots_info(slack: Workspace, arguments: Json) -> Json:
    """bots.info."""
    app = slack.app
    if arguments.get("bot") != app.bot_id:
        raise Refused("bot_not_found")
    bot = {"id": app.bot_id, "name": app.bot_name, "app_id": app.id, "user_id": app.bot_user_id}
    return {"bot": {**bot, "deleted": False}}


def info(slack: Workspace, arguments: Json) -> Json:
    """conversations.info."""
    return {"channel": _channel_json(slack, known_channel(slack, arguments.get("channel")))}


def members(slack: Workspace, arguments: Json) -> Json:
    """conversations.members."""
    channel = known_channel(slack, arguments.get("channel"))
    page, more = _page(sorted(channel.members), arguments, 100)
    return {"members": page, **more}


def join(slack: Workspace, arguments: Json) -> Json:
    """conversations.join."""
    channel = known_channel(slack, arguments.get("channel"))
    if channel.is_archived:
        raise Refused("is_archived")
    if channel.is_im:
        raise Refused("method_not_supported_for_channel_type")
    if slack.app.bot_user_id not in channel.members:
        enter(slack, channel, slack.app.bot_user_id)
    return {"channel": _channel_json(slack, channel)}


def enter(slack: Workspace, channel: Channel, user_id: str) -> None:
    """Makes somebody a member and tells the app."""
    channel.members.add(user_id)
    slack.changed()
    event = {"type": "member_joined_channel", "user": user_id, "channel": channel.id, "channel_type": "C"}
    slack.on_event(event | {"team": slack.team.id, "event_ts": slack.next_ts()})


def replies(slack: Workspace, arguments: Json) -> Json:
    """conversations.replies: the root, then its replies."""
    channel = joined_channel(slack, arguments.get("channel"))
    root = known_message(slack, channel, arguments.get("ts"), "thread_not_found")
    thread = [
        slack.message_json(message)
        for (where, _), message in slack.messages.items()
        if where == channel.id and root.ts in (message.ts, message.thread_ts)
    ]
    page, more = _page(thread, arguments, 1000)
    return {"messages": page, **more}


def history(slack: Workspace, arguments: Json) -> Json:
    """conversations.history: what is not a reply, newest first; metadata only for `include_all_metadata`."""
    channel = joined_channel(slack, arguments.get("channel"))
    try:
        oldest, latest = (float(arguments.get(name) or 0) for name in ("oldest", "latest"))
    except ValueError:
        raise Refused("invalid_ts_oldest") from None
    hidden = () if arguments.get("include_all_metadata") else ("metadata",)
    found = [
        {key: value for key, value in slack.message_json(message).items() if key not in hidden}
        for (where, ts), message in slack.messages.items()
        if where == channel.id and message.thread_ts is None
        and oldest < float(ts) and (not latest or float(ts) < latest)
    ]  # fmt: skip
    page, more = _page(found[::-1], arguments, 100)
    return {"messages": page, **more}


def open_direct(slack: Workspace, arguments: Json) -> Json:
    """conversations.open, for one user."""
    users = str(arguments.get("users") or "").split(",")
    if len(users) != 1 or not users[0]:
        raise Refused("users_list_not_supplied" if not users[0] else "too_many_users")
    return {"channel": {"id": direct_messages(slack, users[0]).id}}


def user_info(slack: Workspace, arguments: Json) -> Json:
    """users.info, of people and of the app's own user."""
    if arguments.get("user") == slack.app.bot_user_id:
        bot = {"id": slack.app.bot_user_id, "team_id": slack.team.id, "name": slack.app.bot_name}
        return {"user": bot | {"real_name": slack.app.bot_name, "deleted": False, "is_bot": True}}
    return {"user": slack.user(arguments.get("user")).as_json()}


def user_conversations(slack: Workspace, arguments: Json) -> Json:
    """users.conversations: where the app, or a user, is a member."""
    user = arguments.get("user") or slack.app.bot_user_id
    inside = [c for c in slack.channels.values() if user in c.members and not c.is_im]
    page, more = _page([_channel_json(slack, channel) for channel in inside], arguments, 100)
    return {"channels": page, **more}


def usergroups(slack: Workspace, arguments: Json) -> Json:
    """usergroups.list."""
    _refuse_free_plan(slack)
    with_users = bool(arguments.get("include_users"))
    return {"usergroups": [_group_json(slack, group, with_users) for group in slack.usergroups.values()]}


def usergroup_users(slack: Workspace, arguments: Json) -> Json:
    """usergroups.users.list."""
    _refuse_free_plan(slack)
    group = slack.usergroups.get(str(arguments.get("usergroup")))
    if group is None:
        raise Refused("no_such_subteam")
    return {"users": list(group.users)}


def _refuse_free_plan(slack: Workspace) -> None:
    if not slack.paid_plan:
        raise Refused("plan_upgrade_required")


def _group_json(slack: Workspace, group: UserGroup, with_users: bool) -> Json:
    shown: Json = {"id": group.id, "team_id": slack.team.id, "handle": group.handle, "name": group.name}
    shown |= {"is_usergroup": True, "user_count": len(group.users), "date_delete": 0}
    return shown | {"users": list(group.users)} if with_users else shown


def _channel_json(slack: Workspace, channel: Channel) -> Json:
    shared = slack.is_shared(channel)
    return {
        "id": channel.id, "name": channel.name, "is_channel": not channel.is_im, "is_im": channel.is_im,
        "is_private": channel.is_im, "is_archived": channel.is_archived,
        "is_member": slack.app.bot_user_id in channel.members, "is_shared": shared, "is_ext_shared": shared,
        "topic": {"value": channel.topic}, "num_members": len(channel.members),
    }  # fmt: skip


def _page(items: list[Any], arguments: Json, default: int) -> tuple[list[Any], Json]:
    """One page of a list; the cursor is the place to go on from."""
    try:
        start, limit = int(arguments.get("cursor") or 0), int(arguments.get("limit") or default)
    except ValueError:
        raise Refused("invalid_cursor") from None
    end = start + max(1, min(limit, 1000))
    cursor = str(end) if end < len(items) else ""
    return items[start:end], {"has_more": bool(cursor), "response_metadata": {"next_cursor": cursor}}
