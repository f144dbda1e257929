"""``/management/v1/projects``: projects with their keys, and their webhooks."""

from typing import Any

from contracts import public
from contracts.errors import InvalidPayload, JsonObject
from contracts.webhooks import CreateEndpoint, DeleteEndpoint, UpdateEndpoint
from gateway import projects, queries
from gateway.http import MANAGEMENT, Answer, Call, not_found, operation
from gateway.paging import read_page

PROJECT_FIELDS = (
    "name",
    "description",
    "timezone",
    "currency",
    "dial_code",
    "webhook_version",
    "client_trusted_domains",
    "client_redeem_enabled",
    "case_sensitive_codes",
    "api_version",
    "cluster_id",
    "rate_per_minute",
)


@operation("POST", "/management/v1/projects", auth=MANAGEMENT, fields=PROJECT_FIELDS)
async def create_project(call: Call) -> JsonObject:
    """Create a project; shows its new keys, which are never shown again."""
    seed = call.idempotency_key if call.has_client_key else ""
    made = await projects.create(call.gateway.service, call.body, seed)
    positions = made.positions
    call.positions.extend(positions)
    call.gateway.writes.remember(made.project["id"], "gateway", positions, [])
    return {
        **public.project(made.project),
        "webhook_token": made.webhook_secret,
        "server_side_key": {"app_id": made.server.app_id, "app_token": made.server.token},
        "client_side_key": {"app_id": made.client.app_id, "app_token": made.client.token},
    }


@operation("GET", "/management/v1/projects", auth=MANAGEMENT)
async def list_projects(call: Call) -> JsonObject:
    """List projects."""
    async with call.gateway.connection() as connection:
        found = await queries.projects(connection)
    return public.listing("data", [_shown(call, one) for one in found], len(found))


@operation("GET", "/management/v1/projects/{projectId}", auth=MANAGEMENT)
async def get_project(call: Call) -> JsonObject:
    """Get a project."""
    return _shown(call, await _project(call))


def _shown(call: Call, state: JsonObject) -> JsonObject:
    """Show a project with the secret that signs ``x-voucherify-signature``, as the API does."""
    return {**public.project(state), "webhook_token": call.gateway.decrypt(state["webhook_secret"])}


async def _project(call: Call) -> JsonObject:
    project_id = call.params["projectId"]
    await call.fresh()
    async with call.gateway.connection() as connection:
        found = await queries.project(connection, project_id)
    if found is None:
        raise not_found("project", project_id)
    return found


WEBHOOKS = "/management/v1/projects/{projectId}/webhooks"


@operation("POST", WEBHOOKS, auth=MANAGEMENT, fields=("target_url", "events", "active"))
async def create_webhook(call: Call) -> JsonObject:
    """Subscribe an address; shows its secret (Standard Webhooks), which is never shown again."""
    await _project(call)
    call.require("target_url", "events")
    _check_webhook(call.body)
    secret = projects.webhook_secret()
    command = CreateEndpoint(
        endpoint_id=call.new_id("wh"),
        target_url=call.body["target_url"],
        events=call.body["events"],
        active=call.body.get("active", True),
        secret=call.gateway.encrypt(secret),
    )
    reply = await call.command("webhooks", command.endpoint_id, command)
    return {**public.webhook(reply["endpoint"]), "secret": secret}


def _check_webhook(body: JsonObject) -> None:
    if not isinstance(body.get("target_url", ""), str):
        raise InvalidPayload("target_url: must be text", prop="target_url")
    events: Any = body.get("events", [])
    if not isinstance(events, list) or not all(isinstance(one, str) for one in events):
        raise InvalidPayload("events: must be a list of names", prop="events")
    if not isinstance(body.get("active", True), bool):
        raise InvalidPayload("active: must be true or false", prop="active")


@operation("GET", WEBHOOKS, auth=MANAGEMENT)
async def list_webhooks(call: Call) -> JsonObject:
    """List a project's webhooks."""
    await _project(call)
    page = read_page(call)
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "endpoints", *page.arguments)
    return public.listing("data", [public.webhook(row["doc"]) for row in rows], total)


@operation("GET", WEBHOOKS + "/{webhookId}", auth=MANAGEMENT)
async def get_webhook(call: Call) -> JsonObject:
    """Get a webhook."""
    return public.webhook(await _webhook(call))


@operation(
    "PUT", WEBHOOKS + "/{webhookId}", auth=MANAGEMENT, fields=("target_url", "events", "active")
)
async def update_webhook(call: Call) -> JsonObject:
    """Change the fields of a webhook that are sent."""
    found = await _webhook(call)
    _check_webhook(call.body)
    command = UpdateEndpoint(endpoint_id=found["id"], changes=call.body)
    reply = await call.command("webhooks", found["id"], command)
    return public.webhook(reply["endpoint"])


@operation("DELETE", WEBHOOKS + "/{webhookId}", auth=MANAGEMENT)
async def delete_webhook(call: Call) -> Answer:
    """Delete a webhook."""
    found = await _webhook(call)
    await call.command("webhooks", found["id"], DeleteEndpoint(endpoint_id=found["id"]))
    return Answer(204)


async def _webhook(call: Call) -> JsonObject:
    await call.fresh()
    name = call.params["webhookId"]
    async with call.gateway.connection() as connection:
        found = await queries.document(connection, "endpoints", call.project_id, name)
    if found is None:
        raise not_found("webhook", name)
    return found
