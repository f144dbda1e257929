"""An order as upstream or the API sends it, and as the ledger's facts leave it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from contracts import ids
from contracts.customers import Order, OrderCreated, OrderUpdated, UpsertOrder
from contracts.errors import InvalidPayload, JsonObject, NotFound
from contracts.payload import (
    Fields,
    boolean,
    instant,
    join,
    json_object,
    list_of,
    merge_metadata,
    metadata,
    object_of,
    one_of,
    optional,
    read,
    read_leniently,
    refuse,
    storable_object,
    text,
    whole_number,
)
from customers import limits
from customers.domain.customer import ID, SOURCE_ID

OrderEvent = OrderCreated | OrderUpdated
NO_PRICES: Mapping[str, int] = {}
STATUSES = ("CREATED", "PAID", "CANCELED", "PROCESSING", "FULFILLED")


class OrderState(BaseModel):
    """The order, and the newest of the ledger's facts that it shows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: Order
    caused_by: str | None = None
    caused_at: datetime | None = None


_AMOUNT = optional(whole_number(0, limits.AMOUNT_MINOR_MAX))
_QUANTITY = optional(whole_number(1, limits.ITEM_QUANTITY_MAX))
_NAME = optional(text(limits.NAME_LENGTH_MAX))
_CATALOGUE_ENTRY: Fields = {
    "id": optional(ID),
    "source_id": optional(SOURCE_ID),
    "name": _NAME,
    "sku": _NAME,
    "price": optional(whole_number(0, limits.PRICE_MINOR_MAX)),
    "metadata": metadata,
    "override": boolean,
}
ITEM: Fields = {
    "id": optional(ID),
    "product_id": optional(ID),
    "sku_id": optional(ID),
    "related_object": optional(one_of("product", "sku")),
    "source_id": optional(SOURCE_ID),
    "quantity": _QUANTITY,
    "initial_quantity": optional(whole_number(0, limits.ITEM_QUANTITY_MAX)),
    "discount_quantity": optional(whole_number(0, limits.ITEM_QUANTITY_MAX)),
    "price": optional(whole_number(0, limits.PRICE_MINOR_MAX)),
    "amount": _AMOUNT,
    "initial_amount": _AMOUNT,
    "discount_amount": _AMOUNT,
    "product": optional(object_of(_CATALOGUE_ENTRY)),
    "sku": optional(object_of(_CATALOGUE_ENTRY)),
    "metadata": metadata,
}
_OWN: Fields = {
    "source_id": optional(SOURCE_ID),
    "status": one_of(*STATUSES),
    "amount": _AMOUNT,
    "initial_amount": _AMOUNT,
    "discount_amount": _AMOUNT,
    "metadata": metadata,
    "referrer_id": optional(ID),
}
FIELDS: Fields = {
    **_OWN,
    "items": optional(list_of(json_object, limits.ORDER_ITEMS_MAX)),
    "created_at": optional(instant),
}
PRICED: Fields = {
    **_OWN,
    "items_discount_amount": _AMOUNT,
    "total_discount_amount": _AMOUNT,
    "total_amount": _AMOUNT,
    "items": list_of(storable_object, limits.ORDER_ITEMS_MAX),
}
"""What the ledger's events say of an order: priced by the engine, so nothing is computed again."""

PRICED_AMOUNTS = tuple(name for name in PRICED if name.endswith("amount"))
AMOUNTS = ("amount", "initial_amount", "discount_amount", "items")


def decide_upsert_order(
    state: OrderState | None,
    project_id: str,
    command: UpsertOrder,
    now: datetime,
    customer_id: str | None,
    prices: Mapping[str, int] = NO_PRICES,
) -> Sequence[OrderEvent]:
    """Return what the upsert changes. ``customer_id`` is that of the customer sent along.

    ``prices`` are those of the catalogue by product and SKU id, for lines sent without one.
    """
    if state is None and command.must_exist:
        raise NotFound.of("order", command.order_id)
    values = read(command.changes, FIELDS)
    stored = state.order if state is not None else None
    _check_identity(project_id, command.order_id, stored, values)
    if values.get("items") is not None:
        values["items"] = [
            _at_price(read_item(project_id, body, f"items[{index}]"), prices)
            for index, body in enumerate(values["items"])
        ]
    if "metadata" in values:
        values["metadata"] = merge_metadata(stored.metadata if stored else {}, values["metadata"])
    if any(name in values for name in AMOUNTS):
        values.update(_amounts(stored, values))
    if customer_id is not None:
        values["customer_id"] = customer_id
    return _events(state, command.order_id, values, now)


def decide_apply_fact(
    state: OrderState | None,
    project_id: str,
    order_id: str,
    body: JsonObject,
    status: str,
    customer_id: str | None,
    cause: tuple[str, datetime],
    now: datetime,
) -> Sequence[OrderEvent]:
    """Return what a redemption or rollback changes; nothing if a newer or the same one was applied.

    ``cause`` is the redemption's or rollback's id and its time. Nothing is refused: it has happened.
    """
    # Of two facts of one instant the greater id counts: whoever folds them ends with the same.
    caused_at, caused_by = (state.caused_at, state.caused_by) if state else (None, None)
    if caused_at is not None and caused_by is not None and cause[::-1] <= (caused_at, caused_by):
        return []
    read_values = read_leniently(body, PRICED)
    values = {name: value for name, value in read_values.items() if value is not None}
    if "amount" in values:
        # A priced order is complete: an amount that it leaves out is zero.
        values = {**dict.fromkeys(PRICED_AMOUNTS), **values}
    source_id = values.pop("source_id", None)
    stored = state.order if state is not None else None
    if stored is None and source_id and ids.order_id(project_id, source_id) == order_id:
        values["source_id"] = source_id
    if "metadata" in values:
        values["metadata"] = {**(stored.metadata if stored else {}), **values["metadata"]}
    values["status"] = status
    if customer_id is not None:
        values["customer_id"] = customer_id
    return _events(state, order_id, values, now, cause)


def evolve(state: OrderState | None, event: OrderEvent) -> OrderState:
    """Return the state after the event."""
    assert (state is None) == isinstance(event, OrderCreated), "an order is created once, first"
    if event.caused_by is not None or state is None:
        return OrderState(order=event.order, caused_by=event.caused_by, caused_at=event.caused_at)
    return state.model_copy(update={"order": event.order})


def read_item(project_id: str, body: JsonObject, path: str) -> JsonObject:
    """Return a line with its ids and its amount filled in."""
    item = {name: value for name, value in read(body, ITEM, path).items() if value is not None}
    entry = item.get("sku") or item.get("product") or {}
    kind = item.get("related_object") or ("sku" if "sku" in item else "product")
    source_id = item.get("source_id") or entry.get("source_id")
    if source_id is not None and f"{kind}_id" not in item:
        derive = ids.sku_id if kind == "sku" else ids.product_id
        item[f"{kind}_id"] = derive(project_id, source_id)
    elif "id" in entry:
        item.setdefault(f"{kind}_id", entry["id"])
    if "price" not in item and "price" in entry:
        item["price"] = entry["price"]
    if "price" in item:
        item.setdefault("quantity", 1)
        item["amount"] = item["price"] * item["quantity"]
        if item["amount"] > limits.AMOUNT_MINOR_MAX:
            raise refuse(join(path, "amount"), f"must be at most {limits.AMOUNT_MINOR_MAX}")
    if item.get("discount_amount", 0) > item.get("amount", limits.AMOUNT_MINOR_MAX):
        raise refuse(join(path, "discount_amount"), "must be at most the line's amount")
    return {"object": "order_item", **item}


def unpriced(project_id: str, items: Any) -> Sequence[str]:
    """Return the products and SKUs of lines that were sent without a price."""
    if not isinstance(items, list) or len(items) > limits.ORDER_ITEMS_MAX:
        return []
    found = []
    for body in items:
        try:
            item = read_item(project_id, json_object("items", body), "items")
        except InvalidPayload:
            continue
        if _lacks_price(item):
            found.append(item.get("sku_id") or item["product_id"])
    return found


def _lacks_price(item: JsonObject) -> bool:
    is_of_catalogue = "sku_id" in item or "product_id" in item
    return is_of_catalogue and "price" not in item and "amount" not in item


def _at_price(item: JsonObject, prices: Mapping[str, int]) -> JsonObject:
    price = prices.get(item.get("sku_id") or item["product_id"]) if _lacks_price(item) else None
    if price is None:
        return item
    quantity = item.get("quantity", 1)
    return {**item, "price": price, "quantity": quantity, "amount": price * quantity}


def _check_identity(
    project_id: str, order_id: str, stored: Order | None, values: dict[str, Any]
) -> None:
    source_id = values.pop("source_id", None)
    created_at = values.pop("created_at", None)
    if stored is not None:
        if source_id is not None and source_id != stored.source_id:
            raise refuse("source_id", "must not change")
        return
    ID("id", order_id)
    if created_at is not None:
        values["created_at"] = created_at
    if source_id is not None:
        id_of_source = ids.order_id(project_id, source_id)
        if order_id != id_of_source:
            reason = f"must be sent without an id: this one names {id_of_source}"
            raise refuse("source_id", reason)
        values["source_id"] = source_id


def _amounts(stored: Order | None, values: dict[str, Any]) -> dict[str, Any]:
    """Return the amounts that follow from those sent and the lines."""
    items = values.get("items")
    if items is None:
        items = stored.items if stored is not None else []
    sums = [item["amount"] for item in items if item.get("amount") is not None]
    of_items = sum(sums) if sums else None
    is_from_items = values.get("items") is not None and values.get("amount") is None
    amount = values.get("amount")
    if amount is None:
        amount = of_items if is_from_items or stored is None else stored.amount
    initial = values.get("initial_amount")
    if initial is None:
        initial = of_items if of_items is not None and is_from_items else amount
    discount = values.get("discount_amount", stored.discount_amount if stored is not None else None)
    discounts = [item["discount_amount"] for item in items if item.get("discount_amount")]
    items_discount = sum(discounts) if discounts else None
    total = (discount or 0) + (items_discount or 0)
    if amount is not None and amount > limits.AMOUNT_MINOR_MAX:
        raise refuse("amount", f"must be at most {limits.AMOUNT_MINOR_MAX}")
    if total > (amount or 0):
        sent = [name for name in ("discount_amount", "items") if values.get(name) is not None]
        reason = f"must leave room: discounts are {total}, the amount is {amount or 0}"
        raise refuse(sent[0] if sent else "amount", reason)
    return {
        "items": items,
        "amount": amount,
        "initial_amount": initial,
        "discount_amount": discount,
        "items_discount_amount": items_discount,
        "total_discount_amount": total if discount is not None or discounts else None,
        "total_amount": None if amount is None else amount - total,
    }


def _events(
    state: OrderState | None,
    order_id: str,
    values: dict[str, Any],
    now: datetime,
    cause: tuple[str, datetime] | None = None,
) -> Sequence[OrderEvent]:
    caused_by, caused_at = cause if cause is not None else (None, None)
    values = {name: value for name, value in values.items() if name != "items" or value is not None}
    if state is None:
        order = Order(id=order_id, **{"created_at": now, **values})
        return [OrderCreated(order=order, caused_by=caused_by, caused_at=caused_at)]
    order = state.order.model_copy(update=values)
    if order == state.order and cause is None:
        return []
    return [
        OrderUpdated(
            order=order.model_copy(update={"updated_at": now}),
            previous_status=state.order.status,
            caused_by=caused_by,
            caused_at=caused_at,
        )
    ]
