"""Asynchronous changes of many things: how far they are, and what was refused."""

from collections.abc import Iterable

from contracts.bulk import BulkAdvanced, BulkStarted
from contracts.campaigns import VouchersBulkAdvanced, VouchersBulkStarted
from contracts.catalog import ProductsBulkAdvanced, ProductsBulkStarted
from contracts.customers import CustomersBulkAdvanced, CustomersBulkStarted
from contracts.limits import BULK_FAILURES_SHOWN_MAX
from contracts.messages import Envelope, Event
from gateway.read_models.campaigns import ACTIONS
from runtime.read_model import Fold, RowKey, Rows


def keys_action(event: BulkStarted | BulkAdvanced, envelope: Envelope) -> Iterable[RowKey]:
    yield ACTIONS, (envelope.project_id, event.action_id)


def apply_started(rows: Rows, event: BulkStarted, envelope: Envelope) -> None:
    row = {
        "type": event.kind,
        "request_id": envelope.correlation_id,
        "status": "IN_PROGRESS",
        "done": 0,
        "total": event.total,
        "failed_count": 0,
        "failed": [],
        "created_at": event.started_at,
        "updated_at": event.started_at,
    }
    rows.put(ACTIONS, (envelope.project_id, event.action_id), row)


def apply_advanced(rows: Rows, event: BulkAdvanced, envelope: Envelope) -> None:
    key = (envelope.project_id, event.action_id)
    action = rows.get(ACTIONS, *key)
    assert action is not None, "an action starts before it advances, in one stream"
    refused = [one.model_dump(mode="json", exclude_none=True) for one in event.refused]
    row = {
        **action,
        "status": "DONE" if event.done == event.total else "IN_PROGRESS",
        "done": event.done,
        "failed_count": action["failed_count"] + len(refused),
        "failed": [*action["failed"], *refused][:BULK_FAILURES_SHOWN_MAX],
        "updated_at": event.advanced_at,
    }
    rows.put(ACTIONS, key, row)


STARTED = Fold(keys_action, apply_started)
ADVANCED = Fold(keys_action, apply_advanced)
FOLDS: dict[type[Event], Fold] = {
    ProductsBulkStarted: STARTED,
    ProductsBulkAdvanced: ADVANCED,
    CustomersBulkStarted: STARTED,
    CustomersBulkAdvanced: ADVANCED,
    VouchersBulkStarted: STARTED,
    VouchersBulkAdvanced: ADVANCED,
}
