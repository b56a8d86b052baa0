"""The nightly check of what is counted: each kind of case is counted anew beside the writer, and mended."""

import logging
from datetime import datetime, time

from bot.pipeline.learn import Assessor, offer
from bot.services import Services
from store.engine.errors import StoreError
from store.graduation.count_check import check_counts, kinds_to_check, last_check, mend_counts, note_check
from store.models.graduation import CountCheck, Miscount

log = logging.getLogger(__name__)

_AT = time(3)  # where the team is


async def check_counts_nightly(services: Services) -> None:
    """Check all kinds once a night, one after the other. An offer that a stop prevented is made now."""
    zone, now = services.rules.policy.schedule.timezone, services.clock()
    due = datetime.combine(now.astimezone(zone).date(), _AT, zone)
    before = await services.store.read(last_check)
    if now < due or (before is not None and before.at >= due):
        return
    kinds = await services.store.read(kinds_to_check)
    wrong, assessor = [], Assessor(services.rules.policy)
    for case_kind in kinds:
        try:
            found = await _check(services, case_kind)
            await offer(services, assessor, case_kind)
        except StoreError:
            raise
        except Exception:
            log.exception("the counts of case kind %s could not be checked", case_kind[:12])
            continue
        wrong += [] if found is None else [found]
    await services.store.do(note_check, CountCheck(now, len(kinds), wrong))


async def _check(services: Services, case_kind: str) -> Miscount | None:
    """The differences of a kind, after they were mended."""
    found = await services.store.read(check_counts, case_kind)
    if found is None:
        return None
    mended = await services.store.do(mend_counts, found)
    said = ", ".join(f"{name} {kept}, not {right}" for name, (kept, right) in found.wrong.items())
    log.error("case kind %s was counted wrong (%s); mended: %s", case_kind[:12], said, mended)
    return Miscount(case_kind, found.label, list(found.wrong), mended)
