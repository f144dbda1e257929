"""Sessions are read as the public API writes them, and refused with the property's name."""

import pytest

from contracts.errors import InvalidPayload
from contracts.sessions import TTL_US_MAX, read_session


@pytest.mark.parametrize(
    ("sent", "ttl_us"),
    [
        ({}, TTL_US_MAX),
        ({"ttl_unit": "SECONDS"}, TTL_US_MAX),
        ({"ttl": 7}, TTL_US_MAX),
        ({"ttl": 2, "ttl_unit": "HOURS"}, 7_200_000_000),
        ({"ttl": 1.5, "ttl_unit": "MINUTES"}, 90_000_000),
        ({"ttl": 3, "ttl_unit": "SECONDS"}, 3_000_000),
        ({"ttl": 250, "ttl_unit": "MILLISECONDS"}, 250_000),
        ({"ttl": 9, "ttl_unit": "MICROSECONDS"}, 9),
        ({"ttl": 1, "ttl_unit": "NANOSECONDS"}, 1),
        ({"ttl": 1001, "ttl_unit": "NANOSECONDS"}, 2),
    ],
)
def test_how_long_it_holds(sent, ttl_us) -> None:
    assert read_session({"type": "LOCK", "key": "s", **sent}).ttl_us == ttl_us


def test_what_is_shown() -> None:
    shown = {"type": "LOCK", "key": "s", "ttl": 7, "ttl_unit": "DAYS"}
    assert read_session({"key": "s"}).to_json() == shown
    assert read_session({"type": "LOCK"}).key is None


@pytest.mark.parametrize(
    ("sent", "prop"),
    [
        ({"type": "HOLD"}, "session.type"),
        ({"key": 5}, "session.key"),
        ({"key": ""}, "session.key"),
        ({"key": "k" * 201}, "session.key"),
        ({"ttl": 0}, "session.ttl"),
        ({"ttl": -1}, "session.ttl"),
        ({"ttl": True}, "session.ttl"),
        ({"ttl": "5"}, "session.ttl"),
        ({"ttl": float("inf")}, "session.ttl"),
        ({"ttl": float("nan")}, "session.ttl"),
        ({"ttl": 8}, "session.ttl"),
        ({"ttl": 10**400, "ttl_unit": "NANOSECONDS"}, "session.ttl"),
        ({"ttl": 1, "ttl_unit": "WEEKS"}, "session.ttl_unit"),
        ({"ttl": 1, "ttl_unit": []}, "session.ttl_unit"),
    ],
)
def test_what_is_refused(sent, prop) -> None:
    with pytest.raises(InvalidPayload) as refused:
        read_session(sent)
    assert refused.value.prop == prop
