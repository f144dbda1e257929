"""Load, decide, append. The tables at the end are the table of contents."""

from collections.abc import Iterable, Mapping
from typing import Any

from catalog import limits
from catalog.domain import product as products
from catalog.domain import sku as skus
from catalog.domain.common import SOURCE_ID
from catalog.domain.product import decide_upsert_product
from catalog.domain.sku import decide_upsert_sku
from contracts import ids, topics
from contracts.catalog import Product, Sku, UpsertProduct, UpsertSku
from contracts.errors import JsonObject
from contracts.messages import Command
from contracts.payload import json_object, list_of, required
from runtime.aggregate import Aggregate
from runtime.consumer import Handler
from runtime.unit import Unit

PRODUCT: Aggregate[Product] = Aggregate("product", Product, products.evolve)
SKU: Aggregate[Sku] = Aggregate("sku", Sku, skus.evolve)

Streams = Iterable[tuple[Aggregate[Any], str]]


async def upsert_product(unit: Unit, command: UpsertProduct) -> JsonObject:
    """Create or change a product."""
    state = await unit.load(PRODUCT, command.product_id)
    source_id = _source_id(command.changes)
    id_of_source = ids.product_id(unit.project_id, source_id) if source_id else None
    events = decide_upsert_product(state, command, unit.now, id_of_source)
    product = unit.append(PRODUCT, command.product_id, *events)
    return {"product": product.model_dump(mode="json")}


async def upsert_sku(unit: Unit, command: UpsertSku, path: str = "") -> JsonObject:
    """Create or change a SKU of a product that is there."""
    product = await unit.load(PRODUCT, command.product_id)
    state = await unit.load(SKU, command.sku_id)
    source_id = _source_id(command.changes)
    id_of_source = ids.sku_id(unit.project_id, source_id) if source_id else None
    events = decide_upsert_sku(state, product, command, unit.now, id_of_source, path)
    sku = unit.append(SKU, command.sku_id, *events)
    return {"sku": sku.model_dump(mode="json")}


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
    UpsertSku: Handler(upsert_sku, streams=lambda c: [(PRODUCT, c.product_id), (SKU, c.sku_id)]),
}
INTAKE: Mapping[str, Handler] = {
    topics.INTAKE_PRODUCTS: Handler(take_product, streams_in=_streams_of_product)
}
