"""``POST /v1/validations``."""

from typing import Any

from contracts import ids
from contracts.engine import StackRequest, ValidateStack
from contracts.errors import InvalidPayload, JsonObject
from gateway import limits
from gateway.http import CLIENT, Call, operation
from runtime import clock

FIELDS = ("redeemables", "customer", "order", "metadata", "session", "tracking_id", "options")


@operation("POST", "/v1/validations", fields=FIELDS)
async def validate_stack(call: Call) -> JsonObject:
    """Check a stack of redeemables and price it, without changing anything."""
    return await _validate(call)


@operation("POST", "/client/v1/validations", fields=FIELDS, auth=CLIENT)
async def validate_stack_client_side(call: Call) -> JsonObject:
    """Check and price a stack, from a browser or an app."""
    return await _validate(call)


async def _validate(call: Call) -> JsonObject:
    stack = read_stack(call.body)
    command = ValidateStack(
        validation_id=call.new_id("valid"), stack=stack, now=clock.now(), api_key_id=call.key.key_id
    )
    reply = await call.request(first_code(stack), command, scopes=scopes_of(call.project_id, stack))
    return reply.body or {}


def read_stack(body: JsonObject) -> StackRequest:
    """Return the stack; raises ``InvalidPayload`` that names the property."""
    redeemables = body.get("redeemables")
    if not isinstance(redeemables, list) or not redeemables:
        raise InvalidPayload(
            "redeemables: must be a list of at least one redeemable", prop="redeemables"
        )
    if len(redeemables) > limits.REDEEMABLES_MAX:
        told = f"redeemables: at most {limits.REDEEMABLES_MAX}"
        raise InvalidPayload(told, prop="redeemables")
    for index, one in enumerate(redeemables):
        _check_redeemable(f"redeemables.{index}", one)
    for name in ("customer", "order", "metadata", "session", "options"):
        if not isinstance(body.get(name) or {}, dict):
            raise InvalidPayload(f"{name}: must be an object", prop=name)
    for parent in ("customer", "order"):
        for name in ("id", "source_id"):
            _text(f"{parent}.{name}", (body.get(parent) or {}).get(name))
    _text("tracking_id", body.get("tracking_id"))
    _text("session.key", (body.get("session") or {}).get("key"))
    given = {name: value for name, value in body.items() if value is not None}
    return StackRequest(**given)


def _check_redeemable(path: str, redeemable: Any) -> None:
    if not isinstance(redeemable, dict):
        raise InvalidPayload(f"{path}: must be an object", prop=path)
    for name in ("object", "id"):
        value = redeemable.get(name)
        if not isinstance(value, str) or not value:
            raise InvalidPayload(f"{path}.{name}: must be text", prop=f"{path}.{name}")


def _text(path: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        raise InvalidPayload(f"{path}: must be text", prop=path)


def first_code(stack: StackRequest) -> str:
    """Return what the request is keyed by on its way to the engine."""
    return str(stack.redeemables[0]["id"])


def scopes_of(project_id: str, stack: StackRequest) -> list[str]:
    """Return what the stack reads and a redemption writes: its codes, customer and order."""
    codes = (str(one["id"]) for one in stack.redeemables)
    scopes = [f"voucher/{ids.voucher_id(project_id, code)}" for code in codes]
    for kind, named, derive in (
        ("customer", stack.customer or {}, ids.customer_id),
        ("order", stack.order or {}, ids.order_id),
    ):
        found = named.get("id") or (
            derive(project_id, named["source_id"]) if named.get("source_id") else None
        )
        if found:
            scopes.append(f"{kind}/{found}")
    return scopes
