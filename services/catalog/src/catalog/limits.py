"""Limits of the catalog, each with its unit in its name."""

ID_LENGTH_MAX = 100
SOURCE_ID_LENGTH_MAX = 255
NAME_LENGTH_MAX = 1_000
URL_LENGTH_MAX = 2_048

PRICE_MINOR_MAX = 10**12
"""Highest price; with the highest quantity and the most lines an order's sum stays a bigint."""

ATTRIBUTES_MAX = 100
"""Attributes of one product."""

ATTRIBUTE_LENGTH_MAX = 255

INTAKE_SKUS_MAX = 100
"""SKUs inside one product on ``intake.products``."""

AUDIT_FINDINGS_MAX = 1_000
"""Findings that one audit names."""
