"""Forks the real program on request, so that a test can kill it and start it again in a moment.

Read one JSON object a line from standard input: {"environment", "folder", "crash"}. `crash` names a step,
["before"|"after", query, nth], at which the program ends itself with SIGKILL, as a power cut would. For each
line print the process id, and once that process has ended print how (-9: killed).
"""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import bot.app  # noqa: F401 - the point of this process: what takes a second to load is loaded once
from bot.cli.run import run
from store import Store
from store.engine.writer import Writer
from store.messages.cards import Outgoing


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _become_the_program(order)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become_the_program(order: Mapping[str, Any]) -> None:
    os.setsid()
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open("app.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if order["crash"]:
        _crash_at(order["crash"])
    os._exit(run([]))


def _crash_at(step: Sequence[Any]) -> None:
    """End this process before or after the nth time that the store does this; claims of nothing do not count."""
    when, name, nth = step
    left = nth

    def watching(original: Any) -> Any:
        async def watched(self: Any, *args: Any, **more: Any) -> Any:
            nonlocal left
            # The query comes first, or after what it wakes.
            mine = any(getattr(one, "__name__", "") == name for one in args[:2])
            if mine and when == "before" and (left := left - 1) == 0:
                _end()
            answer = await original(self, *args, **more)
            if mine and when == "after" and not _nothing(answer) and (left := left - 1) == 0:
                _end()
            return answer

        return watched

    Store.do = watching(Store.do)  # type: ignore[method-assign] - a power cut has no interface
    Store.do_and_wake = watching(Store.do_and_wake)  # type: ignore[method-assign] - as above
    Store.do_for_person = watching(Store.do_for_person)  # type: ignore[method-assign] - as above
    Writer.arrive = watching(Writer.arrive)  # type: ignore[method-assign] - as above
    Writer.together = watching(Writer.together)  # type: ignore[method-assign] - as above


def _nothing(answer: Any) -> bool:
    claimed = answer.cards + answer.bundles if isinstance(answer, Outgoing) else answer
    return claimed in ([], 0, False)


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
