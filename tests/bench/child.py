"""A program of the benchmark in a process of its own, which ends with the block, whatever ends that."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def child(module: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m module` with pipes to and from it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        limit=2**28,
        start_new_session=True,  # Ctrl-C is for the benchmark, which then ends its children in order
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def memory_of(process: int) -> float:
    """Resident memory of a process in MB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    found = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(found.split()[1]) / 1_024
