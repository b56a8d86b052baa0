"""The command line, as `polar-approvals` and as `python -m bot`: find the command and load nothing else."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("bot.cli.run", "serve until stopped"),
    "demo": ("bot.demo", "try it without an account, on this machine alone"),
    "check": ("bot.cli.check", "test tokens, scopes, channel, approvers, webhook endpoint, rules, database"),
    "decide": ("bot.cli.decide", "approve or decline a proposal when Slack is down"),
    "retry": ("bot.cli.retry", "ask rules again that failed on a webhook"),
    "pause": ("bot.cli.pause", "stop all automatic runs, also when Slack is down"),
    "resume": ("bot.cli.resume", "allow automatic runs again"),
    "export": ("bot.cli.export", "print stored events, proposals or decisions as JSON lines"),
    "explain": ("bot.cli.explain", "print everything behind one proposal as JSON, to be checked offline"),
    "verify-log": ("bot.cli.verify_log", "find any altered, missing or moved row of the audit log"),
    "erase": ("bot.cli.erase", "erase what is kept of a customer"),
    "backtest": ("bot.cli.backtest", "replay the log under any policy: what would have run automatically"),
    "rules": ("bot.cli.rules", "list the rules, check a file of yours, try them on an event"),
    "operations": ("bot.cli.operations", "print the catalog of Polar's operations"),
}


def main(argv: Sequence[str]) -> int:
    """Run one command; its exit code."""
    name = argv[0] if argv else "help"
    if name not in COMMANDS:
        unknown = "" if name in ("help", "-h", "--help") else f"There is no command {name!r}.\n\n"
        lines = [f"  {command:<12}{about}" for command, (_, about) in COMMANDS.items()]
        print(f"{unknown}usage: polar-approvals COMMAND\n\n" + "\n".join(lines))  # noqa: T201 - the command line
        return 2 if unknown else 0
    code: int = import_module(COMMANDS[name][0]).run(argv[1:])
    return code


def script() -> int:
    """Run the command of this process; its exit code."""
    os.umask(0o077)  # the database and what is written beside it hold customers' data
    try:
        return main(sys.argv[1:])
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `export … | head`
        return 0


if __name__ == "__main__":
    sys.exit(script())
