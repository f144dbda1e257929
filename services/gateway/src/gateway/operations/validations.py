"""``POST /v1/validations``."""

from typing import Any

from contracts import ids
from contracts.engine import StackRequest, ValidateStack
from contracts.errors import JsonObject
from contracts.payload import refuse
from contracts.sessions import read_session
from gateway import limits
from gateway.body import NAME, OBJECT, TEXT, Kind, list_of, required
from gateway.http import CLIENT, Call, operation
from runtime import clock


def _redeemable(path: str, value: Any) -> JsonObject:
    redeemable = OBJECT.read(path, value)
    for name in ("object", "id"):
        if redeemable.get(name) is None:
            raise refuse(f"{path}.{name}", "is required")
        NAME.read(f"{path}.{name}", redeemable[name])
    return redeemable  # type: ignore[no-any-return]


REDEEMABLE = Kind(
    {
        "type": "object",
        "required": ["object", "id"],
        "properties": {
            "object": {"type": "string"},
            "id": {"type": "string"},
            "gift": {"type": "object"},
            "reward": {"type": "object"},
        },
    },
    _redeemable,
)
FIELDS = {
    "redeemables": required(list_of(REDEEMABLE, limits.REDEEMABLES_MAX)),
    "customer": OBJECT,
    "order": OBJECT,
    "metadata": OBJECT,
    "session": OBJECT,
    "tracking_id": TEXT,
    "options": OBJECT,
}


@operation("POST", "/v1/validations", fields=FIELDS, is_answer_kept=False)
async def validate_stack(call: Call) -> JsonObject:
    """Check a stack of redeemables and price it, without changing anything."""
    return await validate(call, read_stack(call.body))


@operation("POST", "/client/v1/validations", fields=FIELDS, auth=CLIENT, is_answer_kept=False)
async def validate_stack_client_side(call: Call) -> JsonObject:
    """Check and price a stack, from a browser or an app."""
    refuse_explanation(call.body)
    return await validate(call, read_stack(call.body))


async def validate(call: Call, stack: StackRequest) -> JsonObject:
    """Ask the engine."""
    stack = _with_session_key(call, stack)
    command = ValidateStack(
        validation_id=call.new_id("valid"), stack=stack, now=clock.now(), api_key_id=call.key.key_id
    )
    reply = await call.request(first_code(stack), command, scopes=scopes_of(call.project_id, stack))
    return reply.body or {}


def _with_session_key(call: Call, stack: StackRequest) -> StackRequest:
    """Return the stack with the key of its session, a new one where none was sent."""
    if stack.session is None:
        return stack
    session = read_session(stack.session)
    named = session._replace(key=session.key or call.new_id("ssn"))
    return stack.model_copy(update={"session": named.to_json()})


def refuse_explanation(body: JsonObject) -> None:
    """Refuse to explain to a browser: the merchant's rules are nobody else's business."""
    if (body.get("options") or {}).get("explain"):
        raise refuse("options.explain", "is not answered client-side")


def read_stack(body: JsonObject) -> StackRequest:
    """Return the stack; raises ``InvalidPayload`` that names the property."""
    if not body["redeemables"]:
        raise refuse("redeemables", "must have at least one redeemable")
    for parent in ("customer", "order"):
        for name in ("id", "source_id"):
            value = (body.get(parent) or {}).get(name)
            if value is not None:
                TEXT.read(f"{parent}.{name}", value)
    if body.get("session") is not None:
        read_session(body["session"])
    given = {name: value for name, value in body.items() if value is not None}
    return StackRequest(**given)


def first_code(stack: StackRequest) -> str:
    """Return what the request is keyed by on its way to the engine."""
    return str(stack.redeemables[0]["id"])


def scopes_of(project_id: str, stack: StackRequest) -> list[str]:
    """Return what the stack reads and a redemption writes: its codes, customer and order."""
    scopes = [_scope_of(project_id, one) for one in stack.redeemables]
    for kind, named, derive in (
        ("customer", stack.customer or {}, ids.customer_id),
        ("order", stack.order or {}, ids.order_id),
    ):
        found = named.get("id") or (
            derive(project_id, named["source_id"]) if named.get("source_id") else None
        )
        if found:
            scopes.append(f"{kind}/{found}")
    if stack.session is not None and stack.session.get("key"):
        scopes.append(f"session/{stack.session['key']}")
    return scopes


def _scope_of(project_id: str, redeemable: JsonObject) -> str:
    name = str(redeemable["id"])
    if redeemable["object"] != "voucher":
        return f"{redeemable['object']}/{name}"
    return f"voucher/{name if name.startswith('v_') else ids.voucher_id(project_id, name)}"
