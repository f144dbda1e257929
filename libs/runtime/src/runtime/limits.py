"""Limits of the runtime, each with its unit in its name."""

INTAKE_ELEMENTS_MAX = 1_000
"""Elements of one message on an intake topic."""

RECORD_BYTES_MAX = 8 * 1024 * 1024
"""Largest record that is produced; a slice of generated codes is the largest event."""

RETRY_DELAY_S_MAX = 5.0
"""Longest pause between two tries while Postgres is away."""

CONTENTION_RETRIES_MAX = 5
"""How often a whole batch is tried again after a conflict before it is taken apart."""

RELAY_EVENTS_MAX = 1_000
"""Events that the relay publishes before it saves its cursor."""

HELD_STREAMS_MAX = 10_000
"""Streams that may be held back before a consumer stops with an alarm."""
