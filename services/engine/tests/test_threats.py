"""Threats to prices and rules (docs/security.md), each by the number it has there."""

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
