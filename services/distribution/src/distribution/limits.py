"""Limits of the distribution service, each with its unit in its name."""

ID_LENGTH_MAX = 100
"""Characters of an id that a client sends."""

SOURCE_ID_LENGTH_MAX = 255
"""Characters of a ``source_id``."""

NAME_LENGTH_MAX = 255
"""Characters of a name."""

EVENT_NAME_LENGTH_MAX = 300
"""Characters of the custom event that triggers."""

CODE_LENGTH_MAX = 255
"""Characters of a code that a request names."""

DISTRIBUTIONS_PER_TRIGGER_MAX = 20
"""Distributions of one project that one kind of custom event starts."""

SUBJECT_TEMPLATE_LENGTH_MAX = 1_000
"""Characters of a message's subject, before it is filled in."""

TEXT_TEMPLATE_LENGTH_MAX = 50_000
"""Characters of a message's text, before it is filled in."""

SUBJECT_LENGTH_MAX = 200
"""Characters of a subject after rendering; the rest is cut off."""

RENDERED_BYTES_MAX = 256_000
"""Output of one template."""

TEMPLATE_LOOPS_MAX = 1_000
"""Loop iterations of one rendering, loops in loops multiplied."""

TEMPLATE_NESTING_MAX = 20
"""Blocks inside each other in a template."""

TEMPLATE_NAMESPACE_MAX = 10_000
"""Size of what one rendering may assign to variables."""

TEMPLATES_CACHED_MAX = 500
"""Parsed templates that are kept."""

ADDRESS_LENGTH_MAX = 254
"""Characters of an e-mail address (RFC 5321)."""

MESSAGES_IN_FLIGHT_MAX = 8
"""Messages that one process sends at the same time."""

SENDER_POLL_S = 1.0
"""Longest pause between two looks for messages that are due."""

WAITING_POLL_S = 0.25
"""Pause between two tries to publish a code that a campaign has yet to make."""

WAITING_ATTEMPTS_MAX = 120
"""How often a trigger that waits for a code is tried again."""

WAITING_SLICE = 100
"""Triggers that one transaction tries again."""

REASON_LENGTH_MAX = 500
"""Characters kept of why a message failed."""

AUDIT_FINDINGS_MAX = 1_000
"""Findings that one audit names."""
