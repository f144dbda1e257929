"""``/v1/vouchers``."""

from typing import Any

from contracts import ids, public
from contracts.campaigns import CreateVoucher, SetVoucherActive, UpdateVoucher
from contracts.errors import InvalidPayload, JsonObject
from contracts.ledger import AdjustBalance
from gateway import queries, views
from gateway.body import BOOLEAN, INTEGER, LIST, NAME, OBJECT, TEXT, TEXTS, one_of, required
from gateway.http import Call, not_found, operation
from gateway.paging import read_page
from gateway.query import TEXT as WORD
from gateway.query import Column, Listing, Parameter, columns, id_of_code, names_of_customer

COMMON_FIELDS = {
    "discount": OBJECT,
    "category": TEXT,
    "category_id": TEXT,
    "start_date": TEXT,
    "expiration_date": TEXT,
    "validity_timeframe": OBJECT,
    "validity_day_of_week": LIST,
    "validity_hours": OBJECT,
    "active": BOOLEAN,
    "additional_info": TEXT,
    "metadata": OBJECT,
}
UPDATE_FIELDS = COMMON_FIELDS
CREATE_FIELDS = {
    **COMMON_FIELDS,
    "type": one_of("DISCOUNT_VOUCHER", "GIFT_VOUCHER", "LOYALTY_CARD"),
    "gift": OBJECT,
    "loyalty_card": OBJECT,
    "redemption": OBJECT,
    "validation_rules": TEXTS,
    "campaign": TEXT,
    "campaign_id": TEXT,
}
GENERATE_FIELDS = {**CREATE_FIELDS, "code": NAME, "code_config": OBJECT}


@operation("POST", "/v1/vouchers", fields=GENERATE_FIELDS)
async def generate_random_code(call: Call) -> JsonObject:
    """Create a standalone code, drawn by its code_config."""
    return await _create(call, call.body.get("code"))


@operation("POST", "/v1/vouchers/{code}", fields=CREATE_FIELDS)
async def create_voucher(call: Call) -> JsonObject:
    """Create a standalone code of the caller's choice."""
    return await _create(call, call.params["code"])


async def _create(call: Call, code: str | None) -> JsonObject:
    definition = {name: value for name, value in call.body.items() if name != "code"}
    rules = definition.pop("validation_rules", None) or []
    command = CreateVoucher(code=code, definition=definition, validation_rules=rules)
    reply = await call.command("campaigns", code or call.request_id, command)
    return await one_voucher(call, reply["voucher"]["id"])


KIND = "COALESCE(t.type, c.doc -> 'voucher' ->> 'type')"
DEFINITION = "COALESCE(t.definition, c.doc -> 'voucher')"
CATEGORY = "COALESCE(t.definition ->> 'category_id', c.doc ->> 'category_id')"
STARTS = f"({DEFINITION} ->> 'start_date')::timestamptz"
EXPIRES = f"({DEFINITION} ->> 'expiration_date')::timestamptz"
IS_EXPIRED = f"COALESCE({EXPIRES} <= {{}}, false)"
IS_ON = f"(t.active AND NOT {IS_EXPIRED} AND NOT COALESCE({STARTS} > {{}}, false))"
HOLDER = (
    "(SELECT h.holder_id FROM voucher_holders h"
    " WHERE h.project_id = t.project_id AND h.voucher_id = t.id)"
)
USED = (
    "COALESCE((SELECT a.used FROM accounts a"
    " WHERE a.project_id = t.project_id AND a.account = 'uses/' || t.id), 0)"
)
QUANTITY = f"({DEFINITION} -> 'redemption' ->> 'quantity')::bigint"
IS_USED_UP = f"COALESCE({USED} >= {QUANTITY}, false)"
IS_REFERRAL = (
    f"COALESCE(c.campaign_type = 'REFERRAL_PROGRAM'"
    f" OR ({DEFINITION} ->> 'is_referral_code')::boolean, false)"
)
VOUCHERS = Listing(
    orders={**columns("created_at", "updated_at", "code"), "type": KIND},
    dates=columns("created_at", "updated_at"),
    filters={
        "code": Column("t.code"),
        "vouchers": Column("t.code"),
        "type": Column(KIND),
        "campaign_id": Column("t.campaign_id"),
        "campaign": Column("c.name"),
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
        "redemption_status": Column(
            "", "state", states={"$redeemed": IS_USED_UP, "$redeemable": f"NOT {IS_USED_UP}"}
        ),
        "holder_id": Column(HOLDER),
        "published_for_customer_id": Column(HOLDER),
        "is_referral_code": Column(IS_REFERRAL, "flag"),
        "categories": Column(CATEGORY),
        "category_ids": Column(CATEGORY),
        "created_at": Column("t.created_at", "timestamptz"),
        "created_date": Column("t.created_at", "timestamptz"),
        "updated_at": Column("t.updated_at", "timestamptz"),
        "start_date": Column(STARTS, "timestamptz"),
        "expiration_date": Column(EXPIRES, "timestamptz"),
        "validity_timeframe": Column(
            f"({DEFINITION} -> 'validity_timeframe')",
            "json",
            f"({DEFINITION} ->> 'validity_timeframe')",
        ),
        "validity_day_of_week": Column(
            f"({DEFINITION} -> 'validity_day_of_week')",
            "json",
            f"({DEFINITION} ->> 'validity_day_of_week')",
        ),
        "metadata": Column(f"{DEFINITION} -> 'metadata'"),
    },
    parameters={
        "code": Parameter(WORD, "t.id = {}", id_of_code),
        "campaign": Parameter(WORD, "c.name = {}"),
        "campaign_id": Parameter(WORD, "t.campaign_id = {}"),
        "category": Parameter(WORD, f"{CATEGORY} = {{}}"),
        "category_id": Parameter(WORD, f"{CATEGORY} = {{}}"),
        "customer": Parameter(
            WORD, f"{HOLDER} = ANY({{}})", names_of_customer, "Id or source_id of the holder"
        ),
    },
    ids="t.id",
)


@operation("GET", "/v1/vouchers", query=VOUCHERS)
async def list_vouchers(call: Call) -> JsonObject:
    """List vouchers."""
    page = await read_page(call)
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "vouchers", *page.arguments)
        shown = await views.vouchers(connection, call.project_id, rows)
    return public.listing("vouchers", shown, total)


@operation("GET", "/v1/vouchers/{code}")
async def get_voucher(call: Call) -> JsonObject:
    """Get a voucher by its code or id."""
    return await one_voucher(call, call.params["code"])


@operation("PUT", "/v1/vouchers/{code}", fields=UPDATE_FIELDS)
async def update_voucher(call: Call) -> JsonObject:
    """Change the fields of a voucher that are sent."""
    name = call.params["code"]
    reply = await call.command("campaigns", name, UpdateVoucher(code=name, changes=call.body))
    return await one_voucher(call, reply["voucher"]["id"])


@operation("POST", "/v1/vouchers/{code}/enable")
async def enable_voucher(call: Call) -> JsonObject:
    """Enable a voucher."""
    return await _set_active(call, active=True)


@operation("POST", "/v1/vouchers/{code}/disable")
async def disable_voucher(call: Call) -> JsonObject:
    """Disable a voucher: it cannot be used."""
    return await _set_active(call, active=False)


async def _set_active(call: Call, *, active: bool) -> JsonObject:
    name = call.params["code"]
    command = SetVoucherActive(code=name, active=active)
    reply = await call.command("campaigns", name, command)
    return await one_voucher(call, reply["voucher"]["id"])


BALANCE_FIELDS = {"amount": required(INTEGER), "source_id": TEXT, "reason": TEXT}


@operation("POST", "/v1/vouchers/{code}/balance", fields=BALANCE_FIELDS, is_answer_kept=False)
async def update_balance(call: Call) -> JsonObject:
    """Add credits to a gift card, or remove them with a negative amount."""
    row, definition, version = await _definition(call)
    if definition["type"] != "GIFT_VOUCHER":
        raise InvalidPayload("code: the voucher has no balance", prop="code")
    command = AdjustBalance(
        voucher_id=row["id"],
        voucher={
            "id": row["id"],
            "code": row["code"],
            "type": definition["type"],
            "campaign_id": row["campaign_id"],
        },
        account=f"credits/{row['id']}",
        unit="credit",
        amount=call.body["amount"],
        limit=definition["gift"]["amount"],
        limit_version=version,
        source_id=call.body.get("source_id"),
        reason=call.body.get("reason"),
        transaction_id=call.new_id("vtx"),
    )
    key = row["campaign_id"] or row["code"]
    scope = f"voucher/{row['id']}"
    reply = await call.command("ledger", key, command, remember=[scope])
    return public.balance_update(reply["adjustment"])


async def _definition(call: Call) -> tuple[queries.Record, JsonObject, int]:
    """Return the voucher, its effective definition, and the version that its limits carry."""
    await call.fresh()
    name = call.params["code"]
    async with call.gateway.connection() as connection:
        row = await queries.voucher(connection, call.project_id, name)
        if row is None:
            raise not_found("voucher", name)
        campaigns = await queries.campaigns(connection, call.project_id, [row["campaign_id"] or ""])
    campaign = campaigns.get(row["campaign_id"] or "")
    doc = (campaign["doc"] if campaign is not None else None) or {}
    # The same number as contracts.vouchers.definition_version, from which the engine's plans are made.
    version = doc.get("version", 0) + (row["version"] or 0)
    return row, row["definition"] or doc.get("voucher") or {}, version


TRANSACTIONS = Listing(
    orders=columns("created_at", "id"),
    filters={
        "id": Column("t.id"),
        "created_at": Column("t.created_at", "timestamptz"),
    },
    cursor="voucher_transactions",
)


@operation("GET", "/v1/vouchers/{code}/transactions", query=TRANSACTIONS)
async def list_transactions(call: Call) -> JsonObject:
    """List what changed a card's balance."""
    page = await read_page(call)
    shown = await one_voucher(call, call.params["code"])
    page.conditions.add("t.voucher_id = {}", shown["id"])
    async with call.gateway.connection() as connection:
        arguments = (page.conditions, page.order, page.limit + 1, page.offset)
        rows, _ = await queries.page(connection, "voucher_transactions", *arguments)
    has_more = len(rows) > page.limit
    told: JsonObject = {
        "object": "list",
        "data_ref": "data",
        "data": [row["doc"] for row in rows[: page.limit]],
        "has_more": has_more,
    }
    if has_more:
        told["more_starting_after"] = rows[page.limit - 1]["id"]
    return told


async def one_voucher(call: Call, name: str) -> JsonObject:
    """Show a voucher by its code or id; raises 404."""
    scopes = [f"voucher/{name}", f"voucher/{ids.voucher_id(call.project_id, name)}"]
    await call.fresh(*scopes)
    async with call.gateway.connection() as connection:
        row: Any = await queries.voucher(connection, call.project_id, name)
        if row is None:
            raise not_found("voucher", name)
        return (await views.vouchers(connection, call.project_id, [row]))[0]
