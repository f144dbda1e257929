"""Prometheus metrics that every service has; labels are bounded."""

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter("tessera_messages_total", "Messages handled", ["consumer", "outcome"])
BATCH_SIZE = Histogram(
    "tessera_batch_records",
    "Records in one transaction",
    ["consumer"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
BATCH_SECONDS = Histogram("tessera_batch_seconds", "Time of one transaction", ["consumer"])
RETRIES = Counter("tessera_batch_retries_total", "Batches tried again", ["consumer", "reason"])
DEAD_LETTERS = Counter("tessera_dead_letters_total", "Messages given up", ["consumer", "status"])
EVENTS = Counter("tessera_events_appended_total", "Events appended to the log")
REFUSALS = Counter("tessera_refusals_total", "Commands refused", ["consumer", "key"])
RELAY_LAG = Gauge("tessera_relay_lag_events", "Events committed but not yet published")
PROJECTION_POSITION = Gauge(
    "tessera_projection_position", "Last position applied", ["consumer", "topic", "partition"]
)
