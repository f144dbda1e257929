"""A product collection: a fixed list of products and SKUs, or a filter that is asked whenever it matters."""

from datetime import datetime
from typing import Any

from catalog import limits
from catalog.domain.common import ID
from contracts import ids
from contracts.catalog import (
    ProductCollection,
    ProductCollectionCreated,
    ProductCollectionDeleted,
    ProductCollectionUpdated,
)
from contracts.errors import InvalidPayload, JsonObject, NotFound
from contracts.filters import PRODUCT_ATTRIBUTES, check_filter
from contracts.payload import json_object, list_of, one_of, refuse, required, storable_object, text

CollectionEvent = ProductCollectionCreated | ProductCollectionUpdated | ProductCollectionDeleted

NAME = text(limits.NAME_LENGTH_MAX, pattern=r"(?s).*\S.*", meaning="a text that is not empty")
KINDS = ("product", "sku")


class StoredCollection(ProductCollection):
    """A collection, and whether it was deleted: its id is never given again."""

    is_deleted: bool = False


def decide_create_collection(
    state: StoredCollection | None,
    collection_id: str,
    project_id: str,
    body: JsonObject,
    now: datetime,
    count: int,
) -> ProductCollectionCreated:
    """Return the new collection; ``count`` is how many the project has."""
    assert state is None, "ids of collections are drawn"
    if count >= limits.COLLECTIONS_MAX:
        raise InvalidPayload(f"A project has at most {limits.COLLECTIONS_MAX} product collections")
    kind = required(one_of("STATIC", "AUTO_UPDATE"), body, "type")
    is_static = kind == "STATIC"
    _refuse_other("filter" if is_static else "products", body, kind)
    collection = ProductCollection(
        id=collection_id,
        name=required(NAME, body, "name"),
        type=kind,
        products=_products(project_id, body.get("products")) if is_static else [],
        filter=None if is_static else read_filter(body.get("filter")),
        created_at=now,
    )
    return ProductCollectionCreated(collection=collection)


def decide_update_collection(
    state: StoredCollection | None, collection_id: str, changes: JsonObject, now: datetime
) -> list[ProductCollectionUpdated]:
    """Return what the update changes. What a static collection lists stays as it was created."""
    known = existing(state, collection_id)
    values: dict[str, Any] = {}
    if changes.get("name") is not None:
        values["name"] = NAME("name", changes["name"])
    if changes.get("filter") is not None:
        if known.type == "STATIC":
            raise refuse("filter", "must not be set, because the type is STATIC")
        values["filter"] = read_filter(changes["filter"])
    if changes.get("products") is not None:
        raise refuse("products", "must not be sent: a collection's products do not change")
    collection = known.model_copy(update=values)
    if collection == known:
        return []
    return [ProductCollectionUpdated(collection=_public(collection, updated_at=now))]


def decide_delete_collection(
    state: StoredCollection | None, collection_id: str
) -> ProductCollectionDeleted:
    """Return the deletion; whether rules still name it, the gateway has asked."""
    return ProductCollectionDeleted(collection_id=existing(state, collection_id).id)


def existing(state: StoredCollection | None, collection_id: str) -> StoredCollection:
    """Return the collection; raises 404."""
    if state is None or state.is_deleted:
        raise NotFound.of("products_collection", collection_id)
    return state


def evolve(state: StoredCollection | None, event: CollectionEvent) -> StoredCollection:
    """Return the collection; one that was deleted stays, marked."""
    if isinstance(event, ProductCollectionDeleted):
        assert state is not None, "only a collection that is there is deleted"
        return state.model_copy(update={"is_deleted": True})
    is_new = isinstance(event, ProductCollectionCreated)
    assert (state is None) is is_new, "a collection is created once, first"
    return StoredCollection.model_validate(event.collection.model_dump())


def _public(state: StoredCollection, *, updated_at: datetime) -> ProductCollection:
    kept = state.model_dump(exclude={"is_deleted"})
    return ProductCollection.model_validate({**kept, "updated_at": updated_at})


def _refuse_other(name: str, body: JsonObject, kind: str) -> None:
    if body.get(name) is not None:
        raise refuse(name, f"must not be set, because the type is {kind}")


def read_filter(value: Any) -> JsonObject:
    """Read a filter on products; the public API wants its junction."""
    body = json_object("filter", {} if value is None else value)
    if body.get("junction") is None:
        raise InvalidPayload(
            "filter.junction: 'AUTO_UPDATE' collection must contain valid filter with 'junction'"
            " property",
            prop="filter.junction",
        )
    check_filter(body, "filter", PRODUCT_ATTRIBUTES)
    return storable_object("filter", body)


def _products(project_id: str, value: Any) -> list[JsonObject]:
    listed = list_of(json_object, limits.COLLECTION_PRODUCTS_MAX)("products", value or [])
    entries = [_entry(project_id, f"products[{n}]", one) for n, one in enumerate(listed)]
    named: dict[tuple[str, str], JsonObject] = {(one["object"], one["id"]): one for one in entries}
    return list(named.values())


def _entry(project_id: str, path: str, body: JsonObject) -> JsonObject:
    """Read ``{"id", "object", "product_id"}``; an id that is none of ours is a ``source_id``."""
    kind = required(one_of(*KINDS), body, "object", path)
    name = required(text(limits.SOURCE_ID_LENGTH_MAX), body, "id", path)
    prefix, derive = ("sku_", ids.sku_id) if kind == "sku" else ("prod_", ids.product_id)
    entry: JsonObject = {
        "id": name if name.startswith(prefix) else derive(project_id, name),
        "object": kind,
    }
    if kind == "sku" and body.get("product_id") is not None:
        entry["product_id"] = ID(f"{path}.product_id", body["product_id"])
    return entry
