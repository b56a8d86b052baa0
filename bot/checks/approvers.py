"""Checks of APPROVERS: each person and user group, and that somebody is left who may decide."""

from collections.abc import Mapping
from typing import Any, Final

from slack_sdk.web.async_client import AsyncWebClient

from bot.checks.findings import Finding, ok, problem, warning
from bot.checks.slack_api import Errors, explain
from bot.config.settings import WHERE, Settings
from bot.permissions import outside
from bot.results import RefusalCode
from bot.slack.client import SlackError, UserProfile, send

_USER_ERRORS: Final[Errors] = {
    "user_not_found": ("is nobody in this workspace", "Correct the entry. {where}"),
    "user_not_visible": ("is somebody the bot may not see", "Correct the entry. {where}"),
}
_GROUP_ERRORS: Final[Errors] = {
    "plan_upgrade_required": (
        "cannot be read: user groups need a paid plan of Slack",
        "Write the members' own ids instead of the group. {where}",
    ),
    "no_such_subteam": ("is no user group of this workspace", "Correct the entry. {where}"),
}
_REFUSED: Final[Mapping[RefusalCode, str]] = {
    RefusalCode.DEACTIVATED: "is deactivated or a bot",
    RefusalCode.GUEST: "is a guest",
    RefusalCode.OTHER_WORKSPACE: "is from another workspace",
}


async def check_approvers(client: AsyncWebClient, settings: Settings, team_id: str) -> list[Finding]:
    """One finding each, and a problem when nobody is left; `team_id` is ours, or empty if unknown."""
    users, groups = sorted(settings.approvers.users), sorted(settings.approvers.groups)
    checked = [await _check_user(client, settings, user, team_id) for user in users]
    checked += [await _check_group(client, settings, group) for group in groups]
    findings = [finding for finding, _ in checked]
    if not checked:
        findings.append(problem("Nobody may decide: APPROVERS is empty.", WHERE["APPROVERS"]))
    elif not any(may_decide for _, may_decide in checked):
        findings.append(
            problem("Nobody may decide: every entry of APPROVERS would be refused.", WHERE["APPROVERS"])
        )
    return findings


async def _check_user(
    client: AsyncWebClient, settings: Settings, user_id: str, team_id: str
) -> tuple[Finding, bool]:
    """A finding, and whether this person may decide as far as we know."""
    subject = f"APPROVERS {user_id}"
    try:
        answer = await send(client.users_info, user=user_id)
    except SlackError as refusal:
        finding = explain(refusal, subject, "users.info", settings, _USER_ERRORS)
        return finding, refusal.code not in _USER_ERRORS
    user: dict[str, Any] = answer.get("user", {})
    named = f"{subject} (@{user.get('name')})"
    if code := outside(UserProfile.of(user), team_id or None):
        found = f"{named} {_REFUSED[code]} and will be refused."
        return warning(found, "Remove the entry from APPROVERS."), False
    return ok(f"{named} may decide."), True


async def _check_group(client: AsyncWebClient, settings: Settings, group_id: str) -> tuple[Finding, bool]:
    """A finding, and whether anyone in this user group may decide as far as we know."""
    subject = f"APPROVERS {group_id}"
    try:
        answer = await send(client.usergroups_users_list, usergroup=group_id)
    except SlackError as refusal:
        finding = explain(refusal, subject, "usergroups.users.list", settings, _GROUP_ERRORS)
        return finding, refusal.code not in _GROUP_ERRORS
    members = len(answer.get("users", ()))
    if not members:
        return warning(f"{subject} is a user group without members.", "Add people to it in Slack."), False
    return ok(f"{subject} is a user group; its members ({members}) may decide, guests excepted."), True
