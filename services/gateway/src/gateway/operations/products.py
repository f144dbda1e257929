"""``/v1/products`` and ``/v1/skus``."""

from contracts import ids, public
from contracts.catalog import DeleteProduct, DeleteSku, UpsertProduct, UpsertSku
from contracts.errors import JsonObject
from gateway import limits, queries, references, upserts
from gateway.body import INTEGER, LIST, NAME, OBJECT, TEXT
from gateway.http import Answer, Call, not_found, operation
from gateway.paging import read_page, read_parameters
from gateway.query import FLAG, Column, Listing, Parameter, Query, columns, since

PRODUCT_FIELDS = {
    "source_id": NAME,
    "name": TEXT,
    "price": INTEGER,
    "attributes": LIST,
    "metadata": OBJECT,
    "image_url": TEXT,
}
SKU_FIELDS = {
    "source_id": NAME,
    "sku": TEXT,
    "price": INTEGER,
    "currency": TEXT,
    "attributes": OBJECT,
    "metadata": OBJECT,
    "image_url": TEXT,
}
NEW_PRODUCT_FIELDS = {"id": NAME, **PRODUCT_FIELDS}
NEW_SKU_FIELDS = {"id": NAME, **SKU_FIELDS}


@operation("POST", "/v1/products", fields=NEW_PRODUCT_FIELDS)
async def create_product(call: Call) -> JsonObject:
    """Create a product, or change the one with this source_id or id."""
    named = upserts.target(call, "prod", ids.product_id)
    command = UpsertProduct(product_id=named.id, changes=named.changes, must_exist=named.must_exist)
    reply = await call.command("catalog", named.id, command)
    return public.product(reply["product"])


@operation("PUT", "/v1/products/{productId}", fields=PRODUCT_FIELDS)
async def update_product(call: Call) -> JsonObject:
    """Change the fields of a product that are sent."""
    product_id = (await _document(call, "products", "productId", "product"))["id"]
    command = UpsertProduct(product_id=product_id, changes=call.body, must_exist=True)
    reply = await call.command("catalog", product_id, command)
    return public.product(reply["product"])


FOREIGN = dict.fromkeys(("type", "code", "campaign", "category"), "NULL::text")
"""The public API names these orders here too, though no product has such a field: the id decides."""
PRODUCTS = Listing(
    orders={**columns("created_at", "updated_at", "name", "source_id"), **FOREIGN},
    dates=columns("created_at", "updated_at"),
    filters={
        "name": Column("t.name"),
        "source_id": Column("t.source_id"),
        "created_at": Column("t.created_at", "timestamptz"),
        "updated_at": Column("t.updated_at", "timestamptz"),
        "metadata": Column("t.doc -> 'metadata'"),
    },
    parameters=since("t.created_at"),
)


@operation("GET", "/v1/products", query=PRODUCTS)
async def list_products(call: Call) -> JsonObject:
    """List products."""
    page = await read_page(call)
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "products", *page.arguments)
    return public.listing("products", [public.product(row["doc"]) for row in rows], total)


@operation("GET", "/v1/products/{productId}")
async def get_product(call: Call) -> JsonObject:
    """Get a product with its SKUs."""
    doc = await _document(call, "products", "productId", "product")
    conditions = queries.Conditions(call.project_id)
    conditions.add("t.product_id = {}", doc["id"])
    order = "t.created_at DESC, t.id DESC"
    async with call.gateway.connection() as connection:
        arguments = (conditions, order, limits.PAGE_SIZE_MAX, 0)
        rows, _ = await queries.page(connection, "skus", *arguments)
    return public.product(doc, [public.sku(row["doc"]) for row in rows])


@operation("POST", "/v1/products/{productId}/skus", fields=NEW_SKU_FIELDS)
async def create_sku(call: Call) -> JsonObject:
    """Create a SKU of a product, or change the one with this source_id or id."""
    product = await _document(call, "products", "productId", "product")
    named = upserts.target(call, "sku", ids.sku_id)
    command = UpsertSku(
        sku_id=named.id,
        product_id=product["id"],
        changes=named.changes,
        must_exist=named.must_exist,
    )
    reply = await call.command("catalog", product["id"], command)
    return public.sku(reply["sku"])


@operation("PUT", "/v1/products/{productId}/skus/{skuId}", fields=SKU_FIELDS)
async def update_sku(call: Call) -> JsonObject:
    """Change the fields of a SKU that are sent."""
    product = await _document(call, "products", "productId", "product")
    sku = await _document(call, "skus", "skuId", "sku")
    if sku["product_id"] != product["id"]:
        raise not_found("sku", call.params["skuId"])
    command = UpsertSku(
        sku_id=sku["id"], product_id=product["id"], changes=call.body, must_exist=True
    )
    reply = await call.command("catalog", product["id"], command)
    return public.sku(reply["sku"])


SKU_CHANGED = "(t.doc ->> 'updated_at')::timestamptz"
SKUS = Listing(
    orders={**columns("created_at"), "updated_at": SKU_CHANGED, **FOREIGN},
    dates={**columns("created_at"), "updated_at": SKU_CHANGED},
    filters={
        "source_id": Column("t.source_id"),
        "sku": Column("t.doc ->> 'sku'"),
        "created_at": Column("t.created_at", "timestamptz"),
        "metadata": Column("t.doc -> 'metadata'"),
    },
    parameters=since("t.created_at"),
)


@operation("GET", "/v1/products/{productId}/skus", query=SKUS)
async def list_skus(call: Call) -> JsonObject:
    """List a product's SKUs."""
    page = await read_page(call)
    product = await _document(call, "products", "productId", "product")
    page.conditions.add("t.product_id = {}", product["id"])
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "skus", *page.arguments)
    return public.listing("skus", [public.sku(row["doc"]) for row in rows], total)


SAME_SKU = {"$ref": "#/components/schemas/SkusGetResponseBody"}


@operation("GET", "/v1/products/{productId}/skus/{skuId}", shown=SAME_SKU)
async def get_sku_of_product(call: Call) -> JsonObject:
    """Get a SKU of a product."""
    shown: JsonObject = await get_sku(call)
    return shown


@operation("GET", "/v1/skus/{skuId}")
async def get_sku(call: Call) -> JsonObject:
    """Get a SKU."""
    return public.sku(await _document(call, "skus", "skuId", "sku"))


async def _document(call: Call, table: str, param: str, kind: str) -> JsonObject:
    name = call.params[param]
    await call.fresh()
    async with call.gateway.connection() as connection:
        doc = await queries.document(connection, table, call.project_id, name)
    if doc is None:
        raise not_found(kind, name)
    return doc


FORCE = Query(
    force=Parameter(FLAG, about="Delete it although validation rules or collections name it.")
)


@operation("DELETE", "/v1/products/{productId}", query=FORCE, statuses=(204,))
async def delete_product(call: Call) -> Answer:
    """Delete a product with its SKUs."""
    product = await _document(call, "products", "productId", "product")
    await _refuse_if_used(call, "product", product["id"])
    command = DeleteProduct(product_id=product["id"])
    await call.command("catalog", product["id"], command)
    return Answer(204)


@operation("DELETE", "/v1/products/{productId}/skus/{skuId}", query=FORCE, statuses=(204,))
async def delete_sku(call: Call) -> Answer:
    """Delete a SKU."""
    product = await _document(call, "products", "productId", "product")
    sku = await _document(call, "skus", "skuId", "sku")
    if sku["product_id"] != product["id"]:
        raise not_found("sku", call.params["skuId"])
    await _refuse_if_used(call, "sku", sku["id"])
    command = DeleteSku(sku_id=sku["id"], product_id=product["id"])
    await call.command("catalog", product["id"], command)
    return Answer(204)


async def _refuse_if_used(call: Call, resource_type: str, resource_id: str) -> None:
    if read_parameters(call).get("force"):
        return
    async with call.gateway.connection() as connection:
        await references.refuse_if_used(connection, call.project_id, resource_type, resource_id)
