"""What bodies may hold: every property of the published document, or the reason why it is left out."""

import pytest

from gateway.http import OPERATIONS, Operation
from tests.support.openapi import DOCUMENT, WITHOUT_MODEL, covered, model_of

OWN_OPERATIONS = {
    # Distributions are made in the dashboard there; here they have an API of their own.
    "GET /v1/distributions",
    "POST /v1/distributions",
    "GET /v1/distributions/{distributionId}",
    "PUT /v1/distributions/{distributionId}",
    # The older address of a SKU, which clients still ask.
    "GET /v1/products/{productId}/skus/{skuId}",
    # What became of webhooks is shown in the dashboard only there.
    "GET /v1/webhook-deliveries",
    "POST /v1/webhook-deliveries/{deliveryId}/resend",
    # A leaked secret has to be replaced without losing what is sent meanwhile.
    "POST /management/v1/projects/{projectId}/webhooks/{webhookId}/rotate-secret",
}
LEFT_OUT: dict[str, dict[str, str]] = {
    "PUT /v1/vouchers/{code}": {"type": "what a code is does not change; its discount may"},
    "PUT /v1/campaigns/{campaignId}": {
        "options": "says whether loyalty tiers are computed anew; there are no loyalty campaigns yet"
    },
}
"""Properties of the published body that are ignored, each with its reason."""

OVERRIDES = {
    "active": "a code may be added switched off",
    "category_id": "the same as category, by id",
    "discount": "a code may differ from its campaign's template",
    "gift": "a code may differ from its campaign's template",
}
SYSTEM_METADATA = {"system_metadata": "customers show it, so they take it"}
SAME_NAME = {"source_id": "may be sent, but must not change: that is said, not ignored"}
PROJECT = {
    "rate_per_minute": "how many requests a minute a project may send is set here",
    "first_day_of_week": "weekly counts are the merchant's; projects show it as published",
}
TRACKED = {"tracking_id": "whom an earlier answer named by this id"}
ONE_OF_MANY = {
    **TRACKED,
    "session": "a use can be held for a while, as in the operations with a list of redeemables",
}
ONE_TIER = {**ONE_OF_MANY, "options": "answers can be expanded, as with a list of redeemables"}
TIER_RULES = {"validation_rules": "tiers show them, so they take them"}
BY_NAME = {"category": "the same as category_id, by name"}
GROUPED = {"grouped_redeemables_sorting_rule": "the rules that are shown have it, so they take it"}
SAME_CODES = {"case_sensitive_codes": "may be sent, but must not change: said, not ignored"}
SHORT = "the older form of the same body, which clients still send"
OWN: dict[str, dict[str, str]] = {
    "POST /v1/campaigns/{campaignId}/vouchers": OVERRIDES,
    "POST /v1/campaigns/{campaignId}/vouchers/{code}": OVERRIDES,
    "POST /v1/customers": SYSTEM_METADATA,
    "PUT /v1/customers/{customerId}": {**SYSTEM_METADATA, **SAME_NAME},
    "PUT /v1/products/{productId}": SAME_NAME,
    "PUT /v1/products/{productId}/skus/{skuId}": SAME_NAME,
    "POST /management/v1/projects": PROJECT,
    "PUT /management/v1/projects/{projectId}": {**PROJECT, **SAME_CODES},
    "POST /management/v1/projects/{projectId}/stacking-rules": GROUPED,
    "PUT /management/v1/projects/{projectId}/stacking-rules/{stackingRulesId}": GROUPED,
    "PUT /v1/product-collections/{productCollectionId}": {
        "products": "collections show their products, so they take them"
    },
    "POST /v1/promotions/{campaignId}/stacks": BY_NAME,
    "PUT /v1/promotions/{campaignId}/stacks/{stackId}": BY_NAME,
    "POST /v1/promotions/{campaignId}/tiers": TIER_RULES,
    "PUT /v1/promotions/tiers/{promotionTierId}": {
        **TIER_RULES,
        "active": "a tier may be switched off here too",
    },
    "POST /v1/vouchers/{code}/redemption": TRACKED,
    "POST /client/v1/redeem": TRACKED,
    "POST /v1/promotions/validation": TRACKED,
    "POST /v1/promotions/tiers/{promotionTierId}/validation": ONE_TIER,
    "POST /v1/promotions/tiers/{promotionTierId}/redemption": ONE_TIER,
    "POST /v1/validation-rules/{validationRuleId}/assignments": dict.fromkeys(
        (
            "campaign",
            "voucher",
            "promotion_tier",
            "earning_rule",
            "reward_assignment",
            "distribution",
        ),
        SHORT,
    ),
}
"""Properties that the published body does not have, each with its reason."""


def published() -> list[Operation]:
    return [one for one in OPERATIONS if one.name not in OWN_OPERATIONS]


def test_every_operation_is_published_or_known_to_be_our_own() -> None:
    names = {one.name for one in OPERATIONS}
    assert names - DOCUMENT["requests"].keys() == OWN_OPERATIONS, (
        "an operation is not in tests/support/openapi.json.gz: run tests/support/extract.py"
    )


@pytest.mark.parametrize("one", published(), ids=lambda one: one.name)
def test_a_body_has_the_published_properties(one: Operation) -> None:
    properties = set(DOCUMENT["requests"][one.name])
    assert properties - one.fields.keys() == LEFT_OUT.get(one.name, {}).keys(), "left out"
    assert one.fields.keys() - properties == OWN.get(one.name, {}).keys(), "our own"


def test_the_lists_of_exceptions_name_operations_that_exist() -> None:
    assert LEFT_OUT.keys() | OWN.keys() | OWN_OPERATIONS <= {one.name for one in OPERATIONS}


def test_every_answer_is_read_by_the_official_client_or_known_not_to_be() -> None:
    assert {key for key in covered() if model_of(key) is None} == WITHOUT_MODEL
