"""Endpoints: where a project wants to be told, and of what."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from contracts.errors import DuplicateFound, NotFound
from contracts.payload import boolean, read, refuse
from contracts.webhooks import (
    CreateEndpoint,
    DeleteEndpoint,
    Endpoint,
    EndpointCreated,
    EndpointDeleted,
    EndpointDisabled,
    EndpointSecretRotated,
    EndpointUpdated,
    RotateEndpointSecret,
    UpdateEndpoint,
)
from webhooks import limits
from webhooks.domain.names import read_events

EndpointEvent = (
    EndpointCreated | EndpointUpdated | EndpointSecretRotated | EndpointDeleted | EndpointDisabled
)
ReadUrl = Callable[[str, Any], str]


class ReplacedSecret(BaseModel):
    """A secret (ciphertext) that was replaced and still signs for a while."""

    model_config = ConfigDict(frozen=True)

    secret: str
    until: datetime


class EndpointState(BaseModel):
    """An endpoint; one that was deleted stays, so that its id is never used again."""

    model_config = ConfigDict(frozen=True)

    endpoint: Endpoint
    is_deleted: bool = False
    replaced_secrets: list[ReplacedSecret] = []
    """The newest first."""


def decide_create_endpoint(
    state: EndpointState | None,
    command: CreateEndpoint,
    now: datetime,
    read_url: ReadUrl,
    others_count: int,
) -> list[EndpointEvent]:
    """Create an endpoint."""
    if state is not None:
        raise DuplicateFound(f"Webhook with id {command.endpoint_id} already exists")
    endpoint = Endpoint(
        id=command.endpoint_id,
        target_url=read_url("target_url", command.target_url),
        events=read_events("events", command.events),
        active=command.active,
        secret=command.secret,
        created_at=now,
    )
    if others_count >= limits.ENDPOINTS_PER_PROJECT_MAX:
        most = limits.ENDPOINTS_PER_PROJECT_MAX
        raise refuse("target_url", f"must not be more than the {most} webhooks of a project")
    return [EndpointCreated(endpoint=endpoint)]


def decide_update_endpoint(
    state: EndpointState | None, command: UpdateEndpoint, now: datetime, read_url: ReadUrl
) -> list[EndpointEvent]:
    """Change the fields that were sent; ``active`` true starts one again that was disabled."""
    endpoint = _existing(state, command.endpoint_id)
    fields = {"target_url": read_url, "events": read_events, "active": boolean}
    changes = read(command.changes, fields)
    changed = {name: value for name, value in changes.items() if getattr(endpoint, name) != value}
    if not changed:
        return []
    updated = endpoint.model_copy(update={**changed, "updated_at": now})
    return [EndpointUpdated(endpoint=updated)]


def decide_rotate_secret(
    state: EndpointState | None, command: RotateEndpointSecret, now: datetime
) -> list[EndpointEvent]:
    """Replace the secret; both sign until the subscriber has had time to take over the new one."""
    endpoint = _existing(state, command.endpoint_id)
    if endpoint.secret == command.secret:
        return []
    updated = endpoint.model_copy(update={"secret": command.secret, "updated_at": now})
    until = now + timedelta(hours=limits.REPLACED_SECRET_HOURS)
    return [EndpointSecretRotated(endpoint=updated, replaced=endpoint.secret, replaced_until=until)]


def decide_delete_endpoint(
    state: EndpointState | None, command: DeleteEndpoint, now: datetime
) -> list[EndpointEvent]:
    """Delete an endpoint."""
    _existing(state, command.endpoint_id)
    return [EndpointDeleted(endpoint_id=command.endpoint_id, deleted_at=now)]


def decide_disable(state: EndpointState | None, reason: str, now: datetime) -> list[EndpointEvent]:
    """Stop an endpoint that does not want, or has not taken, what it was sent."""
    if state is None or state.is_deleted or not state.endpoint.active:
        return []
    stopped = state.endpoint.model_copy(update={"active": False, "updated_at": now})
    return [EndpointDisabled(endpoint=stopped, reason=reason)]


def _existing(state: EndpointState | None, endpoint_id: str) -> Endpoint:
    if state is None or state.is_deleted:
        raise NotFound.of("webhook", endpoint_id)
    return state.endpoint


def evolve(state: EndpointState | None, event: EndpointEvent) -> EndpointState:
    """Return the endpoint after the event."""
    if isinstance(event, EndpointDeleted):
        assert state is not None, f"{event.endpoint_id} was never created"
        return state.model_copy(update={"is_deleted": True})
    replaced = [] if state is None else state.replaced_secrets
    if isinstance(event, EndpointSecretRotated):
        newest = ReplacedSecret(secret=event.replaced, until=event.replaced_until)
        replaced = [newest, *replaced][: limits.REPLACED_SECRETS_MAX]
    return EndpointState(endpoint=event.endpoint, replaced_secrets=replaced)
