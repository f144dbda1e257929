"""A project's stacking rules: what may be set, laid over the defaults."""

from datetime import datetime
from typing import Any

from contracts.errors import DomainError, JsonObject, NotFound
from contracts.gateway import Project, ProjectUpdated
from contracts.payload import (
    Fields,
    Reader,
    join,
    json_object,
    list_of,
    one_of,
    optional,
    read,
    refuse,
    text,
    whole_number,
)
from contracts.stacking import BEST_DEAL, DEFAULT_STACKING_RULES, JOINT_ALWAYS_LAST
from gateway import limits


class StackingRulesExist(DomainError):
    """A project has stacking rules once."""

    status = 409
    key = "stacking_rules_exist"
    message = "Stacking rules exist"


def _categories(path: str, value: Any) -> list[str]:
    found: list[str] = list_of(text(limits.ID_LENGTH_MAX), limits.STACKING_CATEGORIES_MAX)(
        path, value
    )
    return list(dict.fromkeys(found))


def _category_limits(path: str, value: Any) -> JsonObject:
    body = json_object(path, value)
    if len(body) > limits.STACKING_CATEGORIES_MAX:
        raise refuse(path, f"must have at most {limits.STACKING_CATEGORIES_MAX} categories")
    count: Reader = whole_number(1, limits.REDEEMABLES_MAX)
    name = text(limits.ID_LENGTH_MAX)
    return {name(path, one): count(join(path, one), limit) for one, limit in body.items()}


_COUNT = whole_number(1, limits.REDEEMABLES_MAX)
FIELDS: Fields = {
    "redeemables_limit": _COUNT,
    "applicable_redeemables_limit": _COUNT,
    "applicable_redeemables_per_category_limit": optional(_COUNT),
    "applicable_redeemables_category_limits": _category_limits,
    "applicable_exclusive_redeemables_limit": whole_number(1, limits.EXCLUSIVE_REDEEMABLES_MAX),
    "applicable_exclusive_redeemables_per_category_limit": optional(_COUNT),
    "exclusive_categories": _categories,
    "joint_categories": _categories,
    "discount_calculation_mode": one_of("INITIAL_AMOUNT", "DISCOUNTED_AMOUNT"),
    "initial_amount_mode_categories": _categories,
    "discounted_amount_mode_categories": _categories,
    "redeemables_application_mode": one_of("ALL", "PARTIAL"),
    "redeemables_sorting_rule": one_of("CATEGORY_HIERARCHY", "REQUESTED_ORDER", BEST_DEAL),
    "grouped_redeemables_sorting_rule": optional(one_of(JOINT_ALWAYS_LAST)),
    "redeemables_products_application_mode": one_of("STACK", "ONCE"),
    "redeemables_no_effect_rule": one_of("REDEEM_ANYWAY", "SKIP"),
    "no_effect_skip_categories": _categories,
    "no_effect_redeem_anyway_categories": _categories,
    "redeemables_rollback_order_mode": one_of("WITH_ORDER", "WITHOUT_ORDER"),
}
NULLABLE = {
    "applicable_redeemables_per_category_limit",
    "applicable_exclusive_redeemables_per_category_limit",
    "grouped_redeemables_sorting_rule",
}
OPPOSED = (
    ("exclusive_categories", "joint_categories"),
    ("initial_amount_mode_categories", "discounted_amount_mode_categories"),
    ("no_effect_skip_categories", "no_effect_redeem_anyway_categories"),
)
"""Pairs of lists that contradict each other where they name the same category."""


def read_rules(body: JsonObject, stored: JsonObject) -> JsonObject:
    """Return the stored rules with what was sent; null takes a rule back to its default."""
    sent = read(
        {name: one for name, one in body.items() if one is not None or name in NULLABLE}, FIELDS
    )
    dropped = {name for name, one in body.items() if one is None and name not in NULLABLE}
    rules = {name: one for name, one in {**stored, **sent}.items() if name not in dropped}
    for one, other in OPPOSED:
        both = set(rules.get(one, ())) & set(rules.get(other, ()))
        if both:
            raise refuse(one, f"must not name {min(both)}, because {other} does")
    return rules


def named_categories(rules: JsonObject) -> set[str]:
    """Return the categories that the rules name."""
    found: set[str] = set()
    for name, default in DEFAULT_STACKING_RULES.items():
        if isinstance(default, list | dict):
            found.update(rules.get(name) or ())
    return found


def without_category(rules: JsonObject, category_id: str) -> JsonObject:
    """Return the rules without a category."""
    left: JsonObject = {}
    for name, value in rules.items():
        if isinstance(value, list):
            value = [one for one in value if one != category_id]  # noqa: PLW2901 - the rule's new value
        elif isinstance(value, dict):
            value = {one: limit for one, limit in value.items() if one != category_id}  # noqa: PLW2901
        left[name] = value
    return left


def decide_create(
    state: Project, rules_id: str, rules: JsonObject, now: datetime
) -> ProjectUpdated:
    """Give the project rules of its own."""
    if state.stacking_rules_id is not None:
        raise StackingRulesExist("Cannot exist more stacking rules for given project")
    values: dict[str, Any] = {
        "stacking_rules": rules,
        "stacking_rules_id": rules_id,
        "stacking_rules_created_at": now,
        "stacking_rules_updated_at": None,
    }
    return _updated(state, values, now)


def decide_put(state: Project, rules: JsonObject, now: datetime) -> list[ProjectUpdated]:
    """Replace the rules; nothing if they are the same."""
    if state.stacking_rules == rules:
        return []
    return [_updated(state, {"stacking_rules": rules, "stacking_rules_updated_at": now}, now)]


def decide_delete(state: Project, now: datetime) -> ProjectUpdated:
    """Take the project back to the defaults."""
    values: dict[str, Any] = {
        "stacking_rules": {},
        "stacking_rules_id": None,
        "stacking_rules_created_at": None,
        "stacking_rules_updated_at": None,
    }
    return _updated(state, values, now)


def check_id(state: Project, rules_id: str) -> None:
    """Refuse an id that is not that of the project's rules."""
    if state.stacking_rules_id != rules_id:
        raise NotFound.of("stacking_rules", rules_id)


def _updated(state: Project, values: dict[str, Any], now: datetime) -> ProjectUpdated:
    return ProjectUpdated(project=state.model_copy(update={**values, "updated_at": now}))
