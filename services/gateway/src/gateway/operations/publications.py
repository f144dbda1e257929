"""``/v1/publications``."""

from typing import Any

from contracts import ids, public
from contracts.distribution import Publish
from contracts.errors import InvalidPayload, JsonObject
from gateway import queries, views
from gateway.body import ANY, NAME, OBJECT, TEXT, required
from gateway.http import Call, operation
from gateway.operations.vouchers import one_voucher
from gateway.paging import Column, read_page

FIELDS = {
    "campaign": ANY,
    "voucher": NAME,
    "customer": required(ANY),
    "channel": TEXT,
    "source_id": NAME,
    "metadata": OBJECT,
}


@operation("POST", "/v1/publications", fields=FIELDS)
async def create_publication(call: Call) -> JsonObject:
    """Assign a code, or free codes of a campaign, to a customer."""
    customer = call.body.get("customer")
    if isinstance(customer, str):
        customer = {"source_id": customer}
    if not isinstance(customer, dict) or not (customer.get("id") or customer.get("source_id")):
        raise InvalidPayload("customer: must name a customer by id or source_id", prop="customer")
    for name in ("id", "source_id"):
        if not isinstance(customer.get(name) or "", str):
            raise InvalidPayload(f"customer.{name}: must be text", prop=f"customer.{name}")
    if not customer.get("id"):
        customer = {**customer, "id": ids.customer_id(call.project_id, customer["source_id"])}
    campaign, count = _campaign(call.body.get("campaign"))
    voucher = call.body.get("voucher")
    if (campaign is None) == (voucher is None):
        raise InvalidPayload("campaign: name either a campaign or a voucher", prop="campaign")
    command = Publish(
        publication_id=call.new_id("pub"),
        customer=customer,
        campaign=campaign,
        count=count,
        voucher=voucher,
        join_once=_join_once(call),
        source_id=call.body.get("source_id"),
        metadata=call.body.get("metadata") or {},
    )
    scopes = [f"customer/{customer['id']}"]
    reply = await call.command("distribution", campaign or voucher or "", command, remember=scopes)
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
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= COUNT_MAX:
        raise InvalidPayload(
            f"campaign.count: must be from 1 to {COUNT_MAX}", prop="campaign.count"
        )
    return named, count


COUNT_MAX = 20


def _join_once(call: Call) -> bool | None:
    for name, value in call.query:
        if name == "join_once":
            return value.lower() == "true"
    return None


async def _shown(call: Call, state: JsonObject) -> JsonObject:
    shown = public.publication(call.project_id, state)
    if "voucher" in shown:
        shown["voucher"] = await one_voucher(call, shown["voucher"]["id"])
    await call.fresh(f"customer/{shown['customer_id']}")
    async with call.gateway.connection() as connection:
        customer = await views.customer_of(connection, call.project_id, state["customer"])
    return {**shown, "customer": customer}


@operation("GET", "/v1/publications")
async def list_publications(call: Call) -> JsonObject:
    """List publications."""
    page = read_page(
        call,
        orders=("created_at", "id"),
        columns={
            "customer_id": Column("t.customer_id"),
            "campaign_id": Column("t.campaign_id"),
            "campaign_name": Column(
                "(SELECT c.name FROM campaigns c WHERE c.project_id = t.project_id AND c.id = t.campaign_id)"
            ),
            "source_id": Column("t.source_id"),
            "result": Column("t.result"),
            "voucher_code": Column("t.doc -> 'vouchers' -> 0 ->> 'code'"),
            "created_at": Column("t.created_at", "timestamptz"),
        },
        parameters=(
            "campaign",
            "customer",
            "voucher",
            "result",
            "voucher_type",
            "is_referral_code",
            "source_id",
        ),
    )
    conditions, given = page.conditions, page.given
    if "campaign" in given:
        conditions.add(
            "t.campaign_id IN (SELECT c.id FROM campaigns c WHERE c.project_id = $1 AND c.name = {})",
            given["campaign"],
        )
    if "customer" in given:
        named = [given["customer"], ids.customer_id(call.project_id, given["customer"])]
        conditions.add("t.customer_id = ANY({})", named)
    if "voucher" in given:
        conditions.add(
            "t.doc -> 'vouchers' @> jsonb_build_array(jsonb_build_object('code', {}::text))",
            given["voucher"],
        )
    for name in ("result", "source_id"):
        if name in given:
            conditions.add(f"t.{name} = {{}}", given[name])
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "publications", *page.arguments)
        shown = await views.publications(connection, call.project_id, rows)
    return public.listing("publications", shown, total)
