"""``bundle_rules``: parts that must be in the order together, and how many bundles count."""

from typing import Any

from campaigns import limits
from campaigns.domain.errors import broken_rule
from contracts.errors import JsonObject
from contracts.payload import is_storable

OBJECTS = ("product", "sku", "products_collection")
AT_LEAST = ("$is", "$more_than_or_equal", "$more_than")


def read_bundle_rules(value: Any) -> JsonObject | None:
    """Return the bundle's parts in normal form; None when there are none."""
    if not value:
        return None
    body = _object("bundle_rules", value)
    numbers = [name for name in body if name not in {"logic", "limit"}]
    if not 1 <= len(numbers) <= limits.BUNDLE_PARTS_MAX:
        raise broken_rule("bundle_rules", f"must have 1 to {limits.BUNDLE_PARTS_MAX} parts")
    kept: JsonObject = {}
    for number in numbers:
        if not (number.isascii() and number.isdigit()):
            raise broken_rule(f"bundle_rules.{number[:20]}", "must be a number, logic or limit")
        kept[number] = _part(f"bundle_rules.{number}", body[number])
    kept["logic"] = _logic(numbers, body.get("logic"))
    limit = body.get("limit")
    kept["limit"] = 1 if limit is None else _whole("bundle_rules.limit", limit, limits.BUNDLES_MAX)
    return kept


def _part(path: str, value: Any) -> JsonObject:
    body = _object(path, value)
    if body.get("name") != "order.items.any":
        raise broken_rule(f"{path}.name", "must be order.items.any")
    conditions = _object(f"{path}.conditions", body.get("conditions"))
    listed = conditions.get("$is")
    place = f"{path}.conditions.$is"
    if list(conditions) != ["$is"] or not isinstance(listed, list) or len(listed) != 1:
        raise broken_rule(place, "must name one product, SKU or collection")
    part: JsonObject = {
        "name": "order.items.any",
        "conditions": {"$is": [_reference(f"{place}[0]", listed[0])]},
        "rules": _quantity(f"{path}.rules", body.get("rules")),
    }
    return part


def _reference(path: str, value: Any) -> JsonObject:
    body = _object(path, value)
    kind = body.get("object")
    if kind not in OBJECTS:
        raise broken_rule(f"{path}.object", f"must be one of {', '.join(OBJECTS)}")
    name = "id" if body.get("id") else "source_id"
    named = body.get(name)
    if not isinstance(named, str) or not named or not is_storable(named):
        raise broken_rule(f"{path}.id", "must be a non-empty string")
    if len(named) > limits.RULE_VALUE_LENGTH_MAX:
        raise broken_rule(
            f"{path}.{name}", f"must have at most {limits.RULE_VALUE_LENGTH_MAX} characters"
        )
    kept: JsonObject = {name: named, "object": kind}
    is_collection = kind == "products_collection"
    return {**kept, "type": "products_collection" if is_collection else "product_or_sku"}


def _quantity(path: str, value: Any) -> JsonObject:
    """Read the one rule inside a part: how many units."""
    if not value:
        return {}
    body = _object(path, value)
    numbers = [name for name in body if name != "logic"]
    if len(numbers) != 1:
        raise broken_rule(path, "must have one rule on order.items.aggregated_quantity")
    place = f"{path}.{numbers[0][:20]}"
    inner = _object(place, body[numbers[0]])
    if inner.get("name") != "order.items.aggregated_quantity":
        raise broken_rule(f"{place}.name", "must be order.items.aggregated_quantity")
    conditions = _object(f"{place}.conditions", inner.get("conditions"))
    operator = next(iter(conditions), None)
    if len(conditions) != 1 or operator not in AT_LEAST:
        raise broken_rule(f"{place}.conditions", f"must have one of {', '.join(AT_LEAST)}")
    value = conditions[operator]
    listed = value if isinstance(value, list) else [value]
    if len(listed) != 1:
        raise broken_rule(f"{place}.conditions.{operator}", "must have one value")
    units = _whole(f"{place}.conditions.{operator}[0]", listed[0], limits.QUANTITY_MAX)
    rule = {"name": inner["name"], "conditions": {operator: [units]}, "rules": {}}
    return {numbers[0]: rule, "logic": numbers[0]}


def _logic(numbers: list[str], value: Any) -> str:
    """Read the parts joined by "and": a bundle has all of them."""
    logic = " and ".join(numbers) if value is None or value == "" else value
    if not isinstance(logic, str) or len(logic) > limits.LOGIC_LENGTH_MAX:
        raise broken_rule("bundle_rules.logic", "must join the numbers of all parts by and")
    words = logic.replace("(", " ").replace(")", " ").lower().split()
    if set(words[1::2]) - {"and"} or set(words[::2]) != set(numbers) or len(words) % 2 == 0:
        raise broken_rule("bundle_rules.logic", "must join the numbers of all parts by and")
    return logic


def _whole(path: str, value: Any, most: int) -> int:
    is_whole = isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0
    if not is_whole or not 1 <= value <= most:
        raise broken_rule(path, f"must be a whole number from 1 to {most}")
    return int(value)


def _object(path: str, value: Any) -> JsonObject:
    if not isinstance(value, dict):
        raise broken_rule(path, "must be an object")
    return value
