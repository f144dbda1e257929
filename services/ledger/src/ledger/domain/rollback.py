"""Giving a redemption back: once, whole, and everything it took."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from contracts.errors import DomainError, JsonObject
from contracts.ledger import (
    RedemptionRolledBack,
    RedemptionSucceeded,
    RollBack,
    RollbackFailed,
    RolledBackItem,
)
from ledger.domain.accounts import Account, Book
from ledger.domain.redeem import root_id
from ledger.limits import ROLLBACK_DAYS_MAX


class RedemptionNotFound(DomainError):
    """The redemption to roll back is not in this project, or failed."""

    status = 404
    key = "not_found"
    message = "Resource not found"


class AlreadyRolledBack(DomainError):
    """A redemption is given back once."""

    key = "already_rolled_back"
    message = "Already rolled back"


class InvalidRedemption(DomainError):
    """The redemption failed, is too old, or belongs to a stack and was named alone."""

    key = "invalid_redemption"
    message = "Invalid redemption"


class InvalidRedemptionParent(DomainError):
    """A redemption of a stack is rolled back with its stack."""

    key = "invalid_redemption_parent"
    message = "Invalid redemption parent"


class InvalidCustomer(DomainError):
    """The rollback names another customer than the redemption."""

    key = "invalid_customer"
    message = "Invalid customer"


class InvalidOrder(DomainError):
    """The rollback names another order than the redemption."""

    key = "invalid_order"
    message = "Invalid order"


class Redemption(NamedTuple):
    """What the log knows of the redemption that a rollback names."""

    event: RedemptionSucceeded | None
    """None: there is none under this id, or it is a child (see ``parent_id``)."""
    hash: bytes = b""
    is_rolled_back: bool = False
    parent_id: str | None = None
    is_failed: bool = False


class RolledBack(NamedTuple):
    """Everything was given back."""

    event: RedemptionRolledBack
    accounts: Mapping[str, Account]


def decide_roll_back(
    command: RollBack, redemption: Redemption, accounts: Mapping[str, Account], now: datetime
) -> RolledBack | RollbackFailed:
    """Give the redemption back; refusals that the customer must see are events.

    Raises ``RedemptionNotFound`` when there is nothing to record a failure of.
    """
    if redemption.event is None and redemption.parent_id is None and not redemption.is_failed:
        raise RedemptionNotFound(
            f"Cannot find redemption with id {command.redemption_id}",
            resource_id=command.redemption_id,
            resource_type="redemption",
        )
    try:
        _check(command, redemption, now)
    except DomainError as refusal:
        error = refusal.body().model_copy(
            update={
                "resource_id": command.failed_rollback_id,
                "resource_type": "redemption_rollback",
            }
        )
        return RollbackFailed(
            rollback_id=command.failed_rollback_id,
            redemption_id=command.redemption_id,
            campaign_ids=_campaigns(redemption.event),
            error=error,
            failed_at=now,
        )
    assert redemption.event is not None, "checked"
    return _give_back(command, redemption.event, accounts, now)


def _campaigns(event: RedemptionSucceeded | None) -> list[str]:
    items = event.items if event is not None else []
    return [item.campaign_id for item in items if item.campaign_id is not None]


def _check(command: RollBack, redemption: Redemption, now: datetime) -> None:
    event = redemption.event
    if redemption.parent_id is not None:
        raise InvalidRedemptionParent(
            "You can rollback only a redemption that does not have parent redemption."
        )
    if event is None:
        raise InvalidRedemption("A redemption that failed has nothing to give back.")
    if command.is_single and event.parent_id is not None:
        raise InvalidRedemption(
            "You can rollback only a single redemption. Use different endpoint for stacked redemption."
        )
    if redemption.is_rolled_back:
        raise AlreadyRolledBack("Redemption has been already rolled back.")
    if now - event.redeemed_at > timedelta(days=ROLLBACK_DAYS_MAX):
        raise InvalidRedemption(f"Redemption is older than {ROLLBACK_DAYS_MAX} days.")
    if not _is_same(command.customer, event.customer):
        raise InvalidCustomer("Customer is not related with redemption.")
    if not _is_same(command.order, event.order):
        raise InvalidOrder("Order is not related with redemption.")


def _is_same(named: JsonObject | None, stored: JsonObject | None) -> bool:
    """Whether what the request names is what the redemption has, by id or source_id."""
    for name in ("id", "source_id"):
        if named and named.get(name) is not None:
            return bool(stored and stored.get(name) == named[name])
    return True


def _give_back(
    command: RollBack,
    event: RedemptionSucceeded,
    accounts: Mapping[str, Account],
    now: datetime,
) -> RolledBack:
    book = Book(accounts)
    needed = len(event.items) + (event.parent_id is not None)
    assert len(command.rollback_ids) >= needed, "every redemption's rollback needs an id"
    ids = iter(command.rollback_ids)
    parent_rollback_id = next(ids) if event.parent_id is not None else None
    items = [
        RolledBackItem(
            rollback_id=next(ids),
            redemption_id=item.redemption_id,
            related_object_type=item.related_object_type,
            related_object_id=item.related_object_id,
            voucher=item.voucher,
            promotion_tier=item.promotion_tier,
            promotion_stack=item.promotion_stack,
            campaign_id=item.campaign_id,
            amount=-item.amount if item.amount is not None else None,
            discount_amount=item.discount_amount,
            posted=[book.give_back(posted) for posted in item.posted],
        )
        for item in event.items
    ]
    order_version = 0
    if event.order is not None and event.order.get("id"):
        order_version = book.count_fact(event.order["id"], f"redemption-{root_id(event)}", 2)
    rolled_back = RedemptionRolledBack(
        redemption_id=root_id(event),
        parent_rollback_id=parent_rollback_id,
        items=items,
        order=_order_after(event),
        order_version=order_version,
        order_mode=event.rollback_order_mode,
        customer=event.customer,
        reason=command.reason,
        metadata=command.metadata,
        rolled_back_at=now,
    )
    return RolledBack(rolled_back, book.changed)


DISCOUNT_FIELDS = (
    "discount_amount",
    "items_discount_amount",
    "total_discount_amount",
    "applied_discount_amount",
    "items_applied_discount_amount",
    "total_applied_discount_amount",
)


def _order_after(event: RedemptionSucceeded) -> JsonObject | None:
    """Return the order as the rollback leaves it: canceled, without discounts (WITH_ORDER)."""
    order = event.order
    if order is None or event.rollback_order_mode == "WITHOUT_ORDER":
        return order
    after = {name: value for name, value in order.items() if name not in DISCOUNT_FIELDS}
    after["status"] = "CANCELED"
    if "amount" in order:
        after["total_amount"] = order["amount"]
    after["items"] = [_item_after(item) for item in order.get("items", [])]
    return after


def _item_after(item: JsonObject) -> JsonObject:
    after = {name: value for name, value in item.items() if name not in DISCOUNT_FIELDS}
    if "amount" in item and "subtotal_amount" in item:
        after["subtotal_amount"] = item["amount"]
    return after
