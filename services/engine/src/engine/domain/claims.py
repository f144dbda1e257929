"""What one redemption takes from which account: the engine's side of the ledger's postings.

A validation compares claims with our view of the accounts. A plan hands them to the ledger unchecked.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from contracts.accounts import Unit
from engine.domain.definition import PROMOTION_TIER, Code, account_of_credits
from engine.domain.facts import Facts
from engine.domain.limit_rules import Limit, Subject
from engine.domain.refusals import Refusal
from engine.domain.rules import CompiledRule, Leaf, Verdicts, Violation, needed_limits
from engine.domain.snapshot import Accounts


class Claim(NamedTuple):
    """An amount (> 0) that the redemption takes out of an account."""

    account: str
    unit: Unit
    amount: int
    limit: int | None
    limit_version: int
    error: Refusal
    is_adjustable: bool = False


class Claimed:
    """What the redeemables before this one in the same stack already claim."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.amounts: dict[str, int] = {}

    def left(self, account: str, limit: int | None) -> int | None:
        """Return what is left by our view, after the stack so far; None is unlimited."""
        left = self.accounts.left(account, limit)
        return None if left is None else left - self.amounts.get(account, 0)

    def has_room(self, account: str, limit: int | None, amount: int) -> bool:
        """Say whether the account has this much left by our view."""
        if limit is None and not self.accounts.available:
            return True
        left = self.left(account, limit)
        return left is None or left >= amount

    def add(self, account: str, amount: int) -> None:
        """Count what a redeemable that applies claims."""
        self.amounts[account] = self.amounts.get(account, 0) + amount


def use_of(code: Code) -> Claim:
    """Return the claim on one use of the code. Unlimited codes are counted too."""
    return Claim(
        code.uses_account,
        "use",
        1,
        code.definition.quantity,
        code.definition.version,
        Refusal("quantity_exceeded", code.code, resource_id=code.id, resource_type=code.object),
    )


def credits_of(code: Code, amount: int, *, is_adjustable: bool) -> Claim:
    """Return the claim on a gift card's credits."""
    gift = code.definition.gift or {}
    return Claim(
        account_of_credits(code.id),
        "credit",
        amount,
        int(gift.get("amount") or 0),
        code.definition.version,
        Refusal("gift_amount_exceeded", code.code, resource_id=code.id, resource_type="voucher"),
        is_adjustable,
    )


def limits_of(
    code: Code,
    verdicts: Sequence[Verdicts],
    facts: Facts,
    customer_id: str | None,
    claimed: Claimed,
) -> list[Claim]:
    """Return the claims that the rules' limits make, after pricing. One per account.

    ``verdicts`` are what the code's rules said before pricing.
    """
    if not any(rule.limits for rule in code.rules):
        return []

    subject = subject_of(code, customer_id, facts)

    def account_of(limit: Limit) -> str:
        return limit.account(subject)

    def has_room(limit: Limit) -> bool:
        return claimed.has_room(account_of(limit), limit.bound, amount_of(limit))

    def amount_of(limit: Limit) -> int:
        return _amount(limit, facts, account_of, claimed)

    needed = [
        (rule, leaf, limit)
        for rule, said in zip(code.rules, verdicts, strict=True)
        for leaf, limit in needed_limits(rule, said, has_room)
    ]
    claims: dict[str, Claim] = {}
    for rule, leaf, limit in needed:
        account, amount = account_of(limit), amount_of(limit)
        before = claims.get(account)
        if amount > 0 and (before is None or limit.bound < (before.limit or 0)):
            error = violated(code, Violation(leaf.violation, rule.id, _message(rule, leaf)))
            claims[account] = Claim(
                account, limit.rule.unit, amount, limit.bound, code.rules_version, error
            )
    return list(claims.values())


def subject_of(code: Code, customer_id: str | None, facts: Facts) -> Subject:
    """Return for whom and when the code's limits count."""
    return Subject(
        code_id=code.id,
        campaign_id=code.campaign_id,
        customer_id=customer_id,
        api_key_id=facts.api_key_id,
        now=facts.now,
        first_day_of_week=facts.first_day_of_week,
    )


def _message(rule: CompiledRule, leaf: Leaf) -> str | None:
    return leaf.message or rule.message


def _amount(
    limit: Limit, facts: Facts, account_of: Callable[[Limit], str], claimed: Claimed
) -> int:
    if limit.rule.unit == "use":
        return 1
    if facts.cart is None:
        return 0
    if limit.rule.unit == "discount":
        return facts.cart.step_total
    return 0 if account_of(limit) in claimed.amounts else facts.cart.amount


_NAMES = {
    "DISCOUNT_VOUCHER": "Discount Coupon",
    "GIFT_VOUCHER": "Gift Card",
    PROMOTION_TIER: "Promotion Tier",
}


_MISSING = {
    "missing_customer": "Customer is required to validate rules",
    "missing_order": "Order is required to validate rules",
}


def violated(code: Code, violation: Violation) -> Refusal:
    """Return the error of a rule that does not hold."""
    details = _MISSING.get(violation.key)
    if details is None:
        name = _NAMES.get(code.definition.type, "Loyalty Card")
        details = (
            f"{name} cannot be redeemed because of violated validation rules: {violation.rule_id}"
        )
    return Refusal(violation.key, details, code.id, code.object, violation.message)
