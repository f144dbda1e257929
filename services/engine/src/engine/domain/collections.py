"""Product collections: which products and SKUs each holds, asked about the lines of an order."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from contracts.errors import JsonObject
from contracts.filters import matches


class Collection(NamedTuple):
    """A collection as the replica has it: what a static one lists, or the filter of the other kind."""

    id: str
    filter: JsonObject | None
    product_ids: frozenset[str]
    sku_ids: frozenset[str]


class Collections(NamedTuple):
    """The collections that a request's rules name; ``now`` is in the project's time zone."""

    by_id: Mapping[str, Collection]
    now: datetime

    def holds(self, collection_id: str, product: JsonObject, sku: JsonObject) -> bool:
        """Say whether the SKU or its product is in the collection; nothing is in an unknown one."""
        collection = self.by_id.get(collection_id)
        if collection is None:
            return False
        if collection.filter is None:
            is_listed = product.get("id") in collection.product_ids
            return is_listed or sku.get("id") in collection.sku_ids
        known = [attributes for attributes in (sku, product) if attributes]
        return any(matches(collection.filter, one, self.now) for one in known)


NO_COLLECTIONS: Mapping[str, Collection] = MappingProxyType({})


def read_collection(document: JsonObject) -> Collection:
    """Return a collection as it was saved."""
    listed = document.get("products") or []
    is_static = document["type"] == "STATIC"
    return Collection(
        id=document["id"],
        filter=None if is_static else document.get("filter") or {},
        product_ids=frozenset(one["id"] for one in listed if one["object"] == "product"),
        sku_ids=frozenset(one["id"] for one in listed if one["object"] == "sku"),
    )
