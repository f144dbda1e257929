"""``/v1/customers``."""

from contracts import ids, public
from contracts.customers import UpsertCustomer
from contracts.errors import JsonObject
from gateway import queries, views
from gateway.body import NAME, OBJECT, TEXT
from gateway.http import Call, not_found, operation
from gateway.paging import Column, read_page

FIELDS = {
    "source_id": NAME,
    "name": TEXT,
    "description": TEXT,
    "email": TEXT,
    "phone": TEXT,
    "birthday": TEXT,
    "birthdate": TEXT,
    "address": OBJECT,
    "metadata": OBJECT,
    "system_metadata": OBJECT,
}


@operation("POST", "/v1/customers", fields=FIELDS)
async def create_customer(call: Call) -> JsonObject:
    """Create a customer, or change the one with this source_id."""
    source_id = call.body.get("source_id")
    customer_id = ids.customer_id(call.project_id, source_id) if source_id else call.new_id("cust")
    command = UpsertCustomer(customer_id=customer_id, changes=call.body)
    return await _upsert(call, command)


@operation("PUT", "/v1/customers/{customerId}", fields=FIELDS)
async def update_customer(call: Call) -> JsonObject:
    """Change the fields of a customer that are sent."""
    name = call.params["customerId"]
    is_id = name.startswith("cust_")
    customer_id = name if is_id else ids.customer_id(call.project_id, name)
    changes = call.body if is_id else {"source_id": name, **call.body}
    command = UpsertCustomer(customer_id=customer_id, changes=changes, must_exist=True)
    return await _upsert(call, command)


async def _upsert(call: Call, command: UpsertCustomer) -> JsonObject:
    scope = f"customer/{command.customer_id}"
    reply = await call.command("customers", command.customer_id, command, remember=[scope])
    # A repeated request drew another id than the first: the stored reply has the right one.
    return await one_customer(call, reply["customer"]["id"])


@operation("GET", "/v1/customers")
async def list_customers(call: Call) -> JsonObject:
    """List customers."""
    page = read_page(
        call,
        orders=("created_at", "updated_at", "source_id"),
        columns={
            "source_id": Column("t.source_id"),
            "name": Column("t.name"),
            "email": Column("t.email"),
            "city": Column("t.city"),
            "address.city": Column("t.city"),
            "created_at": Column("t.created_at", "timestamptz"),
            "updated_at": Column("t.updated_at", "timestamptz"),
            "metadata": Column("t.doc -> 'metadata'"),
        },
        parameters=("email", "city", "name", "segment_id", "starting_after"),
    )
    for name in ("email", "city", "name"):
        if name in page.given:
            page.conditions.add(f"t.{name} = {{}}", page.given[name])
    if "segment_id" in page.given:
        page.conditions.add(
            "EXISTS (SELECT 1 FROM segment_members m WHERE m.project_id = t.project_id"
            " AND m.customer_id = t.id AND m.segment_id = {})",
            page.given["segment_id"],
        )
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "customers", *page.arguments)
        shown = await views.customers(connection, call.project_id, rows)
    return public.listing("customers", shown, total, has_more=page.offset + len(rows) < total)


@operation("GET", "/v1/customers/{customerId}")
async def get_customer(call: Call) -> JsonObject:
    """Get a customer by its id or source_id."""
    return await one_customer(call, call.params["customerId"])


async def one_customer(call: Call, name: str) -> JsonObject:
    """Show a customer; raises 404."""
    derived = ids.customer_id(call.project_id, name)
    await call.fresh(f"customer/{name}", f"customer/{derived}")
    async with call.gateway.connection() as connection:
        row = await queries.customer(connection, call.project_id, name)
    if row is None:
        raise not_found("customer", name)
    totals = {
        field: row[field] or 0 for field in ("redeemed", "failed", "rolled_back", "gift_amount")
    }
    return public.customer(row["doc"], totals)
