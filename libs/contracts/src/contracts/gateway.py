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
    """What was set of the rest; what was not is as in ``SETTINGS_DEFAULTS``."""
    deleted_at: datetime | None = None


CLIENT_SETTINGS: dict[str, bool] = {
    "client_redeem_enabled": True,
    "client_publish_enabled": False,
    "client_list_vouchers_enabled": False,
    "client_create_customer_enabled": False,
    "client_loyalty_events_enabled": False,
    "client_set_voucher_expiration_date_enabled": False,
}
"""What a project's client-side key may do, unless the project says otherwise."""

_SILENT: JsonObject = {"email": False, "in_app": False, "emails": []}
_NO_ALARM: JsonObject = {"enabled": False, "value": 80, "emails": [], "in_app": False}
SETTINGS_DEFAULTS: JsonObject = {
    "description": "",
    "client_trusted_domains": [],
    **CLIENT_SETTINGS,
    "webhooks_callout_notifications": {"distributions": _SILENT, "webhooks": _SILENT},
    "api_usage_notifications": {
        "redemptions": _NO_ALARM,
        "messages": _NO_ALARM,
        "api_calls": _NO_ALARM,
        "bulk_api_calls": _NO_ALARM,
        "webhook_calls": _NO_ALARM,
        "cycle_calls": _NO_ALARM,
    },
}
"""Tessera tells of failing webhooks and of load by metrics and lists, not by notifications."""


class ProjectCreated(Event):
    TYPE: ClassVar[str] = "gateway.project-created.v1"
    project: Project


class ProjectUpdated(Event):
    TYPE: ClassVar[str] = "gateway.project-updated.v1"
    project: Project


class ProjectDeleted(Event):
    """The project's keys are revoked in the same transaction; its log stays."""

    TYPE: ClassVar[str] = "gateway.project-deleted.v1"
    project_id: str
    deleted_at: datetime


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
