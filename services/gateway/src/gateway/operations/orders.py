"""``/v1/orders``."""

from contracts import ids, public
from contracts.customers import UpsertOrder
from contracts.errors import JsonObject
from gateway import queries, views
from gateway.body import INTEGER, LIST, NAME, OBJECT, TEXT
from gateway.http import Call, not_found, operation
from gateway.paging import read_page
from gateway.query import TEXT as WORD
from gateway.query import Column, Listing, Parameter, columns, names_of_customer

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


ORDERS = Listing(
    orders=columns("created_at", "updated_at", "status"),
    dates=columns("created_at", "updated_at"),
    filters={
        "source_id": Column("t.source_id"),
        "status": Column("t.status"),
        "customer_id": Column("t.customer_id"),
        "amount": Column("t.amount", "bigint"),
        "created_at": Column("t.created_at", "timestamptz"),
        "updated_at": Column("t.updated_at", "timestamptz"),
        "metadata": Column("COALESCE(t.doc, t.ledger_doc) -> 'metadata'"),
    },
    parameters={
        "customer": Parameter(
            WORD, "t.customer_id = ANY({})", names_of_customer, "Id or source_id of the customer"
        )
    },
)


@operation("GET", "/v1/orders", query=ORDERS)
async def list_orders(call: Call) -> JsonObject:
    """List orders."""
    page = await read_page(call)
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "orders", *page.arguments)
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
