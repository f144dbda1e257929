"""What one redeemable's effect works on: the cart, what it may touch there, and how its values are read."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts import money
from engine.domain.discounts import Discount
from engine.domain.effects.targets import Target
from engine.domain.formulas import Asked
from engine.domain.order import Cart


@dataclass(slots=True)
class Work:
    """One application of one discount. What is known of each target stands in columns."""

    cart: Cart
    discount: Discount
    asked: Asked
    scale: int = 1
    """How many bundles were found; values and limits are multiplied by it."""
    is_initial: bool = False
    """Percentages and prices are taken of what things cost before any discount."""
    closed: frozenset[int] = frozenset()
    """Lines that no discount may touch any more."""
    targets: Sequence[Target] = ()
    """What may be touched, in the order of the lines."""
    places: Sequence[int] = ()
    """The lines that these are of, none twice."""
    units: Sequence[int] = ()
    """Of each how many units."""
    bases: Sequence[int] = ()
    """What the discount is computed from."""
    bounds: Sequence[int] = ()
    """What may be taken at most: no more than the units still cost."""


def on_targets(work: Work, targets: Sequence[Target]) -> Work:
    """Let it work on these units."""
    work.targets = in_order = sorted(targets, key=_place_of)
    work.places = [one.place for one in in_order]
    work.units = [one.units for one in in_order]
    work.bounds = [one.share_of(one.line.subtotal) for one in in_order]
    work.bases = work.bounds
    if work.is_initial:
        work.bases = [one.share_of(one.line.amount) for one in in_order]
    return work


def _place_of(target: Target) -> int:
    return target.place


def cap(wanted: list[int], limit: int | None) -> list[int]:
    """Reduce the amounts in proportion until they sum to the limit."""
    if limit is None or sum(wanted) <= limit:
        return wanted
    return money.allocate(limit, wanted)
