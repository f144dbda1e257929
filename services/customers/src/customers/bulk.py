"""Asynchronous changes of many customers: what each kind of action does with an element."""

from collections.abc import Iterable
from typing import Any

from contracts import ids
from contracts.customers import CustomersBulkAdvanced, CustomersBulkStarted, UpsertCustomer
from contracts.errors import JsonObject, NotFound
from contracts.payload import required
from customers.domain.customer import SOURCE_ID
from customers.handlers import CUSTOMER, prepare, upsert_customer
from runtime.aggregate import Aggregate
from runtime.bulk import Bulk, Kind
from runtime.unit import Unit


async def change_customer(unit: Unit, body: JsonObject) -> None:
    """Create or change the customer with this source id."""
    source_id = required(SOURCE_ID, body, "source_id")
    customer_id = ids.customer_id(unit.project_id, source_id)
    await upsert_customer(unit, UpsertCustomer(customer_id=customer_id, changes=body))


async def change_metadata(unit: Unit, body: JsonObject) -> None:
    """Merge metadata into a customer who is there."""
    source_id = required(SOURCE_ID, body, "source_id")
    if await unit.load(CUSTOMER, ids.customer_id(unit.project_id, source_id)) is None:
        raise NotFound.of("customer", source_id)
    await change_customer(unit, body)


def _streams(project_id: str, body: JsonObject) -> Iterable[tuple[Aggregate[Any], str]]:
    if isinstance(body.get("source_id"), str):
        yield CUSTOMER, ids.customer_id(project_id, body["source_id"])


BULK = Bulk(
    "customers",
    CustomersBulkStarted,
    CustomersBulkAdvanced,
    {
        "CUSTOMERS.BULK_UPDATE": Kind(change_customer, _streams),
        "CUSTOMERS.METADATA_UPDATE": Kind(change_metadata, _streams),
        "CUSTOMERS.IMPORT_CSV": Kind(change_customer, _streams),
    },
    prepare,
)
