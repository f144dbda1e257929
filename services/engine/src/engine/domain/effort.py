"""How much work a cart is, counted before any of it is done.

A step is about a tenth of a microsecond of one core. What definitions cost is added up once per version;
a request multiplies it by its lines. No clock is asked, so that the same cart is always priced or always
refused, on any machine. Not for what the ledger or the replica cost.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from contracts.errors import DomainError, JsonObject
from contracts.formulas import Formula
from contracts.formulas.language import Call, Load
from engine import limits
from engine.domain.applicable import Entry
from engine.domain.bundle import BundleRule
from engine.domain.discounts import Discount
from engine.domain.formulas import Value
from engine.domain.item_rules import ITEM_RULES, PRODUCT_RULES
from engine.domain.products import ALL_PRODUCTS_ID

REDEEMABLE, LINE, BOUNDED_LINE = 2_000, 110, 110
"""One redeemable, each line that it prices, and what caps on units add to a line."""

RULE, COMPARISON, RULE_OF_LINE, COLLECTION_OF_LINE = 10, 10, 4, 60
"""One rule, one value that it compares with, one rule on one line, one collection on one line."""

SHOWN_ENTRY = 30
"""One entry of ``applicable_to``, which every answer shows."""

SEGMENT = 200
"""Asking whether a customer is in one segment."""

FORMULA_STEP, LONG_STEP, POWER, UNITS_ADDED_UP = 40, 250, 700, 1_500
"""A step of a formula; one where powers make long numbers; a power; adding up the units of 500 lines."""

SEARCHED = 2
"""So many times as much is a stack whose best order is searched; trials show no orders."""

_PER_LINE = ("order.items.price", "order.items.metadata")


class CartTooComplex(DomainError):
    """The order's lines, times what its redeemables' rules and formulas ask of each, are too much work."""

    key = "cart_too_complex"
    message = "Cart too complex"


class Effort(NamedTuple):
    """Steps of a redeemable, and further steps for each line of the order."""

    once: int = 0
    per_line: int = 0

    def plus(self, other: "Effort") -> "Effort":
        """Return both together."""
        return Effort(self.once + other.once, self.per_line + other.per_line)


NO_EFFORT = Effort()


def refuse_too_complex(efforts: Sequence[Effort], lines: int, *, is_searched: bool) -> int:
    """Return the steps of a stack; raises :class:`CartTooComplex`.

    A stack whose best order is searched is applied several times.
    """
    steps = sum(one.once + one.per_line * lines for one in efforts)
    _refuse_above(limits.EFFORT_MAX, steps * SEARCHED if is_searched else steps, lines)
    return steps


def refuse_too_many_offers(efforts: Iterable[Effort], lines: int) -> None:
    """Raise :class:`CartTooComplex` where trying everything that is on offer is too much."""
    steps = sum(one.once + one.per_line * lines for one in efforts)
    _refuse_above(limits.EFFORT_OF_OFFERS_MAX, steps, lines)


def _refuse_above(most: int, steps: int, lines: int) -> None:
    if steps > most:
        raise CartTooComplex(
            f"The order's {lines} lines with these redeemables take {steps:,} steps of work;"
            f" the most is {most:,}. Send fewer lines or redeemables, or make rules and formulas"
            " simpler."
        )


def trials_of(steps: int, redeemables: int, lines: int) -> int:
    """Return how many redeemables the search for the best deal may apply on trial."""
    each = max(1, steps // max(1, redeemables))
    left = max(0, limits.EFFORT_MAX - SEARCHED * steps) // each
    by_lines = limits.BEST_DEAL_LINE_STEPS_MAX // max(1, lines)
    return min(limits.BEST_DEAL_STEPS_MAX, by_lines, 2 * redeemables + left)


# -- rules --------------------------------------------------------------------------------------------


def effort_of_rule(
    bodies: Iterable[JsonObject], entries: Sequence[Entry], bundle: BundleRule | None
) -> Effort:
    """Return the steps of a validation rule: its ``bodies``, and what its discount may touch."""
    found = [_effort_of_body(body) for body in bodies]
    once = sum(one.once for one in found) + len(entries) * SHOWN_ENTRY
    # Who is to blame is found by asking again for every rule: so many times so many.
    once += len(found) ** 2
    per_line = sum(one.per_line for one in found)
    named = sum(len(entry.products.collection_ids - {ALL_PRODUCTS_ID}) for entry in entries)
    per_line += named * COLLECTION_OF_LINE
    if bundle is not None:
        # The number of bundles is found by halving.
        fillings = 2 * len(bundle.parts) * (1 + bundle.limit.bit_length())
        per_line += fillings * RULE_OF_LINE + len(bundle.collection_ids) * COLLECTION_OF_LINE
    return Effort(once, per_line).plus(_effort_of_entries(entries))


def _effort_of_body(body: JsonObject) -> Effort:
    name, values = str(body.get("name")), _values(body.get("conditions"))
    own = RULE + COMPARISON * values
    if name == "customer.segment":
        return Effort(own + SEGMENT * values)
    if name not in ITEM_RULES and not name.startswith(_PER_LINE):
        return Effort(own)
    inside = sum(
        RULE + COMPARISON * _values(one.get("conditions")) for one in _inside(body.get("rules"))
    )
    if name not in PRODUCT_RULES:
        return Effort(own, RULE_OF_LINE + own + inside)
    collections = values * COLLECTION_OF_LINE if "pc_" in str(body.get("conditions")) else 0
    return Effort(own, RULE_OF_LINE + collections + inside)


def _values(conditions: Any) -> int:
    if not isinstance(conditions, dict):
        return 0
    return sum(len(sent) if isinstance(sent, list) else 1 for sent in conditions.values())


def _inside(rules: Any) -> Iterable[JsonObject]:
    """Yield the rules inside a rule on items, at every level."""
    todo = [rules]
    while todo:
        group = todo.pop()
        for body in group.values() if isinstance(group, dict) else ():
            if isinstance(body, dict):
                yield body
                todo.append(body.get("rules"))


# -- discounts and formulas ---------------------------------------------------------------------------


def effort_of_discount(discount: Discount | None) -> Effort:
    """Return the steps of a discount that has no entries."""
    values = () if discount is None else (discount.off, *(units.off for units in discount.units))
    return Effort(REDEEMABLE, LINE).plus(_effort_of_values(values))


def _effort_of_entries(entries: Sequence[Entry]) -> Effort:
    """An entry has lines of its own: of what entries ask of each line, the most counts."""
    efforts = [
        _effort_of_values([*entry.caps.values(), *entry.counters.values(), entry.price])
        for entry in entries
    ]
    bounded = BOUNDED_LINE if any(entry.counts_units for entry in entries) else 0
    per_line = max((one.per_line for one in efforts), default=0)
    return Effort(sum(one.once for one in efforts), per_line + bounded)


def _effort_of_values(values: Iterable[Value | None]) -> Effort:
    effort = NO_EFFORT
    for value in values:
        if value is not None and value.formula is not None:
            steps = _steps_of(value.formula)
            effort = effort.plus(Effort(0, steps) if value.is_per_line else Effort(steps))
    return effort


def _steps_of(formula: Formula) -> int:
    # Without powers numbers grow only as long as what is written.
    calls = [step.name for step in formula.steps if isinstance(step, Call)]
    each = LONG_STEP if "POW" in calls else FORMULA_STEP
    sums = sum(
        1
        for step in formula.steps
        if isinstance(step, Load) and step.name == "ORDER_UNITS_QUANTITY"
    )
    return len(formula.steps) * each + calls.count("POW") * POWER + sums * UNITS_ADDED_UP
