"""A product: created by its first upsert, changed by those that differ."""

from collections.abc import Sequence
from datetime import datetime

from catalog import limits
from catalog.domain.common import METADATA, NAME, PRICE, SOURCE_ID, URL, read_changes
from contracts.catalog import Product, ProductCreated, ProductUpdated, UpsertProduct
from contracts.errors import NotFound
from contracts.payload import Fields, list_of, optional, text

ProductEvent = ProductCreated | ProductUpdated

FIELDS: Fields = {
    "source_id": SOURCE_ID,
    "name": NAME,
    "price": PRICE,
    "attributes": optional(list_of(text(limits.ATTRIBUTE_LENGTH_MAX), limits.ATTRIBUTES_MAX)),
    "metadata": METADATA,
    "image_url": URL,
}


def decide_upsert_product(
    state: Product | None,
    command: UpsertProduct,
    now: datetime,
    id_of_source: str | None,
) -> Sequence[ProductEvent]:
    """Return what the upsert changes: nothing if the product already is as sent."""
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
    return [ProductUpdated(product=product.model_copy(update={"updated_at": now}))]


def evolve(state: Product | None, event: ProductEvent) -> Product:
    """Return the product after the event."""
    assert (state is None) == isinstance(event, ProductCreated), "a product is created once, first"
    return event.product
