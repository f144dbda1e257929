"""Promotions and categories on a real Postgres: what is unique, what names what, what the audit sees."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from campaigns.app import build
from campaigns.audit import audit
from campaigns.settings import Settings
from contracts.campaigns import (
    AddVouchers,
    AssignValidationRule,
    CreateCampaign,
    CreateValidationRule,
    CreateVoucher,
    DeleteValidationRule,
    UpdateCampaign,
    ValidationRuleAssigned,
    ValidationRuleUnassigned,
)
from contracts.promotions import (
    CreateCategory,
    CreatePromotionStack,
    CreatePromotionTier,
    DeleteCategory,
    DeletePromotionStack,
    DeletePromotionTier,
    PromotionTierCreated,
    PromotionTierUpdated,
    SetPromotionTierActive,
    UpdateCategory,
    UpdatePromotionStack,
    UpdatePromotionTier,
)
from runtime.testing import Harness

pytestmark = pytest.mark.integration

TEN = {"discount": {"type": "PERCENT", "percent_off": 10}}


@pytest_asyncio.fixture
async def harness(leased_settings) -> AsyncIterator[Harness]:
    async with Harness(build(Settings(**leased_settings.model_dump()))) as running:
        yield running
        async with running.service.pool.acquire() as connection:
            assert await audit(connection) == []


def promotion(campaign_id="camp_1", name="Sale", **body):
    definition = {"name": name, "campaign_type": "PROMOTION", **body}
    return CreateCampaign(campaign_id=campaign_id, action_id="aa_1", definition=definition)


def tier(tier_id="promo_1", campaign_id="camp_1", **body):
    definition = {"name": tier_id, "action": TEN, **body}
    return CreatePromotionTier(tier_id=tier_id, campaign_id=campaign_id, definition=definition)


def stack(*tier_ids, stack_id="stack_1", campaign_id="Sale"):
    definition = {"name": "Both", "tiers": {"ids": list(tier_ids)}}
    return CreatePromotionStack(stack_id=stack_id, campaign_id=campaign_id, definition=definition)


def rule(rule_id="val_1"):
    leaf = {"name": "order.amount", "conditions": {"$more_than": [5000]}}
    definition = {"name": "Big orders", "rules": {"1": leaf, "logic": "1"}}
    return CreateValidationRule(rule_id=rule_id, definition=definition)


def of(harness, kind):
    return [event for event in harness.appended if isinstance(event, kind)]


async def test_a_campaign_begins_with_its_tiers_and_their_rules(harness):
    await harness.command("p1", rule())
    body = {"tiers": [{"name": "A", "action": TEN, "validation_rules": ["val_1"]},
                      {"name": "B", "action": TEN}]}  # fmt: skip
    reply = await harness.command("p1", promotion(promotion=body))
    assert reply.status == 200, reply
    made = [event.tier for event in of(harness, PromotionTierCreated)]
    assert [(one.name, one.hierarchy, one.campaign_id) for one in made] == [
        ("A", 1, "camp_1"),
        ("B", 2, "camp_1"),
    ]
    [assigned] = of(harness, ValidationRuleAssigned)
    assert assigned.assignment.related_object_id == made[0].id
    assert assigned.assignment.related_object_type == "promotion_tier"


async def test_a_wrong_tier_leaves_no_campaign(harness):
    body = {"tiers": [{"name": "A", "action": TEN}, {"name": "B"}]}
    reply = await harness.command("p1", promotion(promotion=body))
    assert (reply.status, reply.error.key) == (400, "invalid_payload")
    assert "promotion.tiers[1].action" in reply.error.details
    assert harness.appended == []
    assert await harness.rows("promotion_tiers") == []


async def test_a_tier_lives_in_its_project_and_campaign(harness):
    await harness.command("p1", promotion())
    await harness.command("p2", promotion("camp_2"))
    assert (await harness.command("p1", tier())).body["promotion_tier"]["hierarchy"] == 1
    assert (await harness.command("p1", tier("promo_2"))).body["promotion_tier"]["hierarchy"] == 2
    before = len(harness.appended)
    for command in (
        SetPromotionTierActive(tier_id="promo_1", active=False),
        UpdatePromotionTier(tier_id="promo_1", changes={"name": "X"}),
        DeletePromotionTier(tier_id="promo_1"),
        tier(campaign_id="camp_1"),
    ):
        assert (await harness.command("p2", command)).status == 404
    assert len(harness.appended) == before


async def test_codes_are_refused_where_there_are_tiers(harness):
    await harness.command("p1", promotion())
    refused = await harness.command("p1", AddVouchers(campaign_id="camp_1", action_id="x"))
    assert refused.error.key == "invalid_campaign"
    body = {"type": "DISCOUNT_VOUCHER", "discount": TEN["discount"], "campaign_id": "camp_1"}
    refused = await harness.command("p1", CreateVoucher(code="A", definition=body))
    assert refused.error.key == "invalid_campaign"
    assert await harness.rows("codes") == []


async def test_a_tier_is_changed_and_gets_more_rules(harness):
    await harness.command("p1", promotion())
    await harness.command("p1", tier())
    await harness.command("p1", rule())
    changed = await harness.command(
        "p1",
        UpdatePromotionTier(
            tier_id="promo_1", changes={"hierarchy": 7}, validation_rules=["val_1"]
        ),
    )
    assert changed.body["promotion_tier"]["hierarchy"] == 7
    again = UpdatePromotionTier(tier_id="promo_1", changes={}, validation_rules=["val_1"])
    assert (await harness.command("p1", again)).status == 200
    assert len(of(harness, PromotionTierUpdated)) == 1
    assert len(of(harness, ValidationRuleAssigned)) == 1
    assign = AssignValidationRule(
        assignment_id="asgm_2",
        rule_id="val_1",
        related_object_type="promotion_tier",
        related_object_id="promo_1",
    )
    assert (await harness.command("p1", assign)).error.key == "duplicate_found"


def of_context(context_type, rule_id="val_1"):
    definition = {**rule().definition, "context_type": context_type}
    return CreateValidationRule(rule_id=rule_id, definition=definition)


COUPON = {"type": "DISCOUNT_VOUCHER", "discount": {"type": "AMOUNT", "amount_off": 100}}
COUPONS = {"name": "Coupons", "campaign_type": "DISCOUNT_COUPONS", "voucher": COUPON}
MISFITS = {
    "a campaign": (
        CreateCampaign(
            campaign_id="camp_2", action_id="aa", definition=COUPONS, validation_rules=["val_1"]
        ),
        "validation_rules[0]",
    ),
    "a voucher": (
        CreateVoucher(code="A", definition=COUPON, validation_rules=["val_1"]),
        "validation_rules[0]",
    ),
    "a new tier": (tier(validation_rules=["val_1"]), "validation_rules[0]"),
    "a changed tier": (
        UpdatePromotionTier(tier_id="promo_0", changes={}, validation_rules=["val_1"]),
        "validation_rules[0]",
    ),
    "a campaign's tier": (
        promotion(
            "camp_3",
            "Three",
            promotion={"tiers": [{"name": "A", "action": TEN, "validation_rules": ["val_1"]}]},
        ),
        "promotion.tiers[0].validation_rules[0]",
    ),
}


@pytest.mark.parametrize(("command", "prop"), MISFITS.values(), ids=MISFITS)
async def test_rules_of_another_context_are_refused_wherever_they_are_named(harness, command, prop):
    await harness.command("p1", of_context("campaign.gift_vouchers"))
    await harness.command("p1", promotion())
    await harness.command("p1", tier("promo_0"))
    before = len(harness.appended)
    refused = await harness.command("p1", command)
    assert (refused.status, refused.error.key) == (400, "invalid_validation_rules")
    assert refused.error.details.startswith(f"{prop}: must not be for campaign.gift_vouchers")
    assert len(harness.appended) == before
    assert await harness.rows("assigned_rules") == []


async def test_an_effect_stays_what_an_assigned_rule_is_about(harness):
    context = "campaign.discount_coupons.discount.apply_to_order"
    await harness.command("p1", of_context(context))
    voucher = {**COUPON, "discount": {**COUPON["discount"], "effect": "APPLY_TO_ORDER"}}
    made = CreateCampaign(
        campaign_id="camp_2",
        action_id="aa",
        definition={**COUPONS, "voucher": voucher},
        validation_rules=["val_1"],
    )
    assert (await harness.command("p1", made)).status == 200
    discount = {**voucher["discount"], "effect": "APPLY_TO_ITEMS"}
    change = UpdateCampaign(campaign_id="camp_2", changes={"discount": discount})
    refused = await harness.command("p1", change)
    assert refused.error.key == "invalid_validation_rules"
    assert refused.error.details.startswith(f"discount: must not be for {context}")
    more = UpdateCampaign(
        campaign_id="camp_2", changes={"discount": {**voucher["discount"], "amount_off": 7}}
    )
    assert (await harness.command("p1", more)).status == 200


async def test_a_deleted_tier_frees_its_rules(harness):
    await harness.command("p1", promotion())
    await harness.command("p1", rule())
    await harness.command("p1", tier(validation_rules=["val_1"]))
    kept = await harness.command("p1", DeleteValidationRule(rule_id="val_1"))
    assert kept.error.key == "resource_in_use"
    assert (await harness.command("p1", DeletePromotionTier(tier_id="promo_1"))).status == 200
    [freed] = of(harness, ValidationRuleUnassigned)
    assert freed.assignment.related_object_id == "promo_1"
    assert (await harness.command("p1", DeleteValidationRule(rule_id="val_1"))).status == 200


async def test_a_tier_in_a_stack_stays_until_the_stack_goes(harness):
    await harness.command("p1", promotion())
    await harness.command("p1", tier())
    await harness.command("p1", tier("promo_2"))
    assert (await harness.command("p1", stack("promo_2", "promo_1"))).status == 200
    kept = await harness.command("p1", DeletePromotionTier(tier_id="promo_1"))
    assert (kept.status, kept.error.key) == (400, "resource_in_use")
    assert len(await harness.rows("promotion_tiers")) == 2
    changes = {"tiers": {"ids": ["promo_2"]}}
    update = UpdatePromotionStack(stack_id="stack_1", campaign_id="camp_1", changes=changes)
    assert (await harness.command("p1", update)).status == 200
    assert (await harness.command("p1", DeletePromotionTier(tier_id="promo_1"))).status == 200
    gone = await harness.command("p1", stack("promo_1", stack_id="stack_2"))
    assert (gone.status, gone.error.key) == (404, "not_found")
    delete = DeletePromotionStack(stack_id="stack_1", campaign_id="camp_1")
    assert (await harness.command("p1", delete)).status == 200
    assert (await harness.command("p1", delete)).status == 404
    assert (await harness.command("p1", DeletePromotionTier(tier_id="promo_2"))).status == 200
    assert await harness.rows("stacked_tiers") == []


async def test_a_stack_names_tiers_of_its_own_campaign_only(harness):
    await harness.command("p1", promotion())
    await harness.command("p1", promotion("camp_2", "Other"))
    await harness.command("p1", tier("promo_2", "camp_2"))
    refused = await harness.command("p1", stack("promo_2"))
    assert (refused.status, refused.error.key) == (404, "not_found")


async def test_categories_have_names_of_their_own(harness):
    def create(category_id, name="Books"):
        definition = {"name": name, "hierarchy": 1}
        return CreateCategory(category_id=category_id, definition=definition)

    assert (await harness.command("p1", create("cat_1"))).status == 200
    assert (await harness.command("p1", create("cat_2"))).error.key == "duplicate_found"
    assert (await harness.command("p2", create("cat_3"))).status == 200
    renamed = UpdateCategory(category_id="cat_1", changes={"name": "Tales"})
    assert (await harness.command("p1", renamed)).body["category"]["version"] == 2
    assert (await harness.command("p1", create("cat_2"))).status == 200
    back = UpdateCategory(category_id="cat_1", changes={"name": "Books"})
    assert (await harness.command("p1", back)).error.key == "duplicate_found"
    assert (await harness.command("p1", DeleteCategory(category_id="cat_2"))).status == 200
    assert (await harness.command("p1", DeleteCategory(category_id="cat_2"))).status == 404
    assert (await harness.command("p1", back)).status == 200


async def test_incentives_name_their_category_by_id_or_name(harness):
    definition = {"name": "Books", "hierarchy": 1}
    await harness.command("p1", CreateCategory(category_id="cat_1", definition=definition))
    await harness.command("p1", promotion(category="Books"))
    by_id = await harness.command("p1", tier(category_id="cat_1"))
    assert by_id.body["promotion_tier"]["category_id"] == "cat_1"
    by_name = await harness.command("p1", tier("promo_2", category="Books"))
    assert by_name.body["promotion_tier"]["category_id"] == "cat_1"
    body = {"type": "DISCOUNT_VOUCHER", "discount": TEN["discount"], "category_id": "cat_1"}
    made = await harness.command("p1", CreateVoucher(code="A", definition=body))
    assert made.body["voucher"]["definition"]["category_id"] == "cat_1"
    other = await harness.command("p2", CreateVoucher(code="A", definition=body))
    assert (other.status, other.error.key) == (404, "not_found")
    cleared = UpdatePromotionTier(tier_id="promo_1", changes={"category_id": None})
    assert (await harness.command("p1", cleared)).body["promotion_tier"]["category_id"] is None
    unknown = UpdatePromotionTier(tier_id="promo_1", changes={"category": "Toys"})
    assert (await harness.command("p1", unknown)).status == 404


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("DELETE FROM promotion_tiers", "tier promo_1 is not noted"),
        ("UPDATE promotion_tiers SET hierarchy = 9", "tier promo_1 is not noted"),
        ("DELETE FROM stacked_tiers", "stack stack_1 is not noted"),
        ("UPDATE category_names SET name = 'Toys'", "category cat_1 is not noted"),
    ],
)
async def test_the_audit_finds_what_differs_from_the_streams(leased_settings, damage, finding):
    async with Harness(build(Settings(**leased_settings.model_dump()))) as running:
        await running.command("p1", promotion())
        await running.command("p1", tier())
        await running.command("p1", stack("promo_1"))
        definition = {"name": "Books", "hierarchy": 1}
        await running.command("p1", CreateCategory(category_id="cat_1", definition=definition))
        async with running.service.pool.acquire() as connection:
            assert await audit(connection) == []
            await connection.execute(damage)
            findings = await audit(connection)
    assert any(finding in one for one in findings), findings
