"""Credits of a gift card: from the order, or from its matching lines."""

from collections.abc import Sequence

from contracts import money


def payable(remaining: int, bounds: Sequence[int] | None) -> int:
    """Return how much a card could pay: what is left of the order, or of the matching lines."""
    return remaining if bounds is None else min(remaining, sum(bounds))


def split(credit: int, bounds: Sequence[int]) -> list[int]:
    """Split the credits over the matching lines in proportion to what may be paid of each.

    ``credit`` is at most the sum of the bounds, so that no part exceeds its line.
    """
    assert credit <= sum(bounds), "credits never exceed what the lines cost"
    return money.allocate(credit, bounds)
