"""A stock keeping unit of a product."""

from collections.abc import Sequence
from datetime import datetime

from catalog.domain.common import METADATA, NAME, PRICE, SOURCE_ID, URL, read_changes
from contracts.catalog import Product, Sku, SkuCreated, SkuDeleted, SkuUpdated, UpsertSku
from contracts.errors import NotFound
from contracts.payload import Fields, optional, refuse, text

SkuEvent = SkuCreated | SkuUpdated | SkuDeleted


class StoredSku(Sku):
    """A SKU, and whether it is deleted: created again, it has the same stream."""

    is_deleted: bool = False


FIELDS: Fields = {
    "source_id": SOURCE_ID,
    "sku": NAME,
    "price": PRICE,
    "currency": optional(
        text(3, pattern="[A-Z]{3}", meaning="an ISO 4217 code of three capital letters")
    ),
    "attributes": METADATA,
    "image_url": URL,
    "metadata": METADATA,
}


def decide_upsert_sku(
    state: StoredSku | None,
    product: Product | None,
    command: UpsertSku,
    now: datetime,
    id_of_source: str | None,
    path: str = "",
) -> Sequence[SkuEvent]:
    """Return what the upsert changes; ``path`` leads to the SKU inside a larger body."""
    state = existing(state)
    if product is None:
        raise NotFound.of("product", command.product_id)
    is_elsewhere = state is not None and state.product_id != command.product_id
    if command.must_exist and (state is None or is_elsewhere):
        raise NotFound.of("sku", command.sku_id)
    if is_elsewhere:
        assert state is not None, "only a SKU that exists is elsewhere"
        name = f"{path}.source_id" if path else "source_id"
        raise refuse(name, f"must be unused: it names a SKU of product {state.product_id}")
    values = read_changes(
        state,
        command.changes,
        FIELDS,
        own_id=command.sku_id,
        id_of_source=id_of_source,
        path=path,
    )
    if state is None:
        sku = Sku(id=command.sku_id, product_id=product.id, created_at=now, **values)
        return [SkuCreated(sku=sku)]
    sku = state.model_copy(update=values)
    if sku == state:
        return []
    kept = sku.model_dump(exclude={"is_deleted"})
    return [SkuUpdated(sku=Sku.model_validate({**kept, "updated_at": now}))]


def existing(state: StoredSku | None) -> StoredSku | None:
    """Return the SKU, None if it was deleted."""
    return None if state is None or state.is_deleted else state


def decide_delete_sku(state: StoredSku | None, sku_id: str, product_id: str) -> SkuDeleted:
    """Return the deletion; a SKU of another product is not found."""
    known = existing(state)
    if known is None or known.product_id != product_id:
        raise NotFound.of("sku", sku_id)
    return SkuDeleted(sku_id=sku_id, product_id=product_id)


def evolve(state: StoredSku | None, event: SkuEvent) -> StoredSku:
    """Return the SKU after the event."""
    if isinstance(event, SkuDeleted):
        assert state is not None, "only a SKU that is there is deleted"
        return state.model_copy(update={"is_deleted": True})
    is_new = isinstance(event, SkuCreated)
    assert (existing(state) is None) is is_new, "a SKU is created first, or again"
    return StoredSku.model_validate(event.sku.model_dump())
