"""Commands and events of customers, segments, orders and custom events."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from contracts.bulk import BulkAdvanced, BulkPart, BulkStarted
from contracts.errors import JsonObject
from contracts.messages import Command, Event


class Customer(BaseModel):
    """A customer, with the public API's field names (summaries come from the ledger's events)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    source_id: str | None = None
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    birthdate: str | None = None
    birthday: str | None = None
    description: str | None = None
    address: JsonObject | None = None
    metadata: JsonObject = {}
    system_metadata: JsonObject = {}
    created_at: datetime
    updated_at: datetime | None = None


class Segment(BaseModel):
    """A segment: ``static`` lists customers, the others filter (``contracts.filters``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    type: Literal["static", "auto-update", "passive"]
    filter: JsonObject | None = None
    customer_ids: list[str] = []
    metadata: JsonObject = {}
    created_at: datetime


class Order(BaseModel):
    """An order as its owner keeps it; amounts in minor units. The ledger's facts are not in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    source_id: str | None = None
    status: Literal["CREATED", "PAID", "CANCELED", "PROCESSING", "FULFILLED"] = "CREATED"
    customer_id: str | None = None
    referrer_id: str | None = None
    amount: int | None = None
    initial_amount: int | None = None
    discount_amount: int | None = None
    items_discount_amount: int | None = None
    total_discount_amount: int | None = None
    total_amount: int | None = None
    items: list[JsonObject] = []
    metadata: JsonObject = {}
    created_at: datetime
    updated_at: datetime | None = None


class UpsertCustomer(Command):
    """Create a customer, or change the fields that were sent."""

    TYPE: ClassVar[str] = "customers.upsert-customer.v1"
    customer_id: str
    changes: JsonObject
    must_exist: bool = False


class CreateSegment(Command):
    TYPE: ClassVar[str] = "customers.create-segment.v1"
    segment_id: str
    name: str
    type: Literal["static", "auto-update", "passive"]
    filter: JsonObject | None = None
    customers: list[str] = []
    """Ids or source ids."""


class UpsertOrder(Command):
    """Create an order, or change the fields that were sent."""

    TYPE: ClassVar[str] = "customers.upsert-order.v1"
    order_id: str
    changes: JsonObject
    customer: JsonObject | None = None
    """The customer as sent: created or updated on the way."""
    must_exist: bool = False


class RecordCustomEvent(Command):
    TYPE: ClassVar[str] = "customers.record-custom-event.v1"
    event_id: str
    event: str
    customer: JsonObject
    metadata: JsonObject = {}
    referral: JsonObject | None = None
    loyalty: JsonObject | None = None


class CustomerCreated(Event):
    TYPE: ClassVar[str] = "customers.customer-created.v1"
    customer: Customer


class CustomerUpdated(Event):
    TYPE: ClassVar[str] = "customers.customer-updated.v1"
    customer: Customer


class SegmentCreated(Event):
    TYPE: ClassVar[str] = "customers.segment-created.v1"
    segment: Segment


class CustomerEnteredSegment(Event):
    """In the customer's stream, so that it follows the change that caused it."""

    TYPE: ClassVar[str] = "customers.customer-entered-segment.v1"
    customer_id: str
    segment_id: str
    segment_name: str


class CustomerLeftSegment(Event):
    TYPE: ClassVar[str] = "customers.customer-left-segment.v1"
    customer_id: str
    segment_id: str
    segment_name: str


class OrderCreated(Event):
    TYPE: ClassVar[str] = "customers.order-created.v1"
    order: Order
    caused_by: str | None = None
    """The redemption or rollback that this follows from; None: somebody sent the order."""
    caused_at: datetime | None = None


class OrderUpdated(Event):
    """``previous_status`` differs from ``order.status`` when the order was paid, canceled …"""

    TYPE: ClassVar[str] = "customers.order-updated.v1"
    order: Order
    previous_status: str
    caused_by: str | None = None
    caused_at: datetime | None = None


class CustomEventRecorded(Event):
    TYPE: ClassVar[str] = "customers.custom-event-recorded.v1"
    event_id: str
    event: str
    customer: Customer
    metadata: JsonObject = {}
    referral: JsonObject | None = None
    loyalty: JsonObject | None = None
    occurred_at: datetime


class ChangeCustomersInBulk(BulkPart):
    TYPE: ClassVar[str] = "customers.change-customers-in-bulk.v1"


class CustomersBulkStarted(BulkStarted):
    TYPE: ClassVar[str] = "customers.customers-bulk-started.v1"


class CustomersBulkAdvanced(BulkAdvanced):
    TYPE: ClassVar[str] = "customers.customers-bulk-advanced.v1"
