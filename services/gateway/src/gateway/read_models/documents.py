"""The most common fold: a row that is an object's newest state."""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

from contracts.messages import Envelope, Event
from runtime.read_model import Fold, Row, RowKey, Rows, Table


def document(
    table: Table,
    state_of: Callable[[Any], BaseModel],
    columns_of: Callable[[Any], Row] = lambda _: {},
) -> Fold:
    """Return a fold that replaces the row of the event's state.

    ``columns_of(state)`` gives the columns besides ``doc``, which is the state as JSON.
    """

    def keys(event: Event, envelope: Envelope) -> Iterable[RowKey]:
        yield table, (envelope.project_id, state_of(event).id)  # type: ignore[attr-defined]

    def apply(rows: Rows, event: Event, envelope: Envelope) -> None:
        state = state_of(event)
        key = (envelope.project_id, state.id)  # type: ignore[attr-defined]
        row = rows.get(table, *key) or {}
        doc = state.model_dump(mode="json", exclude_none=True)
        rows.put(table, key, {**row, **columns_of(state), "doc": doc})

    return Fold(keys, apply)


def removal(table: Table, id_of: Callable[[Any], str]) -> Fold:
    """Return a fold that removes the row of what the event deleted."""

    def keys(event: Event, envelope: Envelope) -> Iterable[RowKey]:
        yield table, (envelope.project_id, id_of(event))

    def apply(rows: Rows, event: Event, envelope: Envelope) -> None:
        rows.delete(table, envelope.project_id, id_of(event))

    return Fold(keys, apply)


PROJECT_AND_ID = {"project_id": "text", "id": "text"}
