"""Rules on the lines of an order: ``order.items.any`` and its kin, and the older ``product.id``."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from contracts.errors import JsonObject
from engine.domain.conditions import (
    BadConditionsError,
    ValueTest,
    compile_conditions,
    names_of,
    only_values,
)
from engine.domain.logic import parse
from engine.domain.order import Line
from engine.domain.products import Products, products_of

LineTest = Callable[[Line, Sequence[Line], datetime], bool]
"""Gets a line, all lines that match the rule's products, and ``now``."""

ItemsTest = Callable[[Sequence[Line], datetime], bool]

WANTED = ("$is", "$in", "$from", "$is_not", "$not_in")


def compile_items(project_id: str, name: str, leaf: JsonObject) -> ItemsTest:
    """Return the test of an ``order.items.*`` rule."""
    operator, values = only_values(leaf.get("conditions"), WANTED)
    products = products_of(project_id, names_of(values))
    is_wanted = operator not in {"$is_not", "$not_in"}
    inner = _inner(leaf.get("rules") or {})
    return _QUANTIFIERS[name](products, is_wanted, inner)


def _inner(rules: JsonObject) -> LineTest:
    """Return the test of the rules inside."""
    if not isinstance(rules, dict):
        raise BadConditionsError("must be an object")
    names = [name for name in rules if name != "logic"]
    tests = [_line_test(rules[name]) for name in names]
    if not tests:
        return lambda _line, _matching, _now: True
    logic = parse(rules.get("logic"), names)
    return lambda line, matching, now: logic([test(line, matching, now) for test in tests])


def _line_test(leaf: Any) -> LineTest:
    if not isinstance(leaf, dict) or leaf.get("rules"):
        raise BadConditionsError("must not have rules inside")
    name = leaf.get("name")
    if name == "order.items.metadata":
        test, key = compile_conditions(leaf.get("conditions")), str(leaf.get("property"))
        return lambda line, _matching, now: test(line.metadata.get(key), now)
    if name not in _NUMBERS:
        raise BadConditionsError(f"{name} is not supported here")
    measure = _NUMBERS[name]
    compare = compile_conditions(leaf.get("conditions"), is_number=True)
    return lambda line, matching, now: compare(measure(line, matching), now)


_NUMBERS: dict[str, Callable[[Line, Sequence[Line]], int]] = {
    "order.items.quantity": lambda line, _matching: line.quantity,
    "order.items.price": lambda line, _matching: line.price or 0,
    "order.items.amount": lambda line, _matching: line.amount,
    "order.items.aggregated_quantity": lambda _line, matching: sum(
        one.quantity for one in matching
    ),
    "order.items.aggregated_amount": lambda _line, matching: sum(one.amount for one in matching),
}


def _any(products: Products, is_wanted: bool, inner: LineTest) -> ItemsTest:
    def test(lines: Sequence[Line], now: datetime) -> bool:
        matching = [line for line in lines if products.covers(line)]
        if not is_wanted:
            return not any(inner(line, matching, now) for line in matching)
        return any(inner(line, matching, now) for line in matching)

    return test


def _every(products: Products, is_wanted: bool, inner: LineTest) -> ItemsTest:
    def test(lines: Sequence[Line], now: datetime) -> bool:
        matching = [line for line in lines if products.covers(line) is is_wanted]
        return bool(lines) and all(
            products.covers(line) is is_wanted and inner(line, matching, now) for line in lines
        )

    return test


def _none(products: Products, is_wanted: bool, inner: LineTest) -> ItemsTest:
    holds = _any(products, True, inner)
    return lambda lines, now: holds(lines, now) is not is_wanted


def _extreme(pick: Callable[..., Line]) -> Callable[[Products, bool, LineTest], ItemsTest]:
    def build(products: Products, is_wanted: bool, inner: LineTest) -> ItemsTest:
        def test(lines: Sequence[Line], now: datetime) -> bool:
            priced = [line for line in lines if line.price is not None]
            if not priced:
                return False
            chosen = pick(priced, key=lambda line: line.price)
            return products.covers(chosen) is is_wanted and inner(chosen, [chosen], now)

        return test

    return build


_QUANTIFIERS: dict[str, Callable[[Products, bool, LineTest], ItemsTest]] = {
    "order.items.any": _any,
    "order.items.every": _every,
    "order.items.none": _none,
    "order.items.cheapest": _extreme(min),
    "order.items.most_expensive": _extreme(max),
    "product.id": _any,
    "sku.id": _any,
}

ITEM_RULES = frozenset(_QUANTIFIERS)


def each_line(
    measure: Callable[[Line], Any], test: ValueTest, quantifier: Callable[..., bool]
) -> ItemsTest:
    """Return a test of one value of any or of each line."""
    return lambda lines, now: bool(lines) and quantifier(test(measure(line), now) for line in lines)
