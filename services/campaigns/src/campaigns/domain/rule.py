"""A validation rule: read and checked when it is saved, so that the engine can compile what it gets.

Paths in refusals are those of the body: ``rules.1.name``, ``rules.logic``, ``applicable_to.included[0]``.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from campaigns import limits
from campaigns.domain.errors import broken_rule, duplicate
from campaigns.domain.support import (
    APPLICABLE_EFFECTS,
    APPLICABLE_FIELDS,
    APPLICABLE_OBJECTS,
    LIMIT_OPERATORS,
    METADATA_OPERATORS,
    NUMBER_OPERATORS,
    SET_OPERATORS,
)
from contracts import ids
from contracts.campaigns import ValidationRule, ValidationRuleCreated
from contracts.errors import JsonObject
from contracts.payload import is_storable, json_object, one_of, required, text

_NUMBER_OPERATORS_OF_ONE = frozenset(
    ("$less_than", "$less_than_or_equal", "$more_than", "$more_than_or_equal", "$after", "$before")
)
_TOKEN = re.compile(r"\s*(?:(?P<number>\d+)|(?P<word>and|or)\b|(?P<mark>[()]))", re.IGNORECASE)


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


class RuleKind(NamedTuple):
    """What a rule's name allows. ``is_limit``: the ledger counts, so it must hold by itself."""

    operators: tuple[str, ...]
    value: Callable[[str, Any], Any]
    needs_property: bool = False
    is_limit: bool = False


_AMOUNT_RULE = RuleKind(NUMBER_OPERATORS, _amount)
_LIMIT_RULE = RuleKind(LIMIT_OPERATORS, _amount, is_limit=True)
_METADATA_RULE = RuleKind(METADATA_OPERATORS, _scalar, needs_property=True)

RULE_KINDS: Mapping[str, RuleKind] = {
    "order.amount": _AMOUNT_RULE,
    "order.initial_amount": _AMOUNT_RULE,
    "order.metadata": _METADATA_RULE,
    "customer.segment": RuleKind(SET_OPERATORS, _name),
    "customer.metadata": _METADATA_RULE,
    "product.id": RuleKind(SET_OPERATORS, _name),
    "sku.id": RuleKind(SET_OPERATORS, _name),
    "campaign.redemptions.count": _LIMIT_RULE,
    "campaign.redemptions.customers_count": _LIMIT_RULE,
    "campaign.orders.amount": _LIMIT_RULE,
    "campaign.orders.amount_discounted": _LIMIT_RULE,
    "redemption.count.per_customer": _LIMIT_RULE,
}
"""The rules that the engine evaluates, in the public API's spelling."""


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
        applicable_to=_applicable_to(project_id, body.get("applicable_to")),
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
    message = json_object(path, value).get("message")
    if message is None:
        return None
    return {"message": text(limits.MESSAGE_LENGTH_MAX)(f"{path}.message", message)}


def _rules(value: Any) -> JsonObject:
    body = _object("rules", {} if value is None else value)
    numbers = [name for name in body if name != "logic"]
    if len(numbers) > limits.RULES_PER_RULE_MAX:
        raise broken_rule("rules", f"must have at most {limits.RULES_PER_RULE_MAX} rules")
    for number in numbers:
        if not (number.isascii() and number.isdigit()):
            raise broken_rule(f"rules.{number[:20]}", "must be a number, or logic")
    kept: JsonObject = {number: _rule(f"rules.{number}", body[number]) for number in numbers}
    if kept:
        kept["logic"] = _logic(kept, body.get("logic"))
    return kept


def _object(path: str, value: Any) -> JsonObject:
    if not isinstance(value, dict):
        raise broken_rule(path, "must be an object")
    return value


def _rule(path: str, value: Any) -> JsonObject:
    body = _object(path, value)
    name = body.get("name")
    kind = RULE_KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        known = ", ".join(RULE_KINDS)
        raise broken_rule(f"{path}.name", f"must be one of {known}")
    if body.get("rules"):
        raise broken_rule(f"{path}.rules", f"must be empty in a rule on {name}")
    rule: JsonObject = {"name": name, "property": _property(path, body, kind)}
    rule["conditions"] = _conditions(f"{path}.conditions", body.get("conditions"), kind)
    rule["rules"] = {}
    error = _error(f"{path}.error", body.get("error"))
    return {**rule, "error": error} if error else rule


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
    if not body:
        raise broken_rule(path, f"must have one of {', '.join(kind.operators)}")
    conditions = {}
    for operator, values in body.items():
        if operator not in kind.operators:
            raise broken_rule(
                f"{path}.{operator[:40]}", f"must be one of {', '.join(kind.operators)}"
            )
        conditions[operator] = _values(f"{path}.{operator}", operator, values, kind)
    return conditions


def _values(path: str, operator: str, value: Any, kind: RuleKind) -> list[Any]:
    listed = value if isinstance(value, list) else [value]
    if not 1 <= len(listed) <= limits.RULE_VALUES_MAX:
        raise broken_rule(path, f"must have 1 to {limits.RULE_VALUES_MAX} values")
    if len(listed) > 1 and operator in _NUMBER_OPERATORS_OF_ONE:
        raise broken_rule(path, "must have one value")
    return [kind.value(f"{path}[{index}]", element) for index, element in enumerate(listed)]


# -- logic --------------------------------------------------------------------------------------


def _logic(rules: JsonObject, value: Any) -> str:
    """Return the expression over the rules' numbers; all of them joined by "and" if none was sent."""
    logic = " and ".join(rules) if value in {None, ""} else value
    if not isinstance(logic, str) or len(logic) > limits.LOGIC_LENGTH_MAX:
        raise broken_rule(
            "rules.logic", f"must be a string of at most {limits.LOGIC_LENGTH_MAX} characters"
        )
    used = _Logic(logic).numbers()
    for number in used:
        if number not in rules:
            raise broken_rule("rules.logic", f"must name rules that are there; {number} is not")
    for number, rule in rules.items():
        if number not in used:
            raise broken_rule("rules.logic", f"must name every rule; {number} is missing")
        if RULE_KINDS[rule["name"]].is_limit and used[number]:
            reason = f"must join the limit {number} by 'and' only: it is counted in any case"
            raise broken_rule("rules.logic", reason)
    return logic


class _Logic:
    """Reads ``1 and (2 or 3)``; "and" binds stronger than "or"."""

    def __init__(self, logic: str) -> None:
        self._tokens = _tokens(logic)
        self._at = 0

    def numbers(self) -> dict[str, bool]:
        """Return the rules that are named, each with whether it stands under an "or"."""
        found = self._alternatives(0)
        if self._at != len(self._tokens):
            raise self._broken()
        return found

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _alternatives(self, depth: int) -> dict[str, bool]:
        found = self._conjunction(depth)
        if self._peek() != "or":
            return found
        while self._peek() == "or":
            self._take()
            found = found | self._conjunction(depth)
        return dict.fromkeys(found, True)

    def _conjunction(self, depth: int) -> dict[str, bool]:
        found = self._operand(depth)
        while self._peek() == "and":
            self._take()
            more = self._operand(depth)
            found = {**found, **more, **{n: True for n in found if found[n]}}
        return found

    def _operand(self, depth: int) -> dict[str, bool]:
        token = self._take()
        if token.isdigit():
            return {token: False}
        if token != "(":  # noqa: S105 - a parenthesis is no password
            raise self._broken()
        if depth >= limits.LOGIC_DEPTH_MAX:
            raise broken_rule(
                "rules.logic", f"must have at most {limits.LOGIC_DEPTH_MAX} parentheses inside"
            )
        found = self._alternatives(depth + 1)
        if self._take() != ")":
            raise self._broken()
        return found

    def _broken(self) -> Exception:
        return broken_rule("rules.logic", "must join numbers by 'and', 'or' and parentheses")


def _tokens(logic: str) -> list[str]:
    tokens = []
    at = 0
    end = len(logic.rstrip())
    while at < end:
        match = _TOKEN.match(logic, at)
        if match is None:
            raise broken_rule("rules.logic", f"must not have {logic[at : at + 20]!r}")
        tokens.append(match.group().strip().lower())
        at = match.end()
    return tokens


# -- what a discount applies to -----------------------------------------------------------------


def _applicable_to(project_id: str, value: Any) -> JsonObject | None:
    if value is None:
        return None
    body = _object("applicable_to", value)
    included_all = body.get("included_all") or False
    if not isinstance(included_all, bool):
        raise broken_rule("applicable_to.included_all", "must be true or false")
    return {
        "included_all": included_all,
        "included": _entries(project_id, "applicable_to.included", body.get("included")),
        "excluded": _entries(project_id, "applicable_to.excluded", body.get("excluded")),
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
    body = _object(path, value)
    kind = body.get("object")
    if kind not in APPLICABLE_OBJECTS:
        raise broken_rule(f"{path}.object", f"must be one of {', '.join(APPLICABLE_OBJECTS)}")
    effect = body.get("effect") or APPLICABLE_EFFECTS[0]
    if effect not in APPLICABLE_EFFECTS:
        raise broken_rule(f"{path}.effect", f"must be one of {', '.join(APPLICABLE_EFFECTS)}")
    for name, sent in body.items():
        if name not in APPLICABLE_FIELDS and sent is not None:
            raise broken_rule(f"{path}.{name[:40]}", "is not supported yet")
    source_id, own_id = body.get("source_id"), body.get("id")
    if own_id is None and source_id is None:
        raise broken_rule(f"{path}.id", "must be set")
    entry: JsonObject = {"object": kind, "id": own_id, "effect": effect}
    if own_id is None:
        derive = ids.product_id if kind == "product" else ids.sku_id
        entry["id"] = derive(project_id, _name(f"{path}.source_id", source_id))
    entry["id"] = _name(f"{path}.id", entry["id"])
    return {**entry, "source_id": _name(f"{path}.source_id", source_id)} if source_id else entry
