"""A fixed amount off: the order, or every matching line."""

from collections.abc import Sequence

from contracts import money
from contracts.errors import JsonObject


def apply_to_order(discount: JsonObject, remaining: int) -> int:
    """Take the amount, but no more than there is left to pay."""
    return min(int(discount["amount_off"]), remaining)


def apply_to_items(discount: JsonObject, subtotals: Sequence[int]) -> list[int]:
    """Take the amount from each line, but no more than its subtotal."""
    amount_off = int(discount["amount_off"])
    wanted = [min(amount_off, subtotal) for subtotal in subtotals]
    return cap(wanted, discount.get("aggregated_amount_limit"))


def cap(wanted: list[int], limit: int | None) -> list[int]:
    """Reduce the amounts in proportion until they sum to the limit."""
    if limit is None or sum(wanted) <= limit:
        return wanted
    return money.allocate(int(limit), wanted)
