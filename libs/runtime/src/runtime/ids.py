"""Random identifiers."""

import secrets

from contracts.ids import base62


def new_id(prefix: str) -> str:
    """Return a fresh id: the prefix and 24 base62 digits of 144 random bits."""
    return f"{prefix}_{base62(secrets.randbits(144))}"
