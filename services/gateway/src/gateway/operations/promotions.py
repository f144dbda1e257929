"""``/v1/promotions/…/tiers``: promotion tiers."""

from contracts import public
from contracts.errors import JsonObject
from contracts.promotions import (
    CreatePromotionTier,
    DeletePromotionTier,
    SetPromotionTierActive,
    UpdatePromotionTier,
)
from gateway import queries, views
from gateway.body import BOOLEAN, INTEGER, LIST, NAME, OBJECT, TEXT, TEXTS, required
from gateway.http import CLIENT, Answer, Call, not_found, operation
from gateway.operations.campaigns import id_of
from gateway.paging import read_page
from gateway.query import FLAG, Column, Listing, Parameter, columns

FIELDS = {
    "name": NAME,
    "banner": TEXT,
    "action": OBJECT,
    "metadata": OBJECT,
    "hierarchy": INTEGER,
    "active": BOOLEAN,
    "start_date": TEXT,
    "expiration_date": TEXT,
    "validity_timeframe": OBJECT,
    "validity_day_of_week": LIST,
    "validity_hours": OBJECT,
    "category": TEXT,
    "category_id": TEXT,
    "validation_rules": TEXTS,
    "validation_rule_assignments": OBJECT,
}
IS_AVAILABLE = (
    "COALESCE(t.active AND c.active"
    " AND COALESCE((t.doc ->> 'start_date')::timestamptz <= CURRENT_TIMESTAMP, true)"
    " AND COALESCE((t.doc ->> 'expiration_date')::timestamptz > CURRENT_TIMESTAMP, true)"
    " AND COALESCE((c.doc ->> 'start_date')::timestamptz <= CURRENT_TIMESTAMP, true)"
    " AND COALESCE((c.doc ->> 'expiration_date')::timestamptz > CURRENT_TIMESTAMP, true), false)"
)
PARAMETERS = {
    "is_available": Parameter(
        FLAG,
        f"{IS_AVAILABLE} = {{}}",
        about="Switched on, and within its dates and its campaign's",
    )
}
FILTERS = {
    "name": Column("t.name"),
    "campaign_id": Column("t.campaign_id"),
    "category_id": Column("t.doc ->> 'category_id'"),
    "active": Column("t.active", "boolean"),
    "created_at": Column("t.created_at", "timestamptz"),
    "metadata": Column("t.doc -> 'metadata'"),
}
ORDERS = columns("created_at", "updated_at", "hierarchy", "name")
TIERS = Listing(orders=ORDERS, filters=FILTERS, parameters=PARAMETERS)
TIERS_OF_CAMPAIGN = Listing(
    orders=ORDERS, default="hierarchy", filters=FILTERS, parameters=PARAMETERS
)


@operation("GET", "/v1/promotions/tiers", query=TIERS)
async def list_promotion_tiers(call: Call) -> JsonObject:
    """List promotion tiers."""
    return await _list(call, None)


@operation("GET", "/client/v1/promotions/tiers", auth=CLIENT, query=TIERS)
async def list_promotion_tiers_client_side(call: Call) -> JsonObject:
    """List promotion tiers, from a browser or an app."""
    return await _list(call, None)


@operation("GET", "/v1/promotions/{campaignId}/tiers", query=TIERS_OF_CAMPAIGN)
async def list_promotion_tiers_from_campaign(call: Call) -> JsonObject:
    """List the tiers of a campaign, by their hierarchy."""
    return await _list(call, await id_of(call))


async def _list(call: Call, campaign_id: str | None) -> JsonObject:
    page = await read_page(call)
    if campaign_id is not None:
        page.conditions.add("t.campaign_id = {}", campaign_id)
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "promotion_tiers", *page.arguments)
        shown = await views.promotion_tiers(connection, call.project_id, rows)
    has_more = page.offset + len(shown) < total
    return public.listing("tiers", shown, total, has_more=has_more)


@operation(
    "POST",
    "/v1/promotions/{campaignId}/tiers",
    fields={**FIELDS, "name": required(NAME), "action": required(OBJECT)},
)
async def create_promotion_tier(call: Call) -> JsonObject:
    """Add a tier to a campaign of type PROMOTION."""
    campaign_id, tier_id = await id_of(call), call.new_id("promo")
    command = CreatePromotionTier(tier_id=tier_id, campaign_id=campaign_id, definition=call.body)
    await call.command("campaigns", campaign_id, command)
    return await _shown(call, tier_id)


@operation("GET", "/v1/promotions/tiers/{promotionTierId}")
async def get_promotion_tier(call: Call) -> JsonObject:
    """Get a promotion tier with what its redemptions came to."""
    return await _shown(call, call.params["promotionTierId"])


@operation("PUT", "/v1/promotions/tiers/{promotionTierId}", fields=FIELDS)
async def update_promotion_tier(call: Call) -> JsonObject:
    """Change the fields of a promotion tier that are sent; rules are assigned besides those that are."""
    tier_id = call.params["promotionTierId"]
    command = UpdatePromotionTier(tier_id=tier_id, changes=call.body)
    await call.command("campaigns", tier_id, command)
    return await _shown(call, tier_id)


@operation("DELETE", "/v1/promotions/tiers/{promotionTierId}", statuses=(204,))
async def delete_promotion_tier(call: Call) -> Answer:
    """Delete a promotion tier that is in no promotion stack."""
    tier_id = call.params["promotionTierId"]
    await call.command("campaigns", tier_id, DeletePromotionTier(tier_id=tier_id))
    return Answer(204)


@operation("POST", "/v1/promotions/tiers/{promotionTierId}/enable")
async def enable_promotion_tier(call: Call) -> JsonObject:
    """Enable a promotion tier."""
    return await _set_active(call, active=True)


@operation("POST", "/v1/promotions/tiers/{promotionTierId}/disable")
async def disable_promotion_tier(call: Call) -> JsonObject:
    """Disable a promotion tier: it does not apply."""
    return await _set_active(call, active=False)


async def _set_active(call: Call, *, active: bool) -> JsonObject:
    tier_id = call.params["promotionTierId"]
    command = SetPromotionTierActive(tier_id=tier_id, active=active)
    await call.command("campaigns", tier_id, command)
    return await _shown(call, tier_id)


async def _shown(call: Call, tier_id: str) -> JsonObject:
    await call.fresh(f"promotion_tier/{tier_id}")
    async with call.gateway.connection() as connection:
        rows = await queries.promotion_tiers(connection, call.project_id, [tier_id])
        if not rows:
            raise not_found("promotion_tier", tier_id)
        return (await views.promotion_tiers(connection, call.project_id, rows))[0]
