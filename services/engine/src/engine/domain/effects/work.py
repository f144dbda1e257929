"""What one redeemable's effect works on: the cart, what it may touch there, and how its values are read."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts import money
from engine.domain.discounts import Discount
from engine.domain.effects.targets import Target
from engine.domain.formulas import Asked
from engine.domain.order import Cart


@dataclass(slots=True)
class Work:
    """One application of one discount. What is known of each part stands in columns, in the order of the lines."""

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
    """What may be touched, where entries of ``applicable_to`` say more than which lines that is."""
    places: Sequence[int] = ()
    """The lines that may be touched, none twice."""
    units: list[int] = field(default_factory=list)
    """Of each how many units."""
    bases: list[int] = field(default_factory=list)
    """What the discount is computed from."""
    bounds: list[int] = field(default_factory=list)
    """What may be taken at most: no more than the units still cost."""


def on_lines(work: Work, places: Sequence[int] | None) -> Work:
    """Let it work on whole lines, on all where none are named."""
    state = work.cart.state
    left = [amount - taken for amount, taken in zip(state.amounts, state.discounts, strict=True)]
    bases = state.amounts if work.is_initial else left
    if places is None:
        work.places, work.units, work.bases, work.bounds = (
            range(len(left)), state.quantities, bases, left,
        )  # fmt: skip
        return work
    work.places = places
    work.units = [state.quantities[place] for place in places]
    work.bases = [bases[place] for place in places]
    work.bounds = [left[place] for place in places]
    return work


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
