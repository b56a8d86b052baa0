"""The last look before a call that a person proposed: whether the object it names is still there."""

import logging
from collections.abc import Sequence

from bot.services import Parts
from polar.catalog import Call, operations
from polar.errors import MissingScope

log = logging.getLogger(__name__)


async def look_again(parts: Parts, calls: Sequence[Call]) -> None:
    """Read the object that each call's path names, where one read shows it. Raises PolarError: NotFound, …

    A list proves nothing by being empty, so it is not asked; nor is a read that our token may not make.
    """
    for call in calls:
        read = operations()[call.operation].describe(call).verify_call(call) if call.path else None
        if read is None or not read.path:
            continue
        try:
            await parts.polar.read(read)
        except MissingScope as error:
            log.info("cannot look before %s: %s", call.operation, error.plain)
