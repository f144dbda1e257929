"""``/management/v1/projects/{projectId}/stacking-rules``: how a project's redeemables stack."""

from contracts import public
from contracts.errors import JsonObject
from gateway import projects, queries, stacking
from gateway.body import INTEGER, OBJECT, TEXT, TEXTS, Kind
from gateway.domain import stacking_rules as rules
from gateway.http import MANAGEMENT, Answer, Call, not_found, operation

_KINDS: dict[str, Kind] = {
    name: TEXTS
    if name.endswith("_categories")
    else OBJECT
    if name.endswith("_category_limits")
    else INTEGER
    if name.endswith("_limit")
    else TEXT
    for name in rules.FIELDS
}
RULES = "/management/v1/projects/{projectId}/stacking-rules"
RULE = RULES + "/{stackingRulesId}"


@operation("GET", RULES, auth=MANAGEMENT)
async def list_stacking_rules(call: Call) -> JsonObject:
    """List the project's stacking rules: none while it has the defaults."""
    state = await _project(call)
    shown = [public.own_stacking_rules(state)] if state.get("stacking_rules_id") else []
    return public.listing("data", shown, len(shown))


@operation("POST", RULES, auth=MANAGEMENT, fields=_KINDS)
async def create_stacking_rules(call: Call) -> JsonObject:
    """Give the project stacking rules of its own; what is not sent is at its default."""
    await _project(call)
    sent = rules.read_rules(call.body, {})
    await _check_categories(call, sent)
    project_id, rules_id = call.params["projectId"], call.new_id("stk")
    changed = await stacking.create(call.gateway.service, project_id, rules_id, sent)
    return _told(call, changed)


@operation("GET", RULE, auth=MANAGEMENT)
async def get_stacking_rules(call: Call) -> JsonObject:
    """Get the project's stacking rules."""
    return public.own_stacking_rules(await _owned(call))


@operation("PUT", RULE, auth=MANAGEMENT, fields=_KINDS)
async def update_stacking_rules(call: Call) -> JsonObject:
    """Change the stacking rules that are sent; requests that are asked from now on follow them."""
    await _owned(call)
    await _check_categories(call, rules.read_rules(call.body, {}))
    project_id, rules_id = call.params["projectId"], call.params["stackingRulesId"]
    changed = await stacking.update(call.gateway.service, project_id, rules_id, call.body)
    return _told(call, changed)


@operation("DELETE", RULE, auth=MANAGEMENT, statuses=(204,))
async def delete_stacking_rules(call: Call) -> Answer:
    """Take the project back to the default stacking rules."""
    await _owned(call)
    project_id, rules_id = call.params["projectId"], call.params["stackingRulesId"]
    _told(call, await stacking.delete(call.gateway.service, project_id, rules_id))
    return Answer(204)


def _told(call: Call, changed: projects.Changed) -> JsonObject:
    """Let reads and the engine follow the change at once."""
    call.positions.extend(changed.positions)
    call.remember("gateway", [])
    return public.own_stacking_rules(changed.project)


async def _project(call: Call) -> JsonObject:
    project_id = call.params["projectId"]
    await call.fresh()
    async with call.gateway.connection() as connection:
        found = await queries.project(connection, project_id)
    if found is None:
        raise not_found("project", project_id)
    return found


async def _owned(call: Call) -> JsonObject:
    state = await _project(call)
    if state.get("stacking_rules_id") != call.params["stackingRulesId"]:
        raise not_found("stacking_rules", call.params["stackingRulesId"])
    return state


async def _check_categories(call: Call, sent: JsonObject) -> None:
    """Refuse rules that name a category which is not there."""
    named = rules.named_categories(sent)
    async with call.gateway.connection() as connection:
        found = await queries.categories(connection, call.project_id, sorted(named))
    for category_id in sorted(named - found.keys()):
        raise not_found("category", category_id)
