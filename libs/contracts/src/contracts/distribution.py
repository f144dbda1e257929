"""Commands and events of publications and distributions."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from contracts.errors import ErrorBody, JsonObject
from contracts.messages import Command, Event


class Publication(BaseModel):
    """A code assigned to a customer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    customer: JsonObject
    """Snapshot: id, source_id, name, email, metadata."""
    campaign_id: str | None = None
    vouchers: list[JsonObject] = []
    """Snapshots: id, code, campaign_id."""
    source_id: str | None = None
    channel: str = "API"
    metadata: JsonObject = {}
    created_at: datetime


class Distribution(BaseModel):
    """An automatic distribution: when ``trigger`` happens, publish a code and send a message.

    ``trigger`` is ``{"type": "customer.custom_event", "custom_event": {"name": …}}``; ``message`` is
    ``{"channel": "email", "subject": Liquid, "text": Liquid, "html": Liquid}``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    trigger: JsonObject
    campaign_id: str | None = None
    join_once: bool = False
    message: JsonObject
    active: bool = True
    created_at: datetime
    updated_at: datetime | None = None


class CreateDistribution(Command):
    TYPE: ClassVar[str] = "distribution.create-distribution.v1"
    distribution_id: str
    definition: JsonObject


class UpdateDistribution(Command):
    TYPE: ClassVar[str] = "distribution.update-distribution.v1"
    distribution_id: str
    changes: JsonObject


class Publish(Command):
    """Assign ``count`` free codes of a campaign, or one given code, to a customer."""

    TYPE: ClassVar[str] = "distribution.publish.v1"
    publication_id: str
    customer: JsonObject
    """As sent; ``id`` is always set (derived from ``source_id`` or drawn)."""
    campaign: str | None = None
    """Id or name."""
    count: int = 1
    voucher: str | None = None
    """Code or id."""
    join_once: bool | None = None
    """None: as the campaign says."""
    source_id: str | None = None
    channel: str = "API"
    metadata: JsonObject = {}


class DistributionCreated(Event):
    TYPE: ClassVar[str] = "distribution.distribution-created.v1"
    distribution: Distribution


class DistributionUpdated(Event):
    TYPE: ClassVar[str] = "distribution.distribution-updated.v1"
    distribution: Distribution


class PublicationSucceeded(Event):
    """``customers`` takes ``publication.customer`` over; campaigns dates follow publication."""

    TYPE: ClassVar[str] = "distribution.publication-succeeded.v1"
    publication: Publication


class PublicationFailed(Event):
    TYPE: ClassVar[str] = "distribution.publication-failed.v1"
    publication: Publication
    error: ErrorBody


class CodeRequested(Event):
    """An AUTO_UPDATE campaign has no free code left: ``campaigns`` adds one."""

    TYPE: ClassVar[str] = "distribution.code-requested.v1"
    campaign_id: str
    action_id: str


class MessageQueued(Event):
    """Stream: ``message-<id>``; the id is derived from distribution and trigger, so once each."""

    TYPE: ClassVar[str] = "distribution.message-queued.v1"
    message_id: str
    distribution_id: str
    channel: Literal["email"] = "email"
    customer_id: str
    publication_id: str | None = None
    queued_at: datetime


class MessageSent(Event):
    TYPE: ClassVar[str] = "distribution.message-sent.v1"
    message_id: str
    distribution_id: str
    customer_id: str
    attempts: int
    sent_at: datetime


class MessageFailed(Event):
    TYPE: ClassVar[str] = "distribution.message-failed.v1"
    message_id: str
    distribution_id: str
    customer_id: str
    attempts: int
    reason: str
    failed_at: datetime
