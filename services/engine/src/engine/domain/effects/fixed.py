"""A new price: for the order, or for every unit that may be discounted. A price is never raised."""

from engine.domain.effects.targets import Target
from engine.domain.effects.work import Work


def apply_to_order(work: Work) -> int:
    """Take what is above the new total. Bundles do not multiply a price."""
    base = work.cart.amount if work.is_initial else work.cart.total
    return min(max(0, base - work.asked.amount(work.discount.off)), work.cart.total)


def apply_to_items(work: Work) -> list[int]:
    """Take what the units cost above their new price."""
    return [
        max(0, target.share_of(work.base_of(target)) - _price(work, target) * target.units)
        for target in work.targets
    ]


def _price(work: Work, target: Target) -> int:
    price = target.entry.price or work.discount.off
    return work.asked.on(target.line).amount(price)
