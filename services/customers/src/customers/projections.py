"""The catalogue's prices: an order line that is sent without one has its product's."""

from collections.abc import Iterable

from contracts.catalog import ProductCreated, ProductUpdated, SkuCreated, SkuUpdated
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


PROJECTION = Projection(
    tables=[PRICES],
    folds={
        ProductCreated: Fold(keys_product, apply_product),
        ProductUpdated: Fold(keys_product, apply_product),
        SkuCreated: Fold(keys_sku, apply_sku),
        SkuUpdated: Fold(keys_sku, apply_sku),
    },
)
