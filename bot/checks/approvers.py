"""Checks of APPROVERS: each person and user group, and that somebody is left who may decide."""

from collections.abc import Mapping
from typing import Any, Final

from slack_sdk.web.async_client import AsyncWebClient

from bot.checks.findings import Finding, ok, problem, warning
from bot.checks.slack_api import Errors, RefusedError, ask, explain
from bot.config.settings import WHERE, Settings

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
_REFUSED_WHEN: Final = (
    ("deleted", "is deactivated"),
    ("is_bot", "is a bot"),
    ("is_ultra_restricted", "is a guest of one channel"),
    ("is_restricted", "is a guest"),
    ("is_stranger", "is from another workspace"),
)
"""Fields of Slack's user that make the program refuse a decision, and what they mean."""


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
        answer = await ask(client.users_info(user=user_id))
    except RefusedError as refusal:
        finding = explain(refusal, subject, "users.info", settings, _USER_ERRORS)
        return finding, refusal.code not in _USER_ERRORS
    user: dict[str, Any] = answer.get("user", {})
    named = f"{subject} (@{user.get('name')})"
    if reason := _refusal(user, team_id):
        return warning(f"{named} {reason} and will be refused.", "Remove the entry from APPROVERS."), False
    return ok(f"{named} may decide."), True


def _refusal(user: Mapping[str, Any], team_id: str) -> str | None:
    for field, reason in _REFUSED_WHEN:
        if user.get(field):
            return reason
    foreign = team_id and user.get("team_id") not in {team_id, None}
    return "is from another workspace" if foreign else None


async def _check_group(client: AsyncWebClient, settings: Settings, group_id: str) -> tuple[Finding, bool]:
    """A finding, and whether anyone in this user group may decide as far as we know."""
    subject = f"APPROVERS {group_id}"
    try:
        answer = await ask(client.usergroups_users_list(usergroup=group_id))
    except RefusedError as refusal:
        finding = explain(refusal, subject, "usergroups.users.list", settings, _GROUP_ERRORS)
        return finding, refusal.code not in _GROUP_ERRORS
    members = len(answer.get("users", ()))
    if not members:
        return warning(f"{subject} is a user group without members.", "Add people to it in Slack."), False
    return ok(f"{subject} is a user group; its members ({members}) may decide, guests excepted."), True
