"""What each discount does to a cart, by (type, effect). A new effect is one function and one row here.

Order and line effects return what they would take and leave the cart alone; unit effects add and replace
units themselves. What is taken is never more than there is, and never above a cap: of several caps the
one that leaves the least counts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.domain.discounts import UNIT_EFFECTS, Discount
from engine.domain.effects import amount, fixed, percent
from engine.domain.effects.targets import Target
from engine.domain.effects.work import Work, cap
from engine.domain.order import Cart

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

TakeOfLines = Callable[[Sequence[int], Sequence[int], Sequence[int]], list[int]]
"""Gets of whole lines what the discount is computed from, what is left of them, and their units.

Returns what it takes of each, never more than is left.
"""

WHOLE_LINES: dict[tuple[str, str], Callable[[Discount], TakeOfLines]] = {
    ("AMOUNT", "APPLY_TO_ITEMS"): amount.of_whole_lines,
    ("AMOUNT", "APPLY_TO_ITEMS_BY_QUANTITY"): amount.by_quantity_of_whole_lines,
    ("AMOUNT", "APPLY_TO_ITEMS_PROPORTIONALLY"): amount.proportionally_to_whole_lines,
    ("AMOUNT", "APPLY_TO_ITEMS_PROPORTIONALLY_BY_QUANTITY"): amount.proportionally_to_their_units,
    ("PERCENT", "APPLY_TO_ITEMS"): percent.of_whole_lines,
    ("FIXED", "APPLY_TO_ITEMS"): fixed.of_whole_lines,
}
"""The same line effects made into one function of a discount that is a number."""

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
    """Take from the targets; return of each how much. ``is_counting``: the effect discounts units."""
    amounts, lines = bounded(work, effect(work)), len(work.cart.lines)
    counted = [
        target.units if part and (is_counting or target.entry.counts_units) else 0
        for target, part in zip(work.targets, amounts, strict=True)
    ]
    units = spread(counted, work.places, lines) if any(counted) else None
    work.cart.take_from_lines(spread(amounts, work.places, lines), units)
    return amounts


@dataclass(slots=True)
class WholeLines:
    """A discount that is a number on whole lines; never changed."""

    take: TakeOfLines
    limit: int | None
    """On all lines together."""
    is_counting: bool


def of_whole_lines(name: tuple[str, str], discount: Discount) -> WholeLines:
    """Return such a discount."""
    take, limit = WHOLE_LINES[name](discount), discount.aggregated_amount_limit
    return WholeLines(take, limit, name in COUNTING_EFFECTS)


def take_from_all_lines(cart: Cart, whole: WholeLines, bases: list[int]) -> None:
    """Take a number from each line; ``bases`` is what it is computed from."""
    state = cart.state
    quantities = state.units.quantities
    amounts = whole.take(bases, state.left, quantities)
    if whole.limit is not None or state.discount:
        amounts = _bounded_whole(cart, whole, amounts)
    cart.take_from_lines(amounts, _counted(whole, amounts, quantities))


def take_from_whole_lines(
    cart: Cart, whole: WholeLines, bases: list[int], places: Sequence[int]
) -> None:
    """Take a number from these lines; ``bases`` is what it is computed from, of every line."""
    state, lines = cart.state, len(bases)
    left = [state.left[place] for place in places]
    chosen = left if bases is state.left else [bases[place] for place in places]
    quantities = [state.units.quantities[place] for place in places]
    amounts = _bounded_whole(cart, whole, whole.take(chosen, left, quantities))
    counted = _counted(whole, amounts, quantities)
    units = spread(counted, places, lines) if counted is not None else None
    cart.take_from_lines(spread(amounts, places, lines), units)


def _bounded_whole(cart: Cart, whole: WholeLines, amounts: list[int]) -> list[int]:
    if whole.limit is not None:
        amounts = cap(amounts, whole.limit)
    # As long as nothing is taken from the order as a whole, what lines have left is left to pay.
    return cap(amounts, cart.total) if cart.state.discount else amounts


def _counted(
    whole: WholeLines, amounts: Sequence[int], quantities: Sequence[int]
) -> list[int] | None:
    """Return the units that are discounted, None where answers do not say how many."""
    if not whole.is_counting:
        return None
    return [number if part else 0 for number, part in zip(quantities, amounts, strict=True)]


def spread(values: Sequence[int], places: Sequence[int], size: int) -> list[int]:
    """Return the values as a column for all lines, 0 for those that have none."""
    column = [0] * size
    for place, value in zip(places, values, strict=True):
        column[place] = value
    return column


def bounded(work: Work, wanted: Sequence[int]) -> list[int]:
    """Return the amounts under every cap: of each line, of each entry, of the discount, of the order."""
    amounts = _under_entries(work, list(map(min, wanted, work.bounds)))
    limit = work.discount.aggregated_amount_limit
    if limit is not None:
        amounts = cap(amounts, limit * work.scale)
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
