"""Evaluates a formula: its steps, one after the other, on a stack of values.

Every operation is a pure function of its arguments; a wrong or missing argument gives None, which
goes through everything but ``DEFAULT_TO``, the branch that ``IF`` does not take, and the ``AND`` or ``OR``
that is decided without it.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Context, Decimal, DecimalException
from fractions import Fraction
from typing import Any

from contracts.formulas.language import (
    EXPONENT_MAX,
    NUMBER_BITS_MAX,
    PRECISION_MAX,
    Call,
    Case,
    Constant,
    Formula,
    Value,
)

Lookup = Callable[[str, str | None], Value]
"""(name of a variable, name of an attribute) → its value, None when it is missing."""

Operation = Callable[[Sequence[Value]], Value]

_ROOTS = Context(prec=40)
_TEXT_LENGTH_MAX = 1_000


def evaluate(formula: Formula, lookup: Lookup) -> Value:
    """Return the formula's value; None when it cannot be said."""
    stack: list[Value] = []
    for step in formula.steps:
        if isinstance(step, Constant):
            stack.append(step.value)
        elif isinstance(step, Call):
            arguments = stack[-step.arity :]
            del stack[-step.arity :]
            stack.append(_bounded(OPERATIONS[step.name](arguments)))
        else:
            stack.append(_bounded(lookup(step.name, step.key)))
    assert len(stack) == 1, "a formula leaves one value"
    return stack[0]


def from_json(value: Any) -> Value:
    """Return what an attribute of metadata is inside a formula."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, float):
        return Fraction(repr(value)) if math.isfinite(value) else None
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return tuple(from_json(element) for element in value if not isinstance(element, list))
    return None


def _bounded(value: Value) -> Value:
    if isinstance(value, Fraction):
        bits = max(value.numerator.bit_length(), value.denominator.bit_length())
        return value if bits <= NUMBER_BITS_MAX else None
    return value


# -- numbers ------------------------------------------------------------------------------------------


def _on_numbers(operation: Callable[..., Value]) -> Operation:
    def checked(arguments: Sequence[Value]) -> Value:
        if all(isinstance(one, Fraction) for one in arguments):
            return operation(*arguments)
        return None

    return checked


def _divide(left: Fraction, right: Fraction) -> Fraction | None:
    return left / right if right else None


def _modulo(left: Fraction, right: Fraction) -> Fraction | None:
    return left % right if right else None


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if abs(exponent) > EXPONENT_MAX or (base == 0 and exponent < 0):
        return None
    if exponent.denominator == 1:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if bits * abs(exponent.numerator) > NUMBER_BITS_MAX:
            return None
        return Fraction(base**exponent.numerator)
    return _root(base, exponent)


def _root(base: Fraction, exponent: Fraction) -> Fraction | None:
    """A power that is not whole is no fraction: 40 digits of it."""
    if base < 0:
        return None
    try:
        power = _ROOTS.power(_decimal(base), _decimal(exponent))
    except DecimalException:
        return None
    if not power.is_finite() or abs(power.adjusted()) > EXPONENT_MAX:
        return None
    return Fraction(power)


def _decimal(value: Fraction) -> Decimal:
    return _ROOTS.divide(Decimal(value.numerator), Decimal(value.denominator))


def _to_digits(rounded: Callable[[Fraction], int]) -> Callable[..., Fraction | None]:
    def apply(value: Fraction, precision: Fraction = Fraction(0)) -> Fraction | None:
        if precision.denominator != 1 or abs(precision) > PRECISION_MAX:
            return None
        scale = Fraction(10) ** precision.numerator
        return Fraction(rounded(value * scale)) / scale

    return apply


def _half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


# -- truth --------------------------------------------------------------------------------------------


def _if(arguments: Sequence[Value]) -> Value:
    condition, then, otherwise = arguments
    if not isinstance(condition, bool):
        return None
    return then if condition else otherwise


def _and(arguments: Sequence[Value]) -> Value:
    if any(one is False for one in arguments):
        return False
    return True if all(one is True for one in arguments) else None


def _or(arguments: Sequence[Value]) -> Value:
    if any(one is True for one in arguments):
        return True
    return False if all(one is False for one in arguments) else None


def _not(operation: Operation) -> Operation:
    def negated(arguments: Sequence[Value]) -> Value:
        holds = operation(arguments)
        return not holds if isinstance(holds, bool) else None

    return negated


def _same(left: Value, right: Value) -> bool:
    """Say whether two values are equal; a number and a boolean equal their text."""
    if isinstance(left, tuple) and not isinstance(left, Case):
        return any(_same(one, right) for one in left)
    if isinstance(right, str) and not isinstance(left, str):
        return _equals_text(left, right)
    if isinstance(left, str) and not isinstance(right, str):
        return _equals_text(right, left)
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    if isinstance(left, date) and isinstance(right, date):
        first, second = _comparable(left, right)
        return first == second
    return left == right


def _equals_text(value: Value, text: str) -> bool:
    text = text.strip()
    if isinstance(value, bool):
        return text.lower() == ("true" if value else "false")
    if isinstance(value, Fraction):
        return _number(text) == value
    return isinstance(value, date) and value.isoformat() == text


def _number(text: str) -> Fraction | None:
    if not 0 < len(text) <= 40 or not all(one in "0123456789.-" for one in text):  # noqa: PLR2004
        return None
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None


def _is(arguments: Sequence[Value]) -> Value:
    left, right = arguments
    return None if left is None or right is None else _same(left, right)


def _compare(holds: Callable[[Any, Any], bool]) -> Operation:
    def compare(arguments: Sequence[Value]) -> Value:
        left, right = arguments
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            return holds(left, right)
        if isinstance(left, date) and isinstance(right, date):
            return holds(*_comparable(left, right))
        return None

    return compare


def _on_moments(holds: Callable[[Any, Any], bool]) -> Operation:
    """Compare days and instants; a text of metadata may be one."""

    def compare(arguments: Sequence[Value]) -> Value:
        left, right = (_instant(one) if isinstance(one, str) else one for one in arguments)
        if isinstance(left, date) and isinstance(right, date):
            return holds(*_comparable(left, right))
        return None

    return compare


# -- texts --------------------------------------------------------------------------------------------


def _on_texts(holds: Callable[[str, str], bool]) -> Operation:
    def check(arguments: Sequence[Value]) -> Value:
        left, right = arguments
        if isinstance(left, tuple) and not isinstance(left, Case) and isinstance(right, str):
            return any(isinstance(one, str) and holds(one, right) for one in left)
        if isinstance(left, str) and isinstance(right, str):
            return holds(left, right)
        return None

    return check


def _in_array(arguments: Sequence[Value]) -> Value:
    left, right = arguments
    if left is None or right is None:
        return None
    wanted: Sequence[Value] = (right,)
    if isinstance(right, str):
        wanted = [part.strip() for part in right.split(",")]
    elif isinstance(right, tuple) and not isinstance(right, Case):
        wanted = right
    return any(_same(left, one) for one in wanted)


def _default_to(arguments: Sequence[Value]) -> Value:
    return next((one for one in arguments if one is not None), None)


def _switch(arguments: Sequence[Value]) -> Value:
    value = arguments[0]
    if value is None:
        return None
    otherwise: Value = None
    for one in arguments[1:]:
        if not isinstance(one, Case):
            otherwise = one
        elif one.value is not None and _same(value, one.value):
            return one.result
    return otherwise


# -- dates --------------------------------------------------------------------------------------------


def _comparable(left: date, right: date) -> tuple[date, date]:
    """Return two instants as they are, else the days of both."""
    if isinstance(left, datetime) and isinstance(right, datetime):
        return left, right
    return (
        left.date() if isinstance(left, datetime) else left,
        right.date() if isinstance(right, datetime) else right,
    )


def _day(value: Value) -> date | None:
    """Return the day; texts of metadata may hold one."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        moment = _instant(value)
        return moment.date() if moment is not None else None
    return None


def _instant(text: str) -> datetime | None:
    if len(text) > _TEXT_LENGTH_MAX:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _to_day(arguments: Sequence[Value]) -> Value:
    return _day(arguments[0])


def _to_instant(arguments: Sequence[Value]) -> Value:
    value = arguments[0]
    if isinstance(value, str):
        return _instant(value)
    return value if isinstance(value, datetime) else None


def _on_days(operation: Callable[..., Value]) -> Operation:
    def checked(arguments: Sequence[Value]) -> Value:
        days = [_day(one) for one in arguments]
        return operation(*days) if all(one is not None for one in days) else None

    return checked


def _months(start: date, end: date) -> int:
    """Return the whole months from one day to the other; negative when it lies before."""
    if end < start:
        return -_months(end, start)
    months = (end.year - start.year) * 12 + end.month - start.month
    return months - (end.day < start.day)


def _years(start: date, end: date) -> int:
    months = _months(start, end)
    return months // 12 if months >= 0 else -(-months // 12)


OPERATIONS: Mapping[str, Operation] = {
    "NEGATE": _on_numbers(operator.neg),
    "+": _on_numbers(operator.add),
    "-": _on_numbers(operator.sub),
    "*": _on_numbers(operator.mul),
    "/": _on_numbers(_divide),
    "%": _on_numbers(_modulo),
    "POW": _on_numbers(_power),
    "MIN": _on_numbers(lambda *numbers: min(numbers)),
    "MAX": _on_numbers(lambda *numbers: max(numbers)),
    "ROUND": _on_numbers(_to_digits(_half_up)),
    "FLOOR": _on_numbers(_to_digits(math.floor)),
    "CEIL": _on_numbers(_to_digits(math.ceil)),
    "IF": _if,
    "AND": _and,
    "OR": _or,
    "IS": _is,
    "ISNOT": _not(_is),
    ">": _compare(operator.gt),
    "<": _compare(operator.lt),
    ">=": _compare(operator.ge),
    "<=": _compare(operator.le),
    "CONTAINS": _on_texts(lambda left, right: right in left),
    "STARTSWITH": _on_texts(str.startswith),
    "ENDSWITH": _on_texts(str.endswith),
    "IN_ARRAY": _in_array,
    "NOT_IN_ARRAY": _not(_in_array),
    "DEFAULT_TO": _default_to,
    "SWITCH": _switch,
    "SWITCH_CASE": lambda arguments: Case(arguments[0], arguments[1]),
    "DAY_OF_MONTH": _on_days(lambda day: Fraction(day.day)),
    "MONTH": _on_days(lambda day: Fraction(day.month)),
    "YEAR": _on_days(lambda day: Fraction(day.year)),
    "DATE": _to_day,
    "DATE_TIME": _to_instant,
    "DAYS_SINCE": _on_days(lambda day, today: Fraction((today - day).days)),
    "MONTHS_SINCE": _on_days(lambda day, today: Fraction(_months(day, today))),
    "YEARS_SINCE": _on_days(lambda day, today: Fraction(_years(day, today))),
    "DAYS_UNTIL": _on_days(lambda day, today: Fraction((day - today).days)),
    "MONTHS_UNTIL": _on_days(lambda day, today: Fraction(_months(today, day))),
    "DATE_IS": _on_days(operator.eq),
    "DATE_IS_NOT": _on_days(operator.ne),
    "IS_AFTER": _on_moments(operator.gt),
    "IS_BEFORE": _on_moments(operator.lt),
}
"""Every operation by its name in ``language``."""
