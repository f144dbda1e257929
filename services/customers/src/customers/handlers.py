"""Load, decide, append. The tables at the end are the table of contents."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from contracts import ids, topics
from contracts.customers import (
    CreateSegment,
    Customer,
    RecordCustomEvent,
    Segment,
    UpsertCustomer,
    UpsertOrder,
)
from contracts.distribution import PublicationSucceeded
from contracts.errors import JsonObject
from contracts.ledger import RedemptionRolledBack, RedemptionSucceeded
from contracts.messages import Command, Envelope, Event
from contracts.payload import join, json_object, metadata, refuse, required
from customers import limits, queries
from customers.domain import custom_event as custom_events
from customers.domain import customer as customers
from customers.domain import order as orders
from customers.domain import segment as segments
from customers.domain.custom_event import (
    RecordedEvent,
    check_custom_event,
    decide_record_custom_event,
)
from customers.domain.customer import (
    SOURCE_ID,
    CustomerEvent,
    CustomerState,
    decide_memberships,
    decide_take_over,
    decide_upsert_customer,
)
from customers.domain.order import OrderState, decide_apply_fact, decide_upsert_order
from customers.domain.segment import decide_create_segment, wanted
from runtime.aggregate import Aggregate
from runtime.consumer import Handler
from runtime.database import Connection
from runtime.unit import Unit

CUSTOMER: Aggregate[CustomerState] = Aggregate("customer", CustomerState, customers.evolve)
SEGMENT: Aggregate[Segment] = Aggregate("segment", Segment, segments.evolve)
ORDER: Aggregate[OrderState] = Aggregate("order", OrderState, orders.evolve)
CUSTOM_EVENT: Aggregate[RecordedEvent] = Aggregate(
    "custom-event", RecordedEvent, custom_events.evolve
)

Streams = Iterable[tuple[Aggregate[Any], str]]


class Context(NamedTuple):
    """What a batch has read besides its aggregates."""

    segments: dict[str, list[Segment]]
    """Each project's segments with a filter."""
    prices: dict[str, dict[str, int]]
    """Each project's catalogue prices of what was ordered without one."""


async def prepare(connection: Connection, messages: Sequence[tuple[Envelope, Any]]) -> Context:
    """Lock and read the segments of the batch's projects, and read the prices it lacks."""
    makers = {one.project_id for one, message in messages if isinstance(message, CreateSegment)}
    others = {one.project_id for one, _ in messages} - makers
    await queries.lock_segments(connection, sorted(others), sorted(makers))
    unpriced = {
        (envelope.project_id, one)
        for envelope, message in messages
        for one in orders.unpriced(envelope.project_id, _items(message))
    }
    return Context(
        await queries.dynamic_segments(connection, sorted(makers | others)),
        await queries.catalogue_prices(connection, sorted(unpriced)) if unpriced else {},
    )


def _items(message: Any) -> Any:
    """Return the lines of an order, whether it came as a command or by intake."""
    body = message.changes if isinstance(message, UpsertOrder) else message
    return body.get("items") if isinstance(body, dict) else None


# -- commands -----------------------------------------------------------------------------------


async def upsert_customer(unit: Unit, command: UpsertCustomer) -> JsonObject:
    """Create or change a customer."""
    customer = await _upsert_customer(
        unit, command.customer_id, command.changes, must_exist=command.must_exist
    )
    return {"customer": customer.model_dump(mode="json")}


async def create_segment(unit: Unit, command: CreateSegment) -> JsonObject:
    """Create a segment; who matches its filter enters it, in slices."""
    known: list[Segment] = unit.context.segments[unit.project_id]
    state = await unit.load(SEGMENT, command.segment_id)
    events = decide_create_segment(state, unit.project_id, command, unit.now, len(known))
    segment = unit.append(SEGMENT, command.segment_id, *events)
    if events and segment.type != "static":
        due_at = unit.now if segment.type == "auto-update" else None
        await queries.keep_dynamic_segment(unit.connection, unit.project_id, segment, due_at)
        if segment.type == "auto-update":
            await sweep_slice(unit, segment, "")
        known.append(segment)
    return {"segment": segment.model_dump(mode="json")}


async def upsert_order(unit: Unit, command: UpsertOrder) -> JsonObject:
    """Create or change an order, and the customer sent along with it."""
    state = await unit.load(ORDER, command.order_id)
    sent = command.customer
    customer = await _inline_customer(unit, sent) if sent is not None else None
    command = command.model_copy(update={"changes": _with_referrer(unit, command.changes)})
    prices = unit.context.prices.get(unit.project_id, {})
    events = decide_upsert_order(
        state, unit.project_id, command, unit.now, customer.id if customer else None, prices
    )
    order = unit.append(ORDER, command.order_id, *events).order
    if customer is None and order.customer_id is not None:
        owner = await unit.load(CUSTOMER, order.customer_id)
        customer = owner.customer if owner is not None else None
    return {
        "order": order.model_dump(mode="json"),
        "customer": customer.model_dump(mode="json") if customer else None,
    }


async def record_custom_event(unit: Unit, command: RecordCustomEvent) -> JsonObject:
    """Record what a customer did, once for each event id."""
    check_custom_event(command)
    state = await unit.load(CUSTOM_EVENT, command.event_id)
    customer = await _inline_customer(unit, command.customer)
    events = decide_record_custom_event(state, command, customer, unit.now)
    unit.append(CUSTOM_EVENT, command.event_id, *events)
    return {
        "event": {
            "id": command.event_id,
            "event": command.event,
            "metadata": command.metadata,
            "referral": command.referral,
            "loyalty": command.loyalty,
        },
        "customer": customer.model_dump(mode="json"),
    }


# -- intake -------------------------------------------------------------------------------------


async def take_customer(unit: Unit, element: JsonObject) -> None:
    """Take a customer of an upstream system."""
    source_id = required(SOURCE_ID, element, "source_id")
    await _upsert_customer(unit, ids.customer_id(unit.project_id, source_id), element)


async def take_order(unit: Unit, element: JsonObject) -> None:
    """Take an order of an upstream system, with its customer."""
    source_id = required(SOURCE_ID, element, "source_id")
    customer = element.get("customer")
    command = UpsertOrder(
        order_id=ids.order_id(unit.project_id, source_id),
        changes=element,
        customer=None if customer is None else json_object("customer", customer),
    )
    await upsert_order(unit, command)


async def take_custom_event(unit: Unit, element: JsonObject) -> None:
    """Take a custom event of an upstream system; one with an ``id`` is taken once."""
    sent_id = element.get("id")
    event_id = (
        unit.new_id("evt")
        if sent_id is None
        else ids.derived_id("evt", unit.project_id, SOURCE_ID("id", sent_id))
    )
    command = RecordCustomEvent(
        event_id=event_id,
        event=required(custom_events.NAME, element, "event"),
        customer=required(json_object, element, "customer"),
        metadata=metadata("metadata", element.get("metadata")),
        referral=_object_or_none(element, "referral"),
        loyalty=_object_or_none(element, "loyalty"),
    )
    await record_custom_event(unit, command)


# -- reactions ----------------------------------------------------------------------------------


async def on_redemption_succeeded(unit: Unit, event: RedemptionSucceeded) -> None:
    """Keep what the redemption said of its customer; its order is paid."""
    customer_id = await _take_over(unit, event.customer, event.customer_changes or {})
    cause = (event.parent_id or event.items[0].redemption_id, event.redeemed_at)
    await _apply_fact(unit, event.order, "PAID", customer_id, cause)


async def on_redemption_rolled_back(unit: Unit, event: RedemptionRolledBack) -> None:
    """The order is as it was without the redemption; canceled, unless the project keeps it."""
    if event.order_mode == "WITHOUT_ORDER" or not event.items:
        return
    cause = (event.parent_rollback_id or event.items[0].rollback_id, event.rolled_back_at)
    sent = (event.order or {}).get("status")
    status = sent if isinstance(sent, str) and sent in orders.STATUSES else "CANCELED"
    await _apply_fact(unit, event.order, status, None, cause)


async def on_publication_succeeded(unit: Unit, event: PublicationSucceeded) -> None:
    """Keep the customer of a publication.

    A distribution's snapshot may be older than what is known, so it only fills in what is missing.
    """
    customer = event.publication.customer
    known = {name: value for name, value in customer.items() if value is not None}
    is_snapshot = event.publication.channel == "DISTRIBUTION"
    await _take_over(unit, customer, known, only_missing=is_snapshot)


# -- shared -------------------------------------------------------------------------------------


async def _upsert_customer(
    unit: Unit, customer_id: str, changes: JsonObject, *, must_exist: bool = False, path: str = ""
) -> Customer:
    state = await unit.load(CUSTOMER, customer_id)
    events = decide_upsert_customer(
        state,
        customer_id,
        changes,
        unit.now,
        id_of_source=_id_of_source(unit.project_id, changes),
        must_exist=must_exist,
        path=path,
    )
    return _append_customer(unit, customer_id, events)


def _append_customer(unit: Unit, customer_id: str, events: Sequence[CustomerEvent]) -> Customer:
    state = unit.append(CUSTOMER, customer_id, *events)
    if events:
        candidates = wanted(unit.context.segments[unit.project_id], state.customer, unit.now)
        unit.append(CUSTOMER, customer_id, *decide_memberships(state, candidates))
    return state.customer


async def _inline_customer(unit: Unit, body: JsonObject) -> Customer:
    """Create or change the customer inside a larger body; an id alone must be known."""
    if not body:
        raise refuse("customer", "must have an id, a source_id or other properties")
    sent_id = body.get("id")
    if sent_id is not None and not SOURCE_ID("customer.id", sent_id).startswith("cust_"):
        # As everywhere in the API, a source_id may stand where an id is asked for.
        body = {**body, "source_id": sent_id}
        sent_id = None
    id_of_source = _id_of_source(unit.project_id, body)
    customer_id = sent_id or id_of_source or unit.new_id("cust")
    must_exist = sent_id is not None and sent_id != id_of_source
    return await _upsert_customer(unit, customer_id, body, must_exist=must_exist, path="customer")


async def _take_over(
    unit: Unit, customer: JsonObject | None, changes: JsonObject, *, only_missing: bool = False
) -> str | None:
    customer_id = _text(customer, "id")
    if customer is None or customer_id is None:
        return None
    if "source_id" not in changes and customer.get("source_id") is not None:
        changes = {**changes, "source_id": customer["source_id"]}
    events = decide_take_over(
        await unit.load(CUSTOMER, customer_id),
        customer_id,
        changes,
        unit.now,
        id_of_source=_id_of_source(unit.project_id, changes),
        only_missing=only_missing,
    )
    _append_customer(unit, customer_id, events)
    return customer_id


async def _apply_fact(
    unit: Unit, body: JsonObject | None, status: str, customer_id: str | None, cause: Any
) -> None:
    order_id = _text(body, "id")
    if body is None or order_id is None:
        return
    state = await unit.load(ORDER, order_id)
    events = decide_apply_fact(
        state, unit.project_id, order_id, body, status, customer_id, cause, unit.now
    )
    if events:
        unit.append(ORDER, order_id, *events)


async def sweep_slice(unit: Unit, segment: Segment, after: str) -> str | None:
    """Evaluate the next customers of a segment; returns where to go on, None at the end."""
    slice_ = await queries.customers_after(
        unit.connection, unit.project_id, after, limits.SWEEP_SLICE_CUSTOMERS
    )
    for _, seen in slice_:
        customer_id = seen.customer.id
        is_match = wanted([segment], seen.customer, unit.now)[0][2]
        if is_match == (segment.id in seen.segments):
            continue
        state = await unit.load(CUSTOMER, customer_id)
        assert state is not None, "a customer that was read exists"
        events = decide_memberships(state, wanted([segment], state.customer, unit.now))
        unit.append(CUSTOMER, customer_id, *events)
    return slice_[-1][0] if len(slice_) == limits.SWEEP_SLICE_CUSTOMERS else None


def next_sweep(segment: Segment, unit: Unit) -> Any:
    """Return when a segment that was swept is swept again: None if only changes can matter."""
    if segments.depends_on_time(segment.filter or {}):
        return unit.now + timedelta(seconds=limits.SWEEP_PERIOD_S)
    return None


def _with_referrer(unit: Unit, changes: JsonObject) -> JsonObject:
    """Return the changes with the referrer's id in place of the referrer."""
    referrer = changes.get("referrer")
    if referrer is None:
        return changes
    body = json_object("referrer", referrer)
    referrer_id = body.get("id") or _id_of_source(unit.project_id, body)
    if referrer_id is None:
        raise refuse(join("referrer", "source_id"), "must be set")
    return {**changes, "referrer_id": referrer_id}


def _id_of_source(project_id: str, body: JsonObject) -> str | None:
    source_id = _text(body, "source_id")
    return ids.customer_id(project_id, source_id) if source_id else None


def _object_or_none(element: JsonObject, name: str) -> JsonObject | None:
    return None if element.get(name) is None else json_object(name, element[name])


def _text(body: JsonObject | None, name: str) -> str | None:
    value = body.get(name) if body is not None else None
    return value if isinstance(value, str) and value else None


# -- what a batch reads at once -----------------------------------------------------------------


def _streams_of_customer(project_id: str, body: JsonObject | None) -> Streams:
    sent_id = _text(body, "id")
    customer_id = _id_of_source(project_id, body or {})
    if sent_id is not None:
        customer_id = (
            sent_id if sent_id.startswith("cust_") else ids.customer_id(project_id, sent_id)
        )
    if customer_id is not None:
        yield CUSTOMER, customer_id


def _streams_of_upsert_order(project_id: str, command: UpsertOrder) -> Streams:
    yield ORDER, command.order_id
    yield from _streams_of_customer(project_id, command.customer)


def _streams_of_record_event(project_id: str, command: RecordCustomEvent) -> Streams:
    yield CUSTOM_EVENT, command.event_id
    yield from _streams_of_customer(project_id, command.customer)


def _streams_of_taken_order(project_id: str, element: JsonObject) -> Streams:
    yield ORDER, ids.order_id(project_id, element["source_id"])
    yield from _streams_of_customer(project_id, element.get("customer"))


def _streams_of_taken_event(project_id: str, element: JsonObject) -> Streams:
    if element.get("id") is not None:
        yield CUSTOM_EVENT, ids.derived_id("evt", project_id, element["id"])
    yield from _streams_of_customer(project_id, element["customer"])


def _streams_of_fact(event: RedemptionSucceeded | RedemptionRolledBack) -> Streams:
    order_id, customer_id = _text(event.order, "id"), _text(event.customer, "id")
    if order_id is not None:
        yield ORDER, order_id
    if customer_id is not None:
        yield CUSTOMER, customer_id


def _streams_of_publication(project_id: str, event: PublicationSucceeded) -> Streams:
    return _streams_of_customer(project_id, event.publication.customer)


COMMANDS: Mapping[type[Command], Handler] = {
    UpsertCustomer: Handler(upsert_customer, streams=lambda c: [(CUSTOMER, c.customer_id)]),
    CreateSegment: Handler(create_segment, streams=lambda c: [(SEGMENT, c.segment_id)]),
    UpsertOrder: Handler(upsert_order, streams_in=_streams_of_upsert_order),
    RecordCustomEvent: Handler(record_custom_event, streams_in=_streams_of_record_event),
}
INTAKE: Mapping[str, Handler] = {
    topics.INTAKE_CUSTOMERS: Handler(take_customer, streams_in=_streams_of_customer),
    topics.INTAKE_ORDERS: Handler(take_order, streams_in=_streams_of_taken_order),
    topics.INTAKE_CUSTOM_EVENTS: Handler(take_custom_event, streams_in=_streams_of_taken_event),
}
REACTIONS: Mapping[type[Event], Handler] = {
    RedemptionSucceeded: Handler(on_redemption_succeeded, streams=_streams_of_fact),
    RedemptionRolledBack: Handler(on_redemption_rolled_back, streams=_streams_of_fact),
    PublicationSucceeded: Handler(on_publication_succeeded, streams_in=_streams_of_publication),
}
