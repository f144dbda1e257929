"""``/v1/orders``."""

from contracts import ids, public
from contracts.customers import UpsertOrder
from contracts.errors import InvalidPayload, JsonObject
from gateway import queries, upserts, views
from gateway.body import INTEGER, LIST, NAME, OBJECT, TEXT, kept
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
    "referrer": OBJECT,
    "referrer_id": TEXT,
    "metadata": OBJECT,
    "created_at": TEXT,
}
CREATE_FIELDS = kept({"id": NAME, **FIELDS}, "status")


@operation("POST", "/v1/orders", fields=CREATE_FIELDS)
async def create_order(call: Call) -> JsonObject:
    """Create an order, or change the one with this source_id or id."""
    named = upserts.target(call, "ord", ids.order_id)
    return await _upsert(call, named)


@operation("PUT", "/v1/orders/{orderId}", fields=kept(FIELDS, "status"))
async def update_order(call: Call) -> JsonObject:
    """Change the fields of an order that are sent."""
    order = await one_order(call, call.params["orderId"])
    return await _upsert(call, upserts.Target(order["id"], call.body, must_exist=True))


async def _upsert(call: Call, named: upserts.Target) -> JsonObject:
    changes = _with_referrer(call.project_id, named.changes)
    customer = changes.pop("customer", None)
    command = UpsertOrder(
        order_id=named.id, changes=changes, customer=customer, must_exist=named.must_exist
    )
    scopes = [f"order/{named.id}"]
    reply = await call.command("customers", named.id, command, remember=scopes)
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


def _with_referrer(project_id: str, body: JsonObject) -> JsonObject:
    """Return the order with the referrer's id in place of the referrer: an order keeps that."""
    changes = dict(body)
    referrer = changes.pop("referrer", None)
    if referrer is None:
        return changes
    for name in ("id", "source_id"):
        value = referrer.get(name)
        if value is not None:
            NAME.read(f"referrer.{name}", value)
            found = value if name == "id" else ids.customer_id(project_id, value)
            return {"referrer_id": found, **changes}
    raise InvalidPayload("referrer: must have an id or a source_id", prop="referrer")


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
