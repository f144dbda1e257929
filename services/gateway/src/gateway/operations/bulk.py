"""Asynchronous changes of many products, SKUs, customers and codes: lists of them, or CSV files."""

from contracts.campaigns import ChangeVouchersInBulk
from contracts.catalog import ChangeProductsInBulk
from contracts.customers import ChangeCustomersInBulk
from contracts.errors import JsonObject
from contracts.payload import refuse
from gateway import bulk, limits
from gateway.body import CSV_FILE, NAME, OBJECT, list_of, required
from gateway.http import A_FORM, A_LIST, Answer, Call, operation
from gateway.imports import Column, number, pairs, words
from gateway.operations.customers import FIELDS as CUSTOMER_FIELDS
from gateway.operations.products import PRODUCT_FIELDS

NAMES = list_of(NAME, limits.BULK_ELEMENTS_MAX)
FILE = {"file": required(CSV_FILE)}
METADATA = {"source_ids": required(NAMES), "metadata": required(OBJECT)}
LISTED_CUSTOMER = {
    name: kind for name, kind in CUSTOMER_FIELDS.items() if name != "system_metadata"
}
PRODUCT_COLUMNS = {
    "source_id": Column("source_id"),
    "name": Column("name"),
    "price": Column("price", number),
    "attributes": Column("attributes", words),
    "image_url": Column("image_url"),
}
SKU_COLUMNS = {
    "product_id": Column("product_id"),
    "source_id": Column("source_id"),
    "sku": Column("sku"),
    "price": Column("price", number),
    "currency": Column("currency"),
    "image_url": Column("image_url"),
    "attributes": Column("attributes", pairs),
}
CUSTOMER_COLUMNS = {
    **{
        name: Column(name)
        for name in ("source_id", "name", "description", "email", "phone", "birthdate")
    },
    "address_line_1": Column("address.line_1"),
    "address_line_2": Column("address.line_2"),
    "city": Column("address.city"),
    "postal_code": Column("address.postal_code"),
    "state": Column("address.state"),
    "country": Column("address.country"),
}


@operation(
    "POST",
    "/v1/products/bulk/async",
    fields={**PRODUCT_FIELDS, "source_id": required(NAME)},
    statuses=(202,),
    takes=A_LIST,
)
async def update_products_in_bulk(call: Call) -> Answer:
    """Create or change many products; what became of each is in the asynchronous action."""
    return await _changed(call, "catalog", "PRODUCTS.BULK_UPDATE", call.body["elements"])


@operation("POST", "/v1/products/metadata/async", fields=METADATA, statuses=(202,))
async def update_products_metadata_in_bulk(call: Call) -> Answer:
    """Merge metadata into many products."""
    return await _changed(call, "catalog", "PRODUCTS.METADATA_UPDATE", _each(call, "source_id"))


@operation("POST", "/v1/products/importCSV", fields=FILE, takes=A_FORM)
async def import_products_using_csv(call: Call) -> JsonObject:
    """Create or change the products of a CSV file."""
    kind = "PRODUCTS.IMPORT_CSV"
    return await bulk.start_import(call, "catalog", ChangeProductsInBulk, kind, PRODUCT_COLUMNS)


@operation("POST", "/v1/skus/importCSV", fields=FILE, takes=A_FORM)
async def import_skus_using_csv(call: Call) -> JsonObject:
    """Create or change the SKUs of a CSV file."""
    return await bulk.start_import(
        call, "catalog", ChangeProductsInBulk, "SKUS.IMPORT_CSV", SKU_COLUMNS
    )


@operation(
    "POST",
    "/v1/customers/bulk/async",
    fields={**LISTED_CUSTOMER, "source_id": required(NAME)},
    statuses=(202,),
    takes=A_LIST,
)
async def update_customers_in_bulk(call: Call) -> Answer:
    """Create or change many customers; what became of each is in the asynchronous action."""
    return await _changed(call, "customers", "CUSTOMERS.BULK_UPDATE", call.body["elements"])


@operation("POST", "/v1/customers/metadata/async", fields=METADATA, statuses=(202,))
async def update_customers_metadata_in_bulk(call: Call) -> Answer:
    """Merge metadata into many customers."""
    return await _changed(call, "customers", "CUSTOMERS.METADATA_UPDATE", _each(call, "source_id"))


@operation("POST", "/v1/customers/importCSV", fields=FILE, statuses=(202,), takes=A_FORM)
async def import_customers_using_csv(call: Call) -> Answer:
    """Create or change the customers of a CSV file."""
    kind = "CUSTOMERS.IMPORT_CSV"
    told = await bulk.start_import(call, "customers", ChangeCustomersInBulk, kind, CUSTOMER_COLUMNS)
    return Answer(202, told)


@operation(
    "POST",
    "/v1/vouchers/bulk/async",
    fields={"code": required(NAME), "metadata": required(OBJECT)},
    statuses=(202,),
    takes=A_LIST,
)
async def update_vouchers_in_bulk(call: Call) -> Answer:
    """Merge metadata of its own into each of many codes."""
    return await _changed(call, "campaigns", "VOUCHERS.BULK_UPDATE", call.body["elements"])


@operation(
    "POST",
    "/v1/vouchers/metadata/async",
    fields={"codes": required(NAMES), "metadata": required(OBJECT)},
    statuses=(202,),
)
async def update_vouchers_metadata_in_bulk(call: Call) -> Answer:
    """Merge metadata into many codes."""
    return await _changed(call, "campaigns", "VOUCHERS.METADATA_UPDATE", _each(call, "code"))


COMMANDS = {
    "catalog": ChangeProductsInBulk,
    "customers": ChangeCustomersInBulk,
    "campaigns": ChangeVouchersInBulk,
}


async def _changed(call: Call, service: str, kind: str, elements: list[JsonObject]) -> Answer:
    started = await bulk.start(call, service, COMMANDS[service], kind, bulk.bodies(elements))
    return Answer(202, started)


def _each(call: Call, prop: str) -> list[JsonObject]:
    """Return a change for each of the names, each once."""
    names = dict.fromkeys(call.body[f"{prop}s"])
    if not names:
        raise refuse(f"{prop}s", "must not be empty")
    return [{prop: name, "metadata": call.body["metadata"]} for name in names]
