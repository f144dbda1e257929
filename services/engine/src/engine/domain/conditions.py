"""A rule's ``conditions`` compiled into one test of a value.

Numbers are compared directly where the rule names one number, which is what most rules do; everything
else goes through the operators that segment filters have too.
"""

import operator
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from contracts.errors import JsonObject
from contracts.filters import OPERATORS
from engine import limits
from engine.domain.windows import WINDOWS, compile_window

ValueTest = Callable[[Any, datetime], bool]
"""Gets the value and ``now`` in the project's time zone."""

_ALIASES = {"$greater_than": "$more_than", "$greater_than_or_equal": "$more_than_or_equal"}

Comparison = Callable[[Any, Any], bool]
COMPARISONS: dict[str, Comparison] = {
    "$more_than": operator.gt,
    "$more_than_or_equal": operator.ge,
    "$less_than": operator.lt,
    "$less_than_or_equal": operator.le,
    "$is": operator.eq,
    "$is_not": operator.ne,
}
"""Those of a number with one number."""


class BadConditionsError(ValueError):
    """The conditions cannot be evaluated; the rule then never holds."""


def operator_name(name: str) -> str:
    """Return the operator's usual spelling."""
    return _ALIASES.get(name, name)


def values_of(sent: Any) -> list[Any]:
    """Return an operator's values, which should be a list."""
    values = sent if isinstance(sent, list) else [sent]
    if len(values) > limits.CONDITION_VALUES_MAX:
        raise BadConditionsError(f"must have at most {limits.CONDITION_VALUES_MAX} values")
    return values


def compile_conditions(conditions: Any, *, is_number: bool = False) -> ValueTest:
    """Return the test; all operators must hold. ``is_number``: the value is always an integer."""
    if not isinstance(conditions, dict) or not conditions:
        raise BadConditionsError("must have an operator")
    tests = [_one(operator_name(name), sent, is_number) for name, sent in conditions.items()]
    if len(tests) == 1:
        return tests[0]
    return lambda value, now: all(test(value, now) for test in tests)


def comparison_of(conditions: Any) -> tuple[Comparison, int | Decimal] | None:
    """Return conditions that compare with one number, which is what most rules on numbers do."""
    if not isinstance(conditions, dict) or len(conditions) != 1:
        return None
    name, sent = next(iter(conditions.items()))
    compare, values = COMPARISONS.get(operator_name(name)), values_of(sent)
    limit = number(values[0]) if len(values) == 1 else None
    return None if compare is None or limit is None else (compare, limit)


def _one(name: str, sent: Any, is_number: bool) -> ValueTest:
    values = values_of(sent)
    if name in WINDOWS:
        window = compile_window(name, values)
        if window is None:
            raise BadConditionsError(f"{name} must name times")
        return lambda _value, now: window(now)
    if is_number and name in COMPARISONS and len(values) == 1:
        compare, limit = COMPARISONS[name], number(values[0])
        if limit is None:
            raise BadConditionsError(f"{name} must have a number")
        return lambda value, _now: compare(value, limit)
    holds = OPERATORS.get(name)
    if holds is None:
        raise BadConditionsError(f"{name} is not supported")
    return lambda value, now: holds(value, values, now)


def number(value: Any) -> int | Decimal | None:
    """Return a rule's number exactly; texts that are numbers count."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, (float, str)):
        try:
            exact = Decimal(str(value))
        except ArithmeticError:
            return None
        return exact if exact.is_finite() else None
    return None


def only_values(conditions: Any, allowed: tuple[str, ...]) -> tuple[str, list[Any]]:
    """Return the one operator and its values; anything but ``allowed`` is not supported."""
    if not isinstance(conditions, dict) or len(conditions) != 1:
        raise BadConditionsError("must have one operator")
    name, sent = next(iter(conditions.items()))
    if operator_name(name) not in allowed:
        raise BadConditionsError(f"{name} is not supported")
    return operator_name(name), values_of(sent)


def names_of(values: list[Any]) -> list[JsonObject]:
    """Return entries such as products or segments; a bare text is an id."""
    entries: list[JsonObject] = []
    for value in values:
        if isinstance(value, str):
            entries.append({"id": value})
        elif isinstance(value, dict):
            entries.append(value)
        elif isinstance(value, list):
            entries.extend(names_of([one for one in value if isinstance(one, (str, dict))]))
        else:
            raise BadConditionsError("must name things by id")
    return entries


def property_of(leaf: JsonObject) -> str:
    """Return the metadata key that a rule is about."""
    key = leaf.get("property")
    if not isinstance(key, str) or not key:
        raise BadConditionsError(f"Rule '{leaf.get('name')}' must have a 'property'")
    return key
