"""``/v1/redemptions``."""

from collections.abc import Iterator
from contextlib import contextmanager

from contracts import public
from contracts.engine import PlanRedemption, StackRequest
from contracts.errors import InvalidQueryParams, JsonObject
from contracts.ledger import RollBack
from gateway import limits, queries, views
from gateway.body import OBJECT, TEXT, Kind
from gateway.http import CLIENT, ApiError, Call, not_found, operation
from gateway.operations.customers import named_customer
from gateway.operations.validations import FIELDS, first_code, read_stack, scopes_of
from gateway.operations.vouchers import one_voucher
from gateway.paging import read_page, read_parameters
from gateway.query import TEXT as WORD
from gateway.query import Column, Listing, Parameter, Query, names_of_customer
from runtime import clock


@operation("POST", "/v1/redemptions", fields=FIELDS, is_answer_kept=False)
async def redeem_stack(call: Call) -> JsonObject:
    """Redeem a stack, all of it or nothing."""
    event = await redeem(call, read_stack(call.body))
    return public.redemption_response(call.project_id, event)


@operation(
    "POST",
    "/client/v1/redemptions",
    fields=FIELDS,
    auth=CLIENT,
    setting="client_redeem_enabled",
    is_answer_kept=False,
)
async def redeem_stack_client_side(call: Call) -> JsonObject:
    """Redeem a stack, from a browser or an app."""
    event = await redeem(call, read_stack(call.body))
    return public.redemption_response(call.project_id, event)


async def redeem(call: Call, stack: StackRequest) -> JsonObject:
    """Ask the engine for a plan, which the ledger applies and answers; returns the redemption's event."""
    scopes = scopes_of(call.project_id, stack)
    request = PlanRedemption(stack=stack, now=clock.now(), api_key_id=call.key.key_id)
    with _remembered_failure(call):
        reply = await call.request(first_code(stack), request, scopes=scopes)
    event: JsonObject = (reply.body or {})["redemption"]
    _remember(call, event)
    return event


@contextmanager
def _remembered_failure(call: Call) -> Iterator[None]:
    """A refusal is recorded under an id of its own, which its reader asks for next."""
    try:
        yield
    except ApiError as refused:
        if refused.error.resource_id:
            call.remember("ledger", [f"redemption/{refused.error.resource_id}"])
        raise


def _tiers_of(event: JsonObject) -> set[str]:
    return {
        f"promotion_tier/{item['related_object_id']}"
        for item in event["items"]
        if item["related_object_type"] == "promotion_tier"
    }


def _remember(call: Call, event: JsonObject) -> None:
    named = {f"{kind}/{event[kind]['id']}" for kind in ("customer", "order") if event.get(kind)}
    named |= {f"voucher/{item['voucher']['id']}" for item in event["items"] if item.get("voucher")}
    named |= {f"redemption/{item['redemption_id']}" for item in event["items"]}
    named |= _tiers_of(event)
    if event.get("parent_id"):
        named.add(f"redemption/{event['parent_id']}")
    named.update(named_customer(event.get("customer")))
    call.remember("ledger", sorted(named))


RESULTS = {
    "success": "SUCCESS%",
    "failure": "FAILURE%",
    "failure-voucher_expired": "FAILURE-voucher\\_expired",
}


def _read_result(name: str, value: str) -> str:
    if value.lower() not in RESULTS:
        raise InvalidQueryParams(f"{name}: must be Success or Failure")
    return value.lower()


CAMPAIGN_NAME = (
    "(SELECT c.name FROM campaigns c WHERE c.project_id = t.project_id AND c.id = t.campaign_id)"
)
CODE = "t.doc -> 'voucher' ->> 'code'"
TRACKING_ID = "t.doc ->> 'tracking_id'"
# The API calls created_at what is a redemption's date.
DATES = {"created_at": "t.date", "date": "t.date"}
REDEMPTIONS = Listing(
    orders={
        **DATES,
        "id": "t.id",
        "voucher_code": CODE,
        "tracking_id": TRACKING_ID,
        "customer_id": "t.customer_id",
    },
    dates=DATES,
    filters={
        "voucher_code": Column(CODE),
        "campaign_name": Column(CAMPAIGN_NAME),
        "related_object_id": Column("t.related_object_id"),
        "related_object_type": Column("t.related_object_type"),
        "related_object_parent_id": Column("t.campaign_id"),
        "parent_redemption_id": Column("t.parent_id"),
        "customer_id": Column("t.customer_id"),
        "customer": Column("t.customer_id"),
        "tracking_id": Column(TRACKING_ID),
        "failure_code": Column("t.failure_code"),
        "result": Column("t.result"),
        "object": Column("t.kind"),
        "user_login": Column("NULL::text"),
        "created_at": Column("t.date", "timestamptz"),
        "metadata": Column("t.doc -> 'metadata'"),
    },
    parameters={
        "result": Parameter(
            Kind({"type": "string"}, _read_result),
            "concat_ws('-', t.result, t.failure_code) LIKE {}",
            lambda _, result: RESULTS[result],
            "Success, Failure or Failure-voucher_expired",
        ),
        "campaign": Parameter(WORD, f"({CAMPAIGN_NAME} = {{}} OR t.campaign_id = {{}})"),
        "customer": Parameter(
            WORD, "t.customer_id = ANY({})", names_of_customer, "Id or source_id of the customer"
        ),
    },
)
VOUCHER_REDEMPTIONS = Listing(orders=DATES, default="-date", dates=DATES, size=limits.PAGE_SIZE_MAX)


@operation("GET", "/v1/redemptions", query=REDEMPTIONS)
async def list_redemptions(call: Call) -> JsonObject:
    """List redemptions and rollbacks."""
    page = await read_page(call)
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "redemptions", *page.arguments)
        shown = await views.redemptions(connection, call.project_id, rows)
    return public.listing("redemptions", shown, total)


@operation("GET", "/v1/redemptions/{redemptionId}")
async def get_redemption(call: Call) -> JsonObject:
    """Get a redemption or rollback."""
    redemption_id = call.params["redemptionId"]
    await call.fresh(f"redemption/{redemption_id}")
    async with call.gateway.connection() as connection:
        row = await queries.redemption(connection, call.project_id, redemption_id)
        if row is None:
            raise not_found("redemption", redemption_id)
        return (await views.redemptions(connection, call.project_id, [row]))[0]


@operation("GET", "/v1/vouchers/{code}/redemption", query=VOUCHER_REDEMPTIONS)
async def get_voucher_redemptions(call: Call) -> JsonObject:
    """Get a voucher's redemptions, a page of them."""
    page = await read_page(call)
    voucher = await one_voucher(call, call.params["code"])
    page.conditions.add("t.voucher_id = {}", voucher["id"])
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "redemptions", *page.arguments)
        shown = await views.redemptions(connection, call.project_id, rows)
    redemption = voucher["redemption"]
    told = {
        "quantity": redemption.get("quantity"),
        "redeemed_quantity": redemption["redeemed_quantity"],
        "object": "list",
        "url": f"/v1/vouchers/{voucher['code']}/redemptions?page=1&limit=10",
        "data_ref": "redemption_entries",
        "total": total,
        "redemption_entries": shown,
    }
    if "redeemed_amount" in redemption:
        told["redeemed_amount"] = redemption["redeemed_amount"]
    return told


ROLLBACK_QUERY = Query(reason=Parameter(TEXT), tracking_id=Parameter(TEXT))
ROLLBACK_FIELDS = {
    "reason": TEXT,
    "tracking_id": TEXT,
    "order": OBJECT,
    "customer": OBJECT,
    "metadata": OBJECT,
}


@operation(
    "POST",
    "/v1/redemptions/{redemptionId}/rollback",
    fields=ROLLBACK_FIELDS,
    query=ROLLBACK_QUERY,
    is_answer_kept=False,
)
async def roll_back_redemption(call: Call) -> JsonObject:
    """Give a redemption back that is not part of a stack."""
    return await _roll_back(call, is_single=True)


@operation(
    "POST",
    "/v1/redemptions/{redemptionId}/rollbacks",
    fields=ROLLBACK_FIELDS,
    query=ROLLBACK_QUERY,
    is_answer_kept=False,
)
async def roll_back_stack(call: Call) -> JsonObject:
    """Give a whole stack back."""
    return await _roll_back(call, is_single=False)


async def _roll_back(call: Call, *, is_single: bool) -> JsonObject:
    redemption_id = call.params["redemptionId"]
    told = {
        **read_parameters(call),
        **{name: call.body[name] for name in ("reason", "tracking_id") if call.body.get(name)},
    }
    command = RollBack(
        redemption_id=redemption_id,
        is_single=is_single,
        rollback_ids=[call.new_id("rr") for _ in range(limits.REDEEMABLES_MAX + 1)],
        failed_rollback_id=call.new_id("rrf"),
        reason=told.get("reason"),
        tracking_id=told.get("tracking_id"),
        customer=call.body.get("customer"),
        order=call.body.get("order"),
        metadata=call.body.get("metadata") or {},
    )
    with _remembered_failure(call):
        reply = await call.command("ledger", redemption_id, command)
    event = reply["rollback"]
    named = {f"{kind}/{event[kind]['id']}" for kind in ("customer", "order") if event.get(kind)}
    named |= {f"voucher/{item['voucher']['id']}" for item in event["items"] if item.get("voucher")}
    named |= _tiers_of(event)
    for item in event["items"]:
        named |= {f"redemption/{item['redemption_id']}", f"redemption/{item['rollback_id']}"}
    named.add(f"redemption/{redemption_id}")
    call.remember("ledger", sorted(named))
    return public.rollback_response(call.project_id, event, is_single=is_single)
