"""``/v1/validation-rules`` and their assignments."""

from contracts import public
from contracts.campaigns import (
    AssignValidationRule,
    CreateValidationRule,
    DeleteValidationRule,
    UnassignValidationRule,
    UpdateValidationRule,
)
from contracts.errors import InvalidPayload, JsonObject
from gateway import queries, views
from gateway.body import NAME, OBJECT, TEXT, kept, one_of
from gateway.http import Answer, Call, not_found, operation
from gateway.paging import read_page
from gateway.query import TEXT as WORD
from gateway.query import Column, Listing, Parameter, columns, since

FIELDS = {
    "name": NAME,
    "type": TEXT,
    "context_type": TEXT,
    "rules": OBJECT,
    "bundle_rules": OBJECT,
    "error": OBJECT,
    "applicable_to": OBJECT,
}
RELATED = (
    "campaign",
    "voucher",
    "promotion_tier",
    "earning_rule",
    "reward_assignment",
    "distribution",
)
ASSIGNMENT_FIELDS = {
    "related_object_type": one_of(*RELATED),
    "related_object_id": NAME,
    **dict.fromkeys(RELATED, NAME),
}


@operation("POST", "/v1/validation-rules", fields=FIELDS)
async def create_validation_rule(call: Call) -> JsonObject:
    """Create a validation rule."""
    rule_id = call.new_id("val")
    command = CreateValidationRule(rule_id=rule_id, definition=call.body)
    reply = await call.command("campaigns", rule_id, command)
    return public.validation_rule(reply["rule"])


CHANGED = "(t.doc ->> 'updated_at')::timestamptz"
RULES = Listing(
    orders={**columns("created_at", "name"), "updated_at": CHANGED},
    dates={**columns("created_at"), "updated_at": CHANGED},
    filters={
        "id": Column("t.id"),
        "name": Column("t.name"),
        "context_type": Column("t.doc ->> 'context_type'"),
        "created_at": Column("t.created_at", "timestamptz"),
    },
    parameters=since("t.created_at"),
)
ASSIGNMENTS = Listing(
    filters={
        "rule": Column("t.rule_id"),
        "related_object_id": Column("t.related_object_id"),
        "related_object_type": Column("t.doc ->> 'related_object_type'"),
    },
    parameters={
        "rule": Parameter(WORD, "t.rule_id = {}"),
        "related_object_id": Parameter(WORD, "t.related_object_id = {}"),
    },
)


@operation("GET", "/v1/validation-rules", query=RULES)
async def list_validation_rules(call: Call) -> JsonObject:
    """List validation rules."""
    page = await read_page(call)
    await call.fresh()
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "validation_rules", *page.arguments)
        shown = await views.validation_rules(connection, call.project_id, rows)
    return public.listing("data", shown, total)


@operation("GET", "/v1/validation-rules/{validationRuleId}")
async def get_validation_rule(call: Call) -> JsonObject:
    """Get a validation rule."""
    name = call.params["validationRuleId"]
    await call.fresh()
    async with call.gateway.connection() as connection:
        doc = await queries.document(connection, "validation_rules", call.project_id, name)
        if doc is None:
            raise not_found("validation_rules", name)
        uses = await queries.rule_uses(connection, call.project_id, [name])
    return public.validation_rule(doc, uses.get(name, 0))


@operation(
    "POST",
    "/v1/validation-rules/{validationRuleId}/assignments",
    fields=ASSIGNMENT_FIELDS,
)
async def create_assignment(call: Call) -> JsonObject:
    """Assign a validation rule to a campaign, a voucher, …."""
    kind, value = _related(call.body)
    rule_id = call.params["validationRuleId"]
    command = AssignValidationRule(
        assignment_id=call.new_id("asgm"),
        rule_id=rule_id,
        related_object_type=kind,
        related_object_id=value,
    )
    reply = await call.command("campaigns", rule_id, command)
    return public.assignment(reply["assignment"])


def _related(body: JsonObject) -> tuple[str, str]:
    """Return what the rule is assigned to, in either form that the public API has had."""
    named = [(kind, body[kind]) for kind in RELATED if body.get(kind) is not None]
    if body.get("related_object_id") is not None:
        if body.get("related_object_type") is None:
            raise InvalidPayload("related_object_type: is required", prop="related_object_type")
        named.append((body["related_object_type"], body["related_object_id"]))
    if len(named) != 1:
        raise InvalidPayload(
            "related_object_id: name one object, with its related_object_type",
            prop="related_object_id",
        )
    return named[0]


@operation("GET", "/v1/validation-rules/{validationRuleId}/assignments", query=ASSIGNMENTS)
async def list_rule_assignments(call: Call) -> JsonObject:
    """List the assignments of one validation rule."""
    await get_validation_rule(call)
    return await _assignments(call, call.params["validationRuleId"])


@operation("GET", "/v1/validation-rules-assignments", query=ASSIGNMENTS)
async def list_assignments(call: Call) -> JsonObject:
    """List the assignments of all validation rules."""
    return await _assignments(call, None)


async def _assignments(call: Call, rule_id: str | None) -> JsonObject:
    page = await read_page(call)
    if rule_id is not None:
        page.conditions.add("t.rule_id = {}", rule_id)
    await call.fresh()
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "assignments", *page.arguments)
    return public.listing("data", [public.assignment(row["doc"]) for row in rows], total)


@operation("PUT", "/v1/validation-rules/{validationRuleId}", fields=kept(FIELDS, "name", "type"))
async def update_validation_rule(call: Call) -> JsonObject:
    """Change the fields of a validation rule that are sent."""
    rule_id = call.params["validationRuleId"]
    command = UpdateValidationRule(rule_id=rule_id, changes=call.body)
    reply = await call.command("campaigns", rule_id, command)
    return public.validation_rule(reply["rule"], reply["assignments_count"])


@operation("DELETE", "/v1/validation-rules/{validationRuleId}", statuses=(204,))
async def delete_validation_rule(call: Call) -> Answer:
    """Delete a validation rule that is assigned to nothing."""
    rule_id = call.params["validationRuleId"]
    await call.command("campaigns", rule_id, DeleteValidationRule(rule_id=rule_id))
    return Answer(204)


@operation(
    "DELETE",
    "/v1/validation-rules/{validationRuleId}/assignments/{assignmentId}",
    statuses=(204,),
)
async def delete_assignment(call: Call) -> Answer:
    """Remove an assignment of a validation rule."""
    rule_id = call.params["validationRuleId"]
    command = UnassignValidationRule(rule_id=rule_id, assignment_id=call.params["assignmentId"])
    await call.command("campaigns", rule_id, command)
    return Answer(204)
