"""The replica: pure folds of other services' events into the tables that requests are answered from."""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

from contracts import (
    campaigns,
    catalog,
    customers,
    distribution,
    gateway,
    ids,
    ledger,
    promotions,
)
from contracts.errors import JsonObject
from contracts.messages import Envelope
from runtime.read_model import Fold, Projection, RowKey, Rows, Table

PROJECTS = Table(
    "projects",
    {"project_id": "text"},
    {
        "timezone": "text",
        "case_sensitive_codes": "boolean",
        "stacking_rules": "jsonb",
        "first_day_of_week": "smallint",
    },
)
CAMPAIGNS = Table(
    "campaigns", {"project_id": "text", "id": "text"}, {"version": "bigint", "doc": "jsonb"}
)
VOUCHERS = Table(
    "vouchers",
    {"project_id": "text", "id": "text"},
    {
        "code": "text",
        "campaign_id": "text",
        "active": "boolean",
        "version": "bigint",
        "definition": "jsonb",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
    },
)
RULES = Table("rules", {"project_id": "text", "id": "text"}, {"version": "bigint", "doc": "jsonb"})
ASSIGNMENTS = Table(
    "assignments",
    {"project_id": "text", "related_object_id": "text", "id": "text"},
    {"rule_id": "text", "position": "bigint"},
)
TIERS = Table(
    "tiers",
    {"project_id": "text", "id": "text"},
    {"campaign_id": "text", "version": "bigint", "doc": "jsonb"},
)
STACKS = Table(
    "stacks",
    {"project_id": "text", "id": "text"},
    {
        "campaign_id": "text",
        "name": "text",
        "tier_ids": "jsonb",
        "category_id": "text",
        "created_at": "timestamptz",
    },
)
CATEGORIES = Table("categories", {"project_id": "text", "id": "text"}, {"doc": "jsonb"})
CUSTOMERS = Table(
    "customers", {"project_id": "text", "id": "text"}, {"tracking_id": "text", "doc": "jsonb"}
)
SEGMENTS = Table(
    "segments", {"project_id": "text", "id": "text"}, {"version": "bigint", "doc": "jsonb"}
)
COLLECTIONS = Table(
    "collections", {"project_id": "text", "id": "text"}, {"version": "bigint", "doc": "jsonb"}
)
HOLDERS = Table("holders", {"project_id": "text", "voucher_id": "text", "customer_id": "text"}, {})
PUBLICATIONS = Table(
    "publications",
    {"project_id": "text", "voucher_id": "text", "id": "text"},
    {"customer_id": "text", "published_at": "timestamptz", "metadata": "jsonb"},
)
CATALOGUE = Table("catalogue", {"project_id": "text", "id": "text"}, {"doc": "jsonb"})
ORDERS = Table(
    "orders",
    {"project_id": "text", "id": "text"},
    {
        "sent": "jsonb",
        "redeemed": "jsonb",
        "redeemed_position": "bigint",
        "redeemed_version": "bigint",
    },
)
ACCOUNTS = Table(
    "accounts",
    {"project_id": "text", "account": "text"},
    {
        "used": "bigint",
        "used_position": "bigint",
        "adjusted": "bigint",
        "adjusted_position": "bigint",
        "held": "bigint",
        "held_position": "bigint",
    },
)
CHANGES = Table("definition_changes", {"project_id": "text"}, {"position": "bigint"})
HOLDS = Table("holds", {"project_id": "text", "session_key": "text"}, {"amounts": "jsonb"})


def document(model: BaseModel, *, leave_out: set[str] | None = None) -> JsonObject:
    """Return a model as it is kept."""
    kept: JsonObject = model.model_dump(mode="json", exclude_none=True, exclude=leave_out)
    return kept


# -- definitions ------------------------------------------------------------------------------------

FIRST_DAYS = {"MONDAY": 0, "SATURDAY": 5, "SUNDAY": 6}
"""Days on which a project's week may begin, counted from Monday."""

ProjectEvent = gateway.ProjectCreated | gateway.ProjectUpdated


def keys_project(event: ProjectEvent, meta: Envelope) -> Iterable[RowKey]:
    del meta
    yield PROJECTS, (event.project.id,)


def apply_project(rows: Rows, event: ProjectEvent, meta: Envelope) -> None:
    del meta
    project = event.project
    row = {
        "timezone": project.timezone,
        "case_sensitive_codes": project.case_sensitive_codes,
        "stacking_rules": project.stacking_rules,
        "first_day_of_week": FIRST_DAYS.get(str(project.settings.get("first_day_of_week")), 0),
    }
    rows.put(PROJECTS, (project.id,), row)


def keys_project_deleted(event: gateway.ProjectDeleted, meta: Envelope) -> Iterable[RowKey]:
    del meta
    yield PROJECTS, (event.project_id,)


def apply_project_deleted(rows: Rows, event: gateway.ProjectDeleted, meta: Envelope) -> None:
    del meta
    rows.delete(PROJECTS, event.project_id)


CampaignEvent = (
    campaigns.CampaignCreated
    | campaigns.CampaignUpdated
    | campaigns.CampaignEnabled
    | campaigns.CampaignDisabled
)


def keys_campaign(event: CampaignEvent, meta: Envelope) -> Iterable[RowKey]:
    yield CAMPAIGNS, (meta.project_id, event.campaign.id)


def apply_campaign(rows: Rows, event: CampaignEvent, meta: Envelope) -> None:
    # The position grows with every event; an enabling may leave the definition's version as it is.
    row = {"version": meta.position, "doc": document(event.campaign)}
    rows.put(CAMPAIGNS, (meta.project_id, event.campaign.id), row)


VoucherEvent = (
    campaigns.VoucherCreated
    | campaigns.VoucherUpdated
    | campaigns.VoucherEnabled
    | campaigns.VoucherDisabled
)


def keys_voucher(event: VoucherEvent, meta: Envelope) -> Iterable[RowKey]:
    yield VOUCHERS, (meta.project_id, event.voucher.id)


def apply_voucher(rows: Rows, event: VoucherEvent, meta: Envelope) -> None:
    voucher = event.voucher
    row = {
        "code": voucher.code,
        "campaign_id": voucher.campaign_id,
        "active": voucher.active,
        "version": voucher.version,
        "definition": document(voucher.definition) if voucher.definition else None,
        "created_at": voucher.created_at,
        "updated_at": voucher.updated_at,
    }
    rows.put(VOUCHERS, (meta.project_id, voucher.id), row)


def keys_generated(event: campaigns.VouchersGenerated, meta: Envelope) -> Iterable[RowKey]:
    project_id = meta.project_id
    for code in event.codes:
        yield VOUCHERS, (project_id, ids.voucher_id(project_id, code))


def apply_generated(rows: Rows, event: campaigns.VouchersGenerated, meta: Envelope) -> None:
    project_id = meta.project_id
    definition = document(event.definition) if event.definition else None
    for code in event.codes:
        key = (project_id, ids.voucher_id(project_id, code))
        known = rows.get(VOUCHERS, *key)
        # A change of a single code stands in a stream of its own and may have come first.
        if known is not None and known["version"] > 1:
            continue
        row = {
            "code": code,
            "campaign_id": event.campaign_id,
            "active": True,
            "version": 1,
            "definition": definition,
            "created_at": event.generated_at,
            "updated_at": None,
        }
        rows.put(VOUCHERS, key, row)


RuleEvent = campaigns.ValidationRuleCreated | campaigns.ValidationRuleUpdated


def keys_rule(event: RuleEvent, meta: Envelope) -> Iterable[RowKey]:
    yield RULES, (meta.project_id, event.rule.id)


def apply_rule(rows: Rows, event: RuleEvent, meta: Envelope) -> None:
    row = {"version": meta.position, "doc": document(event.rule)}
    rows.put(RULES, (meta.project_id, event.rule.id), row)


def keys_rule_deleted(event: campaigns.ValidationRuleDeleted, meta: Envelope) -> Iterable[RowKey]:
    yield RULES, (meta.project_id, event.rule_id)


def apply_rule_deleted(rows: Rows, event: campaigns.ValidationRuleDeleted, meta: Envelope) -> None:
    rows.delete(RULES, meta.project_id, event.rule_id)


AssignmentEvent = campaigns.ValidationRuleAssigned | campaigns.ValidationRuleUnassigned


def _assignment_key(event: AssignmentEvent, meta: Envelope) -> tuple[str, str, str]:
    return meta.project_id, event.assignment.related_object_id, event.assignment.id


def keys_assignment(event: AssignmentEvent, meta: Envelope) -> Iterable[RowKey]:
    yield ASSIGNMENTS, _assignment_key(event, meta)


def apply_assignment(rows: Rows, event: AssignmentEvent, meta: Envelope) -> None:
    # One that was removed stays with its position: the limits' version must never go down.
    is_there = isinstance(event, campaigns.ValidationRuleAssigned)
    row = {"rule_id": event.assignment.rule_id if is_there else None, "position": meta.position}
    rows.put(ASSIGNMENTS, _assignment_key(event, meta), row)


def keys_published(event: distribution.PublicationSucceeded, meta: Envelope) -> Iterable[RowKey]:
    publication = event.publication
    customer_id = publication.customer.get("id")
    for voucher in publication.vouchers:
        yield PUBLICATIONS, (meta.project_id, voucher["id"], publication.id)
        if customer_id is not None:
            yield HOLDERS, (meta.project_id, voucher["id"], customer_id)


def apply_published(rows: Rows, event: distribution.PublicationSucceeded, meta: Envelope) -> None:
    publication = event.publication
    row = {
        "customer_id": publication.customer.get("id"),
        "published_at": publication.created_at,
        "metadata": publication.metadata,
    }
    for table, key in keys_published(event, meta):
        rows.put(table, key, row if table is PUBLICATIONS else {})


# -- promotions and categories ----------------------------------------------------------------------

TierEvent = (
    promotions.PromotionTierCreated
    | promotions.PromotionTierUpdated
    | promotions.PromotionTierEnabled
    | promotions.PromotionTierDisabled
    | promotions.PromotionTierDeleted
)
StackEvent = (
    promotions.PromotionStackCreated
    | promotions.PromotionStackUpdated
    | promotions.PromotionStackDeleted
)
CategoryEvent = promotions.CategoryCreated | promotions.CategoryUpdated | promotions.CategoryDeleted


def keys_tier(event: TierEvent, meta: Envelope) -> Iterable[RowKey]:
    yield TIERS, (meta.project_id, event.tier.id)


def apply_tier(rows: Rows, event: TierEvent, meta: Envelope) -> None:
    tier = event.tier
    row = {"campaign_id": tier.campaign_id, "version": meta.position, "doc": document(tier)}
    rows.put(TIERS, (meta.project_id, tier.id), row)


def apply_tier_deleted(rows: Rows, event: promotions.PromotionTierDeleted, meta: Envelope) -> None:
    rows.delete(TIERS, meta.project_id, event.tier.id)


def keys_stack(event: StackEvent, meta: Envelope) -> Iterable[RowKey]:
    yield STACKS, (meta.project_id, event.stack.id)


def apply_stack(rows: Rows, event: StackEvent, meta: Envelope) -> None:
    stack = event.stack
    row = {
        "campaign_id": stack.campaign_id,
        "name": stack.name,
        "tier_ids": stack.tier_ids,
        "category_id": stack.category_id,
        "created_at": stack.created_at,
    }
    rows.put(STACKS, (meta.project_id, stack.id), row)


def apply_stack_deleted(
    rows: Rows, event: promotions.PromotionStackDeleted, meta: Envelope
) -> None:
    rows.delete(STACKS, meta.project_id, event.stack.id)


def keys_category(event: CategoryEvent, meta: Envelope) -> Iterable[RowKey]:
    yield CATEGORIES, (meta.project_id, event.category.id)


def apply_category(rows: Rows, event: CategoryEvent, meta: Envelope) -> None:
    row = {"doc": document(event.category)}
    rows.put(CATEGORIES, (meta.project_id, event.category.id), row)


def apply_category_deleted(rows: Rows, event: promotions.CategoryDeleted, meta: Envelope) -> None:
    rows.delete(CATEGORIES, meta.project_id, event.category.id)


# -- customers, catalogue, orders -------------------------------------------------------------------

CustomerEvent = customers.CustomerCreated | customers.CustomerUpdated


def keys_customer(event: CustomerEvent, meta: Envelope) -> Iterable[RowKey]:
    yield CUSTOMERS, (meta.project_id, event.customer.id)


def apply_customer(rows: Rows, event: CustomerEvent, meta: Envelope) -> None:
    customer, project_id = event.customer, meta.project_id
    source_id = customer.source_id
    row = {
        "tracking_id": ids.tracking_id(project_id, source_id) if source_id else None,
        "doc": document(customer, leave_out={"system_metadata"}),
    }
    rows.put(CUSTOMERS, (project_id, customer.id), row)


def keys_segment(event: customers.SegmentCreated, meta: Envelope) -> Iterable[RowKey]:
    yield SEGMENTS, (meta.project_id, event.segment.id)


def apply_segment(rows: Rows, event: customers.SegmentCreated, meta: Envelope) -> None:
    row = {"version": meta.position, "doc": document(event.segment)}
    rows.put(SEGMENTS, (meta.project_id, event.segment.id), row)


ProductEvent = catalog.ProductCreated | catalog.ProductUpdated
SkuEvent = catalog.SkuCreated | catalog.SkuUpdated


def keys_product(event: ProductEvent, meta: Envelope) -> Iterable[RowKey]:
    yield CATALOGUE, (meta.project_id, event.product.id)


def apply_product(rows: Rows, event: ProductEvent, meta: Envelope) -> None:
    kept = document(event.product, leave_out={"image_url"})
    rows.put(CATALOGUE, (meta.project_id, event.product.id), {"doc": kept})


def keys_sku(event: SkuEvent, meta: Envelope) -> Iterable[RowKey]:
    yield CATALOGUE, (meta.project_id, event.sku.id)


def apply_sku(rows: Rows, event: SkuEvent, meta: Envelope) -> None:
    kept = document(event.sku, leave_out={"image_url"})
    rows.put(CATALOGUE, (meta.project_id, event.sku.id), {"doc": kept})


def keys_product_deleted(event: catalog.ProductDeleted, meta: Envelope) -> Iterable[RowKey]:
    yield CATALOGUE, (meta.project_id, event.product_id)


def apply_product_deleted(rows: Rows, event: catalog.ProductDeleted, meta: Envelope) -> None:
    rows.delete(CATALOGUE, meta.project_id, event.product_id)


def keys_sku_deleted(event: catalog.SkuDeleted, meta: Envelope) -> Iterable[RowKey]:
    yield CATALOGUE, (meta.project_id, event.sku_id)


def apply_sku_deleted(rows: Rows, event: catalog.SkuDeleted, meta: Envelope) -> None:
    rows.delete(CATALOGUE, meta.project_id, event.sku_id)


CollectionEvent = catalog.ProductCollectionCreated | catalog.ProductCollectionUpdated


def keys_collection(event: CollectionEvent, meta: Envelope) -> Iterable[RowKey]:
    yield COLLECTIONS, (meta.project_id, event.collection.id)


def apply_collection(rows: Rows, event: CollectionEvent, meta: Envelope) -> None:
    row = {"version": meta.position, "doc": document(event.collection)}
    rows.put(COLLECTIONS, (meta.project_id, event.collection.id), row)


def keys_collection_deleted(
    event: catalog.ProductCollectionDeleted, meta: Envelope
) -> Iterable[RowKey]:
    yield COLLECTIONS, (meta.project_id, event.collection_id)


def apply_collection_deleted(
    rows: Rows, event: catalog.ProductCollectionDeleted, meta: Envelope
) -> None:
    rows.delete(COLLECTIONS, meta.project_id, event.collection_id)


OrderEvent = customers.OrderCreated | customers.OrderUpdated


def keys_order(event: OrderEvent, meta: Envelope) -> Iterable[RowKey]:
    yield ORDERS, (meta.project_id, event.order.id)


def apply_order(rows: Rows, event: OrderEvent, meta: Envelope) -> None:
    key = (meta.project_id, event.order.id)
    row = rows.get(ORDERS, *key) or {}
    rows.put(ORDERS, key, {**row, "sent": document(event.order)})


# -- the ledger ---------------------------------------------------------------------------------------

LedgerItems = list[ledger.RedeemedItem] | list[ledger.RolledBackItem]


def _account_keys(items: LedgerItems, project_id: str) -> Iterable[RowKey]:
    for item in items:
        for posted in item.posted:
            yield ACCOUNTS, (project_id, posted.account)


def _apply_posted(rows: Rows, items: LedgerItems, meta: Envelope) -> None:
    # One event may move an account twice; the later posting has the balance after both.
    for item in items:
        for posted in item.posted:
            key = (meta.project_id, posted.account)
            row = rows.get(ACCOUNTS, *key) or {}
            if (row.get("used_position") or 0) <= meta.position:
                changes = {"used": posted.used, "used_position": meta.position}
                rows.put(ACCOUNTS, key, {**row, **changes})


def _order_key(order: JsonObject | None, project_id: str) -> Iterable[RowKey]:
    if order is not None and order.get("id"):
        yield ORDERS, (project_id, order["id"])


def _apply_order_state(
    rows: Rows, event: ledger.RedemptionSucceeded | ledger.RedemptionRolledBack, meta: Envelope
) -> None:
    for _, key in _order_key(event.order, meta.project_id):
        row = rows.get(ORDERS, *key) or {}
        if (row.get("redeemed_position") or 0) < meta.position:
            changes = {
                "redeemed": event.order,
                "redeemed_position": meta.position,
                "redeemed_version": event.order_version,
            }
            rows.put(ORDERS, key, {**row, **changes})


def keys_redeemed(event: ledger.RedemptionSucceeded, meta: Envelope) -> Iterable[RowKey]:
    yield from _account_keys(event.items, meta.project_id)
    yield from _order_key(event.order, meta.project_id)


def apply_redeemed(rows: Rows, event: ledger.RedemptionSucceeded, meta: Envelope) -> None:
    _apply_posted(rows, event.items, meta)
    _apply_order_state(rows, event, meta)


def keys_rolled_back(event: ledger.RedemptionRolledBack, meta: Envelope) -> Iterable[RowKey]:
    yield from _account_keys(event.items, meta.project_id)
    yield from _order_key(event.order, meta.project_id)


def apply_rolled_back(rows: Rows, event: ledger.RedemptionRolledBack, meta: Envelope) -> None:
    _apply_posted(rows, event.items, meta)
    _apply_order_state(rows, event, meta)


def keys_adjusted(event: ledger.BalanceAdjusted, meta: Envelope) -> Iterable[RowKey]:
    yield ACCOUNTS, (meta.project_id, event.account)


def apply_adjusted(rows: Rows, event: ledger.BalanceAdjusted, meta: Envelope) -> None:
    key = (meta.project_id, event.account)
    row = rows.get(ACCOUNTS, *key) or {}
    if (row.get("adjusted_position") or 0) < meta.position:
        row["adjusted"] = event.available + event.used - event.limit
        row["adjusted_position"] = meta.position
    if (row.get("used_position") or 0) < meta.position:
        row["used"], row["used_position"] = event.used, meta.position
    rows.put(ACCOUNTS, key, row)


HoldEvent = ledger.HoldPlaced | ledger.HoldReleased


def keys_hold(event: HoldEvent, meta: Envelope) -> Iterable[RowKey]:
    yield HOLDS, (meta.project_id, event.session_key)
    for told in event.balances:
        yield ACCOUNTS, (meta.project_id, told.account)


def apply_hold(rows: Rows, event: HoldEvent, meta: Envelope) -> None:
    amounts: dict[str, int] = {}
    for posting in event.held if isinstance(event, ledger.HoldPlaced) else event.remaining:
        amounts[posting.account] = amounts.get(posting.account, 0) + posting.amount
    key = (meta.project_id, event.session_key)
    if amounts:
        rows.put(HOLDS, key, {"amounts": amounts})
    else:
        rows.delete(HOLDS, *key)
    for told in event.balances:
        account = (meta.project_id, told.account)
        row = rows.get(ACCOUNTS, *account) or {}
        if (row.get("held_position") or 0) < meta.position:
            changes = {"held": told.held, "held_position": meta.position}
            rows.put(ACCOUNTS, account, {**row, **changes})


def _same(
    keys: Callable[..., Iterable[RowKey]], apply: Callable[..., None], *events: Any
) -> dict[Any, Fold]:
    return dict.fromkeys(events, Fold(keys, apply))


# What offers are made of; a code of a campaign is offered only to those who hold it.
DEFINING = (
    campaigns.CampaignCreated,
    campaigns.CampaignUpdated,
    campaigns.CampaignEnabled,
    campaigns.CampaignDisabled,
    campaigns.VoucherCreated,
    campaigns.VoucherUpdated,
    campaigns.VoucherEnabled,
    campaigns.VoucherDisabled,
    campaigns.ValidationRuleCreated,
    campaigns.ValidationRuleUpdated,
    campaigns.ValidationRuleDeleted,
    campaigns.ValidationRuleAssigned,
    campaigns.ValidationRuleUnassigned,
    promotions.PromotionTierCreated,
    promotions.PromotionTierUpdated,
    promotions.PromotionTierEnabled,
    promotions.PromotionTierDisabled,
    promotions.PromotionTierDeleted,
    promotions.PromotionStackCreated,
    promotions.PromotionStackUpdated,
    promotions.PromotionStackDeleted,
)


def _noting_change(fold: Fold) -> Fold:
    """Return the fold that also notes the newest change of the project's definitions."""

    def keys(event: Any, meta: Envelope) -> Iterable[RowKey]:
        yield from fold.keys(event, meta)
        yield CHANGES, (meta.project_id,)

    def apply(rows: Rows, event: Any, meta: Envelope) -> None:
        fold.apply(rows, event, meta)
        known = rows.get(CHANGES, meta.project_id) or {}
        newest = max(known.get("position") or 0, meta.position)
        rows.put(CHANGES, (meta.project_id,), {"position": newest})

    return Fold(keys, apply)


FOLDS = {
    **_same(keys_project, apply_project, gateway.ProjectCreated, gateway.ProjectUpdated),
    **_same(keys_project_deleted, apply_project_deleted, gateway.ProjectDeleted),
    **_same(
        keys_campaign,
        apply_campaign,
        campaigns.CampaignCreated,
        campaigns.CampaignUpdated,
        campaigns.CampaignEnabled,
        campaigns.CampaignDisabled,
    ),
    **_same(
        keys_voucher,
        apply_voucher,
        campaigns.VoucherCreated,
        campaigns.VoucherUpdated,
        campaigns.VoucherEnabled,
        campaigns.VoucherDisabled,
    ),
    campaigns.VouchersGenerated: Fold(keys_generated, apply_generated),
    **_same(
        keys_rule, apply_rule, campaigns.ValidationRuleCreated, campaigns.ValidationRuleUpdated
    ),
    campaigns.ValidationRuleDeleted: Fold(keys_rule_deleted, apply_rule_deleted),
    **_same(
        keys_assignment,
        apply_assignment,
        campaigns.ValidationRuleAssigned,
        campaigns.ValidationRuleUnassigned,
    ),
    distribution.PublicationSucceeded: Fold(keys_published, apply_published),
    catalog.ProductDeleted: Fold(keys_product_deleted, apply_product_deleted),
    catalog.SkuDeleted: Fold(keys_sku_deleted, apply_sku_deleted),
    **_same(
        keys_collection,
        apply_collection,
        catalog.ProductCollectionCreated,
        catalog.ProductCollectionUpdated,
    ),
    catalog.ProductCollectionDeleted: Fold(keys_collection_deleted, apply_collection_deleted),
    **_same(
        keys_tier,
        apply_tier,
        promotions.PromotionTierCreated,
        promotions.PromotionTierUpdated,
        promotions.PromotionTierEnabled,
        promotions.PromotionTierDisabled,
    ),
    promotions.PromotionTierDeleted: Fold(keys_tier, apply_tier_deleted),
    **_same(
        keys_stack,
        apply_stack,
        promotions.PromotionStackCreated,
        promotions.PromotionStackUpdated,
    ),
    promotions.PromotionStackDeleted: Fold(keys_stack, apply_stack_deleted),
    **_same(keys_category, apply_category, promotions.CategoryCreated, promotions.CategoryUpdated),
    promotions.CategoryDeleted: Fold(keys_category, apply_category_deleted),
    **_same(keys_customer, apply_customer, customers.CustomerCreated, customers.CustomerUpdated),
    customers.SegmentCreated: Fold(keys_segment, apply_segment),
    **_same(keys_order, apply_order, customers.OrderCreated, customers.OrderUpdated),
    **_same(keys_product, apply_product, catalog.ProductCreated, catalog.ProductUpdated),
    **_same(keys_sku, apply_sku, catalog.SkuCreated, catalog.SkuUpdated),
    ledger.RedemptionSucceeded: Fold(keys_redeemed, apply_redeemed),
    ledger.RedemptionRolledBack: Fold(keys_rolled_back, apply_rolled_back),
    ledger.BalanceAdjusted: Fold(keys_adjusted, apply_adjusted),
    **_same(keys_hold, apply_hold, ledger.HoldPlaced, ledger.HoldReleased),
}
FOLDS |= {event: _noting_change(FOLDS[event]) for event in DEFINING}

PROJECTION = Projection(
    tables=[
        PROJECTS,
        CAMPAIGNS,
        VOUCHERS,
        RULES,
        ASSIGNMENTS,
        TIERS,
        STACKS,
        CATEGORIES,
        CUSTOMERS,
        SEGMENTS,
        COLLECTIONS,
        HOLDERS,
        PUBLICATIONS,
        CATALOGUE,
        ORDERS,
        ACCOUNTS,
        HOLDS,
        CHANGES,
    ],
    folds=FOLDS,
    ignored=[
        gateway.ApiKeyIssued,
        gateway.ApiKeyRevoked,
        campaigns.VouchersGenerationStarted,
        campaigns.VouchersGenerationCompleted,
        campaigns.VouchersGenerationFailed,
        campaigns.VouchersBulkStarted,
        campaigns.VouchersBulkAdvanced,
        catalog.ProductsBulkStarted,
        catalog.ProductsBulkAdvanced,
        customers.CustomersBulkStarted,
        customers.CustomersBulkAdvanced,
        distribution.PublicationFailed,
        distribution.CodeRequested,
        distribution.DistributionCreated,
        distribution.DistributionUpdated,
        distribution.MessageQueued,
        distribution.MessageSent,
        distribution.MessageFailed,
        customers.CustomerEnteredSegment,
        customers.CustomerLeftSegment,
        customers.CustomEventRecorded,
        ledger.RedemptionFailed,
        ledger.RollbackFailed,
    ],
)
