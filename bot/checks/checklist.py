"""The set-up check-list of the Home tab: the same checks as `polar-approvals check`, asked now and then."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from bot.checks.findings import Finding, Level
from bot.checks.polar import check_polar
from bot.checks.slack import check_slack
from bot.config.settings import Settings
from bot.services import Services
from bot.ui.home import SetUpStep
from store.proposals.stats import backlog

log = logging.getLogger(__name__)

_AGAIN = timedelta(minutes=10)  # while something is missing; the checks cost a dozen calls
_AGAIN_WHEN_SET = timedelta(hours=6)


class SetUp:
    """The findings of the last look; none before the first. Without settings there is no list."""

    def __init__(self, services: Services, settings: Settings | None) -> None:
        self._services, self._settings = services, settings
        self._findings: Sequence[Finding] | None = None
        self._tried_at: datetime | None = None

    @property
    def due(self) -> bool:
        """True if it is time for the next look."""
        if self._settings is None:
            return False
        if self._tried_at is None:
            return True
        well = bool(self._findings) and not any(each.level is Level.PROBLEM for each in self._findings or ())
        return self._services.clock() >= self._tried_at + (_AGAIN_WHEN_SET if well else _AGAIN)

    def forget(self) -> None:
        """Look again at the next chance."""
        self._tried_at = None

    async def look(self) -> None:
        """Try everything for real, as the command line does; nothing is posted or written."""
        if self._settings is None:
            return
        self._tried_at = self._services.clock()  # first: a look that fails is not begun again at once
        rules = self._services.rules
        called = frozenset(name for rule in rules.rules for name in rule.operations())
        self._findings = [
            *await check_slack(self._settings, rules, transport=False),
            *await check_polar(self._settings, rules.event_types(), called),
        ]

    async def steps(self) -> Sequence[SetUpStep] | None:
        """The list; None before the first look. What cannot be tested is no step. Raises StoreError."""
        if self._findings is None:
            return None
        found = [
            SetUpStep(each.level is Level.OK, each.found, each.remedy)
            for each in self._findings
            if each.level is not Level.WARNING
        ]
        arrived = (await self._services.store.read(backlog)).last is not None
        return [*found, _WEBHOOK_CAME if arrived else _NO_WEBHOOK]


_WEBHOOK_CAME = SetUpStep(True, "A webhook of Polar's has arrived.")
_NO_WEBHOOK = SetUpStep(
    False,
    "No webhook has arrived yet.",
    "Let something happen at Polar, or redeliver an event from the endpoint's page in Polar's dashboard.",
)
