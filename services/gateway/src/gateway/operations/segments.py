"""``/v1/segments``."""

from contracts import public
from contracts.customers import CreateSegment
from contracts.errors import JsonObject
from gateway import queries
from gateway.body import NAME, OBJECT, TEXTS, one_of, required
from gateway.http import Call, not_found, operation
from gateway.paging import read_page
from gateway.query import Column, Listing

FIELDS = {
    "name": required(NAME),
    "type": one_of("static", "auto-update", "passive"),
    "filter": OBJECT,
    "customers": TEXTS,
}


@operation("POST", "/v1/segments", fields=FIELDS)
async def create_segment(call: Call) -> JsonObject:
    """Create a segment of listed customers, or of those whom a filter matches."""
    segment_id = call.new_id("seg")
    command = CreateSegment(
        segment_id=segment_id,
        name=call.body["name"],
        type=call.body.get("type") or "auto-update",
        filter=call.body.get("filter"),
        customers=call.body.get("customers") or [],
    )
    reply = await call.command(
        "customers", segment_id, command, remember=[f"segment/{segment_id}", "definitions"]
    )
    return public.segment(reply["segment"])


SEGMENTS = Listing(
    filters={
        "id": Column("t.id"),
        "name": Column("t.name"),
        "type": Column("t.doc ->> 'type'"),
        "created_at": Column("t.created_at", "timestamptz"),
    },
    ids="t.id",
)


@operation("GET", "/v1/segments", query=SEGMENTS)
async def list_segments(call: Call) -> JsonObject:
    """List segments."""
    page = await read_page(call)
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "segments", *page.arguments)
    return public.listing(
        "data",
        [public.segment(row["doc"]) for row in rows],
        total,
        has_more=page.offset + len(rows) < total,
    )


@operation("GET", "/v1/segments/{segmentId}")
async def get_segment(call: Call) -> JsonObject:
    """Get a segment."""
    name = call.params["segmentId"]
    await call.fresh(f"segment/{name}")
    async with call.gateway.connection() as connection:
        doc = await queries.document(connection, "segments", call.project_id, name)
    if doc is None:
        raise not_found("segment", name)
    return public.segment(doc)
