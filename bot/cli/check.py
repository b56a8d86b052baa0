"""`polar-approvals check`: print what the checks found, and fail if there is a problem."""

import asyncio
from collections.abc import Iterable, Sequence

from bot.checks import Finding, Level, run_checks
from bot.checks.findings import problem
from bot.cli.command import parser
from bot.config.settings import Settings, SettingsError, load_settings


def run(argv: Sequence[str]) -> int:
    """Check the settings of this folder and environment; 0 when nothing keeps the program from working."""
    about = "Test tokens, scopes, channel, approvers, webhook endpoint, rules and database."
    parser("check", about).parse_args(argv)
    try:
        settings = load_settings()
    except SettingsError as error:
        _print([problem(each, "") for each in error.problems])
        print("The rest is checked when the settings are complete.")
        return 1
    return asyncio.run(main(settings))


async def main(settings: Settings) -> int:
    """Run every check and print it; 0 without a problem, else 1."""
    findings = await run_checks(settings)
    _print(findings)
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    print(f"{problems} of {len(findings)} checks found a problem." if problems else "Ready to run.")
    return 1 if problems else 0


def _print(findings: Iterable[Finding]) -> None:
    for finding in findings:
        print(f"{finding.level:<8} {_one_line(finding.found)}")
        if finding.remedy:
            print(f"{'':<8} → {_one_line(finding.remedy)}")


def _one_line(words: str) -> str:
    """Names come from Slack and Polar: no line breaks, no escape sequences for the terminal."""
    return " ".join("".join(each if each.isprintable() else " " for each in words).split())
