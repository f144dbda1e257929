"""Asynchronous changes of many things: what a service is told in parts, and what it tells of them.

The types themselves are each service's own (``catalog.ChangeProductsInBulk`` …); here is what they share.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from contracts.errors import JsonObject
from contracts.limits import BULK_FAILURES_SHOWN_MAX
from contracts.messages import Command, Event


class BulkElement(BaseModel):
    """What one thing is to be; ``row`` is its line in an imported file, the header being line 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: int | None = None
    body: JsonObject


class BulkRefusal(BaseModel):
    """An element that was refused, with the error that it would have got by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: int | None = None
    source_id: str | None = None
    code: str | None = None
    key: str
    message: str
    details: str


class BulkPart(Command):
    """A part of the elements; the action begins with the last. ``part`` counts from 0."""

    action_id: str
    kind: str
    """The public type of the action, such as ``PRODUCTS.BULK_UPDATE``."""
    part: int
    is_last: bool
    elements: list[BulkElement]


class BulkStarted(Event):
    """All parts are there."""

    action_id: str
    kind: str
    total: int
    started_at: datetime


class BulkAdvanced(Event):
    """A part was taken; the last one has ``done`` equal to ``total``."""

    action_id: str
    done: int
    """Elements that were looked at so far, the refused ones among them."""
    total: int
    refused: list[BulkRefusal]
    """Those of this part."""
    advanced_at: datetime


class BulkAction(BaseModel):
    """How far an action is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action_id: str
    kind: str
    total: int
    done: int = 0
    failed_count: int = 0
    failed: list[BulkRefusal] = []
    """The first of the refused; the log has all."""
    started_at: datetime
    updated_at: datetime


def evolve(state: BulkAction | None, event: BulkStarted | BulkAdvanced) -> BulkAction:
    """Return how far the action is after the event."""
    if isinstance(event, BulkStarted):
        assert state is None, "an action starts once"
        return BulkAction(
            action_id=event.action_id,
            kind=event.kind,
            total=event.total,
            started_at=event.started_at,
            updated_at=event.started_at,
        )
    assert state is not None, "an action starts before it advances"
    assert state.done < event.done <= state.total, "every part moves it on, none beyond its end"
    return state.model_copy(
        update={
            "done": event.done,
            "failed_count": state.failed_count + len(event.refused),
            "failed": [*state.failed, *event.refused][:BULK_FAILURES_SHOWN_MAX],
            "updated_at": event.advanced_at,
        }
    )
