"""Counters and histograms for `GET /metrics`. Labels have few values: no ids, no paths, no people."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
WEBHOOKS = Counter(
    "polar_approvals_webhooks", "Webhook requests by the status answered", ["status"], registry=REGISTRY
)
DECISIONS = Counter(
    "polar_approvals_decisions",
    "Decisions by verdict and by the way they came: button, bundle, thread, undo; policy for automatic runs, "
    "counted when they begin",
    ["verdict", "via"],
    registry=REGISTRY,
)
POLAR_WRITES = Counter(
    "polar_approvals_polar_writes",
    "Calls that change something, by outcome: done, refused, unknown, not_sent",
    ["outcome"],
    registry=REGISTRY,
)
POLAR_SECONDS = Histogram(
    "polar_approvals_polar_seconds",
    "Seconds of one request to Polar, by method and outcome",
    ["method", "outcome"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
SLACK_SECONDS = Histogram(
    "polar_approvals_slack_seconds",
    "Seconds of one call of Slack, by its method",
    ["method"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
    registry=REGISTRY,
)
CARD_SECONDS = Histogram(
    "polar_approvals_event_to_card_seconds",
    "Seconds from a webhook's arrival, or the end of its rule's delay, to the first card that shows it",
    buckets=(0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
    registry=REGISTRY,
)
PROPOSALS = Gauge("polar_approvals_proposals", "Proposals by state", ["state"], registry=REGISTRY)
EVENTS = Gauge("polar_approvals_events", "Stored webhooks by state", ["state"], registry=REGISTRY)
BACKLOG = Gauge(
    "polar_approvals_writes_waiting", "Database writes that wait for their turn", registry=REGISTRY
)
STORE_RETRIES = Counter(
    "polar_approvals_store_retries",
    "Transactions of PostgreSQL that were tried again: after a deadlock or with a lost connection",
    registry=REGISTRY,
)
