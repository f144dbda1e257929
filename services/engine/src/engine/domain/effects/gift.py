"""Credits of a gift card: from the order, or from its matching lines."""

from collections.abc import Sequence

from contracts import money


def payable(remaining: int, subtotals: Sequence[int] | None) -> int:
    """Return how much a card could pay: what is left of the order, or of the matching lines."""
    return remaining if subtotals is None else min(remaining, sum(subtotals))


def split(credit: int, subtotals: Sequence[int]) -> list[int]:
    """Split the credits over the matching lines in proportion to their subtotals.

    ``credit`` is at most the sum of the subtotals, so that no part exceeds its line.
    """
    assert credit <= sum(subtotals), "credits never exceed what the lines cost"
    return money.allocate(credit, subtotals)
