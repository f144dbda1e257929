"""Making projects and keys: in the gateway's own log, tokens kept as keyed hashes only."""

import hashlib
import hmac
import secrets as random
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from contracts import ids
from contracts.errors import JsonObject, NotFound
from contracts.gateway import ApiKeyIssued, ApiKeyRevoked, Project, ProjectUpdated
from contracts.ids import base62
from contracts.messages import Position
from gateway import queries
from gateway.domain.project import (
    decide_create_project,
    decide_delete_project,
    decide_update_project,
    evolve,
)
from runtime import ids as random_ids
from runtime import secrets
from runtime.aggregate import Aggregate
from runtime.database import CONTENTION_ERRORS
from runtime.service import Service
from runtime.settings import Settings
from runtime.unit import Unit

PROJECT = Aggregate("project", Project, evolve)
Kind = Literal["server", "client", "management"]
ALL_PROJECTS = "all-projects"
"""Stands where management keys name a project."""


class Issued(NamedTuple):
    """A key as it is shown once."""

    app_id: str
    token: str


@dataclass
class Made:
    """A new project with what is shown once."""

    project: JsonObject
    server: Issued
    client: Issued
    webhook_secret: str
    positions: list[Position]


class Changed(NamedTuple):
    """A project after a change, and where the change is in the log."""

    project: JsonObject
    positions: list[Position]


class _Source:
    """Draws ids and tokens; a repeated request with its key draws the same ones again."""

    def __init__(self, settings: Settings, seed: str) -> None:
        self._pepper = settings.tessera_pepper.get_secret_value().encode()
        self._seed = seed

    def draw(self, name: str) -> str:
        if not self._seed:
            return base62(random.randbits(160))
        text = f"{self._seed}\x1f{name}".encode()
        return base62(int.from_bytes(hmac.digest(self._pepper, text, hashlib.sha256), "big"))


def webhook_secret(settings: Settings, seed: str = "") -> str:
    """Return a secret in the form of Standard Webhooks: a new one, or always the seed's."""
    if not seed:
        return f"whsec_{b64encode(random.token_bytes(24)).decode()}"
    pepper = settings.tessera_pepper.get_secret_value().encode()
    drawn = hmac.digest(pepper, f"webhook-secret\x1f{seed}".encode(), hashlib.sha256)
    return f"whsec_{b64encode(drawn[:24]).decode()}"


async def create(service: Service, body: JsonObject, seed: str = "") -> Made:
    """Create a project with a server and a client-side key; raises ``InvalidPayload``.

    With a seed, a repeated request finds the project made and draws the same keys again.
    """
    try:
        return await _create(service, body, seed)
    except CONTENTION_ERRORS:
        return await _create(service, body, seed)


async def _create(service: Service, body: JsonObject, seed: str) -> Made:
    source = _Source(service.settings, seed)
    project_id = ids.project_id(
        source.draw("project"), case_sensitive_codes=body.get("case_sensitive_codes") is not False
    )
    signing_secret = source.draw("webhook")
    async with service.unit(project_id) as unit:
        state = await unit.load(PROJECT, project_id)
        ciphertext = secrets.encrypt(service.settings, signing_secret)
        events = decide_create_project(state, project_id, body, ciphertext, unit.now)
        project = unit.append(PROJECT, project_id, *events)
        origins = project.settings.get("client_trusted_domains") or ["*"]
        server = await issue(service, unit, source, "server", [], is_new=bool(events))
        client = await issue(service, unit, source, "client", origins, is_new=bool(events))
    shown = project.model_dump(mode="json", exclude_none=True)
    return Made(shown, server, client, signing_secret, unit.positions)


async def create_management_key(service: Service) -> Issued:
    """Create a key for the management operations."""
    async with service.unit(ALL_PROJECTS) as unit:
        source = _Source(service.settings, "")
        return await issue(service, unit, source, "management", [], is_new=True)


Decide = Callable[[Project, datetime], Sequence[ProjectUpdated]]


async def change(service: Service, project_id: str, decide: Decide) -> Changed:
    """Append what is decided on the project; raises ``NotFound`` when it is deleted."""
    try:
        return await _change(service, project_id, decide)
    except CONTENTION_ERRORS:
        return await _change(service, project_id, decide)


async def _change(service: Service, project_id: str, decide: Decide) -> Changed:
    async with service.unit(project_id) as unit:
        state = await _load(unit, project_id)
        project = unit.append(PROJECT, project_id, *decide(state, unit.now))
    return Changed(project.model_dump(mode="json", exclude_none=True), unit.positions)


async def update(service: Service, project_id: str, body: JsonObject) -> Changed:
    """Change a project's settings; raises ``InvalidPayload``, or ``NotFound`` when it is deleted."""
    return await change(
        service, project_id, lambda state, now: decide_update_project(state, body, now)
    )


async def delete(service: Service, project_id: str) -> Changed:
    """Delete a project and revoke its keys; raises ``NotFound`` when it is deleted."""
    try:
        return await _delete(service, project_id)
    except CONTENTION_ERRORS:
        return await _delete(service, project_id)


async def _delete(service: Service, project_id: str) -> Changed:
    async with service.unit(project_id) as unit:
        state = await _load(unit, project_id)
        project = unit.append(PROJECT, project_id, *decide_delete_project(state, unit.now))
        for key_id in await queries.revoke_keys(unit.connection, project_id):
            await _revoke(unit, key_id)
    return Changed(project.model_dump(mode="json", exclude_none=True), unit.positions)


async def _load(unit: Unit, project_id: str) -> Project:
    state = await unit.load(PROJECT, project_id)
    if state is None or state.deleted_at is not None:
        raise NotFound.of("project", project_id)
    return state


async def _revoke(unit: Unit, key_id: str) -> None:
    stream = f"api-key-{key_id}"
    version, digest = await queries.stream_end(unit.connection, unit.project_id, stream)
    event = ApiKeyRevoked(key_id=key_id, revoked_at=unit.now)
    unit.publish_event(stream, event, version=version + 1, previous_hash=digest)


async def issue(
    service: Service,
    unit: Unit,
    source: Any,
    kind: Kind,
    origins: list[str],
    *,
    is_new: bool,
) -> Issued:
    """Draw a key, and keep its hash; ``is_new`` False draws an earlier one again."""
    issued = Issued(
        source.draw(f"{kind}-id"), f"{source.draw(f'{kind}-a')}{source.draw(f'{kind}-b')}"
    )
    if not is_new:
        return issued
    key_id = random_ids.new_id("key")
    token_hash = secrets.keyed_hash(service.settings, issued.token)
    event = ApiKeyIssued(
        key_id=key_id,
        kind=kind,
        app_id=issued.app_id,
        token_hash=token_hash,
        name=kind,
        origins=origins,
        issued_at=unit.now,
    )
    unit.publish_event(f"api-key-{key_id}", event)
    await queries.insert_key(
        unit.connection,
        issued.app_id,
        "" if kind == "management" else unit.project_id,
        key_id,
        kind,
        token_hash,
        unit.now,
    )
    return issued
