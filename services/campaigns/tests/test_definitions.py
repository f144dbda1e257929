"""What bodies are accepted as definitions and periods, and what is said about the others."""

from datetime import UTC, datetime, timedelta

import pytest

from campaigns.domain.definition import change_definition, override, read_definition
from campaigns.domain.periods import parse_duration
from contracts.errors import DomainError

COUPON = {"type": "DISCOUNT_VOUCHER", "discount": {"type": "AMOUNT", "amount_off": 500}}
GIFT = {"type": "GIFT_VOUCHER", "gift": {"amount": 2500, "balance": 2500}}


def test_a_coupon_is_kept_without_what_nobody_knows():
    body = {**COUPON, "shiny": True, "redemption": {"quantity": 3, "redeemed_quantity": 9}}
    definition = read_definition(body)
    assert definition.discount == {"type": "AMOUNT", "amount_off": 500}
    assert definition.redemption == {"quantity": 3}
    assert definition.gift is None
    assert definition.metadata == {}


def test_a_gift_card_has_no_limit_of_uses_and_an_effect():
    definition = read_definition(GIFT)
    assert definition.gift == {"amount": 2500, "effect": "APPLY_TO_ORDER"}
    assert definition.redemption == {"quantity": None}


def test_the_type_follows_from_the_discount():
    assert read_definition({"discount": COUPON["discount"]}).type == "DISCOUNT_VOUCHER"
    assert read_definition({"gift": {"amount": 0}}).type == "GIFT_VOUCHER"


@pytest.mark.parametrize("percent", [0.0001, 12.5, 100, 100.0])
def test_percentages(percent):
    body = {**COUPON, "discount": {"type": "PERCENT", "percent_off": percent}}
    assert read_definition(body).discount["percent_off"] == percent


@pytest.mark.parametrize(
    ("changes", "prop"),
    [
        ({"type": None, "discount": None}, "type"),
        ({"type": "VOUCHER"}, "type"),
        ({"type": "LOYALTY_CARD"}, "type"),
        ({"discount": None}, "discount"),
        ({"discount": 10}, "discount"),
        ({"discount": {}}, "discount.type"),
        ({"discount": {"type": "MAGIC", "fixed_amount": 5}}, "discount.type"),
        ({"discount": {"type": "FIXED"}}, "discount.fixed_amount"),
        ({"discount": {"type": "FIXED", "fixed_amount": -1}}, "discount.fixed_amount"),
        ({"discount": {"type": "UNIT", "unit_off": 1}}, "discount.unit_type"),
        ({"discount": {"type": "UNIT", "unit_type": "prod_a", "unit_off": 0}}, "discount.unit_off"),
        ({"discount": {"type": "UNIT", "unit_type": "pc_a"}}, "discount.unit_type"),
        ({"discount": {"type": "UNIT", "units": [7]}}, "discount.units[0]"),
        ({"discount": {"type": "UNIT", "effect": "ADD_MANY_ITEMS"}}, "discount.units"),
        ({"discount": {"type": "UNIT", "effect": "ADD_MANY_ITEMS", "units": []}}, "discount.units"),
        (
            {"discount": {"type": "UNIT", "units": [{"unit_type": "prod_a"}]}},
            "discount.units[0].effect",
        ),
        ({"discount": {"type": "AMOUNT"}}, "discount.amount_off"),
        ({"discount": {"type": "AMOUNT", "amount_off": 0}}, "discount.amount_off"),
        ({"discount": {"type": "AMOUNT", "amount_off": -5}}, "discount.amount_off"),
        ({"discount": {"type": "AMOUNT", "amount_off": 1.5}}, "discount.amount_off"),
        ({"discount": {"type": "AMOUNT", "amount_off": True}}, "discount.amount_off"),
        ({"discount": {"type": "AMOUNT", "amount_off": 10**13}}, "discount.amount_off"),
        ({"discount": {"type": "PERCENT", "percent_off": 0}}, "discount.percent_off"),
        ({"discount": {"type": "PERCENT", "percent_off": 100.5}}, "discount.percent_off"),
        ({"discount": {"type": "PERCENT", "percent_off": "10"}}, "discount.percent_off"),
        ({"discount": {"type": "PERCENT", "percent_off": 1.23456}}, "discount.percent_off"),
        (
            {"discount": {"type": "PERCENT", "percent_off": 5, "amount_limit": 0}},
            "discount.amount_limit",
        ),
        (
            {"discount": {"type": "PERCENT", "percent_off": 5, "percent_off_formula": "1 +"}},
            "discount.percent_off_formula",
        ),
        (
            {"discount": {"type": "PERCENT", "percent_off_formula": "1"}},
            "discount.percent_off",
        ),
        (
            {
                "discount": {
                    "type": "AMOUNT",
                    "amount_off": 5,
                    "effect": "ADD_NEW_ITEMS",
                }
            },
            "discount.effect",
        ),
        (
            {"discount": {"type": "AMOUNT", "amount_off": 5, "effect": "NONE"}},
            "discount.effect",
        ),
        ({"gift": {"amount": 5}}, "gift"),
        ({"type": "GIFT_VOUCHER", "discount": None, "gift": {}}, "gift.amount"),
        ({"type": "GIFT_VOUCHER", "discount": None, "gift": {"amount": -1}}, "gift.amount"),
        ({"redemption": {"quantity": 0}}, "redemption.quantity"),
        ({"redemption": {"quantity": "3"}}, "redemption.quantity"),
        ({"redemption": []}, "redemption"),
        ({"metadata": []}, "metadata"),
        ({"additional_info": 5}, "additional_info"),
        ({"start_date": "soon"}, "start_date"),
        ({"start_date": "2026-02-01", "expiration_date": "2026-01-01"}, "expiration_date"),
        ({"validity_timeframe": {"interval": "P2D", "duration": "PT1H"}}, "start_date"),
        (
            {"start_date": "2026-01-01", "validity_timeframe": {"interval": "P2D"}},
            "validity_timeframe.duration",
        ),
        (
            {
                "start_date": "2026-01-01",
                "validity_timeframe": {"interval": "2d", "duration": "P1D"},
            },
            "validity_timeframe.interval",
        ),
        ({"validity_day_of_week": [7]}, "validity_day_of_week[0]"),
        ({"validity_day_of_week": []}, "validity_day_of_week"),
        ({"validity_day_of_week": [1, 1]}, "validity_day_of_week"),
        (
            {"validity_hours": {"daily": [{"start_time": "25:00"}]}},
            "validity_hours.daily[0].start_time",
        ),
        (
            {
                "validity_hours": {
                    "daily": [
                        {"start_time": "10:00", "expiration_time": "12:00", "days_of_week": [1]},
                        {"start_time": "11:00", "expiration_time": "13:00", "days_of_week": [1]},
                    ]
                }
            },
            "validity_hours.daily",
        ),
        (
            {"validity_hours": {"daily": []}, "validity_day_of_week": [1]},
            "validity_hours",
        ),
        ({"category_id": 5}, "category_id"),
    ],
)
def test_a_wrong_definition_is_refused_by_name(changes, prop):
    with pytest.raises(DomainError) as refused:
        read_definition({**COUPON, **changes})
    assert refused.value.prop == prop
    if prop is not None:
        assert prop in refused.value.details


def test_a_category_is_kept_as_the_handler_found_it():
    assert read_definition({**COUPON, "category_id": "cat_1"}).category_id == "cat_1"
    assert read_definition({**COUPON, "category_id": None}).category_id is None


def test_a_change_touches_what_was_sent_and_null_clears():
    before = read_definition(
        {**COUPON, "expiration_date": "2027-01-01", "metadata": {"a": 1, "b": 2}}
    )
    after = change_definition(
        before, {"expiration_date": None, "metadata": {"b": None, "c": 3}, "type": "GIFT_VOUCHER"}
    )
    assert after.expiration_date is None
    assert after.metadata == {"a": 1, "c": 3}
    assert (after.type, after.discount) == (before.type, before.discount)


def test_the_kind_of_discount_cannot_change():
    before = read_definition(COUPON)
    with pytest.raises(DomainError) as refused:
        change_definition(before, {"discount": {"type": "PERCENT", "percent_off": 5}})
    assert refused.value.key == "invalid_voucher"
    changed = change_definition(before, {"discount": {"type": "AMOUNT", "amount_off": 7}})
    assert changed.discount == {"type": "AMOUNT", "amount_off": 7}


def test_dates_are_checked_with_those_that_stay():
    before = read_definition({**COUPON, "start_date": "2026-06-01"})
    with pytest.raises(DomainError) as refused:
        change_definition(before, {"expiration_date": "2026-05-01"})
    assert refused.value.prop == "expiration_date"


def test_an_override_that_changes_nothing_is_none():
    template = read_definition({**COUPON, "code_config": {"length": 5}})
    assert override(template, {}) is None
    assert override(template, {"redemption": {"quantity": None}}) is None
    other = override(template, {"redemption": {"quantity": 2}})
    assert other.redemption == {"quantity": 2}
    assert other.code_config is None


def test_an_override_may_set_another_amount_of_the_same_kind():
    template = read_definition(GIFT)
    assert override(template, {"gift": {"amount": 100}}).gift["amount"] == 100
    for changes in ({"gift": None}, {"discount": COUPON["discount"]}):
        with pytest.raises(DomainError):
            override(template, changes)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("P1M", datetime(2026, 2, 28, 12, tzinfo=UTC)),
        ("P1Y1M", datetime(2027, 2, 28, 12, tzinfo=UTC)),
        ("P1W", datetime(2026, 2, 7, 12, tzinfo=UTC)),
        ("P1DT2H3M4S", datetime(2026, 2, 1, 14, 3, 4, tzinfo=UTC)),
    ],
)
def test_durations(text, end):
    start = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert parse_duration(text).after(start) == end


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "1D", "P1H", "P-1D", "P1.5D", "P" + "9" * 60 + "D"]
)
def test_what_is_no_duration(text):
    assert parse_duration(text) is None


def test_a_duration_of_many_seconds_is_exact():
    assert parse_duration("PT90000S").rest == timedelta(hours=25)


@pytest.mark.parametrize(
    "discount",
    [
        {"type": "AMOUNT", "amount_off": 0, "amount_off_formula": "ORDER_AMOUNT * 0.1"},
        {"type": "AMOUNT", "amount_off": 5, "effect": "APPLY_TO_ITEMS_PROPORTIONALLY"},
        {"type": "AMOUNT", "amount_off": 5, "effect": "APPLY_TO_ITEMS_PROPORTIONALLY_BY_QUANTITY"},
        {"type": "AMOUNT", "amount_off": 5, "effect": "APPLY_TO_ITEMS_BY_QUANTITY"},
        {"type": "PERCENT", "percent_off": 0, "percent_off_formula": "5", "amount_limit": 100},
        {"type": "FIXED", "fixed_amount": 0, "effect": "APPLY_TO_ORDER"},
        {"type": "FIXED", "fixed_amount": 100, "fixed_amount_formula": "MIN(1;2)"},
        {"type": "UNIT", "effect": "ADD_MISSING_ITEMS", "unit_off": 1, "unit_type": "prod_5h1pp1ng"},
        {"type": "UNIT", "effect": "ADD_NEW_ITEMS", "unit_off": 2, "unit_type": "sku_1"},
        {"type": "UNIT", "effect": "ADD_SAME_ITEMS", "unit_off": 2, "unit_type": "pc_1"},
        {"type": "UNIT", "effect": "REPLACE_ITEMS", "unit_off": 2, "unit_type": "prod_1"},
        {
            "type": "UNIT",
            "effect": "ADD_MANY_ITEMS",
            "units": [
                {"effect": "ADD_NEW_ITEMS", "unit_off": 1, "unit_type": "prod_1"},
                {"effect": "ADD_MISSING_ITEMS", "unit_off": 0, "unit_off_formula": "1 + 1", "unit_type": "b"},
            ],
        },
    ],
)  # fmt: skip
def test_every_discount_is_kept_as_it_was_sent(discount):
    assert read_definition({"discount": discount}).discount == discount


def test_free_units_are_one_missing_unit_if_nothing_else_is_said():
    kept = read_definition({"discount": {"type": "UNIT", "unit_type": "prod_1"}}).discount
    assert kept == {
        "type": "UNIT",
        "effect": "ADD_MISSING_ITEMS",
        "unit_off": 1,
        "unit_type": "prod_1",
    }
