"""Limits of the customers service, each with its unit in its name."""

ID_LENGTH_MAX = 100
"""Characters of an id that a client sends."""

SOURCE_ID_LENGTH_MAX = 255
"""Characters of a ``source_id``."""

NAME_LENGTH_MAX = 1_000
"""Characters of a name."""

EMAIL_LENGTH_MAX = 320
"""Characters of an e-mail address."""

DESCRIPTION_LENGTH_MAX = 5_000
"""Characters of a description."""

ADDRESS_LINE_LENGTH_MAX = 500
"""Characters of one line of an address."""

SEGMENT_CUSTOMERS_MAX = 20_000
"""Customers of one static segment."""

DYNAMIC_SEGMENTS_MAX = 100
"""Segments with a filter in one project."""

SWEEP_SLICE_CUSTOMERS = 500
"""Customers that are evaluated in one transaction after a segment was made."""

SWEEP_POLL_S = 0.5
"""Pause between two looks for segments that wait for their evaluation."""

SWEEP_PERIOD_S = 3_600
"""How often a segment is evaluated again whose filter depends on the time."""

ORDER_ITEMS_MAX = 500
"""Items of an order."""

ITEM_QUANTITY_MAX = 1_000_000
"""Quantity of one item."""

AMOUNT_MINOR_MAX = 10**15
"""Highest amount of an order or a line."""

PRICE_MINOR_MAX = 10**12
"""Highest price or amount, in minor units."""

EVENT_NAME_LENGTH_MAX = 300
"""Characters of a custom event's name."""

CODE_LENGTH_MAX = 255
"""Characters of a code that a custom event names."""

AUDIT_SLICE_ROWS = 1_000
"""Aggregates that the audit reads at once."""

AUDIT_FINDINGS_MAX = 1_000
"""Findings that one audit names."""
