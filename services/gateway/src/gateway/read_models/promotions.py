"""Promotion tiers, promotion stacks and categories."""

from collections.abc import Callable, Iterable
from typing import Any

from contracts.messages import Envelope, Event
from contracts.promotions import (
    Category,
    CategoryCreated,
    CategoryDeleted,
    CategoryUpdated,
    PromotionStack,
    PromotionStackCreated,
    PromotionStackDeleted,
    PromotionStackUpdated,
    PromotionTier,
    PromotionTierCreated,
    PromotionTierDeleted,
    PromotionTierDisabled,
    PromotionTierEnabled,
    PromotionTierUpdated,
)
from gateway.read_models.documents import PROJECT_AND_ID, document
from runtime.read_model import Fold, Row, RowKey, Rows, Table

DATES = {"created_at": "timestamptz", "updated_at": "timestamptz"}
CATEGORIES = Table(
    "categories", PROJECT_AND_ID, {"name": "text", "hierarchy": "bigint", **DATES, "doc": "jsonb"}
)
TIERS = Table(
    "promotion_tiers",
    PROJECT_AND_ID,
    {
        "campaign_id": "text",
        "name": "text",
        "hierarchy": "bigint",
        "active": "boolean",
        **DATES,
        "doc": "jsonb",
    },
)
STACKS = Table(
    "promotion_stacks",
    PROJECT_AND_ID,
    {"campaign_id": "text", "name": "text", **DATES, "doc": "jsonb"},
)
TABLES = [CATEGORIES, TIERS, STACKS]


def _category_columns(state: Category) -> Row:
    return {
        "name": state.name,
        "hierarchy": state.hierarchy,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
    }


def _tier_columns(state: PromotionTier) -> Row:
    return {
        "campaign_id": state.campaign_id,
        "name": state.name,
        "hierarchy": state.hierarchy,
        "active": state.active,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
    }


def _stack_columns(state: PromotionStack) -> Row:
    return {
        "campaign_id": state.campaign_id,
        "name": state.name,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
    }


def _removal(table: Table, id_of: Callable[[Any], str]) -> Fold:
    def keys(event: Event, envelope: Envelope) -> Iterable[RowKey]:
        yield table, (envelope.project_id, id_of(event))

    def apply(rows: Rows, event: Event, envelope: Envelope) -> None:
        rows.delete(table, envelope.project_id, id_of(event))

    return Fold(keys, apply)


CATEGORY = document(CATEGORIES, lambda event: event.category, _category_columns)
TIER = document(TIERS, lambda event: event.tier, _tier_columns)
STACK = document(STACKS, lambda event: event.stack, _stack_columns)
FOLDS: dict[type[Event], Fold] = {
    CategoryCreated: CATEGORY,
    CategoryUpdated: CATEGORY,
    CategoryDeleted: _removal(CATEGORIES, lambda event: event.category.id),
    PromotionTierCreated: TIER,
    PromotionTierUpdated: TIER,
    PromotionTierEnabled: TIER,
    PromotionTierDisabled: TIER,
    PromotionTierDeleted: _removal(TIERS, lambda event: event.tier.id),
    PromotionStackCreated: STACK,
    PromotionStackUpdated: STACK,
    PromotionStackDeleted: _removal(STACKS, lambda event: event.stack.id),
}
