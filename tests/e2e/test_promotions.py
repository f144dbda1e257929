"""Promotions on a running system: tiers, stacks, categories, stacking rules, and the calls of before."""

import uuid
from typing import Any

import httpx
import pytest

from tests.system import Api, System, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def percent(off: int) -> dict[str, Any]:
    discount = {"type": "PERCENT", "percent_off": off, "effect": "APPLY_TO_ORDER"}
    return {"discount": discount}


def amount(off: int) -> dict[str, Any]:
    return {"discount": {"type": "AMOUNT", "amount_off": off, "effect": "APPLY_TO_ORDER"}}


def request(*redeemables: tuple[str, str], total: int = 10_000, **more: Any) -> dict[str, Any]:
    return {
        "redeemables": [{"object": kind, "id": name} for kind, name in redeemables],
        "customer": {"source_id": unique("c")},
        "order": {"source_id": unique("o"), "amount": total},
        **more,
    }


def promotion(api: Api, **body: Any) -> dict[str, Any]:
    definition = {"name": unique("Sale"), "campaign_type": "PROMOTION", **body}
    return api.must("POST", "/v1/campaigns", definition)


def tier(api: Api, campaign: dict[str, Any], action: dict[str, Any], **body: Any) -> Any:
    path = f"/v1/promotions/{campaign['id']}/tiers"
    return api.must("POST", path, {"name": unique("Tier"), "action": action, **body})


def test_a_tier_lives(api: Api, system: System) -> None:
    made = promotion(
        api,
        promotion={"tiers": [{"name": "Ten", "banner": "10 %", "action": percent(10)}]},
    )
    first = made["promotion"]["tiers"][0]
    assert (made["campaign_type"], first["name"], first["hierarchy"]) == ("PROMOTION", "Ten", 1)
    second = tier(api, made, amount(500), metadata={"shelf": "front"})
    assert (second["hierarchy"], second["campaign"]["id"]) == (2, made["id"])
    path = f"/v1/promotions/tiers/{second['id']}"
    changed = api.must("PUT", path, {"banner": "Five off", "hierarchy": 0})
    assert (changed["banner"], changed["hierarchy"], changed["active"]) == ("Five off", 0, True)
    listed = api.must("GET", f"/v1/promotions/{made['name']}/tiers")
    assert [one["id"] for one in listed["tiers"]] == [second["id"], first["id"]]
    assert api.must("POST", f"{path}/disable")["active"] is False
    assert api.must("GET", "/v1/promotions/tiers?is_available=true")["total"] == 1
    assert api.must("GET", "/v1/promotions/tiers?is_available=false")["total"] == 1
    refused = api.must("POST", "/v1/validations", request(("promotion_tier", second["id"])))
    error = refused["redeemables"][0]["result"]["error"]
    assert (refused["valid"], error["key"]) == (False, "promotion_inactive")
    assert api.must("POST", f"{path}/enable")["active"] is True
    assert api.must("GET", path)["summary"]["redemptions"]["total_redeemed"] == 0
    other = system.project()
    assert other.call("GET", path).status == 404
    assert other.call("PUT", path, {"banner": "x"}).status == 404
    assert api.call("DELETE", path).status == 204
    assert api.call("GET", path).status == 404


def test_a_tier_is_redeemed_and_given_back(api: Api) -> None:
    made = promotion(api)
    ten = tier(api, made, percent(10))
    body = request(("promotion_tier", ten["id"]))
    assert api.must("POST", "/v1/validations", body)["order"]["total_amount"] == 9000
    done = api.must("POST", "/v1/redemptions", body)
    [redemption] = done["redemptions"]
    assert redemption["related_object_type"] == "promotion_tier"
    assert redemption["promotion_tier"]["id"] == ten["id"]
    assert done["order"]["total_discount_amount"] == 1000
    stored = api.must("GET", f"/v1/orders/{body['order']['source_id']}")
    assert (stored["status"], stored["total_amount"]) == ("PAID", 9000)
    summary = api.must("GET", f"/v1/promotions/tiers/{ten['id']}")["summary"]
    assert summary["redemptions"]["total_redeemed"] == 1
    assert summary["orders"] == {"total_amount": 10_000, "total_discount_amount": 1000}
    read = api.must("GET", f"/v1/redemptions/{redemption['id']}")
    assert read["promotion_tier"]["name"] == ten["name"]
    back = api.must("POST", f"/v1/redemptions/{redemption['id']}/rollback")
    assert back["promotion_tier"]["id"] == ten["id"]
    summary = api.must("GET", f"/v1/promotions/tiers/{ten['id']}")["summary"]
    assert summary["redemptions"]["total_redeemed"] == 0
    assert api.must("GET", f"/v1/campaigns/{made['id']}/summary")["redemptions_succeeded"] == 1


def test_a_rule_of_a_tier_limits_it(api: Api) -> None:
    made = promotion(api)
    rule = api.must(
        "POST",
        "/v1/validation-rules",
        {
            "name": "Once each",
            "rules": {
                "1": {
                    "name": "redemption.count.per_customer",
                    "conditions": {"$less_than_or_equal": [1]},
                },
                "logic": "1",
            },
        },
    )
    once = tier(api, made, percent(10), validation_rules=[rule["id"]])
    assert once["validation_rule_assignments"]["total"] == 1
    body = request(("promotion_tier", once["id"]))
    api.must("POST", "/v1/redemptions", body)
    again = {**body, "order": {"source_id": unique("o"), "amount": 10_000}}
    refused = api.call("POST", "/v1/redemptions", again)
    assert (refused.status, refused.key) == (400, "redemption_rules_violated")
    assert "Promotion Tier" in refused.json["details"]


def test_a_stack_is_redeemed_whole_and_alone(api: Api) -> None:
    made = promotion(api)
    five, ten = tier(api, made, amount(500)), tier(api, made, percent(10))
    body = {"name": "Both", "tiers": {"ids": [five["id"], ten["id"]], "hierarchy_mode": "MANUAL"}}
    stack = api.must("POST", f"/v1/promotions/{made['id']}/stacks", body)
    path = f"/v1/promotions/{made['id']}/stacks/{stack['id']}"
    assert api.must("GET", path)["tiers"]["ids"] == [five["id"], ten["id"]]
    mixed = request(("promotion_stack", stack["id"]), ("promotion_tier", ten["id"]))
    refused = api.call("POST", "/v1/validations", mixed)
    assert (refused.status, refused.key) == (400, "invalid_redeemables")
    done = api.must("POST", "/v1/redemptions", request(("promotion_stack", stack["id"])))
    assert [one["related_object_id"] for one in done["redemptions"]] == [five["id"], ten["id"]]
    assert done["order"]["total_discount_amount"] == 1450
    kept = api.call("DELETE", f"/v1/promotions/tiers/{five['id']}")
    assert (kept.status, kept.key) == (400, "resource_in_use")
    changed = api.must("PUT", path, {"name": "One", "tiers": {"ids": [ten["id"]]}})
    assert (changed["name"], changed["tiers"]["ids"]) == ("One", [ten["id"]])
    assert api.must("GET", "/v1/promotions/stacks")["total"] == 1
    assert api.must("GET", f"/v1/promotions/{made['name']}/stacks")["total"] == 1
    assert api.call("DELETE", f"/v1/promotions/tiers/{five['id']}").status == 204
    assert api.call("DELETE", path).status == 204
    assert api.call("GET", path).status == 404


def test_categories_and_stacking_rules_sort_what_is_applied(api: Api, system: System) -> None:
    management = system.management()
    rules = f"/management/v1/projects/{api.project_id}/stacking-rules"
    assert management.must("GET", rules)["total"] == 0
    late = api.must("POST", "/v1/categories", {"name": "Late", "hierarchy": 9})
    assert api.call("POST", "/v1/categories", {"name": "Late", "hierarchy": 1}).status == 409
    renamed = api.must("PUT", f"/v1/categories/{late['id']}", {"name": "Last", "hierarchy": 9})
    assert renamed["name"] == "Last"
    five = api.voucher(category_id=late["id"])
    assert api.must("GET", f"/v1/vouchers/{five}")["categories"][0]["name"] == "Last"
    ten = api.voucher(discount=percent(10)["discount"])
    body = request(("voucher", five), ("voucher", ten), options={"expand": ["category"]})
    plain = api.must("POST", "/v1/validations", body)
    assert [one["id"] for one in plain["redeemables"]] == [five, ten]
    unknown = {"exclusive_categories": ["cat_nope"]}
    assert management.call("POST", rules, unknown).status == 404
    sent = {"redeemables_sorting_rule": "CATEGORY_HIERARCHY", "joint_categories": [late["id"]]}
    made = management.must("POST", rules, sent)
    assert made["redeemables_limit"] == 30
    again = management.call("POST", rules, sent)
    assert (again.status, again.key) == (409, "stacking_rules_exist")
    sorted_ = api.must("POST", "/v1/validations", body)
    assert [one["id"] for one in sorted_["redeemables"]] == [ten, five]
    assert sorted_["redeemables"][1]["categories"][0]["stacking_rules_type"] == "JOINT"
    assert sorted_["stacking_rules"]["joint_categories"] == [late["id"]]
    kept = api.call("DELETE", f"/v1/categories/{late['id']}")
    assert (kept.status, kept.key) == (400, "resource_in_use")
    forced = f"/v1/categories/{late['id']}?remove_from_stacking_rules=true"
    assert api.call("DELETE", forced).status == 204
    assert management.must("GET", f"{rules}/{made['id']}")["joint_categories"] == []
    wrong = management.call("PUT", f"{rules}/{made['id']}", {"redeemables_limit": 31})
    assert (wrong.status, wrong.key) == (400, "invalid_payload")
    changed = management.must("PUT", f"{rules}/{made['id']}", {"applicable_redeemables_limit": 1})
    assert changed["redeemables_sorting_rule"] == "CATEGORY_HIERARCHY"
    limited = api.must("POST", "/v1/validations", body)
    assert limited["skipped_redeemables"][0]["result"]["details"]["key"] == (
        "applicable_redeemables_limit_exceeded"
    )
    other = system.project()
    assert management.must("GET", rules.replace(api.project_id, other.project_id))["total"] == 0
    assert management.call("DELETE", f"{rules}/{made['id']}").status == 204
    assert management.must("GET", rules)["total"] == 0
    assert "skipped_redeemables" not in api.must("POST", "/v1/validations", body)


def test_the_best_deal_is_found_and_redeemed(api: Api, system: System) -> None:
    management = system.management()
    rules = f"/management/v1/projects/{api.project_id}/stacking-rules"
    with httpx.Client(base_url=management.url, headers=management.headers, timeout=60) as client:
        # BEST_DEAL is ours: the official client's models do not know it.
        made = client.post(rules, json={"redeemables_sorting_rule": "BEST_DEAL"})
    assert (made.status_code, made.json()["redeemables_sorting_rule"]) == (200, "BEST_DEAL")
    five = api.voucher(discount=amount(500)["discount"])
    ten = api.voucher(discount=percent(10)["discount"])
    body = request(("voucher", five), ("voucher", ten))
    priced = api.must("POST", "/v1/validations", body)
    assert priced["order"]["total_discount_amount"] == 1500
    assert priced["stacking_rules"]["best_deal_search"] == "EXACT"
    assert priced["stacking_rules"]["redeemables_sorting_rule"] == "REQUESTED_ORDER"
    done = api.must("POST", "/v1/redemptions", body)
    assert [one["voucher"]["code"] for one in done["redemptions"]] == [ten, five]
    assert done["order"]["total_discount_amount"] == 1500


def test_a_rollback_leaves_the_order_where_the_project_says_so(api: Api, system: System) -> None:
    rules = f"/management/v1/projects/{api.project_id}/stacking-rules"
    sent = {"redeemables_rollback_order_mode": "WITHOUT_ORDER"}
    system.management().must("POST", rules, sent)
    ten = tier(api, promotion(api), percent(10))
    body = request(("promotion_tier", ten["id"]))
    done = api.must("POST", "/v1/redemptions", body)
    api.must("POST", f"/v1/redemptions/{done['redemptions'][0]['id']}/rollback")
    stored = api.must("GET", f"/v1/orders/{body['order']['source_id']}")
    assert (stored["status"], stored["total_amount"]) == ("PAID", 9000)


def test_the_calls_of_before_stacks_still_answer(api: Api) -> None:
    code = api.voucher(quantity=1)
    order = {"amount": 2000}
    priced = api.must("POST", f"/v1/vouchers/{code}/validate", {"order": order})
    assert (priced["valid"], priced["code"], priced["order"]["total_amount"]) == (True, code, 1900)
    assert priced["discount"]["amount_off"] == 100
    done = api.must("POST", f"/v1/vouchers/{code}/redemption", {"order": order})
    assert (done["result"], done["voucher"]["redemption"]["redeemed_quantity"]) == ("SUCCESS", 1)
    refused = api.call("POST", f"/v1/vouchers/{code}/redemption", {"order": order})
    assert (refused.status, refused.key) == (400, "quantity_exceeded")
    invalid = api.must("POST", f"/v1/vouchers/{code}/validate", {"order": order})
    assert (invalid["valid"], invalid["reason"]) == (False, "quantity exceeded")
    assert api.call("POST", "/v1/vouchers/NOPE/validate", {}).status == 404
    card = unique("CARD")
    api.must("POST", f"/v1/vouchers/{card}", {"type": "GIFT_VOUCHER", "gift": {"amount": 5000}})
    paid = api.must(
        "POST", f"/v1/vouchers/{card}/redemption", {"order": order, "gift": {"credits": 300}}
    )
    assert paid["amount"] == 300
    shown = api.must(
        "POST", f"/v1/vouchers/{card}/validate", {"order": order, "gift": {"credits": 5}}
    )
    assert shown["gift"]["balance"] == 4700


def test_promotions_are_found_and_redeemed_as_before_stacks(api: Api) -> None:
    made = promotion(api)
    five, ten = tier(api, made, amount(500)), tier(api, made, percent(10))
    api.must("POST", f"/v1/promotions/tiers/{tier(api, made, amount(1))['id']}/disable")
    found = api.must("POST", "/v1/promotions/validation", {"order": {"amount": 2000}})
    assert found["valid"] is True
    assert [one["id"] for one in found["promotions"]] == [five["id"], ten["id"]]
    assert [one["order"]["total_amount"] for one in found["promotions"]] == [1500, 1800]
    rich = {"1": {"name": "order.amount", "conditions": {"$more_than": [50_000]}}}
    rule = api.must("POST", "/v1/validation-rules", {"name": unique("Rich"), "rules": rich})["id"]
    dear = tier(api, made, percent(50), validation_rules=[rule])
    path = "/v1/promotions/validation"
    assert len(api.must("POST", path, {"order": {"amount": 2000}})["promotions"]) == 2
    audience = api.must("POST", f"{path}?audienceRulesOnly=true", {"order": {"amount": 2000}})
    assert [one["id"] for one in audience["promotions"]] == [five["id"], ten["id"], dear["id"]]
    one = api.must(
        "POST", f"/v1/promotions/tiers/{ten['id']}/validation", {"order": {"amount": 2000}}
    )
    assert (one["valid"], one["discount_amount"]) == (True, 200)
    done = api.must(
        "POST", f"/v1/promotions/tiers/{ten['id']}/redemption", {"order": {"amount": 2000}}
    )
    assert (done["related_object_id"], done["order"]["total_amount"]) == (ten["id"], 1800)
    assert api.call("POST", "/v1/promotions/tiers/promo_nope/validation", {}).status == 404


def test_client_side_calls(api: Api) -> None:
    key = api.made["client_side_key"]
    headers = {
        "X-Client-Application-Id": key["app_id"],
        "X-Client-Token": key["app_token"],
        "Origin": "https://shop.example",
    }
    client = Api(api.url, headers, api.project_id)
    event = client.must(
        "POST", "/client/v1/events", {"event": "cart_seen", "customer": {"source_id": "ann"}}
    )
    assert (event["type"], event["customer"]["source_id"]) == ("cart_seen", "ann")
    published = {"customer": {"source_id": "ann"}, "voucher": api.voucher()}
    assert client.call("POST", "/client/v1/publish", published).status == 403, "not allowed yet"
    offered = client.must("POST", "/client/v1/qualifications", {"order": {"amount": 2000}})
    assert [one["id"] for one in offered["redeemables"]["data"]] == [published["voucher"]]
    tier(api, promotion(api), percent(10))
    wait_until(
        lambda: client.must("GET", "/client/v1/promotions/tiers")["total"] == 1,
        "the tier is listed",
    )
    code = api.voucher()
    query = f"code={code}&amount=2000&metadata[shop]=web&customer[source_id]={unique('c')}"
    assert client.must("GET", f"/client/v1/validate?{query}")["order"]["total_amount"] == 1900
    items = f"code={code}&item[0][product_id]=prod_x&item[0][quantity]=2&item[0][price]=400"
    assert client.must("GET", f"/client/v1/validate?{items}")["order"]["amount"] == 800
    assert client.call("GET", "/client/v1/validate?amount=5").status == 400
    assert client.call("GET", f"/client/v1/validate?code={code}&amount=x").status == 400
    done = client.must("POST", f"/client/v1/redeem?code={code}", {"order": {"amount": 2000}})
    assert done["result"] == "SUCCESS"
