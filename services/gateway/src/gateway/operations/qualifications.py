"""``POST /v1/qualifications``: what a customer could redeem, without having named it."""

from typing import Any, get_args

from contracts import ids, payload, public
from contracts.engine import QualificationOptions, Qualify, Scenario, SortingRule, StackRequest
from contracts.errors import JsonObject
from contracts.filters import OFFER_ATTRIBUTES, check_filter
from contracts.sessions import read_session
from gateway import limits, queries
from gateway.body import OBJECT, TEXT, one_of
from gateway.http import CLIENT, Call, operation
from gateway.operations.validations import refuse_explanation
from runtime import clock

FIELDS = {
    "customer": OBJECT,
    "order": OBJECT,
    "tracking_id": TEXT,
    "scenario": one_of(*get_args(Scenario)),
    "options": OBJECT,
    "session": OBJECT,
    "metadata": OBJECT,
}
EXPANDED = ("redeemable", "category", "validation_rules")


@operation("POST", "/v1/qualifications", fields=FIELDS, is_answer_kept=False)
async def check_eligibility(call: Call) -> JsonObject:
    """List the redeemables that apply to a customer and an order, each by itself."""
    return await _qualify(call)


@operation("POST", "/client/v1/qualifications", fields=FIELDS, auth=CLIENT, is_answer_kept=False)
async def check_eligibility_client_side(call: Call) -> JsonObject:
    """List the redeemables that apply, from a browser or an app."""
    refuse_explanation(call.body)
    return await _qualify(call)


async def _qualify(call: Call) -> JsonObject:
    body = {name: value for name, value in call.body.items() if value is not None}
    if "session" in body:
        read_session(body["session"])  # looking holds nothing
    options = read_options(body.get("options") or {})
    stack = {name: body[name] for name in STACK if name in body}
    if _read(body.get("options") or {}, "explain", payload.optional(payload.boolean)):
        stack["options"] = {"explain": True}
    answer = await qualify(call, stack, body.get("scenario") or "ALL", options)
    if "validation_rules" in options.expand:
        await _show_assignments(call, answer["redeemables"]["data"])
    return answer


async def qualify(
    call: Call, stack: JsonObject, scenario: Scenario, options: QualificationOptions
) -> JsonObject:
    """Ask the engine; whatever was written in the project before may be offered now."""
    command = Qualify(
        stack=StackRequest(redeemables=[], **stack),
        scenario=scenario,
        options=options,
        now=clock.now(),
        api_key_id=call.key.key_id,
    )
    reply = await call.request(call.request_id, command, scopes=["*"])
    return reply.body or {}


STACK = ("customer", "order", "metadata", "tracking_id")


def read_options(sent: JsonObject) -> QualificationOptions:
    """Return the options; raises ``InvalidPayload`` that names the property."""
    values = {name: value for name, value in sent.items() if value is not None}
    filters = values.get("filters") or None
    if filters is not None and any(name != "junction" for name in OBJECT.read(FILTERS, filters)):
        check_filter(filters, FILTERS, OFFER_ATTRIBUTES)
    else:
        filters = None
    return QualificationOptions(
        limit=_read(values, "limit", LIMIT) or limits.QUALIFICATIONS_SHOWN_DEFAULT,
        starting_after=_read(values, "starting_after", payload.instant),
        filters=filters,
        expand=_read(values, "expand", EXPAND) or [],
        sorting_rule=_read(values, "sorting_rule", SORTING_RULE) or "DEFAULT",
    )


FILTERS = "options.filters"
LIMIT = payload.whole_number(1, limits.QUALIFICATIONS_SHOWN_MAX)
EXPAND = payload.list_of(payload.one_of(*EXPANDED), len(EXPANDED))
SORTING_RULE = payload.one_of(*get_args(SortingRule))


def _read(values: JsonObject, name: str, reader: payload.Reader) -> Any:
    return reader(f"options.{name}", values[name]) if name in values else None


async def _show_assignments(call: Call, entries: list[JsonObject]) -> None:
    """Show the validation rules of each entry: its own and its campaign's."""
    related = {id(one): _related_ids(call.project_id, one) for one in entries}
    named = [name for names in related.values() for name in names]
    async with call.gateway.connection() as connection:
        found = await queries.assignments_of(connection, call.project_id, named)
    for one in entries:
        assigned = [
            {**public.assignment(doc), "validation_status": "VALID"}
            for name in related[id(one)]
            for doc in found.get(name, [])
        ]
        one["validation_rules_assignments"] = public.listing("data", assigned, len(assigned))


def _related_ids(project_id: str, entry: JsonObject) -> list[str]:
    name = str(entry["id"])
    is_code = entry["object"] == "voucher"
    own = ids.voucher_id(project_id, name) if is_code else name
    campaign_id = entry.get("campaign_id")
    return list(dict.fromkeys(one for one in (own, campaign_id) if one is not None))
