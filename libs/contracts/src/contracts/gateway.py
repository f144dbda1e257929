"""Events of projects and API keys, owned by the gateway."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from contracts.errors import JsonObject
from contracts.messages import Event


class Project(BaseModel):
    """A project (tenant). ``settings`` holds what the public management API lets one set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    timezone: str
    currency: str
    case_sensitive_codes: bool = True
    created_at: datetime
    updated_at: datetime | None = None
    stacking_rules: JsonObject = {}
    """Overrides of the defaults in ``contracts.stacking.DEFAULT_STACKING_RULES``."""
    stacking_rules_id: str | None = None
    """Set while the project has stacking rules of its own, with the two times beside it."""
    stacking_rules_created_at: datetime | None = None
    stacking_rules_updated_at: datetime | None = None
    webhook_secret: str
    """Ciphertext; signs ``x-voucherify-signature`` for this project."""
    settings: JsonObject = {}


class ProjectCreated(Event):
    TYPE: ClassVar[str] = "gateway.project-created.v1"
    project: Project


class ProjectUpdated(Event):
    TYPE: ClassVar[str] = "gateway.project-updated.v1"
    project: Project


class ApiKeyIssued(Event):
    """A key pair was made. Only the keyed hash of its secret half is kept."""

    TYPE: ClassVar[str] = "gateway.api-key-issued.v1"
    key_id: str
    kind: Literal["server", "client", "management"]
    app_id: str
    token_hash: str
    name: str
    origins: list[str] = []
    """Allowed ``Origin`` values of a client-side key; ``*`` allows all."""
    issued_at: datetime


class ApiKeyRevoked(Event):
    TYPE: ClassVar[str] = "gateway.api-key-revoked.v1"
    key_id: str
    revoked_at: datetime
