"""Messages: queued once for a trigger, then sent or failed, never both."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from contracts.distribution import MessageFailed, MessageQueued, MessageSent
from distribution import limits

MessageEvent = MessageQueued | MessageSent | MessageFailed


class MessageState(BaseModel):
    """A message and how far it has come."""

    model_config = ConfigDict(frozen=True)

    message_id: str
    distribution_id: str
    customer_id: str
    status: Literal["queued", "sent", "failed"] = "queued"
    attempts: int = 0


def decide_sent(state: MessageState, attempts: int, now: datetime) -> list[MessageEvent]:
    """Record that the server accepted the message."""
    assert state.status == "queued", f"{state.message_id} was {state.status} before it was sent"
    return [
        MessageSent(
            message_id=state.message_id,
            distribution_id=state.distribution_id,
            customer_id=state.customer_id,
            attempts=attempts,
            sent_at=now,
        )
    ]


def decide_failed(
    state: MessageState, attempts: int, reason: str, now: datetime
) -> list[MessageEvent]:
    """Record that the message will not be sent."""
    assert state.status == "queued", f"{state.message_id} was {state.status} before it failed"
    return [
        MessageFailed(
            message_id=state.message_id,
            distribution_id=state.distribution_id,
            customer_id=state.customer_id,
            attempts=attempts,
            reason=reason[: limits.REASON_LENGTH_MAX],
            failed_at=now,
        )
    ]


def evolve(state: MessageState | None, event: MessageEvent) -> MessageState:
    """Return the message after the event."""
    if isinstance(event, MessageQueued):
        assert state is None, f"{event.message_id} was queued before"
        return MessageState(
            message_id=event.message_id,
            distribution_id=event.distribution_id,
            customer_id=event.customer_id,
        )
    assert state is not None, f"{event.message_id} was never queued"
    status: Literal["sent", "failed"] = "sent" if isinstance(event, MessageSent) else "failed"
    return state.model_copy(update={"status": status, "attempts": event.attempts})
