"""``/management/v1/projects``: projects with their keys, and their webhooks."""

from contracts import public
from contracts.errors import JsonObject
from contracts.webhooks import CreateEndpoint, DeleteEndpoint, UpdateEndpoint
from gateway import limits, projects, queries
from gateway.body import BOOLEAN, NAME, TEXT, TEXTS, integer, list_of, required
from gateway.domain.project import ORIGINS_MAX, RATE_PER_MINUTE_MAX
from gateway.http import MANAGEMENT, Answer, Call, not_found, operation
from gateway.paging import read_page
from gateway.query import Listing

PROJECT_FIELDS = {
    "name": required(NAME),
    "description": TEXT,
    "timezone": required(NAME),
    "currency": required(NAME),
    "dial_code": TEXT,
    "first_day_of_week": TEXT,
    "webhook_version": TEXT,
    "client_trusted_domains": list_of(NAME, ORIGINS_MAX),
    "client_redeem_enabled": BOOLEAN,
    "case_sensitive_codes": BOOLEAN,
    "api_version": TEXT,
    "cluster_id": TEXT,
    "rate_per_minute": integer(1, RATE_PER_MINUTE_MAX),
}
WEBHOOK_FIELDS = {"target_url": NAME, "events": TEXTS, "active": BOOLEAN}


@operation(
    "POST",
    "/management/v1/projects",
    auth=MANAGEMENT,
    fields=PROJECT_FIELDS,
    is_answer_kept=False,
)
async def create_project(call: Call) -> JsonObject:
    """Create a project; shows its new keys, which are never shown again."""
    body = {name: value for name, value in call.body.items() if value is not None}
    made = await projects.create(call.gateway.service, body, call.seed)
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
    secret = projects.webhook_secret(
        call.gateway.service.settings,
        f"{call.params['projectId']}\x1f{call.seed}" if call.seed else "",
    )
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


@operation("PUT", WEBHOOKS + "/{webhookId}", auth=MANAGEMENT, fields=WEBHOOK_FIELDS)
async def update_webhook(call: Call) -> JsonObject:
    """Change the fields of a webhook that are sent."""
    found = await _webhook(call)
    command = UpdateEndpoint(endpoint_id=found["id"], changes=call.body)
    reply = await call.command("webhooks", found["id"], command)
    return public.webhook(reply["endpoint"])


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
