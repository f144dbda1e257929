"""A promotion stack: tiers of one campaign that are redeemed together, in this order."""

from collections.abc import Collection
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from campaigns import limits
from campaigns.domain.definition import CATEGORY_FIELDS
from campaigns.domain.errors import not_found
from campaigns.domain.promotion_tier import refuse_other_campaigns
from contracts.campaigns import Campaign
from contracts.errors import JsonObject
from contracts.payload import Fields, json_object, list_of, one_of, read, refuse, required, text
from contracts.promotions import (
    PromotionStack,
    PromotionStackCreated,
    PromotionStackDeleted,
    PromotionStackUpdated,
)

PromotionStackEvent = PromotionStackCreated | PromotionStackUpdated | PromotionStackDeleted
_IDS = list_of(text(limits.ID_LENGTH_MAX), limits.TIERS_PER_STACK_MAX)


class PromotionStackState(BaseModel):
    """A stack, and whether it was deleted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stack: PromotionStack
    is_deleted: bool = False


def tiers(path: str, value: object) -> list[str]:
    """Read ``{"ids": […], "hierarchy_mode": "MANUAL"}``."""
    body = json_object(path, value)
    mode = body.get("hierarchy_mode")
    if mode is not None:
        one_of("MANUAL")(f"{path}.hierarchy_mode", mode)
    ids: list[str] = required(_IDS, body, "ids", path)
    if not ids:
        raise refuse(f"{path}.ids", "must have at least one element")
    if len(set(ids)) < len(ids):
        raise refuse(f"{path}.ids", "must not name a tier twice")
    return ids


FIELDS: Fields = {
    **CATEGORY_FIELDS,
    "name": text(limits.NAME_LENGTH_MAX, pattern=r"(?s).*\S.*", meaning="a non-empty string"),
    "tiers": tiers,
}


def named_tiers(definition: JsonObject) -> list[str]:
    """Return the ids of the tiers that the body names."""
    found: list[str] = read(definition, FIELDS).get("tiers", [])
    return found


def decide_create(
    stack_id: str,
    campaign: Campaign,
    definition: JsonObject,
    known: Collection[str],
    now: datetime,
) -> PromotionStackCreated:
    """Return the stack that the body defines; ``known`` are the campaign's tiers."""
    refuse_other_campaigns(campaign)
    for name in ("name", "tiers"):
        required(FIELDS[name], definition, name)
    values = read(definition, FIELDS)
    stack = PromotionStack(
        id=stack_id,
        campaign_id=campaign.id,
        name=values["name"],
        tier_ids=_all_known(values["tiers"], known),
        category_id=values.get("category_id"),
        created_at=now,
    )
    return PromotionStackCreated(stack=stack)


def decide_update(
    state: PromotionStackState, changes: JsonObject, known: Collection[str], now: datetime
) -> list[PromotionStackUpdated]:
    """Return the change; nothing if the stack already is as sent."""
    before = state.stack
    values = read(changes, FIELDS)
    if "tiers" in values:
        values["tier_ids"] = _all_known(values.pop("tiers"), known)
    after = before.model_copy(update=values)
    if after == before:
        return []
    stamp = {"updated_at": now, "version": before.version + 1}
    return [PromotionStackUpdated(stack=after.model_copy(update=stamp))]


def decide_delete(state: PromotionStackState) -> PromotionStackDeleted:
    """Return the deletion."""
    return PromotionStackDeleted(stack=state.stack)


def _all_known(tier_ids: list[str], known: Collection[str]) -> list[str]:
    for tier_id in tier_ids:
        if tier_id not in known:
            raise not_found("promotion_tier", tier_id)
    return tier_ids


def existing(
    state: PromotionStackState | None, stack_id: str, campaign_id: str
) -> PromotionStackState:
    """Return the campaign's stack; refuses one that is not there (any more)."""
    if state is None or state.is_deleted or state.stack.campaign_id != campaign_id:
        raise not_found("promotion_stack", stack_id)
    return state


def evolve(state: PromotionStackState | None, event: PromotionStackEvent) -> PromotionStackState:
    """Return the stack after the event."""
    assert (state is None) == isinstance(event, PromotionStackCreated), "a stack is created first"
    return PromotionStackState(
        stack=event.stack, is_deleted=isinstance(event, PromotionStackDeleted)
    )
