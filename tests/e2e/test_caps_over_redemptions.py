"""Caps that count over all redemptions, by campaign, customer and tier (behaviours.md 5)."""

import asyncio
import uuid
from typing import Any, NamedTuple

import pytest

from tests.system import Api, Json, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

CAP = 3
OFF = 100
PRICE = 2000
PURCHASES = (("one", "ada"), ("one", "ben"), ("two", "ada"), ("one", "ada"))
"""Tier and customer; everybody buys two of the product, and one of another of its collection."""


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


class Sale(NamedTuple):
    """Two tiers of one campaign with a cap on the same products."""

    api: Api
    tiers: dict[str, str]
    products: tuple[str, str]

    def order(self, tier: str, customer: str, *quantities: int) -> Json:
        lines = [
            {"product_id": one, "quantity": quantity, "price": PRICE}
            for one, quantity in zip(self.products, quantities, strict=False)
        ]
        return {
            "redeemables": [{"object": "promotion_tier", "id": self.tiers[tier]}],
            "customer": {"source_id": customer},
            "order": {"source_id": unique("order"), "items": lines},
        }

    def buy(self, tier: str, customer: str, *quantities: int, gets: tuple[int, ...]) -> str:
        """Redeem, and check how many units of each line are discounted; returns the redemption."""
        wanted = self.order(tier, customer, *quantities)

        def is_shown() -> bool:
            # What another customer took a moment ago, by another tier, is seen with the next events.
            return units(self.api.must("POST", "/v1/validations", wanted)) == gets

        wait_until(is_shown, f"a validation that shows {gets}")
        redeemed = self.api.must("POST", "/v1/redemptions", wanted)
        assert units(redeemed) == gets
        return str(redeemed["redemptions"][0]["id"])


def units(answer: Json) -> tuple[int, ...]:
    return tuple(one.get("discount_amount", 0) // OFF for one in answer["order"]["items"])


def sale(api: Api, cap: str) -> Sale:
    made = [
        api.must("POST", "/v1/products", {"name": name, "source_id": unique(name), "price": PRICE})
        for name in ("Tee", "Mug")
    ]
    products = (made[0]["id"], made[1]["id"])
    named: Json = {"object": "product", "id": products[0]}
    if "in_collection" in cap:
        listed = [{"object": "product", "id": one} for one in products]
        body = {"type": "STATIC", "name": unique("All"), "products": listed}
        collection = api.must("POST", "/v1/product-collections", body)
        named = {"object": "products_collection", "id": collection["id"]}
    scope = {"included": [{**named, cap: CAP}]}
    rule = api.must("POST", "/v1/validation-rules", {"name": unique("Cap"), "applicable_to": scope})
    campaign = api.must(
        "POST", "/v1/campaigns", {"name": unique("Sale"), "campaign_type": "PROMOTION"}
    )
    discount = {"type": "AMOUNT", "amount_off": OFF, "effect": "APPLY_TO_ITEMS_BY_QUANTITY"}
    tiers = {}
    for name in ("one", "two"):
        body = {
            "name": name,
            "action": {"discount": discount},
            "validation_rules": [rule["id"]],
        }
        tiers[name] = api.must("POST", f"/v1/promotions/{campaign['id']}/tiers", body)["id"]
    return Sale(api, tiers, products)


@pytest.mark.parametrize(
    ("cap", "discounted"),
    [
        ("product_campaign_quantity_limit", [(2, 0), (1, 0), (0, 0), (0, 0)]),
        ("product_customer_campaign_quantity_limit", [(2, 0), (2, 0), (1, 0), (0, 0)]),
        ("product_promotion_tier_quantity_limit", [(2, 0), (1, 0), (2, 0), (0, 0)]),
        ("product_customer_promotion_tier_quantity_limit", [(2, 0), (2, 0), (2, 0), (1, 0)]),
        ("product_in_collection_campaign_quantity_limit", [(2, 1), (1, 1), (0, 1), (0, 0)]),
        (
            "product_in_collection_customer_campaign_quantity_limit",
            [(2, 1), (2, 1), (1, 1), (0, 1)],
        ),
        ("product_in_collection_promotion_tier_quantity_limit", [(2, 1), (1, 1), (2, 1), (0, 1)]),
        (
            "product_in_collection_customer_promotion_tier_quantity_limit",
            [(2, 1), (2, 1), (2, 1), (1, 1)],
        ),
    ],
)
def test_a_cap_counts_for_whom_and_where_it_says(
    api: Api, cap: str, discounted: list[tuple[int, int]]
) -> None:
    made = sale(api, cap)
    bought = [
        made.buy(tier, customer, 2, 1, gets=gets)
        for (tier, customer), gets in zip(PURCHASES, discounted, strict=True)
    ]
    api.must("POST", f"/v1/redemptions/{bought[0]}/rollback", {"reason": "returned"})
    made.buy("one", "ada", 2, gets=(2,))


@pytest.mark.parametrize(
    "cap", ["product_customer_campaign_quantity_limit", "product_promotion_tier_quantity_limit"]
)
def test_buyers_at_once_get_no_more_than_the_cap(api: Api, cap: str) -> None:
    made = sale(api, cap)
    wanted = [made.order("one", "ada", 1) for _ in range(8)]
    requests: list[tuple[str, str, Any, str]] = [
        ("POST", "/v1/redemptions", body, unique("key")) for body in wanted
    ]
    answers = asyncio.run(api.at_once(requests, retries=20))
    assert [one.status for one in answers] == [200] * len(answers), answers
    assert sum(units(one.json)[0] for one in answers) == CAP


def test_a_cap_for_each_customer_needs_a_customer(api: Api) -> None:
    made = sale(api, "product_customer_promotion_tier_quantity_limit")
    wanted = made.order("one", "ada", 2)
    del wanted["customer"]
    refused = api.call("POST", "/v1/redemptions", wanted)
    assert (refused.status, refused.key) == (400, "missing_customer")
    made.buy("one", "ada", 2, gets=(2,))
