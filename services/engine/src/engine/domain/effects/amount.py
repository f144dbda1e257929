"""An amount off: the order, every line, every unit, or split over lines."""

from contracts import money
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
    return [off * target.units for target, off in zip(work.targets, _offs(work, 1), strict=True)]


def proportionally(work: Work) -> list[int]:
    """Split the amount over the lines by what they cost."""
    bounds = [work.bound_of(target) for target in work.targets]
    weights = [target.share_of(work.base_of(target)) for target in work.targets]
    return money.at_most(work.asked.amount(work.discount.off) * work.scale, bounds, weights)


def proportionally_by_quantity(work: Work) -> list[int]:
    """Split the amount over the lines by how many units they have."""
    bounds = [work.bound_of(target) for target in work.targets]
    weights = [target.units for target in work.targets]
    return money.at_most(work.asked.amount(work.discount.off) * work.scale, bounds, weights)


def _offs(work: Work, scale: int) -> list[int]:
    off = work.discount.off
    if off.is_per_line:
        return [work.asked.on(target.line).amount(off) * scale for target in work.targets]
    return [work.asked.amount(off) * scale] * len(work.targets)
