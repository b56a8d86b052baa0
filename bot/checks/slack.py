"""Checks of Slack: both tokens, the scopes, the channel, and everybody who is named to decide."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.checks.findings import Finding, ok, problem, warning
from bot.config.policy import Policy
from bot.config.settings import WHERE, Approvers, Settings
from bot.permissions import outside
from bot.results import RefusalCode
from bot.rules import RuleSet
from bot.slack.client import SlackError, SlackRefused, UserProfile, send

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


_REINSTALL: Final = "Install the app again at https://api.slack.com/apps, your app, Install App."

# By Slack's error code: what it says about the thing asked for, and the remedy; the `{words}` are filled in.
_TOKEN_ERRORS: Final[Mapping[str, tuple[str, str]]] = {
    "invalid_auth": ("is not valid", "{where}"),
    "not_authed": ("did not arrive at Slack", "Let the proxy pass the Authorization header on."),
    "account_inactive": (
        "belongs to an app that was removed, or to a workspace that was closed",
        f"{_REINSTALL} {{where}}",
    ),
    "token_revoked": ("was revoked", f"{_REINSTALL} {{where}}"),
    "token_expired": (
        "has expired: the app rotates its tokens",
        "Create the app anew from manifest.yml; rotation cannot be turned off again. {where}",
    ),
    "not_allowed_token_type": ("is not the kind of token this needs", "{where}"),
    "no_answer": (
        "could not be tried: {url} does not answer",
        "Check the network, the proxy variables (HTTPS_PROXY) and SLACK_API_URL.",
    ),
    "no_json": (
        "could not be tried: {url} does not answer like Slack",
        "Check SLACK_API_URL and the proxy variables (HTTPS_PROXY).",
    ),
    "ratelimited": ("could not be tried: Slack asks to slow down", "Run the check again in a minute."),
}
"""Errors that say something about the token or the way to Slack, whatever was asked."""

_SUBJECT_ERRORS: Final[Mapping[str, tuple[str, str]]] = {
    "user_not_found": ("is nobody in this workspace", "Correct the entry. {where}"),
    "user_not_visible": ("is somebody the bot may not see", "Correct the entry. {where}"),
    "plan_upgrade_required": (
        "cannot be read: user groups need a paid plan of Slack",
        "Write the members' own ids instead of the group. {where}",
    ),
    "no_such_subteam": ("is no user group of this workspace", "Correct the entry. {where}"),
    "channel_not_found": (
        "cannot be seen by the bot: a wrong id, of another workspace, or a private channel without the bot",
        "In a private channel write {invite}; else correct the id. {where}",
    ),
}
"""Errors that say something about the person, the user group or the channel asked for."""
_REFUSED: Final[Mapping[RefusalCode, str]] = {
    RefusalCode.DEACTIVATED: "is deactivated or a bot",
    RefusalCode.GUEST: "is a guest",
    RefusalCode.OTHER_WORKSPACE: "is from another workspace",
}


async def check_slack(settings: Settings, rules: RuleSet | None, *, transport: bool = True) -> list[Finding]:
    """Try everything the bot needs of Slack; nothing is posted or changed. `rules` may name people too.

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
        return findings + await _check_approvers(client, settings, rules, team_id)


async def _check_bot_token(client: AsyncWebClient, settings: Settings) -> tuple[str, str, list[Finding]]:
    """The bot user's name and the workspace's id, as far as Slack tells them, and what was found."""
    try:
        answer = await send(client.auth_test)
    except SlackError as refusal:
        return "your-bot", "", [_explain(refusal, "SLACK_BOT_TOKEN", "auth.test", settings)]
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
    remedy = f"Add them at https://api.slack.com/apps, your app, OAuth & Permissions. {_REINSTALL}"
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
        return _explain(refusal, "SLACK_APP_TOKEN", "apps.connections.open", settings)
    return ok("SLACK_APP_TOKEN works: Slack hands out a socket.")


async def _check_channel(client: AsyncWebClient, settings: Settings, bot: str) -> list[Finding]:
    invite = f"/invite @{bot}"
    try:
        answer = await send(client.conversations_info, channel=settings.slack_channel)
    except SlackError as refusal:
        subject = f"SLACK_CHANNEL {settings.slack_channel}"
        return [
            _explain(refusal, "SLACK_CHANNEL", "conversations.info", settings, subject=subject, invite=invite)
        ]
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


def _explain(
    refusal: SlackError,
    variable: str,
    method: str,
    settings: Settings,
    *,
    subject: str = "",
    invite: str = "",
) -> Finding:
    """A refusal as a finding about a variable, or about another `subject`.

    A token that does not work is explained once, where it is checked, and makes the rest a warning that it
    could not be checked.
    """
    subject = subject or variable
    words = {"where": WHERE[variable], "url": settings.slack_api_url, "invite": invite}
    known = _TOKEN_ERRORS if variable in {"SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"} else _SUBJECT_ERRORS
    if found := known.get(refusal.code):
        said, remedy = (text.format(**words) for text in found)
        return problem(f"{subject} {said}.", remedy)
    if refusal.code == "missing_scope":
        needed = refusal.needed if isinstance(refusal, SlackRefused) else ""
        scope = needed or "that Slack's documentation of this method names"
        if variable == "SLACK_APP_TOKEN":
            return problem(f"{subject} lacks the scope {scope}.", WHERE[variable])
        return problem(
            f"{subject} could not be checked: the bot lacks the scope {scope}.",
            f"Add it at https://api.slack.com/apps, your app, OAuth & Permissions. {_REINSTALL}",
        )
    if found := _TOKEN_ERRORS.get(refusal.code):
        said = found[0].format(**words)
        return warning(f"{subject} could not be checked: SLACK_BOT_TOKEN {said}.", "Fix that first.")
    return problem(
        f"{subject} could not be checked: Slack answered {refusal.code}.",
        f"See https://docs.slack.dev/reference/methods/{method}.",
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """A place that names people, and what they decide: None for nothing, empty for everything."""

    source: str
    people: frozenset[str]
    what: str | None


def _places(approvers: Approvers, rules: RuleSet | None) -> list[_Place]:
    """Every place that names people who decide."""
    policy = Policy() if rules is None else rules.policy
    of_rules = [] if rules is None else [rule for rule in rules.rules if rule.approvers]
    left = f"cases of class {', '.join(policy.left_to_approvers)}" if policy.left_to_approvers else None
    return [
        _Place("APPROVERS", approvers.users | approvers.groups, left if policy.approvers else ""),
        *(
            _Place(f"approvers of class {risk}", frozenset(named), f"cases of class {risk}")
            for risk, named in policy.approvers.items()
        ),
        *(
            _Place(f"approvers of rule {rule.name}", frozenset(rule.approvers), f"what {rule.name} proposes")
            for rule in of_rules
        ),
    ]


async def _check_approvers(
    client: AsyncWebClient, settings: Settings, rules: RuleSet | None, team_id: str
) -> list[Finding]:
    """One finding for each person and group, and a problem for each place that leaves nobody.

    `team_id` is ours, or empty if unknown.
    """
    places = _places(settings.approvers, rules)
    findings, may_decide = [], set[str]()
    for entry in sorted(frozenset().union(*(one.people for one in places)), key=_people_first):
        source = ", ".join(one.source for one in places if entry in one.people)
        check = _check_group if entry.startswith("S") else _check_user
        finding, may = await check(client, settings, source, entry, team_id)
        findings.append(finding)
        may_decide |= {entry} if may else set()
    alone = (one for one in places if one.what is not None and not one.people & may_decide)
    return [*findings, *map(_nobody, alone)]


def _people_first(entry: str) -> tuple[bool, str]:
    return entry.startswith("S"), entry


def _nobody(place: _Place) -> Finding:
    why = f"every entry of {place.source} would be refused" if place.people else f"{place.source} is empty"
    return problem(f"{f'Nobody may decide {place.what}'.rstrip()}: {why}.", WHERE["APPROVERS"])


async def _check_user(
    client: AsyncWebClient, settings: Settings, source: str, user_id: str, team_id: str
) -> tuple[Finding, bool]:
    """A finding, and whether this person may decide as far as we know; `source` names them."""
    subject = f"{source} {user_id}"
    try:
        answer = await send(client.users_info, user=user_id)
    except SlackError as refusal:
        finding = _explain(refusal, "APPROVERS", "users.info", settings, subject=subject)
        return finding, refusal.code not in _SUBJECT_ERRORS
    user: dict[str, Any] = answer.get("user", {})
    named = f"{subject} (@{user.get('name')})"
    if code := outside(UserProfile.of(user), team_id or None):
        found = f"{named} {_REFUSED[code]} and will be refused."
        return warning(found, f"Remove the entry from {source}."), False
    return ok(f"{named} may decide."), True


async def _check_group(
    client: AsyncWebClient, settings: Settings, source: str, group_id: str, _team_id: str
) -> tuple[Finding, bool]:
    """A finding, and whether anyone in this user group may decide as far as we know."""
    subject = f"{source} {group_id}"
    try:
        answer = await send(client.usergroups_users_list, usergroup=group_id)
    except SlackError as refusal:
        finding = _explain(refusal, "APPROVERS", "usergroups.users.list", settings, subject=subject)
        return finding, refusal.code not in _SUBJECT_ERRORS
    members = len(answer.get("users", ()))
    if not members:
        return warning(f"{subject} is a user group without members.", "Add people to it in Slack."), False
    return ok(f"{subject} is a user group; its members ({members}) may decide, guests excepted."), True
