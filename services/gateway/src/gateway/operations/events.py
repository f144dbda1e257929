"""``POST /v1/events``, and the same from a browser or an app."""

from contracts import ids, public
from contracts.customers import RecordCustomEvent
from contracts.errors import JsonObject
from gateway.body import NAME, OBJECT, required
from gateway.http import CLIENT, Call, operation

FIELDS = {
    "event": required(NAME),
    "customer": required(OBJECT),
    "metadata": OBJECT,
    "referral": OBJECT,
    "loyalty": OBJECT,
}


@operation("POST", "/v1/events", fields=FIELDS)
async def track_custom_event(call: Call) -> JsonObject:
    """Record that a customer did something."""
    return await _record(call)


@operation("POST", "/client/v1/events", fields=FIELDS, auth=CLIENT)
async def track_custom_event_client_side(call: Call) -> JsonObject:
    """Record that a customer did something, from a browser or an app."""
    return await _record(call)


async def _record(call: Call) -> JsonObject:
    name, customer = call.body["event"], call.body["customer"]
    command = RecordCustomEvent(
        event_id=call.new_id("evt"),
        event=name,
        customer=customer,
        metadata=call.body.get("metadata") or {},
        referral=call.body.get("referral"),
        loyalty=call.body.get("loyalty"),
    )
    source_id = customer.get("source_id")
    derived = ids.customer_id(call.project_id, source_id) if isinstance(source_id, str) else ""
    key = customer.get("id") or derived or command.event_id
    reply = await call.command("customers", str(key), command, remember=[f"customer/{key}"])
    told = reply.get("customer") or reply["event"]["customer"]
    return {
        "object": "event",
        "type": name,
        "customer": public.customer_reference(told),
        "referral": call.body.get("referral"),
        "loyalty": call.body.get("loyalty"),
        "metadata": call.body.get("metadata") or {},
    }
