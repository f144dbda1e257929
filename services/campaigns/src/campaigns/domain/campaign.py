"""A campaign: its template, its switches, and the generation of its codes.

The codes themselves are not part of the state; the state knows how many were generated and what is
still to come.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from campaigns import limits
from campaigns.domain.codes import CodePattern, code, code_config, pattern_of
from campaigns.domain.definition import (
    CATEGORY_FIELDS,
    boolean,
    change_definition,
    gift,
    override,
    read_definition,
)
from campaigns.domain.discount import discount
from campaigns.domain.errors import InvalidCampaign, duplicate, unsupported
from campaigns.domain.periods import PERIOD_FIELDS, check_period, duration
from campaigns.domain.support import CAMPAIGN_TYPES
from campaigns.domain.voucher import gift_amount
from contracts.campaigns import (
    AddVouchers,
    Campaign,
    CampaignCreated,
    CampaignDisabled,
    CampaignEnabled,
    CampaignUpdated,
    CreateCampaign,
    VoucherDefinition,
    VouchersGenerated,
    VouchersGenerationCompleted,
    VouchersGenerationFailed,
    VouchersGenerationStarted,
)
from contracts.errors import ErrorBody, JsonObject
from contracts.limits import METADATA_KEYS_MAX
from contracts.payload import (
    Fields,
    json_object,
    list_of,
    merge_metadata,
    metadata,
    one_of,
    optional,
    read,
    refuse,
    required,
    text,
)

CampaignEvent = (
    CampaignCreated
    | CampaignUpdated
    | CampaignEnabled
    | CampaignDisabled
    | VouchersGenerationStarted
    | VouchersGenerated
    | VouchersGenerationCompleted
    | VouchersGenerationFailed
)

PROMOTION = "PROMOTION"
"""Campaigns of tiers, which have no codes."""

ALL_CAMPAIGN_TYPES = (
    "DISCOUNT_COUPONS",
    "GIFT_VOUCHERS",
    "LOYALTY_PROGRAM",
    "REFERRAL_PROGRAM",
    "PROMOTION",
)


class Generation(BaseModel):
    """Codes that are being generated under one asynchronous action."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    total: int
    done: int = 0


class CampaignState(BaseModel):
    """A campaign, the version of its stream, and the generations that run (by action id)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    campaign: Campaign
    version: int = 1
    generations: dict[str, Generation] = {}


_COMMON: Fields = {
    **PERIOD_FIELDS,
    **CATEGORY_FIELDS,
    "description": optional(text(limits.DESCRIPTION_LENGTH_MAX)),
    "join_once": optional(boolean),
    "auto_join": optional(boolean),
    "activity_duration_after_publishing": optional(duration),
    "metadata": metadata,
}

_NEW: Fields = {
    **_COMMON,
    "name": text(limits.NAME_LENGTH_MAX, pattern=r"(?s).*\S.*", meaning="a non-empty string"),
    "type": optional(one_of("AUTO_UPDATE", "STATIC", "STANDALONE")),
    "use_voucher_metadata_schema": optional(boolean),
    "active": optional(boolean),
}

_CHANGES: Fields = {
    **_COMMON,
    "type": one_of("AUTO_UPDATE", "STATIC"),
    "discount": discount,
    "gift": gift,
    "unset_metadata_fields": optional(list_of(text(limits.NAME_LENGTH_MAX), METADATA_KEYS_MAX)),
}

_SWITCHES = ("join_once", "auto_join", "use_voucher_metadata_schema", "active")
_TEMPLATE_FIELDS: Fields = {"discount": discount, "gift": gift}


def read_campaign(command: CreateCampaign, now: datetime) -> Campaign:
    """Return the campaign that the command's body means; refuses what is wrong in it."""
    body = command.definition
    required(_NEW["name"], body, "name")
    _refuse_unsupported(body)
    values = read(body, _NEW)
    values = {name: values[name] for name in values if values[name] is not None}
    check_period(values)
    period = {name: values.get(name) for name in PERIOD_FIELDS}
    template, campaign_type = _template(body, period)
    return Campaign(
        **{"type": "AUTO_UPDATE", **values},
        id=command.campaign_id,
        campaign_type=campaign_type,
        voucher=template,
        created_at=now,
    )


def _refuse_unsupported(body: JsonObject) -> None:
    campaign_type = optional(one_of(*ALL_CAMPAIGN_TYPES))
    kind = campaign_type("campaign_type", body.get("campaign_type"))
    if kind is not None and kind not in {*CAMPAIGN_TYPES, PROMOTION}:
        raise unsupported("campaign_type", kind)
    if body.get("promotion") and kind not in {None, PROMOTION}:
        raise refuse("promotion", f"must not be set, because the type is {kind}")
    _refuse_unsupported_parts(body)


def _refuse_unsupported_parts(body: JsonObject) -> None:
    for name in ("referral_program", "loyalty_tiers_expiration", "access_settings"):
        if body.get(name):
            raise unsupported(name, "it")


def _template(body: JsonObject, period: JsonObject) -> tuple[VoucherDefinition | None, Any]:
    if body.get("campaign_type") == PROMOTION or body.get("promotion"):
        if body.get("voucher"):
            raise refuse("voucher", f"must not be set, because the type is {PROMOTION}")
        return None, PROMOTION
    voucher = required(json_object, body, "voucher")
    # A template has no period of its own: its codes are valid when their campaign is.
    voucher = {name: voucher[name] for name in voucher if name not in PERIOD_FIELDS}
    template = read_definition(voucher, "voucher")
    kinds = {voucher_type: kind for kind, voucher_type in CAMPAIGN_TYPES.items()}
    kind = body.get("campaign_type") or kinds[template.type]
    if CAMPAIGN_TYPES[kind] != template.type:
        raise refuse("voucher.type", f"must be {CAMPAIGN_TYPES[kind]}, because the type is {kind}")
    return template.model_copy(update=period), kind


def chosen_code(definition: JsonObject) -> str | None:
    """Return the generic code of a STANDALONE campaign, if its body names one."""
    given = json_object("voucher", definition.get("voucher") or {}).get("code")
    return None if given is None else code("voucher.code", given)


def decide_create_campaign(
    state: CampaignState | None, command: CreateCampaign, now: datetime
) -> list[CampaignEvent]:
    """Return the campaign and, above one code, the start of the generation.

    A single code is the caller's to make at once.
    """
    campaign = read_campaign(command, now)
    if state is not None:
        raise duplicate("campaign", "id", command.campaign_id)
    _refuse_count("vouchers_count", command.vouchers_count, least=0)
    if campaign.campaign_type == PROMOTION and command.vouchers_count:
        raise refuse("vouchers_count", f"must be 0, because the type is {PROMOTION}")
    if campaign.type == "STANDALONE" and command.vouchers_count > 1:
        raise refuse("vouchers_count", "must be 1, because the type is STANDALONE")
    if command.vouchers_count <= 1:
        return [CampaignCreated(campaign=campaign)]
    refuse_small_pattern(pattern_of(code_config_of(campaign)), command.vouchers_count)
    # The campaign itself is there at once; only its codes are still to come.
    campaign = campaign.model_copy(update={"vouchers_generation_status": "IN_PROGRESS"})
    started = VouchersGenerationStarted(
        campaign_id=campaign.id,
        action_id=command.action_id,
        total=command.vouchers_count,
        started_at=now,
    )
    return [CampaignCreated(campaign=campaign), started]


def decide_add_vouchers(
    state: CampaignState, command: AddVouchers, now: datetime
) -> list[VouchersGenerationStarted]:
    """Return the start of a generation, or nothing if it is a single code, made by the caller."""
    campaign = state.campaign
    refuse_standalone(campaign)
    refuse_promotion(campaign)
    _refuse_count("vouchers_count", command.count, least=1)
    if command.code is not None or command.count == 1:
        return []
    if len(state.generations) >= limits.ACTIONS_PER_CAMPAIGN_MAX:
        running = limits.ACTIONS_PER_CAMPAIGN_MAX
        raise InvalidCampaign(f"Campaign {campaign.id} is already generating codes {running} times")
    if command.overrides.get("active", True) is not True:
        raise refuse("active", "must be true where more than one code is added")
    config = overridden_config(campaign, command.overrides)
    overridden_definition(campaign, command.overrides)
    refuse_small_pattern(pattern_of(config), command.count)
    started = VouchersGenerationStarted(
        campaign_id=campaign.id,
        action_id=command.action_id,
        total=command.count,
        overrides=command.overrides,
        started_at=now,
    )
    return [started]


def decide_update_campaign(
    state: CampaignState, changes: JsonObject, now: datetime, vouchers_count: int
) -> list[CampaignUpdated]:
    """Return the change; nothing if the campaign already is as sent."""
    before = state.campaign.model_copy(update={"vouchers_count": vouchers_count})
    values = read(changes, _CHANGES)
    _refuse_unsupported_parts(changes)
    if "type" in values and before.type == "STANDALONE":
        raise refuse("type", "must not change, because the campaign is STANDALONE")
    values["metadata"] = _changed_metadata(before, values)
    for name in _SWITCHES:
        if values.get(name, True) is None:
            values[name] = False
    template = before.voucher
    if template is not None:
        part = {name: values.pop(name) for name in _TEMPLATE_FIELDS if name in values}
        period = {name: values[name] for name in PERIOD_FIELDS if name in values}
        template = change_definition(template, part, _TEMPLATE_FIELDS).model_copy(update=period)
    after = before.model_copy(update={**values, "voucher": template})
    check_period(dict(after))
    if after == before:
        return []
    return [CampaignUpdated(campaign=_stamped(state, after, now))]


def _changed_metadata(campaign: Campaign, values: dict[str, Any]) -> JsonObject:
    unset = set(values.pop("unset_metadata_fields", None) or ())
    kept = {name: value for name, value in campaign.metadata.items() if name not in unset}
    return merge_metadata(kept, values.get("metadata", {}))


def decide_set_active(
    state: CampaignState, active: bool, now: datetime, vouchers_count: int
) -> list[CampaignEnabled | CampaignDisabled]:
    """Return the switch; nothing if it already stands so."""
    if state.campaign.active == active:
        return []
    values = {"active": active, "vouchers_count": vouchers_count}
    campaign = _stamped(state, state.campaign.model_copy(update=values), now)
    return [CampaignEnabled(campaign=campaign) if active else CampaignDisabled(campaign=campaign)]


def _stamped(state: CampaignState, campaign: Campaign, now: datetime) -> Campaign:
    return campaign.model_copy(update={"updated_at": now, "version": state.version + 1})


def decide_slice(
    state: CampaignState,
    action_id: str,
    codes: Sequence[str],
    definition: VoucherDefinition | None,
    now: datetime,
) -> list[CampaignEvent]:
    """Return what a slice of new codes means: progress, completion, or failure if there are none."""
    generation = state.generations[action_id]
    done = generation.done + len(codes)
    assert done <= generation.total, "no more codes than asked for"
    campaign_id = state.campaign.id
    if not codes:
        failed = VouchersGenerationFailed(
            campaign_id=campaign_id,
            action_id=action_id,
            done=done,
            total=generation.total,
            error=EXHAUSTED,
            failed_at=now,
        )
        return [failed]
    generated = VouchersGenerated(
        campaign_id=campaign_id,
        action_id=action_id,
        codes=list(codes),
        definition=definition,
        gift_amount=gift_amount(definition or state.campaign.voucher),
        done=done,
        total=generation.total,
        generated_at=now,
    )
    if done < generation.total:
        return [generated]
    completed = VouchersGenerationCompleted(
        campaign_id=campaign_id, action_id=action_id, total=done, completed_at=now
    )
    return [generated, completed]


EXHAUSTED = ErrorBody(
    code=400,
    key="invalid_code_config",
    message="Invalid code config",
    details="code_config: no free codes are left in this pattern",
)


def code_config_of(campaign: Campaign) -> JsonObject | None:
    """Return the configuration of the campaign's codes."""
    return campaign.voucher.code_config if campaign.voucher is not None else None


def overridden_config(campaign: Campaign, overrides: JsonObject) -> JsonObject | None:
    """Return the configuration of the codes that one call adds."""
    if overrides.get("code_config") is None:
        return code_config_of(campaign)
    return code_config("code_config", overrides["code_config"])


def overridden_definition(campaign: Campaign, overrides: JsonObject) -> VoucherDefinition | None:
    """Return what the codes that one call adds are, if they differ from the template."""
    assert campaign.voucher is not None, f"campaign {campaign.id} has codes but no template"
    return override(campaign.voucher, overrides)


def refuse_small_pattern(pattern: CodePattern, count: int) -> None:
    """Refuse to generate more codes than there are."""
    if pattern.capacity < count:
        reason = f"must allow {count} different codes; it allows {pattern.capacity}"
        raise refuse("code_config", reason)


def refuse_standalone(campaign: Campaign) -> None:
    """Refuse more codes for a campaign of one generic code."""
    if campaign.type == "STANDALONE":
        message = "You can not generate vouchers for STANDALONE type campaign."
        raise InvalidCampaign(message, resource_id=campaign.id, resource_type="campaign")


def refuse_promotion(campaign: Campaign) -> None:
    """Refuse codes for a campaign of tiers."""
    if campaign.campaign_type == PROMOTION:
        message = "Vouchers cannot be added to a campaign of type PROMOTION."
        raise InvalidCampaign(message, resource_id=campaign.id, resource_type="campaign")


def _refuse_count(path: str, count: int, *, least: int) -> None:
    if not least <= count <= limits.CODES_PER_ACTION_MAX:
        raise refuse(path, f"must be from {least} to {limits.CODES_PER_ACTION_MAX}")


def evolve(state: CampaignState | None, event: CampaignEvent) -> CampaignState:
    """Return the campaign after the event."""
    if state is None:
        assert isinstance(event, CampaignCreated), "a campaign is created first"
        return CampaignState(campaign=event.campaign)
    version = state.version + 1
    if isinstance(event, CampaignUpdated | CampaignEnabled | CampaignDisabled):
        return state.model_copy(update={"campaign": event.campaign, "version": version})
    assert not isinstance(event, CampaignCreated), "a campaign is created once"
    generations, status = _after_generation(state, event)
    values: dict[str, Any] = {"vouchers_generation_status": status}
    if isinstance(event, VouchersGenerated):
        values["vouchers_count"] = state.campaign.vouchers_count + len(event.codes)
    campaign = state.campaign.model_copy(update=values)
    return CampaignState(campaign=campaign, version=version, generations=generations)


def _after_generation(
    state: CampaignState,
    event: VouchersGenerationStarted
    | VouchersGenerated
    | VouchersGenerationCompleted
    | VouchersGenerationFailed,
) -> tuple[dict[str, Generation], str]:
    running = dict(state.generations)
    if isinstance(event, VouchersGenerationStarted):
        running[event.action_id] = Generation(total=event.total)
    elif isinstance(event, VouchersGenerated):
        running[event.action_id] = Generation(total=event.total, done=event.done)
    else:
        del running[event.action_id]
        if isinstance(event, VouchersGenerationFailed):
            return running, "FAILED"
    return running, "IN_PROGRESS" if running else "DONE"
