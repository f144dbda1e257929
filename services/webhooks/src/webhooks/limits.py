"""Limits of the webhooks service, each with its unit in its name."""

ENDPOINTS_PER_PROJECT_MAX = 50
"""Endpoints of one project."""

URL_LENGTH_MAX = 2_048
"""Characters of an endpoint's address."""

EVENTS_PER_ENDPOINT_MAX = 100
"""Names in an endpoint's list of events."""

EVENT_NAME_LENGTH_MAX = 100
"""Characters of one of those names."""

DELIVERIES_PER_TURN = 8
"""Deliveries that one endpoint gets at the same time from one process; it has no other senders."""

ENDPOINTS_AT_ONCE_MAX = 500
"""Endpoints that one process serves at the same time."""

SENDER_POLL_S = 1.0
"""Longest pause between two looks for deliveries that are due."""

RESPONSE_BYTES_MAX = 2_000
"""Bytes of an answer that are read."""

REASON_LENGTH_MAX = 500
"""Characters kept of why an attempt failed."""

RETRY_AFTER_S_MAX = 3_600.0
"""Longest pause that a receiver may ask for by ``Retry-After``."""

JITTER_SHARE = 0.1
"""By how much a pause may be longer, so that retries do not come all at once."""

INSERT_SLICE = 1_000
"""Deliveries written by one statement."""

CLEANING_S = 300.0
"""Pause between two cleanings of old deliveries."""

CLEANING_SLICE = 5_000
"""Rows that one cleaning deletes at once."""

AUDIT_FINDINGS_MAX = 1_000
"""Findings that one audit names."""

REPLACED_SECRET_HOURS = 24
"""How long a secret that was replaced still signs, beside the new one."""

REPLACED_SECRETS_MAX = 10
"""Replaced secrets of one endpoint that still sign."""
