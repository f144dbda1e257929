"""Rules that count: they become postings on the ledger's accounts, because only the ledger may refuse.

``campaign.redemptions.count <= 100`` is a limit of 100 on the account ``campaign-uses/<campaign>``. A
standalone code has no campaign; the code itself stands for it.
"""

from typing import Any, NamedTuple

from contracts.accounts import Unit
from engine.domain.conditions import BadConditionsError, number, only_values


class CountingRule(NamedTuple):
    """Which account a rule name counts on, and what one redemption adds to it."""

    account: str
    unit: Unit
    is_per_customer: bool = False
    is_per_voucher: bool = False
    is_per_order: bool = False
    """One order counts once, however many codes of the campaign it uses."""


COUNTING_RULES = {
    "campaign.redemptions.count": CountingRule("campaign-uses", "use"),
    "campaign.redemptions.customers_count": CountingRule(
        "customer-campaign-uses", "use", is_per_customer=True
    ),
    "campaign.orders.amount_discounted": CountingRule("campaign-discount", "discount"),
    "campaign.orders.amount": CountingRule("campaign-orders", "order_amount", is_per_order=True),
    "redemption.count.per_customer": CountingRule(
        "customer-uses", "use", is_per_customer=True, is_per_voucher=True
    ),
}


class Limit(NamedTuple):
    """A counting rule with its bound: the total that is allowed, this redemption included."""

    rule: CountingRule
    bound: int

    def account(self, voucher_id: str, campaign_id: str | None, customer_id: str | None) -> str:
        """Return the ledger's account."""
        subject = voucher_id if self.rule.is_per_voucher else campaign_id or voucher_id
        if not self.rule.is_per_customer:
            return f"{self.rule.account}/{subject}"
        return f"{self.rule.account}/{subject}/{customer_id}"


def compile_limit(name: str, conditions: Any) -> Limit:
    """Return the limit; raises ``BadConditionsError`` for an operator that sets no upper bound."""
    operator, values = only_values(conditions, ("$less_than", "$less_than_or_equal"))
    bound = number(values[0]) if len(values) == 1 else None
    if bound is None:
        raise BadConditionsError(f"{name} must have one number")
    whole = int(bound // 1)
    if operator == "$less_than" and whole == bound:
        whole -= 1
    return Limit(COUNTING_RULES[name], max(0, whole))
