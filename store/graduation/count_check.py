"""The check of the kept counts: each kind is counted anew beside the writer, and a difference is mended."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from store.engine.settings_kv import Setting, hold_or_set, read, write
from store.graduation.case_kinds import hold_trust
from store.graduation.labels import COUNTED, Counts, kept_counts, recount
from store.models.graduation import CountCheck, Miscount
from store.schema.graduation import case_kinds


@dataclass(frozen=True, slots=True)
class Difference:
    """A kind of case whose kept counts were not what its labels say."""

    case_kind: str
    label: str
    generation: int
    kept: Counts
    found: Counts

    @property
    def wrong(self) -> Mapping[str, tuple[Any, Any]]:
        """By name the counts that differ: what was kept, and what was found."""
        pairs = {name: (self.kept[name], self.found[name]) for name in COUNTED}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def kinds_to_check(connection: Connection) -> Sequence[str]:
    """The hashes of all kinds of case."""
    return connection.execute(select(case_kinds.c.hash).order_by(case_kinds.c.hash)).scalars().all()


def check_counts(connection: Connection, case_kind: str) -> Difference | None:
    """Count a kind anew; None when what is kept is right. Reads all labels of its generation."""
    kept = kept_counts(connection, case_kind)
    if kept is None:
        return None
    own = {name: getattr(kept, name) for name in COUNTED}
    found = recount(connection, case_kind, kept.generation)
    if own == found:
        return None
    label = connection.execute(select(case_kinds.c.label).where(case_kinds.c.hash == case_kind)).scalar_one()
    return Difference(case_kind, label, kept.generation, own, found)


def mend_counts(connection: Connection, difference: Difference) -> bool:
    """Write the recount if the kept counts are as they were when it was made."""
    hold_trust(connection)
    kept = kept_counts(connection, difference.case_kind)
    if kept is None or kept.generation != difference.generation:
        return False
    if {name: getattr(kept, name) for name in COUNTED} != difference.kept:
        return False
    own = case_kinds.c.hash == difference.case_kind
    connection.execute(update(case_kinds).where(own).values(difference.found))
    return True


def note_check(connection: Connection, check: CountCheck) -> None:
    """Keep the result of the newest check."""
    body = asdict(check) | {"at": check.at.isoformat()}
    hold_or_set(connection, Setting.COUNTS_CHECKED, "{}")
    write(connection, Setting.COUNTS_CHECKED, json.dumps(body))


def last_check(connection: Connection) -> CountCheck | None:
    """The newest check, or None before the first."""
    body = json.loads(read(connection, Setting.COUNTS_CHECKED) or "{}")
    if not body:
        return None
    wrong = [Miscount(**one) for one in body["wrong"]]
    return CountCheck(datetime.fromisoformat(body["at"]), body["kinds"], wrong)
