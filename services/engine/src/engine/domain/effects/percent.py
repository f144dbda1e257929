"""A percentage off what is left, with an optional cap: the order, or every matching line."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from contracts import money
from contracts.errors import JsonObject
from engine.domain.effects.amount import cap


@lru_cache(maxsize=1024)
def exact(percent: str) -> Fraction:
    """Return the percentage as it was written: 12.5 is 25/2, not its nearest float."""
    return min(Fraction(percent), Fraction(100))


def apply_to_order(discount: JsonObject, remaining: int) -> int:
    """Take the percentage of what is left to pay, rounded half up once, up to ``amount_limit``."""
    taken = money.percent_of(remaining, exact(str(discount["percent_off"])))
    return _limited(taken, discount.get("amount_limit"))


def apply_to_items(discount: JsonObject, subtotals: Sequence[int]) -> list[int]:
    """Take the percentage of each line's subtotal, rounded half up, up to ``amount_limit`` a line."""
    percent = exact(str(discount["percent_off"]))
    limit = discount.get("amount_limit")
    wanted = [_limited(money.percent_of(subtotal, percent), limit) for subtotal in subtotals]
    return cap(wanted, discount.get("aggregated_amount_limit"))


def _limited(amount: int, limit: int | None) -> int:
    return amount if limit is None else min(amount, int(limit))
