"""A merchant writes rules about products and collections, mends them and takes them away again."""

import uuid
from typing import Any

import pytest

from tests.system import Api, cart, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ASSIGNMENTS = "/v1/validation-rules/{}/assignments"


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def rule(api: Api, rules: dict[str, Any], **more: Any) -> Any:
    return api.must(
        "POST", "/v1/validation-rules", {"name": unique("Rule"), "rules": rules, **more}
    )


def guarded(api: Api, rules: dict[str, Any], **more: Any) -> tuple[str, Any, Any]:
    """Return a code, the rule that is assigned to it, and the assignment."""
    code, made = api.voucher(), rule(api, rules, **more)
    assigned = api.must("POST", ASSIGNMENTS.format(made["id"]), {"voucher": code})
    return code, made, assigned


def order(code: str, *items: dict[str, Any], customer: str = "") -> dict[str, Any]:
    asked = cart(code, customer=customer)
    return {**asked, "order": {"items": list(items)}}


def validated(api: Api, asked: dict[str, Any]) -> Any:
    return api.must("POST", "/v1/validations", asked)


def reason(answer: Any) -> Any:
    return answer["redeemables"][0]["result"]["error"]


def test_a_rule_is_changed_unassigned_and_deleted(api: Api) -> None:
    amount = {"1": {"name": "order.amount", "conditions": {"$more_than": [5000]}}}
    code, made, assigned = guarded(api, amount, error={"message": "Spend 50"})
    answer = validated(api, cart(code, amount=2000))
    assert (answer["valid"], reason(answer)["error"]) == (False, {"message": "Spend 50"})

    path = f"/v1/validation-rules/{made['id']}"
    lower = {"1": {"name": "order.amount", "conditions": {"$more_than": [1000]}}}
    changed = api.must("PUT", path, {"rules": lower})
    assert changed["error"] == {"message": "Spend 50"}
    assert changed["assignments_count"] == 1
    assert changed["updated_at"] > made["created_at"]
    assert validated(api, cart(code, amount=2000))["valid"] is True

    refused = api.call("PUT", path, {"rules": {"1": {"name": "order.colour"}}})
    assert (refused.status, refused.json["key"]) == (400, "invalid_validation_rules")
    assert "rules.1.name" in refused.json["details"]
    assert api.must("GET", path)["rules"]["1"] == {**changed["rules"]["1"]}

    used = api.call("DELETE", path)
    assert (used.status, used.json["key"]) == (400, "resource_in_use")
    assert assigned["id"] in used.json["details"]
    again = api.call("POST", ASSIGNMENTS.format(made["id"]), {"voucher": code})
    assert again.status == 409
    assert api.call("DELETE", f"{path}/assignments/{assigned['id']}").status == 204
    assert api.call("DELETE", f"{path}/assignments/{assigned['id']}").status == 404
    assert api.must("GET", f"{path}/assignments")["total"] == 0
    assert validated(api, cart(code, amount=10))["valid"] is True
    assert api.call("DELETE", path).status == 204
    assert api.call("GET", path).status == 404
    assert api.call("DELETE", path).status == 404
    assert api.call("POST", ASSIGNMENTS.format(made["id"]), {"voucher": code}).status == 404


def test_collections_decide_and_are_not_deleted_while_a_rule_names_them(api: Api) -> None:
    brand, other = unique("brand"), unique("brand")
    shoe = api.must(
        "POST",
        "/v1/products",
        {"source_id": unique("shoe"), "price": 8000, "metadata": {"brand": brand}},
    )
    size = api.must(
        "POST", f"/v1/products/{shoe['id']}/skus", {"source_id": unique("shoe-42"), "price": 8000}
    )
    sock = api.must(
        "POST",
        "/v1/products",
        {"source_id": unique("sock"), "price": 500, "metadata": {"brand": other}},
    )
    branded = {"junction": "and", "metadata.brand": {"conditions": {"$is": [brand]}}}
    dynamic = api.must(
        "POST",
        "/v1/product-collections",
        {"type": "AUTO_UPDATE", "name": "Branded", "filter": branded},
    )
    static = api.must(
        "POST",
        "/v1/product-collections",
        {
            "type": "STATIC",
            "name": "Listed",
            "products": [
                {"id": sock["id"], "object": "product"},
                {"id": size["id"], "object": "sku", "product_id": shoe["id"]},
            ],
        },
    )
    listed = api.must("GET", f"/v1/product-collections/{dynamic['id']}/products")
    assert [one["id"] for one in listed["data"]] == [shoe["id"]]
    listed = api.must("GET", f"/v1/product-collections/{static['id']}/products?order=created_at")
    assert [one["id"] for one in listed["data"]] == [size["id"], sock["id"]]
    assert listed["data"][0]["product"]["id"] == shoe["id"]
    names = api.must("GET", "/v1/product-collections?order=name")
    assert [one["name"] for one in names["data"]][:2] == ["Branded", "Listed"]

    any_branded = {
        "1": {
            "name": "order.items.any",
            "conditions": {"$is": [{"object": "products_collection", "id": dynamic["id"]}]},
        }
    }
    code, made, assigned = guarded(api, any_branded)
    assert validated(api, order(code, {"product_id": shoe["id"]}))["valid"] is True
    assert validated(api, order(code, {"sku_id": size["id"]}))["valid"] is True
    assert validated(api, order(code, {"product_id": sock["id"]}))["valid"] is False
    wider = {**branded, "metadata.brand": {"conditions": {"$is": [brand, other]}}}
    changed = api.must("PUT", f"/v1/product-collections/{dynamic['id']}", {"filter": wider})
    assert changed["filter"] == wider
    assert validated(api, order(code, {"product_id": sock["id"]}))["valid"] is True

    path = f"/v1/product-collections/{dynamic['id']}"
    used = api.call("DELETE", path)
    assert (used.status, used.json["key"]) == (400, "resource_in_use")
    assert made["id"] in used.json["details"]
    api.call("DELETE", f"/v1/validation-rules/{made['id']}/assignments/{assigned['id']}")
    assert api.call("DELETE", f"/v1/validation-rules/{made['id']}").status == 204
    assert api.call("DELETE", path).status == 204
    assert api.call("GET", path).status == 404
    assert api.call("GET", f"{path}/products").status == 404


def test_products_are_deleted_unless_something_names_them(api: Api) -> None:
    name = unique("mug")
    mug = api.must("POST", "/v1/products", {"source_id": name, "price": 900})
    size = api.must("POST", f"/v1/products/{mug['id']}/skus", {"source_id": unique("mug-s")})
    body = {"type": "STATIC", "name": "Mugs", "products": [{"id": mug["id"], "object": "product"}]}
    mugs = api.must("POST", "/v1/product-collections", body)
    used = api.call("DELETE", f"/v1/products/{name}")
    assert (used.status, used.json["key"]) == (400, "resource_in_use")
    assert mugs["id"] in used.json["details"]
    assert api.call("DELETE", f"/v1/products/{name}/skus/{size['id']}").status == 204
    assert api.must("GET", f"/v1/products/{name}/skus")["total"] == 0
    other = api.must("POST", f"/v1/products/{mug['id']}/skus", {"source_id": unique("mug-l")})
    assert api.call("DELETE", f"/v1/products/{name}?force=true").status == 204
    assert api.call("GET", f"/v1/products/{name}").status == 404
    assert api.call("GET", f"/v1/skus/{other['id']}").status == 404
    assert api.call("DELETE", f"/v1/products/{name}").status == 404
    again = api.must("POST", "/v1/products", {"source_id": name, "price": 1000})
    assert (again["id"], again["price"]) == (mug["id"], 1000)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("redemption.count.per_customer.daily", "redemption_rules_violated"),
        ("campaign.redemptions.customers_count.monthly", "redemption_rules_violated"),
        ("redemption.count.weekly", "redemption_rules_violated"),
        ("redemption.count.per_api_key", "redemption_rules_violated"),
    ],
)
def test_a_count_per_period_is_kept_by_the_ledger(api: Api, name: str, key: str) -> None:
    code, _, _ = guarded(api, {"1": {"name": name, "conditions": {"$less_than_or_equal": [1]}}})
    customer = unique("c")
    assert api.redeem(code, customer=customer).status == 200
    refused = api.redeem(code, customer=customer)
    assert (refused.status, refused.json["key"]) == (400, key)
    answer = validated(api, cart(code, customer=customer))
    assert (answer["valid"], reason(answer)["key"]) == (False, key)
    if ".per_customer" in name or "customers_count" in name:
        assert api.redeem(code, customer=unique("c")).status == 200


def test_only_who_holds_the_code_may_use_it(api: Api) -> None:
    code, _, _ = guarded(api, {"1": {"name": "publication.redeemable_by_linked_customer"}})
    ada = api.must("POST", "/v1/customers", {"source_id": unique("ada")})
    assert validated(api, cart(code, customer=ada["source_id"]))["valid"] is False
    body = {"customer": {"id": ada["id"]}, "voucher": code}
    api.must("POST", "/v1/publications", body)
    assert validated(api, cart(code, customer=ada["source_id"]))["valid"] is True
    assert validated(api, cart(code, customer=unique("bob")))["valid"] is False


def test_a_bundle_must_be_complete(api: Api) -> None:
    cup = api.must("POST", "/v1/products", {"source_id": unique("cup"), "price": 500})
    pot = api.must("POST", "/v1/products", {"source_id": unique("pot"), "price": 2500})

    def part(product: Any, quantity: int) -> dict[str, Any]:
        named = {"id": product["id"], "type": "product_or_sku", "object": "product"}
        inner = {
            "name": "order.items.aggregated_quantity",
            "conditions": {"$more_than_or_equal": [quantity]},
        }
        return {
            "name": "order.items.any",
            "conditions": {"$is": [named]},
            "rules": {"1": inner, "logic": "1"},
        }

    bundle = {"1": part(cup, 4), "2": part(pot, 1), "logic": "1 and 2", "limit": 2}
    code, made, _ = guarded(api, {}, bundle_rules=bundle)
    assert made["bundle_rules"]["limit"] == 2
    cups = {"product_id": cup["id"], "quantity": 4}
    few = validated(api, order(code, cups))
    assert (few["valid"], reason(few)["key"]) == (False, "order_rules_violated")
    assert validated(api, order(code, cups, {"product_id": pot["id"]}))["valid"] is True


def test_members_of_a_segment_that_updates_itself_are_known_at_once(api: Api) -> None:
    tier = unique("tier")
    vips = api.must(
        "POST",
        "/v1/segments",
        {
            "name": "VIPs",
            "type": "auto-update",
            "filter": {"junction": "and", "metadata.tier": {"conditions": {"$is": [tier]}}},
        },
    )
    code, _, _ = guarded(
        api, {"1": {"name": "customer.segment", "conditions": {"$is": [vips["id"]]}}}
    )
    customer = unique("ada")
    api.must("POST", "/v1/customers", {"source_id": customer, "metadata": {"tier": "none"}})
    answer = validated(api, cart(code, customer=customer))
    assert reason(answer)["key"] == "customer_rules_violated"
    api.must("PUT", f"/v1/customers/{customer}", {"metadata": {"tier": tier}})
    assert wait_until(lambda: validated(api, cart(code, customer=customer))["valid"], "VIP")


def test_a_context_is_kept(api: Api) -> None:
    gift_only = rule(api, {}, context_type="voucher.gift_voucher")
    refused = api.call("POST", ASSIGNMENTS.format(gift_only["id"]), {"voucher": api.voucher()})
    assert (refused.status, refused.json["key"]) == (400, "invalid_validation_rules")
    assert "context_type" in refused.json["details"]
    event = {"1": {"name": "custom_event.metadata", "property": "a", "conditions": {"$is": [1]}}}
    misfit = {"name": "Rule", "rules": event, "context_type": "voucher.gift_voucher"}
    assert "rules.1.name" in api.call("POST", "/v1/validation-rules", misfit).json["details"]
