"""Customers and segments."""

from collections.abc import Iterable
from typing import Any

from contracts.customers import (
    Customer,
    CustomerCreated,
    CustomerEnteredSegment,
    CustomerLeftSegment,
    CustomerUpdated,
    CustomEventRecorded,
    Segment,
    SegmentCreated,
)
from contracts.messages import Envelope, Event
from gateway.read_models.documents import PROJECT_AND_ID, document
from runtime.read_model import Fold, Key, Row, RowKey, Rows, Table

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
TABLES = [CUSTOMERS, SEGMENTS, MEMBERS]


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


def keys_member(event: Any, envelope: Envelope) -> Iterable[RowKey]:
    yield MEMBERS, (envelope.project_id, event.segment_id, event.customer_id)


def apply_entered(rows: Rows, event: CustomerEnteredSegment, envelope: Envelope) -> None:
    rows.put(MEMBERS, (envelope.project_id, event.segment_id, event.customer_id), {})


def apply_left(rows: Rows, event: CustomerLeftSegment, envelope: Envelope) -> None:
    rows.delete(MEMBERS, envelope.project_id, event.segment_id, event.customer_id)


def _members(event: SegmentCreated, envelope: Envelope) -> Iterable[Key]:
    """Return the members that a static segment was made with; no event tells of each."""
    for customer_id in event.segment.customer_ids:
        yield envelope.project_id, event.segment.id, customer_id


def keys_segment(event: SegmentCreated, envelope: Envelope) -> Iterable[RowKey]:
    yield from SEGMENT.keys(event, envelope)
    for key in _members(event, envelope):
        yield MEMBERS, key


def apply_segment(rows: Rows, event: SegmentCreated, envelope: Envelope) -> None:
    SEGMENT.apply(rows, event, envelope)
    for key in _members(event, envelope):
        rows.put(MEMBERS, key, {})


SEGMENT = document(SEGMENTS, lambda event: event.segment, segment_columns)
CUSTOMER = document(CUSTOMERS, lambda event: event.customer, customer_columns)
FOLDS: dict[type[Event], Fold] = {
    CustomerCreated: CUSTOMER,
    CustomerUpdated: CUSTOMER,
    SegmentCreated: Fold(keys_segment, apply_segment),
    CustomerEnteredSegment: Fold(keys_member, apply_entered),
    CustomerLeftSegment: Fold(keys_member, apply_left),
}
IGNORED: list[type[Event]] = [CustomEventRecorded]
"""The API has no list of custom events."""
