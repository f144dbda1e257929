"""Redemptions, balances, transactions, and the totals that campaigns and customers show."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from contracts import public
from contracts.errors import JsonObject
from contracts.ledger import (
    BalanceAdjusted,
    HeldBalance,
    HoldPlaced,
    HoldReleased,
    Posted,
    RedemptionFailed,
    RedemptionRolledBack,
    RedemptionSucceeded,
    RollbackFailed,
)
from contracts.messages import Envelope, Event
from gateway.read_models.campaign_quarters import add, quarter
from gateway.read_models.documents import PROJECT_AND_ID
from gateway.read_models.orders import ORDERS, apply_ledger
from runtime.read_model import Fold, Row, RowKey, Rows, Table

REDEMPTIONS = Table(
    "redemptions",
    PROJECT_AND_ID,
    {
        "parent_id": "text",
        "kind": "text",
        "result": "text",
        "date": "timestamptz",
        "customer_id": "text",
        "voucher_id": "text",
        "campaign_id": "text",
        "order_id": "text",
        "related_object_type": "text",
        "related_object_id": "text",
        "failure_code": "text",
        "doc": "jsonb",
        "rollback_id": "text",
        "rolled_back_at": "timestamptz",
    },
)
ACCOUNTS = Table(
    "accounts",
    {"project_id": "text", "account": "text"},
    {"used": "bigint", "available": "bigint", "adjusted": "bigint", "position": "bigint"},
)
TRANSACTIONS = Table(
    "voucher_transactions",
    PROJECT_AND_ID,
    {"voucher_id": "text", "created_at": "timestamptz", "doc": "jsonb"},
)
CUSTOMER_TOTALS = Table(
    "customer_totals",
    {"project_id": "text", "customer_id": "text"},
    dict.fromkeys(("redeemed", "failed", "rolled_back", "gift_amount"), "bigint"),
)
TIER_TOTALS = Table(
    "tier_totals",
    {"project_id": "text", "tier_id": "text"},
    dict.fromkeys(("redeemed", "orders_amount", "discount_amount"), "bigint"),
)
TABLES = [REDEMPTIONS, ACCOUNTS, TRANSACTIONS, CUSTOMER_TOTALS, TIER_TOTALS]


# -- which rows ----------------------------------------------------------------------------------


def keys_succeeded(event: RedemptionSucceeded, envelope: Envelope) -> Iterable[RowKey]:
    if event.parent_id is not None:
        yield REDEMPTIONS, (envelope.project_id, event.parent_id)
    yield from _common_keys(event, envelope)


def keys_rolled_back(event: RedemptionRolledBack, envelope: Envelope) -> Iterable[RowKey]:
    yield REDEMPTIONS, (envelope.project_id, event.redemption_id)
    if event.parent_rollback_id is not None:
        yield REDEMPTIONS, (envelope.project_id, event.parent_rollback_id)
    for item in event.items:
        yield REDEMPTIONS, (envelope.project_id, item.rollback_id)
    yield from _common_keys(event, envelope)


def _common_keys(
    event: RedemptionSucceeded | RedemptionRolledBack, envelope: Envelope
) -> Iterable[RowKey]:
    project_id = envelope.project_id
    at = event.redeemed_at if isinstance(event, RedemptionSucceeded) else event.rolled_back_at
    for item in event.items:
        yield REDEMPTIONS, (project_id, item.redemption_id)
        if item.campaign_id is not None:
            yield quarter(project_id, item.campaign_id, at)
        if item.related_object_type == "promotion_tier":
            yield TIER_TOTALS, (project_id, item.related_object_id)
        for number, posted in enumerate(item.posted):
            yield ACCOUNTS, (project_id, posted.account)
            if posted.unit == "credit":
                yield TRANSACTIONS, (project_id, _transaction_id(item, number))
    customer_id = (event.customer or {}).get("id")
    if customer_id is not None:
        yield CUSTOMER_TOTALS, (project_id, customer_id)
    order_id = (event.order or {}).get("id")
    if order_id is not None:
        yield ORDERS, (project_id, order_id)


def keys_failed(event: RedemptionFailed, envelope: Envelope) -> Iterable[RowKey]:
    yield REDEMPTIONS, (envelope.project_id, event.redemption_id)
    customer_id = (event.customer or {}).get("id")
    if customer_id is not None:
        yield CUSTOMER_TOTALS, (envelope.project_id, customer_id)
    campaign_id = _refused_campaign(event)
    if campaign_id is not None:
        yield quarter(envelope.project_id, campaign_id, event.failed_at)


def keys_rollback_failed(event: RollbackFailed, envelope: Envelope) -> Iterable[RowKey]:
    yield REDEMPTIONS, (envelope.project_id, event.rollback_id)
    for campaign_id in event.campaign_ids:
        yield quarter(envelope.project_id, campaign_id, event.failed_at)


def keys_adjusted(event: BalanceAdjusted, envelope: Envelope) -> Iterable[RowKey]:
    yield ACCOUNTS, (envelope.project_id, event.account)
    yield TRANSACTIONS, (envelope.project_id, event.transaction_id)
    if event.voucher.get("campaign_id"):
        yield quarter(envelope.project_id, event.voucher["campaign_id"], event.adjusted_at)


# -- what becomes of them ------------------------------------------------------------------------


def apply_succeeded(rows: Rows, event: RedemptionSucceeded, envelope: Envelope) -> None:
    project_id = envelope.project_id
    told = _json(event)
    parent = public.parent_redemption(project_id, told)
    if parent is not None:
        _put_redemption(rows, project_id, parent, event.redeemed_at, event.order)
    for item, shown in zip(event.items, public.redemptions(project_id, told), strict=True):
        voucher_id = (item.voucher or {}).get("id")
        _put_redemption(
            rows, project_id, shown, event.redeemed_at, event.order, voucher_id, item.campaign_id
        )
        _totals(rows, project_id, item, event.order, event.redeemed_at, is_rollback=False)
        _tier_totals(rows, project_id, item, event.order, 1, item.discount_amount)
        _post(rows, envelope, item, event.redeemed_at, "CREDITS_REDEMPTION")
    _customer(rows, project_id, event.customer, redeemed=1, gift_amount=_credits(event))
    apply_ledger(rows, envelope, event.order, event.redeemed_at)


def apply_rolled_back(rows: Rows, event: RedemptionRolledBack, envelope: Envelope) -> None:
    project_id = envelope.project_id
    told = _json(event)
    at = event.rolled_back_at
    parent = public.parent_rollback(project_id, told)
    if parent is not None:
        _put_redemption(rows, project_id, parent, at, event.order)
        _mark(rows, project_id, event.redemption_id, parent["id"], at)
    for item, shown in zip(event.items, public.rollbacks(project_id, told), strict=True):
        voucher_id = (item.voucher or {}).get("id")
        _put_redemption(rows, project_id, shown, at, event.order, voucher_id, item.campaign_id)
        _mark(rows, project_id, item.redemption_id, item.rollback_id, at)
        _totals(rows, project_id, item, event.order, at, is_rollback=True)
        _tier_totals(rows, project_id, item, event.order, -1, -item.discount_amount)
        _post(rows, envelope, item, at, "CREDITS_REFUND")
    _customer(rows, project_id, event.customer, rolled_back=1, gift_amount=_credits(event))
    if event.order_mode == "WITH_ORDER":
        apply_ledger(rows, envelope, event.order, at)


def apply_failed(rows: Rows, event: RedemptionFailed, envelope: Envelope) -> None:
    project_id = envelope.project_id
    shown = public.failed_redemption(project_id, _json(event))
    voucher = (event.refused or {}).get("voucher") or {}
    _put_redemption(
        rows,
        project_id,
        shown,
        event.failed_at,
        event.order,
        voucher.get("id"),
        _refused_campaign(event),
    )
    _customer(rows, project_id, event.customer, failed=1)
    campaign_id = _refused_campaign(event)
    if campaign_id is not None:
        add(rows, project_id, campaign_id, event.failed_at, redemptions_failed=1)


def apply_rollback_failed(rows: Rows, event: RollbackFailed, envelope: Envelope) -> None:
    shown = public.failed_rollback(envelope.project_id, _json(event))
    _put_redemption(rows, envelope.project_id, shown, event.failed_at, None)
    for campaign_id in event.campaign_ids:
        add(rows, envelope.project_id, campaign_id, event.failed_at, rollbacks_failed=1)


def apply_adjusted(rows: Rows, event: BalanceAdjusted, envelope: Envelope) -> None:
    project_id = envelope.project_id
    row = rows.get(ACCOUNTS, project_id, event.account) or {"adjusted": 0, "position": 0}
    row["adjusted"] += event.amount
    if envelope.position > row["position"]:
        row |= {"used": event.used, "available": event.available, "position": envelope.position}
    rows.put(ACCOUNTS, (project_id, event.account), row)
    kind = "CREDITS_ADDITION" if event.amount > 0 else "CREDITS_REMOVAL"
    doc = _transaction(
        event.transaction_id,
        kind,
        event.voucher.get("id"),
        event.voucher.get("campaign_id"),
        event.adjusted_at,
        event.amount,
        event.available,
    )
    doc |= {"source_id": event.source_id, "reason": event.reason}
    voucher_id = event.voucher.get("id")
    row = {"voucher_id": voucher_id, "created_at": event.adjusted_at, "doc": doc}
    rows.put(TRANSACTIONS, (project_id, event.transaction_id), row)
    if event.voucher.get("campaign_id"):
        name = "amount_added" if event.amount > 0 else "amount_subtracted"
        more = {name: abs(event.amount)}
        add(rows, project_id, event.voucher["campaign_id"], event.adjusted_at, **more)


def _put_redemption(
    rows: Rows,
    project_id: str,
    shown: JsonObject,
    date: datetime,
    order: JsonObject | None,
    voucher_id: str | None = None,
    campaign_id: str | None = None,
) -> None:
    before = rows.get(REDEMPTIONS, project_id, shown["id"]) or {}
    row: Row = {
        "parent_id": shown["redemption"] if shown["object"] == "redemption" else None,
        "kind": shown["object"],
        "result": shown["result"],
        "date": date,
        "customer_id": shown["customer_id"],
        "voucher_id": voucher_id,
        "campaign_id": campaign_id,
        "order_id": (order or {}).get("id"),
        "related_object_type": shown["related_object_type"],
        "related_object_id": shown["related_object_id"],
        "failure_code": shown.get("failure_code"),
        "doc": shown,
        "rollback_id": before.get("rollback_id"),
        "rolled_back_at": before.get("rolled_back_at"),
    }
    rows.put(REDEMPTIONS, (project_id, shown["id"]), row)


def _mark(rows: Rows, project_id: str, redemption_id: str, rollback_id: str, at: datetime) -> None:
    row = rows.get(REDEMPTIONS, project_id, redemption_id) or {}
    marked = {**row, "rollback_id": rollback_id, "rolled_back_at": at}
    rows.put(REDEMPTIONS, (project_id, redemption_id), marked)


def _post(rows: Rows, envelope: Envelope, item: Any, at: datetime, kind: str) -> None:
    project_id = envelope.project_id
    for number, posted in enumerate(item.posted):
        _balance(rows, project_id, posted, envelope.position)
        if posted.unit == "credit":
            transaction_id = _transaction_id(item, number)
            voucher_id = (item.voucher or {}).get("id")
            doc = _transaction(
                transaction_id,
                kind,
                voucher_id,
                item.campaign_id,
                at,
                -posted.amount,
                posted.available,
            )
            row = {"voucher_id": voucher_id, "created_at": at, "doc": doc}
            rows.put(TRANSACTIONS, (project_id, transaction_id), row)


def _balance(rows: Rows, project_id: str, posted: Posted | HeldBalance, position: int) -> None:
    # The same account is posted to from several partitions: the newest position counts.
    row = rows.get(ACCOUNTS, project_id, posted.account) or {"adjusted": 0, "position": 0}
    if position >= row["position"]:
        row |= {"used": posted.used, "available": posted.available, "position": position}
    rows.put(ACCOUNTS, (project_id, posted.account), row)


def _transaction_id(item: Any, number: int) -> str:
    own = getattr(item, "rollback_id", None) or item.redemption_id
    return f"vtx_{own.partition('_')[2] or own}{number or ''}{'b' if hasattr(item, 'rollback_id') else ''}"


def _transaction(
    transaction_id: str,
    kind: str,
    voucher_id: str | None,
    campaign_id: str | None,
    at: datetime,
    amount: int,
    balance: int | None,
) -> JsonObject:
    return {
        "id": transaction_id,
        "source_id": None,
        "voucher_id": voucher_id,
        # The published schema wants a text, also of a card that has no campaign.
        "campaign_id": campaign_id or "",
        "source": None,
        "reason": None,
        "type": kind,
        "details": {
            "balance": {
                "type": "gift_voucher",
                "total": balance,
                "object": "balance",
                "amount": amount,
                "balance": balance,
                "related_object": {"id": voucher_id, "type": "voucher"},
            }
        },
        "related_transaction_id": None,
        "created_at": public.instant(at),
    }


def _totals(
    rows: Rows,
    project_id: str,
    item: Any,
    order: JsonObject | None,
    at: datetime,
    *,
    is_rollback: bool,
) -> None:
    if item.campaign_id is None:
        return
    credited = sum(abs(posted.amount) for posted in item.posted if posted.unit == "credit")
    amount = (order or {}).get("amount") or 0
    if is_rollback:
        given_back = sum(-posted.amount for posted in item.posted if posted.unit == "discount")
        add(
            rows,
            project_id,
            item.campaign_id,
            at,
            rollbacks_succeeded=1,
            rolledback_discounted_amount=given_back,
            amount_rolledback=credited,
            orders_rolledback_amount=amount,
        )
        return
    add(
        rows,
        project_id,
        item.campaign_id,
        at,
        redemptions_succeeded=1,
        discounted_amount=item.discount_amount,
        amount_redeemed=credited,
        orders_amount=amount,
    )


def _tier_totals(
    rows: Rows, project_id: str, item: Any, order: JsonObject | None, uses: int, discount: int
) -> None:
    if item.related_object_type != "promotion_tier":
        return
    key = (project_id, item.related_object_id)
    amount = uses * ((order or {}).get("amount") or 0)
    _add(rows, TIER_TOTALS, key, redeemed=uses, orders_amount=amount, discount_amount=discount)


def _credits(event: RedemptionSucceeded | RedemptionRolledBack) -> int:
    return sum(p.amount for item in event.items for p in item.posted if p.unit == "credit")


def _customer(rows: Rows, project_id: str, customer: JsonObject | None, **more: int) -> None:
    customer_id = (customer or {}).get("id")
    if customer_id is not None:
        _add(rows, CUSTOMER_TOTALS, (project_id, customer_id), **more)


def _add(rows: Rows, table: Table, key: tuple[str, str], **more: int) -> None:
    row = rows.get(table, *key) or dict.fromkeys(table.columns, 0)
    rows.put(table, key, {**row, **{name: row[name] + amount for name, amount in more.items()}})


def _refused_campaign(event: RedemptionFailed) -> str | None:
    voucher = (event.refused or {}).get("voucher") or {}
    found: str | None = voucher.get("campaign_id")
    return found


def _json(event: Event) -> JsonObject:
    return event.model_dump(mode="json", exclude_none=True)


def keys_hold(event: HoldPlaced | HoldReleased, envelope: Envelope) -> Iterable[RowKey]:
    for told in event.balances:
        yield ACCOUNTS, (envelope.project_id, told.account)


def apply_hold(rows: Rows, event: HoldPlaced | HoldReleased, envelope: Envelope) -> None:
    """What a session holds is not available to others, a card's credits neither."""
    for told in event.balances:
        _balance(rows, envelope.project_id, told, envelope.position)


FOLDS: dict[type[Event], Fold] = {
    RedemptionSucceeded: Fold(keys_succeeded, apply_succeeded),
    RedemptionRolledBack: Fold(keys_rolled_back, apply_rolled_back),
    RedemptionFailed: Fold(keys_failed, apply_failed),
    RollbackFailed: Fold(keys_rollback_failed, apply_rollback_failed),
    BalanceAdjusted: Fold(keys_adjusted, apply_adjusted),
    HoldPlaced: Fold(keys_hold, apply_hold),
    HoldReleased: Fold(keys_hold, apply_hold),
}
IGNORED: list[type[Event]] = []
