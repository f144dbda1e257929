"""Limits of what messages and bodies may hold, wherever they are read; shown in the docs."""

METADATA_KEYS_MAX = 250
"""Keys of one metadata object."""

METADATA_BYTES_MAX = 65_536
"""Characters of one metadata object, about: every key and value counts."""

METADATA_DEPTH_MAX = 6
"""Levels of objects and lists inside metadata."""

METADATA_KEY_LENGTH_MAX = 255
"""Characters of one key of metadata."""

WHOLE_NUMBER_MAX = 2**53 - 1
"""Largest integer that every JSON reader keeps exactly."""

FILTER_FIELDS_MAX = 50
"""Fields of one segment's filter."""

FILTER_OPERATORS_MAX = 10
"""Operators of one field."""

FILTER_VALUES_MAX = 500
"""Values of one operator."""

FILTER_DAYS_MAX = 36_600
"""Days that a relative date may lie away: a hundred years."""

CODES_PER_PUBLICATION_MAX = 50
"""Codes of a campaign that one publication assigns, as the public API has it."""

BULK_PART_ELEMENTS_MAX = 200
"""Elements of one part of an asynchronous change, which is one transaction of the service."""

BULK_FAILURES_SHOWN_MAX = 1_000
"""Refused elements that the result of an asynchronous change names; the log has all."""
