"""Tiers, stacks and categories in the replica: they arrive, change, go, and are priced as they are."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from contracts import campaigns, gateway, ledger, promotions
from contracts.engine import PlanRedemption, StackRequest, ValidateStack
from contracts.errors import JsonObject
from contracts.messages import Reply
from engine.app import build
from runtime.settings import Settings
from runtime.testing.harness import Harness

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 11, 12, 0, tzinfo=UTC)
SHOP, OTHER = "proj_shop", "proj_other"
CAMPAIGN = campaigns.Campaign(
    id="camp_1", name="Sale", campaign_type="PROMOTION", type="STATIC", created_at=NOW
)


@pytest_asyncio.fixture
async def engine(leased_settings: Settings) -> AsyncIterator[Harness]:
    async with Harness(build(leased_settings)) as harness:
        for project in (SHOP, OTHER):
            await harness.event(project, _project(project), source="gateway")
        await _happens(harness, campaigns.CampaignCreated(campaign=CAMPAIGN))
        yield harness


def _project(project_id: str, **changes: Any) -> gateway.ProjectCreated:
    project = gateway.Project(
        id=project_id,
        name=project_id,
        timezone="Europe/Berlin",
        currency="EUR",
        created_at=NOW,
        webhook_secret="cipher",
    )
    return gateway.ProjectCreated(project=project.model_copy(update=changes))


async def _happens(harness: Harness, *events: Any) -> None:
    for event in events:
        await harness.event(SHOP, event, source="campaigns")


def _tier(tier_id: str, percent: int = 10, **changes: Any) -> promotions.PromotionTier:
    discount = {"type": "PERCENT", "percent_off": percent, "effect": "APPLY_TO_ORDER"}
    tier = promotions.PromotionTier(
        id=tier_id,
        campaign_id="camp_1",
        name=tier_id,
        action={"discount": discount},
        created_at=NOW,
    )
    return tier.model_copy(update=changes)


def _stack(kind: str, *names: str, **more: Any) -> StackRequest:
    redeemables = [{"object": kind, "id": name} for name in names]
    return StackRequest(
        redeemables=redeemables, order={"source_id": "order-1", "amount": 10_000}, **more
    )


async def _validate(engine: Harness, project: str, stack: StackRequest) -> JsonObject:
    reply = await engine.request(
        project, ValidateStack(validation_id="valid_1", stack=stack, now=NOW)
    )
    assert isinstance(reply, Reply), "answered"
    assert reply.body is not None, reply.error
    return reply.body


async def test_a_tier_is_priced_as_it_is_now_and_in_its_project_only(engine: Harness) -> None:
    tier = _tier("promo_1")
    await _happens(engine, promotions.PromotionTierCreated(tier=tier))
    stack = _stack("promotion_tier", "promo_1")
    assert (await _validate(engine, SHOP, stack))["order"]["total_amount"] == 9000
    other = await _validate(engine, OTHER, stack)
    assert other["redeemables"][0]["result"]["error"]["key"] == "not_found"
    changed = _tier("promo_1", 50, version=2)
    await _happens(engine, promotions.PromotionTierUpdated(tier=changed))
    assert (await _validate(engine, SHOP, stack))["order"]["total_amount"] == 5000
    off = changed.model_copy(update={"active": False, "version": 3})
    await _happens(engine, promotions.PromotionTierDisabled(tier=off))
    refused = await _validate(engine, SHOP, stack)
    assert refused["redeemables"][0]["result"]["error"]["key"] == "promotion_inactive"
    await _happens(engine, promotions.PromotionTierDeleted(tier=off))
    gone = await _validate(engine, SHOP, stack)
    assert gone["redeemables"][0]["result"]["error"]["key"] == "not_found"


async def test_a_tier_is_held_beside_what_its_campaign_is_decided_with(engine: Harness) -> None:
    await _happens(engine, promotions.PromotionTierCreated(tier=_tier("promo_1")))
    asked = ValidateStack(
        validation_id="valid_1",
        stack=_stack("promotion_tier", "promo_1", session={"type": "LOCK", "key": "s"}),
        now=NOW,
    )
    for project, key, is_valid in ((SHOP, "camp_1", True), (OTHER, "s", False)):
        assert await engine.request(project, asked) is None, "passed on"
        sent = engine.sent[-1]
        hold = ledger.PlaceHold.from_json(sent.value)
        assert (sent.topic, sent.key) == ("ledger.commands", key)
        assert hold.answer["valid"] is is_valid
        assert {one.holder for one in hold.postings} == ({"promo_1"} if is_valid else set())


async def test_a_stack_brings_its_tiers_and_as_many_ids(engine: Harness) -> None:
    names = [f"promo_{n}" for n in range(3)]
    created = [promotions.PromotionTierCreated(tier=_tier(name)) for name in names]
    stack = promotions.PromotionStack(
        id="stack_1", campaign_id="camp_1", name="All", tier_ids=names[::-1], created_at=NOW
    )
    await _happens(engine, *created, promotions.PromotionStackCreated(stack=stack))
    asked = _stack("promotion_stack", "stack_1")
    body = await _validate(engine, SHOP, asked)
    assert [one["id"] for one in body["redeemables"]] == names[::-1]
    request = PlanRedemption(stack=asked, now=NOW)
    assert await engine.request(SHOP, request) is None, "passed on"
    plan = ledger.Redeem.from_json(engine.sent[-1].value).plan
    ids = [one.redemption_id for one in plan.redemptions]
    assert len(set(ids)) == 3
    assert {one.promotion_stack["id"] for one in plan.redemptions if one.promotion_stack} == {
        "stack_1"
    }
    await _happens(engine, promotions.PromotionStackDeleted(stack=stack))
    gone = await _validate(engine, SHOP, asked)
    assert gone["redeemables"][0]["result"]["error"]["key"] == "not_found"


async def test_rules_of_a_tier_and_of_its_campaign_both_count(engine: Harness) -> None:
    await _happens(engine, promotions.PromotionTierCreated(tier=_tier("promo_1")))
    for number, (target, least) in enumerate((("promo_1", 5_000), ("camp_1", 20_000))):
        leaf = {"name": "order.amount", "conditions": {"$more_than": [least]}}
        rule = campaigns.ValidationRule(
            id=f"val_{number}", name="r", rules={"1": leaf}, created_at=NOW
        )
        assignment = campaigns.Assignment(
            id=f"asgm_{number}",
            rule_id=rule.id,
            related_object_type="promotion_tier",
            related_object_id=target,
            created_at=NOW,
        )
        await _happens(
            engine,
            campaigns.ValidationRuleCreated(rule=rule),
            campaigns.ValidationRuleAssigned(assignment=assignment),
        )
        body = await _validate(engine, SHOP, _stack("promotion_tier", "promo_1"))
        assert body["valid"] is (least < 10_000)


async def test_categories_and_stacking_rules_sort_what_is_applied(engine: Harness) -> None:
    category = promotions.Category(id="cat_1", name="First", hierarchy=0, created_at=NOW)
    await _happens(
        engine,
        promotions.CategoryCreated(category=category),
        promotions.PromotionTierCreated(tier=_tier("promo_1")),
        promotions.PromotionTierCreated(tier=_tier("promo_2", category_id="cat_1")),
    )
    options = {"expand": ["category"]}
    stack = _stack("promotion_tier", "promo_1", "promo_2", options=options)
    body = await _validate(engine, SHOP, stack)
    assert [one["id"] for one in body["redeemables"]] == ["promo_1", "promo_2"]
    rules = {"redeemables_sorting_rule": "CATEGORY_HIERARCHY", "joint_categories": ["cat_1"]}
    project = _project(SHOP, stacking_rules=rules).project
    await engine.event(SHOP, gateway.ProjectUpdated(project=project), source="gateway")
    body = await _validate(engine, SHOP, stack)
    assert [one["id"] for one in body["redeemables"]] == ["promo_2", "promo_1"]
    [shown] = body["redeemables"][0]["categories"]
    assert (shown["name"], shown["stacking_rules_type"]) == ("First", "JOINT")
    assert body["stacking_rules"]["joint_categories"] == ["cat_1"]
    await _happens(engine, promotions.CategoryDeleted(category=category))
    body = await _validate(engine, SHOP, stack)
    assert [one["id"] for one in body["redeemables"]] == ["promo_1", "promo_2"]
