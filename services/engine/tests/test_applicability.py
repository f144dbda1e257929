"""Which lines a discount applies to: exclusions win, and collections hold products and SKUs."""

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.domain.collections import Collection, Collections
from engine.domain.facts import Facts
from engine.domain.order import OrderFacts, read_cart
from engine.domain.rules import compile_rule, matching_lines

PROJECT = "proj_1"
NOW = datetime(2026, 3, 11, tzinfo=UTC)
CATALOGUE = {
    "prod_1": {"id": "prod_1", "price": 100, "metadata": {"brand": "X"}},
    "prod_2": {"id": "prod_2", "price": 100, "metadata": {"brand": "Y"}},
    "sku_1": {"id": "sku_1", "product_id": "prod_1", "price": 100, "metadata": {"size": "L"}},
}


def dynamic(collection_id: str, field: str, value: str) -> Collection:
    conditions = {field: {"conditions": {"$is": [value]}}}
    return Collection(collection_id, conditions, frozenset(), frozenset())


COLLECTIONS = Collections(
    {
        "pc_static": Collection("pc_static", None, frozenset({"prod_2"}), frozenset()),
        "pc_x": dynamic("pc_x", "metadata.brand", "X"),
        "pc_large": dynamic("pc_large", "metadata.size", "L"),
    },
    NOW,
)
ITEMS = ({"sku_id": "sku_1"}, {"product_id": "prod_2"}, {"product_id": "prod_1"}, {"price": 5})


def places(applicable_to: dict[str, Any], *items: dict[str, Any]) -> list[int]:
    facts = OrderFacts(PROJECT, CATALOGUE, collections=COLLECTIONS)
    cart = read_cart({"items": list(items)}, facts)
    rule = compile_rule(PROJECT, {"id": "val_1", "applicable_to": applicable_to})
    return matching_lines([rule], Facts(NOW, cart, None, {}, {}))


@pytest.mark.parametrize(
    ("applicable_to", "expected"),
    [
        ({"included": [{"object": "product", "id": "prod_1"}]}, [0, 2]),
        ({"included": [{"object": "sku", "id": "sku_1"}]}, [0]),
        ({"included": [{"object": "products_collection", "id": "pc_static"}]}, [1]),
        ({"included": [{"object": "products_collection", "id": "pc_x"}]}, [0, 2]),
        ({"included": [{"object": "products_collection", "id": "pc_large"}]}, [0]),
        ({"included": [{"object": "products_collection", "id": "pc_gone"}]}, []),
        ({"included": [{"object": "products_collection", "id": "pc_a11pr0dUc75"}]}, [0, 1, 2, 3]),
        ({"excluded": [{"object": "product", "id": "prod_1"}]}, [1, 3]),
        ({"included_all": True, "excluded": [{"object": "sku", "id": "sku_1"}]}, [1, 2, 3]),
        (
            {
                "included": [{"object": "product", "id": "prod_1"}],
                "excluded": [{"object": "products_collection", "id": "pc_large"}],
            },
            [2],
        ),
        (
            {
                "included": [{"object": "products_collection", "id": "pc_x"}],
                "excluded": [{"object": "product", "id": "prod_1"}],
            },
            [],
        ),
    ],
)
def test_exclusions_win_and_collections_hold_skus_too(
    applicable_to: dict[str, Any], expected: list[int]
) -> None:
    assert places(applicable_to, *ITEMS) == expected


def test_items_that_are_not_in_the_catalogue_are_in_collections_by_what_the_order_says() -> None:
    ad_hoc = {"price": 1, "product": {"metadata": {"brand": "X"}}}
    other = {"price": 1, "product": {"metadata": {"brand": "Z"}}}
    changed = {"product_id": "prod_1", "product": {"metadata": {"brand": "Z"}}}
    included = {"included": [{"object": "products_collection", "id": "pc_x"}]}
    assert places(included, ad_hoc, other, changed) == [0]
