"""What each discount does to a cart, by (type, effect). A new effect is one function and one row here.

Order and line effects return what they would take and leave the cart alone; unit effects add and replace
units themselves. What is taken is never more than there is, and never above a cap: of several caps the
one that leaves the least counts.
"""

from collections.abc import Callable, Sequence

from engine.domain.discounts import UNIT_EFFECTS
from engine.domain.effects import amount, fixed, percent
from engine.domain.effects.targets import Target
from engine.domain.effects.work import Work, cap

OrderEffect = Callable[[Work], int]
"""Returns what to take from the order."""

LineEffect = Callable[[Work], list[int]]
"""Returns what it would take from each target."""

ORDER_EFFECTS: dict[tuple[str, str], OrderEffect] = {
    ("AMOUNT", "APPLY_TO_ORDER"): amount.apply_to_order,
    ("PERCENT", "APPLY_TO_ORDER"): percent.apply_to_order,
    ("FIXED", "APPLY_TO_ORDER"): fixed.apply_to_order,
}

LINE_EFFECTS: dict[tuple[str, str], LineEffect] = {
    ("AMOUNT", "APPLY_TO_ITEMS"): amount.apply_to_items,
    ("AMOUNT", "APPLY_TO_ITEMS_BY_QUANTITY"): amount.by_quantity,
    ("AMOUNT", "APPLY_TO_ITEMS_PROPORTIONALLY"): amount.proportionally,
    ("AMOUNT", "APPLY_TO_ITEMS_PROPORTIONALLY_BY_QUANTITY"): amount.proportionally_by_quantity,
    ("PERCENT", "APPLY_TO_ITEMS"): percent.apply_to_items,
    ("FIXED", "APPLY_TO_ITEMS"): fixed.apply_to_items,
}

COUNTING_EFFECTS = frozenset(
    {("AMOUNT", "APPLY_TO_ITEMS_BY_QUANTITY"), ("FIXED", "APPLY_TO_ITEMS")}
)
"""Line effects that discount units: answers say how many."""


def is_built(discount_type: str, effect: str) -> bool:
    """Say whether the engine knows this effect."""
    name = (discount_type, effect)
    is_unit = discount_type == "UNIT" and effect in UNIT_EFFECTS
    return is_unit or name in ORDER_EFFECTS or name in LINE_EFFECTS


def take_from_order(work: Work, effect: OrderEffect) -> None:
    """Take from the order as a whole."""
    work.cart.take_from_order(effect(work))


def take_from_lines(work: Work, effect: LineEffect, *, is_counting: bool) -> Sequence[int]:
    """Take from lines; return of each part how much. ``is_counting``: the effect discounts units."""
    amounts = bounded(work, effect(work))
    lines = len(work.cart.lines)
    parts = amounts if len(amounts) == lines else spread(amounts, work.places, lines)
    counted = _counted(work, amounts, is_counting=is_counting)
    units = spread(counted, work.places, lines) if any(counted) else None
    work.cart.take_from_lines(parts, units)
    return amounts


def _counted(work: Work, amounts: Sequence[int], *, is_counting: bool) -> Sequence[int]:
    """Return of each part the units that answers say were discounted."""
    if is_counting:
        return [n if part else 0 for n, part in zip(work.units, amounts, strict=True)]
    return [
        target.units if part and target.entry.counts_units else 0
        for target, part in zip(work.targets, amounts, strict=False)
    ]


def spread(values: Sequence[int], places: Sequence[int], size: int) -> list[int]:
    """Return the values as a column for all lines, 0 for those that have none."""
    column = [0] * size
    for place, value in zip(places, values, strict=True):
        column[place] = value
    return column


def bounded(work: Work, wanted: Sequence[int]) -> list[int]:
    """Return the amounts under every cap: of each line, of each entry, of the discount, of the order."""
    amounts = list(map(min, wanted, work.bounds))
    if work.targets:
        amounts = _under_entries(work, amounts)
    limit_of_all = work.discount.aggregated_amount_limit
    if limit_of_all is not None:
        amounts = cap(amounts, limit_of_all * work.scale)
    return cap(amounts, work.cart.total)


def _under_entries(work: Work, wanted: Sequence[int]) -> list[int]:
    amounts = [
        _under_line_cap(work, target, one) for target, one in zip(work.targets, wanted, strict=True)
    ]
    for entry in {id(one.entry): one.entry for one in work.targets}.values():
        together = entry.caps.get("aggregated_amount_limit")
        if together is not None:
            limit = work.asked.amount(together) * work.scale
            places = [n for n, one in enumerate(work.targets) if one.entry is entry]
            for place, part in zip(places, cap([amounts[n] for n in places], limit), strict=True):
                amounts[place] = part
    return amounts


def _under_line_cap(work: Work, target: Target, amount_wanted: int) -> int:
    limit = target.entry.caps.get("amount_limit")
    if limit is None:
        return amount_wanted
    return min(amount_wanted, work.asked.on(target.line).amount(limit) * work.scale)
