"""``/v1/categories``: incentives of one kind, for the project's stacking rules."""

from contracts import public
from contracts.errors import DomainError, JsonObject
from contracts.promotions import CreateCategory, DeleteCategory, UpdateCategory
from gateway import queries, stacking
from gateway.body import INTEGER, NAME, kept, required
from gateway.domain.stacking_rules import without_category
from gateway.http import Answer, Call, not_found, operation
from gateway.paging import read_parameters
from gateway.query import FLAG, Parameter, Query
from runtime.database import Connection

FIELDS = {"name": required(NAME), "hierarchy": required(INTEGER)}
UPDATE_FIELDS = kept({"name": NAME, "hierarchy": INTEGER}, "name", "hierarchy")


class CategoryInUse(DomainError):
    """A category that the project's stacking rules name is not deleted."""

    key = "resource_in_use"
    message = "Resource in use"


@operation("POST", "/v1/categories", fields=FIELDS)
async def create_category(call: Call) -> JsonObject:
    """Create a category."""
    category_id = call.new_id("cat")
    command = CreateCategory(category_id=category_id, definition=call.body)
    reply = await call.command("campaigns", category_id, command)
    return public.category(reply["category"])


@operation("GET", "/v1/categories")
async def list_categories(call: Call) -> JsonObject:
    """List all categories, by their hierarchy."""
    await call.fresh()
    async with call.gateway.connection() as connection:
        docs = await queries.all_categories(connection, call.project_id)
        rules = await _rules(call, connection)
    return public.listing("data", [public.category(doc, rules) for doc in docs], len(docs))


@operation("GET", "/v1/categories/{categoryId}")
async def get_category(call: Call) -> JsonObject:
    """Get a category, and how it stacks."""
    await call.fresh()
    async with call.gateway.connection() as connection:
        doc = await _category(call, connection)
        return public.category(doc, await _rules(call, connection))


@operation("PUT", "/v1/categories/{categoryId}", fields=UPDATE_FIELDS)
async def update_category(call: Call) -> JsonObject:
    """Change the name or the hierarchy of a category."""
    category_id = call.params["categoryId"]
    command = UpdateCategory(category_id=category_id, changes=call.body)
    reply = await call.command("campaigns", category_id, command)
    return public.category(reply["category"])


REMOVAL = Query(
    remove_from_stacking_rules=Parameter(FLAG, about="Also where stacking rules name it")
)


@operation("DELETE", "/v1/categories/{categoryId}", query=REMOVAL, statuses=(204,))
async def delete_category(call: Call) -> Answer:
    """Delete a category that no stacking rule names; what has it counts as without."""
    category_id = call.params["categoryId"]
    is_removed = read_parameters(call).get("remove_from_stacking_rules", False)
    await call.fresh()
    async with call.gateway.connection() as connection:
        await _category(call, connection)
        state = await queries.project(connection, call.project_id) or {}
    rules = state.get("stacking_rules") or {}
    left = without_category(rules, category_id)
    if left != rules and not is_removed:
        rules_id = state.get("stacking_rules_id")
        raise CategoryInUse(
            f"Resource category with id {category_id} is in use by stacking_rules with ids [{rules_id}]",
            resource_id=category_id,
            resource_type="category",
        )
    if left != rules:
        changed = await stacking.forget_category(call.gateway.service, call.project_id, category_id)
        call.positions.extend(changed.positions)
        call.remember("gateway", [])
    await call.command("campaigns", category_id, DeleteCategory(category_id=category_id))
    return Answer(204)


async def _category(call: Call, connection: Connection) -> JsonObject:
    category_id = call.params["categoryId"]
    found = await queries.categories(connection, call.project_id, [category_id])
    if category_id not in found:
        raise not_found("category", category_id)
    return found[category_id]


async def _rules(call: Call, connection: Connection) -> JsonObject:
    return public.stacking_rules(await queries.project(connection, call.project_id) or {})
