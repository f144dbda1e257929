"""``/v1/campaigns``."""

from typing import Any

from contracts import public
from contracts.campaigns import AddVouchers, CreateCampaign, SetCampaignActive, UpdateCampaign
from contracts.errors import JsonObject
from gateway import queries, views
from gateway.body import BOOLEAN, LIST, NAME, OBJECT, TEXT, TEXTS, integer, one_of, required
from gateway.http import Answer, Call, not_found, operation
from gateway.operations.vouchers import one_voucher
from gateway.paging import Column, read_page, whole
from runtime.database import Connection

VOUCHERS_COUNT_MAX = 100_000_000

FIELDS = {
    "name": NAME,
    "description": TEXT,
    "campaign_type": one_of(
        "DISCOUNT_COUPONS", "GIFT_VOUCHERS", "LOYALTY_PROGRAM", "PROMOTION", "REFERRAL_PROGRAM"
    ),
    "type": one_of("AUTO_UPDATE", "STATIC", "STANDALONE"),
    "auto_join": BOOLEAN,
    "join_once": BOOLEAN,
    "use_voucher_metadata_schema": BOOLEAN,
    "vouchers_count": integer(0, VOUCHERS_COUNT_MAX),
    "start_date": TEXT,
    "expiration_date": TEXT,
    "validity_timeframe": OBJECT,
    "validity_day_of_week": LIST,
    "validity_hours": OBJECT,
    "activity_duration_after_publishing": TEXT,
    "category_id": TEXT,
    "category": TEXT,
    "metadata": OBJECT,
    "voucher": OBJECT,
    "validation_rules": TEXTS,
    "referral_program": OBJECT,
    "promotion": OBJECT,
}
OVERRIDES = {
    "category_id": TEXT,
    "redemption": OBJECT,
    "additional_info": TEXT,
    "metadata": OBJECT,
    "start_date": TEXT,
    "expiration_date": TEXT,
    "gift": OBJECT,
    "discount": OBJECT,
}


@operation("POST", "/v1/campaigns", fields={**FIELDS, "name": required(NAME)})
async def create_campaign(call: Call) -> JsonObject:
    """Create a campaign and start making its codes."""
    definition = dict(call.body)
    count = definition.pop("vouchers_count", None) or 0
    rules = definition.pop("validation_rules", None) or []
    campaign_id = call.new_id("camp")
    command = CreateCampaign(
        campaign_id=campaign_id,
        action_id=call.new_id("aa"),
        definition=definition,
        vouchers_count=count,
        validation_rules=rules,
    )
    reply = await call.command("campaigns", campaign_id, command)
    return await _shown(call, reply["campaign"]["id"])


@operation("GET", "/v1/campaigns")
async def list_campaigns(call: Call) -> JsonObject:
    """List campaigns."""
    page = read_page(
        call,
        orders=("created_at", "updated_at", "name"),
        columns={
            "name": Column("t.name"),
            "campaign_type": Column("t.campaign_type"),
            "active": Column("t.active", "boolean"),
            "created_at": Column("t.created_at", "timestamptz"),
            "metadata": Column("t.doc -> 'metadata'"),
        },
        parameters=("campaign_type",),
    )
    page.conditions.add("t.doc IS NOT NULL")
    if "campaign_type" in page.given:
        page.conditions.add("t.campaign_type = {}", page.given["campaign_type"])
    await call.fresh()
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "campaigns", *page.arguments)
        shown = await views.campaigns(connection, call.project_id, rows)
    return public.listing("campaigns", shown, total)


@operation("GET", "/v1/campaigns/{campaignId}")
async def get_campaign(call: Call) -> JsonObject:
    """Get a campaign by its id or name."""
    return await _shown(call, call.params["campaignId"])


@operation("PUT", "/v1/campaigns/{campaignId}", fields=FIELDS)
async def update_campaign(call: Call) -> JsonObject:
    """Change the fields of a campaign that are sent."""
    campaign_id = await _id_of(call)
    changes = {
        name: value
        for name, value in call.body.items()
        if name not in {"vouchers_count", "validation_rules"}
    }
    await call.command(
        "campaigns", campaign_id, UpdateCampaign(campaign_id=campaign_id, changes=changes)
    )
    return await _shown(call, campaign_id)


@operation("POST", "/v1/campaigns/{campaignId}/enable")
async def enable_campaign(call: Call) -> JsonObject:
    """Enable a campaign."""
    return await _set_active(call, active=True)


@operation("POST", "/v1/campaigns/{campaignId}/disable")
async def disable_campaign(call: Call) -> JsonObject:
    """Disable a campaign: its codes cannot be used."""
    return await _set_active(call, active=False)


@operation("POST", "/v1/campaigns/{campaignId}/vouchers", fields=OVERRIDES)
async def add_vouchers(call: Call) -> Any:
    """Add codes to a campaign: one at once, more asynchronously."""
    query = dict(call.query)
    count = whole("vouchers_count", query.get("vouchers_count", "1"), 1, VOUCHERS_COUNT_MAX)
    campaign_id = await _id_of(call)
    reply = await _add(call, campaign_id, count, None)
    if "async_action_id" in reply:
        return Answer(202, {"async_action_id": reply["async_action_id"]})
    return await one_voucher(call, reply["voucher"]["id"])


@operation("POST", "/v1/campaigns/{campaignId}/vouchers/{code}", fields=OVERRIDES)
async def add_voucher_with_code(call: Call) -> JsonObject:
    """Add a code of the caller's choice to a campaign."""
    campaign_id = await _id_of(call)
    reply = await _add(call, campaign_id, 1, call.params["code"])
    return await one_voucher(call, reply["voucher"]["id"])


@operation("GET", "/v1/campaigns/{campaignId}/summary")
async def get_summary(call: Call) -> JsonObject:
    """Get the figures of a campaign."""
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        row = await _row(connection, call)
        totals = await queries.campaign_totals(connection, call.project_id, row["id"])
        [campaign] = await views.campaigns(connection, call.project_id, [row])
    campaign.pop("validation_rules_assignments")
    return _summary(campaign, row, totals)


def _summary(campaign: JsonObject, row: queries.Record, totals: dict[str, Any]) -> JsonObject:
    is_gift = row["campaign_type"] == "GIFT_VOUCHERS"
    shown: JsonObject = {
        "object": "campaign_summary",
        "campaign": campaign,
        "redemptions": totals["redemptions_succeeded"] + totals["redemptions_failed"],
        "redemptions_succeeded": totals["redemptions_succeeded"],
        "redemptions_failed": totals["redemptions_failed"],
        "rollbacks": totals["rollbacks_succeeded"],
        "rollbacks_succeeded": totals["rollbacks_succeeded"],
        "rollbacks_failed": 0,
        "validations": 0,
        "validations_succeeded": 0,
        "validations_failed": 0,
        "orders_amount": totals["orders_amount"],
        "orders_rolledback_amount": totals["orders_rolledback_amount"],
        "vouchers_created": row["vouchers_count"] or 0,
        "vouchers_deleted": 0,
        "publications": totals["publications_succeeded"] + totals["publications_failed"],
        "publications_succeeded": totals["publications_succeeded"],
        "publications_failed": totals["publications_failed"],
    }
    if is_gift:
        template = (row["doc"].get("voucher") or {}).get("gift") or {}
        return shown | {
            "created_vouchers_amount": (row["vouchers_count"] or 0) * template.get("amount", 0),
            "amount_added": totals["amount_added"],
            "amount_deleted": 0,
            "amount_redeemed": totals["amount_redeemed"],
            "amount_rolledback": totals["amount_rolledback"],
            "amount_subtracted": 0,
        }
    return shown | {
        "discounted_amount": totals["discounted_amount"],
        "rolledback_discounted_amount": totals["rolledback_discounted_amount"],
    }


async def _set_active(call: Call, *, active: bool) -> JsonObject:
    campaign_id = await _id_of(call)
    command = SetCampaignActive(campaign_id=campaign_id, active=active)
    await call.command("campaigns", campaign_id, command)
    return {}


async def _add(call: Call, campaign_id: str, count: int, code: str | None) -> JsonObject:
    command = AddVouchers(
        campaign_id=campaign_id,
        action_id=call.new_id("aa"),
        count=count,
        code=code,
        overrides=call.body,
    )
    return await call.command("campaigns", campaign_id, command)


async def _id_of(call: Call) -> str:
    """Return the id of the campaign that the path names."""
    await call.fresh()
    async with call.gateway.connection() as connection:
        row = await _row(connection, call)
    found: str = row["id"]
    return found


async def _row(connection: Connection, call: Call) -> queries.Record:
    name = call.params["campaignId"]
    row = await queries.campaign(connection, call.project_id, name)
    if row is None:
        raise not_found("campaign", name)
    return row


async def _shown(call: Call, name: str) -> JsonObject:
    await call.fresh()
    async with call.gateway.connection() as connection:
        row = await queries.campaign(connection, call.project_id, name)
        if row is None:
            raise not_found("campaign", name)
        return (await views.campaigns(connection, call.project_id, [row]))[0]
