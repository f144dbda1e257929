"""The work that a cart is, counted before it is done: what is too much is refused, and nothing is priced."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.formulas import Formula, evaluate
from contracts.formulas.evaluation import Lookup
from contracts.formulas.language import Value
from engine import limits
from engine.domain import effort, formulas
from engine.domain.effort import (
    CartTooComplex,
    effort_of_discount,
    refuse_too_complex,
    refuse_too_many_offers,
)
from engine.domain.validate import validate
from engine.testing import make_snapshot

Json = dict[str, Any]
PER_LINE = "ORDER_ITEM_PRICE/ORDER_AMOUNT"


def _answer(discount: Json, lines: int, codes: int = 1, **rule: Any) -> Json:
    rules = [{"id": "rule_1", "name": "Rule", "rules": {}, **rule}]
    definition = {"type": "DISCOUNT_VOUCHER", "discount": discount}
    names = [f"C{number}" for number in range(codes)]
    given_world = {
        "rules": rules,
        "vouchers": {name: {"definition": definition, "rules": ["rule_1"]} for name in names},
    }
    request = {
        "redeemables": [{"object": "voucher", "id": name} for name in names],
        "order": {"items": [{"product_id": f"prod_{n}", "price": 1000} for n in range(lines)]},
    }
    return validate(make_snapshot(given_world, {"request": request}), "valid_1")


def _percent(formula: str | None = None) -> Json:
    discount: Json = {"type": "PERCENT", "percent_off": 1, "effect": "APPLY_TO_ITEMS"}
    return discount if formula is None else {**discount, "percent_off_formula": formula}


def test_the_largest_cart_is_priced() -> None:
    deep: Json = {"name": "order.amount", "conditions": {"$more_than": [0]}}
    for _ in range(limits.RULE_LEVELS_MAX - 1):
        deep = {"name": "order.amount", "conditions": {"$more_than": [0]}, "rules": {"1": deep}}
    answer = _answer(_percent(), limits.ITEMS_MAX, 5, rules={"1": deep})
    assert answer["valid"]
    assert answer["order"]["total_applied_discount_amount"] == 5 * 10 * limits.ITEMS_MAX


def test_what_is_too_much_is_refused_before_anything_is_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: Any) -> Value:
        pytest.fail("nothing of a refused cart is computed")

    monkeypatch.setattr(formulas, "evaluate", never)
    with pytest.raises(CartTooComplex) as refused:
        _answer(_percent("+".join([PER_LINE] * 60)), limits.ITEMS_MAX, 3)
    body = refused.value.body()
    assert (body.code, body.key) == (400, "cart_too_complex")
    assert "500 lines" in str(body.details)


def test_a_rule_on_items_counts_once_a_line_and_a_rule_on_the_order_once() -> None:
    many = {str(n): {"name": "order.amount", "conditions": {"$more_than": [0]}} for n in range(100)}
    assert _answer(_percent(), limits.ITEMS_MAX, rules=many)["valid"]
    names = {"name": "order.items.metadata_any", "property": "a"}
    each = {**names, "conditions": {"$in": [f"value {n}" for n in range(1000)]}}
    with pytest.raises(CartTooComplex):
        _answer(_percent(), limits.ITEMS_MAX, rules={"1": each})
    assert _answer(_percent(), 10, rules={"1": each})["redeemables"], "ten lines are little work"


def test_bounds_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [effort.Effort(once=10, per_line=5)] * 2
    monkeypatch.setattr(limits, "EFFORT_MAX", 120)
    assert refuse_too_complex(found, 10, is_searched=False) == 120
    with pytest.raises(CartTooComplex):
        refuse_too_complex(found, 11, is_searched=False)
    with pytest.raises(CartTooComplex):
        refuse_too_complex(found, 10, is_searched=True)


texts = st.sampled_from(
    [PER_LINE, "ORDER_AMOUNT/100", "CHEAPEST_ORDER_ITEM_PRICE", "ORDER_ITEM_PRICE+1", "1"]
)
entries = st.fixed_dictionaries(
    {"object": st.just("product"), "id": st.sampled_from(["prod_0", "prod_1"])},
    optional={
        "quantity_limit_formula": texts,
        "aggregated_quantity_limit_formula": texts,
        "amount_limit_formula": texts,
        "aggregated_amount_limit_formula": texts,
        "price_formula": texts,
    },
)


@settings(deadline=None, max_examples=60)
@given(texts, st.lists(entries, max_size=2), st.integers(1, 6))
def test_no_more_steps_of_formulas_are_done_than_are_counted(
    text: str, included: list[Json], lines: int
) -> None:
    done: list[int] = []

    def counting(formula: Formula, lookup: Lookup) -> Value:
        done.append(len(formula.steps))
        return evaluate(formula, lookup)

    patch = pytest.MonkeyPatch()
    patch.setattr(formulas, "evaluate", counting)
    counted: list[int] = []
    refuse = effort.refuse_too_complex
    patch.setattr(
        "engine.domain.stack.refuse_too_complex",
        lambda efforts, lines, *, is_searched: (
            counted.append(sum(one.once + one.per_line * lines for one in efforts)),
            refuse(efforts, lines, is_searched=is_searched),
        )[1],
    )
    try:
        answer = _answer(_percent(text), lines, applicable_to={"included": included})
    finally:
        patch.undo()
    assert answer["redeemables"]
    basis = effort_of_discount(None)
    formulas_counted = counted[0] - basis.once - basis.per_line * lines
    assert sum(done) * effort.FORMULA_STEP <= formulas_counted


def test_offers_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EFFORT_OF_OFFERS_MAX", 100)
    refuse_too_many_offers([effort.Effort(once=20)] * 5, 500)
    with pytest.raises(CartTooComplex):
        refuse_too_many_offers([effort.Effort(once=20, per_line=1)] * 5, 1)
