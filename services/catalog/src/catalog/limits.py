"""Limits of the catalog, each with its unit in its name."""

ID_LENGTH_MAX = 100
"""Characters of an id that a client sends."""

SOURCE_ID_LENGTH_MAX = 255
"""Characters of a ``source_id``."""

NAME_LENGTH_MAX = 1_000
"""Characters of a name."""

URL_LENGTH_MAX = 2_048
"""Characters of an image's address."""

PRICE_MINOR_MAX = 10**12
"""Highest price; with the highest quantity and the most lines an order's sum stays a bigint."""

ATTRIBUTES_MAX = 100
"""Attributes of one product."""

ATTRIBUTE_LENGTH_MAX = 255
"""Characters of the name or value of an attribute."""

INTAKE_SKUS_MAX = 100
"""SKUs inside one product on ``intake.products``."""

AUDIT_FINDINGS_MAX = 1_000
"""Findings that one audit names."""

COLLECTIONS_MAX = 100
"""Product collections of a project."""

COLLECTION_PRODUCTS_MAX = 1_000
"""Products and SKUs that a static collection lists."""
