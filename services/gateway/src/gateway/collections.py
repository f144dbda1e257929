"""Which products and SKUs are in a collection: those that it lists, or those that its filter holds of."""

from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

from contracts import public
from contracts.errors import InvalidQueryParams, JsonObject
from contracts.filters import matches
from gateway import limits, queries
from gateway.paging import Page
from runtime import clock
from runtime.database import Connection


async def products_in(
    connection: Connection, project_id: str, collection: JsonObject, page: Page
) -> tuple[list[JsonObject], int]:
    """Return a page of a collection's products and SKUs, and how many there are."""
    members = [one async for one in _members(connection, project_id, collection, page.order)]
    first = page.offset
    after = page.given.get("starting_after")
    if after is not None:
        place = next((n for n, one in enumerate(members) if one["id"] == after), None)
        if place is None:
            raise InvalidQueryParams("starting_after: must be a product or SKU of the collection")
        first += place + 1
    chosen = members[first : first + limits.PAGE_SIZE_MAX][: page.limit]
    return await _shown(connection, project_id, chosen), len(members)


async def _members(
    connection: Connection, project_id: str, collection: JsonObject, order: str
) -> AsyncIterator[JsonObject]:
    """Yield the documents of those that are in, in the order that was asked for."""
    listed = None
    if collection["type"] == "STATIC":
        listed = [one["id"] for one in collection.get("products") or []]
    timezone = await queries.project_timezone(connection, project_id)
    now = clock.now().astimezone(ZoneInfo(timezone or "UTC"))
    wanted = collection.get("filter") or {}
    async for doc in queries.catalogue(connection, project_id, listed, order):
        if listed is not None or matches(wanted, doc, now):
            yield doc


async def _shown(
    connection: Connection, project_id: str, docs: list[JsonObject]
) -> list[JsonObject]:
    """Show products, and SKUs with their product."""
    owners = {one["product_id"] for one in docs if "product_id" in one}
    products = await queries.documents(connection, "products", project_id, sorted(owners))
    shown = []
    for doc in docs:
        if "product_id" not in doc:
            shown.append(public.product(doc))
            continue
        one = public.sku(doc)
        product = products.get(doc["product_id"])
        if product is not None:
            one["product"] = public.product(product)
        shown.append(one)
    return shown
