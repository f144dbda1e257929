"""Campaigns, vouchers, rules and assignments: what is decided, given what happened."""

from datetime import UTC, datetime

import pytest

from campaigns import limits
from campaigns.domain import campaign as campaigns
from campaigns.domain import voucher as vouchers
from campaigns.domain.assignment import check_target_type
from campaigns.domain.rule import decide_create_rule
from contracts import ids
from contracts.campaigns import (
    AddVouchers,
    CampaignCreated,
    CampaignDisabled,
    CampaignUpdated,
    CreateCampaign,
    Voucher,
    VoucherDisabled,
    VouchersGenerated,
    VouchersGenerationCompleted,
    VouchersGenerationFailed,
    VouchersGenerationStarted,
    VoucherUpdated,
)
from contracts.errors import DomainError
from contracts.vouchers import definition_version
from runtime.testing.scenario import given

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 25, 12, tzinfo=UTC)
DISCOUNT = {"type": "PERCENT", "percent_off": 10}


def create(count=0, **body):
    voucher = {"type": "DISCOUNT_VOUCHER", "discount": DISCOUNT, **body.pop("voucher", {})}
    return CreateCampaign(
        campaign_id="camp_1",
        action_id="aa_1",
        definition={"name": "Autumn", "voucher": voucher, **body},
        vouchers_count=count,
    )


def created(count=0, **body):
    return campaigns.decide_create_campaign(None, create(count, **body), NOW)


def started(total=3, action_id="aa_1"):
    return VouchersGenerationStarted(
        campaign_id="camp_1", action_id=action_id, total=total, started_at=NOW
    )


def generated(codes, done, total=3, action_id="aa_1"):
    return VouchersGenerated(
        campaign_id="camp_1",
        action_id=action_id,
        codes=codes,
        done=done,
        total=total,
        generated_at=NOW,
    )


# -- campaigns ----------------------------------------------------------------------------------


def test_a_new_campaign_gives_its_period_to_its_template():
    (event,) = created(start_date="2026-12-01", expiration_date="2026-12-24", join_once=None)
    campaign = event.campaign
    assert campaign.campaign_type == "DISCOUNT_COUPONS"
    assert campaign.type == "AUTO_UPDATE"
    assert campaign.voucher.start_date == campaign.start_date == datetime(2026, 12, 1, tzinfo=UTC)
    assert campaign.voucher.expiration_date == campaign.expiration_date
    assert campaign.join_once is False
    assert (campaign.version, campaign.vouchers_count) == (1, 0)


def test_more_than_one_code_is_generated_later():
    campaign, start = created(count=2)
    assert campaign.campaign.vouchers_generation_status == "IN_PROGRESS"
    assert campaign.campaign.creation_status == "DONE"
    assert start == started(2)
    assert len(created(count=1)) == len(created(count=0)) == 1


def test_a_campaign_is_created_once():
    given(campaigns.evolve, *created()).when(
        lambda state: campaigns.decide_create_campaign(state, create(), NOW)
    ).then_refused("duplicate_found", "camp_1")


@pytest.mark.parametrize(
    ("body", "prop"),
    [
        ({"name": None}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"campaign_type": "LOYALTY_PROGRAM"}, "campaign_type"),
        ({"campaign_type": "REFERRAL_PROGRAM"}, "campaign_type"),
        ({"campaign_type": "SALE"}, "campaign_type"),
        ({"campaign_type": "GIFT_VOUCHERS"}, "voucher.type"),
        ({"type": "DYNAMIC"}, "type"),
        (
            {"campaign_type": "GIFT_VOUCHERS", "promotion": {"tiers": []}, "voucher": {}},
            "promotion",
        ),
        ({"campaign_type": "PROMOTION", "voucher": {"type": "GIFT_VOUCHER"}}, "voucher"),
        ({"access_settings": {"assign": {}}}, "access_settings"),
        ({"activity_duration_after_publishing": "soon"}, "activity_duration_after_publishing"),
        ({"join_once": "yes"}, "join_once"),
        ({"description": 5}, "description"),
        ({"expiration_date": "2026-01-01", "start_date": "2026-01-02"}, "expiration_date"),
        ({"voucher": {"type": "LOYALTY_CARD"}}, "voucher.type"),
    ],
)
def test_a_wrong_campaign_is_refused_by_name(body, prop):
    with pytest.raises(DomainError) as refused:
        created(**body)
    assert refused.value.prop == prop


def test_a_campaign_without_a_template_is_refused():
    command = create().model_copy(update={"definition": {"name": "x"}})
    with pytest.raises(DomainError) as refused:
        campaigns.decide_create_campaign(None, command, NOW)
    assert refused.value.prop == "voucher"


@pytest.mark.parametrize("count", [-1, limits.CODES_PER_ACTION_MAX + 1])
def test_too_many_codes_are_refused(count):
    with pytest.raises(DomainError) as refused:
        created(count=count)
    assert refused.value.prop == "vouchers_count"


def test_a_pattern_that_is_too_small_is_refused():
    config = {"code_config": {"pattern": "A#", "charset": "01"}}
    assert len(created(count=2, voucher=config)) == 2
    with pytest.raises(DomainError) as refused:
        created(count=3, voucher=config)
    assert refused.value.prop == "code_config"


def test_slices_lead_to_the_end():
    state = given(campaigns.evolve, *created(count=3)).state
    events = campaigns.decide_slice(state, "aa_1", ["a", "b"], None, NOW)
    assert events == [generated(["a", "b"], 2)]
    state = campaigns.evolve(state, events[0])
    assert state.campaign.vouchers_count == 2
    assert state.campaign.vouchers_generation_status == "IN_PROGRESS"
    events = campaigns.decide_slice(state, "aa_1", ["c"], None, LATER)
    assert [type(event) for event in events] == [VouchersGenerated, VouchersGenerationCompleted]
    for event in events:
        state = campaigns.evolve(state, event)
    assert state.campaign.vouchers_count == 3
    assert state.campaign.vouchers_generation_status == "DONE"
    assert state.generations == {}
    assert state.version == 5


def test_a_slice_without_codes_is_the_end_too():
    state = given(campaigns.evolve, *created(count=3), generated(["a"], 1)).state
    (failed,) = campaigns.decide_slice(state, "aa_1", [], None, NOW)
    assert isinstance(failed, VouchersGenerationFailed)
    assert (failed.done, failed.total, failed.error.key) == (1, 3, "invalid_code_config")
    state = campaigns.evolve(state, failed)
    assert state.campaign.vouchers_generation_status == "FAILED"
    assert state.generations == {}


def test_adding_codes_beside_a_running_generation():
    state = given(campaigns.evolve, *created(count=3)).state
    add = AddVouchers(campaign_id="camp_1", action_id="aa_2", count=5)
    (event,) = campaigns.decide_add_vouchers(state, add, NOW)
    state = campaigns.evolve(state, event)
    assert set(state.generations) == {"aa_1", "aa_2"}
    done = VouchersGenerationCompleted(
        campaign_id="camp_1", action_id="aa_1", total=3, completed_at=NOW
    )
    state = campaigns.evolve(state, done)
    assert state.campaign.vouchers_generation_status == "IN_PROGRESS"


def test_one_code_is_no_generation():
    state = given(campaigns.evolve, *created()).state
    for values in ({"count": 1}, {"code": "MINE"}):
        add = AddVouchers(campaign_id="camp_1", action_id="aa_2", **values)
        assert campaigns.decide_add_vouchers(state, add, NOW) == []


@pytest.mark.parametrize(
    ("values", "mentions"),
    [
        ({"count": 0}, "vouchers_count"),
        ({"count": 2, "overrides": {"active": False}}, "active"),
        ({"count": 2, "overrides": {"redemption": {"quantity": 0}}}, "redemption.quantity"),
        ({"count": 2, "overrides": {"code_config": {"length": 0}}}, "code_config.length"),
        ({"count": 2, "overrides": {"code_config": {"pattern": "ONE"}}}, "code_config"),
    ],
)
def test_what_cannot_be_added_is_refused_by_name(values, mentions):
    add = AddVouchers(campaign_id="camp_1", action_id="aa_2", **values)
    given(campaigns.evolve, *created()).when(
        lambda state: campaigns.decide_add_vouchers(state, add, NOW)
    ).then_refused("invalid_payload", mentions)


def test_a_standalone_campaign_takes_no_more_codes():
    add = AddVouchers(campaign_id="camp_1", action_id="aa_2")
    given(campaigns.evolve, *created(type="STANDALONE")).when(
        lambda state: campaigns.decide_add_vouchers(state, add, NOW)
    ).then_refused("invalid_campaign", "STANDALONE")


def test_generations_of_one_campaign_are_bounded():
    running = [started(5, f"aa_{n}") for n in range(limits.ACTIONS_PER_CAMPAIGN_MAX)]
    add = AddVouchers(campaign_id="camp_1", action_id="aa_x", count=2)
    given(campaigns.evolve, *created(), *running).when(
        lambda state: campaigns.decide_add_vouchers(state, add, NOW)
    ).then_refused("invalid_campaign")


def update(state, **changes):
    return campaigns.decide_update_campaign(state, changes, LATER, 7)


def test_an_update_reaches_the_template_and_has_a_higher_version():
    state = given(campaigns.evolve, *created(count=3), generated(["a"], 1)).state
    discount = {"type": "PERCENT", "percent_off": 20}
    (event,) = update(state, discount=discount, expiration_date="2027-01-01", name="ignored")
    campaign = event.campaign
    assert campaign.voucher.discount == discount
    assert campaign.voucher.expiration_date == campaign.expiration_date
    assert campaign.name == "Autumn"
    assert (campaign.version, campaign.vouchers_count, campaign.updated_at) == (4, 7, LATER)
    assert campaigns.evolve(state, event).version == 4


def test_an_update_clears_with_null_and_merges_metadata():
    state = given(
        campaigns.evolve,
        *created(expiration_date="2027-01-01", metadata={"a": 1, "b": 2, "c": 3}),
    ).state
    (event,) = update(
        state, expiration_date=None, metadata={"b": 5}, unset_metadata_fields=["c", "zzz"]
    )
    assert event.campaign.expiration_date is None
    assert event.campaign.voucher.expiration_date is None
    assert event.campaign.metadata == {"a": 1, "b": 5}


def test_the_amount_of_a_gift_campaign_can_change():
    body = {"name": "Gifts", "voucher": {"type": "GIFT_VOUCHER", "gift": {"amount": 100}}}
    command = create().model_copy(update={"definition": body})
    state = given(campaigns.evolve, *campaigns.decide_create_campaign(None, command, NOW)).state
    (event,) = update(state, gift={"amount": 250})
    assert event.campaign.voucher.gift == {"amount": 250, "effect": "APPLY_TO_ORDER"}


def test_an_update_that_changes_nothing_is_no_event():
    state = given(campaigns.evolve, *created(description="x")).state
    assert campaigns.decide_update_campaign(state, {"description": "x"}, LATER, 0) == []
    assert campaigns.decide_update_campaign(state, {}, LATER, 0) == []


@pytest.mark.parametrize(
    ("changes", "key", "mentions"),
    [
        ({"type": "STANDALONE"}, "invalid_payload", "type"),
        ({"gift": {"amount": 5}}, "invalid_voucher", "gift"),
        ({"discount": {"type": "AMOUNT", "amount_off": 5}}, "invalid_voucher", "discount"),
        ({"discount": {"type": "PERCENT", "percent_off": 0}}, "invalid_payload", "percent_off"),
        ({"start_date": "2026-02-30"}, "invalid_payload", "start_date"),
        ({"category_id": 9}, "invalid_payload", "category_id"),
        ({"access_settings": {"assign": {}}}, "invalid_payload", "access_settings"),
    ],
)
def test_a_wrong_update_is_refused(changes, key, mentions):
    given(campaigns.evolve, *created()).when(lambda state: update(state, **changes)).then_refused(
        key, mentions
    )


def test_switching_off_once():
    state = given(campaigns.evolve, *created()).state
    (event,) = campaigns.decide_set_active(state, False, LATER, 0)
    assert isinstance(event, CampaignDisabled)
    assert (event.campaign.active, event.campaign.version) == (False, 2)
    state = campaigns.evolve(state, event)
    assert campaigns.decide_set_active(state, False, LATER, 0) == []


# -- vouchers -----------------------------------------------------------------------------------


def template():
    (event,) = created()
    assert isinstance(event, CampaignCreated)
    return event.campaign


def inherited():
    return vouchers.generated_voucher("v_1", "CODE", "camp_1", None, NOW)


def test_a_changed_code_gets_a_full_copy_and_its_version_grows():
    campaign, before = template(), inherited()
    (event,) = vouchers.decide_update_voucher(
        before, campaign.voucher, {"additional_info": "x"}, LATER
    )
    assert isinstance(event, VoucherUpdated)
    after = event.voucher
    assert after.definition.discount == DISCOUNT
    assert after.definition.additional_info == "x"
    assert after.version == 2
    assert definition_version(after, campaign) > definition_version(before, campaign)
    (event,) = vouchers.decide_update_voucher(
        after, campaign.voucher, {"additional_info": None}, LATER
    )
    assert definition_version(event.voucher, campaign) > definition_version(after, campaign)


def test_switching_a_code_does_not_stop_it_inheriting():
    (event,) = vouchers.decide_set_active(inherited(), False, LATER)
    assert isinstance(event, VoucherDisabled)
    assert event.voucher.definition is None
    assert vouchers.decide_set_active(event.voucher, False, LATER) == []
    (event,) = vouchers.decide_update_voucher(
        inherited(), template().voucher, {"active": False, "redemption": {"quantity": 9}}, LATER
    )
    assert (event.voucher.active, event.voucher.definition) == (False, None)
    assert vouchers.decide_update_voucher(inherited(), template().voucher, {}, LATER) == []


def test_a_code_of_its_own():
    body = {"type": "GIFT_VOUCHER", "gift": {"amount": 100}, "active": False, "code_config": {}}
    event = vouchers.decide_create_voucher("v_1", "CODE", body, None, NOW)
    assert event.voucher == Voucher(
        id="v_1",
        code="CODE",
        active=False,
        definition=event.voucher.definition,
        created_at=NOW,
    )
    assert event.voucher.definition.code_config is None
    with pytest.raises(DomainError) as refused:
        vouchers.decide_create_voucher("v_1", "CODE", {**body, "active": "no"}, None, NOW)
    assert refused.value.prop == "active"


# -- validation rules ---------------------------------------------------------------------------


def rule(rules=None, **body):
    body = {"name": "Rule", "rules": rules or {}, **body}
    return decide_create_rule(None, "val_1", "p1", body, NOW).rule


AMOUNT = {"name": "order.amount", "conditions": {"$more_than": [5000]}}
COUNT = {"name": "campaign.redemptions.count", "conditions": {"$less_than_or_equal": [5]}}


def test_a_rule_is_kept_in_normal_form():
    saved = rule(
        {
            "1": {**AMOUNT, "error": {"message": "too small"}, "extra": 1},
            "2": {"name": "customer.metadata", "property": "vip", "conditions": {"$is": True}},
            "logic": "(1) OR 2",
        },
        error={"message": "no"},
    )
    assert saved.rules == {
        "1": {**AMOUNT, "property": None, "rules": {}, "error": {"message": "too small"}},
        "2": {
            "name": "customer.metadata",
            "property": "vip",
            "conditions": {"$is": [True]},
            "rules": {},
        },
        "logic": "(1) OR 2",
    }
    assert saved.error == {"message": "no"}
    assert (saved.type, saved.context_type) == ("expression", "global")


def test_rules_without_logic_must_all_hold():
    assert rule({"1": AMOUNT, "2": COUNT}).rules["logic"] == "1 and 2"
    assert rule({}).rules == {}


def test_rules_inside_rules_on_items():
    inner = {"name": "order.items.aggregated_quantity", "conditions": {"$more_than_or_equal": [2]}}
    saved = rule(
        {
            "1": {
                "name": "order.items.any",
                "conditions": {"$is": [{"object": "product", "id": "prod_1", "name": "Mug"}]},
                "rules": {"1": inner},
            }
        }
    )
    kept = saved.rules["1"]
    assert kept["conditions"] == {"$is": [{"object": "product", "id": "prod_1"}]}
    assert kept["rules"]["logic"] == "1"


def test_the_other_spelling_of_an_operator_is_translated():
    saved = rule({"1": {**AMOUNT, "conditions": {"$greater_than_or_equal": [1]}}})
    assert saved.rules["1"]["conditions"] == {"$more_than_or_equal": [1]}


def deep(levels):
    return "(" * levels + "1" + ")" * levels


@pytest.mark.parametrize(
    ("rules", "mentions"),
    [
        ([], "rules:"),
        ({"a": AMOUNT}, "rules.a:"),
        ({"1": 5}, "rules.1:"),
        ({"1": {}}, "rules.1.name:"),
        ({"1": {**AMOUNT, "name": "order.colour"}}, "rules.1.name:"),
        ({"1": {**AMOUNT, "name": ["x"]}}, "rules.1.name:"),
        ({"1": {**AMOUNT, "property": "x"}}, "rules.1.property:"),
        ({"1": {**AMOUNT, "rules": {"1": {}}}}, "rules.1.rules.1.name:"),
        ({"1": {**AMOUNT, "conditions": None}}, "rules.1.conditions:"),
        ({"1": {**AMOUNT, "conditions": {}}}, "rules.1.conditions:"),
        ({"1": {**AMOUNT, "conditions": {"$near": [5]}}}, "rules.1.conditions.$near:"),
        ({"1": {**AMOUNT, "conditions": {"$more_than": []}}}, "rules.1.conditions.$more_than:"),
        ({"1": {**AMOUNT, "conditions": {"$more_than": [1, 2]}}}, "$more_than: must have one"),
        ({"1": {**AMOUNT, "conditions": {"$more_than": ["5"]}}}, "$more_than[0]:"),
        ({"1": {**AMOUNT, "conditions": {"$more_than": [-5]}}}, "$more_than[0]:"),
        ({"1": {**COUNT, "conditions": {"$more_than": [5]}}}, "rules.1.conditions.$more_than:"),
        ({"1": {**COUNT, "conditions": {"$less_than": [True]}}}, "$less_than[0]:"),
        (
            {"1": {"name": "customer.metadata", "conditions": {"$is": ["x"]}}},
            "Rule 'customer.metadata' must have a 'property'",
        ),
        (
            {"1": {"name": "customer.segment", "conditions": {"$is": ["a"], "$in": ["b"]}}},
            "rules.1.conditions:",
        ),
        ({"1": {"name": "customer.segment", "conditions": {"$is": [5]}}}, "$is[0]:"),
        ({"1": {"name": "product.id", "conditions": {"$is": [{}]}}}, "$is[0].id:"),
        (
            {
                "1": {
                    "name": "product.id",
                    "conditions": {"$is": [{"object": "shop", "id": "shop_1"}]},
                }
            },
            "$is[0].object:",
        ),
        (
            {
                "1": {
                    "name": "order.items.any",
                    "conditions": {"$is": ["prod_1"]},
                    "rules": {"1": AMOUNT},
                }
            },
            "rules.1.rules.1.name:",
        ),
        ({"1": {**AMOUNT, "error": "text"}}, "rules.1.error:"),
        ({"1": AMOUNT, "logic": "1 and"}, "rules.logic:"),
        ({"1": AMOUNT, "logic": "1 1"}, "rules.logic:"),
        ({"1": AMOUNT, "logic": "(1"}, "rules.logic:"),
        ({"1": AMOUNT, "logic": "1)("}, "rules.logic:"),
        ({"1": AMOUNT, "logic": "not 1"}, "rules.logic:"),
        ({"1": AMOUNT, "logic": "1 and 2"}, "2 is not"),
        ({"1": AMOUNT, "2": COUNT, "logic": "1"}, "2 is missing"),
        ({"1": AMOUNT, "logic": 1}, "rules.logic:"),
        ({"1": AMOUNT, "logic": deep(limits.LOGIC_DEPTH_MAX + 1)}, "rules.logic:"),
        ({"1": AMOUNT, "logic": "1 or " * 300 + "1"}, "rules.logic:"),
        ({str(n): AMOUNT for n in range(limits.RULES_PER_RULE_MAX + 1)}, "rules:"),
    ],
)
def test_a_wrong_rule_is_refused_by_name(rules, mentions):
    with pytest.raises(DomainError) as refused:
        decide_create_rule(None, "val_1", "p1", {"name": "Rule", "rules": rules}, NOW)
    assert refused.value.key == "invalid_validation_rules"
    assert mentions in refused.value.details


@pytest.mark.parametrize(
    ("body", "mentions"),
    [
        ({"name": None}, "name"),
        ({"type": "magic"}, "type"),
        ({"context_type": "Nowhere!"}, "context_type"),
        ({"context_type": ["global"]}, "context_type"),
        ({"bundle_rules": {"1": {}}}, "bundle_rules"),
        ({"applicable_to": []}, "applicable_to"),
        ({"applicable_to": {"included": 5}}, "applicable_to.included"),
        ({"applicable_to": {"included": [{"object": "shop"}]}}, "included[0].object"),
        ({"applicable_to": {"included": [{"object": "product"}]}}, "included[0].id"),
        (
            {"applicable_to": {"excluded": [{"object": "sku", "id": "s", "repeat": 0}]}},
            "excluded[0].repeat",
        ),
        (
            {
                "applicable_to": {
                    "included": [{"object": "sku", "id": "s", "effect": "APPLY_TO_CHEAP"}]
                }
            },
            "included[0].effect",
        ),
        (
            {"applicable_to": {"included": [{"object": "sku", "id": "s", "price_formula": "1"}]}},
            "included[0].price",
        ),
        (
            {
                "applicable_to": {
                    "included": [
                        {"object": "sku", "id": "s", "price": 1, "price_formula": "1 +"},
                    ]
                }
            },
            "included[0].price_formula",
        ),
    ],
)
def test_a_wrong_body_of_a_rule_is_refused_by_name(body, mentions):
    with pytest.raises(DomainError) as refused:
        rule(**body)
    assert mentions in refused.value.details


def test_products_may_be_named_by_their_source_id():
    saved = rule(
        applicable_to={
            "included": {"object": "list", "data": [{"object": "product", "source_id": "mug"}]},
            "excluded": [{"object": "sku", "id": "sku_1", "source_id": None}],
        }
    )
    assert saved.applicable_to == {
        "included_all": False,
        "included": [
            {
                "object": "product",
                "id": ids.product_id("p1", "mug"),
                "effect": "APPLY_TO_EVERY",
                "source_id": "mug",
            }
        ],
        "excluded": [{"object": "sku", "id": "sku_1", "effect": "APPLY_TO_EVERY"}],
    }


@pytest.mark.parametrize("target", ["earning_rule", "planet"])
def test_rules_are_assigned_to_campaigns_and_vouchers(target):
    check_target_type("campaign")
    check_target_type("voucher")
    check_target_type("promotion_tier")
    with pytest.raises(DomainError) as refused:
        check_target_type(target)
    assert refused.value.prop == "related_object_type"


def test_campaign_updates_are_exactly_their_event():
    state = given(campaigns.evolve, *created()).state
    expected = state.campaign.model_copy(
        update={"description": "x", "version": 2, "updated_at": LATER}
    )
    given(campaigns.evolve, *created()).when(
        lambda known: campaigns.decide_update_campaign(known, {"description": "x"}, LATER, 0)
    ).then(CampaignUpdated(campaign=expected))
