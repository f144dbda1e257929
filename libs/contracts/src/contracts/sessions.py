"""A validation's ``session``: what holds uses and credits for a shopper until the order is placed.

Shape: Voucherify API v1, ``Session``. The gateway reads it to refuse what is wrong, the engine to say how
long the ledger shall hold.
"""

import math
from fractions import Fraction
from typing import Any, NamedTuple

from contracts.errors import JsonObject
from contracts.payload import join, one_of, refuse, text

KEY_LENGTH_MAX = 200
TTL_DAYS_DEFAULT = 7
TTL_DAYS_MAX = 7
"""Longer locks would let one shopper keep a code from all others."""

MICROSECONDS = {
    "DAYS": Fraction(86_400_000_000),
    "HOURS": Fraction(3_600_000_000),
    "MINUTES": Fraction(60_000_000),
    "SECONDS": Fraction(1_000_000),
    "MILLISECONDS": Fraction(1_000),
    "MICROSECONDS": Fraction(1),
    "NANOSECONDS": Fraction(1, 1_000),
}
TTL_US_MAX = TTL_DAYS_MAX * int(MICROSECONDS["DAYS"])


class Session(NamedTuple):
    """A session as it was asked for; ``key`` is None when the caller leaves it to us."""

    key: str | None
    ttl: int | float
    ttl_unit: str

    @property
    def ttl_us(self) -> int:
        """How long it holds, in whole microseconds, never shorter than asked."""
        return math.ceil(Fraction(self.ttl) * MICROSECONDS[self.ttl_unit])

    def to_json(self) -> JsonObject:
        """Return the session as requests and answers show it."""
        return {"type": "LOCK", "key": self.key, "ttl": self.ttl, "ttl_unit": self.ttl_unit}


def read_session(sent: JsonObject, path: str = "session") -> Session:
    """Return the session; raises ``InvalidPayload`` that names the property."""
    one_of("LOCK")(join(path, "type"), _or(sent.get("type"), "LOCK"))
    key = sent.get("key")
    if key is not None:
        text(KEY_LENGTH_MAX)(join(path, "key"), key)
        if not key:
            raise refuse(join(path, "key"), "must not be empty")
    unit = one_of(*MICROSECONDS)(join(path, "ttl_unit"), _or(sent.get("ttl_unit"), "DAYS"))
    ttl = sent.get("ttl")
    session = Session(key, TTL_DAYS_DEFAULT if ttl is None else _number(path, ttl), unit)
    if ttl is None:
        session = session._replace(ttl_unit="DAYS")
    if session.ttl_us > TTL_US_MAX:
        raise refuse(join(path, "ttl"), f"must be at most {TTL_DAYS_MAX} days")
    return session


def _or(value: Any, default: str) -> Any:
    return default if value is None else value


def _number(path: str, value: Any) -> int | float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_finite = not isinstance(value, float) or math.isfinite(value)
    if not is_number or not is_finite or value <= 0:
        raise refuse(join(path, "ttl"), "must be a number above zero")
    return value  # type: ignore[no-any-return]
