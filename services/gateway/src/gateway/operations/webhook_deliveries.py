"""``/v1/webhook-deliveries``: Tessera's own. What became of webhooks, and sending one again."""

from contracts import public
from contracts.errors import JsonObject
from contracts.webhooks import ResendDelivery
from gateway import queries, views
from gateway.http import Answer, Call, operation
from gateway.paging import Column, read_page


@operation("GET", "/v1/webhook-deliveries")
async def list_deliveries(call: Call) -> JsonObject:
    """List webhook deliveries with their attempts."""
    page = read_page(
        call,
        orders=("updated_at",),
        default="-updated_at",
        columns={
            "webhook_id": Column("t.endpoint_id"),
            "event": Column("t.event_type"),
            "status": Column("t.status"),
        },
        parameters=("webhook_id", "status", "event"),
    )
    for name, column in (
        ("webhook_id", "endpoint_id"),
        ("status", "status"),
        ("event", "event_type"),
    ):
        if name in page.given:
            page.conditions.add(f"t.{column} = {{}}", page.given[name])
    await call.fresh()
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "deliveries", *page.arguments)
    return public.listing("data", [views.delivery(row) for row in rows], total)


@operation("POST", "/v1/webhook-deliveries/{deliveryId}/resend")
async def resend_delivery(call: Call) -> Answer:
    """Send a delivery again, now."""
    name = call.params["deliveryId"]
    await call.command("webhooks", name, ResendDelivery(delivery_id=name))
    return Answer(202, {})
