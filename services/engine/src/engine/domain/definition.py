"""Codes and their definitions as the engine uses them.

A :class:`Definition` is shared by all codes that inherit from one campaign; it is made once per version.
Neither is ever changed; they are no tuples because every redeemable reads a dozen of their fields.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from contracts import public
from contracts.campaigns import Campaign, Voucher, VoucherDefinition
from contracts.errors import JsonObject
from contracts.promotions import PromotionTier
from contracts.vouchers import definition_version, effective_definition
from engine.domain.discounts import Discount, read_discount
from engine.domain.effort import Effort, effort_of_discount
from engine.domain.rules import CompiledRule


@dataclass(slots=True)
class Definition:
    """What a code is: its own definition or its campaign's, with the campaign's dates."""

    version: int
    type: str
    discount: JsonObject | None
    prepared: Discount | None
    """The discount, read once."""
    gift: JsonObject | None
    quantity: int | None
    category_id: str | None
    windows: tuple[tuple[datetime | None, datetime | None], ...]
    """(start, end) of the code and of its campaign; all must be open."""
    timeframe: JsonObject | None
    timeframe_start: datetime | None
    days_of_week: tuple[int, ...]
    hours: JsonObject | None
    metadata: JsonObject
    is_campaign_active: bool
    campaign_name: str | None
    shown: JsonObject
    """The part of the voucher's public shape that follows from the definition."""
    recipes: dict[int, Any]
    """How it is applied, by the rules assigned to the code (:mod:`engine.domain.recipe`)."""


@dataclass(slots=True)
class Code:
    """What can be redeemed: a voucher, or a promotion tier, which has no code but its id."""

    id: str
    code: str
    campaign_id: str | None
    is_active: bool
    created_at: datetime | None
    updated_at: datetime | None
    definition: Definition
    rules: tuple[CompiledRule, ...]
    object: Literal["voucher", "promotion_tier"] = "voucher"
    rules_version: int = 0
    """Grows whenever a rule is changed, assigned or removed; limits that rules set carry it."""

    @property
    def is_tier(self) -> bool:
        """Whether it is a promotion tier."""
        return self.object == "promotion_tier"

    @property
    def uses_account(self) -> str:
        """The ledger's account of its uses."""
        return account_of_uses(self.id) if self.object == "voucher" else f"tier-uses/{self.id}"


def account_of_uses(voucher_id: str) -> str:
    """Return the ledger's account of a voucher's uses."""
    return f"uses/{voucher_id}"


def account_of_credits(voucher_id: str) -> str:
    """Return the ledger's account of a gift card's credits."""
    return f"credits/{voucher_id}"


def efforts_of(code: Code) -> list[Effort]:
    """Return what it costs to price the code, and to ask its rules."""
    own = effort_of_discount(code.definition.prepared)
    return [own, *(rule.effort for rule in code.rules)]


def make_definition(voucher: Voucher, campaign: Campaign | None) -> Definition:
    """Put a voucher's definition and its campaign's dates together."""
    own = effective_definition(voucher, campaign)
    windows = [(own.start_date, own.expiration_date)]
    if campaign is not None:
        windows.append((campaign.start_date, campaign.expiration_date))
    start = own.start_date or (campaign.start_date if campaign else None)
    return Definition(
        version=definition_version(voucher, campaign),
        type=own.type,
        discount=own.discount,
        prepared=_prepared(own.discount),
        gift=own.gift,
        quantity=own.redemption.get("quantity"),
        category_id=own.category_id or (campaign.category_id if campaign else None),
        windows=tuple(window for window in windows if window != (None, None)),
        timeframe=own.validity_timeframe or (campaign.validity_timeframe if campaign else None),
        timeframe_start=start,
        days_of_week=tuple(
            own.validity_day_of_week or (campaign.validity_day_of_week if campaign else None) or ()
        ),
        hours=own.validity_hours or (campaign.validity_hours if campaign else None),
        metadata=own.metadata,
        is_campaign_active=campaign.active if campaign else True,
        campaign_name=campaign.name if campaign else None,
        shown=_shown(own, campaign),
        recipes={},
    )


PROMOTION_TIER = "PROMOTION_TIER"
"""Stands where a voucher's type does."""


def make_tier_definition(tier: PromotionTier, campaign: Campaign) -> Definition:
    """Put a tier and its campaign together: the tier's own times count besides the campaign's."""
    windows = (
        (tier.start_date, tier.expiration_date),
        (campaign.start_date, campaign.expiration_date),
    )
    shown = public.promotion_tier(tier.model_dump(mode="json"), campaign.model_dump(mode="json"))
    return Definition(
        version=campaign.version + tier.version,
        type=PROMOTION_TIER,
        discount=tier.action.get("discount"),
        prepared=_prepared(tier.action.get("discount")),
        gift=None,
        quantity=None,
        category_id=tier.category_id or campaign.category_id,
        windows=tuple(window for window in windows if window != (None, None)),
        timeframe=tier.validity_timeframe or campaign.validity_timeframe,
        timeframe_start=tier.start_date or campaign.start_date,
        days_of_week=tuple(tier.validity_day_of_week or campaign.validity_day_of_week or ()),
        hours=tier.validity_hours or campaign.validity_hours,
        metadata=tier.metadata,
        is_campaign_active=campaign.active,
        campaign_name=campaign.name,
        shown=shown,
        recipes={},
    )


def _prepared(discount: JsonObject | None) -> Discount | None:
    return read_discount(discount) if discount else None


def _shown(own: VoucherDefinition, campaign: Campaign | None) -> JsonObject:
    start = own.start_date or (campaign.start_date if campaign else None)
    end = own.expiration_date or (campaign.expiration_date if campaign else None)
    gift = own.gift and {"amount": own.gift.get("amount"), "effect": gift_effect(own.gift)}
    return {
        "campaign": campaign.name if campaign else None,
        "campaign_id": campaign.id if campaign else None,
        "category": None,
        "category_id": own.category_id,
        "categories": [],
        "type": own.type,
        "discount": own.discount,
        "gift": gift,
        "loyalty_card": own.loyalty_card,
        "start_date": instant_text(start),
        "expiration_date": instant_text(end),
        "validity_timeframe": own.validity_timeframe,
        "validity_day_of_week": own.validity_day_of_week,
        "validity_hours": own.validity_hours,
        "additional_info": own.additional_info,
        "metadata": own.metadata,
        "is_referral_code": own.is_referral_code,
        "redemption": _redemption(own.redemption),
    }


def _redemption(redemption: JsonObject) -> JsonObject:
    """Return how often the code may be used; without a limit the public API names no quantity."""
    quantity = redemption.get("quantity")
    return {} if quantity is None else {"quantity": quantity}


def gift_effect(gift: JsonObject) -> str:
    """Return where a gift card's credits go."""
    return str(gift.get("effect") or "APPLY_TO_ORDER")


def voucher_json(code: Code) -> JsonObject:
    """Return the voucher in the public shape, without balances."""
    shown = {
        "id": code.id,
        "code": code.code,
        "object": "voucher",
        **code.definition.shown,
        "active": code.is_active,
        "created_at": instant_text(code.created_at),
        "updated_at": instant_text(code.updated_at),
    }
    return {name: value for name, value in shown.items() if value is not None}


def snapshot_json(code: Code) -> JsonObject:
    """Return the voucher or promotion tier in the public shape, without balances and totals."""
    if code.is_tier:
        return {**code.definition.shown, "active": code.is_active}
    return voucher_json(code)


def instant_text(moment: datetime | None) -> str | None:
    """Return an instant as the public API writes it: UTC, milliseconds, Z."""
    if moment is None:
        return None
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
