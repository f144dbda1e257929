"""Asynchronous changes of many products and SKUs: what each kind of action does with an element."""

from collections.abc import Iterable
from typing import Any

from catalog.domain import product as products
from catalog.handlers import PRODUCT, SKU, upsert_product, upsert_sku
from contracts import ids
from contracts.catalog import ProductsBulkAdvanced, ProductsBulkStarted, UpsertProduct, UpsertSku
from contracts.errors import JsonObject, NotFound
from contracts.payload import refuse
from runtime.aggregate import Aggregate
from runtime.bulk import Bulk, Kind
from runtime.unit import Unit

Streams = Iterable[tuple[Aggregate[Any], str]]


async def change_product(unit: Unit, body: JsonObject) -> None:
    """Create or change the product with this source id."""
    await _upsert_product(unit, body, must_exist=False)


async def change_metadata(unit: Unit, body: JsonObject) -> None:
    """Merge metadata into a product that is there."""
    await _upsert_product(unit, body, must_exist=True)


async def _upsert_product(unit: Unit, body: JsonObject, *, must_exist: bool) -> None:
    source_id = _name(body, "source_id")
    product_id = ids.product_id(unit.project_id, source_id)
    if must_exist and products.existing(await unit.load(PRODUCT, product_id)) is None:
        raise NotFound.of("product", source_id)
    command = UpsertProduct(product_id=product_id, changes=body, must_exist=must_exist)
    await upsert_product(unit, command)


async def change_sku(unit: Unit, body: JsonObject) -> None:
    """Create or change the SKU with this source id, of a product named by id or source id."""
    source_id, named = _name(body, "source_id"), _name(body, "product_id")
    product_id = named
    if await unit.load(PRODUCT, named) is None:
        product_id = ids.product_id(unit.project_id, named)
    if products.existing(await unit.load(PRODUCT, product_id)) is None:
        raise NotFound.of("product", named)
    changes = {name: value for name, value in body.items() if name != "product_id"}
    sku_id = ids.sku_id(unit.project_id, source_id)
    await upsert_sku(unit, UpsertSku(sku_id=sku_id, product_id=product_id, changes=changes))


def _name(body: JsonObject, prop: str) -> str:
    value = body.get(prop)
    if not isinstance(value, str) or not value:
        raise refuse(prop, "must be a string that is not empty")
    return value


def _streams(project_id: str, body: JsonObject) -> Streams:
    if isinstance(body.get("source_id"), str):
        yield PRODUCT, ids.product_id(project_id, body["source_id"])


def _streams_of_sku(project_id: str, body: JsonObject) -> Streams:
    if isinstance(body.get("source_id"), str):
        yield SKU, ids.sku_id(project_id, body["source_id"])
    if isinstance(body.get("product_id"), str):
        yield PRODUCT, body["product_id"]
        yield PRODUCT, ids.product_id(project_id, body["product_id"])


BULK = Bulk(
    "catalog",
    ProductsBulkStarted,
    ProductsBulkAdvanced,
    {
        "PRODUCTS.BULK_UPDATE": Kind(change_product, _streams),
        "PRODUCTS.METADATA_UPDATE": Kind(change_metadata, _streams),
        "PRODUCTS.IMPORT_CSV": Kind(change_product, _streams),
        "SKUS.IMPORT_CSV": Kind(change_sku, _streams_of_sku),
    },
)
