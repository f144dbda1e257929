"""Products, SKUs and product collections."""

from contracts.catalog import (
    Product,
    ProductCollection,
    ProductCollectionCreated,
    ProductCollectionDeleted,
    ProductCollectionUpdated,
    ProductCreated,
    ProductDeleted,
    ProductUpdated,
    Sku,
    SkuCreated,
    SkuDeleted,
    SkuUpdated,
)
from contracts.messages import Event
from gateway.read_models.documents import PROJECT_AND_ID, document, removal
from runtime.read_model import Fold, Row, Table

PRODUCTS = Table(
    "products",
    PROJECT_AND_ID,
    {
        "source_id": "text",
        "name": "text",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
        "doc": "jsonb",
    },
)
SKUS = Table(
    "skus",
    PROJECT_AND_ID,
    {"product_id": "text", "source_id": "text", "created_at": "timestamptz", "doc": "jsonb"},
)
COLLECTIONS = Table(
    "product_collections",
    PROJECT_AND_ID,
    {"name": "text", "created_at": "timestamptz", "updated_at": "timestamptz", "doc": "jsonb"},
)
TABLES = [PRODUCTS, SKUS, COLLECTIONS]


def product_columns(state: Product) -> Row:
    return {
        "source_id": state.source_id,
        "name": state.name,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
    }


def sku_columns(state: Sku) -> Row:
    return {
        "product_id": state.product_id,
        "source_id": state.source_id,
        "created_at": state.created_at,
    }


def collection_columns(state: ProductCollection) -> Row:
    return {
        "name": state.name,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
    }


PRODUCT = document(PRODUCTS, lambda event: event.product, product_columns)
SKU = document(SKUS, lambda event: event.sku, sku_columns)
COLLECTION = document(COLLECTIONS, lambda event: event.collection, collection_columns)
FOLDS: dict[type[Event], Fold] = {
    ProductCreated: PRODUCT,
    ProductUpdated: PRODUCT,
    SkuCreated: SKU,
    SkuUpdated: SKU,
    ProductDeleted: removal(PRODUCTS, lambda event: event.product_id),
    SkuDeleted: removal(SKUS, lambda event: event.sku_id),
    ProductCollectionCreated: COLLECTION,
    ProductCollectionUpdated: COLLECTION,
    ProductCollectionDeleted: removal(COLLECTIONS, lambda event: event.collection_id),
}
