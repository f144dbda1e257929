"""``/v1/webhook-deliveries``: Tessera's own. What became of webhooks, and sending one again."""

from contracts import public
from contracts.errors import JsonObject
from contracts.webhooks import ResendDelivery
from gateway import queries, views
from gateway.http import Answer, Call, operation
from gateway.openapi import list_schema
from gateway.paging import read_page
from gateway.query import TEXT, Column, Listing, Parameter, columns

DELIVERIES = Listing(
    orders=columns("updated_at"),
    default="-updated_at",
    dates=columns("updated_at"),
    filters={
        "webhook_id": Column("t.endpoint_id"),
        "event": Column("t.event_type"),
        "status": Column("t.status"),
        "updated_at": Column("t.updated_at", "timestamptz"),
    },
    parameters={
        "webhook_id": Parameter(TEXT, "t.endpoint_id = {}"),
        "event": Parameter(TEXT, "t.event_type = {}"),
        "status": Parameter(TEXT, "t.status = {}"),
    },
)


SHOWN: JsonObject = {
    "type": "object",
    "required": ["id", "object", "webhook_id", "event", "status", "attempts", "updated_at"],
    "properties": {
        "id": {"type": "string"},
        "object": {"type": "string", "enum": ["webhook_delivery"]},
        "webhook_id": {"type": "string"},
        "event": {"type": "string"},
        "status": {"type": "string"},
        "attempts": {"type": "array", "items": {"type": "object"}},
        "updated_at": {"type": "string", "format": "date-time"},
    },
}


@operation("GET", "/v1/webhook-deliveries", query=DELIVERIES, shown=list_schema(SHOWN))
async def list_deliveries(call: Call) -> JsonObject:
    """List webhook deliveries with their attempts."""
    page = await read_page(call)
    await call.fresh()
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "deliveries", *page.arguments)
    return public.listing("data", [views.delivery(row) for row in rows], total)


@operation(
    "POST",
    "/v1/webhook-deliveries/{deliveryId}/resend",
    statuses=(202,),
    shown={"type": "object"},
)
async def resend_delivery(call: Call) -> Answer:
    """Send a delivery again, now."""
    name = call.params["deliveryId"]
    await call.command("webhooks", name, ResendDelivery(delivery_id=name))
    return Answer(202, {})
