"""The catalogue's prices: an order line that is sent without one has its product's."""

from collections.abc import Iterable

from contracts.catalog import (
    ProductCollectionCreated,
    ProductCollectionDeleted,
    ProductCollectionUpdated,
    ProductCreated,
    ProductDeleted,
    ProductsBulkAdvanced,
    ProductsBulkStarted,
    ProductUpdated,
    SkuCreated,
    SkuDeleted,
    SkuUpdated,
)
from contracts.messages import Envelope
from runtime.read_model import Fold, Projection, RowKey, Rows, Table

PRICES = Table(
    "catalogue_prices",
    key={"project_id": "text", "id": "text"},
    columns={"price": "bigint", "product_id": "text"},
)


def keys_product(event: ProductCreated | ProductUpdated, meta: Envelope) -> Iterable[RowKey]:
    yield PRICES, (meta.project_id, event.product.id)


def apply_product(rows: Rows, event: ProductCreated | ProductUpdated, meta: Envelope) -> None:
    row = {"price": event.product.price, "product_id": None}
    rows.put(PRICES, (meta.project_id, event.product.id), row)


def keys_sku(event: SkuCreated | SkuUpdated, meta: Envelope) -> Iterable[RowKey]:
    yield PRICES, (meta.project_id, event.sku.id)


def apply_sku(rows: Rows, event: SkuCreated | SkuUpdated, meta: Envelope) -> None:
    row = {"price": event.sku.price, "product_id": event.sku.product_id}
    rows.put(PRICES, (meta.project_id, event.sku.id), row)


def keys_product_deleted(event: ProductDeleted, meta: Envelope) -> Iterable[RowKey]:
    yield PRICES, (meta.project_id, event.product_id)


def apply_product_deleted(rows: Rows, event: ProductDeleted, meta: Envelope) -> None:
    rows.delete(PRICES, meta.project_id, event.product_id)


def keys_sku_deleted(event: SkuDeleted, meta: Envelope) -> Iterable[RowKey]:
    yield PRICES, (meta.project_id, event.sku_id)


def apply_sku_deleted(rows: Rows, event: SkuDeleted, meta: Envelope) -> None:
    rows.delete(PRICES, meta.project_id, event.sku_id)


PROJECTION = Projection(
    tables=[PRICES],
    folds={
        ProductCreated: Fold(keys_product, apply_product),
        ProductUpdated: Fold(keys_product, apply_product),
        SkuCreated: Fold(keys_sku, apply_sku),
        SkuUpdated: Fold(keys_sku, apply_sku),
        ProductDeleted: Fold(keys_product_deleted, apply_product_deleted),
        SkuDeleted: Fold(keys_sku_deleted, apply_sku_deleted),
    },
    ignored=[
        ProductCollectionCreated,
        ProductCollectionUpdated,
        ProductCollectionDeleted,
        ProductsBulkStarted,
        ProductsBulkAdvanced,
    ],
)
