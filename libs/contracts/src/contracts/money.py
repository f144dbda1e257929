"""Money: integer minor units, and the only places where it is divided.

The rounding contract is docs/rounding.md: half up once, and splits whose parts sum to the whole.
"""

from collections.abc import Sequence
from fractions import Fraction


def round_half_up(value: Fraction) -> int:
    """Return ``value`` (minor units, ≥ 0) rounded to the nearest integer, halves upwards."""
    assert value >= 0, "a discount or a share is never negative"
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def percent_of(amount: int, percent: Fraction) -> int:
    """Return ``percent`` (0–100) of ``amount`` (minor units), rounded half up once."""
    assert amount >= 0, "an amount is never negative"
    return round_half_up(amount * percent / 100)


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split ``total`` (minor units) in proportion to ``weights``; the parts sum to ``total``.

    Largest remainder (Hamilton's method): each part is rounded down, and the units left over go one by
    one to the parts with the largest remainders, the earlier part first where they are equal. Parts
    of weight zero stay zero. Returns zeros when all weights are zero.
    """
    assert total >= 0, "only non-negative totals are split"
    assert all(weight >= 0 for weight in weights), "weights are never negative"
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    left_over = total - sum(parts)
    by_remainder = sorted(range(len(weights)), key=lambda index: (-remainders[index], index))
    for index in by_remainder[:left_over]:
        parts[index] += 1
    assert sum(parts) == total, "the parts sum to the whole"
    return parts
