"""Commands and events of promotion tiers, promotion stacks and categories, owned by ``campaigns``.

A tier belongs to a campaign of type PROMOTION and needs no code. A stack names tiers of one campaign in
the order in which they are applied. A category groups incentives for the project's stacking rules.
"""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from contracts.errors import JsonObject
from contracts.messages import Command, Event


class Category(BaseModel):
    """A category; the lower its ``hierarchy``, the earlier its incentives are applied."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    hierarchy: int
    created_at: datetime
    updated_at: datetime | None = None
    version: int = 1


class PromotionTier(BaseModel):
    """A discount that applies by itself; ``action`` is ``{"discount": …}`` as the public API has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    campaign_id: str
    name: str
    banner: str | None = None
    action: JsonObject = {}
    metadata: JsonObject = {}
    hierarchy: int = 1
    active: bool = True
    start_date: datetime | None = None
    expiration_date: datetime | None = None
    validity_timeframe: JsonObject | None = None
    validity_day_of_week: list[int] | None = None
    validity_hours: JsonObject | None = None
    category_id: str | None = None
    created_at: datetime
    updated_at: datetime | None = None
    version: int = 1


class PromotionStack(BaseModel):
    """Tiers of one campaign that are redeemed together, in the order of ``tier_ids``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    campaign_id: str
    name: str
    tier_ids: list[str]
    hierarchy_mode: Literal["MANUAL"] = "MANUAL"
    category_id: str | None = None
    created_at: datetime
    updated_at: datetime | None = None
    version: int = 1


class CreateCategory(Command):
    TYPE: ClassVar[str] = "campaigns.create-category.v1"
    category_id: str
    definition: JsonObject


class UpdateCategory(Command):
    TYPE: ClassVar[str] = "campaigns.update-category.v1"
    category_id: str
    changes: JsonObject


class DeleteCategory(Command):
    TYPE: ClassVar[str] = "campaigns.delete-category.v1"
    category_id: str


class CreatePromotionTier(Command):
    """Add a tier to a campaign of type PROMOTION."""

    TYPE: ClassVar[str] = "campaigns.create-promotion-tier.v1"
    tier_id: str
    campaign_id: str
    """Id or name."""
    definition: JsonObject
    validation_rules: list[str] = []
    """Ids of rules to assign at once."""


class UpdatePromotionTier(Command):
    """Change the fields that were sent; an explicit None clears one."""

    TYPE: ClassVar[str] = "campaigns.update-promotion-tier.v1"
    tier_id: str
    changes: JsonObject
    validation_rules: list[str] = []
    """Ids of rules to assign besides those that are."""


class SetPromotionTierActive(Command):
    TYPE: ClassVar[str] = "campaigns.set-promotion-tier-active.v1"
    tier_id: str
    active: bool


class DeletePromotionTier(Command):
    """Refused while a promotion stack names the tier."""

    TYPE: ClassVar[str] = "campaigns.delete-promotion-tier.v1"
    tier_id: str


class CreatePromotionStack(Command):
    TYPE: ClassVar[str] = "campaigns.create-promotion-stack.v1"
    stack_id: str
    campaign_id: str
    """Id or name."""
    definition: JsonObject


class UpdatePromotionStack(Command):
    TYPE: ClassVar[str] = "campaigns.update-promotion-stack.v1"
    stack_id: str
    campaign_id: str
    changes: JsonObject


class DeletePromotionStack(Command):
    TYPE: ClassVar[str] = "campaigns.delete-promotion-stack.v1"
    stack_id: str
    campaign_id: str


class CategoryCreated(Event):
    TYPE: ClassVar[str] = "campaigns.category-created.v1"
    category: Category


class CategoryUpdated(Event):
    TYPE: ClassVar[str] = "campaigns.category-updated.v1"
    category: Category


class CategoryDeleted(Event):
    """What has the category keeps its id, which then names nothing: it counts as without category."""

    TYPE: ClassVar[str] = "campaigns.category-deleted.v1"
    category: Category


class PromotionTierCreated(Event):
    TYPE: ClassVar[str] = "campaigns.promotion-tier-created.v1"
    tier: PromotionTier


class PromotionTierUpdated(Event):
    TYPE: ClassVar[str] = "campaigns.promotion-tier-updated.v1"
    tier: PromotionTier


class PromotionTierEnabled(Event):
    TYPE: ClassVar[str] = "campaigns.promotion-tier-enabled.v1"
    tier: PromotionTier


class PromotionTierDisabled(Event):
    TYPE: ClassVar[str] = "campaigns.promotion-tier-disabled.v1"
    tier: PromotionTier


class PromotionTierDeleted(Event):
    TYPE: ClassVar[str] = "campaigns.promotion-tier-deleted.v1"
    tier: PromotionTier


class PromotionStackCreated(Event):
    TYPE: ClassVar[str] = "campaigns.promotion-stack-created.v1"
    stack: PromotionStack


class PromotionStackUpdated(Event):
    TYPE: ClassVar[str] = "campaigns.promotion-stack-updated.v1"
    stack: PromotionStack


class PromotionStackDeleted(Event):
    TYPE: ClassVar[str] = "campaigns.promotion-stack-deleted.v1"
    stack: PromotionStack
