"""What is counted, for `GET /metrics`."""

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()
WEBHOOKS = Counter(
    "polar_approvals_webhooks", "Webhook requests by the status answered", ["status"], registry=REGISTRY
)
DECISIONS = Counter("polar_approvals_decisions", "Decisions taken by people", ["verdict"], registry=REGISTRY)
POLAR_WRITES = Counter(
    "polar_approvals_polar_writes", "Calls that change something, by outcome", ["outcome"], registry=REGISTRY
)
PROPOSALS = Gauge("polar_approvals_proposals", "Proposals by state", ["state"], registry=REGISTRY)
EVENTS = Gauge("polar_approvals_events", "Stored webhooks by state", ["state"], registry=REGISTRY)
BACKLOG = Gauge(
    "polar_approvals_writes_waiting", "Database writes that wait for their turn", registry=REGISTRY
)
