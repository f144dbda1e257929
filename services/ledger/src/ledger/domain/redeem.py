"""Applying a plan: whole or not at all."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from contracts.errors import ErrorBody, InvalidPayload, JsonObject
from contracts.ledger import (
    Plan,
    PlannedRedemption,
    Posted,
    Posting,
    RedeemedItem,
    RedemptionFailed,
    RedemptionSucceeded,
)
from ledger.domain.accounts import Account, Book, Stale, TooLittle, order_account
from ledger.limits import POSTINGS_MAX, REDEEMABLES_MAX


class Redeemed(NamedTuple):
    """The plan was applied."""

    event: RedemptionSucceeded
    accounts: Mapping[str, Account]


class Refused(NamedTuple):
    """Nothing was applied; the event records why."""

    event: RedemptionFailed


class HandBack(NamedTuple):
    """The plan was made from what is no longer so; ``available`` is what the accounts have."""

    available: dict[str, int]
    is_order_changed: bool = False
    """Another redemption of the order, or its rollback, was first."""


def decide_redeem(
    plan: Plan, accounts: Mapping[str, Account], held: Sequence[Posting], now: datetime
) -> Redeemed | Refused | HandBack:
    """Apply the plan to the accounts; ``held`` is what the plan's own session holds."""
    if plan.refusal is not None:
        return Refused(_failed(plan, plan.refusal, plan.refused, now))
    _check_size(plan)
    if _is_order_changed(plan, accounts):
        return HandBack({}, is_order_changed=True)
    book = Book(accounts)
    book.release(held)
    items = []
    for planned in plan.redemptions:
        try:
            posted = [book.take(posting) for posting in planned.postings]
        except Stale:
            return HandBack(_available(plan, accounts, held))
        except TooLittle as too_little:
            if too_little.posting.is_adjustable:
                return HandBack(_available(plan, accounts, held))
            error = too_little.posting.error
            return Refused(_failed(plan, error, planned.redeemable, now, planned))
        items.append(_item(planned, posted))
    order_version = 0
    if plan.order_version is not None:
        assert plan.order is not None, "only an order has a version"
        order_version = book.count_fact(plan.order["id"], f"redemption-{plan_root_id(plan)}", 1)
    event = RedemptionSucceeded(
        parent_id=plan.parent_id,
        items=items,
        customer=plan.customer,
        customer_changes=plan.customer_changes,
        order=plan.order,
        order_version=order_version,
        metadata=plan.metadata,
        inapplicable_redeemables=plan.inapplicable_redeemables,
        skipped_redeemables=plan.skipped_redeemables,
        rollback_order_mode=plan.stacking_rules.get(
            "redeemables_rollback_order_mode", "WITH_ORDER"
        ),
        session_key=(plan.stack.session or {}).get("key"),
        api_key_id=plan.api_key_id,
        redeemed_at=now,
    )
    return Redeemed(event, book.changed)


def _check_size(plan: Plan) -> None:
    assert plan.redemptions, "a plan that is not refused redeems something"
    if len(plan.redemptions) > REDEEMABLES_MAX:
        raise InvalidPayload(f"redeemables: at most {REDEEMABLES_MAX}", prop="redeemables")
    if sum(len(planned.postings) for planned in plan.redemptions) > POSTINGS_MAX:
        raise InvalidPayload("redeemables: limited by too many rules", prop="redeemables")


def _is_order_changed(plan: Plan, accounts: Mapping[str, Account]) -> bool:
    if plan.order is None or plan.order_version is None:
        return False
    known = accounts.get(order_account(plan.order["id"]))
    return (known.used if known is not None else 0) != plan.order_version


def plan_root_id(plan: Plan) -> str:
    """Return the id that the redemption's stream will be named by."""
    return plan.parent_id or plan.redemptions[0].redemption_id


def root_id(event: RedemptionSucceeded) -> str:
    """Return the id that the redemption's stream is named by: the parent's, or the only one's."""
    return event.parent_id or event.items[0].redemption_id


def _item(planned: PlannedRedemption, posted: list[Posted]) -> RedeemedItem:
    return RedeemedItem(
        redemption_id=planned.redemption_id,
        redeemable=planned.redeemable,
        related_object_type=planned.related_object_type,
        related_object_id=planned.related_object_id,
        voucher=planned.voucher,
        promotion_tier=planned.promotion_tier,
        promotion_stack=planned.promotion_stack,
        campaign_id=planned.campaign_id,
        campaign_name=planned.campaign_name,
        amount=planned.amount,
        discount_amount=planned.discount_amount,
        result=planned.result,
        order=planned.order,
        posted=posted,
    )


def _failed(
    plan: Plan,
    error: ErrorBody,
    refused: JsonObject | None,
    now: datetime,
    planned: PlannedRedemption | None = None,
) -> RedemptionFailed:
    if planned is not None and planned.voucher is not None:
        refused = {**(refused or {}), "voucher": planned.voucher}
    if planned is not None and planned.promotion_tier is not None:
        refused = {**(refused or {}), "promotion_tier": planned.promotion_tier}
    return RedemptionFailed(
        redemption_id=plan.failed_redemption_id,
        redeemables=plan.stack.redeemables,
        refused=refused,
        customer=plan.customer,
        order=plan.sent_order,
        error=error.model_copy(
            update={"resource_id": plan.failed_redemption_id, "resource_type": "redemption"}
        ),
        metadata=plan.metadata,
        failed_at=now,
    )


def _available(
    plan: Plan, accounts: Mapping[str, Account], held: Sequence[Posting]
) -> dict[str, int]:
    """Return what the plan's accounts have for it, its own session's holds included."""
    book = Book(accounts)
    book.release(held)
    return book.left_for(one for planned in plan.redemptions for one in planned.postings)
