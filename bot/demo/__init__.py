"""The demo: the real app against a Slack and a Polar that live on this machine and nowhere else.

`polar-approvals demo` needs no account, no settings and no network.
"""

import argparse
import asyncio
from collections.abc import Sequence


def run(arguments: Sequence[str]) -> int:
    """The command line of `polar-approvals demo`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="polar-approvals demo", description="Try it without an account.")
    parser.add_argument("--port", type=int, default=0, help="port of the page (default: any free one)")
    parser.add_argument("--no-open", action="store_true", help="do not open the browser")
    options = parser.parse_args(arguments)
    from bot.demo.server import serve  # noqa: PLC0415  # the stand-ins can be used without the server

    return asyncio.run(serve(port=options.port, open_browser=not options.no_open))
