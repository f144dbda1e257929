"""``/v1/vouchers``."""

from typing import Any

from contracts import ids, public
from contracts.campaigns import CreateVoucher, SetVoucherActive, UpdateVoucher
from contracts.errors import InvalidPayload, JsonObject
from contracts.ledger import AdjustBalance
from gateway import queries, views
from gateway.body import BOOLEAN, INTEGER, LIST, NAME, OBJECT, TEXT, TEXTS, one_of, required
from gateway.http import Call, not_found, operation
from gateway.paging import Column, read_page

FIELDS = {
    "code": NAME,
    "type": one_of("DISCOUNT_VOUCHER", "GIFT_VOUCHER", "LOYALTY_CARD"),
    "discount": OBJECT,
    "gift": OBJECT,
    "loyalty_card": OBJECT,
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
    "redemption": OBJECT,
    "validation_rules": TEXTS,
    "code_config": OBJECT,
    "campaign": TEXT,
    "campaign_id": TEXT,
}


@operation("POST", "/v1/vouchers", fields=FIELDS)
async def generate_random_code(call: Call) -> JsonObject:
    """Create a standalone code, drawn by its code_config."""
    return await _create(call, call.body.get("code"))


@operation("POST", "/v1/vouchers/{code}", fields=FIELDS)
async def create_voucher(call: Call) -> JsonObject:
    """Create a standalone code of the caller's choice."""
    return await _create(call, call.params["code"])


async def _create(call: Call, code: str | None) -> JsonObject:
    definition = {name: value for name, value in call.body.items() if name != "code"}
    rules = definition.pop("validation_rules", None) or []
    command = CreateVoucher(code=code, definition=definition, validation_rules=rules)
    reply = await call.command("campaigns", code or call.request_id, command)
    return await one_voucher(call, reply["voucher"]["id"])


@operation("GET", "/v1/vouchers")
async def list_vouchers(call: Call) -> JsonObject:
    """List vouchers."""
    kind = "COALESCE(t.type, c.doc -> 'voucher' ->> 'type')"
    page = read_page(
        call,
        orders=("created_at", "updated_at", "type", "code"),
        columns={
            "code": Column("t.code"),
            "type": Column(kind),
            "campaign_id": Column("t.campaign_id"),
            "campaign": Column("c.name"),
            "active": Column("t.active", "boolean"),
            "created_at": Column("t.created_at", "timestamptz"),
            "metadata": Column("t.definition -> 'metadata'"),
        },
        parameters=("code", "campaign", "campaign_id", "category", "category_id", "customer"),
    )
    conditions, given = page.conditions, page.given
    if "code" in given:
        conditions.add("t.code = {}", given["code"])
    if "campaign" in given:
        conditions.add("c.name = {}", given["campaign"])
    if "campaign_id" in given:
        conditions.add("t.campaign_id = {}", given["campaign_id"])
    if "customer" in given:
        conditions.add(
            "EXISTS (SELECT 1 FROM voucher_holders h WHERE h.project_id = t.project_id"
            " AND h.voucher_id = t.id AND h.holder_id = ANY({}))",
            [given["customer"], ids.customer_id(call.project_id, given["customer"])],
        )
    if "category" in given or "category_id" in given:
        conditions.add(
            "t.definition ->> 'category_id' = {}", given.get("category_id", given.get("category"))
        )
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "vouchers", *page.arguments)
        shown = await views.vouchers(connection, call.project_id, rows)
    return public.listing("vouchers", shown, total)


@operation("GET", "/v1/vouchers/{code}")
async def get_voucher(call: Call) -> JsonObject:
    """Get a voucher by its code or id."""
    return await one_voucher(call, call.params["code"])


@operation("PUT", "/v1/vouchers/{code}", fields=FIELDS)
async def update_voucher(call: Call) -> JsonObject:
    """Change the fields of a voucher that are sent."""
    name = call.params["code"]
    changes = {field: value for field, value in call.body.items() if field != "code"}
    reply = await call.command("campaigns", name, UpdateVoucher(code=name, changes=changes))
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


@operation("GET", "/v1/vouchers/{code}/transactions")
async def list_transactions(call: Call) -> JsonObject:
    """List what changed a card's balance."""
    page = read_page(
        call,
        columns={"id": Column("t.id"), "created_at": Column("t.created_at", "timestamptz")},
        parameters=("starting_after_id",),
    )
    shown = await one_voucher(call, call.params["code"])
    page.conditions.add("t.voucher_id = {}", shown["id"])
    if "starting_after_id" in page.given:
        page.conditions.add(
            "(t.created_at, t.id) < (SELECT s.created_at, s.id FROM voucher_transactions s"
            " WHERE s.project_id = $1 AND s.id = {})",
            page.given["starting_after_id"],
        )
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
