"""Why a redeemable does not apply: the public keys and messages.

Behaviour: the table of business keys of the public API's errors.
"""

from dataclasses import dataclass

from contracts.errors import ErrorBody

MESSAGES = {
    "not_found": "Resource not found",
    "voucher_disabled": "voucher is disabled",
    "voucher_not_active": "voucher is not active yet",
    "voucher_expired": "voucher expired",
    "voucher_not_active_now": "voucher not active now",
    "quantity_exceeded": "quantity exceeded",
    "gift_amount_exceeded": "gift amount exceeded",
    "customer_rules_violated": "customer does not match segment rules",
    "order_rules_violated": "order does not match validation rules",
    "redemption_rules_violated": "redemption does not match validation rules",
    "missing_customer": "Missing customer",
    "missing_order": "Missing order",
    "missing_amount": "Missing amount",
    "missing_order_items": "Missing order items",
    "missing_order_items_amount": "Missing applicable order items",
    "invalid_voucher": "Invalid Voucher",
    "duplicated_redeemables": "Duplicated redeemables detected",
    "invalid_redeemables": "Invalid redeemables",
    "promotion_inactive": "Inactive Promotion",
    "promotion_not_active_now": "Promotion is not active now",
}

SKIPPED = {
    "applicable_redeemables_limit_exceeded": "Applicable redeemables limit exceeded",
    "applicable_redeemables_per_category_limit_exceeded": (
        "Applicable redeemables limit per category exceeded"
    ),
    "applicable_exclusive_redeemables_limit_exceeded": (
        "Applicable exclusive redeemables limit exceeded"
    ),
    "applicable_exclusive_redeemables_per_category_limit_exceeded": (
        "Applicable exclusive redeemables limit per category exceeded"
    ),
    "exclusion_rules_not_met": "Redeemable cannot be applied due to exclusion rules",
    "preceding_validation_failed": (
        "Redeemable cannot be applied due to preceding validation failure"
    ),
    "no_effect": "Redeemable cannot be applied due to no effect",
}


@dataclass(slots=True)
class Refusal:
    """Why a redeemable does not apply. Put into the public shape only where it is shown."""

    key: str
    details: str | None = None
    resource_id: str | None = None
    resource_type: str | None = None
    custom_message: str | None = None

    @property
    def message(self) -> str:
        """The public message of its key."""
        return MESSAGES[self.key]

    def body(self) -> ErrorBody:
        """Return the public error."""
        return ErrorBody(
            code=404 if self.key == "not_found" else 400,
            key=self.key,
            message=self.message,
            details=self.details,
            resource_id=self.resource_id,
            resource_type=self.resource_type,
            error={"message": self.custom_message} if self.custom_message else None,
        )


class Refused(Exception):
    """A redeemable does not apply; an expected answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.key)
        self.refusal = refusal
