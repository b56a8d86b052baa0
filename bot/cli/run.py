"""`polar-approvals run`: serve until stopped."""

import gc
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from bot.cli.command import parser, tells
from bot.config.settings import Settings, load_settings
from bot.logs import set_up_logging

_SWITCH_SECONDS = 0.002


@tells()
def run(argv: Sequence[str]) -> int:
    """Serve; 0 after SIGINT or SIGTERM, 1 when it cannot start or go on."""
    parser("run", "Serve until stopped.").parse_args(argv)
    set_up_logging()
    return start(load_settings())


def start(settings: Settings, **how: Any) -> int:
    """Serve with these settings; `how` is handed on to `bot.app.serve`. The exit code, as `run`'s."""
    without_command_lines()
    without_orm()
    gc.disable()  # what is loaded stays: to look for garbage among it takes a tenth of the start
    import uvloop  # noqa: PLC0415 - wrong settings are told without loading the rest

    from bot.app import CANNOT_RUN, serve  # noqa: PLC0415 - see above

    gc.freeze()
    gc.enable()
    # The store's thread asks for the interpreter often and briefly. Waiting 2 ms at most instead of 5 halves
    # the p99 of a flood (77 to 37 ms, medians of eight runs); the rate stays the same.
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        uvloop.run(serve(settings, **how))
    except BaseExceptionGroup as group:
        known, unknown = group.split(CANNOT_RUN)
        if unknown is not None:
            raise
        return _say(_flat(known) if known else [])
    except CANNOT_RUN as error:
        return _say([error])
    return 0


def _say(errors: Sequence[BaseException]) -> int:
    for error in errors:
        print(f"Not running: {error}", file=sys.stderr)
    return 1


def _flat(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _flat(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def without_command_lines() -> None:
    """Call before cel and httpx are imported: saves 12 MB and a tenth of a second of every start.

    `import cel` loads a shell (prompt_toolkit, typer, rich); `import httpx` loads one too (click, rich), but
    provides for its absence.
    """
    sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None: such an import fails


def without_orm() -> None:
    """Call before the store is imported: saves 6 MB and a tenth of a second of every start.

    `sqlalchemy.ext.asyncio` loads SQLAlchemy's object mapper for sessions, and the store has none.
    """
    for name in ("scoping", "session"):
        nothing = ModuleType(f"sqlalchemy.ext.asyncio.{name}")
        nothing.__getattr__ = lambda _name: None  # type: ignore[method-assign]  # whatever is imported from it
        sys.modules.setdefault(nothing.__name__, nothing)
