"""An amount off: the order, every line, every unit, or split over lines."""

from collections.abc import Callable

from contracts import money
from engine.domain.discounts import Discount
from engine.domain.effects.work import Work


def apply_to_order(work: Work) -> int:
    """Take the amount, but no more than there is left to pay."""
    return min(work.asked.amount(work.discount.off) * work.scale, work.cart.total)


def apply_to_items(work: Work) -> list[int]:
    """Take the amount from each line; from each unit where the application rule counts units."""
    return [
        off * target.units if target.entry.is_per_unit else off
        for target, off in zip(work.targets, _offs(work, work.scale), strict=True)
    ]


def by_quantity(work: Work) -> list[int]:
    """Take the amount from each unit; bundles multiply the units that may be discounted, not the amount."""
    return [off * units for off, units in zip(_offs(work, 1), work.units, strict=True)]


def proportionally(work: Work) -> list[int]:
    """Split the amount over the lines by what they cost."""
    off = work.asked.amount(work.discount.off) * work.scale
    return money.at_most(off, work.bounds, work.bases)


def proportionally_by_quantity(work: Work) -> list[int]:
    """Split the amount over the lines by how many units they have."""
    off = work.asked.amount(work.discount.off) * work.scale
    return money.at_most(off, work.bounds, work.units)


def _offs(work: Work, scale: int) -> list[int]:
    off = work.discount.off
    if off.is_per_line:
        return [work.asked.on(target.line).amount(off) * scale for target in work.targets]
    return [work.asked.amount(off) * scale] * len(work.targets)


# -- a number, off whole lines ------------------------------------------------------------------------


def of_whole_lines(discount: Discount) -> Callable[..., list[int]]:
    """Return what takes the amount from each line."""
    off = discount.off.whole
    return lambda _bases, left, _units: [min(off, bound) for bound in left]


def by_quantity_of_whole_lines(discount: Discount) -> Callable[..., list[int]]:
    """Return what takes the amount from each unit."""
    off = discount.off.whole
    return lambda _bases, left, units: [
        min(off * number, bound) for number, bound in zip(units, left, strict=True)
    ]


def proportionally_to_whole_lines(discount: Discount) -> Callable[..., list[int]]:
    """Return what splits the amount by what lines cost."""
    off = discount.off.whole
    return lambda bases, left, _units: money.at_most(off, left, bases)


def proportionally_to_their_units(discount: Discount) -> Callable[..., list[int]]:
    """Return what splits the amount by how many units lines have."""
    off = discount.off.whole
    return lambda _bases, left, units: money.at_most(off, left, units)
