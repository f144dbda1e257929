"""The formula language: every published function and operator, and texts that are no formula."""

import time
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import InvalidPayload
from contracts.formulas import (
    FORMULA_DEPTH_MAX,
    FORMULA_LENGTH_MAX,
    FormulaError,
    Value,
    evaluate,
    from_json,
    parse,
    reader,
)

TODAY = date(2026, 3, 11)
VALUES: dict[str, Any] = {
    "ORDER_AMOUNT": Fraction(250),
    "ORDER_ITEMS_QUANTITY": Fraction(3),
    "ORDER_ITEM_PRICE": Fraction(6),
    "ORDER_UNITS_QUANTITY": Fraction(7),
    "CUSTOMER_BIRTHDATE": date(1990, 3, 12),
    "VOUCHER_START_DATE": datetime(2026, 1, 31, 8, 0, tzinfo=UTC),
    "TODAY": TODAY,
    "NOW": datetime(2026, 3, 11, 12, 0, tzinfo=UTC),
}
METADATA: dict[str, Any] = {
    "city": "New York",
    "visits": 12,
    "value": 75.55,
    "low": 74.44,
    "regions": ["EU", "US"],
    "member": True,
    "since": "2025-03-11",
    "number": "5",
}


def lookup(name: str, key: str | None) -> Value:
    return from_json(METADATA.get(key)) if key is not None else VALUES.get(name)


def result(text: str) -> Value:
    return evaluate(parse(text), lookup)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2", "2"),
        ("1.25", "1.25"),
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 4 - 3", "3"),
        ("2 x 3", "6"),
        ("2 × 3 ÷ 4", "1.5"),
        ("7 % 4", "3"),
        ("-2 * -3", "6"),
        ("2 - -3", "5"),
        ("1 / 3 * 3", "1"),
        ("ORDER_ITEM_PRICE * 0.01 + 1", "1.06"),
        ('(10 - ORDER_METADATA("visits"))', "-2"),
        ("MIN(3; 2; 5)", "2"),
        ("MAX(3;2)", "3"),
        ('POW(ORDER_METADATA("visits");2)', "144"),
        ("POW(2; -1)", "0.5"),
        ("POW(4; 0.5)", "2"),
        ('IF(ORDER_METADATA("visits") > 5;10;3)', "10"),
        ("IF(ORDER_ITEMS_QUANTITY > 4;IF(ORDER_AMOUNT > 200;25;15);10)", "10"),
        ('DEFAULT_TO(REDEMPTION_METADATA("absent") / 2;5)', "5"),
        ("DEFAULT_TO(1 / 0; 4)", "4"),
        ('ROUND(ORDER_METADATA("value");1)', "75.6"),
        ('ROUND(ORDER_METADATA("value");0)', "76"),
        ('ROUND(ORDER_METADATA("value");-1)', "80"),
        ('FLOOR(ORDER_METADATA("value");1)', "75.5"),
        ('FLOOR(ORDER_METADATA("value");0)', "75"),
        ('FLOOR(ORDER_METADATA("value");-1)', "70"),
        ('CEIL(ORDER_METADATA("low");1)', "74.5"),
        ('CEIL(ORDER_METADATA("low");0)', "75"),
        ('CEIL(ORDER_METADATA("low");-1)', "80"),
        ("ROUND(2.5)", "3"),
        ('SWITCH(ORDER_METADATA("city");SWITCH_CASE("Boston";10) SWITCH_CASE("New York";15);5)', "15"),
        ('SWITCH(ORDER_METADATA("city");SWITCH_CASE("Boston";10);5)', "5"),
        ('SWITCH(ORDER_METADATA("visits");SWITCH_CASE(12; 1 + 1);5) * 2', "4"),
        ('IF(CUSTOMER_METADATA("visits") > 10 AND ORDER_METADATA("visits") = 5;20;3)', "3"),
        ('IF(CUSTOMER_METADATA("visits") > 10 OR ORDER_METADATA("visits") = 5;20;3)', "20"),
        ("IF(1 = 1 OR 1 = 2 AND 1 = 2; 1; 0)", "1"),
        ('IF(ORDER_METADATA("city") is "New York"; 1; 0)', "1"),
        ('IF(ORDER_METADATA("city") isNot "New York"; 1; 0)', "0"),
        ('IF(ORDER_METADATA("city") contains "York"; 1; 0)', "1"),
        ('IF(ORDER_METADATA("city") startsWith "New"; 1; 0)', "1"),
        ('IF(ORDER_METADATA("city") endsWith "New"; 1; 0)', "0"),
        ('IF(ORDER_METADATA("city") IN_ARRAY "Boston, New York"; 1; 0)', "1"),
        ('IF(ORDER_METADATA("city") NOT_IN_ARRAY "Boston,New York"; 1; 0)', "0"),
        ('IF(IN_ARRAY(ORDER_METADATA("visits"); "11,12"); 1; 0)', "1"),
        ('IF(ORDER_METADATA("regions") IN_ARRAY "EU,EMEA"; 1; 0)', "1"),
        ('IF(ORDER_METADATA("member") is "true"; 1; 0)', "1"),
        ('IF(ORDER_METADATA("number") = 5; 1; 0)', "1"),
        ("DAY_OF_MONTH(CUSTOMER_BIRTHDATE)", "12"),
        ("MONTH(TODAY)", "3"),
        ("YEAR(CUSTOMER_BIRTHDATE)", "1990"),
        ('DAYS_SINCE(DATE("2026-03-01"))', "10"),
        ("MONTHS_SINCE(VOUCHER_START_DATE)", "1"),
        ("YEARS_SINCE(CUSTOMER_BIRTHDATE)", "35"),
        ('YEARS_SINCE(ORDER_METADATA("since"))', "1"),
        ('DAYS_UNTIL(DATE("2026-03-21"))', "10"),
        ('MONTHS_UNTIL(DATE("2026-05-10"))', "1"),
        ('IF(TODAY DATE_IS DATE("2026-03-11"); 1; 0)', "1"),
        ('IF(DATE_IS_NOT(TODAY; DATE("2026-03-11")); 1; 0)', "0"),
        ('IF(NOW IS_AFTER DATE_TIME("2026-03-11T11:59:00.000Z"); 1; 0)', "1"),
        ('IF(NOW IS_BEFORE DATE("2026-03-11"); 1; 0)', "0"),
        ("if(order_amount > 200; order_amount * 0.15; 1)", "37.5"),
    ],
)  # fmt: skip
def test_every_function_and_operator(text: str, expected: str) -> None:
    assert result(text) == Fraction(expected)


@pytest.mark.parametrize(
    "text",
    [
        'ORDER_METADATA("absent")',
        'ORDER_METADATA("absent") + 1',
        'ORDER_METADATA("city") * 2',
        "1 / 0",
        "1 % 0",
        "POW(0; -1)",
        "POW(-2; 0.5)",
        "POW(10; 1000) * POW(10; 1000)",
        "POW(999999; 999.5)",
        "ROUND(1; 0.5)",
        "ROUND(1; 99)",
        'IF(ORDER_METADATA("absent") = 1; 2; 3)',
        'SWITCH(ORDER_METADATA("absent");SWITCH_CASE("a";1);2)',
        'SWITCH("b";SWITCH_CASE("a";1))',
        "MIN(1; TODAY)",
        "VOUCHER_EXPIRATION_DATE",
        'DAYS_SINCE("no date")',
        "IF(1; 2; 3)",
    ],
)
def test_what_cannot_be_said_is_missing(text: str) -> None:
    assert result(text) is None


def test_a_decided_condition_needs_nothing_more() -> None:
    assert result('IF(ORDER_METADATA("absent") = 1 OR 1 = 1; 2; 3)') == 2
    assert result('IF(ORDER_METADATA("absent") = 1 AND 1 = 2; 2; 3)') == 3
    assert result('IF(1 = 1; 2; ORDER_METADATA("absent"))') == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a value is missing at character 1"),
        ("1 +", "a value is missing at character 4"),
        ("1 2", "an operator must stand before '2' at character 3"),
        ("(1", "a closing parenthesis is missing at character 3"),
        ("1)", "the parenthesis was not opened at character 2"),
        ("(1; 2)", "; must stand between the arguments of a function at character 3"),
        ("1 ; 2", "; must stand between the arguments of a function at character 3"),
        ("PRICE", "PRICE is not known at character 1"),
        ("__import__(1)", "__import__ is not known at character 1"),
        ("1 & 2", "'&' is not expected at character 3"),
        ("IF(1;2)", "IF must have 3 arguments at character 1"),
        ("MIN", "MIN must be followed by its arguments in parentheses at character 1"),
        ("MIN()", "a value must stand before ')' at character 5"),
        ("ORDER_METADATA", 'ORDER_METADATA must be followed by ("name of an attribute") at character 1'),
        ("ORDER_METADATA(1)", 'ORDER_METADATA must be followed by ("name of an attribute") at character 1'),
        (
            'SWITCH_CASE("a"; 1)',
            "SWITCH_CASE must stand inside SWITCH, after its first argument at character 1",
        ),
        ("SWITCH(1;SWITCH_CASE(1;2) + 1)", "after SWITCH_CASE must come the next case or ; at character 27"),
        ('DATE("yesterday")', 'DATE must have a date such as "2023-08-17" at character 1'),
        ('"open', "'\"' is not expected at character 1"),
        ("1" * 31, "the number is too long at character 1"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_formula_is_refused_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(FormulaError) as error:
        parse(text)
    assert str(error.value) == reason


def test_a_reader_names_the_property() -> None:
    assert reader("discount.percent_off_formula", "1 + 1") == "1 + 1"
    with pytest.raises(InvalidPayload) as error:
        reader("discount.percent_off_formula", "1 +")
    assert str(error.value).startswith("discount.percent_off_formula: must be a formula: ")
    with pytest.raises(InvalidPayload):
        reader("discount.percent_off_formula", 1)


@pytest.mark.parametrize(
    "text",
    [
        "(" * (FORMULA_DEPTH_MAX + 1) + "1" + ")" * (FORMULA_DEPTH_MAX + 1),
        "1" + "+1" * 600,
        "1" + " " * FORMULA_LENGTH_MAX,
        "-" * 1_000 + "1",
    ],
)
def test_deep_and_long_formulas_are_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * FORMULA_DEPTH_MAX + "1" + ")" * FORMULA_DEPTH_MAX,
        "POW(" * 40 + "99999999" + ";100)" * 40,
        "*".join(["POW(9.99999;99)"] * 100),
        " + ".join(f"1 / {n}" for n in range(100001, 100120)),
    ],
)
def test_the_worst_legal_formulas_end_soon(text: str) -> None:
    formula = parse(text)
    before = time.process_time()
    evaluate(formula, lookup)
    assert time.process_time() - before < 1


_words = st.sampled_from(
    ["1", "2.5", '"a"', "(", ")", ";", "+", "-", "*", "/", "%", "=", ">", "is", "IF(", "MIN(", "POW(",
     "SWITCH(", "SWITCH_CASE(", "ORDER_AMOUNT", 'ORDER_METADATA("visits")', "TODAY", "DAYS_SINCE(", "AND",
     "IN_ARRAY", "ROUND(", "DEFAULT_TO("]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(max_size=50), st.lists(_words, max_size=25).map(" ".join)))
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    try:
        formula = parse(text)
    except FormulaError:
        return
    evaluate(formula, lookup)


_expressions = st.recursive(
    st.integers(0, 1000).map(lambda n: (str(n), Fraction(n))),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
        lambda made: (
            f"({made[0][0]} {made[1]} {made[2][0]})",
            {
                "+": made[0][1] + made[2][1],
                "-": made[0][1] - made[2][1],
                "*": made[0][1] * made[2][1],
            }[made[1]],
        )
    ),
    max_leaves=20,
)


@given(_expressions)
def test_arithmetic_is_exact(made: tuple[str, Fraction]) -> None:
    assert result(made[0]) == made[1]


def test_it_knows_which_formulas_differ_from_line_to_line() -> None:
    assert parse("ORDER_ITEM_PRICE * 2").is_per_line
    assert parse('ORDER_ITEM_METADATA("a")').is_per_line
    assert not parse("ORDER_ITEMS_QUANTITY + CHEAPEST_ORDER_ITEM_PRICE").is_per_line
