"""``/v1/campaigns``."""

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from contracts import public
from contracts.campaigns import AddVouchers, CreateCampaign, SetCampaignActive, UpdateCampaign
from contracts.errors import InvalidPayload, InvalidQueryParams, JsonObject
from gateway import limits, queries, views
from gateway.body import BOOLEAN, LIST, NAME, OBJECT, TEXT, TEXTS, integer, kept, one_of, required
from gateway.http import Answer, Call, not_found, operation
from gateway.operations.vouchers import one_voucher
from gateway.paging import read_page, read_parameters
from gateway.query import DAY, FLAG, Column, Listing, Parameter, Query, columns
from gateway.query import TEXT as WORD
from gateway.query import integer as number
from gateway.query import one_of as word_of
from runtime.database import Connection

COMMON_FIELDS = {
    "description": TEXT,
    "auto_join": BOOLEAN,
    "join_once": BOOLEAN,
    "start_date": TEXT,
    "expiration_date": TEXT,
    "validity_timeframe": OBJECT,
    "validity_day_of_week": LIST,
    "validity_hours": OBJECT,
    "activity_duration_after_publishing": TEXT,
    "category_id": TEXT,
    "category": TEXT,
    "metadata": OBJECT,
    "referral_program": OBJECT,
    "access_settings": OBJECT,
}
CREATE_FIELDS = {
    **COMMON_FIELDS,
    "name": required(NAME),
    "campaign_type": one_of(
        "DISCOUNT_COUPONS", "GIFT_VOUCHERS", "LOYALTY_PROGRAM", "PROMOTION", "REFERRAL_PROGRAM"
    ),
    "type": one_of("AUTO_UPDATE", "STATIC", "STANDALONE"),
    "use_voucher_metadata_schema": BOOLEAN,
    "vouchers_count": integer(0, limits.VOUCHERS_COUNT_MAX),
    "voucher": OBJECT,
    "validation_rules": TEXTS,
    "promotion": OBJECT,
}
UPDATE_FIELDS = kept(
    {
        **COMMON_FIELDS,
        "type": one_of("AUTO_UPDATE", "STATIC"),
        "discount": OBJECT,
        "gift": OBJECT,
        "unset_metadata_fields": TEXTS,
        "loyalty_tiers_expiration": OBJECT,
    },
    "type",
)
ADDED_CODE_FIELDS = {
    "category": TEXT,
    "category_id": TEXT,
    "redemption": OBJECT,
    "additional_info": TEXT,
    "metadata": OBJECT,
    "start_date": TEXT,
    "expiration_date": TEXT,
    "gift": OBJECT,
    "discount": OBJECT,
    "active": BOOLEAN,
}
ADDED_CODES_FIELDS = {**ADDED_CODE_FIELDS, "code": NAME, "code_config": OBJECT}


@operation("POST", "/v1/campaigns", fields=CREATE_FIELDS)
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


STATUSES = ("DONE", "IN_PROGRESS", "FAILED", "DRAFT", "MODIFYING")
STATUS = (
    "CASE WHEN COALESCE(t.doc ->> 'creation_status', 'DONE') <> 'DONE' THEN t.doc ->> 'creation_status'"
    " ELSE COALESCE(t.generation_status, 'DONE') END"
)
IS_REFERRAL = (
    "COALESCE(t.campaign_type = 'REFERRAL_PROGRAM'"
    " OR (t.doc -> 'voucher' ->> 'is_referral_code')::boolean, false)"
)
STARTS = "(t.doc ->> 'start_date')::timestamptz"
EXPIRES = "(t.doc ->> 'expiration_date')::timestamptz"
IS_EXPIRED = f"COALESCE({EXPIRES} <= {{}}, false)"
IS_EARLY = f"COALESCE({STARTS} > {{}}, false)"
IS_ON = f"(t.active AND NOT {IS_EXPIRED} AND NOT {IS_EARLY})"
NO_AREAS = Parameter(WORD, "{}::text IS NULL", about="Tessera has no areas: no campaign is in one")
CAMPAIGNS = Listing(
    orders=columns("created_at", "updated_at", "name"),
    dates=columns("created_at", "updated_at"),
    filters={
        "name": Column("t.name"),
        "campaigns": Column("t.name"),
        "campaigns_id": Column("t.id"),
        "campaign_type": Column("t.campaign_type"),
        "campaign_status": Column(STATUS),
        "status": Column(
            "",
            "state",
            states={
                "$active": IS_ON,
                "$failed": f"({STATUS}) = 'FAILED'",
                "$in_progress": f"({STATUS}) = 'IN_PROGRESS'",
                "$expired": IS_EXPIRED,
                "$before_start": IS_EARLY,
            },
        ),
        "active": Column(
            "t.active",
            "boolean",
            states={
                "$enabled": "t.active",
                "$disabled": "NOT t.active",
                "$expired": IS_EXPIRED,
                "$active": IS_ON,
            },
        ),
        "is_referral_code": Column(IS_REFERRAL, "flag"),
        "validity_timeframe": Column(
            "(t.doc -> 'validity_timeframe')", "json", "(t.doc ->> 'validity_timeframe')"
        ),
        "validity_day_of_week": Column(
            "(t.doc -> 'validity_day_of_week')", "json", "(t.doc ->> 'validity_day_of_week')"
        ),
        "voucher_type": Column("t.doc -> 'voucher' ->> 'type'"),
        "categories": Column("t.doc ->> 'category_id'"),
        "category_ids": Column("t.doc ->> 'category_id'"),
        "type": Column("t.doc ->> 'type'"),
        "created_at": Column("t.created_at", "timestamptz"),
        "created_date": Column("t.created_at", "timestamptz"),
        "updated_at": Column("t.updated_at", "timestamptz"),
        "start_date": Column(STARTS, "timestamptz"),
        "expiration_date": Column(EXPIRES, "timestamptz"),
        "metadata": Column("t.doc -> 'metadata'"),
    },
    parameters={
        "campaign_type": Parameter(
            word_of(
                "PROMOTION",
                "GIFT_VOUCHERS",
                "REFERRAL_PROGRAM",
                "DISCOUNT_COUPONS",
                "LOYALTY_PROGRAM",
            ),
            "t.campaign_type = {}",
        ),
        "campaign_status": Parameter(word_of(*STATUSES), f"{STATUS} = {{}}"),
        "is_referral_code": Parameter(FLAG, f"{IS_REFERRAL} = {{}}"),
        "expand": Parameter(
            word_of("category", "access_settings_assignments"), about="Everything is shown always"
        ),
        "access_settings[filter][areas_ids]": NO_AREAS,
        "access_settings[filter][area_all_stores_ids]": NO_AREAS,
        "access_settings[filter][area_stores_ids]": NO_AREAS,
    },
)


@operation("GET", "/v1/campaigns", query=CAMPAIGNS)
async def list_campaigns(call: Call) -> JsonObject:
    """List campaigns."""
    page = await read_page(call)
    page.conditions.add("t.doc IS NOT NULL")
    await call.fresh()
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "campaigns", *page.arguments)
        shown = await views.campaigns(connection, call.project_id, rows)
    return public.listing("campaigns", shown, total)


@operation("GET", "/v1/campaigns/{campaignId}")
async def get_campaign(call: Call) -> JsonObject:
    """Get a campaign by its id or name."""
    return await _shown(call, call.params["campaignId"])


@operation("PUT", "/v1/campaigns/{campaignId}", fields=UPDATE_FIELDS)
async def update_campaign(call: Call) -> JsonObject:
    """Change the fields of a campaign that are sent."""
    campaign_id = await id_of(call)
    command = UpdateCampaign(campaign_id=campaign_id, changes=call.body)
    await call.command("campaigns", campaign_id, command)
    return await _shown(call, campaign_id)


@operation("POST", "/v1/campaigns/{campaignId}/enable")
async def enable_campaign(call: Call) -> JsonObject:
    """Enable a campaign."""
    return await _set_active(call, active=True)


@operation("POST", "/v1/campaigns/{campaignId}/disable")
async def disable_campaign(call: Call) -> JsonObject:
    """Disable a campaign: its codes cannot be used."""
    return await _set_active(call, active=False)


HOW_MANY = Query(vouchers_count=Parameter(number(1, limits.VOUCHERS_COUNT_MAX)))


@operation(
    "POST",
    "/v1/campaigns/{campaignId}/vouchers",
    fields=ADDED_CODES_FIELDS,
    query=HOW_MANY,
    statuses=(200, 202),
)
async def add_vouchers(call: Call) -> Any:
    """Add codes to a campaign: one at once, more asynchronously."""
    count = read_parameters(call).get("vouchers_count", 1)
    campaign_id = await id_of(call)
    reply = await _add(call, campaign_id, count, _chosen_code(call, count))
    if "async_action_id" in reply:
        return Answer(202, {"async_action_id": reply["async_action_id"]})
    return await one_voucher(call, reply["voucher"]["id"])


def _chosen_code(call: Call, count: int) -> str | None:
    code: str | None = call.body.get("code")
    if code is not None and count != 1:
        raise InvalidPayload("code: can be chosen for a single code only", prop="code")
    return code


@operation("POST", "/v1/campaigns/{campaignId}/vouchers/{code}", fields=ADDED_CODE_FIELDS)
async def add_voucher_with_code(call: Call) -> JsonObject:
    """Add a code of the caller's choice to a campaign."""
    campaign_id = await id_of(call)
    reply = await _add(call, campaign_id, 1, call.params["code"])
    return await one_voucher(call, reply["voucher"]["id"])


RANGE = Query(
    start_date=Parameter(DAY, about="First day, by the project's calendar"),
    end_date=Parameter(DAY, about="Last day, by the project's calendar"),
)


@operation("GET", "/v1/campaigns/{campaignId}/summary", query=RANGE)
async def get_summary(call: Call) -> JsonObject:
    """Get the figures of a campaign, of all its days or of those from start_date to end_date."""
    days = read_parameters(call)
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        row = await _row(connection, call)
        begin, end = _moments(days, await queries.timezone(connection, call.project_id))
        totals = await queries.campaign_totals(connection, call.project_id, row["id"], begin, end)
        [campaign] = await views.campaigns(connection, call.project_id, [row])
    campaign.pop("validation_rules_assignments")
    return public.campaign_summary(campaign, totals)


def _moments(days: dict[str, date], timezone: str) -> tuple[datetime | None, datetime | None]:
    """Return the begin of the first day and the end of the last, as the project's calendar has them."""
    first, last = days.get("start_date"), days.get("end_date")
    if first is not None and last is not None and last < first:
        raise InvalidQueryParams("end_date: must not be before start_date")
    after = last + timedelta(days=1) if last is not None else None
    begin, end = (
        datetime.combine(day, time(), ZoneInfo(timezone)) if day is not None else None
        for day in (first, after)
    )
    return begin, end


async def _set_active(call: Call, *, active: bool) -> JsonObject:
    campaign_id = await id_of(call)
    command = SetCampaignActive(campaign_id=campaign_id, active=active)
    await call.command("campaigns", campaign_id, command)
    return {}


async def _add(call: Call, campaign_id: str, count: int, code: str | None) -> JsonObject:
    command = AddVouchers(
        campaign_id=campaign_id,
        action_id=call.new_id("aa"),
        count=count,
        code=code,
        overrides={name: call.body[name] for name in call.body if name != "code"},
    )
    return await call.command("campaigns", campaign_id, command)


async def id_of(call: Call) -> str:
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
