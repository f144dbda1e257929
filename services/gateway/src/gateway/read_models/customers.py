"""Customers, segments, orders.

An order is told of by two services: its owner, and the ledger, whose redemption pays it. The ledger's
word counts at once; as soon as the owner has taken it over (``caused_by`` names the same redemption or
rollback) the owner's counts again. Each has columns of its own, so the order of arrival does not matter.
"""

from collections.abc import Iterable
from typing import Any

from contracts.customers import (
    Customer,
    CustomerCreated,
    CustomerEnteredSegment,
    CustomerLeftSegment,
    CustomerUpdated,
    CustomEventRecorded,
    OrderCreated,
    OrderUpdated,
    Segment,
    SegmentCreated,
)
from contracts.messages import Envelope, Event
from gateway.read_models.documents import PROJECT_AND_ID, document
from runtime.read_model import Fold, Row, RowKey, Rows, Table

CUSTOMERS = Table(
    "customers",
    PROJECT_AND_ID,
    {
        "source_id": "text",
        "name": "text",
        "email": "text",
        "city": "text",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
        "doc": "jsonb",
    },
)
SEGMENTS = Table(
    "segments", PROJECT_AND_ID, {"name": "text", "created_at": "timestamptz", "doc": "jsonb"}
)
MEMBERS = Table(
    "segment_members", {"project_id": "text", "segment_id": "text", "customer_id": "text"}, {}
)
ORDERS = Table(
    "orders",
    PROJECT_AND_ID,
    {
        "source_id": "text",
        "doc": "jsonb",
        "caused_by": "text",
        "ledger_doc": "jsonb",
        "ledger_cause": "text",
        "ledger_at": "timestamptz",
        "ledger_created_at": "timestamptz",
    },
)
TABLES = [CUSTOMERS, SEGMENTS, MEMBERS, ORDERS]


def customer_columns(state: Customer) -> Row:
    return {
        "source_id": state.source_id,
        "name": state.name,
        "email": state.email,
        "city": (state.address or {}).get("city"),
        "created_at": state.created_at,
        "updated_at": state.updated_at,
    }


def segment_columns(state: Segment) -> Row:
    return {"name": state.name, "created_at": state.created_at}


def keys_order(event: Any, envelope: Envelope) -> Iterable[RowKey]:
    yield ORDERS, (envelope.project_id, event.order.id)


def apply_order(rows: Rows, event: OrderCreated | OrderUpdated, envelope: Envelope) -> None:
    state = event.order
    key = (envelope.project_id, state.id)
    row = rows.get(ORDERS, *key) or {}
    row["doc"] = state.model_dump(mode="json", exclude_none=True)
    row["source_id"] = state.source_id or row.get("source_id")
    row["caused_by"] = event.caused_by or row.get("caused_by")
    rows.put(ORDERS, key, row)


def keys_member(event: Any, envelope: Envelope) -> Iterable[RowKey]:
    yield MEMBERS, (envelope.project_id, event.segment_id, event.customer_id)


def apply_entered(rows: Rows, event: CustomerEnteredSegment, envelope: Envelope) -> None:
    rows.put(MEMBERS, (envelope.project_id, event.segment_id, event.customer_id), {})


def apply_left(rows: Rows, event: CustomerLeftSegment, envelope: Envelope) -> None:
    rows.delete(MEMBERS, envelope.project_id, event.segment_id, event.customer_id)


CUSTOMER = document(CUSTOMERS, lambda event: event.customer, customer_columns)
ORDER = Fold(keys_order, apply_order)
FOLDS: dict[type[Event], Fold] = {
    CustomerCreated: CUSTOMER,
    CustomerUpdated: CUSTOMER,
    SegmentCreated: document(SEGMENTS, lambda event: event.segment, segment_columns),
    CustomerEnteredSegment: Fold(keys_member, apply_entered),
    CustomerLeftSegment: Fold(keys_member, apply_left),
    OrderCreated: ORDER,
    OrderUpdated: ORDER,
}
IGNORED: list[type[Event]] = [CustomEventRecorded]
"""The API has no list of custom events."""
