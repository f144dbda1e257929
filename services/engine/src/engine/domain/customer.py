"""The customer of a request: who it is, what the request says of them, and what is stored."""

from typing import NamedTuple

from contracts import ids, payload
from contracts.errors import InvalidPayload, JsonObject
from engine import limits

_name = payload.text(limits.ID_LENGTH_MAX)
_FIELDS: payload.Fields = {
    "source_id": payload.optional(_name),
    "name": payload.optional(payload.text(1_000)),
    "email": payload.optional(payload.text(1_000)),
    "phone": payload.optional(payload.text(1_000)),
    "description": payload.optional(payload.text(10_000)),
    "birthdate": payload.optional(payload.calendar_date),
    "birthday": payload.optional(payload.calendar_date),
    "address": payload.optional(payload.json_object),
    "metadata": payload.metadata,
}


class Named(NamedTuple):
    """Whom a request names."""

    id: str | None
    source_id: str | None


def named(project_id: str, sent: JsonObject | None) -> Named | None:
    """Return whom the request names, None if nobody. ``id`` wins over ``source_id``."""
    if not sent:
        return None
    for name in ("id", "source_id"):
        if sent.get(name) is not None:
            _name(f"customer.{name}", sent[name])
    customer_id, source_id = sent.get("id"), sent.get("source_id")
    if customer_id and customer_id.startswith("cust_"):
        return Named(customer_id, source_id)
    source_id = customer_id or source_id
    if source_id:
        return Named(ids.customer_id(project_id, source_id), source_id)
    return Named(None, None)


class KnownCustomer(NamedTuple):
    """The customer with what the request said laid over what is stored."""

    id: str
    shown: JsonObject
    changes: JsonObject | None
    """What is new and must be stored; None when nothing is."""


def overlay(
    who: Named, sent: JsonObject, stored: JsonObject | None, drawn_id: str
) -> KnownCustomer:
    """Put both together; ``drawn_id`` is used for a customer without a name of its own."""
    changes = payload.read(sent, _FIELDS, "customer")
    before = stored or {}
    if who.source_id is not None and before.get("source_id") is None:
        changes["source_id"] = who.source_id
    elif before.get("source_id") is not None:
        changes.pop("source_id", None)
    if "metadata" in changes:
        metadata = before.get("metadata") or {}
        changes["metadata"] = {
            key: value for key, value in changes["metadata"].items() if metadata.get(key) != value
        }
        if not changes["metadata"]:
            del changes["metadata"]
    changes = {name: value for name, value in changes.items() if before.get(name) != value}
    shown: JsonObject = {**before, **changes, "id": who.id or drawn_id, "object": "customer"}
    metadata = {**(before.get("metadata") or {}), **changes.get("metadata", {})}
    shown["metadata"] = {key: value for key, value in metadata.items() if value is not None}
    is_new = stored is None
    return KnownCustomer(shown["id"], shown, changes if changes or is_new else None)


def tracking_id(project_id: str, customer: JsonObject | None) -> str | None:
    """Return the opaque id that stands for the customer's ``source_id``."""
    source_id = (customer or {}).get("source_id")
    return ids.tracking_id(project_id, source_id) if source_id else None


def refuse_source_id_change(stored: JsonObject | None, who: Named) -> None:
    """Raise when the request names a stored customer by id with another ``source_id``."""
    known = (stored or {}).get("source_id")
    if known is not None and who.source_id is not None and known != who.source_id:
        raise InvalidPayload("customer.source_id: must not change", prop="customer.source_id")
