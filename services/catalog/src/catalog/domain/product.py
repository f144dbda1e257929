"""A product: created by its first upsert, changed by those that differ."""

from collections.abc import Sequence
from datetime import datetime

from catalog import limits
from catalog.domain.common import METADATA, NAME, PRICE, SOURCE_ID, URL, read_changes
from contracts.catalog import (
    Product,
    ProductCreated,
    ProductDeleted,
    ProductUpdated,
    UpsertProduct,
)
from contracts.errors import NotFound
from contracts.payload import Fields, list_of, optional, text

ProductEvent = ProductCreated | ProductUpdated | ProductDeleted


class StoredProduct(Product):
    """A product, and whether it is deleted: created again, it has the same stream."""

    is_deleted: bool = False


FIELDS: Fields = {
    "source_id": SOURCE_ID,
    "name": NAME,
    "price": PRICE,
    "attributes": optional(list_of(text(limits.ATTRIBUTE_LENGTH_MAX), limits.ATTRIBUTES_MAX)),
    "metadata": METADATA,
    "image_url": URL,
}


def decide_upsert_product(
    state: StoredProduct | None,
    command: UpsertProduct,
    now: datetime,
    id_of_source: str | None,
) -> Sequence[ProductEvent]:
    """Return what the upsert changes: nothing if the product already is as sent."""
    state = existing(state)
    if state is None and command.must_exist:
        raise NotFound.of("product", command.product_id)
    values = read_changes(
        state,
        command.changes,
        FIELDS,
        own_id=command.product_id,
        id_of_source=id_of_source,
    )
    if values.get("attributes", ()) is None:
        values["attributes"] = []
    if state is None:
        return [ProductCreated(product=Product(id=command.product_id, created_at=now, **values))]
    product = state.model_copy(update=values)
    if product == state:
        return []
    kept = product.model_dump(exclude={"is_deleted"})
    return [ProductUpdated(product=Product.model_validate({**kept, "updated_at": now}))]


def existing(state: StoredProduct | None) -> StoredProduct | None:
    """Return the product, None if it was deleted."""
    return None if state is None or state.is_deleted else state


def decide_delete_product(state: StoredProduct | None, product_id: str) -> ProductDeleted:
    """Return the deletion; whether rules and collections still name it, the gateway has asked."""
    if existing(state) is None:
        raise NotFound.of("product", product_id)
    return ProductDeleted(product_id=product_id)


def evolve(state: StoredProduct | None, event: ProductEvent) -> StoredProduct:
    """Return the product after the event."""
    if isinstance(event, ProductDeleted):
        assert existing(state) is not None, "only a product that is there is deleted"
        assert state is not None, "which the line above says too"
        return state.model_copy(update={"is_deleted": True})
    is_new = isinstance(event, ProductCreated)
    assert (existing(state) is None) is is_new, "a product is created first, or again"
    return StoredProduct.model_validate(event.product.model_dump())
