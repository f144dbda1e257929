"""What the engine cannot price or check yet: refused when it is saved, not when it is redeemed.

Each table shrinks as the engine grows; a table that is empty goes, with its check.
"""

from campaigns.domain.windows import WINDOWS
from contracts.filters import OPERATORS

CAMPAIGN_TYPES = {"DISCOUNT_COUPONS": "DISCOUNT_VOUCHER", "GIFT_VOUCHERS": "GIFT_VOUCHER"}
"""Campaign types that work, and the type of voucher that each has."""

VOUCHER_TYPES = ("DISCOUNT_VOUCHER", "GIFT_VOUCHER")

DISCOUNT_EFFECTS = {
    "AMOUNT": ("APPLY_TO_ORDER", "APPLY_TO_ITEMS"),
    "PERCENT": ("APPLY_TO_ORDER", "APPLY_TO_ITEMS"),
}
"""Discount types that work, and the effects of each."""

UNSUPPORTED_DISCOUNT_FIELDS = ("amount_off_formula", "percent_off_formula")

APPLICABLE_EFFECTS: tuple[str, ...] = ("APPLY_TO_EVERY",)
"""Application rules of an entry that are priced."""

APPLICABLE_FIELDS: frozenset[str] = frozenset()
"""Fields of ``APPLICABLE_READERS`` that are priced; the others are refused when they are set."""

PERIODS = (".daily", ".weekly", ".monthly")

TIME_OPERATORS = tuple(WINDOWS)

NUMBER_OPERATORS = (
    "$is", "$is_not", "$in", "$not_in", "$less_than", "$less_than_or_equal", "$more_than",
    "$more_than_or_equal", *TIME_OPERATORS,
)  # fmt: skip

METADATA_OPERATORS = (*OPERATORS, *TIME_OPERATORS)

SET_OPERATORS = ("$is", "$is_not", "$in", "$not_in")

NAME_OPERATORS = (*SET_OPERATORS, "$starts_with", "$ends_with", "$contains", *TIME_OPERATORS)

ITEM_OPERATORS = (*SET_OPERATORS, "$from", "$not_differ", "$not_intersect")

LIMIT_OPERATORS = ("$less_than", "$less_than_or_equal")
