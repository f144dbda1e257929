"""Prometheus metrics that every service has; labels are bounded.

Counters and histograms move with every batch, never per message. Gauges are looked up every
``METRICS_SAMPLE_S`` by :mod:`runtime.sampling`; ``tessera_sampled_seconds`` says when that last worked.
"""

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter("tessera_messages_total", "Messages taken, by outcome", ["consumer", "outcome"])
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
REFUSALS = Counter("tessera_refusals_total", "Commands and requests refused", ["consumer", "key"])

LOG_POSITION = Gauge("tessera_log_position", "Head of this service's log")
RELAY_LAG = Gauge("tessera_relay_lag_positions", "Head of the log minus the relay's cursor")
CONSUMER_LAG = Gauge(
    "tessera_consumer_lag_records",
    "Records that wait in a partition of this process",
    ["consumer", "topic", "partition"],
)
ASSIGNED = Gauge(
    "tessera_assigned_partitions",
    "Partitions that the group has given this process; none while the broker does not let it in",
    ["consumer"],
)
PROJECTION_POSITION = Gauge(
    "tessera_projection_position",
    "Position of the last event applied; tessera_log_position of its owner minus this is the lag",
    ["consumer", "topic", "partition"],
)
PROJECTION_LAG_SECONDS = Gauge(
    "tessera_projection_lag_seconds",
    "How far behind a reader of events is: 0 when nothing waits for it",
    ["consumer"],
)
DEAD_LETTERS_STORED = Gauge(
    "tessera_dead_letters_stored", "Rows of the table of dead letters", ["consumer", "status"]
)
MISSING_EVENTS = Gauge(
    "tessera_missing_events_partitions",
    "Partitions that stand still because an event of the log is missing in the topic",
    ["consumer"],
)
HELD_STREAMS = Gauge("tessera_held_streams", "Streams held back", ["consumer"])
SAMPLED = Gauge("tessera_sampled_seconds", "Unix time of the last look at lags and dead letters")
