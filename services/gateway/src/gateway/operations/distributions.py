"""``/v1/distributions``: Tessera's own. When something happens, publish a code and send a message."""

from contracts import public
from contracts.distribution import CreateDistribution, UpdateDistribution
from contracts.errors import JsonObject
from gateway import hearing, queries
from gateway.body import BOOLEAN, NAME, OBJECT, kept, required
from gateway.http import Call, not_found, operation
from gateway.openapi import list_schema
from gateway.paging import read_page
from gateway.query import Column, Listing, columns

FIELDS = {
    "name": NAME,
    "trigger": OBJECT,
    "campaign_id": NAME,
    "join_once": BOOLEAN,
    "message": OBJECT,
    "active": BOOLEAN,
}
CREATE_FIELDS = {
    **FIELDS,
    "name": required(NAME),
    "trigger": required(OBJECT),
    "message": required(OBJECT),
}
UPDATE_FIELDS = kept(FIELDS, "name", "trigger", "join_once", "message", "active")


SHOWN: JsonObject = {
    "type": "object",
    "required": ["id", "object", "name", "trigger", "message", "active", "created_at"],
    "properties": {
        "id": {"type": "string"},
        "object": {"type": "string", "enum": ["distribution"]},
        "name": {"type": "string"},
        "trigger": {"type": "object"},
        "campaign_id": {"type": "string", "nullable": True},
        "join_once": {"type": "boolean"},
        "message": {"type": "object"},
        "active": {"type": "boolean"},
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time", "nullable": True},
    },
}


@operation("POST", "/v1/distributions", fields=CREATE_FIELDS, shown=SHOWN)
async def create_distribution(call: Call) -> JsonObject:
    """Create an automatic distribution."""
    distribution_id = call.new_id("distr")
    command = CreateDistribution(distribution_id=distribution_id, definition=call.body)
    reply = await _tell(call, distribution_id, command)
    return public.distribution(reply["distribution"])


@operation("PUT", "/v1/distributions/{distributionId}", fields=UPDATE_FIELDS, shown=SHOWN)
async def update_distribution(call: Call) -> JsonObject:
    """Change the fields of a distribution that are sent."""
    distribution_id = call.params["distributionId"]
    command = UpdateDistribution(distribution_id=distribution_id, changes=call.body)
    reply = await _tell(call, distribution_id, command)
    return public.distribution(reply["distribution"])


async def _tell(
    call: Call, distribution_id: str, command: CreateDistribution | UpdateDistribution
) -> JsonObject:
    campaign = call.body.get("campaign_id")
    return await hearing.command(call, distribution_id, command, voucher=None, campaign=campaign)


DISTRIBUTIONS = Listing(
    orders=columns("created_at", "name"),
    filters={"name": Column("t.name"), "created_at": Column("t.created_at", "timestamptz")},
)


@operation("GET", "/v1/distributions", query=DISTRIBUTIONS, shown=list_schema(SHOWN))
async def list_distributions(call: Call) -> JsonObject:
    """List distributions."""
    page = await read_page(call)
    await call.fresh()
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "distributions", *page.arguments)
    return public.listing("data", [public.distribution(row["doc"]) for row in rows], total)


@operation("GET", "/v1/distributions/{distributionId}", shown=SHOWN)
async def get_distribution(call: Call) -> JsonObject:
    """Get a distribution."""
    name = call.params["distributionId"]
    await call.fresh()
    async with call.gateway.connection() as connection:
        doc = await queries.document(connection, "distributions", call.project_id, name)
    if doc is None:
        raise not_found("distribution", name)
    return public.distribution(doc)
