"""The engine's prices for generated carts and stacks are what the oracle says, line by line."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

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
        unit_type=st.sampled_from(["prod_0", "prod_1", "prod_new"]),
    ),
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
        },
    ),
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


def engine_says(items: list[Json], stack: list[tuple[Json, Json | None]]) -> Json:
    rules = [
        {
            "id": f"rule_{n}",
            "name": "Rule",
            "rules": {},
            **({"applicable_to": {"included": [entry]}} if entry is not None else {}),
        }
        for n, (_, entry) in enumerate(stack)
    ]
    world = {
        "rules": rules,
        "catalogue": [{"id": "prod_new", "object": "product", "name": "New", "price": 700}],
        "vouchers": {
            f"C{n}": {
                "definition": {"type": "DISCOUNT_VOUCHER", "discount": discount},
                "rules": [f"rule_{n}"],
            }
            for n, (discount, _) in enumerate(stack)
        },
    }
    request = {
        "redeemables": [{"object": "voucher", "id": f"C{n}"} for n in range(len(stack))],
        "order": {"items": items},
    }
    return validate(make_snapshot(world, {"request": request}), "valid_1")


def oracle_says(items: list[Json], stack: list[tuple[Json, Json | None]]) -> prices.Cart:
    read = [prices.Line(one["product_id"], one["price"], one["quantity"]) for one in items]
    cart = prices.Cart(read, catalogue={"prod_new": 700})
    for discount, entry in stack:
        prices.apply(cart, discount, entry)
    return cart


@settings(deadline=None, max_examples=400)
@given(lines, st.lists(st.tuples(discounts, entries), min_size=1, max_size=4))
def test_prices_are_what_the_oracle_says(
    items: list[Json], stack: list[tuple[Json, Json | None]]
) -> None:
    answer, cart = engine_says(items, stack), oracle_says(items, stack)
    assert answer["valid"], json.dumps(answer)
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
