"""``/v1/redemptions``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from contracts import public
from contracts.engine import PlanRedemption
from contracts.errors import InvalidPayload, JsonObject
from contracts.ledger import RollBack
from gateway import limits, queries, views
from gateway.body import OBJECT, TEXT
from gateway.http import CLIENT, ApiError, Call, not_found, operation
from gateway.operations.validations import FIELDS, first_code, read_stack, scopes_of
from gateway.operations.vouchers import one_voucher
from gateway.paging import Column, read_page
from runtime import clock


@operation("POST", "/v1/redemptions", fields=FIELDS, is_answer_kept=False)
async def redeem_stack(call: Call) -> JsonObject:
    """Redeem a stack, all of it or nothing."""
    return await _redeem(call)


@operation("POST", "/client/v1/redemptions", fields=FIELDS, auth=CLIENT, is_answer_kept=False)
async def redeem_stack_client_side(call: Call) -> JsonObject:
    """Redeem a stack, from a browser or an app."""
    return await _redeem(call)


async def _redeem(call: Call) -> JsonObject:
    stack = read_stack(call.body)
    scopes = scopes_of(call.project_id, stack)
    request = PlanRedemption(stack=stack, now=clock.now(), api_key_id=call.key.key_id)
    with _remembered_failure(call):
        reply = await call.request(first_code(stack), request, scopes=scopes)
    event = (reply.body or {})["redemption"]
    _remember(call, event)
    return public.redemption_response(call.project_id, event)


@contextmanager
def _remembered_failure(call: Call) -> Iterator[None]:
    """A refusal is recorded under an id of its own, which its reader asks for next."""
    try:
        yield
    except ApiError as refused:
        if refused.error.resource_id:
            call.remember("ledger", [f"redemption/{refused.error.resource_id}"])
        raise


def _remember(call: Call, event: JsonObject) -> None:
    named = {f"{kind}/{event[kind]['id']}" for kind in ("customer", "order") if event.get(kind)}
    named |= {f"voucher/{item['voucher']['id']}" for item in event["items"] if item.get("voucher")}
    named |= {f"redemption/{item['redemption_id']}" for item in event["items"]}
    if event.get("parent_id"):
        named.add(f"redemption/{event['parent_id']}")
    call.remember("ledger", sorted(named))


@operation("GET", "/v1/redemptions")
async def list_redemptions(call: Call) -> JsonObject:
    """List redemptions and rollbacks."""
    page = _page(call, ("result", "campaign", "customer"))
    conditions, given = page.conditions, page.given
    if "result" in given:
        _add_result(conditions, given["result"])
    if "campaign" in given:
        conditions.add(
            "t.campaign_id IN (SELECT c.id FROM campaigns c WHERE c.project_id = $1"
            " AND (c.name = {} OR c.id = {}))",
            given["campaign"],
            given["campaign"],
        )
    if "customer" in given:
        conditions.add(
            "t.customer_id IN (SELECT c.id FROM customers c WHERE c.project_id = $1"
            " AND (c.source_id = {} OR c.id = {}))",
            given["customer"],
            given["customer"],
        )
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "redemptions", *page.arguments)
        shown = await views.redemptions(connection, call.project_id, rows)
    return public.listing("redemptions", shown, total)


def _page(call: Call, parameters: tuple[str, ...]) -> Any:
    # The API orders redemptions by created_at; here that is their date.
    query = []
    for name, value in call.query:
        renamed = name.replace("created_at", "date") if "filters" not in name else name
        query.append((renamed, value.replace("created_at", "date") if name == "order" else value))
    call.query = query
    return read_page(
        call,
        orders=("date",),
        default="-date",
        columns={
            "voucher_code": Column("t.doc -> 'voucher' ->> 'code'"),
            "campaign_name": Column(
                "(SELECT c.name FROM campaigns c WHERE c.project_id = t.project_id AND c.id = t.campaign_id)"
            ),
            "related_object_id": Column("t.related_object_id"),
            "related_object_type": Column("t.related_object_type"),
            "related_object_parent_id": Column("t.campaign_id"),
            "parent_redemption_id": Column("t.parent_id"),
            "customer_id": Column("t.customer_id"),
            "customer": Column("t.customer_id"),
            "failure_code": Column("t.failure_code"),
            "result": Column("t.result"),
            "object": Column("t.kind"),
            "created_at": Column("t.date", "timestamptz"),
        },
        parameters=parameters,
    )


def _add_result(conditions: queries.Conditions, result: str) -> None:
    names = {"success": "SUCCESS", "failure": "FAILURE"}
    if result.lower() == "failure-voucher_expired":
        conditions.add("t.failure_code = {}", "voucher_expired")
        return
    if result.lower() not in names:
        raise InvalidPayload("result: must be Success or Failure", prop="result")
    conditions.add("t.result = {}", names[result.lower()])


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


@operation("GET", "/v1/vouchers/{code}/redemption")
async def get_voucher_redemptions(call: Call) -> JsonObject:
    """Get a voucher's redemptions."""
    voucher = await one_voucher(call, call.params["code"])
    async with call.gateway.connection() as connection:
        conditions = queries.Conditions(call.project_id)
        conditions.add("t.voucher_id = {}", voucher["id"])
        rows, total = await queries.page(
            connection, "redemptions", conditions, "t.date DESC", limits.PAGE_SIZE_MAX, 0
        )
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


ROLLBACK_FIELDS = {"reason": TEXT, "order": OBJECT, "customer": OBJECT, "metadata": OBJECT}


@operation(
    "POST",
    "/v1/redemptions/{redemptionId}/rollback",
    fields=ROLLBACK_FIELDS,
    is_answer_kept=False,
)
async def roll_back_redemption(call: Call) -> JsonObject:
    """Give a redemption back that is not part of a stack."""
    return await _roll_back(call, is_single=True)


@operation(
    "POST",
    "/v1/redemptions/{redemptionId}/rollbacks",
    fields=ROLLBACK_FIELDS,
    is_answer_kept=False,
)
async def roll_back_stack(call: Call) -> JsonObject:
    """Give a whole stack back."""
    return await _roll_back(call, is_single=False)


async def _roll_back(call: Call, *, is_single: bool) -> JsonObject:
    redemption_id = call.params["redemptionId"]
    query = dict(call.query)
    reason = call.body.get("reason", query.get("reason"))
    for name in ("reason", "tracking_id"):
        if name in query:
            TEXT.read(name, query[name])
    command = RollBack(
        redemption_id=redemption_id,
        is_single=is_single,
        rollback_ids=[call.new_id("rr") for _ in range(limits.REDEEMABLES_MAX + 1)],
        failed_rollback_id=call.new_id("rrf"),
        reason=reason,
        tracking_id=query.get("tracking_id"),
        customer=call.body.get("customer"),
        order=call.body.get("order"),
        metadata=call.body.get("metadata") or {},
    )
    with _remembered_failure(call):
        reply = await call.command("ledger", redemption_id, command)
    event = reply["rollback"]
    named = {f"{kind}/{event[kind]['id']}" for kind in ("customer", "order") if event.get(kind)}
    named |= {f"voucher/{item['voucher']['id']}" for item in event["items"] if item.get("voucher")}
    for item in event["items"]:
        named |= {f"redemption/{item['redemption_id']}", f"redemption/{item['rollback_id']}"}
    named.add(f"redemption/{redemption_id}")
    call.remember("ledger", sorted(named))
    return public.rollback_response(call.project_id, event, is_single=is_single)
