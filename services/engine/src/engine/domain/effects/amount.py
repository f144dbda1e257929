"""An amount off: the order, every line, every unit, or split over lines."""

from contracts import money
from engine.domain.effects.work import Work


def apply_to_order(work: Work) -> int:
    """Take the amount, but no more than there is left to pay."""
    return min(work.asked.amount(work.discount.off) * work.scale, work.cart.total)


def apply_to_items(work: Work) -> list[int]:
    """Take the amount from each line; from each unit where the application rule counts units."""
    offs = _offs(work, work.scale)
    if not work.targets:
        return offs
    return [
        off * target.units if target.entry.is_per_unit else off
        for target, off in zip(work.targets, offs, strict=True)
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
        lines = work.cart.lines
        return [work.asked.on(lines[place]).amount(off) * scale for place in work.places]
    return [work.asked.amount(off) * scale] * len(work.places)
