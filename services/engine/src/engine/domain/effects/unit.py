"""Free units: added to the order, or put in the place of other units.

Added units have the price of the line that they join, else the catalogue's; what is free is an item
discount of the line. These effects change the cart themselves.
"""

from typing import NamedTuple

from contracts import ids, money
from engine import limits
from engine.domain import discounts
from engine.domain.discounts import Units
from engine.domain.effects.targets import Target
from engine.domain.effects.work import Work
from engine.domain.order import Cart, Details, Line
from engine.domain.products import Products, products_of


class _Wanted(NamedTuple):
    """What a unit type names."""

    products: Products
    product_id: str | None
    sku_id: str | None

    def is_exactly(self, line: Line) -> bool:
        """Say whether units of it join this line."""
        if self.sku_id is not None:
            return line.sku_id == self.sku_id
        return line.product_id == self.product_id and line.sku_id is None


def product_references(project_id: str, unit_type: str) -> tuple[str | None, str | None]:
    """Return the ids of the product and the SKU that a unit type names; neither for a collection."""
    if unit_type.startswith("pc_"):
        return None, None
    if unit_type.startswith("sku_"):
        return None, unit_type
    if unit_type.startswith("prod_"):
        return unit_type, None
    return ids.product_id(project_id, unit_type), None


def _wanted(cart: Cart, unit_type: str) -> _Wanted:
    project_id = cart.facts.project_id
    product_id, sku_id = product_references(project_id, unit_type)
    kind = "products_collection" if unit_type.startswith("pc_") else "product"
    named = {"object": "sku" if sku_id else kind, "id": sku_id or product_id or unit_type}
    return _Wanted(products_of(project_id, [named]), product_id, sku_id)


def apply(work: Work) -> None:
    """Do what every unit of the discount says, one after the other."""
    for units in work.discount.units:
        wanted = _wanted(work.cart, units.unit_type)
        if units.effect == discounts.REPLACE:
            _replace(work, units, wanted)
        else:
            off = work.asked.quantity(units.off) * work.scale
            _ADDING[units.effect](work, wanted, min(off, limits.QUANTITY_MAX))


def _add_missing(work: Work, wanted: _Wanted, off: int) -> None:
    """Bring the product up to ``off`` units; they are free, those that were there before too."""
    cart = work.cart
    there = [
        index
        for index, line in enumerate(cart.lines)
        if wanted.products.covers(line) and index not in work.closed
    ]
    missing = off - sum(cart.lines[index].quantity for index in there)
    if missing > 0:
        joined = _add(work, wanted, missing)
        if joined is not None and joined not in there:
            there.append(joined)
    for index in there:
        units = min(off, cart.lines[index].quantity)
        _free(cart, index, units)
        off -= units


def _add_new(work: Work, wanted: _Wanted, off: int) -> None:
    """Add ``off`` units, and only those are free."""
    joined = _add(work, wanted, off) if off else None
    if joined is not None:
        _free(work.cart, joined, off)


def _add_same(work: Work, wanted: _Wanted, off: int) -> None:
    """Add ``off`` free units of everything in the order that the unit type covers."""
    cart = work.cart
    for index in range(len(cart.lines)):
        line = cart.lines[index]
        is_wanted = line.quantity and wanted.products.covers(line) and index not in work.closed
        if off and is_wanted and _has_room(cart, line, off):
            cart.add_units(index, off)
            _free(cart, index, off)


_ADDING = {
    discounts.ADD_MISSING: _add_missing,
    discounts.ADD_NEW: _add_new,
    discounts.ADD_SAME: _add_same,
}


def _add(work: Work, wanted: _Wanted, units: int) -> int | None:
    """Add units to the product's line, or to a new one; return its index, None if that cannot be."""
    cart = work.cart
    if wanted.product_id is None and wanted.sku_id is None:
        return None
    joined = next((index for index, line in enumerate(cart.lines) if wanted.is_exactly(line)), None)
    is_new, before = joined is None, cart.state
    if joined is None:
        if len(cart.lines) >= limits.ITEMS_MAX:
            return None
        joined = cart.add_line(wanted.product_id, wanted.sku_id)
    if joined in work.closed or not _has_room(cart, cart.lines[joined], units):
        if is_new:
            cart.state = before
        return None
    cart.add_units(joined, units)
    return joined


def _has_room(cart: Cart, line: Line, units: int) -> bool:
    """Say whether the order may grow by so many units: quantities and amounts are bounded."""
    grown = cart.amount + units * (line.price or 0)
    return line.quantity + units <= limits.QUANTITY_MAX and grown <= limits.AMOUNT_MAX


def _free(cart: Cart, index: int, units: int) -> None:
    """Take the price of so many units off the line, but no more than is left of it."""
    line = cart.lines[index]
    if line.price is not None:
        amount = line.price * units
    else:
        amount = line.subtotal * units // line.quantity if line.quantity else 0
    cart.take_from_line(index, min(amount, line.subtotal, max(0, cart.total)), units)


# -- replacing ----------------------------------------------------------------------------------------


def _replace(work: Work, units: Units, wanted: _Wanted) -> None:
    """Put ``unit_off`` units of another product in the place of each unit that may be replaced.

    What the new units cost above the old ones is free; if they cost less, the order costs less.
    """
    cart = work.cart
    removals = [
        (target, removed)
        for target in work.targets
        if not wanted.is_exactly(target.line) and (removed := _removable(cart, target)) > 0
    ]
    per_unit = work.asked.quantity(units.off)
    added = sum(removed for _, removed in removals) * per_unit
    if not added or added > limits.QUANTITY_MAX:
        return
    before = cart.state
    joined = _add(work, wanted, added)
    if joined is not None:
        _swap(cart, removals, joined, per_unit)
    if joined is None or cart.total < 0:
        # Discounts on the order have already paid for what would go away.
        cart.state = before


def _removable(cart: Cart, target: Target) -> int:
    """Return how many units may go: those that an earlier redeemable made cheaper stay."""
    line = target.line
    units = min(target.units, line.quantity - cart.state.units.discounted[target.place])
    return min(units, line.subtotal // line.price) if line.price else units


def _swap(cart: Cart, removals: list[tuple[Target, int]], joined: int, per_unit: int) -> None:
    price = cart.lines[joined].price or 0
    freed = sum(removed * (target.line.price or 0) for target, removed in removals)
    added = sum(removed for _, removed in removals) * per_unit
    free = min(max(0, added * price - freed), max(0, cart.total - freed))
    shares = money.allocate(free, [removed for _, removed in removals])
    details = tuple(
        Details(
            source_index=target.place,
            removed=removed,
            removed_amount=removed * (target.line.price or 0),
            target_index=joined,
            added=removed * per_unit,
            added_amount=removed * per_unit * price,
            discount=share,
        )
        for (target, removed), share in zip(removals, shares, strict=True)
    )
    for one in details:
        cart.add_units(one.source_index, -one.removed, (one,))
    cart.add_units(joined, 0, details)
    if free:
        cart.take_from_line(joined, free, added)
