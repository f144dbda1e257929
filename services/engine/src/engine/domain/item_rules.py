"""Rules on the lines of an order: ``order.items.any`` and its kin, and the older ``product.*``, ``sku.*``.

A rule selects lines (by what they sell, or by metadata of the product) and says how many of them must
satisfy the rules inside it. Those look at one line, or at all selected lines together.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from contracts.errors import JsonObject
from engine.domain.conditions import (
    BadConditionsError,
    ValueTest,
    compile_conditions,
    names_of,
    only_values,
    property_of,
)
from engine.domain.order import Line
from engine.domain.products import Products, products_of
from engine.domain.tree import Node, lay_out


class Selected(list[Line]):
    """The lines that a rule selects. What is asked of all of them is worked out once, not once per line."""

    def __init__(self, lines: Iterable[Line]) -> None:
        super().__init__(lines)
        self._known: dict[Any, Any] = {}

    def total(self, measure: "Callable[[Line], int]", key: str | None = None) -> int:
        """Return the sum over all lines, or over those whose product has the property ``key``."""
        name = (measure, key)
        if name not in self._known:
            self._known[name] = sum(
                measure(one)
                for one in self
                if key is None or product_metadata(one).get(key) is not None
            )
        return int(self._known[name])

    def quantity_of(self, line: Line, name: str) -> int:
        """Return the units of all lines with the same ``product_id`` or ``sku_id``."""
        wanted = getattr(line, name)
        if wanted is None:
            return line.quantity
        if name not in self._known:
            units: Counter[str] = Counter()
            for one in self:
                units[getattr(one, name)] += one.quantity
            self._known[name] = units
        return int(self._known[name][wanted])


LineTest = Callable[[Line, Selected, datetime], bool]
"""Gets a line, all lines that the rule selects, and ``now``."""

ItemsTest = Callable[[Sequence[Line], datetime], bool]
Selects = Callable[[Line, datetime], bool]

WANTED = ("$is", "$in", "$from", "$is_not", "$not_in", "$not_differ", "$not_intersect")


class ItemRule(NamedTuple):
    """A compiled rule: its test, and which lines it lets item discounts touch, None for any."""

    test: ItemsTest
    collection_ids: frozenset[str] = frozenset()
    discounts: Selects | None = None


class Selection(NamedTuple):
    """What a rule's condition says: which lines it is about, and what must hold of all of them."""

    selects: Selects
    operator: str = "$is"
    products: Products | None = None
    """Which lines they are, where it names products."""

    @property
    def is_wanted(self) -> bool:
        """Whether the lines that it selects should be there."""
        return self.operator not in {"$is_not", "$not_in", "$not_intersect"}

    def allows(self, lines: Sequence[Line], now: datetime) -> bool:
        """Say whether the order as a whole is as the set operators want it."""
        if self.operator == "$not_differ":
            return all(self.selects(line, now) for line in lines)
        if self.operator == "$not_intersect":
            return not any(self.selects(line, now) for line in lines)
        return True


def compile_items(project_id: str, name: str, leaf: JsonObject) -> ItemRule:
    """Return the test of a rule on items; raises ``BadConditionsError``."""
    inner = _inner(leaf.get("rules") or {})
    if name in _QUANTIFIERS:
        operator, values = only_values(leaf.get("conditions"), WANTED)
        products = products_of(project_id, names_of(values))
        selection = Selection(lambda line, _now: products.covers(line), operator, products)
        test = _QUANTIFIERS[name](selection, inner)
        return ItemRule(test, products.collection_ids, _discounts(name, selection))
    if name in _BY_METADATA:
        selection = Selection(_by_product_metadata(leaf))
        test = _BY_METADATA[name](selection, inner)
        return ItemRule(test, discounts=_discounts(name, selection))
    selects = _selects(project_id, name, leaf)
    return ItemRule(_any(Selection(selects), _both(_line_test(leaf), inner)))


def _everything(_line: Line, _now: datetime) -> bool:
    return True


def _has_sku(line: Line, _now: datetime) -> bool:
    return line.sku_id is not None


def _discounts(name: str, selection: Selection) -> Selects | None:
    if not name.endswith(".discount_applicable"):
        return None
    if selection.is_wanted:
        return selection.selects
    return lambda line, now: not selection.selects(line, now)


def _both(first: LineTest, second: LineTest) -> LineTest:
    return lambda line, selected, now: first(line, selected, now) and second(line, selected, now)


# -- the rules inside ---------------------------------------------------------------------------------


def _inner(rules: JsonObject) -> LineTest:
    """Return the test of the rules inside, laid out flat."""
    if not isinstance(rules, dict):
        raise BadConditionsError("must be an object")
    tree = lay_out(rules, lambda _body: False)
    tests = [_line_test(node.body) for node in tree.nodes]
    if not tests:
        return lambda _line, _selected, _now: True
    return lambda line, selected, now: tree.decide([test(line, selected, now) for test in tests])


def _line_test(leaf: JsonObject) -> LineTest:
    name = str(leaf.get("name"))
    measure = _measure(name, leaf)
    is_number = name not in _LINE_METADATA
    check = compile_conditions(leaf.get("conditions"), is_number=is_number)
    return lambda line, selected, now: check(measure(line, selected), now)


def _measure(name: str, leaf: JsonObject) -> "Callable[[Line, Selected], Any]":
    """Return what a rule on a line compares."""
    if name in _LINE_METADATA:
        key, metadata_of = property_of(leaf), _LINE_METADATA[name]
        return lambda line, _selected: metadata_of(line).get(key)
    if name in _WITH_PROPERTY:
        key, measure = property_of(leaf), _WITH_PROPERTY[name]
        return lambda _line, selected: selected.total(measure, key)
    if name not in _NUMBERS:
        raise BadConditionsError(f"{name} is not supported here")
    return _NUMBERS[name]


def _line_metadata(line: Line) -> JsonObject:
    return line.metadata


def product_metadata(line: Line) -> JsonObject:
    """Return the metadata of what the line sells; a SKU's own win over its product's."""
    return {**(line.product.get("metadata") or {}), **(line.sku.get("metadata") or {})}


_LINE_METADATA: dict[str, Callable[[Line], JsonObject]] = {
    "order.items.metadata": _line_metadata,
    "product.metadata": product_metadata,
}


def _quantity(line: Line) -> int:
    return line.quantity


def _amount(line: Line) -> int:
    return line.amount


def _same_product(line: Line, selected: Selected) -> int:
    return selected.quantity_of(line, "product_id")


def _same_sku(line: Line, selected: Selected) -> int:
    return selected.quantity_of(line, "sku_id")


Measure = Callable[[Line, Selected], int]

_WITH_PROPERTY: dict[str, Callable[[Line], int]] = {
    "product.metadata.aggregated_quantity": _quantity,
    "product.metadata.aggregated_amount": _amount,
}
_NUMBERS: dict[str, Measure] = {
    "order.items.quantity": lambda line, _selected: line.quantity,
    "order.items.price": lambda line, _selected: line.price or 0,
    "order.items.amount": lambda line, _selected: line.amount,
    "order.items.aggregated_quantity": lambda _line, selected: selected.total(_quantity),
    "order.items.aggregated_amount": lambda _line, selected: selected.total(_amount),
    "product.price": lambda line, _selected: line.price or 0,
    "product.quantity": _same_product,
    "sku.price": lambda line, _selected: line.price or 0,
    "sku.quantity": _same_sku,
}


# -- how many lines ------------------------------------------------------------------------------------


def _selected(selection: Selection, lines: Sequence[Line], now: datetime) -> Selected:
    products = selection.products
    if products is None or products.collection_ids:
        return Selected([line for line in lines if selection.selects(line, now)])
    # The same, without a call for every line: most rules name products.
    named, skus = products.product_ids, products.sku_ids
    return Selected([line for line in lines if line.product_id in named or line.sku_id in skus])


def _any(selection: Selection, inner: LineTest) -> ItemsTest:
    def test(lines: Sequence[Line], now: datetime) -> bool:
        if not selection.allows(lines, now):
            return False
        if selection.operator == "$not_intersect":
            everything = Selected(lines)
            return any(inner(line, everything, now) for line in lines)
        selected = _selected(selection, lines, now)
        holds = any(inner(line, selected, now) for line in selected)
        return holds is selection.is_wanted

    return test


def _every(selection: Selection, inner: LineTest) -> ItemsTest:
    def test(lines: Sequence[Line], now: datetime) -> bool:
        is_wanted = selection.is_wanted
        matching = Selected([line for line in lines if selection.selects(line, now) is is_wanted])
        return (
            bool(lines)
            and len(matching) == len(lines)
            and all(inner(line, matching, now) for line in matching)
        )

    return test


def _none(selection: Selection, inner: LineTest) -> ItemsTest:
    holds = _any(selection._replace(operator="$is"), inner)
    return lambda lines, now: holds(lines, now) is not selection.is_wanted


def _extreme(sign: int) -> Callable[[Selection, LineTest], ItemsTest]:
    """The cheapest or the most expensive line: by price, then by subtotal, then the first."""

    def build(selection: Selection, inner: LineTest) -> ItemsTest:
        def test(lines: Sequence[Line], now: datetime) -> bool:
            priced = [line for line in lines if line.price is not None]
            if not priced or not selection.allows(lines, now):
                return False
            chosen = min(priced, key=_order_of(sign))
            is_wanted = selection.is_wanted
            return selection.selects(chosen, now) is is_wanted and inner(
                chosen, Selected([chosen]), now
            )

        return test

    return build


def _order_of(sign: int) -> Callable[[Line], tuple[int, int]]:
    return lambda line: (sign * (line.price or 0), line.subtotal)


_EXTREMES = {"order.items.cheapest": 1, "order.items.most_expensive": -1}

_QUANTIFIERS: dict[str, Callable[[Selection, LineTest], ItemsTest]] = {
    "order.items.any": _any,
    "order.items.every": _every,
    "order.items.none": _none,
    "order.items.cheapest": _extreme(1),
    "order.items.most_expensive": _extreme(-1),
    "product.id": _any,
    "sku.id": _any,
    "product.discount_applicable": _any,
    "sku.discount_applicable": _any,
}

_BY_METADATA: dict[str, Callable[[Selection, LineTest], ItemsTest]] = {
    "product.metadata": _any,
    "product.metadata.match_all": _every,
    "product.metadata.discount_applicable": _any,
}


def _by_product_metadata(leaf: JsonObject) -> Selects:
    key, check = property_of(leaf), compile_conditions(leaf.get("conditions"))
    return lambda line, now: check(product_metadata(line).get(key), now)


PRODUCT_RULES = frozenset(_QUANTIFIERS)
"""Those whose condition names products, and is no comparison."""

ITEM_RULES = frozenset(
    {*_QUANTIFIERS, *_BY_METADATA, *_WITH_PROPERTY}
    | {name for name in _NUMBERS if name.startswith(("product.", "sku."))}
)
"""Rules on items that may stand at the top."""


def each_line(
    measure: Callable[[Line], Any], test: ValueTest, quantifier: Callable[..., bool]
) -> ItemsTest:
    """Return a test of one value of any or of each line."""
    return lambda lines, now: bool(lines) and quantifier(test(measure(line), now) for line in lines)


# -- explaining ----------------------------------------------------------------------------------------


class Asked(NamedTuple):
    """One rule as it was asked of one line."""

    place: int
    input: Any
    holds: bool


class Looked(NamedTuple):
    """What a rule looked at: the lines that it selects, and what it and those inside it found there."""

    places: list[int]
    own: list[Asked]
    """Of a rule that is itself about a line's value."""
    inside: list[tuple[Node, list[Asked]]]


def look(
    project_id: str, leaf: JsonObject, lines: Sequence[Line], now: datetime, most: int
) -> Looked:
    """Return what the rule looks at, in words for the first ``most`` lines; as the tests do, once more."""
    name = str(leaf.get("name"))
    selects = _selects(project_id, name, leaf)
    places = [place for place, line in enumerate(lines) if selects(line, now)]
    if name in _EXTREMES:
        priced = [place for place, line in enumerate(lines) if line.price is not None]
        best = _order_of(_EXTREMES[name])
        places = [min(priced, key=lambda place: best(lines[place]))] if priced else []
    selected = Selected([lines[place] for place in places])

    def asked(body: JsonObject) -> list[Asked]:
        measure, test = _measure(str(body.get("name")), body), _line_test(body)
        return [
            Asked(place, measure(lines[place], selected), test(lines[place], selected, now))
            for place in places[:most]
        ]

    tree = lay_out(leaf.get("rules") or {}, lambda _body: False)
    is_about_lines = name not in _QUANTIFIERS and name not in _BY_METADATA
    return Looked(
        places,
        asked(leaf) if is_about_lines else [],
        [(node, asked(node.body)) for node in tree.nodes],
    )


def _selects(project_id: str, name: str, leaf: JsonObject) -> Selects:
    if name in _QUANTIFIERS:
        _, values = only_values(leaf.get("conditions"), WANTED)
        products = products_of(project_id, names_of(values))
        return lambda line, _now: products.covers(line)
    if name in _BY_METADATA:
        return _by_product_metadata(leaf)
    return _has_sku if name.startswith("sku.") else _everything
