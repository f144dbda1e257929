"""What each discount does to a cart, by (type, effect). A new effect is one function and one row here.

A function returns what it would take: an amount from the order, or one amount per line. It never
changes the cart, and never takes more than there is.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from contracts.errors import JsonObject
from engine.domain.effects import amount, percent
from engine.domain.order import Cart


class Taken(NamedTuple):
    """What a redeemable takes off: from the order as a whole, or from each line."""

    from_order: int = 0
    from_lines: list[int] | None = None


OrderEffect = Callable[[JsonObject, int], int]
"""(discount, what is left to pay) → what to take from the order."""

LineEffect = Callable[[JsonObject, Sequence[int]], list[int]]
"""(discount, subtotals of the matching lines) → what to take from each of them."""

ORDER_EFFECTS: dict[tuple[str, str], OrderEffect] = {
    ("AMOUNT", "APPLY_TO_ORDER"): amount.apply_to_order,
    ("PERCENT", "APPLY_TO_ORDER"): percent.apply_to_order,
}

LINE_EFFECTS: dict[tuple[str, str], LineEffect] = {
    ("AMOUNT", "APPLY_TO_ITEMS"): amount.apply_to_items,
    ("PERCENT", "APPLY_TO_ITEMS"): percent.apply_to_items,
}


def is_built(discount_type: str, effect: str) -> bool:
    """Say whether the engine knows this effect."""
    return (discount_type, effect) in ORDER_EFFECTS or (discount_type, effect) in LINE_EFFECTS


def is_on_lines(discount_type: str, effect: str) -> bool:
    """Say whether the effect takes from lines."""
    return (discount_type, effect) in LINE_EFFECTS


def take(
    cart: Cart,
    discount: JsonObject,
    effect: str,
    matching: Sequence[int],
    *,
    is_initial_base: bool = False,
) -> Taken:
    """Return what a discount takes; ``matching`` are the indices of the lines it may touch.

    Of the initial amounts or of what is left, but never more than there is left.
    """
    name = (discount["type"], effect)
    if name in ORDER_EFFECTS:
        base = cart.amount if is_initial_base else cart.total
        return Taken(from_order=min(ORDER_EFFECTS[name](discount, base), cart.total))
    lines = [cart.lines[index] for index in matching]
    bases = [line.amount if is_initial_base else line.subtotal for line in lines]
    found = LINE_EFFECTS[name](discount, bases)
    wanted = [min(one, line.subtotal) for one, line in zip(found, lines, strict=True)]
    return Taken(from_lines=spread(cart, matching, amount.cap(wanted, cart.total)))


def spread(cart: Cart, matching: Sequence[int], amounts: Sequence[int]) -> list[int]:
    """Return one amount for every line of the cart: zero where the line does not match."""
    taken = [0] * len(cart.lines)
    for index, part in zip(matching, amounts, strict=True):
        taken[index] = part
    return taken
