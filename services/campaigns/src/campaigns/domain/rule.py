"""A validation rule: read and checked when it is saved, so that the engine can compile what it gets.

Paths in refusals are those of the body: ``rules.1.name``, ``rules.logic``, ``applicable_to.included[0]``.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from campaigns import limits
from campaigns.domain.applicable import APPLICABLE_OBJECTS, read_applicable_to
from campaigns.domain.errors import broken_rule, duplicate
from campaigns.domain.support import (
    LIMIT_OPERATORS,
    METADATA_OPERATORS,
    NUMBER_OPERATORS,
    SET_OPERATORS,
)
from contracts.campaigns import ValidationRule, ValidationRuleCreated
from contracts.errors import JsonObject
from contracts.filters import WITHOUT_VALUES
from contracts.payload import is_storable, one_of, required, text

_ONE_VALUE = frozenset(
    ("$less_than", "$less_than_or_equal", "$more_than", "$more_than_or_equal", "$after", "$before")
)
_TOKEN = re.compile(r"\s*(?:(?P<number>\d{1,6})|(?P<word>and|or)\b|(?P<mark>[()]))", re.IGNORECASE)
_ALIASES = {"$greater_than": "$more_than", "$greater_than_or_equal": "$more_than_or_equal"}


def _amount(path: str, value: Any) -> int:
    is_whole = isinstance(value, float) and math.isfinite(value) and value.is_integer()
    if isinstance(value, bool) or not (isinstance(value, int) or is_whole):
        raise broken_rule(path, "must be an integer")
    if not 0 <= value <= limits.AMOUNT_MINOR_MAX:
        raise broken_rule(path, f"must be from 0 to {limits.AMOUNT_MINOR_MAX}")
    return int(value)


def _name(path: str, value: Any) -> str:
    if not isinstance(value, str) or not value or not is_storable(value):
        raise broken_rule(path, "must be a non-empty string")
    if len(value) > limits.RULE_VALUE_LENGTH_MAX:
        raise broken_rule(path, f"must have at most {limits.RULE_VALUE_LENGTH_MAX} characters")
    return value


def _scalar(path: str, value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    if isinstance(value, str) and is_storable(value):
        if len(value) <= limits.RULE_VALUE_LENGTH_MAX:
            return value
        raise broken_rule(path, f"must have at most {limits.RULE_VALUE_LENGTH_MAX} characters")
    raise broken_rule(path, "must be a string, a number, true, false or null")


def _reference(path: str, value: Any) -> str | JsonObject:
    """Read a product, SKU or segment: its id, or an object that has it."""
    if not isinstance(value, dict):
        return _name(path, value)
    kept = {name: value[name] for name in ("object", "id", "source_id") if value.get(name)}
    if "id" not in kept and "source_id" not in kept:
        raise broken_rule(f"{path}.id", "must be set")
    if kept.get("object") not in {None, *APPLICABLE_OBJECTS, "segment"}:
        raise broken_rule(f"{path}.object", f"must be one of {', '.join(APPLICABLE_OBJECTS)}")
    return {name: _name(f"{path}.{name}", kept[name]) for name in kept}


class RuleKind(NamedTuple):
    """What a rule's name allows. ``inner``: names of the rules inside it."""

    operators: tuple[str, ...]
    value: Callable[[str, Any], Any]
    needs_property: bool = False
    is_single: bool = False
    """One operator only."""
    inner: tuple[str, ...] = ()


_NUMBER = RuleKind(NUMBER_OPERATORS, _amount)
_LIMIT = RuleKind(LIMIT_OPERATORS, _amount, is_single=True)
_METADATA = RuleKind(METADATA_OPERATORS, _scalar, needs_property=True)
_PRODUCT = RuleKind(SET_OPERATORS, _reference, is_single=True)
_ITEMS = _PRODUCT._replace(
    operators=(*SET_OPERATORS, "$from"),
    inner=(
        "order.items.quantity",
        "order.items.aggregated_quantity",
        "order.items.price",
        "order.items.amount",
        "order.items.aggregated_amount",
        "order.items.metadata",
    ),
)

RULE_KINDS: Mapping[str, RuleKind] = {
    "order.amount": _NUMBER,
    "order.initial_amount": _NUMBER,
    "order.total_amount": _NUMBER,
    "order.items.count": _NUMBER,
    "order.items.price_any": _NUMBER,
    "order.items.price_each": _NUMBER,
    "order.items.metadata_any": _METADATA,
    "order.items.metadata_each": _METADATA,
    "order.metadata": _METADATA,
    "order.items.any": _ITEMS,
    "order.items.every": _ITEMS,
    "order.items.none": _ITEMS,
    "order.items.cheapest": _ITEMS,
    "order.items.most_expensive": _ITEMS,
    "product.id": _PRODUCT,
    "sku.id": _PRODUCT,
    "customer.segment": _PRODUCT,
    "customer.metadata": _METADATA,
    "redemption.metadata": _METADATA,
    "campaign.redemptions.count": _LIMIT,
    "campaign.redemptions.customers_count": _LIMIT,
    "campaign.orders.amount": _LIMIT,
    "campaign.orders.amount_discounted": _LIMIT,
    "redemption.count.per_customer": _LIMIT,
}
"""The rules that the engine evaluates, in the public API's spelling."""

INNER_KINDS: Mapping[str, RuleKind] = {
    name: _METADATA if name.endswith("metadata") else _NUMBER for name in _ITEMS.inner
}
"""The rules inside those on items."""


def decide_create_rule(
    state: ValidationRule | None, rule_id: str, project_id: str, body: JsonObject, now: datetime
) -> ValidationRuleCreated:
    """Return the rule in normal form; refuses what is malformed or cannot be evaluated."""
    if state is not None:
        raise duplicate("validation_rules", "id", rule_id)
    rule = ValidationRule(
        id=rule_id,
        name=required(text(limits.NAME_LENGTH_MAX), body, "name"),
        type=_choice(body, "type", "expression", ("expression", "basic", "advanced", "complex")),
        context_type=_context_type(body),
        rules=_rules(body.get("rules")),
        error=_error("error", body.get("error")),
        applicable_to=read_applicable_to(project_id, body.get("applicable_to")),
        created_at=now,
    )
    if body.get("bundle_rules"):
        raise broken_rule("bundle_rules", "is not supported yet")
    return ValidationRuleCreated(rule=rule)


def evolve(state: ValidationRule | None, event: ValidationRuleCreated) -> ValidationRule:
    """Return the rule."""
    assert state is None, "a rule is created once"
    return event.rule


def _choice(body: JsonObject, name: str, default: str, values: tuple[str, ...]) -> str:
    chosen: str = one_of(*values)(name, body.get(name, default))
    return chosen


def _context_type(body: JsonObject) -> str:
    reader = text(limits.ID_LENGTH_MAX, pattern=r"[a-z_.]+", meaning="a context, such as global")
    chosen: str = reader("context_type", body.get("context_type") or "global")
    return chosen


def _error(path: str, value: Any) -> JsonObject | None:
    """Read ``{"message"}``, the merchant's own text."""
    if value is None:
        return None
    message = _object(path, value).get("message")
    if message is None:
        return None
    if not isinstance(message, str) or len(message) > limits.MESSAGE_LENGTH_MAX:
        longest = limits.MESSAGE_LENGTH_MAX
        raise broken_rule(f"{path}.message", f"must be a string of at most {longest} characters")
    if not is_storable(message):
        raise broken_rule(f"{path}.message", "must not contain NUL or half of a surrogate pair")
    return {"message": message}


def _rules(value: Any) -> JsonObject:
    rules = _numbered("rules", {} if value is None else value, RULE_KINDS)
    inner = sum(len(rule["rules"]) for name, rule in rules.items() if name != "logic")
    if len(rules) + inner > limits.RULES_PER_RULE_MAX:
        raise broken_rule("rules", f"must have at most {limits.RULES_PER_RULE_MAX} rules")
    return rules


def _numbered(path: str, value: Any, kinds: Mapping[str, RuleKind]) -> JsonObject:
    """Read ``{"1": rule, "2": rule, "logic": …}``."""
    body = _object(path, value)
    numbers = [name for name in body if name != "logic"]
    if len(numbers) > limits.RULES_PER_RULE_MAX:
        raise broken_rule(path, f"must have at most {limits.RULES_PER_RULE_MAX} rules")
    for number in numbers:
        if not (number.isascii() and number.isdigit()):
            raise broken_rule(f"{path}.{number[:20]}", "must be a number, or logic")
    kept: JsonObject = {
        number: _rule(f"{path}.{number}", body[number], kinds) for number in numbers
    }
    if kept:
        kept["logic"] = _logic(f"{path}.logic", kept, body.get("logic"))
    return kept


def _object(path: str, value: Any) -> JsonObject:
    if not isinstance(value, dict):
        raise broken_rule(path, "must be an object")
    return value


def _rule(path: str, value: Any, kinds: Mapping[str, RuleKind]) -> JsonObject:
    body = _object(path, value)
    name = body.get("name")
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        raise broken_rule(f"{path}.name", f"must be one of {', '.join(kinds)}")
    rule: JsonObject = {"name": name, "property": _property(path, body, kind)}
    rule["conditions"] = _conditions(f"{path}.conditions", body.get("conditions"), kind)
    rule["rules"] = _inner_rules(f"{path}.rules", body, kind)
    error = _error(f"{path}.error", body.get("error"))
    return {**rule, "error": error} if error else rule


def _inner_rules(path: str, body: JsonObject, kind: RuleKind) -> JsonObject:
    if not body.get("rules"):
        return {}
    if not kind.inner:
        raise broken_rule(path, f"must be empty in a rule on {body['name']}")
    return _numbered(path, body["rules"], {name: INNER_KINDS[name] for name in kind.inner})


def _property(path: str, body: JsonObject, kind: RuleKind) -> str | None:
    if kind.needs_property:
        if body.get("property") is None:
            raise broken_rule(path, f"Rule '{body['name']}' must have a 'property'")
        return _name(f"{path}.property", body["property"])
    if body.get("property") is not None:
        raise broken_rule(f"{path}.property", f"must be null in a rule on {body['name']}")
    return None


def _conditions(path: str, value: Any, kind: RuleKind) -> JsonObject:
    body = _object(path, value)
    if not body or (kind.is_single and len(body) > 1):
        raise broken_rule(path, f"must have one of {', '.join(kind.operators)}")
    conditions = {}
    for sent, values in body.items():
        operator = _ALIASES.get(sent, sent)
        if operator not in kind.operators:
            known = ", ".join(kind.operators)
            raise broken_rule(f"{path}.{sent[:40]}", f"must be one of {known}")
        conditions[operator] = _values(f"{path}.{sent}", operator, values, kind)
    return conditions


def _values(path: str, operator: str, value: Any, kind: RuleKind) -> list[Any]:
    listed = value if isinstance(value, list) else [value]
    if operator in WITHOUT_VALUES:
        return []
    if not 1 <= len(listed) <= limits.RULE_VALUES_MAX:
        raise broken_rule(path, f"must have 1 to {limits.RULE_VALUES_MAX} values")
    if len(listed) > 1 and operator in _ONE_VALUE:
        raise broken_rule(path, "must have one value")
    return [kind.value(f"{path}[{index}]", element) for index, element in enumerate(listed)]


# -- logic --------------------------------------------------------------------------------------


def _logic(path: str, rules: JsonObject, value: Any) -> str:
    """Return the expression over the rules' numbers; all of them joined by "and" if none was sent."""
    logic = " and ".join(rules) if value is None or value == "" else value
    if not isinstance(logic, str) or len(logic) > limits.LOGIC_LENGTH_MAX:
        length = limits.LOGIC_LENGTH_MAX
        raise broken_rule(path, f"must be a string of at most {length} characters")
    used = _numbers_in(path, _tokens(path, logic))
    for number in used:
        if number not in rules:
            raise broken_rule(path, f"must name rules that are there; {number} is not")
    for number in rules:
        if number not in used:
            raise broken_rule(path, f"must name every rule; {number} is missing")
    return logic


def _numbers_in(path: str, tokens: list[str]) -> list[str]:
    """Return the rules that the expression names; refuses what is none."""
    numbers = []
    depth = 0
    is_operand_next = True
    for part in tokens:
        if is_operand_next != (part == "(" or part.isdigit()):
            raise broken_rule(path, "must have rule numbers and operators in turn")
        if part.isdigit():
            numbers.append(part)
            is_operand_next = False
        elif part in {"and", "or"}:
            is_operand_next = True
        else:
            depth += 1 if part == "(" else -1
        if not 0 <= depth <= limits.LOGIC_DEPTH_MAX:
            deepest = limits.LOGIC_DEPTH_MAX
            raise broken_rule(path, f"must have balanced parentheses, at most {deepest} inside")
    if is_operand_next or depth:
        raise broken_rule(path, "must be complete")
    return numbers


def _tokens(path: str, logic: str) -> list[str]:
    tokens = []
    at = 0
    end = len(logic.rstrip())
    while at < end:
        match = _TOKEN.match(logic, at)
        if match is None:
            raise broken_rule(path, f"must not have {logic[at : at + 20]!r}")
        tokens.append(match.group().strip().lower())
        at = match.end()
    return tokens
