"""``/v1/promotions/…/stacks``: promotion stacks, tiers that are redeemed together."""

from contracts import public
from contracts.errors import JsonObject
from contracts.promotions import CreatePromotionStack, DeletePromotionStack, UpdatePromotionStack
from gateway import queries, views
from gateway.body import NAME, OBJECT, TEXT, required
from gateway.http import Answer, Call, not_found, operation
from gateway.operations.campaigns import id_of
from gateway.paging import read_page
from gateway.query import Column, Listing, columns

FIELDS = {"name": NAME, "tiers": OBJECT, "category_id": TEXT, "category": TEXT}
STACKS = Listing(
    orders=columns("created_at", "updated_at", "name"),
    dates=columns("created_at", "updated_at"),
    filters={
        "name": Column("t.name"),
        "campaign_id": Column("t.campaign_id"),
        "category_id": Column("t.doc ->> 'category_id'"),
        "created_at": Column("t.created_at", "timestamptz"),
    },
)
STACK = "/v1/promotions/{campaignId}/stacks/{stackId}"


@operation("GET", "/v1/promotions/stacks", query=STACKS)
async def list_all_promotion_stacks(call: Call) -> JsonObject:
    """List promotion stacks."""
    return await _list(call, None)


@operation("GET", "/v1/promotions/{campaignId}/stacks", query=STACKS)
async def list_promotion_stacks_in_campaign(call: Call) -> JsonObject:
    """List the promotion stacks of a campaign."""
    return await _list(call, await id_of(call))


async def _list(call: Call, campaign_id: str | None) -> JsonObject:
    page = await read_page(call)
    if campaign_id is not None:
        page.conditions.add("t.campaign_id = {}", campaign_id)
    await call.fresh()
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "promotion_stacks", *page.arguments)
        shown = await views.promotion_stacks(connection, call.project_id, rows)
    return public.listing("data", shown, total)


@operation(
    "POST",
    "/v1/promotions/{campaignId}/stacks",
    fields={**FIELDS, "name": required(NAME), "tiers": required(OBJECT)},
)
async def create_promotion_stack(call: Call) -> JsonObject:
    """Put tiers of a campaign into an order."""
    campaign_id, stack_id = await id_of(call), call.new_id("stack")
    command = CreatePromotionStack(stack_id=stack_id, campaign_id=campaign_id, definition=call.body)
    await call.command("campaigns", campaign_id, command)
    return await _shown(call, campaign_id, stack_id)


@operation("GET", STACK)
async def get_promotion_stack(call: Call) -> JsonObject:
    """Get a promotion stack."""
    return await _shown(call, await id_of(call), call.params["stackId"])


@operation("PUT", STACK, fields=FIELDS)
async def update_promotion_stack(call: Call) -> JsonObject:
    """Change the fields of a promotion stack that are sent."""
    campaign_id, stack_id = await id_of(call), call.params["stackId"]
    command = UpdatePromotionStack(stack_id=stack_id, campaign_id=campaign_id, changes=call.body)
    await call.command("campaigns", campaign_id, command)
    return await _shown(call, campaign_id, stack_id)


@operation("DELETE", STACK, statuses=(204,))
async def delete_promotion_stack(call: Call) -> Answer:
    """Delete a promotion stack; its tiers stay."""
    campaign_id, stack_id = await id_of(call), call.params["stackId"]
    command = DeletePromotionStack(stack_id=stack_id, campaign_id=campaign_id)
    await call.command("campaigns", campaign_id, command)
    return Answer(204)


async def _shown(call: Call, campaign_id: str, stack_id: str) -> JsonObject:
    await call.fresh()
    async with call.gateway.connection() as connection:
        rows = await queries.promotion_stacks(connection, call.project_id, [stack_id])
        if not rows or rows[0]["campaign_id"] != campaign_id:
            raise not_found("promotion_stack", stack_id)
        return (await views.promotion_stacks(connection, call.project_id, rows))[0]
