"""How everything flows, gathered for `/polar status` and the Home tab."""

from datetime import datetime
from typing import Protocol

from bot.logs import LastErrors
from bot.services import Services
from bot.ui.status_page import Health, Pause, Webhook
from polar.client import VERSION
from store.graduation.pause import Paused, paused
from store.messages.backlog import Arrival, flow
from store.models import ProposalState
from store.proposals.proposals import count_proposals


class Socket(Protocol):
    """The way to Slack by Socket Mode, as far as its health goes."""

    connected: bool
    last_envelope_at: datetime | None


class Feed:
    """Looks at the store, both services and the log. `lost` is set once the app was taken out of Slack."""

    def __init__(
        self, services: Services, errors: LastErrors | None = None, supervisor: Socket | None = None
    ) -> None:
        self._services, self._errors, self._supervisor = services, errors, supervisor
        self.lost: str | None = None

    async def health(self) -> Health:
        """As of now. Raises StoreError."""
        store, polar, socket = self._services.store, self._services.polar, self._supervisor
        found = await store.do(flow)
        counts = await store.do(count_proposals)
        left, limit, pause = polar.budget()
        return Health(
            version=VERSION,
            now=self._services.clock(),
            last=_webhook(found.last),
            failed=found.failed,
            newest_failure=_webhook(found.newest_failure),
            unread=found.unread,
            runs=found.runs,
            cards=found.cards,
            notices=found.notices,
            writes=store.backlog,
            socket=None if socket is None else socket.connected,
            heard_at=None if socket is None else socket.last_envelope_at,
            lost=self.lost,
            slack_paused=tuple(self._services.slack.limits.pauses().items()),
            polar_left=left,
            polar_limit=limit,
            polar_paused=pause,
            unknown=counts.get(ProposalState.UNKNOWN, 0),
            refused=counts.get(ProposalState.FAILED, 0),
            paused=said(await store.do(paused)),
            errors=tuple((each.at, each.level, each.said) for each in self._errors.lines)
            if self._errors
            else (),
        )


def said(found: Paused | None) -> Pause | None:
    """A pause as it is told."""
    return None if found is None else Pause(found.by, found.at, found.why)


def _webhook(arrival: Arrival | None) -> Webhook | None:
    return None if arrival is None else Webhook(arrival.type, arrival.received_at, arrival.note)
