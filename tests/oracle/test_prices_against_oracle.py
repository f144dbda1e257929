"""The engine's prices for generated carts and stacks are what the oracle says, line by line."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.accounts import account
from engine.domain.validate import validate
from engine.testing import make_snapshot
from tests.oracle import prices

Json = dict[str, Any]
EFFECTS = [
    "APPLY_TO_EVERY",
    "APPLY_TO_CHEAPEST",
    "APPLY_FROM_CHEAPEST",
    "APPLY_TO_MOST_EXPENSIVE",
    "APPLY_FROM_MOST_EXPENSIVE",
]
ITEMS = [
    "APPLY_TO_ITEMS",
    "APPLY_TO_ITEMS_BY_QUANTITY",
    "APPLY_TO_ITEMS_PROPORTIONALLY",
    "APPLY_TO_ITEMS_PROPORTIONALLY_BY_QUANTITY",
]
small = st.integers(0, 3000)
products = st.sampled_from(["prod_0", "prod_1", "prod_2"])


def typed(kind: str, effects: list[str], **fields: Any) -> Any:
    optional = {name: one for name, one in fields.items() if name.endswith("_limit")}
    fixed = {name: one for name, one in fields.items() if name not in optional}
    return st.fixed_dictionaries(
        {"type": st.just(kind), "effect": st.sampled_from(effects), **fixed}, optional=optional
    )


given_products = st.sampled_from(["prod_0", "prod_1", "prod_new"])
percents = st.integers(0, 100) | st.sampled_from([0.5, 2.5, 12.125, 33.333])
discounts = st.one_of(
    typed("AMOUNT", ["APPLY_TO_ORDER"], amount_off=small),
    typed("AMOUNT", ITEMS, amount_off=small, aggregated_amount_limit=small),
    typed("PERCENT", ["APPLY_TO_ORDER"], percent_off=percents, amount_limit=small),
    typed(
        "PERCENT",
        ITEMS[:1],
        percent_off=percents,
        amount_limit=small,
        aggregated_amount_limit=small,
    ),
    typed("FIXED", ["APPLY_TO_ORDER", "APPLY_TO_ITEMS"], fixed_amount=small),
    typed(
        "UNIT",
        ["ADD_NEW_ITEMS", "ADD_MISSING_ITEMS", "ADD_SAME_ITEMS"],
        unit_off=st.integers(0, 5),
        unit_type=given_products,
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("UNIT"),
            "effect": st.just("ADD_MANY_ITEMS"),
            "units": st.lists(
                st.fixed_dictionaries(
                    {
                        "effect": st.sampled_from(["ADD_NEW_ITEMS", "ADD_MISSING_ITEMS"]),
                        "unit_off": st.integers(0, 3),
                        "unit_type": given_products,
                    }
                ),
                min_size=1,
                max_size=3,
            ),
        }
    ),
    typed("UNIT", ["REPLACE_ITEMS"], unit_off=st.integers(0, 3), unit_type=given_products),
)
entries = st.none() | st.builds(
    lambda named, more: {**named, **more},
    st.just({"object": "products_collection", "id": "pc_a11pr0dUc75"})
    | st.builds(lambda name: {"object": "product", "id": name}, products),
    st.fixed_dictionaries(
        {},
        optional={
            "effect": st.sampled_from(EFFECTS),
            "target": st.sampled_from(["ITEM", "UNIT"]),
            "skip_initially": st.integers(0, 3),
            "repeat": st.integers(1, 3),
            "price": small,
            "quantity_limit": st.integers(0, 4),
            "aggregated_quantity_limit": st.integers(0, 6),
            "amount_limit": small,
            "aggregated_amount_limit": small,
            "product_campaign_quantity_limit": st.integers(0, 8),
            "product_in_collection_campaign_quantity_limit": st.integers(0, 5),
        },
    ),
)
steps = st.builds(
    prices.Step,
    discount=discounts,
    entry=entries,
    rule=st.none()
    | st.tuples(st.sampled_from(["order.amount", "order.initial_amount"]), st.integers(0, 9000)),
    bundle=st.just({}) | st.dictionaries(products, st.integers(1, 3), min_size=2, max_size=2),
    bundles_max=st.integers(1, 4),
    campaign=st.sampled_from(["", "", "camp_1"]),
)
items_off = st.one_of(
    typed("AMOUNT", ITEMS, amount_off=st.integers(1, 200)),
    typed("PERCENT", ITEMS[:1], percent_off=st.integers(1, 40)),
    typed("FIXED", ["APPLY_TO_ITEMS"], fixed_amount=st.integers(500, 2000)),
)
everything = st.just(prices.EVERYTHING)
replacing = typed(
    "UNIT", ["REPLACE_ITEMS"], unit_off=st.integers(1, 2), unit_type=st.just("prod_new")
)
in_units = st.builds(
    lambda units: {**prices.EVERYTHING, "target": "UNIT", "skip_initially": units},
    st.integers(0, 3),
)
counters = st.builds(
    lambda name, most: {**prices.EVERYTHING, name: most},
    st.sampled_from(list(prices.COUNTERS)),
    st.integers(3, 12),
)
FOCUS = {
    "anything": st.lists(steps, min_size=1, max_size=4),
    "units replaced after a discount": st.tuples(
        st.builds(prices.Step, discount=items_off, entry=everything | in_units),
        st.builds(prices.Step, discount=replacing, entry=everything | in_units),
    ).map(list),
    "bundles": st.lists(
        st.builds(
            prices.Step,
            discount=items_off | discounts,
            entry=st.none() | in_units | entries,
            bundle=st.just({"prod_0": 1}) | st.just({"prod_0": 1, "prod_1": 1}),
            bundles_max=st.just(4),
        ),
        min_size=1,
        max_size=2,
    ),
    "counters that codes share": st.lists(
        st.builds(prices.Step, discount=items_off, entry=counters, campaign=st.just("camp_1")),
        min_size=2,
        max_size=3,
    ),
}
"""What stacks are made of; the rarer encounters have generators of their own."""

modes = st.tuples(st.booleans(), st.booleans())
used_units = st.dictionaries(
    st.sampled_from([("pc_a11pr0dUc75",), ("prod_0",), ("pc_a11pr0dUc75", "prod_1")]),
    st.integers(1, 4),
)
lines = st.lists(
    st.builds(
        lambda product, price, quantity: {
            "product_id": product,
            "price": price,
            "quantity": quantity,
        },
        products,
        st.integers(0, 2000),
        st.integers(1, 5),
    ),
    min_size=1,
    max_size=5,
)


def rule_of(number: int, step: prices.Step) -> Json:
    """Return the validation rule of a redeemable, as it is saved."""
    rule: Json = {"id": f"rule_{number}", "name": "Rule", "rules": {}}
    if step.rule is not None:
        name, least = step.rule
        rule["rules"] = {"1": {"name": name, "conditions": {"$more_than": [least]}}}
    if step.entry is not None:
        rule["applicable_to"] = {"included": [step.entry]}
    if step.bundle:
        rule["bundle_rules"] = {"limit": step.bundles_max} | {
            str(n): {
                "name": "order.items.any",
                "conditions": {"$is": [{"object": "product", "id": product}]},
                "rules": {
                    "1": {"name": "order.items.aggregated_quantity", "conditions": {"$is": [units]}}
                },
            }
            for n, (product, units) in enumerate(step.bundle.items(), 1)
        }
    return rule


def engine_says(
    items: list[Json], stack: list[prices.Step], used: dict[tuple[str, ...], int]
) -> Json:
    first = stack[0]
    world = {
        "rules": [rule_of(n, step) for n, step in enumerate(stack)],
        "catalogue": [{"id": "prod_new", "object": "product", "name": "New", "price": 700}],
        "campaigns": [{"id": "camp_1"}],
        "vouchers": {
            f"C{n}": {
                "definition": {"type": "DISCOUNT_VOUCHER", "discount": step.discount},
                "rules": [f"rule_{n}"],
                "campaign_id": step.campaign or None,
            }
            for n, step in enumerate(stack)
        },
        "accounts": {
            account("campaign-items", "camp_1", *names): {"used": units}
            for names, units in used.items()
        },
        "stacking_rules": {
            "redeemables_application_mode": "PARTIAL",
            "redeemables_products_application_mode": "ONCE" if first.is_once else "STACK",
            "discount_calculation_mode": (
                "INITIAL_AMOUNT" if first.is_initial else "DISCOUNTED_AMOUNT"
            ),
        },
    }
    request = {
        "redeemables": [{"object": "voucher", "id": f"C{n}"} for n in range(len(stack))],
        "order": {"items": items},
    }
    return validate(make_snapshot(world, {"request": request}), "valid_1")


def oracle_says(
    items: list[Json], stack: list[prices.Step], used: dict[tuple[str, ...], int]
) -> tuple[prices.Cart, list[str]]:
    read = [prices.Line(one["product_id"], one["price"], one["quantity"]) for one in items]
    cart = prices.Cart(read, catalogue={"prod_new": 700})
    cart.initial = cart.amount
    cart.counted = {("camp_1", *names): units for names, units in used.items()}
    applied = []
    for n, step in enumerate(stack):
        # A code without a campaign counts for itself.
        if prices.apply(cart, replace(step, campaign=step.campaign or f"C{n}")):
            applied.append(f"C{n}")
    return cart, applied


@pytest.mark.parametrize("focus", FOCUS)
@settings(deadline=None, max_examples=250)
@given(data=st.data(), items=lines, mode=modes, used=used_units)
def test_prices_are_what_the_oracle_says(
    focus: str,
    data: st.DataObject,
    items: list[Json],
    mode: tuple[bool, bool],
    used: dict[tuple[str, ...], int],
) -> None:
    stack = data.draw(FOCUS[focus])
    stack = [replace(step, is_once=mode[0], is_initial=mode[1]) for step in stack]
    answer, (cart, applied) = engine_says(items, stack, used), oracle_says(items, stack, used)
    found_applied = [one["id"] for one in answer["redeemables"] if one["status"] == "APPLICABLE"]
    assert found_applied == applied, json.dumps(answer)
    if not applied:
        assert answer["valid"] is False
        return
    order = answer["order"]
    found = [
        (one["product_id"], one["quantity"], one["amount"], one.get("discount_amount", 0))
        for one in order["items"]
    ]
    wanted = [(line.product, line.quantity, line.amount, line.discount) for line in cart.lines]
    assert found == wanted
    assert order.get("discount_amount", 0) == cart.order_discount
    assert order["total_amount"] == cart.total


def test_the_oracle_knows_the_published_numbers() -> None:
    assert prices.half_up(prices.Fraction(50350 * 3, 100)) == 1511
    assert prices.split(300, [3300, 3400]) == [148, 152]
    assert prices.fill(1000, [80, 4000], [8, 2]) == [80, 920]
