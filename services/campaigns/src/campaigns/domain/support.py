"""What the engine cannot price or check yet: refused when it is saved, not when it is redeemed.

Each table shrinks as the engine grows; a table that is empty goes, with its check.
"""

from campaigns.domain.windows import WINDOWS
from contracts.filters import OPERATORS

CAMPAIGN_TYPES = {"DISCOUNT_COUPONS": "DISCOUNT_VOUCHER", "GIFT_VOUCHERS": "GIFT_VOUCHER"}
"""Campaign types that work, and the type of voucher that each has."""

VOUCHER_TYPES = ("DISCOUNT_VOUCHER", "GIFT_VOUCHER")

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
