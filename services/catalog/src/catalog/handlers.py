"""Load, decide, append. The tables at the end are the table of contents."""

from collections.abc import Iterable, Mapping
from typing import Any

from catalog import limits, queries
from catalog.domain import collection as collections
from catalog.domain import product as products
from catalog.domain import sku as skus
from catalog.domain.collection import StoredCollection
from catalog.domain.common import SOURCE_ID
from catalog.domain.product import StoredProduct, decide_upsert_product
from catalog.domain.sku import StoredSku, decide_upsert_sku
from contracts import ids, topics
from contracts.catalog import (
    CreateProductCollection,
    DeleteProduct,
    DeleteProductCollection,
    DeleteSku,
    SkuCreated,
    UpdateProductCollection,
    UpsertProduct,
    UpsertSku,
)
from contracts.errors import JsonObject
from contracts.messages import Command
from contracts.payload import json_object, list_of, required
from runtime.aggregate import Aggregate
from runtime.consumer import Handler
from runtime.unit import Unit

PRODUCT: Aggregate[StoredProduct] = Aggregate("product", StoredProduct, products.evolve)
SKU: Aggregate[StoredSku] = Aggregate("sku", StoredSku, skus.evolve)
COLLECTION: Aggregate[StoredCollection] = Aggregate(
    "collection", StoredCollection, collections.evolve
)

Streams = Iterable[tuple[Aggregate[Any], str]]


async def upsert_product(unit: Unit, command: UpsertProduct) -> JsonObject:
    """Create or change a product."""
    state = await unit.load(PRODUCT, command.product_id)
    source_id = _source_id(command.changes)
    id_of_source = ids.product_id(unit.project_id, source_id) if source_id else None
    events = decide_upsert_product(state, command, unit.now, id_of_source)
    product = unit.append(PRODUCT, command.product_id, *events)
    return {"product": _json(product)}


async def upsert_sku(unit: Unit, command: UpsertSku, path: str = "") -> JsonObject:
    """Create or change a SKU of a product that is there."""
    product = products.existing(await unit.load(PRODUCT, command.product_id))
    state = await unit.load(SKU, command.sku_id)
    source_id = _source_id(command.changes)
    id_of_source = ids.sku_id(unit.project_id, source_id) if source_id else None
    events = decide_upsert_sku(state, product, command, unit.now, id_of_source, path)
    sku = unit.append(SKU, command.sku_id, *events)
    if any(isinstance(event, SkuCreated) for event in events):
        await queries.insert_sku(unit.connection, unit.project_id, sku.product_id, sku.id)
    return {"sku": _json(sku)}


async def delete_product(unit: Unit, command: DeleteProduct) -> JsonObject:
    """Delete a product with its SKUs."""
    state = await unit.load(PRODUCT, command.product_id)
    event = products.decide_delete_product(state, command.product_id)
    for sku_id in await queries.skus_of(unit.connection, unit.project_id, command.product_id):
        await delete_sku(unit, DeleteSku(sku_id=sku_id, product_id=command.product_id))
    unit.append(PRODUCT, command.product_id, event)
    return {}


async def delete_sku(unit: Unit, command: DeleteSku) -> JsonObject:
    """Delete a SKU."""
    state = await unit.load(SKU, command.sku_id)
    event = skus.decide_delete_sku(state, command.sku_id, command.product_id)
    unit.append(SKU, command.sku_id, event)
    await queries.delete_sku(unit.connection, unit.project_id, command.sku_id)
    return {}


async def create_collection(unit: Unit, command: CreateProductCollection) -> JsonObject:
    """Create a product collection."""
    state = await unit.load(COLLECTION, command.collection_id)
    count = await queries.count_collection(unit.connection, unit.project_id)
    event = collections.decide_create_collection(
        state, command.collection_id, unit.project_id, command.definition, unit.now, count - 1
    )
    return {"collection": _json(unit.append(COLLECTION, command.collection_id, event))}


async def update_collection(unit: Unit, command: UpdateProductCollection) -> JsonObject:
    """Change what was sent of a product collection."""
    state = await unit.load(COLLECTION, command.collection_id)
    events = collections.decide_update_collection(
        state, command.collection_id, command.changes, unit.now
    )
    return {"collection": _json(unit.append(COLLECTION, command.collection_id, *events))}


async def delete_collection(unit: Unit, command: DeleteProductCollection) -> JsonObject:
    """Delete a product collection."""
    state = await unit.load(COLLECTION, command.collection_id)
    event = collections.decide_delete_collection(state, command.collection_id)
    unit.append(COLLECTION, command.collection_id, event)
    await queries.uncount_collection(unit.connection, unit.project_id)
    return {}


def _json(model: StoredProduct | StoredSku | StoredCollection) -> JsonObject:
    return model.model_dump(mode="json", exclude={"is_deleted"})


async def take_product(unit: Unit, element: JsonObject) -> None:
    """Take a product of an upstream system with its SKUs: all of it, or none."""
    product_id = ids.product_id(unit.project_id, required(SOURCE_ID, element, "source_id"))
    await upsert_product(unit, UpsertProduct(product_id=product_id, changes=element))
    listed = list_of(json_object, limits.INTAKE_SKUS_MAX)("skus", element.get("skus") or [])
    for index, body in enumerate(listed):
        path = f"skus[{index}]"
        sku_id = ids.sku_id(unit.project_id, required(SOURCE_ID, body, "source_id", path))
        await upsert_sku(unit, UpsertSku(sku_id=sku_id, product_id=product_id, changes=body), path)


def _streams_of_product(project_id: str, element: JsonObject) -> Streams:
    yield PRODUCT, ids.product_id(project_id, element["source_id"])
    for body in element.get("skus") or []:
        yield SKU, ids.sku_id(project_id, body["source_id"])


def _source_id(changes: JsonObject) -> str | None:
    source_id = changes.get("source_id")
    return source_id if isinstance(source_id, str) else None


COMMANDS: Mapping[type[Command], Handler] = {
    UpsertProduct: Handler(upsert_product, streams=lambda c: [(PRODUCT, c.product_id)]),
    DeleteProduct: Handler(delete_product, streams=lambda c: [(PRODUCT, c.product_id)]),
    DeleteSku: Handler(delete_sku, streams=lambda c: [(SKU, c.sku_id)]),
    CreateProductCollection: Handler(
        create_collection, streams=lambda c: [(COLLECTION, c.collection_id)]
    ),
    UpdateProductCollection: Handler(
        update_collection, streams=lambda c: [(COLLECTION, c.collection_id)]
    ),
    DeleteProductCollection: Handler(
        delete_collection, streams=lambda c: [(COLLECTION, c.collection_id)]
    ),
    UpsertSku: Handler(upsert_sku, streams=lambda c: [(PRODUCT, c.product_id), (SKU, c.sku_id)]),
}
INTAKE: Mapping[str, Handler] = {
    topics.INTAKE_PRODUCTS: Handler(take_product, streams_in=_streams_of_product)
}
