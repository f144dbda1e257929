"""Sets of products: what rules and discounts name, and which lines of an order are in them.

A set names products, SKUs and collections. A product covers its SKUs. A collection holds what it lists, or
what its filter holds of; a line is in it when its SKU or its product is, ad hoc ones included.
"""

from collections.abc import Sequence
from typing import NamedTuple

from contracts.errors import JsonObject
from engine.domain.order import Line, item_references

ALL_PRODUCTS_ID = "pc_a11pr0dUc75"
"""The built-in collection of everything."""


class Products(NamedTuple):
    """A set of products, SKUs and collections."""

    product_ids: frozenset[str]
    sku_ids: frozenset[str]
    collection_ids: frozenset[str] = frozenset()

    def covers(self, line: Line) -> bool:
        """Say whether the line is one of them."""
        if line.sku_id in self.sku_ids or line.product_id in self.product_ids:
            return True
        if not self.collection_ids:
            return False
        return any(name == ALL_PRODUCTS_ID or line.is_in(name) for name in self.collection_ids)


def products_of(project_id: str, entries: Sequence[JsonObject]) -> Products:
    """Return the set that entries ``{object, id, source_id}`` name."""
    kinds: dict[str, set[str]] = {"product": set(), "sku": set(), "products_collection": set()}
    for entry in entries:
        found = _reference(project_id, entry)
        if found is not None:
            kinds[found[0]].add(found[1])
    return Products(
        product_ids=frozenset(kinds["product"]),
        sku_ids=frozenset(kinds["sku"]),
        collection_ids=frozenset(kinds["products_collection"]),
    )


def _reference(project_id: str, entry: JsonObject) -> tuple[str, str] | None:
    """Return (object, id) of what an entry names; None when it names nothing."""
    name = entry.get("id") or entry.get("source_id")
    if not isinstance(name, str):
        return None
    kind = entry.get("object") or _kind_of(name)
    if kind == "products_collection":
        return kind, name
    if not isinstance(kind, str) or kind not in {"product", "sku"}:
        return None
    product_id, sku_id = item_references(project_id, {f"{kind}_id": name})
    found = sku_id if kind == "sku" else product_id
    assert found is not None, "a name that is a text always has an id"
    return kind, found


def _kind_of(name: str) -> str:
    if name.startswith("pc_"):
        return "products_collection"
    return "sku" if name.startswith("sku_") else "product"
