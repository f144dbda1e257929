"""Who matches a segment's filter, and which filters are refused."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from contracts.errors import InvalidPayload
from contracts.filters import OPERATORS, check_filter, matches

NOW = datetime(2026, 3, 11, 12, 0, tzinfo=UTC)
ANNA = {
    "id": "cust_1",
    "source_id": "anna",
    "name": "Anna Schmidt",
    "email": "anna@example.com",
    "birthdate": "1990-03-14",
    "address": {"city": "Berlin"},
    "created_at": "2026-03-01T10:00:00Z",
    "metadata": {
        "tier": "gold",
        "visits": 12,
        "is_vip": True,
        "tags": ["shoes", "hats"],
        "shop.name": "West",
        "shop": {"city": "Paris"},
    },
}


@pytest.mark.parametrize(
    ("field", "operator", "values", "expected"),
    [
        ("name", "$is", ["Anna Schmidt"], True),
        ("name", "$is", ["anna schmidt"], False),
        ("name", "$is_not", ["Bob"], True),
        ("name", "$in", ["Bob", "Anna Schmidt"], True),
        ("name", "$not_in", ["Anna Schmidt"], False),
        ("name", "$contains", ["Schm"], True),
        ("name", "$not_contain", ["Schm"], False),
        ("email", "$starts_with", ["anna@"], True),
        ("email", "$ends_with", [".org"], False),
        ("address.city", "$is", ["Berlin"], True),
        ("phone", "$is_unknown", [], True),
        ("email", "$has_value", [], True),
        ("metadata.tier", "$is", ["gold"], True),
        ("metadata.visits", "$more_than", [11], True),
        ("metadata.visits", "$more_than", [12], False),
        ("metadata.visits", "$more_than_equal", [12], True),
        ("metadata.visits", "$less_than", ["13"], True),
        ("metadata.visits", "$less_than_equal", [11], False),
        ("metadata.visits", "$is", ["12"], True),
        ("metadata.is_vip", "$is", [True], True),
        ("metadata.is_vip", "$is", ["true"], True),
        ("metadata.is_vip", "$is", [1], False),
        ("metadata.tags", "$contains", ["hats"], True),
        ("metadata.tags", "$contains", ["hat"], False),
        ("metadata.tags", "$count", [2], True),
        ("metadata.tags", "$count_more", [2], False),
        ("metadata.tags", "$count_less", [3], True),
        ("metadata.missing", "$count", [0], True),
        ("metadata.shop.name", "$is", ["West"], True),
        ("metadata.shop.city", "$is", ["Paris"], True),
        ("metadata.missing", "$is", ["x"], False),
        ("metadata.missing", "$is_not", ["x"], True),
        ("metadata.tier", "$more_than", [1], False),
        ("created_at", "$after", ["2026-02-28"], True),
        ("created_at", "$before", ["2026-03-01T10:00:00Z"], False),
        ("created_at", "$less_than_ago", [11], True),
        ("created_at", "$more_than_ago", [10], False),
        ("created_at", "$is_days_ago", [10], True),
        ("created_at", "$this_month", [], True),
        ("created_at", "$last_month", [], False),
        ("created_at", "$this_year", [], True),
        ("created_at", "$is_month", [3], True),
        ("birthdate", "$this_week_md", [], True),
        ("birthdate", "$today_md", [], False),
        ("birthdate", "$is_year", [1990], True),
        ("birthdate", "$is_day", [3], True),
    ],
)
def test_operator(field: str, operator: str, values: list[object], *, expected: bool) -> None:
    segment = {"junction": "and", field: {"conditions": {operator: values}}}
    check_filter(segment)
    assert matches(segment, ANNA, NOW) is expected


def test_junctions() -> None:
    conditions = {
        "name": {"conditions": {"$is": ["Bob"]}},
        "metadata.tier": {"conditions": {"$is": ["gold"]}},
    }
    assert matches({"junction": "or", **conditions}, ANNA, NOW)
    assert not matches({"junction": "and", **conditions}, ANNA, NOW)
    assert not matches(conditions, ANNA, NOW), "and is the default"
    assert not matches({"junction": "and"}, ANNA, NOW)


def test_all_operators_of_a_field_must_hold() -> None:
    between = {"metadata.visits": {"conditions": {"$more_than": [10], "$less_than": [12]}}}
    assert not matches(between, ANNA, NOW)


def test_calendar_days_are_those_of_the_time_zone() -> None:
    born_late = {"created_at": "2026-03-10T23:30:00Z"}
    today = {"created_at": {"conditions": {"$today": []}}}
    assert not matches(today, born_late, NOW)
    assert matches(today, born_late, NOW.astimezone(ZoneInfo("Europe/Berlin")))


def test_29_february_is_congratulated_on_1_march() -> None:
    leapling = {"birthdate": "2000-02-29"}
    today = {"birthdate": {"conditions": {"$today_md": []}}}
    assert matches(today, leapling, datetime(2026, 3, 1, tzinfo=UTC))
    assert matches(today, leapling, datetime(2028, 2, 29, tzinfo=UTC))
    assert not matches(today, leapling, datetime(2028, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize("operator", sorted(OPERATORS))
@pytest.mark.parametrize("actual", [None, "", "x", 3, 2.5, True, [], ["x", None], {"a": 1}])
def test_no_stored_value_breaks_an_operator(operator: str, actual: object) -> None:
    for values in ([], [None], ["x"], [3], [True], ["2026-01-01"]):
        verdict = OPERATORS[operator](actual, values, NOW)
        assert isinstance(verdict, bool)


@pytest.mark.parametrize(
    ("segment", "prop"),
    [
        ([], "filter"),
        ({}, "filter"),
        (
            {"junction": "xor", "name": {"conditions": {"$is": ["x"]}}},
            "filter.junction",
        ),
        ({"shoe_size": {"conditions": {"$is": [1]}}}, "filter.shoe_size"),
        ({"metadata": {"conditions": {"$is": [1]}}}, "filter.metadata"),
        ({"name": []}, "filter.name"),
        ({"name": {}}, "filter.name.conditions"),
        ({"name": {"conditions": {"$like": ["x"]}}}, "filter.name.conditions.$like"),
        ({"name": {"conditions": {"$is": []}}}, "filter.name.conditions.$is"),
        ({"name": {"conditions": {"$is": [{}]}}}, "filter.name.conditions.$is[0]"),
        (
            {"name": {"conditions": {"$more_than": ["x"]}}},
            "filter.name.conditions.$more_than[0]",
        ),
        (
            {"created_at": {"conditions": {"$after": ["x"]}}},
            "filter.created_at.conditions.$after[0]",
        ),
        (
            {"created_at": {"conditions": {"$is_days_ago": [1.5]}}},
            "filter.created_at.conditions.$is_days_ago[0]",
        ),
        ({f"metadata.{n}": {"conditions": {"$is": [n]}} for n in range(51)}, "filter"),
        ({"name": {"conditions": {"$is": ["x"] * 501}}}, "filter.name.conditions.$is"),
    ],
)
def test_refused_filter_names_the_property(segment: object, prop: str) -> None:
    with pytest.raises(InvalidPayload) as refusal:
        check_filter(segment)
    assert refusal.value.prop == prop
    assert prop in str(refusal.value.details)
