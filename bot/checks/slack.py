"""Checks of Slack: both tokens, the scopes and the channel."""

from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.checks.approvers import check_approvers
from bot.checks.findings import Finding, ok, problem, warning
from bot.checks.slack_api import REINSTALL, explain
from bot.config.settings import Settings
from bot.slack.client import SlackError, send

SCOPES: Final[Mapping[str, str]] = {
    "app_mentions:read": "answers when it is mentioned",
    "channels:history": "what the team says in a card's thread",
    "channels:read": "whether the channel exists and the bot is in it",
    "chat:write": "cards, threads and ephemeral answers",
    "commands": "the command /polar",
    "groups:history": "a card's thread in a private channel",
    "groups:read": "whether a private channel exists and the bot is in it",
    "usergroups:read": "who is in a user group of APPROVERS",
    "users:read": "whether an approver is a guest, a bot or deactivated",
}
"""The bot's scopes, as in manifest.yml, and what each is for."""

OPTIONAL_SCOPES: Final[Mapping[str, str]] = {"files:write": "the plot of a kind's trust, as a picture"}
"""Scopes a workspace may leave out: what needs them says so and goes without."""

_SECONDS: Final = 10


async def check_slack(settings: Settings, *, transport: bool = True) -> list[Finding]:
    """Try everything the bot needs of Slack; nothing is posted or changed.

    Without `transport` no socket is asked for: Slack gives few a minute, and a running program has one.
    """
    timeout = aiohttp.ClientTimeout(total=_SECONDS)  # slack_sdk ignores its own with a shared session
    async with aiohttp.ClientSession(timeout=timeout) as session:
        client = AsyncWebClient(
            token=settings.slack_bot_token.get_secret_value(),
            base_url=settings.slack_api_url,
            session=session,
            retry_handlers=[AsyncRateLimitErrorRetryHandler(max_retry_count=2)],
        )
        bot, team_id, findings = await _check_bot_token(client, settings)
        if transport:
            findings.append(await _check_transport(client, settings))
        findings += await _check_channel(client, settings, bot)
        return findings + await check_approvers(client, settings, team_id)


async def _check_bot_token(client: AsyncWebClient, settings: Settings) -> tuple[str, str, list[Finding]]:
    """The bot user's name and the workspace's id, as far as Slack tells them, and what was found."""
    try:
        answer = await send(client.auth_test)
    except SlackError as refusal:
        return "your-bot", "", [explain(refusal, "SLACK_BOT_TOKEN", "auth.test", settings)]
    bot = answer.get("user", "your-bot")
    works = ok(f"SLACK_BOT_TOKEN works: @{bot} in the workspace {answer.get('team')}.")
    return bot, answer.get("team_id", ""), [works, _check_scopes(answer.headers.get("x-oauth-scopes", ""))]


def _check_scopes(header: str) -> Finding:
    """Compare Slack's `x-oauth-scopes` (comma-separated) with manifest.yml."""
    granted = {scope.strip() for scope in header.split(",")} - {""}
    if not granted:
        return warning("Slack did not say which scopes the bot has.", "Compare them with manifest.yml.")
    missing = [scope for scope in SCOPES if scope not in granted]
    if not missing:
        return ok("The bot has every scope of manifest.yml.")
    listed = "; ".join(f"{scope} ({SCOPES[scope]})" for scope in missing)
    remedy = f"Add them at https://api.slack.com/apps, your app, OAuth & Permissions. {REINSTALL}"
    if all(scope.startswith(("groups:", "usergroups:")) for scope in missing):
        return warning(f"Missing scopes, which not every workspace needs: {listed}.", remedy)
    return problem(f"Missing scopes: {listed}.", remedy)


async def _check_transport(client: AsyncWebClient, settings: Settings) -> Finding:
    if settings.slack_app_token is None:
        return warning(
            "SLACK_SIGNING_SECRET cannot be tested: only Slack's own calls are signed with it.",
            "At https://api.slack.com/apps enter https://YOUR-HOST/slack/events as the Request URL of "
            "events, interactivity and the command; Slack says there whether it is verified.",
        )
    try:
        await send(client.apps_connections_open, app_token=settings.slack_app_token.get_secret_value())
    except SlackError as refusal:
        return explain(refusal, "SLACK_APP_TOKEN", "apps.connections.open", settings)
    return ok("SLACK_APP_TOKEN works: Slack hands out a socket.")


async def _check_channel(client: AsyncWebClient, settings: Settings, bot: str) -> list[Finding]:
    invite = f"/invite @{bot}"
    not_found = (
        "is not there for the bot: another workspace's, a wrong id, or a private channel without the bot",
        f"In a private channel write {invite}; else correct the id. {{where}}",
    )
    try:
        answer = await send(client.conversations_info, channel=settings.slack_channel)
    except SlackError as refusal:
        subject = f"SLACK_CHANNEL {settings.slack_channel}"
        errors = {"channel_not_found": not_found}
        return [explain(refusal, subject, "conversations.info", settings, errors)]
    channel: dict[str, Any] = answer.get("channel", {})
    name = f"SLACK_CHANNEL #{channel.get('name', settings.slack_channel)}"
    findings = []
    if channel.get("is_archived"):
        findings.append(problem(f"{name} is archived.", "Unarchive it or choose another channel."))
    elif not channel.get("is_member"):
        findings.append(problem(f"The bot is not in {name}.", f"Write {invite} in that channel."))
    else:
        findings.append(ok(f"{name} exists and the bot is in it."))
    if channel.get("is_ext_shared"):
        findings.append(
            warning(
                f"{name} is shared with another organization: its people see customers' names and amounts.",
                "Choose a channel of your own workspace, unless that is meant.",
            )
        )
    return findings
