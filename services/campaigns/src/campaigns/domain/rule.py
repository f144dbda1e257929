"""A validation rule: read and checked when it is saved, so that the engine can compile what it gets.

Paths in refusals are those of the body: ``rules.1.name``, ``rules.logic``, ``applicable_to.included[0]``.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from campaigns import limits
from campaigns.domain import contexts
from campaigns.domain.applicable import APPLICABLE_OBJECTS, as_rule, read_applicable_to
from campaigns.domain.bundle_rules import read_bundle_rules
from campaigns.domain.errors import broken_rule, duplicate
from campaigns.domain.support import (
    ITEM_OPERATORS,
    LIMIT_OPERATORS,
    METADATA_OPERATORS,
    NAME_OPERATORS,
    NUMBER_OPERATORS,
    PERIODS,
    SET_OPERATORS,
)
from campaigns.domain.windows import WINDOWS
from contracts.campaigns import (
    ValidationRule,
    ValidationRuleCreated,
    ValidationRuleDeleted,
    ValidationRuleUpdated,
)
from contracts.errors import JsonObject, ResourceInUse
from contracts.filters import COUNTED, NUMERIC, WITHOUT_VALUES
from contracts.limits import FILTER_DAYS_MAX
from contracts.payload import instant, is_storable, one_of, required, text

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


def _truth(path: str, value: Any) -> bool:
    known = {True: True, False: False, "true": True, "false": False}
    if not isinstance(value, bool | str) or value not in known:
        raise broken_rule(path, "must be true or false")
    return known[value]


class RuleKind(NamedTuple):
    """What a rule's name allows."""

    operators: tuple[str, ...]
    value: Callable[[str, Any], Any]
    needs_property: bool = False
    is_single: bool = False
    """One operator only."""
    is_optional: bool = False
    """Conditions may be left out."""
    inner: Mapping[str, "RuleKind"] | None = None
    """Which rules may stand inside it; None: those that may stand beside it."""


_NUMBER = RuleKind(NUMBER_OPERATORS, _amount)
_LIMIT = RuleKind(LIMIT_OPERATORS, _amount, is_single=True)
_METADATA = RuleKind(METADATA_OPERATORS, _scalar, needs_property=True)
_NAME = RuleKind(NAME_OPERATORS, _name)
_NAMED_NUMBER = _NUMBER._replace(needs_property=True)

INNER_KINDS: Mapping[str, RuleKind] = {
    "order.items.quantity": _NUMBER,
    "order.items.aggregated_quantity": _NUMBER,
    "order.items.price": _NUMBER,
    "order.items.amount": _NUMBER,
    "order.items.aggregated_amount": _NUMBER,
    "order.items.metadata": _METADATA,
    "product.price": _NUMBER,
    "product.quantity": _NUMBER,
    "product.metadata": _METADATA,
    "product.metadata.aggregated_quantity": _NAMED_NUMBER,
    "product.metadata.aggregated_amount": _NAMED_NUMBER,
    "sku.price": _NUMBER,
    "sku.quantity": _NUMBER,
}
"""The rules inside those on items."""

_SEGMENT = RuleKind(SET_OPERATORS, _reference, is_single=True)
_ITEMS = RuleKind(ITEM_OPERATORS, _reference, is_single=True, inner=INNER_KINDS)


def _inside_items(kind: RuleKind) -> RuleKind:
    return kind._replace(inner=INNER_KINDS)


RULE_KINDS: Mapping[str, RuleKind] = {
    "customer.segment": _SEGMENT,
    "customer.metadata": _METADATA,
    "publication.redeemable_by_linked_customer": RuleKind(
        ("$is",), _truth, is_single=True, is_optional=True
    ),
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
    "product.id": _ITEMS,
    "product.price": _inside_items(_NUMBER),
    "product.quantity": _inside_items(_NUMBER),
    "product.discount_applicable": _ITEMS,
    "product.metadata": _inside_items(_METADATA),
    "product.metadata.match_all": _inside_items(_METADATA),
    "product.metadata.discount_applicable": _inside_items(_METADATA),
    "product.metadata.aggregated_quantity": _inside_items(_NAMED_NUMBER),
    "product.metadata.aggregated_amount": _inside_items(_NAMED_NUMBER),
    "sku.id": _ITEMS,
    "sku.price": _inside_items(_NUMBER),
    "sku.quantity": _inside_items(_NUMBER),
    "sku.discount_applicable": _ITEMS,
    **{
        f"{name}{period}": _LIMIT
        for name in (
            "campaign.redemptions.count",
            "campaign.redemptions.customers_count",
            "redemption.count.per_customer",
        )
        for period in ("", *PERIODS)
    },
    **{f"redemption.count{period}": _LIMIT for period in PERIODS},
    "campaign.orders.amount": _LIMIT,
    "campaign.orders.amount_discounted": _LIMIT,
    "redemption.count.per_api_key": _LIMIT,
    "redemption.count.per_user": _LIMIT,
    "redemption.gift.amount": _NUMBER,
    "redemption.reward.pay_with_points.points_used": _NUMBER,
    "redemption.api_key": _NAME,
    "redemption.user.login": _NAME,
    "redemption.metadata": _METADATA,
    "custom_event.metadata": _METADATA,
}
"""The rules that the engine evaluates, in the public API's spelling."""


class StoredRule(ValidationRule):
    """A rule, and whether it was deleted: its id is never given again."""

    is_deleted: bool = False


FIELDS = ("name", "type", "context_type", "rules", "bundle_rules", "error", "applicable_to")
"""What a body may set."""


def decide_create_rule(
    state: StoredRule | None, rule_id: str, project_id: str, body: JsonObject, now: datetime
) -> ValidationRuleCreated:
    """Return the rule in normal form; refuses what is malformed or cannot be evaluated."""
    if state is not None:
        raise duplicate("validation_rules", "id", rule_id)
    required(text(limits.NAME_LENGTH_MAX), body, "name")
    return ValidationRuleCreated(rule=_read(rule_id, project_id, body, now))


def decide_update_rule(
    state: StoredRule, project_id: str, changes: JsonObject, now: datetime, *, is_assigned: bool
) -> list[ValidationRuleUpdated]:
    """Return what the update changes: only the fields that are sent, and nothing if they are as sent."""
    kept = state.model_dump(mode="json", include=set(FIELDS))
    sent = {name: changes[name] for name in FIELDS if name in changes}
    rule = _read(state.id, project_id, {**kept, **sent}, state.created_at)
    if is_assigned:
        _refuse_other_context(state, rule)
    rule = rule.model_copy(update={"updated_at": state.updated_at, "version": state.version})
    if rule.model_dump() == state.model_dump(exclude={"is_deleted"}):
        return []
    newer = {"updated_at": now, "version": state.version + 1}
    return [ValidationRuleUpdated(rule=rule.model_copy(update=newer))]


def _refuse_other_context(state: ValidationRule, rule: ValidationRule) -> None:
    if rule.context_type != state.context_type:
        raise broken_rule("context_type", "must not change while the rule is assigned")
    contexts.refuse_event_rules(rule.rules)


def decide_delete_rule(
    state: StoredRule, uses: Sequence[str], *, is_free: bool
) -> ValidationRuleDeleted:
    """Return the deletion; refused while the rule is assigned. ``uses`` are ids of assignments."""
    if not is_free:
        kind = "validation_rules_assignment"
        raise ResourceInUse.of("validation_rules", state.id, kind, uses)
    return ValidationRuleDeleted(rule_id=state.id)


def _read(rule_id: str, project_id: str, body: JsonObject, created_at: datetime) -> ValidationRule:
    context_type = contexts.read_context(body.get("context_type"))
    rules = _rules(body.get("rules"))
    contexts.refuse_misfits(context_type, rules)
    return ValidationRule(
        id=rule_id,
        name=required(text(limits.NAME_LENGTH_MAX), body, "name"),
        type=_choice(body, "type", "expression", ("expression", "basic", "advanced", "complex")),
        context_type=context_type,
        rules=rules,
        bundle_rules=read_bundle_rules(body.get("bundle_rules")),
        error=_error("error", body.get("error")),
        applicable_to=read_applicable_to(project_id, body.get("applicable_to")),
        created_at=created_at,
    )


RuleEvent = ValidationRuleCreated | ValidationRuleUpdated | ValidationRuleDeleted


def evolve(state: StoredRule | None, event: RuleEvent) -> StoredRule:
    """Return the rule; one that was deleted stays, marked, because its id is never given again."""
    if isinstance(event, ValidationRuleDeleted):
        assert state is not None, "only a rule that is there is deleted"
        return state.model_copy(update={"is_deleted": True})
    assert (state is None) == isinstance(event, ValidationRuleCreated), "created once, and first"
    return StoredRule.model_validate(event.rule.model_dump())


def _choice(body: JsonObject, name: str, default: str, values: tuple[str, ...]) -> str:
    chosen: str = one_of(*values)(name, body.get(name, default))
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
    return _numbered("rules", {} if value is None else value, RULE_KINDS, _Room())


class _Room:
    """How many rules there may still be, on all levels together."""

    def __init__(self) -> None:
        self.left = limits.RULES_PER_RULE_MAX

    def take(self, path: str, count: int) -> None:
        """Count rules; refuses what is too many."""
        self.left -= count
        if self.left < 0:
            reason = f"must have at most {limits.RULES_PER_RULE_MAX} rules, those inside included"
            raise broken_rule(path, reason)


def _numbered(
    path: str, value: Any, kinds: Mapping[str, RuleKind], room: _Room, level: int = 1
) -> JsonObject:
    """Read ``{"1": rule, "2": rule, "logic": …}``."""
    body = _object(path, value)
    if level > limits.RULE_LEVELS_MAX:
        raise broken_rule(path, f"must have at most {limits.RULE_LEVELS_MAX} levels of rules")
    numbers = [name for name in body if name != "logic"]
    room.take(path, len(numbers))
    for number in numbers:
        if not (number.isascii() and number.isdigit() and len(number) <= NUMBER_DIGITS_MAX):
            raise broken_rule(f"{path}.{number[:20]}", "must be a number, or logic")
    kept: JsonObject = {
        number: _rule(f"{path}.{number}", body[number], kinds, room, level) for number in numbers
    }
    if kept:
        kept["logic"] = _logic(f"{path}.logic", kept, body.get("logic"))
    return kept


NUMBER_DIGITS_MAX = 6


def _object(path: str, value: Any) -> JsonObject:
    if not isinstance(value, dict):
        raise broken_rule(path, "must be an object")
    return value


def _rule(
    path: str, value: Any, kinds: Mapping[str, RuleKind], room: _Room, level: int
) -> JsonObject:
    body = _object(path, value)
    name = body.get("name")
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        raise broken_rule(f"{path}.name", f"must be one of {', '.join(kinds)}")
    rule: JsonObject = {"name": name, "property": _property(path, body, kind)}
    rule["conditions"] = _conditions(f"{path}.conditions", body.get("conditions"), kind)
    rule["rules"] = {}
    if body.get("rules"):
        # Inside a rule on items are rules on its lines; inside any other whatever may stand beside it.
        inner = kinds if kind.inner is None else kind.inner
        rule["rules"] = _numbered(f"{path}.rules", body["rules"], inner, room, level + 1)
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
    body = _object(path, {} if value is None and kind.is_optional else value)
    if not body and kind.is_optional:
        return {}
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
    read = _reader(operator, kind)
    return [read(f"{path}[{index}]", element) for index, element in enumerate(listed)]


def _reader(operator: str, kind: RuleKind) -> Callable[[str, Any], Any]:
    """Return what reads a value: some operators have values of their own, whatever the rule is about."""
    if operator in WINDOWS:
        return WINDOWS[operator]
    if operator in COUNTED:
        return _day_count
    if operator in {"$after", "$before"}:
        return _moment
    if operator in NUMERIC and kind.value is _scalar:
        return _number_or_moment
    return kind.value


def _day_count(path: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= FILTER_DAYS_MAX:
        raise broken_rule(path, f"must be a whole number up to {FILTER_DAYS_MAX}")
    return value


def _moment(path: str, value: Any) -> str:
    as_rule(instant)(path, value)
    return str(value)


def _number_or_moment(path: str, value: Any) -> Any:
    if isinstance(value, str):
        try:
            if Decimal(value).is_finite():
                return _scalar(path, value)
        except ArithmeticError:
            return _moment(path, value)
    return _scalar(path, value)


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
