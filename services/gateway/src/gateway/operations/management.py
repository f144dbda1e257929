"""``/management/v1/projects``: projects with their keys, and their webhooks."""

from contracts import public
from contracts.distribution import UpdateDistribution
from contracts.errors import JsonObject
from contracts.gateway import CLIENT_SETTINGS
from contracts.webhooks import (
    CreateEndpoint,
    DeleteEndpoint,
    RotateEndpointSecret,
    UpdateEndpoint,
)
from gateway import limits, projects, queries
from gateway.body import (
    BOOLEAN,
    LIST,
    NAME,
    OBJECT,
    TEXT,
    TEXTS,
    integer,
    kept,
    list_of,
    required,
)
from gateway.http import MANAGEMENT, Answer, Call, not_found, operation
from gateway.paging import read_page
from gateway.query import Listing

PROJECT_FIELDS = {
    "name": NAME,
    "description": TEXT,
    "timezone": NAME,
    "currency": NAME,
    "dial_code": TEXT,
    "first_day_of_week": TEXT,
    "webhook_version": TEXT,
    "client_trusted_domains": list_of(NAME, limits.ORIGINS_MAX),
    **dict.fromkeys(CLIENT_SETTINGS, BOOLEAN),
    "webhooks_callout_notifications": OBJECT,
    "api_usage_notifications": OBJECT,
    "case_sensitive_codes": BOOLEAN,
    "rate_per_minute": integer(1, limits.RATE_PER_MINUTE_MAX),
}
CREATE_FIELDS = {
    **PROJECT_FIELDS,
    **{name: required(NAME) for name in ("name", "timezone", "currency")},
    "api_version": TEXT,
    "cluster_id": TEXT,
    "users": LIST,
}
UPDATE_FIELDS = kept(
    {**PROJECT_FIELDS, "default_code_config": OBJECT},
    "name",
    "timezone",
    "currency",
    "case_sensitive_codes",
)
WEBHOOK_FIELDS = {"target_url": NAME, "events": TEXTS, "active": BOOLEAN}


@operation(
    "POST",
    "/management/v1/projects",
    auth=MANAGEMENT,
    fields=CREATE_FIELDS,
    is_answer_kept=False,
)
async def create_project(call: Call) -> JsonObject:
    """Create a project; shows its new keys, which are never shown again."""
    made = await projects.create(call.gateway.service, call.body, call.seed)
    positions = made.positions
    call.positions.extend(positions)
    call.gateway.writes.remember(made.project["id"], "gateway", positions, [])
    return {
        **public.project(made.project),
        "webhook_token": made.webhook_secret,
        "server_side_key": {"app_id": made.server.app_id, "app_token": made.server.token},
        "client_side_key": {"app_id": made.client.app_id, "app_token": made.client.token},
    }


# The public API documents no paging here, so a page is as long as one may be.
PROJECTS = Listing(orders={}, dates={}, size=limits.PAGE_SIZE_MAX)


@operation("GET", "/management/v1/projects", auth=MANAGEMENT, query=PROJECTS)
async def list_projects(call: Call) -> JsonObject:
    """List projects, the oldest first."""
    page = await read_page(call)
    await call.fresh()
    async with call.gateway.connection() as connection:
        found, total = await queries.projects(connection, page.limit, page.offset)
    return public.listing("data", [_shown(call, one) for one in found], total)


@operation("GET", "/management/v1/projects/{projectId}", auth=MANAGEMENT)
async def get_project(call: Call) -> JsonObject:
    """Get a project."""
    return _shown(call, await _project(call))


@operation("PUT", "/management/v1/projects/{projectId}", auth=MANAGEMENT, fields=UPDATE_FIELDS)
async def update_project(call: Call) -> JsonObject:
    """Change the settings of a project that are sent; they hold within a second everywhere."""
    project_id = (await _project(call))["id"]
    changed = await projects.update(call.gateway.service, project_id, call.body)
    _told(call, project_id, changed)
    return _shown(call, changed.project)


@operation("DELETE", "/management/v1/projects/{projectId}", auth=MANAGEMENT, statuses=(204,))
async def delete_project(call: Call) -> Answer:
    """Delete a project: its keys are refused from now on, and nothing acts on its behalf any more."""
    project_id = (await _project(call))["id"]
    await _silence(call, project_id)
    _told(call, project_id, await projects.delete(call.gateway.service, project_id))
    return Answer(204)


async def _silence(call: Call, project_id: str) -> None:
    """Delete the project's webhooks and switch its distributions off: these act by themselves."""
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        endpoints = await queries.all_documents(connection, "endpoints", project_id)
        distributions = await queries.all_documents(connection, "distributions", project_id)
    for one in endpoints:
        await call.command("webhooks", one["id"], DeleteEndpoint(endpoint_id=one["id"]))
    for one in distributions:
        off = UpdateDistribution(distribution_id=one["id"], changes={"active": False})
        await call.command("distribution", one["id"], off)


def _told(call: Call, project_id: str, changed: projects.Changed) -> None:
    """Let this gateway's reads and keys follow the change at once; others read the keys again soon."""
    call.positions.extend(changed.positions)
    call.gateway.writes.remember(project_id, "gateway", changed.positions, [])
    call.gateway.keys.forget_project(project_id)


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


@operation(
    "POST",
    WEBHOOKS,
    auth=MANAGEMENT,
    fields={**WEBHOOK_FIELDS, "target_url": required(NAME), "events": required(TEXTS)},
    is_answer_kept=False,
)
async def create_webhook(call: Call) -> JsonObject:
    """Subscribe an address; shows its secret (Standard Webhooks), which is never shown again."""
    await _project(call)
    secret = _drawn_secret(call)
    command = CreateEndpoint(
        endpoint_id=call.new_id("wh"),
        target_url=call.body["target_url"],
        events=call.body["events"],
        active=call.body.get("active") is not False,
        secret=call.gateway.encrypt(secret),
    )
    reply = await call.command("webhooks", command.endpoint_id, command)
    return {**public.webhook(reply["endpoint"]), "secret": secret}


@operation("GET", WEBHOOKS, auth=MANAGEMENT, query=Listing())
async def list_webhooks(call: Call) -> JsonObject:
    """List a project's webhooks."""
    await _project(call)
    page = await read_page(call)
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "endpoints", *page.arguments)
    return public.listing("data", [public.webhook(row["doc"]) for row in rows], total)


@operation("GET", WEBHOOKS + "/{webhookId}", auth=MANAGEMENT)
async def get_webhook(call: Call) -> JsonObject:
    """Get a webhook."""
    return public.webhook(await _webhook(call))


@operation(
    "PUT", WEBHOOKS + "/{webhookId}", auth=MANAGEMENT, fields=kept(WEBHOOK_FIELDS, *WEBHOOK_FIELDS)
)
async def update_webhook(call: Call) -> JsonObject:
    """Change the fields of a webhook that are sent."""
    found = await _webhook(call)
    command = UpdateEndpoint(endpoint_id=found["id"], changes=call.body)
    reply = await call.command("webhooks", found["id"], command)
    return public.webhook(reply["endpoint"])


SECRET = {
    "type": "object",
    "required": ["id", "object", "secret"],
    "properties": {
        "id": {"type": "string"},
        "object": {"type": "string", "enum": ["webhook"]},
        "secret": {"type": "string"},
    },
}


@operation(
    "POST",
    WEBHOOKS + "/{webhookId}/rotate-secret",
    auth=MANAGEMENT,
    is_answer_kept=False,
    shown=SECRET,
)
async def rotate_webhook_secret(call: Call) -> JsonObject:
    """Replace a webhook's secret; shows the new one once. For 24 hours the old one signs as well."""
    found = await _webhook(call)
    secret = _drawn_secret(call)
    command = RotateEndpointSecret(endpoint_id=found["id"], secret=call.gateway.encrypt(secret))
    await call.command("webhooks", found["id"], command)
    return {"id": found["id"], "object": "webhook", "secret": secret}


def _drawn_secret(call: Call) -> str:
    """Return a new secret, the same one when the request is repeated with its key."""
    seed = f"{call.params['projectId']}\x1f{call.seed}" if call.seed else ""
    return projects.webhook_secret(call.gateway.service.settings, seed)


@operation("DELETE", WEBHOOKS + "/{webhookId}", auth=MANAGEMENT, statuses=(204,))
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
