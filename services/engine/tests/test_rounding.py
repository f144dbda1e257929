"""The rounding contract of docs/rounding.md, for any stack of discounts on any order."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import money
from engine.domain.applicable import EFFECTS
from engine.domain.validate import validate
from engine.testing import make_snapshot

Json = dict[str, Any]

amounts = st.integers(0, 10**9)
percents = st.one_of(st.integers(0, 100), st.decimals(0, 100, places=3).map(float))
limits = st.none() | st.integers(0, 10**6)


def _without_none(body: Json) -> Json:
    return {name: value for name, value in body.items() if value is not None}


discounts = st.one_of(
    st.builds(
        lambda off, effect, limit: _without_none(
            {
                "type": "AMOUNT",
                "amount_off": off,
                "effect": effect,
                "aggregated_amount_limit": limit,
            }
        ),
        amounts,
        st.sampled_from(["APPLY_TO_ORDER", "APPLY_TO_ITEMS"]),
        limits,
    ),
    st.builds(
        lambda off, effect, limit, total: _without_none(
            {
                "type": "PERCENT",
                "percent_off": off,
                "effect": effect,
                "amount_limit": limit,
                "aggregated_amount_limit": total,
            }
        ),
        percents,
        st.sampled_from(["APPLY_TO_ORDER", "APPLY_TO_ITEMS"]),
        limits,
        limits,
    ),
)
splits = st.builds(
    lambda off, effect: {"type": "AMOUNT", "amount_off": off, "effect": effect},
    amounts,
    st.sampled_from(
        [
            "APPLY_TO_ITEMS_PROPORTIONALLY",
            "APPLY_TO_ITEMS_PROPORTIONALLY_BY_QUANTITY",
            "APPLY_TO_ITEMS_BY_QUANTITY",
        ]
    ),
)
new_prices = st.builds(
    lambda price, effect: {"type": "FIXED", "fixed_amount": price, "effect": effect},
    st.integers(0, 10**7),
    st.sampled_from(["APPLY_TO_ORDER", "APPLY_TO_ITEMS"]),
)
units = st.builds(
    lambda off, product, effect: {
        "type": "UNIT",
        "unit_off": off,
        "unit_type": f"prod_{product}",
        "effect": effect,
    },
    st.integers(0, 10),
    st.integers(0, 6),
    st.sampled_from(["ADD_MISSING_ITEMS", "ADD_NEW_ITEMS", "ADD_SAME_ITEMS", "REPLACE_ITEMS"]),
)
definitions = st.one_of(
    st.one_of(discounts, splits, new_prices, units).map(
        lambda one: {"type": "DISCOUNT_VOUCHER", "discount": one}
    ),
    st.builds(
        lambda amount, effect: {
            "type": "GIFT_VOUCHER",
            "gift": {"amount": amount, "effect": effect},
        },
        st.integers(1, 10**6),
        st.sampled_from(["APPLY_TO_ORDER", "APPLY_TO_ITEMS"]),
    ),
)
entries = st.builds(
    lambda product, **bounds: {
        "object": "products_collection" if product is None else "product",
        "id": "pc_a11pr0dUc75" if product is None else f"prod_{product}",
        **_without_none(bounds),
    },
    st.none() | st.integers(0, 5),
    effect=st.sampled_from(sorted(EFFECTS)),
    target=st.sampled_from(["ITEM", "UNIT"]),
    skip_initially=st.integers(0, 5),
    repeat=st.integers(1, 4),
    price=st.none() | st.integers(0, 10**6),
    quantity_limit=st.none() | st.integers(0, 9),
    aggregated_quantity_limit=st.none() | st.integers(0, 20),
    amount_limit=limits,
    aggregated_amount_limit=limits,
)
scopes = st.none() | st.lists(entries, min_size=1, max_size=3)
lines = st.lists(
    st.builds(
        lambda price, quantity, product: {
            "price": price,
            "quantity": quantity,
            "product_id": f"prod_{product}",
        },
        st.integers(0, 10**6),
        st.integers(0, 20),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=8,
)


def _validate(
    stack: list[Json], items: list[Json], included: list[Json] | None = None, **rules: Any
) -> Json:
    rule = {"id": "val_1", "rules": {}, "applicable_to": included and {"included": included}}
    given_world = {
        "vouchers": {
            f"C{n}": {"definition": one, "rules": ["val_1"]} for n, one in enumerate(stack)
        },
        "rules": [rule],
        "catalogue": [{"id": f"prod_{n}", "name": "x", "price": n * 333} for n in range(6)],
        "stacking_rules": {
            "redeemables_application_mode": "PARTIAL",
            "applicable_redeemables_limit": 30,
            **rules,
        },
    }
    request = {
        "redeemables": [{"object": "voucher", "id": f"C{n}"} for n in range(len(stack))],
        "order": {"items": items},
    }
    return validate(make_snapshot(given_world, {"request": request}), "valid_1")


def _check_sums(order: Json) -> None:
    """The sums of the API's fields, and the bounds of the contract."""
    items = order["items"]
    on_items = sum(item.get("discount_amount", 0) for item in items)
    applied = sum(item.get("applied_discount_amount", 0) for item in items)
    on_order = order.get("discount_amount", 0)
    assert order["amount"] == sum(item["amount"] for item in items)
    assert order.get("items_discount_amount", 0) == on_items
    assert order.get("items_applied_discount_amount", 0) == applied
    assert order.get("total_discount_amount", 0) == on_order + on_items
    assert order["total_amount"] == order["amount"] - on_order - on_items
    total_applied = order.get("applied_discount_amount", 0) + applied
    assert order.get("total_applied_discount_amount", 0) == total_applied
    assert order["total_amount"] >= 0
    for item in items:
        assert 0 <= item.get("discount_amount", 0) <= item["amount"]
        assert item["subtotal_amount"] == item["amount"] - item.get("discount_amount", 0)
        assert 0 <= item.get("discount_quantity", 0) <= item["quantity"]
        assert item["amount"] == item["price"] * item["quantity"]
    added = sum(item["amount"] - item["initial_amount"] for item in items)
    assert order["amount"] == order["initial_amount"] + added


@settings(max_examples=200, deadline=None)
@given(st.lists(definitions, min_size=1, max_size=5), lines, scopes, st.booleans(), st.booleans())
def test_parts_sum_to_the_whole_and_nothing_goes_below_zero(
    stack: list[Json],
    items: list[Json],
    included: list[Json] | None,
    is_initial: bool,
    is_once: bool,
) -> None:
    modes = {
        "discount_calculation_mode": "INITIAL_AMOUNT" if is_initial else "DISCOUNTED_AMOUNT",
        "redeemables_products_application_mode": "ONCE" if is_once else "STACK",
    }
    answer = _validate(stack, items, included, **modes)
    steps = [one for one in answer["redeemables"] if one["status"] == "APPLICABLE"]
    for step in steps:
        _check_sums(step["order"])
        credits_paid = step["result"].get("gift", {}).get("credits")
        if credits_paid is not None:
            assert credits_paid == step["order"].get("total_applied_discount_amount", 0)
    if not answer["valid"]:
        return
    final = answer["order"]
    _check_sums(final)
    taken = sum(step["order"].get("total_applied_discount_amount", 0) for step in steps)
    assert final.get("total_applied_discount_amount", 0) == taken


def _needs_no_place(definition: Json) -> bool:
    """Units join the first line of their product: with several prices for it, the place matters."""
    return (definition.get("discount") or {}).get("type") != "UNIT"


@settings(max_examples=150, deadline=None)
@given(definitions.filter(_needs_no_place), lines, st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_change_the_sum(
    definition: Json, items: list[Json], random: Any
) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)
    first, second = _validate([definition], items), _validate([definition], shuffled)
    assert first["valid"] == second["valid"]
    if first["valid"]:
        assert first["order"]["total_amount"] == second["order"]["total_amount"]


@settings(max_examples=150, deadline=None)
@given(discounts, lines)
def test_a_discount_never_exceeds_its_caps(discount: Json, items: list[Json]) -> None:
    answer = _validate([{"type": "DISCOUNT_VOUCHER", "discount": discount}], items)
    order = answer["order"]
    taken = order.get("total_discount_amount", 0)
    if discount["effect"] == "APPLY_TO_ORDER":
        if discount["type"] == "AMOUNT":
            assert taken == min(discount["amount_off"], order["amount"])
        elif "amount_limit" in discount:
            assert taken <= discount["amount_limit"]
        return
    if "aggregated_amount_limit" in discount:
        assert taken <= discount["aggregated_amount_limit"]
    per_line = discount.get("amount_off", discount.get("amount_limit"))
    if per_line is not None:
        assert all(item.get("discount_amount", 0) <= per_line for item in order["items"])


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_a_split_sums_to_its_total_and_stays_within_a_unit_of_its_share(
    total: int, weights: list[int]
) -> None:
    parts = money.allocate(total, weights)
    whole = sum(weights)
    assert sum(parts) == (total if whole else 0)
    for part, weight in zip(parts, weights, strict=True):
        if whole:
            assert abs(part * whole - total * weight) < whole


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 50)), min_size=1, max_size=10),
)
def test_a_bounded_split_reaches_its_total_where_the_bounds_let_it(
    total: int, parts: list[tuple[int, int]]
) -> None:
    bounds, weights = [one[0] for one in parts], [one[1] for one in parts]
    split = money.at_most(total, bounds, weights)
    assert all(0 <= one <= bound for one, bound in zip(split, bounds, strict=True))
    room = sum(bound for bound, weight in parts if weight)
    assert sum(split) == min(total, room)
