"""Slack's refusals as findings of the checks."""

from collections.abc import Mapping
from typing import Final

from bot.checks.findings import Finding, problem, warning
from bot.config.settings import WHERE, Settings
from bot.slack.client import SlackError, SlackRefused

REINSTALL: Final = "Install the app again at https://api.slack.com/apps, your app, Install App."

Errors = Mapping[str, tuple[str, str]]
"""By Slack's error code: what it says about the thing asked for, and the remedy; `{where}` is filled in."""

TOKEN_ERRORS: Final[Errors] = {
    "invalid_auth": ("is not valid", "{where}"),
    "not_authed": ("did not arrive at Slack", "Let the proxy pass the Authorization header on."),
    "account_inactive": (
        "belongs to an app that was removed, or to a workspace that was closed",
        f"{REINSTALL} {{where}}",
    ),
    "token_revoked": ("was revoked", f"{REINSTALL} {{where}}"),
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


def explain(
    refusal: SlackError, subject: str, method: str, settings: Settings, errors: Errors | None = None
) -> Finding:
    """A refusal as a finding about `subject`, which begins with the name of its variable.

    `errors` are those that say something about the subject itself; a token that does not work is
    explained once, where it is checked, and makes the rest a warning that it could not be checked.
    """
    variable = subject.split(" ", 1)[0]
    words = {"where": WHERE[variable], "url": settings.slack_api_url}
    about_token = variable in {"SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"}
    known = TOKEN_ERRORS if about_token else (errors or {})
    if found := known.get(refusal.code):
        said, remedy = (text.format(**words) for text in found)
        return problem(f"{subject} {said}.", remedy)
    if refusal.code == "missing_scope":
        needed = refusal.needed if isinstance(refusal, SlackRefused) else ""
        return _missing_scope(subject, needed or "it names in its documentation")
    if found := TOKEN_ERRORS.get(refusal.code):
        said = found[0].format(**words)
        return warning(f"{subject} could not be checked: SLACK_BOT_TOKEN {said}.", "Fix that first.")
    return problem(
        f"{subject} could not be checked: Slack answered {refusal.code}.",
        f"See https://docs.slack.dev/reference/methods/{method}.",
    )


def _missing_scope(subject: str, needed: str) -> Finding:
    if subject == "SLACK_APP_TOKEN":
        return problem(f"{subject} lacks the scope {needed}.", WHERE[subject])
    return problem(
        f"{subject} could not be checked: the bot lacks the scope {needed}.",
        f"Add it at https://api.slack.com/apps, your app, OAuth & Permissions. {REINSTALL}",
    )
