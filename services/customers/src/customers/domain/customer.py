"""A customer, and which segments with a filter it is in."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from contracts.customers import (
    Customer,
    CustomerCreated,
    CustomerEnteredSegment,
    CustomerLeftSegment,
    CustomerUpdated,
)
from contracts.errors import JsonObject, NotFound
from contracts.payload import (
    Fields,
    Reader,
    calendar_date,
    join,
    merge_metadata,
    metadata,
    object_of,
    optional,
    read,
    read_leniently,
    refuse,
    text,
)
from customers import limits

CustomerEvent = CustomerCreated | CustomerUpdated | CustomerEnteredSegment | CustomerLeftSegment


class CustomerState(BaseModel):
    """The customer as others see it, and the auto-update segments it is in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    customer: Customer
    segments: list[str] = []


ID: Reader = text(
    limits.ID_LENGTH_MAX, pattern=r"[A-Za-z0-9_.-]+", meaning="of letters, digits and _ . -"
)
SOURCE_ID: Reader = text(
    limits.SOURCE_ID_LENGTH_MAX, pattern=r"(?s).+", meaning="a non-empty string"
)
_EMAIL = text(
    limits.EMAIL_LENGTH_MAX,
    pattern=r"[^\s@<>,;\x00-\x1f]+@[^\s@<>,;\x00-\x1f]+",
    meaning="an e-mail address",
)
_LINE = optional(text(limits.ADDRESS_LINE_LENGTH_MAX))


def _email(path: str, value: Any) -> str | None:
    # Shops that have no address send an empty one.
    return None if value is None or value == "" else str(_EMAIL(path, value))


ADDRESS: Fields = dict.fromkeys(
    ("city", "state", "line_1", "line_2", "country", "postal_code"), _LINE
)
FIELDS: Fields = {
    "source_id": optional(SOURCE_ID),
    "name": optional(text(limits.NAME_LENGTH_MAX)),
    "email": _email,
    "phone": optional(text(limits.SOURCE_ID_LENGTH_MAX)),
    "birthdate": optional(calendar_date),
    "birthday": optional(calendar_date),
    "description": optional(text(limits.DESCRIPTION_LENGTH_MAX)),
    "address": optional(object_of(ADDRESS)),
    "metadata": metadata,
    "system_metadata": metadata,
}


def decide_upsert_customer(
    state: CustomerState | None,
    customer_id: str,
    changes: JsonObject,
    now: datetime,
    *,
    id_of_source: str | None,
    must_exist: bool = False,
    path: str = "",
) -> Sequence[CustomerEvent]:
    """Return what the upsert changes; ``path`` leads to the customer inside a larger body.

    ``id_of_source`` is the id that follows from ``changes["source_id"]``, None if none was sent.
    """
    if state is None and must_exist:
        raise NotFound.of("customer", customer_id)
    values = read(changes, FIELDS, path)
    stored = state.customer if state is not None else None
    if stored is None:
        ID(join(path, "id"), customer_id)
    source_id = values.pop("source_id", None)
    if source_id is not None and stored is None:
        if customer_id != id_of_source:
            reason = f"must be sent without an id: this one names {id_of_source}"
            raise refuse(join(path, "source_id"), reason)
        values["source_id"] = source_id
    elif stored is not None and source_id not in {None, stored.source_id}:
        # Where both are sent the id wins only as the address; the name itself cannot move.
        raise refuse(join(path, "source_id"), "must not change")
    return _events(stored, customer_id, _merged(stored, values, path), now)


def decide_take_over(
    state: CustomerState | None,
    customer_id: str,
    changes: JsonObject,
    now: datetime,
    *,
    id_of_source: str | None,
    only_missing: bool = False,
) -> Sequence[CustomerEvent]:
    """Return what another service's fact changes. It has happened, so nothing of it is refused.

    ``only_missing`` fills in what is not known yet: the fact shows the customer as it was earlier.
    """
    values = read_leniently(changes, FIELDS)
    source_id = values.pop("source_id", None)
    stored = state.customer if state is not None else None
    if stored is None and source_id is not None and customer_id == id_of_source:
        values["source_id"] = source_id
    if only_missing and stored is not None:
        values = {name: value for name, value in values.items() if not getattr(stored, name)}
    return _events(stored, customer_id, _merged(stored, values, ""), now)


def decide_memberships(
    state: CustomerState, wanted: Sequence[tuple[str, str, bool]]
) -> Sequence[CustomerEvent]:
    """Return which segments the customer enters and leaves.

    ``wanted`` says of each segment: id, name, and whether the customer matches its filter.
    """
    customer_id = state.customer.id
    events: list[CustomerEvent] = []
    for segment_id, name, is_match in wanted:
        is_member = segment_id in state.segments
        kind = CustomerEnteredSegment if is_match else CustomerLeftSegment
        if is_match != is_member:
            events.append(kind(customer_id=customer_id, segment_id=segment_id, segment_name=name))
    return events


def evolve(state: CustomerState | None, event: CustomerEvent) -> CustomerState:
    """Return the state after the event."""
    assert (state is None) == isinstance(event, CustomerCreated), "created once, first"
    if isinstance(event, (CustomerCreated, CustomerUpdated)):
        return CustomerState(
            customer=event.customer, segments=state.segments if state is not None else []
        )
    assert state is not None, "a customer exists before it enters anything"
    others = [segment for segment in state.segments if segment != event.segment_id]
    is_in = isinstance(event, CustomerEnteredSegment)
    return state.model_copy(update={"segments": [*others, event.segment_id] if is_in else others})


def _merged(stored: Customer | None, values: dict[str, Any], path: str) -> dict[str, Any]:
    """Merge what is merged key by key: metadata and the address."""
    merged = dict(values)
    for name in ("metadata", "system_metadata"):
        if name in values:
            old = getattr(stored, name) if stored is not None else {}
            merged[name] = merge_metadata(old, values[name], join(path, name))
    if values.get("address") is not None:
        old_address = (stored.address if stored is not None else None) or {}
        lines = {**old_address, **values["address"]}
        merged["address"] = {name: line for name, line in lines.items() if line is not None} or None
    return merged


def _events(
    stored: Customer | None, customer_id: str, values: dict[str, Any], now: datetime
) -> Sequence[CustomerEvent]:
    if stored is None:
        return [CustomerCreated(customer=Customer(id=customer_id, created_at=now, **values))]
    customer = stored.model_copy(update=values)
    if customer == stored:
        return []
    return [CustomerUpdated(customer=customer.model_copy(update={"updated_at": now}))]
