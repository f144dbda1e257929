"""Issue 5 as a merchant walks it, with the official client: every answer is read by its strict models."""

import uuid
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import voucherify
from voucherify import models

from contracts.engine import Scenario
from tests.system import Api, System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ORIGIN = "https://shop.example"


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def connected(url: str, **keys: str) -> voucherify.ApiClient:
    named = {name.replace("_", "-"): value for name, value in keys.items()}
    return voucherify.ApiClient(voucherify.Configuration(host=url, api_key=named))


@pytest.fixture
def server(api: Api) -> Iterator[voucherify.ApiClient]:
    key = api.made["server_side_key"]
    with connected(api.url, X_App_Id=key["app_id"], X_App_Token=key["app_token"]) as client:
        yield client


@pytest.fixture
def operator(system: System) -> Iterator[voucherify.ApiClient]:
    keys = system.env["TESSERA_MANAGEMENT_ID"], system.env["TESSERA_MANAGEMENT_TOKEN"]
    url = system.env["TESSERA_URL"]
    with connected(url, X_Management_Id=keys[0], X_Management_Token=keys[1]) as client:
        yield client


@pytest.fixture
def browser(api: Api) -> Iterator[voucherify.ApiClient]:
    key = api.made["client_side_key"]
    keys = {"X_Client_Application_Id": key["app_id"], "X_Client_Token": key["app_token"]}
    with connected(api.url, **keys) as client:
        yield client


def sent(model: Any, body: dict[str, Any]) -> Any:
    """Return the body as the client sends it: null for nothing that was left out."""
    return model(**body)


def percent(off: int) -> dict[str, Any]:
    return {"type": "PERCENT", "percent_off": off, "effect": "APPLY_TO_ORDER"}


def sale(server: voucherify.ApiClient) -> Any:
    made = sent(
        models.CampaignsCreateRequestBody, {"name": unique("Sale"), "campaign_type": "PROMOTION"}
    )
    return voucherify.CampaignsApi(server).create_campaign(made)


def tier(server: voucherify.ApiClient, campaign_id: str, name: str, off: int, **more: Any) -> Any:
    body = {"name": name, "action": {"discount": percent(off)}, **more}
    return voucherify.PromotionsApi(server).add_promotion_tier_to_campaign(
        campaign_id, sent(models.PromotionsTiersCreateRequestBody, body)
    )


def rule(server: voucherify.ApiClient, **body: Any) -> Any:
    wanted = sent(models.ValidationRulesCreateRequestBody, {"name": unique("Rule"), **body})
    return voucherify.ValidationRulesApi(server).create_validation_rules(wanted)


def asked(kind: str, name: str, amount: int = 10_000) -> dict[str, Any]:
    return {
        "redeemables": [{"object": kind, "id": name}],
        "customer": {"source_id": "ada"},
        "order": {"source_id": unique("order"), "amount": amount},
    }


def test_tiers_and_stacks(server: voucherify.ApiClient) -> None:
    promotions = voucherify.PromotionsApi(server)
    campaign = sale(server)
    ten = tier(server, campaign.id, "Ten", 10)
    five = tier(server, campaign.id, "Five", 5, hierarchy=2)
    body = sent(
        models.PromotionsStacksCreateRequestBody,
        {"name": "Both", "tiers": {"ids": [ten.id, five.id], "hierarchy_mode": "MANUAL"}},
    )
    stack = promotions.create_promotion_stack(campaign.id, body)
    listed = promotions.list_promotion_tiers_from_campaign(campaign.id)
    assert [one.name for one in listed.tiers] == ["Ten", "Five"]
    assert promotions.get_promotion_stack(campaign.id, stack.id).name == "Both"
    validated = voucherify.ValidationsApi(server).validate_stacked_discounts(
        sent(models.ValidationsValidateRequestBody, asked("promotion_stack", stack.id))
    )
    assert (validated.valid, validated.order.total_amount) == (True, 8550)
    redeemed = voucherify.RedemptionsApi(server).redeem_stacked_discounts(
        sent(models.RedemptionsRedeemRequestBody, asked("promotion_tier", ten.id))
    )
    assert redeemed.order.total_amount == 9000
    assert promotions.disable_promotion_tier(five.id).active is False
    assert promotions.enable_promotion_tier(five.id).active is True
    changed = promotions.update_promotion_tier(
        ten.id, sent(models.PromotionsTiersUpdateRequestBody, {"banner": "10 % off"})
    )
    assert changed.banner == "10 % off"
    promotions.delete_promotion_stack(campaign.id, stack.id)
    promotions.delete_promotion_tier(five.id)
    assert [one.id for one in promotions.list_promotion_tiers().tiers] == [ten.id]


def test_products_collections_and_what_a_discount_applies_to(server: voucherify.ApiClient) -> None:
    products = voucherify.ProductsApi(server)
    collections = voucherify.ProductCollectionsApi(server)
    tee, mug = (
        products.create_product(
            sent(
                models.ProductsCreateRequestBody,
                {"name": name, "source_id": name, "price": price, "metadata": {"kind": kind}},
            )
        )
        for name, price, kind in (("Tee", 2000, "wear"), ("Mug", 1000, "ware"))
    )
    static = collections.create_product_collection(
        sent(
            models.ProductCollectionsCreateRequestBody,
            {
                "type": "STATIC",
                "name": "Mugs",
                "products": [{"id": mug.id, "object": "product"}],
            },
        )
    )
    moving = collections.create_product_collection(
        sent(
            models.ProductCollectionsCreateRequestBody,
            {
                "type": "AUTO_UPDATE",
                "name": "Wear",
                "filter": {"junction": "and", "name": {"conditions": {"$is": ["Tee"]}}},
            },
        )
    )
    totals = {}
    for collection in (static, moving):
        listed = collections.list_products_in_collection(collection.id)
        assert listed.total == 1
        entry = {"object": "products_collection", "id": collection.id, "effect": "APPLY_TO_EVERY"}
        scope = {"included": [entry], "excluded": [], "included_all": False}
        made = rule(server, applicable_to=scope)
        code = voucherify.VouchersApi(server).create_voucher(
            unique("HALF"),
            sent(
                models.VouchersCreateWithSpecificCodeRequestBody,
                {
                    "type": "DISCOUNT_VOUCHER",
                    "discount": {**percent(50), "effect": "APPLY_TO_ITEMS"},
                    "validation_rules": [made.id],
                },
            ),
        )
        body = asked("voucher", code.code)
        body["order"]["items"] = [{"product_id": one.id, "quantity": 1} for one in (tee, mug)]
        body["order"].pop("amount")
        answer = voucherify.ValidationsApi(server).validate_stacked_discounts(
            sent(models.ValidationsValidateRequestBody, body)
        )
        totals[collection.name] = answer.order.total_amount
    assert totals == {"Mugs": 2500, "Wear": 2000}
    assert collections.list_product_collections().total == 2


def test_categories_and_a_projects_stacking_rules(
    server: voucherify.ApiClient, operator: voucherify.ApiClient, api: Api
) -> None:
    categories = voucherify.CategoriesApi(server)
    management = voucherify.ManagementApi(operator)
    first = categories.create_category(
        sent(models.CategoriesCreateRequestBody, {"name": "First", "hierarchy": 0})
    )
    rules = management.create_stacking_rules(
        api.project_id,
        sent(
            models.ManagementProjectsStackingRulesCreateRequestBody,
            {
                "redeemables_limit": 5,
                "applicable_redeemables_limit": 1,
                "redeemables_sorting_rule": "CATEGORY_HIERARCHY",
            },
        ),
    )
    codes = [api.voucher(), api.voucher(category_id=first.id)]
    body = asked("voucher", codes[0])
    body["redeemables"].append({"object": "voucher", "id": codes[1]})
    asked_for = sent(models.ValidationsValidateRequestBody, body)
    validations = voucherify.ValidationsApi(server)
    assert [one.id for one in validations.validate_stacked_discounts(asked_for).redeemables] == [
        codes[1]
    ]
    changed = management.update_stacking_rules(
        api.project_id,
        rules.id,
        sent(
            models.ManagementProjectsStackingRulesUpdateRequestBody,
            {"applicable_redeemables_limit": 5, "redeemables_sorting_rule": "REQUESTED_ORDER"},
        ),
    )
    assert changed.redeemables_sorting_rule == "REQUESTED_ORDER"
    both = validations.validate_stacked_discounts(asked_for)
    assert [one.id for one in both.redeemables] == codes
    management.delete_stacking_rules(api.project_id, rules.id)
    assert management.list_stacking_rules(api.project_id).total == 0
    assert [one.name for one in categories.list_categories().data] == ["First"]


@pytest.mark.parametrize("scenario", get_args(Scenario))
def test_every_scenario_of_a_qualification(
    server: voucherify.ApiClient, api: Api, scenario: str
) -> None:
    tee = api.must("POST", "/v1/products", {"name": "Tee", "source_id": "tee", "price": 2000})
    api.must("POST", "/v1/customers", {"source_id": "ada"})
    audience = rule(
        server,
        rules={
            "1": {"name": "customer.metadata", "property": "vip", "conditions": {"$is": [True]}},
            "logic": "1",
        },
    )
    assert audience.id
    code = api.voucher()
    api.must("POST", "/v1/publications", {"voucher": code, "customer": {"source_id": "ada"}})
    ten = tier(server, sale(server).id, "Ten", 10)
    wanted = {
        "scenario": scenario,
        "customer": {"source_id": "ada"},
        "order": {"items": [{"product_id": tee["id"], "quantity": 2}]},
        "options": {"limit": 10, "expand": ["redeemable", "category", "validation_rules"]},
    }
    answer = voucherify.QualificationsApi(server).check_eligibility(
        sent(models.QualificationsCheckEligibilityRequestBody, wanted)
    )
    offered = {one.id for one in answer.redeemables.data}
    expected = {
        "ALL": {code, ten.id},
        "CUSTOMER_WALLET": {code},
        "AUDIENCE_ONLY": {code, ten.id},
        "PRODUCTS": set(),
        "PRODUCTS_DISCOUNT": set(),
        "PROMOTION_STACKS": set(),
        "PRODUCTS_BY_CUSTOMER": set(),
        "PRODUCTS_DISCOUNT_BY_CUSTOMER": set(),
    }
    assert offered == expected[scenario]


def test_a_browser(server: voucherify.ApiClient, browser: voucherify.ApiClient, api: Api) -> None:
    shop = voucherify.ClientSideApi(browser)
    ten = tier(server, sale(server).id, "Ten", 10)
    code = api.voucher()
    offered = shop.check_eligibility_client_side(
        sent(
            models.ClientQualificationsCheckEligibilityRequestBody,
            {"scenario": "ALL", "order": {"amount": 5000}, "customer": {"source_id": "ada"}},
        ),
        _headers={"origin": ORIGIN},
    )
    assert {one.id for one in offered.redeemables.data} == {ten.id, code}
    validated = shop.validate_stacked_discounts_client_side(
        ORIGIN,
        sent(models.ClientValidationsValidateRequestBody, asked("promotion_tier", ten.id)),
    )
    assert (validated.valid, validated.order.total_amount) == (True, 9000)
    redeemed = shop.redeem_stacked_discounts_client_side(
        ORIGIN, sent(models.ClientRedemptionsRedeemRequestBody, asked("voucher", code))
    )
    assert redeemed.redemptions[0].result == "SUCCESS"
    event = sent(
        models.ClientEventsCreateRequestBody,
        {"event": "cart_seen", "customer": {"source_id": "ada"}},
    )
    assert shop.track_custom_event_client_side(ORIGIN, event).type == "cart_seen"
    assert [one.id for one in shop.list_promotion_tiers_client_side(ORIGIN).tiers] == [ten.id]


def test_a_project_is_made_changed_and_deleted(operator: voucherify.ApiClient) -> None:
    management = voucherify.ManagementApi(operator)
    made = management.create_project(
        sent(
            models.ManagementProjectsCreateRequestBody,
            {"name": unique("Shop"), "timezone": "Europe/Warsaw", "currency": "PLN"},
        )
    )
    changed = management.update_project(
        made.id, sent(models.ManagementProjectsUpdateRequestBody, {"currency": "EUR"})
    )
    assert (changed.id, changed.currency, changed.timezone) == (made.id, "EUR", "Europe/Warsaw")
    assert management.get_project(made.id).currency == "EUR"
    management.delete_project(made.id)
    with pytest.raises(voucherify.exceptions.NotFoundException):
        management.get_project(made.id)


@pytest.mark.parametrize(
    ("word", "discount", "scope"),
    [
        (
            "REPLACE_ITEMS",
            {"type": "UNIT", "unit_off": 1, "unit_type": "{mug}", "effect": "REPLACE_ITEMS"},
            {},
        ),
        (
            "price_formula",
            {"type": "FIXED", "fixed_amount": 500, "effect": "APPLY_TO_ITEMS"},
            {"price": 500, "price_formula": "ORDER_AMOUNT / 10"},
        ),
    ],
)
def test_what_the_client_cannot_read_it_can_redeem(
    server: voucherify.ApiClient,
    api: Api,
    word: str,
    discount: dict[str, Any],
    scope: dict[str, Any],
) -> None:
    """docs/pricing.md, *The official clients*: when this fails, the client has learnt it."""
    tee, mug = (
        api.must("POST", "/v1/products", {"name": one, "source_id": one, "price": 2000})["id"]
        for one in ("Tee", "Mug")
    )
    given = {
        name: value.format(mug=mug) if isinstance(value, str) else value
        for name, value in discount.items()
    }
    included = [{"object": "product", "id": tee, **scope}]
    made = api.must(
        "POST",
        "/v1/validation-rules",
        {"name": unique("R"), "applicable_to": {"included": included}},
    )
    code = api.voucher(discount=given, validation_rules=[made["id"]])
    body = asked("voucher", code)
    body["order"] = {"source_id": unique("order"), "items": [{"product_id": tee, "quantity": 1}]}
    wanted = sent(models.RedemptionsRedeemRequestBody, body)
    with pytest.raises(ValueError, match=word):
        redeem_and_read_the_rule(server, wanted, made["id"])
    [redeemed] = api.must("GET", "/v1/redemptions")["redemptions"]
    assert redeemed["result"] == "SUCCESS"


def redeem_and_read_the_rule(server: voucherify.ApiClient, wanted: Any, rule_id: str) -> None:
    voucherify.RedemptionsApi(server).redeem_stacked_discounts(wanted)
    voucherify.ValidationRulesApi(server).get_validation_rule(rule_id)
