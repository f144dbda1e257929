"""``/v1/segments``."""

from contracts import public
from contracts.customers import CreateSegment
from contracts.errors import InvalidPayload, JsonObject
from gateway import queries
from gateway.http import Call, not_found, operation
from gateway.paging import Column, read_page

KINDS = ("static", "auto-update", "passive")


@operation("POST", "/v1/segments", fields=("name", "type", "filter", "customers"))
async def create_segment(call: Call) -> JsonObject:
    """Create a segment of listed customers, or of those whom a filter matches."""
    call.require("name")
    name, kind = call.body["name"], call.body.get("type", "auto-update")
    customers = call.body.get("customers") or []
    if not isinstance(name, str):
        raise InvalidPayload("name: must be text", prop="name")
    if kind not in KINDS:
        raise InvalidPayload(f"type: must be one of {', '.join(KINDS)}", prop="type")
    if not isinstance(call.body.get("filter") or {}, dict):
        raise InvalidPayload("filter: must be an object", prop="filter")
    if not isinstance(customers, list) or not all(isinstance(one, str) for one in customers):
        raise InvalidPayload("customers: must be a list of ids", prop="customers")
    segment_id = call.new_id("seg")
    command = CreateSegment(
        segment_id=segment_id,
        name=name,
        type=kind,
        filter=call.body.get("filter"),
        customers=customers,
    )
    reply = await call.command(
        "customers", segment_id, command, remember=[f"segment/{segment_id}", "definitions"]
    )
    return public.segment(reply["segment"])


@operation("GET", "/v1/segments")
async def list_segments(call: Call) -> JsonObject:
    """List segments."""
    page = read_page(call, columns={"name": Column("t.name")})
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
