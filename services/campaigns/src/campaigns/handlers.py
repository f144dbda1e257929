"""Load, decide, append. The tables at the end are the table of contents."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from campaigns import codes, limits, queries
from campaigns.domain import assignment as assignments
from campaigns.domain import campaign as campaigns
from campaigns.domain import category as categories
from campaigns.domain import contexts
from campaigns.domain import promotion_stack as stacks
from campaigns.domain import promotion_tier as tiers
from campaigns.domain import rule as rules
from campaigns.domain import voucher as vouchers
from campaigns.domain.assignment import StoredAssignment
from campaigns.domain.campaign import CampaignState
from campaigns.domain.category import CategoryState
from campaigns.domain.codes import code as read_code
from campaigns.domain.codes import code_config
from campaigns.domain.errors import duplicate, not_found
from campaigns.domain.periods import parse_duration
from campaigns.domain.promotion_stack import PromotionStackState
from campaigns.domain.promotion_tier import PromotionTierState
from campaigns.domain.rule import StoredRule
from contracts import ids
from contracts.campaigns import (
    AddVouchers,
    AssignValidationRule,
    Campaign,
    CreateCampaign,
    CreateValidationRule,
    CreateVoucher,
    DeleteValidationRule,
    SetCampaignActive,
    SetVoucherActive,
    UnassignValidationRule,
    UpdateCampaign,
    UpdateValidationRule,
    UpdateVoucher,
    Voucher,
    VoucherCreated,
    VouchersGenerationStarted,
)
from contracts.distribution import CodeRequested, PublicationSucceeded
from contracts.errors import JsonObject
from contracts.messages import Command, Event
from contracts.payload import join, refuse, text
from contracts.promotions import (
    CreateCategory,
    CreatePromotionStack,
    CreatePromotionTier,
    DeleteCategory,
    DeletePromotionStack,
    DeletePromotionTier,
    PromotionTier,
    SetPromotionTierActive,
    UpdateCategory,
    UpdatePromotionStack,
    UpdatePromotionTier,
)
from contracts.vouchers import effective_definition
from runtime.aggregate import Aggregate
from runtime.consumer import Handler
from runtime.unit import Unit

CAMPAIGN: Aggregate[CampaignState] = Aggregate("campaign", CampaignState, campaigns.evolve)
VOUCHER: Aggregate[Voucher] = Aggregate("voucher", Voucher, vouchers.evolve)
RULE: Aggregate[StoredRule] = Aggregate("validation-rule", StoredRule, rules.evolve)
CATEGORY: Aggregate[CategoryState] = Aggregate("category", CategoryState, categories.evolve)
TIER: Aggregate[PromotionTierState] = Aggregate("promotion-tier", PromotionTierState, tiers.evolve)
STACK: Aggregate[PromotionStackState] = Aggregate(
    "promotion-stack", PromotionStackState, stacks.evolve
)
ASSIGNMENT: Aggregate[StoredAssignment] = Aggregate(
    "assignment", StoredAssignment, assignments.evolve
)


# -- campaigns ----------------------------------------------------------------------------------


async def create_campaign(unit: Unit, command: CreateCampaign) -> JsonObject:
    """Create a campaign; its codes follow, a single one at once."""
    state = await unit.load(CAMPAIGN, command.campaign_id)
    command = await _with_categories(unit, command)
    events = campaigns.decide_create_campaign(state, command, unit.now)
    campaign = unit.append(CAMPAIGN, command.campaign_id, *events).campaign
    await _check_rules(unit, command.validation_rules, _campaign_as_target(campaign))
    if not await queries.insert_name(unit.connection, unit.project_id, campaign.name, campaign.id):
        raise duplicate("campaign", "name", campaign.name)
    await _start_generation(unit, campaign, events)
    count = await _create_first_code(unit, campaign, command)
    assigned = await _assign_all(unit, command.validation_rules, "campaign", campaign.id)
    await _create_tiers(unit, campaign, command.definition)
    return {
        "campaign": _json(campaign.model_copy(update={"vouchers_count": count})),
        "assignments": assigned,
    }


async def _with_categories(unit: Unit, command: CreateCampaign) -> CreateCampaign:
    """Return the command with the ids of the categories that campaign and template name."""
    definition = await _with_category(unit, command.definition)
    template = definition.get("voucher")
    if isinstance(template, dict):
        definition = {**definition, "voucher": await _with_category(unit, template)}
    return command.model_copy(update={"definition": definition})


async def _create_first_code(unit: Unit, campaign: Campaign, command: CreateCampaign) -> int:
    """Make the one code of a campaign that begins with one; returns how many it has."""
    if command.vouchers_count != 1 and campaign.type != "STANDALONE":
        return 0
    code = campaigns.chosen_code(command.definition) if campaign.type == "STANDALONE" else None
    await _add_one(unit, campaign, code, {})
    return 1


async def update_campaign(unit: Unit, command: UpdateCampaign) -> JsonObject:
    """Change what was sent."""
    state = await _campaign(unit, command.campaign_id)
    campaign_id = state.campaign.id
    count = await queries.count_codes(unit.connection, unit.project_id, campaign_id)
    changes = await _with_category(unit, command.changes)
    events = campaigns.decide_update_campaign(state, changes, unit.now, count)
    campaign = unit.append(CAMPAIGN, campaign_id, *events).campaign
    target = _campaign_as_target(campaign)
    await _refuse_assigned(unit, campaign_id, target, "discount", is_changed=bool(events))
    return {"campaign": _json(campaign.model_copy(update={"vouchers_count": count}))}


async def set_campaign_active(unit: Unit, command: SetCampaignActive) -> JsonObject:
    """Switch all codes of a campaign on or off."""
    state = await _campaign(unit, command.campaign_id)
    campaign_id = state.campaign.id
    count = await queries.count_codes(unit.connection, unit.project_id, campaign_id)
    events = campaigns.decide_set_active(state, command.active, unit.now, count)
    campaign = unit.append(CAMPAIGN, campaign_id, *events).campaign
    return {"campaign": _json(campaign.model_copy(update={"vouchers_count": count}))}


async def add_vouchers(unit: Unit, command: AddVouchers) -> JsonObject:
    """Add one code at once, or start the generation of many."""
    state = await _campaign(unit, command.campaign_id)
    overrides = await _with_category(unit, command.overrides)
    command = command.model_copy(update={"overrides": overrides})
    events = campaigns.decide_add_vouchers(state, command, unit.now)
    campaign = state.campaign
    if not events:
        voucher = await _add_one(unit, campaign, command.code, command.overrides)
        return {"voucher": _json(voucher), "campaign": _json(campaign)}
    unit.append(CAMPAIGN, campaign.id, *events)
    await _start_generation(unit, campaign, events)
    return {"async_action_id": command.action_id}


async def _start_generation(unit: Unit, campaign: Campaign, events: Sequence[Event]) -> None:
    for event in events:
        if isinstance(event, VouchersGenerationStarted):
            job = queries.Job(
                project_id=unit.project_id,
                action_id=event.action_id,
                campaign_id=campaign.id,
                total=event.total,
                done=0,
                code_config=campaigns.overridden_config(campaign, event.overrides),
                definition=campaigns.overridden_definition(campaign, event.overrides),
            )
            correlation_id = unit.envelope.correlation_id or unit.envelope.id
            await queries.insert_job(unit.connection, job, correlation_id, unit.now)


async def _campaign(unit: Unit, id_or_name: str) -> CampaignState:
    state = await unit.load(CAMPAIGN, id_or_name)
    if state is None:
        found = await queries.campaign_named(unit.connection, unit.project_id, id_or_name)
        state = await unit.load(CAMPAIGN, found) if found is not None else None
    if state is None:
        raise not_found("campaign", id_or_name)
    return state


# -- vouchers -----------------------------------------------------------------------------------


async def _add_one(
    unit: Unit, campaign: Campaign, code: str | None, overrides: JsonObject
) -> Voucher:
    """Make one code of a campaign: a given one, or one that is drawn."""
    active = overrides.get("active")
    if not isinstance(active, bool | None):
        raise refuse("active", "must be true or false")
    definition = campaigns.overridden_definition(campaign, overrides)
    config = campaigns.overridden_config(campaign, overrides)
    taken, voucher_id = await _take_code(unit, code, config, campaign.id)
    await queries.count_codes(unit.connection, unit.project_id, campaign.id, 1)
    created = vouchers.decide_add_voucher(
        voucher_id, taken, campaign, definition, active is not False, unit.now
    )
    return await _append_voucher(unit, created)


async def _append_voucher(unit: Unit, created: VoucherCreated) -> Voucher:
    assert await unit.load(VOUCHER, created.voucher.id) is None, "a free code has no voucher"
    return unit.append(VOUCHER, created.voucher.id, created)


async def _take_code(
    unit: Unit, code: str | None, config: JsonObject | None, campaign_id: str | None
) -> tuple[str, str]:
    """List the code, or one that is drawn; returns it with its voucher's id."""
    if code is None:
        drawn = await codes.take(
            unit.connection, unit.project_id, config, 1, campaign_id=campaign_id, now=unit.now
        )
        if not drawn:
            raise refuse("code_config", "must have a free code left")
        return drawn[0], ids.voucher_id(unit.project_id, drawn[0])
    read_code("code", code)
    voucher_id = ids.voucher_id(unit.project_id, code)
    listed = await queries.insert_codes(
        unit.connection,
        unit.project_id,
        [code],
        campaign_id=campaign_id,
        action_id=None,
        now=unit.now,
    )
    if not listed:
        raise duplicate("voucher", "id", code)
    return code, voucher_id


async def create_voucher(unit: Unit, command: CreateVoucher) -> JsonObject:
    """Create a code with a definition of its own."""
    body = await _with_category(unit, command.definition)
    campaign = await _campaign_of_voucher(unit, body)
    config = body.get("code_config")
    config = None if config is None else code_config("code_config", config)
    # Everything that may be refused for its own sake comes before the code is taken.
    wanted = vouchers.decide_create_voucher("", "", body, campaign, unit.now).voucher
    await _check_rules(unit, command.validation_rules, _voucher_as_target(wanted, campaign))
    campaign_id = None if campaign is None else campaign.id
    code, voucher_id = await _take_code(unit, command.code, config, campaign_id)
    created = vouchers.decide_create_voucher(voucher_id, code, body, campaign, unit.now)
    voucher = await _append_voucher(unit, created)
    if campaign_id is not None:
        await queries.count_codes(unit.connection, unit.project_id, campaign_id, 1)
    assigned = await _assign_all(unit, command.validation_rules, "voucher", voucher_id)
    return _with_campaign({"voucher": _json(voucher), "assignments": assigned}, campaign)


async def _campaign_of_voucher(unit: Unit, body: JsonObject) -> Campaign | None:
    name = body.get("campaign_id") or body.get("campaign")
    if name is None:
        return None
    if not isinstance(name, str):
        raise refuse("campaign_id", "must be a string")
    state = await _campaign(unit, name)
    campaigns.refuse_standalone(state.campaign)
    campaigns.refuse_promotion(state.campaign)
    template = state.campaign.voucher
    if template is not None and body.get("type", template.type) != template.type:
        raise refuse("type", f"must be {template.type}, as in campaign {state.campaign.id}")
    return state.campaign


async def update_voucher(unit: Unit, command: UpdateVoucher) -> JsonObject:
    """Change what was sent; the code stops inheriting what it is from its campaign."""
    voucher, campaign = await _voucher(unit, command.code)
    template = None if campaign is None else campaign.voucher
    changes = await _with_category(unit, command.changes)
    events = vouchers.decide_update_voucher(voucher, template, changes, unit.now)
    if events:
        voucher = unit.append(VOUCHER, voucher.id, *events)
    target = _voucher_as_target(voucher, campaign)
    await _refuse_assigned(unit, voucher.id, target, "discount", is_changed=bool(events))
    return _with_campaign({"voucher": _json(voucher)}, campaign)


async def set_voucher_active(unit: Unit, command: SetVoucherActive) -> JsonObject:
    """Switch a code on or off."""
    voucher, campaign = await _voucher(unit, command.code)
    events = vouchers.decide_set_active(voucher, command.active, unit.now)
    if events:
        voucher = unit.append(VOUCHER, voucher.id, *events)
    return _with_campaign({"voucher": _json(voucher)}, campaign)


async def _voucher(unit: Unit, code_or_id: str) -> tuple[Voucher, Campaign | None]:
    """Return the voucher and its campaign; a generated code has no stream before its first change."""
    code = await queries.find_code(unit.connection, unit.project_id, code_or_id)
    if code is None:
        raise not_found("voucher", code_or_id)
    state = None
    if code.campaign_id is not None:
        state = await unit.load(CAMPAIGN, code.campaign_id)
    voucher = await unit.load(VOUCHER, code.voucher_id)
    if voucher is None:
        assert code.campaign_id is not None, f"code {code.code} has neither stream nor campaign"
        voucher = vouchers.generated_voucher(
            code.voucher_id, code.code, code.campaign_id, code.definition, code.created_at
        )
    return voucher, None if state is None else state.campaign


# -- promotions -----------------------------------------------------------------------------------


async def _create_tiers(unit: Unit, campaign: Campaign, definition: JsonObject) -> None:
    """Make the tiers that a new campaign's body defines, in its order."""
    for index, body in enumerate(tiers.tiers_of(definition)):
        path = f"promotion.tiers[{index}]"
        rule_ids = tiers.assigned_rules(f"{path}.", body)
        await _create_tier(unit, unit.new_id("promo"), campaign, body, rule_ids, path)


async def create_promotion_tier(unit: Unit, command: CreatePromotionTier) -> JsonObject:
    """Add a tier to a campaign."""
    campaign = (await _campaign(unit, command.campaign_id)).campaign
    rule_ids = command.validation_rules or tiers.assigned_rules("", command.definition)
    state = await _create_tier(unit, command.tier_id, campaign, command.definition, rule_ids)
    return {"promotion_tier": _json(state.tier)}


async def _create_tier(
    unit: Unit,
    tier_id: str,
    campaign: Campaign,
    definition: JsonObject,
    rule_ids: Sequence[str],
    path: str = "",
) -> PromotionTierState:
    assert await unit.load(TIER, tier_id) is None, "a tier's id is drawn for it"
    body = await _with_category(unit, definition, path)
    others, last = await queries.tier_count(unit.connection, unit.project_id, campaign.id)
    if others >= limits.TIERS_PER_CAMPAIGN_MAX:
        raise refuse("campaign_id", f"must have at most {limits.TIERS_PER_CAMPAIGN_MAX} tiers")
    event = tiers.decide_create(tier_id, campaign, body, last, unit.now, path)
    await _check_rules(unit, rule_ids, _tier_as_target(event.tier), path)
    await queries.keep_tier(unit.connection, unit.project_id, event.tier)
    state = unit.append(TIER, tier_id, event)
    await _assign_all(unit, rule_ids, "promotion_tier", tier_id)
    return state


async def update_promotion_tier(unit: Unit, command: UpdatePromotionTier) -> JsonObject:
    """Change what was sent; rules that are named are assigned besides those that are."""
    state = await _tier(unit, command.tier_id)
    changes = await _with_category(unit, command.changes)
    events = tiers.decide_update(state, changes, unit.now)
    rule_ids = command.validation_rules or tiers.assigned_rules("", changes)
    for event in events:
        await queries.keep_tier(unit.connection, unit.project_id, event.tier)
    state = unit.append(TIER, command.tier_id, *events)
    target = _tier_as_target(state.tier)
    await _check_rules(unit, rule_ids, target)
    taken = await _refuse_assigned(unit, command.tier_id, target, "action", is_changed=bool(events))
    new = [rule_id for rule_id in rule_ids if rule_id not in taken]
    await _assign_all(unit, new, "promotion_tier", command.tier_id)
    return {"promotion_tier": _json(state.tier)}


async def set_promotion_tier_active(unit: Unit, command: SetPromotionTierActive) -> JsonObject:
    """Switch a tier on or off."""
    state = await _tier(unit, command.tier_id)
    events = tiers.decide_set_active(state, command.active, unit.now)
    return {"promotion_tier": _json(unit.append(TIER, command.tier_id, *events).tier)}


async def delete_promotion_tier(unit: Unit, command: DeletePromotionTier) -> JsonObject:
    """Delete a tier that no stack names; its rules are free of it."""
    state = await _tier(unit, command.tier_id)
    # First the row, on which a stack that is being made has a lock; then who names it.
    await queries.forget_tier(unit.connection, unit.project_id, state.tier)
    stack_ids = await queries.stacks_of(unit.connection, unit.project_id, command.tier_id)
    unit.append(TIER, command.tier_id, tiers.decide_delete(state, stack_ids))
    connection, project_id = unit.connection, unit.project_id
    for assignment_id, rule_id in await queries.assignments_to(
        connection, project_id, command.tier_id
    ):
        await _unassign(unit, assignment_id, rule_id)
    return {}


async def _tier(unit: Unit, tier_id: str) -> PromotionTierState:
    return tiers.existing(await unit.load(TIER, tier_id), tier_id)


async def create_promotion_stack(unit: Unit, command: CreatePromotionStack) -> JsonObject:
    """Put tiers of a campaign into an order."""
    campaign = (await _campaign(unit, command.campaign_id)).campaign
    assert await unit.load(STACK, command.stack_id) is None, "a stack's id is drawn for it"
    body = await _with_category(unit, command.definition)
    known = await queries.lock_tiers(
        unit.connection, unit.project_id, campaign.id, stacks.named_tiers(body)
    )
    event = stacks.decide_create(command.stack_id, campaign, body, known, unit.now)
    state = unit.append(STACK, command.stack_id, event)
    await queries.keep_stack(unit.connection, unit.project_id, state.stack)
    return {"promotion_stack": _json(state.stack)}


async def update_promotion_stack(unit: Unit, command: UpdatePromotionStack) -> JsonObject:
    """Change what was sent."""
    campaign, state = await _stack(unit, command.campaign_id, command.stack_id)
    changes = await _with_category(unit, command.changes)
    known = await queries.lock_tiers(
        unit.connection, unit.project_id, campaign.id, stacks.named_tiers(changes)
    )
    events = stacks.decide_update(state, changes, known, unit.now)
    state = unit.append(STACK, command.stack_id, *events)
    await queries.keep_stack(unit.connection, unit.project_id, state.stack)
    return {"promotion_stack": _json(state.stack)}


async def delete_promotion_stack(unit: Unit, command: DeletePromotionStack) -> JsonObject:
    """Delete a stack; its tiers stay."""
    _, state = await _stack(unit, command.campaign_id, command.stack_id)
    unit.append(STACK, command.stack_id, stacks.decide_delete(state))
    await queries.forget_stack(unit.connection, unit.project_id, command.stack_id)
    return {}


async def _stack(
    unit: Unit, campaign_name: str, stack_id: str
) -> tuple[Campaign, PromotionStackState]:
    campaign = (await _campaign(unit, campaign_name)).campaign
    state = stacks.existing(await unit.load(STACK, stack_id), stack_id, campaign.id)
    return campaign, state


# -- categories -----------------------------------------------------------------------------------


async def create_category(unit: Unit, command: CreateCategory) -> JsonObject:
    """Make a category; its name is its own in the project."""
    assert await unit.load(CATEGORY, command.category_id) is None, "its id is drawn for it"
    event = categories.decide_create(command.category_id, command.definition, unit.now)
    if (
        await queries.category_count(unit.connection, unit.project_id)
        >= limits.CATEGORIES_PER_PROJECT_MAX
    ):
        raise refuse(
            "name", f"must be one of at most {limits.CATEGORIES_PER_PROJECT_MAX} categories"
        )
    await _take_category_name(unit, event.category.name, command.category_id)
    return {"category": _json(unit.append(CATEGORY, command.category_id, event).category)}


async def update_category(unit: Unit, command: UpdateCategory) -> JsonObject:
    """Change what was sent."""
    state = categories.existing(await unit.load(CATEGORY, command.category_id), command.category_id)
    events = categories.decide_update(state, command.changes, unit.now)
    for event in events:
        if event.category.name != state.category.name:
            await queries.free_category_name(unit.connection, unit.project_id, state.category.name)
            await _take_category_name(unit, event.category.name, command.category_id)
    return {"category": _json(unit.append(CATEGORY, command.category_id, *events).category)}


async def delete_category(unit: Unit, command: DeleteCategory) -> JsonObject:
    """Delete a category; what has it counts as without."""
    state = categories.existing(await unit.load(CATEGORY, command.category_id), command.category_id)
    await queries.free_category_name(unit.connection, unit.project_id, state.category.name)
    unit.append(CATEGORY, command.category_id, categories.decide_delete(state))
    return {}


async def _take_category_name(unit: Unit, name: str, category_id: str) -> None:
    connection, project_id = unit.connection, unit.project_id
    if not await queries.take_category_name(connection, project_id, name, category_id):
        raise duplicate("category", "name", name)


async def _with_category(unit: Unit, body: JsonObject, path: str = "") -> JsonObject:
    """Return the body with the id of the category that it names, by ``category_id`` or ``category``."""
    if "category_id" not in body and "category" not in body:
        return body
    field = "category_id" if body.get("category_id") is not None else "category"
    rest = {name: value for name, value in body.items() if name not in {"category", "category_id"}}
    if body.get(field) is None:
        return {**rest, "category_id": None}
    name = text(limits.NAME_LENGTH_MAX)(join(path, field), body[field])
    state = await unit.load(CATEGORY, name)
    if state is None or state.is_deleted:
        found = await queries.category_named(unit.connection, unit.project_id, name)
        state = None if found is None else await unit.load(CATEGORY, found)
    return {**rest, "category_id": categories.existing(state, name).category.id}


# -- validation rules ---------------------------------------------------------------------------


async def create_validation_rule(unit: Unit, command: CreateValidationRule) -> JsonObject:
    """Save a validation rule."""
    state = await unit.load(RULE, command.rule_id)
    event = rules.decide_create_rule(
        state, command.rule_id, unit.project_id, command.definition, unit.now
    )
    return {"rule": _json(unit.append(RULE, command.rule_id, event))}


async def update_validation_rule(unit: Unit, command: UpdateValidationRule) -> JsonObject:
    """Change what was sent of a validation rule."""
    state = await _rule(unit, command.rule_id)
    uses, _ = await queries.rule_uses(unit.connection, unit.project_id, state.id)
    events = rules.decide_update_rule(
        state, unit.project_id, command.changes, unit.now, is_assigned=bool(uses)
    )
    rule = unit.append(RULE, state.id, *events)
    return {"rule": _json(rule), "assignments_count": uses}


async def delete_validation_rule(unit: Unit, command: DeleteValidationRule) -> JsonObject:
    """Delete a validation rule that is assigned to nothing."""
    state = await _rule(unit, command.rule_id)
    is_free = await queries.mark_rule_deleted(unit.connection, unit.project_id, state.id)
    _, uses = await queries.rule_uses(unit.connection, unit.project_id, state.id)
    unit.append(RULE, state.id, rules.decide_delete_rule(state, uses, is_free=is_free))
    return {}


async def _rule(unit: Unit, rule_id: str) -> StoredRule:
    state = await unit.load(RULE, rule_id)
    if state is None or state.is_deleted:
        raise not_found("validation_rules", rule_id)
    return state


async def assign_validation_rule(unit: Unit, command: AssignValidationRule) -> JsonObject:
    """Assign a rule to a campaign, a voucher or a promotion tier."""
    assignments.check_target_type(command.related_object_type)
    rule = await _rule(unit, command.rule_id)
    if command.related_object_type == "campaign":
        campaign = (await _campaign(unit, command.related_object_id)).campaign
        target_id, target = campaign.id, _campaign_as_target(campaign)
    elif command.related_object_type == "promotion_tier":
        tier = (await _tier(unit, command.related_object_id)).tier
        target_id, target = tier.id, _tier_as_target(tier)
    else:
        voucher, inherited = await _voucher(unit, command.related_object_id)
        target_id, target = voucher.id, _voucher_as_target(voucher, inherited)
    contexts.refuse_target(rule.context_type, target)
    contexts.refuse_event_rules(rule.rules)
    assignment = await _assign(
        unit, command.assignment_id, rule.id, command.related_object_type, target_id
    )
    return {"assignment": _json(assignment)}


def _campaign_as_target(campaign: Campaign) -> contexts.Target:
    definition = None if campaign.voucher is None else campaign.voucher.model_dump(mode="json")
    return contexts.Target("campaign", campaign.campaign_type, definition)


def _voucher_as_target(voucher: Voucher, campaign: Campaign | None) -> contexts.Target:
    definition = effective_definition(voucher, campaign)
    return contexts.Target("voucher", definition.type, definition.model_dump(mode="json"))


def _tier_as_target(tier: PromotionTier) -> contexts.Target:
    definition = {"discount": tier.action.get("discount")}
    return contexts.Target("promotion_tier", "PROMOTION", definition)


async def unassign_validation_rule(unit: Unit, command: UnassignValidationRule) -> JsonObject:
    """Remove an assignment."""
    await _unassign(unit, command.assignment_id, command.rule_id)
    return {}


async def _unassign(unit: Unit, assignment_id: str, rule_id: str) -> None:
    state = await unit.load(ASSIGNMENT, assignment_id)
    unit.append(
        ASSIGNMENT, assignment_id, assignments.decide_unassign(state, rule_id, assignment_id)
    )
    await queries.delete_assignment(unit.connection, unit.project_id, assignment_id)


async def _check_rules(
    unit: Unit, rule_ids: Sequence[str], target: contexts.Target, path: str = ""
) -> None:
    """Refuse rules that a new assignment to the target may not name."""
    prop = f"{path}.validation_rules" if path else "validation_rules"
    if len(rule_ids) > limits.RULES_PER_TARGET_MAX:
        raise refuse(prop, f"must have at most {limits.RULES_PER_TARGET_MAX} elements")
    for index, rule_id in enumerate(rule_ids):
        rule = await _rule(unit, rule_id)
        contexts.refuse_event_rules(rule.rules, f"{prop}[{index}]")
        contexts.refuse_target(rule.context_type, target, f"{prop}[{index}]")


async def _refuse_assigned(
    unit: Unit, target_id: str, target: contexts.Target, prop: str, *, is_changed: bool
) -> frozenset[str]:
    """Refuse a change after which an assigned rule would be about another effect; returns its rules."""
    taken = await queries.rules_of(unit.connection, unit.project_id, target_id)
    for rule_id in sorted(taken) if is_changed else ():
        contexts.refuse_target((await _rule(unit, rule_id)).context_type, target, prop)
    return taken


async def _assign_all(
    unit: Unit, rule_ids: Sequence[str], target_type: str, target_id: str
) -> list[JsonObject]:
    assigned = []
    for rule_id in dict.fromkeys(rule_ids):
        assignment_id = unit.new_id("asgm")
        assigned.append(_json(await _assign(unit, assignment_id, rule_id, target_type, target_id)))
    return assigned


async def _assign(
    unit: Unit, assignment_id: str, rule_id: str, target_type: str, target_id: str
) -> StoredAssignment:
    is_new = await queries.insert_assignment(
        unit.connection, unit.project_id, target_type, target_id, rule_id, assignment_id
    )
    if not is_new or await unit.load(ASSIGNMENT, assignment_id) is not None:
        raise duplicate("validation_rules_assignment", f"{target_type}", f"{target_id}")
    event = assignments.decide_assign(assignment_id, rule_id, target_type, target_id, unit.now)
    return unit.append(ASSIGNMENT, assignment_id, event)


# -- reactions ----------------------------------------------------------------------------------


async def on_code_requested(unit: Unit, event: CodeRequested) -> None:
    """Add a code to a campaign that grows on demand."""
    state = await unit.load(CAMPAIGN, event.campaign_id)
    if state is None or state.campaign.type != "AUTO_UPDATE":
        return
    campaign = state.campaign
    config = campaigns.code_config_of(campaign)
    drawn = await codes.take(
        unit.connection, unit.project_id, config, 1, campaign_id=campaign.id, now=unit.now
    )
    if drawn:
        await queries.count_codes(unit.connection, unit.project_id, campaign.id, 1)
        voucher_id = ids.voucher_id(unit.project_id, drawn[0])
        created = vouchers.decide_add_voucher(voucher_id, drawn[0], campaign, None, True, unit.now)
        await _append_voucher(unit, created)


async def on_publication_succeeded(unit: Unit, event: PublicationSucceeded) -> None:
    """Start the period of codes that are valid for a while after their publication."""
    publication = event.publication
    if publication.campaign_id is None:
        return
    state = await unit.load(CAMPAIGN, publication.campaign_id)
    text = None if state is None else state.campaign.activity_duration_after_publishing
    period = None if text is None else parse_duration(text)
    if period is None:
        return
    for snapshot in publication.vouchers:
        voucher, campaign = await _voucher(unit, str(snapshot["id"]))
        template = None if campaign is None else campaign.voucher
        events = vouchers.decide_start_period(
            voucher, template, publication.created_at, period, unit.now
        )
        if events:
            unit.append(VOUCHER, voucher.id, *events)


# -- answers ------------------------------------------------------------------------------------


def _json(model: BaseModel) -> JsonObject:
    shown: JsonObject = model.model_dump(mode="json", exclude={"is_deleted"})
    return shown


def _with_campaign(body: JsonObject, campaign: Campaign | None) -> JsonObject:
    return body if campaign is None else {**body, "campaign": _json(campaign)}


COMMANDS: Mapping[type[Command], Handler] = {
    CreateCampaign: Handler(create_campaign, lambda c: [(CAMPAIGN, c.campaign_id)]),
    UpdateCampaign: Handler(update_campaign, lambda c: [(CAMPAIGN, c.campaign_id)]),
    SetCampaignActive: Handler(set_campaign_active, lambda c: [(CAMPAIGN, c.campaign_id)]),
    AddVouchers: Handler(add_vouchers, lambda c: [(CAMPAIGN, c.campaign_id)]),
    CreateVoucher: Handler(create_voucher),
    UpdateVoucher: Handler(update_voucher),
    SetVoucherActive: Handler(set_voucher_active),
    CreateValidationRule: Handler(create_validation_rule, lambda c: [(RULE, c.rule_id)]),
    UpdateValidationRule: Handler(update_validation_rule, lambda c: [(RULE, c.rule_id)]),
    DeleteValidationRule: Handler(delete_validation_rule, lambda c: [(RULE, c.rule_id)]),
    UnassignValidationRule: Handler(
        unassign_validation_rule, lambda c: [(ASSIGNMENT, c.assignment_id)]
    ),
    AssignValidationRule: Handler(assign_validation_rule, lambda c: [(RULE, c.rule_id)]),
    CreatePromotionTier: Handler(create_promotion_tier, lambda c: [(TIER, c.tier_id)]),
    UpdatePromotionTier: Handler(update_promotion_tier, lambda c: [(TIER, c.tier_id)]),
    SetPromotionTierActive: Handler(set_promotion_tier_active, lambda c: [(TIER, c.tier_id)]),
    DeletePromotionTier: Handler(delete_promotion_tier, lambda c: [(TIER, c.tier_id)]),
    CreatePromotionStack: Handler(create_promotion_stack, lambda c: [(STACK, c.stack_id)]),
    UpdatePromotionStack: Handler(update_promotion_stack, lambda c: [(STACK, c.stack_id)]),
    DeletePromotionStack: Handler(delete_promotion_stack, lambda c: [(STACK, c.stack_id)]),
    CreateCategory: Handler(create_category, lambda c: [(CATEGORY, c.category_id)]),
    UpdateCategory: Handler(update_category, lambda c: [(CATEGORY, c.category_id)]),
    DeleteCategory: Handler(delete_category, lambda c: [(CATEGORY, c.category_id)]),
}
REACTIONS: Mapping[type[Event], Handler] = {
    CodeRequested: Handler(on_code_requested, lambda e: [(CAMPAIGN, e.campaign_id)]),
    PublicationSucceeded: Handler(on_publication_succeeded),
}
