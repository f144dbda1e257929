"""Names of accounts, and the calendar periods in them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from contracts.accounts import account, period_of

BERLIN = ZoneInfo("Europe/Berlin")


def test_a_name_has_its_parts_in_order() -> None:
    assert account("uses", "v_1") == "uses/v_1"
    assert account("customer-uses", "v_1", "cust_1", period="2026-11") == (
        "customer-uses/v_1/cust_1/2026-11"
    )


@pytest.mark.parametrize(
    ("period", "first_day", "name"),
    [
        ("daily", 0, "2026-03-01"),
        ("weekly", 0, "week-2026-02-23"),
        ("weekly", 6, "week-2026-03-01"),
        ("weekly", 5, "week-2026-02-28"),
        ("monthly", 0, "2026-03"),
    ],
)
def test_a_period_is_named_by_the_project_s_calendar(period, first_day, name) -> None:
    # Half past midnight of a Sunday in Berlin; in UTC it is still Saturday, and February.
    moment = datetime(2026, 2, 28, 23, 30, tzinfo=UTC).astimezone(BERLIN)
    assert period_of(period, moment, first_day) == name


def test_a_week_begins_on_its_first_day() -> None:
    monday = datetime(2026, 11, 23, tzinfo=BERLIN)
    assert period_of("weekly", monday) == "week-2026-11-23"
    assert period_of("weekly", monday, 6) == "week-2026-11-22"


def test_a_period_without_time_zone_is_a_fault() -> None:
    with pytest.raises(AssertionError):
        period_of("daily", datetime(2026, 1, 1))  # noqa: DTZ001 - that is the fault
