"""A new price: for the order, or for every unit that may be discounted. A price is never raised."""

from collections.abc import Callable

from engine.domain.discounts import Discount
from engine.domain.effects.work import Work


def apply_to_order(work: Work) -> int:
    """Take what is above the new total. Bundles do not multiply a price."""
    base = work.cart.amount if work.is_initial else work.cart.total
    return min(max(0, base - work.asked.amount(work.discount.off)), work.cart.total)


def apply_to_items(work: Work) -> list[int]:
    """Take what the units cost above their new price."""
    return [
        max(0, base - price * units)
        for base, price, units in zip(work.bases, _prices(work), work.units, strict=True)
    ]


def of_whole_lines(discount: Discount) -> Callable[..., list[int]]:
    """Return what brings whole lines down to a new price a unit."""
    price = discount.off.whole
    return lambda bases, left, units: [
        min(max(0, base - price * number), bound)
        for base, bound, number in zip(bases, left, units, strict=True)
    ]


def _prices(work: Work) -> list[int]:
    """Return each target's new price for a unit: its entry's own, or the discount's."""
    off = work.discount.off
    return [work.asked.on(target.line).amount(target.entry.price or off) for target in work.targets]
