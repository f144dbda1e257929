"""The words of the formula language, what a formula is once it is read, and its bounds."""

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from typing import NamedTuple, TypeAlias

FORMULA_LENGTH_MAX = 2_000
"""Characters of a formula."""

FORMULA_STEPS_MAX = 500
"""Values and operations of a formula."""

FORMULA_DEPTH_MAX = 50
"""Parentheses and functions inside each other."""

NUMBER_LENGTH_MAX = 30
"""Characters of a number in a formula."""

NUMBER_BITS_MAX = 4_096
"""Size of a numerator or denominator while a formula is evaluated; what is larger is missing."""

EXPONENT_MAX = 1_000
PRECISION_MAX = 20
"""Digits to which ``ROUND`` and its kin may round, before and after the point."""


class Case(NamedTuple):
    """``SWITCH_CASE(value; result)``, inside ``SWITCH`` only."""

    value: "Value"
    result: "Value"


Value: TypeAlias = Fraction | str | bool | date | tuple["Value", ...] | Case | None
"""A value while a formula is evaluated; an instant is a ``datetime``; None is missing."""


class FormulaError(Exception):
    """The text is no formula. ``reason`` completes "must be a formula: …"."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(f"{reason} at character {at + 1}")


class Constant(NamedTuple):
    """Puts a value on the stack."""

    value: Value


class Load(NamedTuple):
    """Puts a variable on the stack, or the attribute ``key`` of metadata."""

    name: str
    key: str | None = None


class Call(NamedTuple):
    """Takes ``arity`` values from the stack and puts the operation's result there."""

    name: str
    arity: int


Step = Constant | Load | Call


class Formula(NamedTuple):
    """A formula that was read: steps in the order in which they are done."""

    text: str
    steps: tuple[Step, ...]
    names: frozenset[str]
    """The variables that it asks for."""

    @property
    def is_per_line(self) -> bool:
        """Say whether its value may differ from line to line."""
        return any(name.startswith("ORDER_ITEM_") for name in self.names - ORDER_TOTALS)


ORDER_TOTALS = frozenset({"ORDER_ITEMS_QUANTITY"})

_LINE_VARIABLES = ("PRICE", "AMOUNT", "SUBTOTAL", "UNITS_QUANTITY")
_LINE_METADATA = ("METADATA", "PRODUCT_METADATA")
LINE_PREFIXES = ("ORDER_ITEM_", "CHEAPEST_ORDER_ITEM_", "MOST_EXPENSIVE_ORDER_ITEM_")

VARIABLES = frozenset(
    {
        "ORDER_AMOUNT",
        "ORDER_ITEMS_QUANTITY",
        "ORDER_UNITS_QUANTITY",
        "ORDER.BUNDLE.QUANTITY",
        "VOUCHER_REDEMPTION_QUANTITY",
        "VOUCHER_REDEEMED_QUANTITY",
        "VOUCHER_PUBLISH_COUNT",
        "VOUCHER_START_DATE",
        "VOUCHER_EXPIRATION_DATE",
        "PROMOTION_TIER_START_DATE",
        "PROMOTION_TIER_EXPIRATION_DATE",
        "CUSTOMER_BIRTHDATE",
        "TODAY",
        "NOW",
        *(prefix + name for prefix in LINE_PREFIXES for name in _LINE_VARIABLES),
    }
)

METADATA = frozenset(
    {
        "ORDER_METADATA",
        "CUSTOMER_METADATA",
        "REDEEMABLE_METADATA",
        "REDEMPTION_METADATA",
        "PUBLICATION_METADATA",
        *(prefix + name for prefix in LINE_PREFIXES for name in _LINE_METADATA),
    }
)
"""Asked with the name of an attribute in quotes."""

ARGUMENTS_MAX = 50

FUNCTIONS: Mapping[str, tuple[int, int]] = {
    "MIN": (1, ARGUMENTS_MAX),
    "MAX": (1, ARGUMENTS_MAX),
    "POW": (2, 2),
    "IF": (3, 3),
    "DEFAULT_TO": (1, ARGUMENTS_MAX),
    "ROUND": (1, 2),
    "FLOOR": (1, 2),
    "CEIL": (1, 2),
    "SWITCH": (2, ARGUMENTS_MAX),
    "SWITCH_CASE": (2, 2),
    "DAY_OF_MONTH": (1, 1),
    "MONTH": (1, 1),
    "YEAR": (1, 1),
    "DATE": (1, 1),
    "DATE_TIME": (1, 1),
    "DAYS_SINCE": (1, 1),
    "MONTHS_SINCE": (1, 1),
    "YEARS_SINCE": (1, 1),
    "DAYS_UNTIL": (1, 1),
    "MONTHS_UNTIL": (1, 1),
    "IN_ARRAY": (2, 2),
    "NOT_IN_ARRAY": (2, 2),
    "DATE_IS": (2, 2),
    "DATE_IS_NOT": (2, 2),
    "IS_AFTER": (2, 2),
    "IS_BEFORE": (2, 2),
}
"""Least and most arguments. The last six may also stand between their arguments."""

FROM_TODAY = frozenset({"DAYS_SINCE", "MONTHS_SINCE", "YEARS_SINCE", "DAYS_UNTIL", "MONTHS_UNTIL"})
"""Functions that get today's date as one argument more."""

_COMPARISON = 3
INFIX: Mapping[str, tuple[str, int]] = {
    "OR": ("OR", 1),
    "AND": ("AND", 2),
    "=": ("IS", _COMPARISON),
    "!=": ("ISNOT", _COMPARISON),
    ">": (">", _COMPARISON),
    "<": ("<", _COMPARISON),
    ">=": (">=", _COMPARISON),
    "<=": ("<=", _COMPARISON),
    "IS": ("IS", _COMPARISON),
    "ISNOT": ("ISNOT", _COMPARISON),
    "CONTAINS": ("CONTAINS", _COMPARISON),
    "STARTSWITH": ("STARTSWITH", _COMPARISON),
    "ENDSWITH": ("ENDSWITH", _COMPARISON),
    "IN_ARRAY": ("IN_ARRAY", _COMPARISON),
    "NOT_IN_ARRAY": ("NOT_IN_ARRAY", _COMPARISON),
    "DATE_IS": ("DATE_IS", _COMPARISON),
    "DATE_IS_NOT": ("DATE_IS_NOT", _COMPARISON),
    "IS_AFTER": ("IS_AFTER", _COMPARISON),
    "IS_BEFORE": ("IS_BEFORE", _COMPARISON),
    "+": ("+", 4),
    "-": ("-", 4),
    "*": ("*", 5),
    "×": ("*", 5),
    "X": ("*", 5),
    "/": ("/", 5),
    "÷": ("/", 5),
    "%": ("%", 5),
}
"""Operators between two values: the operation, and how strongly it binds."""

NEGATE = ("NEGATE", 6)
