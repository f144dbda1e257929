"""``/v1/async-actions``."""

from contracts.errors import JsonObject
from gateway import queries, views
from gateway.http import Call, not_found, operation
from gateway.paging import read_page
from gateway.query import Column, Listing, since

ACTIONS = Listing(filters={"status": Column("t.status")}, parameters=since("t.created_at"))


@operation("GET", "/v1/async-actions", query=ACTIONS)
async def list_async_actions(call: Call) -> JsonObject:
    """List asynchronous actions, the newest first."""
    page = await read_page(call)
    await call.fresh("*")
    async with call.gateway.connection() as connection:
        rows, total = await queries.page(connection, "async_actions", *page.arguments)
    return {
        "object": "list",
        "data_ref": "async_actions",
        "async_actions": [views.async_action(row, with_result=False) for row in rows],
        "has_more": page.offset + len(rows) < total,
    }


@operation("GET", "/v1/async-actions/{asyncActionId}")
async def get_async_action(call: Call) -> JsonObject:
    """Get an asynchronous action, with its progress."""
    name = call.params["asyncActionId"]
    await call.fresh(f"action/{name}")
    async with call.gateway.connection() as connection:
        row = await queries.async_action(connection, call.project_id, name)
    if row is None:
        raise not_found("async_action", name)
    return views.async_action(row, with_result=True)
