"""A number on whole lines is taken by one function; it takes what the way for everything takes."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.recipe import recipe_of
from engine.domain.validate import validate
from engine.testing import make_snapshot

Json = dict[str, Any]
EVERYTHING = {"object": "products_collection", "id": "pc_a11pr0dUc75"}
SOME = {"object": "product", "id": "prod_0"}
HIGH = {"amount_limit": 10**12}
"""A cap that nothing reaches, but that must be asked for."""
ITEMS = [
    "APPLY_TO_ITEMS",
    "APPLY_TO_ITEMS_BY_QUANTITY",
    "APPLY_TO_ITEMS_PROPORTIONALLY",
    "APPLY_TO_ITEMS_PROPORTIONALLY_BY_QUANTITY",
]
small = st.integers(0, 3000)
discounts = st.one_of(
    st.builds(
        lambda off, effect, more: {"type": "AMOUNT", "amount_off": off, "effect": effect, **more},
        small,
        st.sampled_from(ITEMS),
        st.fixed_dictionaries({}, optional={"aggregated_amount_limit": small}),
    ),
    st.builds(
        lambda off, more: {
            "type": "PERCENT",
            "percent_off": off,
            "effect": "APPLY_TO_ITEMS",
            **more,
        },
        st.integers(0, 100) | st.sampled_from([0.5, 12.125]),
        st.fixed_dictionaries(
            {}, optional={"amount_limit": small, "aggregated_amount_limit": small}
        ),
    ),
    st.builds(
        lambda price: {"type": "FIXED", "fixed_amount": price, "effect": "APPLY_TO_ITEMS"}, small
    ),
)
lines = st.lists(
    st.fixed_dictionaries(
        {
            "product_id": st.sampled_from(["prod_0", "prod_1"]),
            "price": st.integers(0, 2000),
            "quantity": st.integers(0, 5),
        }
    ),
    min_size=1,
    max_size=6,
)
modes = st.fixed_dictionaries(
    {},
    optional={
        "discount_calculation_mode": st.just("INITIAL_AMOUNT"),
        "redeemables_products_application_mode": st.just("ONCE"),
    },
)


def priced(items: list[Json], stack: list[Json], entries: list[Json], rules: Json) -> Json:
    world = {
        "rules": [
            {"id": f"rule_{n}", "name": "R", "rules": {}, "applicable_to": {"included": [entry]}}
            for n, entry in enumerate(entries)
        ],
        "vouchers": {
            f"C{n}": {
                "definition": {"type": "DISCOUNT_VOUCHER", "discount": discount},
                "rules": [f"rule_{n}"],
            }
            for n, discount in enumerate(stack)
        },
        "stacking_rules": rules,
    }
    request = {
        "redeemables": [{"object": "voucher", "id": f"C{n}"} for n in range(len(stack))],
        "order": {"items": items},
    }
    snapshot = make_snapshot(world, {"request": request})
    is_short = all(recipe_of(code).on_whole_lines for code in snapshot.codes.values())
    assert is_short is all("amount_limit" not in entry for entry in entries)
    answer = validate(snapshot, "valid_1")
    for step in answer["redeemables"]:
        for entry in step["applicable_to"]["data"]:
            entry.pop("amount_limit", None)
    return answer


@settings(deadline=None, max_examples=200)
@given(lines, st.lists(discounts, min_size=1, max_size=3), st.booleans(), modes)
def test_both_ways_take_the_same(
    items: list[Json], stack: list[Json], is_some: bool, rules: Json
) -> None:
    entry = SOME if is_some else EVERYTHING
    short = priced(items, stack, [entry] * len(stack), rules)
    assert short == priced(items, stack, [{**entry, **HIGH}] * len(stack), rules)
