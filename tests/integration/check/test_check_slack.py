"""The checks of Slack against its stand-in: tokens, scopes, the channel, the approvers."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.checks import Level
from bot.checks.slack import SCOPES
from bot.demo.slack import SlackStandIn
from tests.fixtures.slack import change_group

MAYA, GUEST, OUTSIDER, GONE, GROUP = "U0MAYA00001", "U0GUS000001", "U0OMAR00001", "U0DORA00001", "S0APPROVERS"
SECRETS = ("xoxb-stand-in", "xapp-stand-in", "polar_oat_demo")


@pytest.mark.parametrize(
    ("error", "said", "remedy"),
    [
        ("invalid_auth", "is not valid", "Copy the Bot User OAuth Token"),
        ("account_inactive", "belongs to an app that was removed", "Install the app again"),
        ("token_revoked", "was revoked", "Install the app again"),
        ("token_expired", "has expired", "Create the app anew from manifest.yml"),
        ("not_allowed_token_type", "is not the kind of token this needs", "Copy the Bot User OAuth Token"),
        (
            "fatal_error",
            "could not be checked: Slack answered fatal_error",
            "docs.slack.dev/reference/methods/auth.test",
        ),
        ("server_error", "could not be checked: Slack answered service_unavailable", "docs.slack.dev"),
        ("drop_before", "does not answer", "HTTPS_PROXY"),
    ],
)
async def test_each_refusal_of_the_bot_token_has_its_remedy(
    check: Any, slack: SlackStandIn, error: str, said: str, remedy: str
) -> None:
    slack.fail_next("auth.test", error)
    finding = (await check()).only("SLACK_BOT_TOKEN")

    assert finding.level is Level.PROBLEM
    assert said in finding.found
    assert remedy in finding.remedy


async def test_with_a_revoked_token_the_rest_is_still_checked(check: Any, slack: SlackStandIn) -> None:
    slack.fail_next("*", "token_revoked", 99)
    findings = await check()

    assert findings.only("SLACK_CHANNEL").found.endswith("could not be checked: SLACK_BOT_TOKEN was revoked.")
    assert findings.only("APPROVERS").level is Level.WARNING
    assert not [finding for finding in findings if finding.found.startswith("Nobody may decide")]
    assert findings.only("POLAR_ACCESS_TOKEN works").level is Level.OK
    assert findings.only("The database opens").level is Level.OK


async def test_the_app_token_is_told_apart_from_the_bot_token(check: Any, slack: SlackStandIn) -> None:
    slack.fail_next("apps.connections.open", "missing_scope")
    lacking = (await check()).only("SLACK_APP_TOKEN")
    wrong = (await check(SLACK_APP_TOKEN="xapp-other")).only("SLACK_APP_TOKEN")

    assert "lacks the scope" in lacking.found
    assert "connections:write" in lacking.remedy
    assert wrong.found == "SLACK_APP_TOKEN is not valid."


async def test_in_http_mode_no_socket_is_asked_for(check: Any, slack: SlackStandIn) -> None:
    findings = await check(SLACK_APP_TOKEN="", SLACK_SIGNING_SECRET="0123456789abcdef")

    assert findings.only("SLACK_SIGNING_SECRET").level is Level.WARNING
    assert slack.workspace.counts["apps.connections.open"] == 0


async def test_a_missing_scope_is_named_with_its_use(check: Any, slack: SlackStandIn) -> None:
    slack._tokens.scopes = frozenset(SCOPES) - {"users:read"}
    findings = await check()

    scopes = findings.only("Missing scopes: users:read (whether an approver is a guest")
    assert scopes.level is Level.PROBLEM
    assert findings.only(f"APPROVERS {MAYA}").found.endswith("the bot lacks the scope users:read.")


async def test_unknown_scopes_are_left_to_a_person(check: Any, slack: SlackStandIn) -> None:
    slack._tokens.scopes = None
    (finding,) = (await check()).worse()

    assert (finding.level, finding.found) == (Level.WARNING, "Slack did not say which scopes the bot has.")


async def test_scopes_of_private_channels_and_user_groups_are_only_a_warning(
    check: Any, slack: SlackStandIn
) -> None:
    slack._tokens.scopes = frozenset(SCOPES) - {"groups:read", "groups:history", "usergroups:read"}
    (finding,) = (await check()).worse()

    assert finding.level is Level.WARNING
    assert finding.found.startswith("Missing scopes, which not every workspace needs: groups:history")


async def test_a_bot_outside_the_channel_is_told_to_be_invited(check: Any, slack: SlackStandIn) -> None:
    slack.workspace.channel.members.discard(slack.workspace.app.bot_user_id)
    (finding,) = (await check()).worse()

    assert finding.found == "The bot is not in SLACK_CHANNEL #approvals."
    assert finding.remedy == "Write /invite @polar-approvals in that channel."


async def test_an_archived_channel_is_a_problem(check: Any, slack: SlackStandIn) -> None:
    slack.workspace.channel.is_archived = True
    (finding,) = (await check()).worse()

    assert (finding.level, finding.found) == (Level.PROBLEM, "SLACK_CHANNEL #approvals is archived.")


async def test_an_unknown_channel_may_be_a_private_one(check: Any) -> None:
    (finding,) = (await check(SLACK_CHANNEL="C0NOWHERE")).worse()

    assert finding.found.startswith("SLACK_CHANNEL C0NOWHERE cannot be seen by the bot")
    assert "/invite @polar-approvals" in finding.remedy


async def test_a_channel_shared_with_others_is_warned_about(check: Any, slack: SlackStandIn) -> None:
    slack.workspace.channel.members.add(OUTSIDER)
    (finding,) = (await check()).worse()

    assert finding.level is Level.WARNING
    assert "is shared with another organization" in finding.found


async def test_approvers_who_would_be_refused_are_named_with_the_reason(check: Any) -> None:
    findings = (await check(APPROVERS=f"{MAYA},{GUEST},{OUTSIDER},{GONE},U0NOBODY")).worse()

    assert {finding.found.removeprefix("APPROVERS ") for finding in findings} == {
        f"{GUEST} (@gus) is a guest and will be refused.",
        f"{OUTSIDER} (@omar) is from another workspace and will be refused.",
        f"{GONE} (@dora) is deactivated or a bot and will be refused.",
        "U0NOBODY is nobody in this workspace.",
    }


@pytest.mark.parametrize("approvers", ["", f"{GUEST},{GONE}", "U0NOBODY"])
async def test_when_nobody_may_decide_it_is_a_problem(check: Any, approvers: str) -> None:
    finding = (await check(APPROVERS=approvers)).only("Nobody may decide")

    assert finding.level is Level.PROBLEM
    assert "Copy member ID" in finding.remedy


OWN_RULE = f"""
[[rule]]
name = "invoice"
on = ["order.paid"]
operation = "orders:generate_invoice"
path = {{ id = "${{data.id}}" }}
title = "Generate the invoice?"
approvers = ["{GUEST}", "{MAYA}"]
"""
EVERY_CLASS = "".join(f'R{number} = ["{MAYA}"]\n' for number in range(1, 5))


@pytest.mark.parametrize(
    ("rules", "approvers", "nobody"),
    [
        (f"[approvers]\n{EVERY_CLASS}", "", []),
        (f"[approvers]\n{EVERY_CLASS}", GUEST, []),
        (f'[approvers]\nR1 = ["{MAYA}"]\nR4 = ["{GUEST}"]\n', "", [
            "cases of class R2, R3: APPROVERS is empty.",
            "cases of class R4: every entry of approvers of class R4 would be refused.",
        ]),
        (f'[approvers]\nR3 = ["{MAYA}"]\n', GONE, [
            "cases of class R1, R2, R4: every entry of APPROVERS would be refused.",
        ]),
        (OWN_RULE, MAYA, []),
        (OWN_RULE.replace(f', "{MAYA}"', ""), MAYA, [
            "what invoice proposes: every entry of approvers of rule invoice would be refused.",
        ]),
    ],
)  # fmt: skip
async def test_nobody_may_decide_only_where_no_place_names_anybody(
    check: Any, tmp_path: Path, rules: str, approvers: str, nobody: list[str]
) -> None:
    (tmp_path / "rules.toml").write_text(rules)
    findings = await check(APPROVERS=approvers, RULES_FILE=str(tmp_path / "rules.toml"))

    said = [one.found for one in findings if one.found.startswith("Nobody may decide")]
    assert said == [f"Nobody may decide {one}" for one in nobody]


async def test_people_of_classes_and_rules_are_checked_once_each(check: Any, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(f'[approvers]\nR3 = ["{MAYA}", "{GROUP}", "U0NOBODY"]\n{OWN_RULE}')
    findings = await check(RULES_FILE=str(tmp_path / "rules.toml"))

    everywhere = "APPROVERS, approvers of class R3, approvers of rule invoice"
    assert findings.only(f"{everywhere} {MAYA}").found == f"{everywhere} {MAYA} (@maya) may decide."
    assert findings.only(f"approvers of class R3 {GROUP}").level is Level.OK
    assert {one.found for one in findings.worse()} == {
        f"approvers of rule invoice {GUEST} (@gus) is a guest and will be refused.",
        "approvers of class R3 U0NOBODY is nobody in this workspace.",
    }


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("plan_upgrade_required", "need a paid plan"),
        ("no_such_subteam", "is no user group of this workspace"),
    ],
)
async def test_a_user_group_that_cannot_be_read_is_a_problem(
    check: Any, slack: SlackStandIn, error: str, said: str
) -> None:
    slack.fail_next("usergroups.users.list", error)
    (finding,) = (await check(APPROVERS=f"{MAYA},{GROUP}")).worse()

    assert finding.level is Level.PROBLEM
    assert said in finding.found


async def test_an_empty_user_group_is_warned_about(check: Any, slack: SlackStandIn) -> None:
    change_group(slack, GROUP, [])
    (finding,) = (await check(APPROVERS=f"{MAYA},{GROUP}")).worse()

    assert finding.found == f"APPROVERS {GROUP} is a user group without members."


@pytest.mark.parametrize(
    "answer",
    [
        {"text": "<html>", "content_type": "text/html"},
        {"text": "hello", "content_type": "text/plain"},
        {"text": "{", "content_type": "application/json"},
        {"text": "[]", "content_type": "application/json"},
        {"text": "", "status": 404},
    ],
)
async def test_an_address_that_is_not_slacks_is_said_so(check: Any, answer: dict[str, Any]) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(**answer)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    async with TestServer(app) as server:
        findings = await check(SLACK_API_URL=str(server.make_url("/api/")))

    finding = findings.only("SLACK_BOT_TOKEN could not be tried")
    assert "does not answer like Slack" in finding.found
    assert "SLACK_API_URL" in finding.remedy
    assert findings.only("POLAR_ACCESS_TOKEN works")


async def test_an_error_that_echoes_what_was_sent_is_not_repeated(check: Any) -> None:
    async def handle(request: web.Request) -> web.Response:
        token = request.headers["Authorization"]
        return web.json_response({"ok": False, "error": token, "needed": token})

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    async with TestServer(app) as server:
        findings = await check(SLACK_API_URL=str(server.make_url("/api/")))

    assert not [finding for finding in findings if any(secret in str(finding) for secret in SECRETS)]
