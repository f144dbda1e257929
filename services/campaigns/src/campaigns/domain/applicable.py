"""``applicable_to`` of a validation rule: what a discount applies to, and within which bounds.

An entry names a product, a SKU or a collection. It may carry a price, caps, counters across redemptions and
an application rule; what is malformed is refused by its path, ``applicable_to.included[0].price``.
"""

from collections.abc import Callable, Mapping
from typing import Any

from campaigns import limits
from campaigns.domain.errors import InvalidValidationRules, broken_rule
from contracts import formulas, ids
from contracts.errors import InvalidPayload, JsonObject
from contracts.payload import boolean, is_storable, one_of, whole_number

APPLICABLE_OBJECTS = ("product", "sku", "products_collection")
EFFECTS = (
    "APPLY_TO_EVERY",
    "APPLY_TO_CHEAPEST",
    "APPLY_FROM_CHEAPEST",
    "APPLY_TO_MOST_EXPENSIVE",
    "APPLY_FROM_MOST_EXPENSIVE",
)

Reader = Callable[[str, Any], Any]


def read_applicable_to(project_id: str, value: Any) -> JsonObject | None:
    """Return ``applicable_to`` in normal form; None when none was sent."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise broken_rule("applicable_to", "must be an object")
    included_all = value.get("included_all") or False
    if not isinstance(included_all, bool):
        raise broken_rule("applicable_to.included_all", "must be true or false")
    return {
        "included_all": included_all,
        "included": _entries(project_id, "applicable_to.included", value.get("included")),
        "excluded": _entries(project_id, "applicable_to.excluded", value.get("excluded")),
    }


def _entries(project_id: str, path: str, value: Any) -> list[JsonObject]:
    listed = [] if value is None else value
    if isinstance(listed, dict):
        # The public API's answers have lists as objects; clients send back what they got.
        listed = listed.get("data")
    if not isinstance(listed, list):
        raise broken_rule(path, "must be a list")
    if len(listed) > limits.APPLICABLE_MAX:
        raise broken_rule(path, f"must have at most {limits.APPLICABLE_MAX} elements")
    return [_entry(project_id, f"{path}[{index}]", one) for index, one in enumerate(listed)]


def _entry(project_id: str, path: str, value: Any) -> JsonObject:
    if not isinstance(value, dict):
        raise broken_rule(path, "must be an object")
    return {**_named(project_id, path, value), **_fields(path, value)}


def _named(project_id: str, path: str, body: JsonObject) -> JsonObject:
    """Read what the entry names; a ``source_id`` alone names what its id follows from."""
    kind = body.get("object")
    if kind not in APPLICABLE_OBJECTS:
        raise broken_rule(f"{path}.object", f"must be one of {', '.join(APPLICABLE_OBJECTS)}")
    own_id, source_id = body.get("id"), body.get("source_id")
    entry: JsonObject = {"object": kind}
    if own_id is not None:
        entry["id"] = _text(f"{path}.id", own_id)
    elif source_id is None or kind == "products_collection":
        raise broken_rule(f"{path}.id", "must be set")
    else:
        derive = ids.product_id if kind == "product" else ids.sku_id
        entry["id"] = derive(project_id, _text(f"{path}.source_id", source_id))
    for name in ("source_id", "product_id", "product_source_id"):
        if body.get(name) is not None:
            entry[name] = _text(f"{path}.{name}", body[name])
    return entry


def _fields(path: str, body: JsonObject) -> JsonObject:
    """Read how the entry is priced; fields that the public API does not have are ignored."""
    kept: JsonObject = {"effect": EFFECTS[0]}
    for name, reader in APPLICABLE_READERS.items():
        if body.get(name) is not None:
            kept[name] = reader(f"{path}.{name}", body[name])
    for name in _BOUNDS:
        if f"{name}_formula" in kept and name not in kept:
            raise broken_rule(f"{path}.{name}", "must be set: it counts when the formula cannot be")
    return kept


def _text(path: str, value: Any) -> str:
    if not isinstance(value, str) or not value or not is_storable(value):
        raise broken_rule(path, "must be a non-empty string")
    if len(value) > limits.RULE_VALUE_LENGTH_MAX:
        raise broken_rule(path, f"must have at most {limits.RULE_VALUE_LENGTH_MAX} characters")
    return value


def as_rule(reader: Reader) -> Reader:
    """Read with one of the readers of bodies; refusals are those of validation rules."""

    def read(path: str, value: Any) -> Any:
        try:
            return reader(path, value)
        except InvalidPayload as refused:
            raise InvalidValidationRules(refused.details, prop=path) from None

    return read


def _formula(path: str, value: Any) -> str:
    """Read a formula; a number stands for itself, as the public API's schema has it for prices."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return str(_formula_text(path, value))


_formula_text = as_rule(formulas.reader)
_amount = as_rule(whole_number(0, limits.AMOUNT_MINOR_MAX))
_quantity = as_rule(whole_number(0, limits.QUANTITY_MAX))

COUNTERS = tuple(
    f"product_{collection}{customer}{scope}_quantity_limit"
    for scope in ("campaign", "promotion_tier")
    for customer in ("", "customer_")
    for collection in ("", "in_collection_")
)
"""Quantity limits across redemptions."""

_BOUNDS: Mapping[str, Reader] = {
    "price": _amount,
    "quantity_limit": _quantity,
    "aggregated_quantity_limit": _quantity,
    "amount_limit": _amount,
    "aggregated_amount_limit": _amount,
    **dict.fromkeys(COUNTERS, _quantity),
}

APPLICABLE_READERS: Mapping[str, Reader] = {
    "effect": as_rule(one_of(*EFFECTS)),
    "target": as_rule(one_of("ITEM", "UNIT")),
    "skip_initially": _quantity,
    "repeat": as_rule(whole_number(1, limits.QUANTITY_MAX)),
    "strict": as_rule(boolean),
    **_BOUNDS,
    **{f"{name}_formula": _formula for name in _BOUNDS},
}
"""How an entry's fields are read, besides those that name something."""
