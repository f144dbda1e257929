"""Values of definitions that may be formulas: what a formula can ask for, and what becomes of its result.

Money is in major units inside formulas and in minor units everywhere else. What a formula cannot say is
said by the static value beside it.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, tzinfo
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from contracts import money
from contracts.errors import JsonObject
from contracts.formulas import Formula, FormulaError, evaluate, from_json, parse
from contracts.formulas import Value as Operand
from engine import limits
from engine.domain.order import Cart, Line

if TYPE_CHECKING:
    from engine.domain.facts import Facts

MINOR_UNITS = 100
"""In a major unit; the public API writes every currency's amounts times 100."""

PERCENT_MAX = Fraction(100)
OF_PUBLICATIONS = frozenset({"VOUCHER_PUBLISH_COUNT", "PUBLICATION_METADATA"})
"""What only a code's publications can tell."""

NOTHING = Fraction(0)


class Value(NamedTuple):
    """A number, or the formula that gives it; the number is then the fallback."""

    number: Fraction | None
    formula: Formula | None = None
    whole: int = 0
    """The number as an amount or a quantity: whole, at least 0."""
    percent: Fraction = NOTHING
    """The number as a percentage: 0 to 100."""

    @property
    def is_per_line(self) -> bool:
        """Say whether it may differ from line to line."""
        return self.formula is not None and self.formula.is_per_line


def read_value(sent: JsonObject, name: str) -> Value | None:
    """Read ``name`` and its sibling ``<name>_formula``; None when neither is there."""
    number, formula = _number(sent.get(name)), _formula(sent.get(f"{name}_formula"))
    if number is None and formula is None:
        return None
    return Value(number, formula, _whole(number), _percent(number))


def _number(sent: Any) -> Fraction | None:
    number = from_json(sent)
    return number if isinstance(number, Fraction) and number >= 0 else None


def _formula(sent: Any) -> Formula | None:
    try:
        return _parsed(sent) if isinstance(sent, str) and sent else None
    except FormulaError:
        # It was saved before it would have been refused: the static value counts.
        return None


_parsed = lru_cache(maxsize=4096)(parse)


class Redeemed(NamedTuple):
    """What a formula may ask about the redeemable itself."""

    metadata: JsonObject = {}
    quantity: int | None = None
    redeemed_quantity: int = 0
    start: datetime | None = None
    end: datetime | None = None
    is_tier: bool = False
    bundle_quantity: int | None = None
    publish_count: int | None = None
    publication_metadata: JsonObject | None = None


class Asked:
    """One redeemable's formulas are evaluated against this; ``line`` for those that ask about a line.

    Most values are numbers, for which nothing of it is needed.
    """

    __slots__ = ("facts", "line", "memo", "redeemed")

    def __init__(self, facts: "Facts", redeemed: Redeemed, line: Line | None = None) -> None:
        self.facts = facts
        self.redeemed = redeemed
        self.line = line
        self.memo: dict[Any, Any] = {}
        """What is the same for every line: computed once, shared by all that :meth:`on` returns."""

    def on(self, line: Line) -> "Asked":
        """Return the same for one line."""
        asked = Asked(self.facts, self.redeemed, line)
        asked.memo = self.memo
        return asked

    def amount(self, value: Value) -> int:
        """Return minor units, at least 0."""
        if value.formula is None:
            return value.whole
        result = self._formula_result(value)
        if result is not None:
            return min(
                money.round_half_up(max(Fraction(0), result) * MINOR_UNITS), limits.AMOUNT_MAX
            )
        return value.whole

    def percent(self, value: Value) -> Fraction:
        """Return a percentage, 0 to 100, unrounded."""
        result = self._formula_result(value)
        return value.percent if result is None else _percent(result)

    def quantity(self, value: Value) -> int:
        """Return a number of units: the nearest whole number, at least 0."""
        result = self._formula_result(value)
        return min(value.whole if result is None else _whole(result), limits.QUANTITY_MAX)

    def _formula_result(self, value: Value) -> Fraction | None:
        if value.formula is None:
            return None
        if value.is_per_line:
            return _number_of(evaluate(value.formula, self.lookup))
        if id(value) not in self.memo:
            # The value itself is kept too: its id is good for as long as it is there.
            self.memo[id(value)] = value, _number_of(evaluate(value.formula, self.lookup))
        result: Fraction | None = self.memo[id(value)][1]
        return result

    def lookup(self, name: str, key: str | None) -> Operand:
        """Return a variable's value, or an attribute of metadata."""
        if key is not None:
            metadata = self._metadata(name) or {}
            return from_json(metadata.get(key))
        for prefix, find in _LINES.items():
            if name.startswith(prefix) and name != "ORDER_ITEMS_QUANTITY":
                line = find(self)
                return _LINE_NUMBERS[name.removeprefix(prefix)](line) if line else None
        return _OTHERS[name](self)

    def _metadata(self, name: str) -> JsonObject | None:
        if name in _METADATA:
            return _METADATA[name](self)
        prefix = next(one for one in _LINES if name.startswith(one))
        line = _LINES[prefix](self)
        if line is None:
            return None
        if name == f"{prefix}METADATA":
            return line.metadata
        # A SKU has attributes of its own; what it does not say, its product does.
        return {**(line.product.get("metadata") or {}), **(line.sku.get("metadata") or {})}

    @property
    def cart(self) -> Cart | None:
        """The order, if there is one."""
        return self.facts.cart

    @property
    def timezone(self) -> tzinfo | None:
        """The project's time zone."""
        return self.facts.now.tzinfo


def _number_of(result: Operand) -> Fraction | None:
    return result if isinstance(result, Fraction) else None


def _whole(number: Fraction | None) -> int:
    """Return the nearest whole number, at least 0."""
    if number is None or number.numerator <= 0:
        return 0
    return number.numerator if number.denominator == 1 else money.round_half_up(number)


def _percent(number: Fraction | None) -> Fraction:
    return min(max(number or NOTHING, NOTHING), PERCENT_MAX)


def unit_price(line: Line) -> int | Fraction:
    """Return what one unit costs."""
    if line.price is not None:
        return line.price
    return Fraction(line.amount, line.quantity) if line.quantity else Fraction(0)


def _extreme(sign: int) -> Callable[[Asked], Line | None]:
    def find(asked: Asked) -> Line | None:
        cart = asked.cart
        if cart is None:
            return None
        # Of one step: units that it adds change the lines or the amount.
        key = (sign, len(cart.lines), cart.amount)
        if key not in asked.memo:
            asked.memo[key] = min(
                cart.lines,
                key=lambda line: (sign * unit_price(line), line.subtotal),
                default=None,
            )
        found: Line | None = asked.memo[key]
        return found

    return find


_LINES: Mapping[str, Callable[[Asked], Line | None]] = {
    "CHEAPEST_ORDER_ITEM_": _extreme(1),
    "MOST_EXPENSIVE_ORDER_ITEM_": _extreme(-1),
    "ORDER_ITEM_": lambda asked: asked.line,
}
"""How the line is found; of several with the same price the one with the lowest subtotal, then the first."""


def _major(minor: int | Fraction) -> Fraction:
    return Fraction(minor) / MINOR_UNITS


_LINE_NUMBERS: Mapping[str, Callable[[Line], Operand]] = {
    "PRICE": lambda line: _major(unit_price(line)),
    "AMOUNT": lambda line: _major(line.amount),
    "SUBTOTAL": lambda line: _major(line.subtotal),
    "UNITS_QUANTITY": lambda line: Fraction(line.quantity),
}

_METADATA: Mapping[str, Callable[[Asked], JsonObject | None]] = {
    "ORDER_METADATA": lambda asked: asked.cart.header.get("metadata") if asked.cart else None,
    "CUSTOMER_METADATA": lambda asked: (asked.facts.customer or {}).get("metadata"),
    "REDEEMABLE_METADATA": lambda asked: asked.redeemed.metadata,
    "REDEMPTION_METADATA": lambda asked: asked.facts.metadata,
    "PUBLICATION_METADATA": lambda asked: asked.redeemed.publication_metadata,
}


def _count(number: int | None) -> Operand:
    return None if number is None else Fraction(number)


def _local(moment: datetime | None, asked: Asked) -> Operand:
    return None if moment is None else moment.astimezone(asked.timezone)


def _birthdate(asked: Asked) -> Operand:
    customer = asked.facts.customer or {}
    text = customer.get("birthdate") or customer.get("birthday")
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError:
        return None


_OTHERS: Mapping[str, Callable[[Asked], Operand]] = {
    "ORDER_AMOUNT": lambda asked: _major(asked.cart.amount) if asked.cart else None,
    "ORDER_ITEMS_QUANTITY": lambda asked: _count(len(asked.cart.lines)) if asked.cart else None,
    "ORDER_UNITS_QUANTITY": lambda asked: (
        _count(sum(line.quantity for line in asked.cart.lines)) if asked.cart else None
    ),
    "ORDER.BUNDLE.QUANTITY": lambda asked: _count(asked.redeemed.bundle_quantity),
    "VOUCHER_REDEMPTION_QUANTITY": lambda asked: _count(asked.redeemed.quantity),
    "VOUCHER_REDEEMED_QUANTITY": lambda asked: _count(asked.redeemed.redeemed_quantity),
    "VOUCHER_PUBLISH_COUNT": lambda asked: _count(asked.redeemed.publish_count),
    "VOUCHER_START_DATE": lambda asked: _local(asked.redeemed.start, asked),
    "VOUCHER_EXPIRATION_DATE": lambda asked: _local(asked.redeemed.end, asked),
    "PROMOTION_TIER_START_DATE": lambda asked: (
        _local(asked.redeemed.start, asked) if asked.redeemed.is_tier else None
    ),
    "PROMOTION_TIER_EXPIRATION_DATE": lambda asked: (
        _local(asked.redeemed.end, asked) if asked.redeemed.is_tier else None
    ),
    "CUSTOMER_BIRTHDATE": _birthdate,
    "TODAY": lambda asked: asked.facts.now.date(),
    "NOW": lambda asked: asked.facts.now,
}
