"""Orders, of which two services tell: their owner, and the ledger, whose redemption pays them.

The ledger's word counts at once; as soon as the owner has taken it over (``caused_at`` is the time of the
same redemption or rollback, or of a later one) the owner's counts again. Each has columns of its own, and
what is shown is made of them, so the order of arrival does not matter.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from contracts.customers import OrderCreated, OrderUpdated
from contracts.errors import JsonObject
from contracts.messages import Envelope, Event
from gateway.read_models.documents import PROJECT_AND_ID
from runtime.read_model import Fold, RowKey, Rows, Table

ORDERS = Table(
    "orders",
    PROJECT_AND_ID,
    {
        "source_id": "text",
        "doc": "jsonb",
        "caused_at": "timestamptz",
        "ledger_doc": "jsonb",
        "ledger_at": "timestamptz",
        "ledger_created_at": "timestamptz",
        "ledger_position": "bigint",
        "status": "text",
        "customer_id": "text",
        "amount": "bigint",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
    },
)


def keys_order(event: OrderCreated | OrderUpdated, envelope: Envelope) -> Iterable[RowKey]:
    yield ORDERS, (envelope.project_id, event.order.id)


def apply_order(rows: Rows, event: OrderCreated | OrderUpdated, envelope: Envelope) -> None:
    state = event.order
    key = (envelope.project_id, state.id)
    row = rows.get(ORDERS, *key) or {}
    row["doc"] = state.model_dump(mode="json", exclude_none=True)
    row["source_id"] = state.source_id or row.get("source_id")
    row["caused_at"] = event.caused_at or row.get("caused_at")
    _put(rows, key, row)


def apply_ledger(rows: Rows, envelope: Envelope, order: JsonObject | None, at: datetime) -> None:
    """Take over what a redemption or rollback made of its order."""
    order_id = (order or {}).get("id")
    if order is None or order_id is None:
        return
    key = (envelope.project_id, order_id)
    row = rows.get(ORDERS, *key) or {}
    row["ledger_created_at"] = min(row.get("ledger_created_at") or at, at)
    if envelope.position > (row.get("ledger_position") or 0):
        row |= {"ledger_doc": order, "ledger_at": at, "ledger_position": envelope.position}
        row["source_id"] = order.get("source_id") or row.get("source_id")
    _put(rows, key, row)


def _put(rows: Rows, key: tuple[str, str], row: dict[str, Any]) -> None:
    told = shown(row)
    columns = {name: told.get(name) for name in ("status", "customer_id", "amount")}
    dates = {name: _moment(told.get(name)) for name in ("created_at", "updated_at")}
    rows.put(ORDERS, key, {**row, **columns, **dates})


def shown(row: Mapping[str, Any]) -> JsonObject:
    """Return the order's state: its owner's, or the ledger's while the owner is behind."""
    doc, ledger_doc = row.get("doc"), row.get("ledger_doc")
    if ledger_doc is None or (doc is not None and _has_taken_over(row)):
        assert doc is not None, "an order's row has what its owner or the ledger said"
        state: JsonObject = doc
        return state
    if "amount" in ledger_doc:
        # A priced order is complete: of what it does not say, the owner's older amounts say nothing either.
        doc = doc and {name: value for name, value in doc.items() if not name.endswith("amount")}
    status = "CANCELED" if ledger_doc.get("status") == "CANCELED" else "PAID"
    created_at = (doc or {}).get("created_at") or row["ledger_created_at"]
    updated_at = row["ledger_at"] if doc is not None else None
    dates = {"created_at": created_at, "updated_at": updated_at}
    customer_id = ledger_doc.get("customer_id") or (ledger_doc.get("customer") or {}).get("id")
    customer_id = customer_id or (doc or {}).get("customer_id")
    return {**(doc or {}), **ledger_doc, **dates, "status": status, "customer_id": customer_id}


def _has_taken_over(row: Mapping[str, Any]) -> bool:
    # Not when the owner last wrote: it may just have taken over what happened before this.
    caused_at: datetime | None = row.get("caused_at")
    return caused_at is not None and caused_at >= row["ledger_at"]


def _moment(told: datetime | str | None) -> datetime | None:
    return datetime.fromisoformat(told) if isinstance(told, str) else told


TABLES = [ORDERS]
ORDER = Fold(keys_order, apply_order)
FOLDS: dict[type[Event], Fold] = {OrderCreated: ORDER, OrderUpdated: ORDER}
