"""``/v1/customers``."""

import asyncio
from datetime import datetime, timedelta

from contracts import ids, public
from contracts.customers import UpsertCustomer
from contracts.errors import InvalidQueryParams, JsonObject, Unavailable
from gateway import limits, queries, upserts, views
from gateway.body import NAME, OBJECT, TEXT
from gateway.http import Call, not_found, operation
from gateway.paging import Page, read_page
from gateway.query import INSTANT, Column, Listing, Parameter, columns
from gateway.query import TEXT as WORD
from runtime.database import Connection

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
CREATE_FIELDS = {"id": NAME, **FIELDS}
NAMED_POLL_S = 0.01


@operation("POST", "/v1/customers", fields=CREATE_FIELDS)
async def create_customer(call: Call) -> JsonObject:
    """Create a customer, or change the one with this source_id or id."""
    named = upserts.target(call, "cust", ids.customer_id)
    command = UpsertCustomer(
        customer_id=named.id, changes=named.changes, must_exist=named.must_exist
    )
    return await _upsert(call, command)


@operation("PUT", "/v1/customers/{customerId}", fields=FIELDS)
async def update_customer(call: Call) -> JsonObject:
    """Change the fields of a customer that are sent."""
    name = call.params["customerId"]
    is_id = name.startswith("cust_")
    customer_id = name if is_id else ids.customer_id(call.project_id, name)
    changes = call.body if is_id else {"source_id": name, **call.body}
    if _is_named(call, customer_id):
        await one_customer(call, customer_id)
    command = UpsertCustomer(customer_id=customer_id, changes=changes, must_exist=True)
    return await _upsert(call, command)


async def _upsert(call: Call, command: UpsertCustomer) -> JsonObject:
    scope = f"customer/{command.customer_id}"
    reply = await call.command("customers", command.customer_id, command, remember=[scope])
    # A repeated request drew another id than the first: the stored reply has the right one.
    return await one_customer(call, reply["customer"]["id"])


CUSTOMERS = Listing(
    orders=columns("created_at", "updated_at", "source_id"),
    dates=columns("created_at", "updated_at"),
    filters={
        "id": Column("t.id"),
        "source_id": Column("t.source_id"),
        "name": Column("t.name"),
        "email": Column("t.email"),
        "phone": Column("t.doc ->> 'phone'"),
        "city": Column("t.city"),
        "address.city": Column("t.city"),
        "birthday": Column("(t.doc -> 'birthday')", "json", "(t.doc ->> 'birthday')"),
        "birthdate": Column("(t.doc -> 'birthdate')", "json", "(t.doc ->> 'birthdate')"),
        "created_at": Column("t.created_at", "timestamptz"),
        "updated_at": Column("t.updated_at", "timestamptz"),
        "metadata": Column("t.doc -> 'metadata'"),
    },
    parameters={
        "email": Parameter(WORD, "t.email = {}"),
        "city": Parameter(WORD, "t.city = {}"),
        "name": Parameter(WORD, "t.name = {}"),
        "segment_id": Parameter(
            WORD,
            "EXISTS (SELECT 1 FROM segment_members m WHERE m.project_id = t.project_id"
            " AND m.customer_id = t.id AND m.segment_id = {})",
        ),
        "starting_after": Parameter(
            INSTANT,
            about="created_at of the last customer seen, or more_starting_after; with order=created_at or"
            " -created_at. A page then holds all customers of its last instant, beyond its limit too",
        ),
    },
)


@operation("GET", "/v1/customers", query=CUSTOMERS)
async def list_customers(call: Call) -> JsonObject:
    """List customers."""
    page = await read_page(call)
    after: datetime | None = page.given.get("starting_after")
    if after is not None and not page.order.startswith("t.created_at"):
        raise InvalidQueryParams("starting_after: needs the order created_at or -created_at")
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        rows, total, cursor = await _customers(connection, page, after)
        shown = await views.customers(connection, call.project_id, rows)
    more = {"more_starting_after": public.instant(cursor)} if cursor is not None else {}
    return public.listing("customers", shown, total, has_more=cursor is not None, **more)


async def _customers(
    connection: Connection, page: Page, after: datetime | None
) -> tuple[list[queries.Record], int, datetime | None]:
    """Return a page, how many there are in all, and after which instant the next page starts.

    A cursor is an instant, and several customers may have been made at the same one. A page that follows
    a cursor is never cut between these; where an ordinary page is, its cursor lies before all of them.
    """
    conditions, limit = page.conditions, page.limit
    later, earlier = ("<", ">") if " DESC" in page.order else (">", "<")
    if after is not None:
        conditions.behind = f"t.created_at {later} {{}}", (after,)
    arguments = (conditions, page.order, limit + 1, page.offset)
    rows, total = await queries.page(connection, "customers", *arguments)
    if len(rows) <= limit:
        return rows, total, None
    last = rows[limit - 1]["created_at"]
    if last != rows[limit]["created_at"]:
        return rows[:limit], total, last
    if after is None:
        one = timedelta(milliseconds=1)
        return rows[:limit], total, last + one if later == "<" else last - one
    conditions.behind = (
        f"t.created_at {later} {{}} AND t.created_at {earlier}= {{}}",
        (after, last),
    )
    arguments = (conditions, page.order, limits.LIST_LENGTH_MAX, 0)
    rows, _ = await queries.page(connection, "customers", *arguments)
    conditions.behind = f"t.created_at {later} {{}}", (last,)
    beyond, _ = await queries.page(connection, "customers", conditions, page.order, 1, 0)
    return rows, total, last if beyond else None


@operation("GET", "/v1/customers/{customerId}")
async def get_customer(call: Call) -> JsonObject:
    """Get a customer by its id or source_id."""
    return await one_customer(call, call.params["customerId"])


async def one_customer(call: Call, name: str) -> JsonObject:
    """Show a customer; raises 404."""
    derived = ids.customer_id(call.project_id, name)
    await call.fresh(f"customer/{name}", f"customer/{derived}")
    row = await _row(call, name)
    if row is None and (_is_named(call, name) or _is_named(call, derived)):
        row = await _row_to_come(call, name)
    if row is None:
        raise not_found("customer", name)
    totals = {
        field: row[field] or 0 for field in ("redeemed", "failed", "rolled_back", "gift_amount")
    }
    return public.customer(row["doc"], totals)


async def _row(call: Call, name: str) -> queries.Record | None:
    async with call.gateway.connection() as connection:
        return await queries.customer(connection, call.project_id, name)


# -- customers that something else has named ----------------------------------------------------------


def named_customer(customer: JsonObject | None) -> list[str]:
    """Return the scope under which a write is remembered that also makes its customer.

    The customer's own service hears of it by an event, so for a moment nobody can show the customer.
    Of one who is named by an id alone nothing is made.
    """
    told = {name for name, value in (customer or {}).items() if value is not None}
    if customer is None or told <= {"id", "object"}:
        return []
    return [f"named-customer/{customer['id']}"]


def _is_named(call: Call, customer_id: str) -> bool:
    return call.gateway.writes.knows(call.project_id, f"named-customer/{customer_id}")


async def _row_to_come(call: Call, name: str) -> queries.Record:
    """Wait for a customer that there will be; raises ``Unavailable`` when that takes too long."""
    try:
        async with asyncio.timeout(call.gateway.service.settings.projection_wait_s):
            while (row := await _row(call, name)) is None:
                await asyncio.sleep(NAMED_POLL_S)
            return row
    except TimeoutError:
        message = "what was just written is not yet readable"
        raise Unavailable(message) from None
