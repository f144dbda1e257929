"""Making projects and keys: in the gateway's own log, tokens kept as keyed hashes only."""

import hashlib
import hmac
import secrets as random
from base64 import b64encode
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from contracts.errors import JsonObject
from contracts.gateway import ApiKeyIssued, Project
from contracts.ids import base62
from contracts.messages import Position
from gateway import queries
from gateway.domain.project import decide_create_project, evolve
from runtime import ids, secrets
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
    project_id = f"proj_{source.draw('project')}"
    signing_secret = source.draw("webhook")
    async with service.unit(project_id) as unit:
        state = await unit.load(PROJECT, project_id)
        ciphertext = secrets.encrypt(service.settings, signing_secret)
        events = decide_create_project(state, project_id, body, ciphertext, unit.now)
        project = unit.append(PROJECT, project_id, *events)
        origins = project.settings.get("client_trusted_domains") or ["*"]
        rate = project.settings.get("rate_per_minute")
        server = await issue(service, unit, source, "server", [], rate, is_new=bool(events))
        client = await issue(service, unit, source, "client", origins, rate, is_new=bool(events))
    shown = project.model_dump(mode="json", exclude_none=True)
    return Made(shown, server, client, signing_secret, unit.positions)


async def create_management_key(service: Service) -> Issued:
    """Create a key for the management operations."""
    async with service.unit(ALL_PROJECTS) as unit:
        return await issue(
            service, unit, _Source(service.settings, ""), "management", [], None, is_new=True
        )


async def issue(
    service: Service,
    unit: Unit,
    source: Any,
    kind: Kind,
    origins: list[str],
    rate: int | None,
    *,
    is_new: bool,
) -> Issued:
    """Draw a key, and keep its hash; ``is_new`` False draws an earlier one again."""
    issued = Issued(
        source.draw(f"{kind}-id"), f"{source.draw(f'{kind}-a')}{source.draw(f'{kind}-b')}"
    )
    if not is_new:
        return issued
    key_id = ids.new_id("key")
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
        origins,
        rate,
        unit.now,
    )
    return issued
