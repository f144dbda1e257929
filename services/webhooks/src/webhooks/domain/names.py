"""The public names of webhook events, and which of them an endpoint wants."""

from collections.abc import Iterable
from typing import Any

from contracts.payload import refuse, text
from webhooks import limits

NAMES = frozenset(
    {
        "business_validation_rule.assignment.created",
        "business_validation_rule.assignment.deleted",
        "business_validation_rule.created",
        "business_validation_rule.deleted",
        "business_validation_rule.updated",
        "campaign.created",
        "campaign.deleted",
        "campaign.disabled",
        "campaign.earning_rule.assigned",
        "campaign.earning_rule.deleted",
        "campaign.earning_rule.disabled",
        "campaign.earning_rule.enabled",
        "campaign.earning_rule.updated",
        "campaign.enabled",
        "campaign.loyalty_tier.created",
        "campaign.loyalty_tier.deleted",
        "campaign.loyalty_tier.updated",
        "campaign.promotion_stack.created",
        "campaign.promotion_stack.updated",
        "campaign.promotion_tier.created",
        "campaign.promotion_tier.deleted",
        "campaign.promotion_tier.disabled",
        "campaign.promotion_tier.enabled",
        "campaign.promotion_tier.updated",
        "campaign.referral_tier.created",
        "campaign.referral_tier.deleted",
        "campaign.referral_tier.updated",
        "campaign.reward.assignment.created",
        "campaign.reward.assignment.deleted",
        "campaign.reward.assignment.updated",
        "campaign.updated",
        "campaign.vouchers.added",
        "campaign.vouchers.generation.completed",
        "campaign.vouchers.generation.failed",
        "campaign.vouchers.generation.started",
        "customer.confirmed",
        "customer.created",
        "customer.deleted",
        "customer.rewarded",
        "customer.rewarded.loyalty_points",
        "customer.updated",
        "publication.succeeded",
        "redemption.failed",
        "redemption.rollback.failed",
        "redemption.rollback.succeeded",
        "redemption.succeeded",
        "voucher.created",
        "voucher.deleted",
        "voucher.disabled",
        "voucher.enabled",
        "voucher.gift.balance_added",
        "voucher.gift.transaction.created",
        "voucher.loyalty_card.pending_points.activated",
        "voucher.loyalty_card.pending_points.added",
        "voucher.loyalty_card.pending_points.canceled",
        "voucher.loyalty_card.pending_points.updated",
        "voucher.loyalty_card.points_added",
        "voucher.loyalty_card.points_expired",
        "voucher.loyalty_card.transaction.created",
        "voucher.published",
        "voucher.updated",
    }
)
MISSPELLED = {
    "campaign.vouchers.aded": "campaign.vouchers.added",
    "voucher.gift.balance_aded": "voucher.gift.balance_added",
    "voucher.loyalty_card.pending_points.aded": "voucher.loyalty_card.pending_points.added",
    "voucher.loyalty_card.points_aded": "voucher.loyalty_card.points_added",
}
"""Names that the public API's own schema spells with one d. They are taken, and kept as sent."""


def read_events(path: str, value: Any) -> list[str]:
    """Return the events of an endpoint; ``*`` and ``voucher.*`` stand for all, and all below."""
    if not isinstance(value, list) or not value:
        raise refuse(path, "must be a list of event names")
    if len(value) > limits.EVENTS_PER_ENDPOINT_MAX:
        raise refuse(path, f"must have at most {limits.EVENTS_PER_ENDPOINT_MAX} elements")
    names: list[str] = []
    for index, element in enumerate(value):
        name = text(limits.EVENT_NAME_LENGTH_MAX)(f"{path}[{index}]", element)
        if not covered([name]):
            raise refuse(f"{path}[{index}]", f"must be the name of an event, not {name[:50]!r}")
        if name not in names:
            names.append(name)
    return names


def covered(patterns: Iterable[str]) -> set[str]:
    """Return the names that the patterns stand for."""
    found: set[str] = set()
    for pattern in patterns:
        pattern = MISSPELLED.get(pattern, pattern)  # noqa: PLW2901 - the same one, rightly spelled
        if pattern == "*":
            return set(NAMES)
        if pattern.endswith(".*"):
            found |= {name for name in NAMES if name.startswith(pattern[:-1])}
        elif pattern in NAMES:
            found.add(pattern)
    return found
