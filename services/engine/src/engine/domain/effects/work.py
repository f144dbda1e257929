"""What one redeemable's effect works on: the cart, what it may touch there, and how its values are read."""

from collections.abc import Sequence
from typing import NamedTuple

from contracts import money
from engine.domain.discounts import Discount
from engine.domain.effects.targets import Target
from engine.domain.formulas import Asked
from engine.domain.order import Cart


class Work(NamedTuple):
    """One application of one discount."""

    cart: Cart
    discount: Discount
    asked: Asked
    targets: Sequence[Target] = ()
    """In the order of the lines; empty for what takes from the order as a whole."""
    scale: int = 1
    """How many bundles were found; values and limits are multiplied by it."""
    is_initial: bool = False
    """Percentages and prices are taken of what things cost before any discount."""
    closed: frozenset[int] = frozenset()
    """Lines that no discount may touch any more."""

    def base_of(self, target: Target) -> int:
        """Return the amount of the line that the discount is computed from."""
        return target.line.amount if self.is_initial else target.line.subtotal

    def bound_of(self, target: Target) -> int:
        """Return what may be taken of the target: never more than what its units still cost."""
        return target.share_of(target.line.subtotal)


def cap(wanted: list[int], limit: int | None) -> list[int]:
    """Reduce the amounts in proportion until they sum to the limit."""
    if limit is None or sum(wanted) <= limit:
        return wanted
    return money.allocate(limit, wanted)
