"""Rules that count: they become postings on the ledger's accounts, because only the ledger may refuse.

``campaign.redemptions.count <= 100`` is a limit of 100 on the account ``campaign-uses/<campaign>``. A
standalone code has no campaign; the code itself stands for it. Rules per day, week or month count on an
account of that period, in the project's calendar.
"""

import math
from datetime import datetime
from typing import Any, Literal, NamedTuple

from contracts.accounts import Period, Unit, account, period_of
from engine import limits
from engine.domain.conditions import BadConditionsError, number, only_values


class Subject(NamedTuple):
    """For whom and when a limit counts. ``now`` is in the project's time zone."""

    code_id: str
    """Of a voucher or a promotion tier."""
    campaign_id: str | None
    customer_id: str | None
    api_key_id: str | None
    now: datetime
    first_day_of_week: int = 0
    """Counted from Monday."""


class CountingRule(NamedTuple):
    """Which account a rule name counts on, and what one redemption adds to it."""

    account: str
    unit: Unit
    of: Literal["code", "campaign"]
    per: Literal["customer", "api_key", "user"] | None = None
    period: Period | None = None
    is_per_order: bool = False
    """One order counts once, however many codes of the campaign it uses."""

    @property
    def is_per_customer(self) -> bool:
        """Whether each customer has a count of its own."""
        return self.per == "customer"


def _with_periods(name: str, rule: CountingRule) -> dict[str, CountingRule]:
    periods: tuple[Period, ...] = ("daily", "weekly", "monthly")
    return {f"{name}.{period}": rule._replace(period=period) for period in periods}


_CAMPAIGN = CountingRule("campaign-uses", "use", "campaign")
_CUSTOMER_IN_CAMPAIGN = CountingRule("customer-campaign-uses", "use", "campaign", "customer")
_CUSTOMER = CountingRule("customer-uses", "use", "code", "customer")

COUNTING_RULES = {
    "campaign.redemptions.count": _CAMPAIGN,
    **_with_periods("campaign.redemptions.count", _CAMPAIGN),
    "campaign.redemptions.customers_count": _CUSTOMER_IN_CAMPAIGN,
    **_with_periods("campaign.redemptions.customers_count", _CUSTOMER_IN_CAMPAIGN),
    "campaign.orders.amount_discounted": CountingRule("campaign-discount", "discount", "campaign"),
    "campaign.orders.amount": CountingRule(
        "campaign-orders", "order_amount", "campaign", is_per_order=True
    ),
    **_with_periods("redemption.count", CountingRule("voucher-uses", "use", "code")),
    "redemption.count.per_customer": _CUSTOMER,
    **_with_periods("redemption.count.per_customer", _CUSTOMER),
    "redemption.count.per_api_key": CountingRule("key-uses", "use", "code", "api_key"),
    "redemption.count.per_user": CountingRule("user-uses", "use", "code", "user"),
}


class Limit(NamedTuple):
    """A counting rule with its bound: the total that is allowed, this redemption included."""

    rule: CountingRule
    bound: int

    def account(self, subject: Subject) -> str:
        """Return the ledger's account."""
        rule = self.rule
        names = [subject.code_id if rule.of == "code" else subject.campaign_id or subject.code_id]
        if rule.per == "customer":
            names.append(str(subject.customer_id))
        elif rule.per == "api_key":
            names.append(str(subject.api_key_id))
        elif rule.per == "user":
            names.append("nobody")
        period = ""
        if rule.period is not None:
            period = period_of(rule.period, subject.now, subject.first_day_of_week)
        return account(rule.account, *names, period=period)


def compile_limit(name: str, conditions: Any) -> Limit:
    """Return the limit; raises ``BadConditionsError`` for an operator that sets no upper bound."""
    operator, values = only_values(conditions, ("$less_than", "$less_than_or_equal"))
    bound = number(values[0]) if len(values) == 1 else None
    if bound is None:
        raise BadConditionsError(f"{name} must have one number")
    # No count comes near; a text like "1e999999999" must not become a whole number of that length.
    bound = min(bound, limits.AMOUNT_MAX)
    whole = math.floor(bound)
    if operator == "$less_than" and whole == bound:
        whole -= 1
    return Limit(COUNTING_RULES[name], max(0, whole))
