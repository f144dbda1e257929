"""``/v1/orders``."""

from contracts import ids, public
from contracts.customers import UpsertOrder
from contracts.errors import InvalidPayload, JsonObject
from gateway import queries, views
from gateway.body import INTEGER, LIST, NAME, OBJECT, TEXT
from gateway.http import Call, not_found, operation
from gateway.paging import Column, read_page

FIELDS = {
    "source_id": NAME,
    "status": TEXT,
    "amount": INTEGER,
    "initial_amount": INTEGER,
    "discount_amount": INTEGER,
    "items": LIST,
    "customer": OBJECT,
    "customer_id": TEXT,
    "referrer": OBJECT,
    "referrer_id": TEXT,
    "metadata": OBJECT,
}


@operation("POST", "/v1/orders", fields=FIELDS)
async def create_order(call: Call) -> JsonObject:
    """Create an order, or change the one with this source_id."""
    source_id: str | None = call.body.get("source_id")
    order_id = ids.order_id(call.project_id, source_id) if source_id else call.new_id("ord")
    return await _upsert(call, order_id, call.body, must_exist=False)


@operation("PUT", "/v1/orders/{orderId}", fields=FIELDS)
async def update_order(call: Call) -> JsonObject:
    """Change the fields of an order that are sent."""
    order = await one_order(call, call.params["orderId"])
    return await _upsert(call, order["id"], call.body, must_exist=True)


async def _upsert(call: Call, order_id: str, body: JsonObject, *, must_exist: bool) -> JsonObject:
    changes = dict(body)
    customer = changes.pop("customer", None)
    command = UpsertOrder(
        order_id=order_id, changes=changes, customer=customer, must_exist=must_exist
    )
    scopes = [f"order/{order_id}"]
    reply = await call.command("customers", order_id, command, remember=scopes)
    if reply.get("customer"):
        call.remember("customers", [f"customer/{reply['customer']['id']}"])
    return await one_order(call, reply["order"]["id"])


@operation("GET", "/v1/orders")
async def list_orders(call: Call) -> JsonObject:
    """List orders."""
    created = "COALESCE((t.doc ->> 'created_at')::timestamptz, t.ledger_created_at)"
    query = [(name, value) for name, value in call.query if name != "order"]
    order = next((value for name, value in call.query if name == "order"), "-created_at")
    if order.removeprefix("-") not in {"created_at", "updated_at", "code", "status"}:
        raise InvalidPayload("order: must be created_at or updated_at", prop="order")
    call.query = query
    page = read_page(
        call,
        columns={
            "source_id": Column("t.source_id"),
            "status": Column("COALESCE(t.ledger_doc ->> 'status', t.doc ->> 'status')"),
            "customer_id": Column("t.doc ->> 'customer_id'"),
            "amount": Column("(t.doc ->> 'amount')::bigint", "bigint"),
            "created_at": Column(created, "timestamptz"),
            "metadata": Column("t.doc -> 'metadata'"),
        },
        parameters=("customer",),
    )
    if "customer" in page.given:
        given = page.given["customer"]
        page.conditions.add(
            "t.doc ->> 'customer_id' = ANY({})", [given, ids.customer_id(call.project_id, given)]
        )
    direction = "DESC" if order.startswith("-") else "ASC"
    sorting = f"{created} {direction}, t.id {direction}"
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        arguments = (page.conditions, sorting, page.limit, page.offset)
        rows, total = await queries.page(connection, "orders", *arguments)
    return public.listing("orders", [views.order(row) for row in rows], total)


@operation("GET", "/v1/orders/{orderId}")
async def get_order(call: Call) -> JsonObject:
    """Get an order by its id or source_id."""
    return await one_order(call, call.params["orderId"])


async def one_order(call: Call, name: str) -> JsonObject:
    """Show an order; raises 404."""
    await call.fresh(f"order/{name}", f"order/{ids.order_id(call.project_id, name)}")
    async with call.gateway.connection() as connection:
        row = await queries.order(connection, call.project_id, name)
    if row is None:
        raise not_found("order", name)
    return views.order(row)
