"""A new price: for the order, or for every unit that may be discounted. A price is never raised."""

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


def _prices(work: Work) -> list[int]:
    """Return each part's new price for a unit: its entry's own, or the discount's."""
    off = work.discount.off
    if not work.targets and not off.is_per_line:
        return [work.asked.amount(off)] * len(work.places)
    lines = work.cart.lines
    prices = [target.entry.price or off for target in work.targets] or [off] * len(work.places)
    return [
        work.asked.on(lines[place]).amount(price)
        for place, price in zip(work.places, prices, strict=True)
    ]
