"""Limits of the customers service, each with its unit in its name."""

ID_LENGTH_MAX = 100
SOURCE_ID_LENGTH_MAX = 255
NAME_LENGTH_MAX = 1_000
EMAIL_LENGTH_MAX = 320
DESCRIPTION_LENGTH_MAX = 5_000
ADDRESS_LINE_LENGTH_MAX = 500

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
ITEM_QUANTITY_MAX = 1_000_000
AMOUNT_MINOR_MAX = 10**15
"""Highest amount of an order or a line."""

PRICE_MINOR_MAX = 10**12

EVENT_NAME_LENGTH_MAX = 300
CODE_LENGTH_MAX = 255

AUDIT_SLICE_ROWS = 1_000
"""Aggregates that the audit reads at once."""

AUDIT_FINDINGS_MAX = 1_000
"""Findings that one audit names."""
