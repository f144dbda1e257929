"""Threats to prices and rules (docs/security.md), each by the number it has there."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import DomainError
from engine import limits
from engine.domain.validate import validate
from engine.testing import make_snapshot

Json = dict[str, Any]
ALWAYS: Json = {"name": "order.amount", "conditions": {"$more_than": [0]}}
HOSTILE_PATTERNS = ["(a+)+$", "(a|a)*$", "(.*){25}x", "^(([a-z])+.)+[A-Z]([a-z])+$"]


def answer(order: Json, rule: Json = ALWAYS, **customer: Any) -> Json:
    """Validate ten percent off an order, under a rule."""
    discount = {"type": "PERCENT", "percent_off": 10, "effect": "APPLY_TO_ORDER"}
    definition = {"type": "DISCOUNT_VOUCHER", "discount": discount}
    world = {
        "rules": [{"id": "rule_1", "name": "Rule", "rules": {"1": rule}}],
        "vouchers": {"C": {"definition": definition, "rules": ["rule_1"]}},
    }
    request: Json = {"redeemables": [{"object": "voucher", "id": "C"}], "order": order}
    if customer:
        request["customer"] = {"source_id": "anna", **customer}
    return validate(make_snapshot(world, {"request": request}), "valid_1")


@pytest.mark.parametrize("pattern", HOSTILE_PATTERNS)
def test_T12_what_looks_like_a_pattern_is_text(pattern: str) -> None:
    rule = {"name": "customer.metadata", "property": "note", "conditions": {"$contains": [pattern]}}
    order = {"amount": 1000}
    assert not answer(order, rule, metadata={"note": "a" * 900 + "!"})["valid"]
    assert answer(order, rule, metadata={"note": f"so {pattern} it is"})["valid"]


@pytest.mark.parametrize(
    ("line", "prop"),
    [
        ({"quantity": -1, "price": 1000}, "quantity"),
        ({"quantity": 1, "price": -1000}, "price"),
        ({"amount": -1000}, "amount"),
        ({"quantity": 1.5, "price": 1000}, "quantity"),
        ({"quantity": limits.QUANTITY_MAX + 1, "price": 1}, "quantity"),
    ],
)
def test_T16_a_line_cannot_bring_money(line: Json, prop: str) -> None:
    order = {"items": [{"product_id": "p", "price": 5000}, {"product_id": "q", **line}]}
    with pytest.raises(DomainError) as refused:
        answer(order)
    assert prop in (refused.value.prop or refused.value.details or "")


AMOUNT = st.integers(0, 10**9)


@given(
    lines=st.lists(st.tuples(st.integers(1, 100), AMOUNT), min_size=1, max_size=5),
    told=AMOUNT,
    off=AMOUNT,
)
def test_T16_what_a_caller_says_of_totals_changes_none(
    lines: list[tuple[int, int]], told: int, off: int
) -> None:
    items = [
        {"product_id": f"p{n}", "quantity": quantity, "price": price}
        for n, (quantity, price) in enumerate(lines)
    ]
    lies = {
        "amount": told,
        "total_amount": 0,
        "discount_amount": off,
        "total_discount_amount": off,
        "applied_discount_amount": off,
    }
    honest, lying = answer({"items": items}), answer({"items": items, **lies})
    assert lying.get("order") == honest.get("order")
    if honest["valid"]:
        total = sum(quantity * price for quantity, price in lines)
        assert honest["order"]["amount"] == total
        assert 0 <= honest["order"]["total_amount"] <= total


def off(items: list[Json], percent: float, effect: str) -> int:
    """Return what a percentage takes off these lines."""
    discount = {"type": "PERCENT", "percent_off": percent, "effect": effect}
    definition = {"type": "DISCOUNT_VOUCHER", "discount": discount}
    request = {"redeemables": [{"object": "voucher", "id": "C"}], "order": {"items": items}}
    snapshot = make_snapshot({"vouchers": {"C": {"definition": definition}}}, {"request": request})
    return int(validate(snapshot, "valid_1")["order"].get("total_discount_amount", 0))


@pytest.mark.parametrize(("percent", "whole"), [(0.4, 2), (0.1, 1), (0.5, 3), (50, 250)])
def test_T17_small_parts_are_rounded_together(percent: float, whole: int) -> None:
    cents = [{"product_id": f"p{n}", "quantity": 1, "price": 1} for n in range(500)]
    assert off(cents, percent, "APPLY_TO_ORDER") == whole, "once, however many lines there are"
    assert (
        off([{"product_id": "p", "quantity": 500, "price": 1}], percent, "APPLY_TO_ITEMS") == whole
    )


@given(
    prices=st.lists(st.integers(0, 500), min_size=1, max_size=20),
    thousandths=st.integers(1, 99_999),
)
def test_T17_a_line_of_its_own_gains_half_a_minor_unit_at_most(
    prices: list[int], thousandths: int
) -> None:
    items = [{"product_id": f"p{n}", "price": price} for n, price in enumerate(prices)]
    taken = off(items, thousandths / 1_000, "APPLY_TO_ITEMS")
    exact = Fraction(sum(prices) * thousandths, 100_000)
    assert abs(taken - exact) <= Fraction(len(prices), 2)
