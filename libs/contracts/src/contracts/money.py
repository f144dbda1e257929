"""Money: integer minor units, and the only places where it is divided.

The rounding contract is docs/rounding.md: half up once, and splits whose parts sum to the whole.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction


def round_half_up(value: Fraction) -> int:
    """Return ``value`` (minor units, ≥ 0) rounded to the nearest integer, halves upwards."""
    assert value >= 0, "a discount or a share is never negative"
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def percent_of(amount: int, percent: Fraction) -> int:
    """Return ``percent`` (0–100) of ``amount`` (minor units), rounded half up once."""
    assert amount >= 0, "an amount is never negative"
    # The same as round_half_up(amount * percent / 100), without making fractions: it runs for every line.
    whole, parts = amount * percent.numerator, 100 * percent.denominator
    return (2 * whole + parts) // (2 * parts)


def percentage(percent: Fraction) -> Callable[[Sequence[int]], list[int]]:
    """Return what takes ``percent`` (0–100) of each of some amounts (≥ 0), each rounded half up once."""
    assert percent >= 0, "a percentage is never negative"
    twice, parts = 2 * percent.numerator, 100 * percent.denominator
    common = math.gcd(twice, parts)
    times, half, whole = twice // common, parts // common, 2 * parts // common
    if times == 1:
        # 1, 2, 5, 10, 20, 25 and 50 %, which most discounts are.
        return lambda amounts: [(amount + half) // whole for amount in amounts]
    return lambda amounts: [(times * amount + half) // whole for amount in amounts]


def at_most(total: int, bounds: Sequence[int], weights: Sequence[int]) -> list[int]:
    """Split ``total`` in proportion to ``weights``, no part above its bound.

    What a part cannot take goes to the others, in proportion again; the parts sum to ``total``, or to all
    bounds together if that is less.
    """
    assert len(bounds) == len(weights), "every part has a bound and a weight"
    parts = [0] * len(weights)
    rest = min(total, sum(bound for bound, weight in zip(bounds, weights, strict=True) if weight))
    weight_left = sum(weights)
    open_parts = sorted(
        (index for index, weight in enumerate(weights) if weight),
        key=lambda index: (Fraction(bounds[index], weights[index]), index),
    )
    for place, index in enumerate(open_parts):
        if bounds[index] * weight_left >= rest * weights[index]:
            kept = sorted(open_parts[place:])
            shares = allocate(rest, [weights[index] for index in kept])
            for index_kept, share in zip(kept, shares, strict=True):
                parts[index_kept] = share
            return parts
        parts[index] = bounds[index]
        rest -= bounds[index]
        weight_left -= weights[index]
    return parts


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
