"""Tiers, stacks and categories: what is decided, given what happened."""

from datetime import UTC, datetime

import pytest

from campaigns.domain import campaign as campaigns
from campaigns.domain import category as categories
from campaigns.domain import promotion_stack as stacks
from campaigns.domain import promotion_tier as tiers
from contracts.campaigns import Campaign, CreateCampaign
from contracts.errors import DomainError
from runtime.testing.scenario import given

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 25, 12, tzinfo=UTC)
TEN = {"type": "PERCENT", "percent_off": 10}
PROMOTION = Campaign(
    id="camp_1", name="Sale", campaign_type="PROMOTION", type="STATIC", created_at=NOW
)
COUPONS = PROMOTION.model_copy(update={"campaign_type": "DISCOUNT_COUPONS"})


def tier(campaign=PROMOTION, last=0, **body):
    definition = {"name": "Ten off", "action": {"discount": TEN}, **body}
    return tiers.decide_create("promo_1", campaign, definition, last, NOW)


def stack(known=("promo_1", "promo_2"), campaign=PROMOTION, **body):
    definition = {"name": "Both", "tiers": {"ids": ["promo_2", "promo_1"]}, **body}
    return stacks.decide_create("stack_1", campaign, definition, frozenset(known), NOW)


# -- campaigns of tiers -------------------------------------------------------------------------


def promotion(count=0, **body):
    command = CreateCampaign(
        campaign_id="camp_1",
        action_id="aa_1",
        definition={"name": "Sale", "campaign_type": "PROMOTION", **body},
        vouchers_count=count,
    )
    return campaigns.decide_create_campaign(None, command, NOW)


def test_a_promotion_has_no_template_and_no_codes():
    (event,) = promotion(start_date="2026-12-01")
    assert (event.campaign.campaign_type, event.campaign.voucher) == ("PROMOTION", None)
    assert event.campaign.start_date == datetime(2026, 12, 1, tzinfo=UTC)
    with pytest.raises(DomainError) as refused:
        promotion(count=1)
    assert refused.value.prop == "vouchers_count"
    with pytest.raises(DomainError) as refused:
        campaigns.refuse_promotion(event.campaign)
    assert refused.value.key == "invalid_campaign"


def test_the_tiers_of_a_new_campaign_are_read_in_their_order():
    body = {"promotion": {"tiers": [{"name": "A"}, {"name": "B"}]}}
    assert [one["name"] for one in tiers.tiers_of(body)] == ["A", "B"]
    assert tiers.tiers_of({}) == []
    with pytest.raises(DomainError) as refused:
        tiers.tiers_of({"promotion": {"tiers": [1]}})
    assert refused.value.prop == "promotion.tiers[0]"


# -- tiers --------------------------------------------------------------------------------------


def test_a_tier_without_hierarchy_comes_after_all_others():
    assert tier(last=4).tier.hierarchy == 5
    assert tier(last=4, hierarchy=2).tier.hierarchy == 2
    assert tier(last=4, hierarchy=None).tier.hierarchy == 5


def test_a_new_tier_is_what_the_body_says():
    made = tier(banner="Now!", active=False, metadata={"a": 1}, start_date="2026-12-01").tier
    assert (made.banner, made.active, made.metadata) == ("Now!", False, {"a": 1})
    assert made.action == {"discount": TEN}
    assert made.start_date == datetime(2026, 12, 1, tzinfo=UTC)
    assert (made.campaign_id, made.version, made.created_at) == ("camp_1", 1, NOW)


@pytest.mark.parametrize(
    ("body", "prop"),
    [
        ({"name": None}, "name"),
        ({"name": "  "}, "name"),
        ({"action": None}, "action"),
        ({"action": {}}, "action.discount"),
        ({"action": {"discount": {"type": "PERCENT", "percent_off": 0}}}, "percent_off"),
        ({"hierarchy": -1}, "hierarchy"),
        ({"banner": 5}, "banner"),
        ({"active": "yes"}, "active"),
        ({"start_date": "2026-12-02", "expiration_date": "2026-12-01"}, "expiration_date"),
        ({"category_id": 5}, "category_id"),
    ],
)
def test_a_wrong_tier_is_refused_by_name(body, prop):
    with pytest.raises(DomainError) as refused:
        tier(**body)
    assert refused.value.prop.endswith(prop)


def test_a_tier_of_a_new_campaign_names_its_place():
    with pytest.raises(DomainError) as refused:
        tiers.decide_create("promo_1", PROMOTION, {"name": "A"}, 0, NOW, "promotion.tiers[1]")
    assert refused.value.prop == "promotion.tiers[1].action"


def test_only_promotions_have_tiers_and_stacks():
    for make in (tier, stack):
        with pytest.raises(DomainError) as refused:
            make(campaign=COUPONS)
        assert refused.value.key == "invalid_campaign"


def test_a_tier_changes_what_is_sent():
    state = given(tiers.evolve, tier(banner="Old", metadata={"a": 1, "b": 2}, hierarchy=3)).state
    changes = {"banner": None, "metadata": {"a": None, "c": 3}, "hierarchy": None}
    (event,) = tiers.decide_update(state, changes, LATER)
    after = event.tier
    assert (after.banner, after.metadata, after.hierarchy) == (None, {"b": 2, "c": 3}, 3)
    assert (after.version, after.updated_at) == (2, LATER)
    assert tiers.decide_update(tiers.evolve(state, event), {"banner": None}, LATER) == []


def test_a_tier_is_switched_once_and_deleted_once():
    state = given(tiers.evolve, tier()).state
    (off,) = tiers.decide_set_active(state, False, LATER)
    state = tiers.evolve(state, off)
    assert (state.tier.active, state.tier.version) == (False, 2)
    assert tiers.decide_set_active(state, False, LATER) == []
    state = tiers.evolve(state, tiers.decide_delete(state, []))
    with pytest.raises(DomainError) as refused:
        tiers.existing(state, "promo_1")
    assert refused.value.key == "not_found"


def test_a_tier_in_a_stack_is_not_deleted():
    state = given(tiers.evolve, tier()).state
    with pytest.raises(DomainError) as refused:
        tiers.decide_delete(state, ["stack_1"])
    assert refused.value.key == "resource_in_use"
    assert "stack_1" in str(refused.value)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, []),
        ({"validation_rules": ["val_1"]}, ["val_1"]),
        ({"validation_rule_assignments": {"data": [{"rule_id": "val_2"}]}}, ["val_2"]),
    ],
)
def test_a_tiers_rules_are_named_in_two_ways(body, expected):
    assert tiers.assigned_rules("", body) == expected


def test_wrong_rules_of_a_tier_are_refused_by_name():
    with pytest.raises(DomainError) as refused:
        tiers.assigned_rules("promotion.tiers[0].", {"validation_rules": [7]})
    assert refused.value.prop == "promotion.tiers[0].validation_rules[0]"


# -- stacks -------------------------------------------------------------------------------------


def test_a_stack_keeps_the_order_of_its_tiers():
    made = stack().stack
    assert (made.tier_ids, made.hierarchy_mode) == (["promo_2", "promo_1"], "MANUAL")


@pytest.mark.parametrize(
    ("body", "key", "mentions"),
    [
        ({"name": None}, "invalid_payload", "name"),
        ({"tiers": None}, "invalid_payload", "tiers"),
        ({"tiers": {}}, "invalid_payload", "tiers.ids"),
        ({"tiers": {"ids": []}}, "invalid_payload", "tiers.ids"),
        ({"tiers": {"ids": ["promo_1", "promo_1"]}}, "invalid_payload", "twice"),
        ({"tiers": {"ids": ["promo_1"] * 31}}, "invalid_payload", "30"),
        (
            {"tiers": {"ids": ["promo_1"], "hierarchy_mode": "AUTO"}},
            "invalid_payload",
            "hierarchy_mode",
        ),
        ({"tiers": {"ids": ["promo_9"]}}, "not_found", "promo_9"),
    ],
)
def test_a_wrong_stack_is_refused(body, key, mentions):
    with pytest.raises(DomainError) as refused:
        stack(**body)
    assert refused.value.key == key
    assert mentions in str(refused.value)


def test_a_stack_changes_what_is_sent():
    state = given(stacks.evolve, stack()).state
    (event,) = stacks.decide_update(state, {"tiers": {"ids": ["promo_1"]}}, ["promo_1"], LATER)
    assert (event.stack.tier_ids, event.stack.name, event.stack.version) == (["promo_1"], "Both", 2)
    state = stacks.evolve(state, event)
    assert stacks.decide_update(state, {"name": "Both"}, [], LATER) == []
    with pytest.raises(DomainError):
        stacks.existing(state, "stack_1", "camp_2")
    state = stacks.evolve(state, stacks.decide_delete(state))
    with pytest.raises(DomainError):
        stacks.existing(state, "stack_1", "camp_1")


# -- categories ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "prop"),
    [
        ({}, "name"),
        ({"name": "Books"}, "hierarchy"),
        ({"name": "", "hierarchy": 1}, "name"),
        ({"name": "Books", "hierarchy": -1}, "hierarchy"),
        ({"name": "Books", "hierarchy": "1"}, "hierarchy"),
    ],
)
def test_a_wrong_category_is_refused_by_name(body, prop):
    with pytest.raises(DomainError) as refused:
        categories.decide_create("cat_1", body, NOW)
    assert refused.value.prop == prop


def test_a_category_changes_and_goes():
    made = categories.decide_create("cat_1", {"name": "Books", "hierarchy": 2}, NOW)
    state = given(categories.evolve, made).state
    (event,) = categories.decide_update(state, {"hierarchy": 0}, LATER)
    state = categories.evolve(state, event)
    assert (state.category.name, state.category.hierarchy) == ("Books", 0)
    assert categories.decide_update(state, {"hierarchy": 0}, LATER) == []
    state = categories.evolve(state, categories.decide_delete(state))
    with pytest.raises(DomainError) as refused:
        categories.existing(state, "cat_1")
    assert refused.value.key == "not_found"
