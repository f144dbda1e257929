"""A promotion tier: a discount of a PROMOTION campaign that applies without a code."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from campaigns import limits
from campaigns.domain.definition import CATEGORY_FIELDS, boolean
from campaigns.domain.discount import discount
from campaigns.domain.errors import InvalidCampaign, ResourceInUse, not_found
from campaigns.domain.periods import PERIOD_FIELDS, check_period
from contracts.campaigns import Campaign
from contracts.errors import JsonObject
from contracts.payload import (
    Fields,
    Reader,
    json_object,
    list_of,
    merge_metadata,
    metadata,
    optional,
    read,
    refuse,
    required,
    text,
    whole_number,
)
from contracts.promotions import (
    PromotionTier,
    PromotionTierCreated,
    PromotionTierDeleted,
    PromotionTierDisabled,
    PromotionTierEnabled,
    PromotionTierUpdated,
)

PromotionTierEvent = (
    PromotionTierCreated
    | PromotionTierUpdated
    | PromotionTierEnabled
    | PromotionTierDisabled
    | PromotionTierDeleted
)


class PromotionTierState(BaseModel):
    """A tier, and whether it was deleted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tier: PromotionTier
    is_deleted: bool = False


def action(path: str, value: object) -> JsonObject:
    """Read ``{"discount": …}``; refuses a discount that the engine does not price."""
    body = json_object(path, value)
    return {"discount": required(discount, body, "discount", path)}


_NAME = text(limits.NAME_LENGTH_MAX, pattern=r"(?s).*\S.*", meaning="a non-empty string")
_HIERARCHY: Reader = whole_number(0, limits.HIERARCHY_MAX)
FIELDS: Fields = {
    **PERIOD_FIELDS,
    **CATEGORY_FIELDS,
    "name": _NAME,
    "banner": optional(text(limits.BANNER_LENGTH_MAX)),
    "action": action,
    "metadata": metadata,
    "hierarchy": optional(_HIERARCHY),
    "active": optional(boolean),
}


def refuse_other_campaigns(campaign: Campaign) -> None:
    """Refuse tiers and stacks outside promotions."""
    if campaign.campaign_type != "PROMOTION":
        message = f"Campaign {campaign.id} is of type {campaign.campaign_type}, not PROMOTION"
        raise InvalidCampaign(message, resource_id=campaign.id, resource_type="campaign")


def decide_create(
    tier_id: str,
    campaign: Campaign,
    definition: JsonObject,
    last_hierarchy: int,
    now: datetime,
    path: str = "",
) -> PromotionTierCreated:
    """Return the tier that the body defines; without a hierarchy it comes after all others."""
    refuse_other_campaigns(campaign)
    required(_NAME, definition, "name", path)
    required(action, definition, "action", path)
    values = {name: one for name, one in read(definition, FIELDS, path).items() if one is not None}
    check_period(values, path)
    tier = PromotionTier(
        **{"hierarchy": min(last_hierarchy + 1, limits.HIERARCHY_MAX), **values},
        id=tier_id,
        campaign_id=campaign.id,
        created_at=now,
    )
    return PromotionTierCreated(tier=tier)


def decide_update(
    state: PromotionTierState, changes: JsonObject, now: datetime
) -> list[PromotionTierUpdated]:
    """Return the change; nothing if the tier already is as sent."""
    before = state.tier
    values = read(changes, FIELDS)
    if "metadata" in values:
        values["metadata"] = merge_metadata(before.metadata, values["metadata"])
    for name in ("hierarchy", "active"):
        if values.get(name, 0) is None:
            del values[name]
    after = before.model_copy(update=values)
    check_period(dict(after))
    if after == before:
        return []
    return [PromotionTierUpdated(tier=_stamped(after, now))]


def decide_set_active(
    state: PromotionTierState, active: bool, now: datetime
) -> list[PromotionTierEnabled | PromotionTierDisabled]:
    """Return the switch; nothing if it already stands so."""
    if state.tier.active == active:
        return []
    tier = _stamped(state.tier.model_copy(update={"active": active}), now)
    return [PromotionTierEnabled(tier=tier) if active else PromotionTierDisabled(tier=tier)]


def decide_delete(state: PromotionTierState, stack_ids: list[str]) -> PromotionTierDeleted:
    """Return the deletion; refuses it while stacks name the tier."""
    if stack_ids:
        named = ", ".join(stack_ids)
        raise ResourceInUse(
            f"Resource promotion_tier with id {state.tier.id} is in use by promotion_stack with"
            f" ids [{named}]",
            resource_id=state.tier.id,
            resource_type="promotion_tier",
        )
    return PromotionTierDeleted(tier=state.tier)


def _stamped(tier: PromotionTier, now: datetime) -> PromotionTier:
    return tier.model_copy(update={"updated_at": now, "version": tier.version + 1})


def existing(state: PromotionTierState | None, tier_id: str) -> PromotionTierState:
    """Return the tier; refuses one that is not there (any more)."""
    if state is None or state.is_deleted:
        raise not_found("promotion_tier", tier_id)
    return state


def tiers_of(definition: JsonObject) -> list[JsonObject]:
    """Return the tiers in the body of a new PROMOTION campaign."""
    promotion = json_object("promotion", definition.get("promotion") or {})
    tiers: list[JsonObject] = list_of(json_object, limits.TIERS_PER_REQUEST_MAX)(
        "promotion.tiers", promotion.get("tiers") or []
    )
    return tiers


def assigned_rules(path: str, definition: JsonObject) -> list[str]:
    """Return the rules that a tier's body assigns: ids, or a list of assignments as the API has it."""
    given = definition.get("validation_rules")
    if given is None:
        listed = definition.get("validation_rule_assignments")
        given = json_object(f"{path}validation_rule_assignments", listed or {}).get("data") or []
    if not isinstance(given, list) or len(given) > limits.RULES_PER_TARGET_MAX:
        reason = f"must be a list of at most {limits.RULES_PER_TARGET_MAX} elements"
        raise refuse(f"{path}validation_rules", reason)
    rules = []
    for index, one in enumerate(given):
        rule_id = one.get("rule_id") if isinstance(one, dict) else one
        rules.append(text(limits.ID_LENGTH_MAX)(f"{path}validation_rules[{index}]", rule_id))
    return rules


def evolve(state: PromotionTierState | None, event: PromotionTierEvent) -> PromotionTierState:
    """Return the tier after the event."""
    assert (state is None) == isinstance(event, PromotionTierCreated), "a tier is created first"
    return PromotionTierState(tier=event.tier, is_deleted=isinstance(event, PromotionTierDeleted))
