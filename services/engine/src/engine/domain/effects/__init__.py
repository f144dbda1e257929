"""What each discount does to a cart, by (type, effect). A new effect is one function and one row here.

Order and line effects return what they would take and leave the cart alone; unit effects add and replace
units themselves. What is taken is never more than there is, and never above a cap: of several caps the
one that leaves the least counts.
"""

from collections.abc import Callable, Sequence

from engine.domain.discounts import UNIT_EFFECTS
from engine.domain.effects import amount, fixed, percent, unit
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


def needs_lines(discount_type: str, effect: str) -> bool:
    """Say whether the effect takes from the lines that the rules include."""
    return (discount_type, effect) in LINE_EFFECTS or effect == "REPLACE_ITEMS"


def apply(work: Work, effect: str) -> Sequence[Target]:
    """Apply the discount to the cart; return the targets of which something was taken."""
    name = (work.discount.type, effect)
    if work.discount.type == "UNIT":
        unit.apply(work)
        return ()
    if name in ORDER_EFFECTS:
        work.cart.take_from_order(ORDER_EFFECTS[name](work))
        return ()
    amounts = bounded(work, LINE_EFFECTS[name](work))
    taken = []
    for target, part in zip(work.targets, amounts, strict=True):
        if part:
            is_counted = name in COUNTING_EFFECTS or target.entry.counts_units
            work.cart.take_from_line(target.place, part, target.units if is_counted else 0)
            taken.append(target)
    return taken


def bounded(work: Work, wanted: Sequence[int]) -> list[int]:
    """Return the amounts under every cap: of each line, of each entry, of the discount, of the order."""
    amounts = [
        _under_line_cap(work, target, min(one, work.bound_of(target)))
        for target, one in zip(work.targets, wanted, strict=True)
    ]
    for entry in {id(one.entry): one.entry for one in work.targets}.values():
        together = entry.caps.get("aggregated_amount_limit")
        if together is not None:
            limit = work.asked.amount(together) * work.scale
            places = [n for n, one in enumerate(work.targets) if one.entry is entry]
            for place, part in zip(places, cap([amounts[n] for n in places], limit), strict=True):
                amounts[place] = part
    limit_of_all = work.discount.aggregated_amount_limit
    if limit_of_all is not None:
        amounts = cap(amounts, limit_of_all * work.scale)
    return cap(amounts, work.cart.total)


def _under_line_cap(work: Work, target: Target, amount_wanted: int) -> int:
    limit = target.entry.caps.get("amount_limit")
    if limit is None:
        return amount_wanted
    return min(amount_wanted, work.asked.on(target.line).amount(limit) * work.scale)
