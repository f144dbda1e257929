"""A custom event: what a customer did, as the shop names it."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from contracts.customers import Customer, CustomEventRecorded, RecordCustomEvent
from contracts.payload import Fields, metadata, read, required, text
from customers import limits
from customers.domain.customer import ID

NAME = text(
    limits.EVENT_NAME_LENGTH_MAX,
    pattern=r"[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?",
    meaning="printable, without spaces at its ends",
)
_CODE = text(limits.CODE_LENGTH_MAX, pattern=r"[^\x00-\x1f]+", meaning="a code")
_REFERRAL: Fields = {"code": _CODE, "referrer_id": ID}
_LOYALTY: Fields = {"code": _CODE}


class RecordedEvent(BaseModel):
    """That the event was recorded, and whose it is: an event id is recorded once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    customer_id: str


def decide_record_custom_event(
    state: RecordedEvent | None, command: RecordCustomEvent, customer: Customer, now: datetime
) -> Sequence[CustomEventRecorded]:
    """Return the event; nothing if this event id was recorded before."""
    check_custom_event(command)
    if state is not None:
        return []
    return [
        CustomEventRecorded(
            event_id=command.event_id,
            event=command.event,
            customer=customer,
            metadata=command.metadata,
            referral=command.referral,
            loyalty=command.loyalty,
            occurred_at=now,
        )
    ]


def check_custom_event(command: RecordCustomEvent) -> None:
    """Refuse what is malformed before the customer is touched."""
    NAME("event", command.event)
    ID("id", command.event_id)
    metadata("metadata", command.metadata)
    for name, fields, body in (
        ("referral", _REFERRAL, command.referral),
        ("loyalty", _LOYALTY, command.loyalty),
    ):
        if body is not None:
            required(_CODE, body, "code", name)
            read(body, fields, name)


def evolve(state: RecordedEvent | None, event: CustomEventRecorded) -> RecordedEvent:
    """Return the state after the event."""
    assert state is None, "an event id is recorded once"
    return RecordedEvent(customer_id=event.customer.id)
