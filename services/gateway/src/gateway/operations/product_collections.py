"""``/v1/product-collections``."""

from contracts import public
from contracts.catalog import (
    CreateProductCollection,
    DeleteProductCollection,
    UpdateProductCollection,
)
from contracts.errors import JsonObject
from gateway import queries, references
from gateway.body import LIST, NAME, OBJECT, one_of, required
from gateway.collections import products_in
from gateway.http import Answer, Call, not_found, operation
from gateway.operations.products import FOREIGN
from gateway.paging import read_page
from gateway.query import TEXT, Column, Listing, Parameter, columns

FIELDS = {
    "type": required(one_of("STATIC", "AUTO_UPDATE")),
    "name": required(NAME),
    "products": LIST,
    "filter": OBJECT,
}
COLLECTIONS = Listing(
    orders={**columns("created_at", "updated_at", "name"), **FOREIGN},
    dates=columns("created_at", "updated_at"),
    filters={
        "name": Column("t.name"),
        "type": Column("t.doc ->> 'type'"),
        "created_at": Column("t.created_at", "timestamptz"),
    },
)
PRODUCTS = Listing(
    orders={**columns("created_at", "updated_at", "name", "source_id"), **FOREIGN},
    parameters={
        "starting_after": Parameter(
            TEXT, about="Id of a product or SKU behind which the page begins."
        )
    },
)


@operation("POST", "/v1/product-collections", fields=FIELDS)
async def create_product_collection(call: Call) -> JsonObject:
    """Create a collection of listed products, or of those that a filter matches."""
    collection_id = call.new_id("pc")
    command = CreateProductCollection(collection_id=collection_id, definition=call.body)
    reply = await call.command("catalog", collection_id, command)
    return public.product_collection(reply["collection"])


@operation("GET", "/v1/product-collections", query=COLLECTIONS)
async def list_product_collections(call: Call) -> JsonObject:
    """List product collections."""
    page = await read_page(call)
    await call.fresh()
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "product_collections", *page.arguments)
    shown = [public.product_collection(row["doc"]) for row in rows]
    return public.listing("data", shown, total)


@operation("GET", "/v1/product-collections/{productCollectionId}")
async def get_product_collection(call: Call) -> JsonObject:
    """Get a product collection."""
    return public.product_collection(await _document(call))


@operation(
    "PUT",
    "/v1/product-collections/{productCollectionId}",
    fields={"name": NAME, "filter": OBJECT, "products": LIST},
)
async def update_product_collection(call: Call) -> JsonObject:
    """Change the name of a product collection, or the filter of one that updates itself."""
    collection_id = call.params["productCollectionId"]
    command = UpdateProductCollection(collection_id=collection_id, changes=call.body)
    reply = await call.command("catalog", collection_id, command)
    return public.product_collection(reply["collection"])


@operation("DELETE", "/v1/product-collections/{productCollectionId}", statuses=(204,))
async def delete_product_collection(call: Call) -> Answer:
    """Delete a product collection that no validation rule names."""
    collection_id = call.params["productCollectionId"]
    await call.fresh()
    async with call.gateway.connection() as connection:
        await references.refuse_if_used(
            connection, call.project_id, "products_collection", collection_id
        )
    command = DeleteProductCollection(collection_id=collection_id)
    await call.command("catalog", collection_id, command)
    return Answer(204)


@operation("GET", "/v1/product-collections/{productCollectionId}/products", query=PRODUCTS)
async def list_products_in_collection(call: Call) -> JsonObject:
    """List the products and SKUs of a collection."""
    page = await read_page(call)
    collection = await _document(call)
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        shown, total = await products_in(connection, call.project_id, collection, page)
    return public.listing("data", shown, total)


async def _document(call: Call) -> JsonObject:
    name = call.params["productCollectionId"]
    await call.fresh()
    async with call.gateway.connection() as connection:
        doc = await queries.document(connection, "product_collections", call.project_id, name)
    if doc is None:
        raise not_found("products_collection", name)
    return doc
