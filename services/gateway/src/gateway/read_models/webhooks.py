"""Webhook endpoints, and what became of deliveries."""

from collections.abc import Iterable
from typing import Any

from contracts.messages import Envelope, Event
from contracts.webhooks import (
    DeliveryAttempted,
    Endpoint,
    EndpointCreated,
    EndpointDeleted,
    EndpointDisabled,
    EndpointSecretRotated,
    EndpointUpdated,
)
from gateway import limits
from gateway.read_models.documents import PROJECT_AND_ID, document
from runtime.read_model import Fold, Row, RowKey, Rows, Table

ENDPOINTS = Table("endpoints", PROJECT_AND_ID, {"created_at": "timestamptz", "doc": "jsonb"})
DELIVERIES = Table(
    "deliveries",
    PROJECT_AND_ID,
    {
        "endpoint_id": "text",
        "event_type": "text",
        "status": "text",
        "updated_at": "timestamptz",
        "attempts": "jsonb",
    },
)
TABLES = [ENDPOINTS, DELIVERIES]


def endpoint_columns(state: Endpoint) -> Row:
    return {"created_at": state.created_at}


def keys_deleted(event: EndpointDeleted, envelope: Envelope) -> Iterable[RowKey]:
    yield ENDPOINTS, (envelope.project_id, event.endpoint_id)


def apply_deleted(rows: Rows, event: EndpointDeleted, envelope: Envelope) -> None:
    rows.delete(ENDPOINTS, envelope.project_id, event.endpoint_id)


def keys_attempted(event: DeliveryAttempted, envelope: Envelope) -> Iterable[RowKey]:
    yield DELIVERIES, (envelope.project_id, event.delivery_id)


def apply_attempted(rows: Rows, event: DeliveryAttempted, envelope: Envelope) -> None:
    key = (envelope.project_id, event.delivery_id)
    before: list[Any] = (rows.get(DELIVERIES, *key) or {}).get("attempts") or []
    told = event.model_dump(mode="json", exclude_none=True)
    dropped = {"delivery_id", "endpoint_id", "event_type"}
    attempt = {name: value for name, value in told.items() if name not in dropped}
    row = {
        "endpoint_id": event.endpoint_id,
        "event_type": event.event_type,
        "status": event.status,
        "updated_at": event.attempted_at,
        "attempts": [*before, attempt][-limits.DELIVERY_ATTEMPTS_SHOWN_MAX :],
    }
    rows.put(DELIVERIES, key, row)


ENDPOINT = document(ENDPOINTS, lambda event: event.endpoint, endpoint_columns)
FOLDS: dict[type[Event], Fold] = {
    EndpointCreated: ENDPOINT,
    EndpointUpdated: ENDPOINT,
    EndpointDisabled: ENDPOINT,
    EndpointSecretRotated: ENDPOINT,
    EndpointDeleted: Fold(keys_deleted, apply_deleted),
    DeliveryAttempted: Fold(keys_attempted, apply_attempted),
}
IGNORED: list[type[Event]] = []
