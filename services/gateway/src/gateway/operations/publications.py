"""``/v1/publications``."""

from typing import Any

from contracts import ids, public
from contracts.distribution import Publish
from contracts.errors import InvalidPayload, JsonObject
from contracts.limits import CODES_PER_PUBLICATION_MAX
from gateway import hearing, queries, views
from gateway.body import ANY, NAME, OBJECT, TEXT, required
from gateway.http import CLIENT, Call, operation
from gateway.operations.customers import named_customer
from gateway.operations.vouchers import one_voucher
from gateway.paging import read_page, read_parameters
from gateway.query import (
    FLAG,
    Column,
    Listing,
    Parameter,
    Query,
    columns,
    id_of_code,
    names_of_customer,
)
from gateway.query import TEXT as WORD
from gateway.query import one_of as word_of

A_CUSTOMER = ANY._replace(schema={"anyOf": [{"type": "object"}, {"type": "string"}]})
"""Or the customer's source_id alone."""
FIELDS = {
    "campaign": ANY,
    "voucher": NAME,
    "customer": required(A_CUSTOMER),
    "channel": TEXT,
    "source_id": NAME,
    "metadata": OBJECT,
}


JOIN_ONCE = Query(
    join_once=Parameter(FLAG, about="Who has a code of the campaign gets that one again")
)


@operation("POST", "/v1/publications", fields=FIELDS, query=JOIN_ONCE)
async def create_publication(call: Call) -> JsonObject:
    """Assign a code, or free codes of a campaign, to a customer."""
    return await _publish(call)


@operation(
    "POST",
    "/client/v1/publish",
    fields=FIELDS,
    query=JOIN_ONCE,
    auth=CLIENT,
    setting="client_publish_enabled",
)
async def publish_client_side(call: Call) -> JsonObject:
    """Assign a code to a customer, from a browser or an app, where the project allows it."""
    return await _publish(call)


async def _publish(call: Call) -> JsonObject:
    body = call.body
    customer = body.get("customer")
    if isinstance(customer, str):
        customer = {"source_id": customer}
    if not isinstance(customer, dict) or not (customer.get("id") or customer.get("source_id")):
        raise InvalidPayload("customer: must name a customer by id or source_id", prop="customer")
    for name in ("id", "source_id"):
        if not isinstance(customer.get(name) or "", str):
            raise InvalidPayload(f"customer.{name}: must be text", prop=f"customer.{name}")
    if not customer.get("id"):
        customer = {**customer, "id": ids.customer_id(call.project_id, customer["source_id"])}
    campaign, count = _campaign(body.get("campaign"))
    voucher = body.get("voucher")
    if (campaign is None) == (voucher is None):
        raise InvalidPayload("campaign: name either a campaign or a voucher", prop="campaign")
    command = Publish(
        publication_id=call.new_id("pub"),
        customer=customer,
        campaign=campaign,
        count=count,
        voucher=voucher,
        join_once=read_parameters(call).get("join_once"),
        source_id=body.get("source_id"),
        channel=body.get("channel") or "API",
        metadata=body.get("metadata") or {},
    )
    reply = await hearing.command(
        call,
        campaign or voucher or "",
        command,
        voucher=voucher,
        campaign=campaign,
        remember=[f"customer/{customer['id']}"],
    )
    if reply["publication"].get("result", "SUCCESS") == "SUCCESS":
        call.remember("distribution", named_customer(customer))
    return await _shown(call, reply["publication"])


def _campaign(given: Any) -> tuple[str | None, int]:
    if given is None:
        return None, 1
    if isinstance(given, str):
        return given, 1
    named = (given.get("id") or given.get("name")) if isinstance(given, dict) else None
    if not isinstance(named, str):
        raise InvalidPayload("campaign: must have a name or id", prop="campaign")
    count = given.get("count", 1)
    if (
        not isinstance(count, int)
        or isinstance(count, bool)
        or not 1 <= count <= CODES_PER_PUBLICATION_MAX
    ):
        raise InvalidPayload(
            f"campaign.count: must be from 1 to {CODES_PER_PUBLICATION_MAX}", prop="campaign.count"
        )
    return named, count


async def _shown(call: Call, state: JsonObject) -> JsonObject:
    shown = public.publication(call.project_id, state)
    if "voucher" in shown:
        shown["voucher"] = await one_voucher(call, shown["voucher"]["id"])
    await call.fresh(f"customer/{shown['customer_id']}")
    async with call.gateway.connection() as connection:
        customer = await views.customer_of(connection, call.project_id, state["customer"])
    return {**shown, "customer": customer}


CAMPAIGN_NAME = (
    "(SELECT c.name FROM campaigns c WHERE c.project_id = t.project_id AND c.id = t.campaign_id)"
)
# A failed publication has no code: its campaign says what it would have been.
VOUCHER_TYPE = (
    "(SELECT COALESCE(v.type, c.doc -> 'voucher' ->> 'type') FROM (SELECT t.campaign_id AS id) AS own"
    " LEFT JOIN vouchers v ON v.project_id = t.project_id AND v.id = t.doc -> 'vouchers' -> 0 ->> 'id'"
    " LEFT JOIN campaigns c ON c.project_id = t.project_id AND c.id = COALESCE(own.id, v.campaign_id))"
)
IS_REFERRAL = (
    "COALESCE((SELECT c.campaign_type = 'REFERRAL_PROGRAM' FROM campaigns c"
    " WHERE c.project_id = t.project_id AND c.id = t.campaign_id), false)"
)
CODES = "jsonb_path_query_array(t.doc, '$.vouchers[*].code')"
VOUCHER_IDS = "jsonb_path_query_array(t.doc, '$.vouchers[*].id')"
FIRST_CODE = "t.doc -> 'vouchers' -> 0 ->> 'code'"
TYPES = {"discount": "DISCOUNT_VOUCHER", "gift": "GIFT_VOUCHER", "loyalty": "LOYALTY_CARD"}
PUBLICATIONS = Listing(
    orders={
        **columns("created_at", "id", "tracking_id", "customer_id"),
        "voucher_code": FIRST_CODE,
        "channel": "t.doc ->> 'channel'",
    },
    filters={
        "customer_id": Column("t.customer_id"),
        "campaign_id": Column("t.campaign_id"),
        "campaign_name": Column(CAMPAIGN_NAME),
        "source_id": Column("t.source_id"),
        "result": Column("t.result"),
        "failure_code": Column("t.error ->> 'key'"),
        "voucher_code": Column(CODES, "json", f"({FIRST_CODE})"),
        "voucher_type": Column(VOUCHER_TYPE),
        "is_referral_code": Column(IS_REFERRAL, "flag"),
        "parent_object_id": Column("t.campaign_id"),
        "related_object_id": Column(VOUCHER_IDS, "json", "(t.doc -> 'vouchers' -> 0 ->> 'id')"),
        "created_at": Column("t.created_at", "timestamptz"),
        "metadata": Column("t.doc -> 'metadata'"),
    },
    parameters={
        "campaign": Parameter(WORD, f"({CAMPAIGN_NAME} = {{}} OR t.campaign_id = {{}})"),
        "customer": Parameter(
            WORD, "t.customer_id = ANY({})", names_of_customer, "Id or source_id of the customer"
        ),
        "voucher": Parameter(WORD, f"{VOUCHER_IDS} ? {{}}", id_of_code),
        "result": Parameter(word_of("SUCCESS", "FAILURE"), "t.result = {}"),
        "voucher_type": Parameter(
            word_of(*TYPES), f"{VOUCHER_TYPE} = {{}}", lambda _, kind: TYPES[kind]
        ),
        "is_referral_code": Parameter(FLAG, f"{IS_REFERRAL} = {{}}"),
        "source_id": Parameter(WORD, "t.source_id = {}"),
    },
)


@operation("GET", "/v1/publications", query=PUBLICATIONS)
async def list_publications(call: Call) -> JsonObject:
    """List publications."""
    page = await read_page(call)
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "publications", *page.arguments)
        shown = await views.publications(connection, call.project_id, rows)
    return public.listing("publications", shown, total)
