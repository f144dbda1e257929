"""Commands and events of webhook endpoints and their deliveries."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from contracts.errors import JsonObject
from contracts.messages import Command, Event


class Endpoint(BaseModel):
    """A subscriber's address. ``secret`` is ciphertext; it signs Standard Webhooks headers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    target_url: str
    events: list[str]
    active: bool = True
    secret: str
    created_at: datetime
    updated_at: datetime | None = None


class CreateEndpoint(Command):
    TYPE: ClassVar[str] = "webhooks.create-endpoint.v1"
    endpoint_id: str
    target_url: str
    events: list[str]
    active: bool = True
    secret: str
    """Ciphertext, made by the gateway, which shows the secret once."""


class UpdateEndpoint(Command):
    TYPE: ClassVar[str] = "webhooks.update-endpoint.v1"
    endpoint_id: str
    changes: JsonObject


class RotateEndpointSecret(Command):
    """Sign by a new secret; for a while also by the one until now."""

    TYPE: ClassVar[str] = "webhooks.rotate-endpoint-secret.v1"
    endpoint_id: str
    secret: str
    """Ciphertext, made by the gateway, which shows the secret once."""


class DeleteEndpoint(Command):
    TYPE: ClassVar[str] = "webhooks.delete-endpoint.v1"
    endpoint_id: str


class ResendDelivery(Command):
    """Send a delivery again, now; the same ``webhook-id`` as before."""

    TYPE: ClassVar[str] = "webhooks.resend-delivery.v1"
    delivery_id: str


class EndpointCreated(Event):
    TYPE: ClassVar[str] = "webhooks.endpoint-created.v1"
    endpoint: Endpoint


class EndpointUpdated(Event):
    TYPE: ClassVar[str] = "webhooks.endpoint-updated.v1"
    endpoint: Endpoint


class EndpointSecretRotated(Event):
    TYPE: ClassVar[str] = "webhooks.endpoint-secret-rotated.v1"
    endpoint: Endpoint
    """With the new secret."""
    replaced: str
    """Ciphertext of the secret until now, which also signs until ``replaced_until``."""
    replaced_until: datetime


class EndpointDeleted(Event):
    TYPE: ClassVar[str] = "webhooks.endpoint-deleted.v1"
    endpoint_id: str
    deleted_at: datetime


class EndpointDisabled(Event):
    """Its deliveries were exhausted, or it answered 410."""

    TYPE: ClassVar[str] = "webhooks.endpoint-disabled.v1"
    endpoint: Endpoint
    reason: str


class DeliveryAttempted(Event):
    """Stream: ``delivery-<id>``. ``status`` is the delivery's state after the attempt."""

    TYPE: ClassVar[str] = "webhooks.delivery-attempted.v1"
    delivery_id: str
    endpoint_id: str
    event_id: str
    event_type: str
    """The public webhook event, such as ``redemption.succeeded``."""
    attempt: int
    status: Literal["delivered", "pending", "exhausted"]
    response_status: int | None = None
    reason: str | None = None
    duration_ms: int
    attempted_at: datetime
    next_attempt_at: datetime | None = None
