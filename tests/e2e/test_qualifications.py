"""Qualifications on a running system: what a customer is offered, in all eight scenarios."""

import uuid
from typing import Any

import pytest

from tests.system import Api, System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

Json = dict[str, Any]


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def percent(off: int, effect: str = "APPLY_TO_ORDER") -> Json:
    return {"type": "PERCENT", "percent_off": off, "effect": effect}


def rule(api: Api, rules: Json, **more: Any) -> str:
    body = {"name": unique("rule"), "rules": rules, **more}
    return str(api.must("POST", "/v1/validation-rules", body)["id"])


def promotion(api: Api) -> Json:
    return api.must("POST", "/v1/campaigns", {"name": unique("Sale"), "campaign_type": "PROMOTION"})


def tier(api: Api, campaign: Json, off: int, *rules: str, **more: Any) -> str:
    body = {"name": unique("Tier"), "action": {"discount": percent(off)}, **more}
    if rules:
        body["validation_rules"] = list(rules)
    return str(api.must("POST", f"/v1/promotions/{campaign['id']}/tiers", body)["id"])


def ask(api: Api, scenario: str = "ALL", **body: Any) -> Json:
    options = body.pop("options", {})
    body.setdefault("order", {"amount": 10_000})
    sent = {"scenario": scenario, "options": {"limit": 50, **options}, **body}
    return api.must("POST", "/v1/qualifications", sent)


def named(answer: Json) -> list[str]:
    return [one["id"] for one in answer["redeemables"]["data"]]


def test_all_that_applies_is_offered_newest_first_and_alone(api: Api) -> None:
    sale = promotion(api)
    rich = rule(api, {"1": {"name": "order.amount", "conditions": {"$more_than": [50_000]}}})
    ten, twenty = tier(api, sale, 10), tier(api, sale, 20)
    tier(api, sale, 50, rich)
    code = api.voucher()
    off = api.voucher(active=False)
    stack = api.must(
        "POST",
        f"/v1/promotions/{sale['id']}/stacks",
        {"name": "Both", "tiers": {"ids": [ten, twenty]}},
    )["id"]
    answer = ask(api)
    assert named(answer) == [stack, code, twenty, ten]
    assert off not in named(answer)
    assert [one["object"] for one in answer["redeemables"]["data"]] == [
        "promotion_stack", "voucher", "promotion_tier", "promotion_tier",
    ]  # fmt: skip
    totals = [one["order"]["total_amount"] for one in answer["redeemables"]["data"]]
    assert totals == [7200, 9900, 8000, 9000]
    assert answer["order"]["amount"] == 10_000
    assert [one["id"] for one in answer["redeemables"]["data"][0]["redeemables"]] == [ten, twenty]
    assert named(ask(api, order={"amount": 60_000}))[:1] == [stack]
    assert len(named(ask(api, order={"amount": 60_000}))) == 5


def test_a_change_is_offered_at_once(api: Api) -> None:
    sale = promotion(api)
    one = tier(api, sale, 10)
    assert named(ask(api)) == [one]
    api.must("POST", f"/v1/promotions/tiers/{one}/disable")
    assert named(ask(api)) == []
    api.must("POST", f"/v1/promotions/tiers/{one}/enable")
    api.must("PUT", f"/v1/promotions/tiers/{one}", {"action": {"discount": percent(30)}})
    [shown] = ask(api)["redeemables"]["data"]
    assert shown["order"]["total_amount"] == 7000


def test_pages_sorting_and_expansion(api: Api) -> None:
    sale = promotion(api)
    late = rule(api, {"1": {"name": "order.amount", "conditions": {"$more_than": [1]}}})
    tiers = [tier(api, sale, off, late, metadata={"off": off}) for off in (20, 5, 30, 10)]
    first = ask(api, options={"limit": 3})
    assert named(first) == [tiers[3], tiers[2], tiers[1]]
    assert (first["redeemables"]["total"], first["redeemables"]["has_more"]) == (3, True)
    cursor = first["redeemables"]["more_starting_after"]
    rest = ask(api, options={"limit": 3, "starting_after": cursor})
    assert (named(rest), rest["redeemables"]["has_more"]) == ([tiers[0]], False)
    best = ask(api, options={"sorting_rule": "BEST_DEAL", "limit": 2})
    assert named(best) == [tiers[2], tiers[0]]
    assert best["redeemables"]["has_more"] is True
    least = ask(api, options={"sorting_rule": "LEAST_DEAL", "limit": 2})
    assert named(least) == [tiers[1], tiers[3]]
    plain = first["redeemables"]["data"][0]
    assert "metadata" not in plain
    assert "validation_rules_assignments" not in plain
    expanded = ask(
        api, options={"limit": 1, "expand": ["redeemable", "category", "validation_rules"]}
    )
    [shown] = expanded["redeemables"]["data"]
    assert shown["metadata"] == {"off": 10}
    assert [one["rule_id"] for one in shown["validation_rules_assignments"]["data"]] == [late]


def test_filters(api: Api) -> None:
    one, two = promotion(api), promotion(api)
    first, second = tier(api, one, 10), tier(api, two, 10)
    code = api.voucher()

    def filtered(**filters: Any) -> list[str]:
        return named(ask(api, options={"filters": filters}))

    assert filtered(campaign_id={"conditions": {"$is": [one["id"]]}}) == [first]
    assert filtered(resource_type={"conditions": {"$is": ["voucher"]}}) == [code]
    assert filtered(resource_type={"conditions": {"$is_not": ["voucher"]}}) == [second, first]
    assert filtered(code={"conditions": {"$in": [code, "x"]}}) == [code]
    both = {
        "junction": "or",
        "code": {"conditions": {"$is": [code]}},
        "resource_id": {"conditions": {"$is": [first]}},
    }
    assert filtered(**both) == [code, first]
    assert filtered(**{**both, "junction": "and"}) == []
    assert filtered(campaign_type={"conditions": {"$is": ["PROMOTION"]}}) == [second, first]
    assert filtered(voucher_type={"conditions": {"$has_value": True}}) == [code]


def test_the_wallet_has_what_was_published_to_the_customer(api: Api) -> None:
    name = unique("Coupons")
    voucher = {"type": "DISCOUNT_VOUCHER", "discount": percent(10)}
    body = {"name": name, "campaign_type": "DISCOUNT_COUPONS", "voucher": voucher}
    campaign = api.must("POST", "/v1/campaigns", {**body, "vouchers_count": 1})
    anna = {"source_id": unique("anna")}
    published = api.must(
        "POST", "/v1/publications", {"customer": anna, "campaign": {"name": name, "count": 1}}
    )
    code = published["voucher"]["code"]
    other = api.voucher()
    wallet = ask(api, "CUSTOMER_WALLET", customer=anna)
    assert named(wallet) == [code]
    assert wallet["tracking_id"].startswith("track_")
    assert set(named(ask(api, customer=anna))) == {code, other, campaign["id"]}
    stranger = {"source_id": unique("bob")}
    assert named(ask(api, "CUSTOMER_WALLET", customer=stranger)) == []
    assert set(named(ask(api, customer=stranger))) == {other, campaign["id"]}
    owned = {"holder_role": {"conditions": {"$is": ["OWNER"]}}}
    assert named(ask(api, customer=anna, options={"filters": owned})) == [code]
    refused = api.call("POST", "/v1/qualifications", {"scenario": "CUSTOMER_WALLET"})
    assert (refused.status, "customer" in refused.json["details"]) == (400, True)


def test_an_audience_is_asked_about_its_customer_only(api: Api) -> None:
    segment = api.must(
        "POST",
        "/v1/segments",
        {
            "name": unique("Vips"),
            "type": "auto-update",
            "filter": {"metadata.vip": {"conditions": {"$is": [True]}}},
        },
    )["id"]
    vips = rule(
        api,
        {
            "1": {"name": "customer.segment", "conditions": {"$is": [segment]}},
            "2": {"name": "order.amount", "conditions": {"$more_than": [50_000]}},
            "logic": "1 and 2",
        },
    )
    sale = promotion(api)
    special, common = tier(api, sale, 10, vips), tier(api, sale, 5)
    vip = {"source_id": unique("v"), "metadata": {"vip": True}}
    anybody = {"source_id": unique("a"), "metadata": {"vip": False}}
    assert named(ask(api, customer=vip)) == [common]
    assert named(ask(api, "AUDIENCE_ONLY", customer=vip)) == [common, special]
    assert named(ask(api, "AUDIENCE_ONLY", customer=vip, order=None)) == [common, special]
    assert named(ask(api, "AUDIENCE_ONLY", customer=anybody)) == [common]


def test_products(api: Api) -> None:
    shoe, hat = (
        api.must("POST", "/v1/products", {"name": name, "source_id": unique(name), "price": 5000})[
            "id"
        ]
        for name in ("shoe", "hat")
    )
    included = [{"object": "product", "id": shoe, "effect": "APPLY_TO_EVERY"}]
    on_shoes = rule(api, {}, applicable_to={"included": included, "excluded": []})
    with_hat = rule(
        api,
        {
            "1": {
                "name": "order.items.any",
                "conditions": {"$is": [{"object": "product", "id": hat}]},
            }
        },
    )
    sale = promotion(api)
    discounted = tier(api, sale, 10, on_shoes, action={"discount": percent(10, "APPLY_TO_ITEMS")})
    required = tier(api, sale, 5, with_hat)
    tier(api, sale, 1)

    def order(*products: str) -> Json:
        return {"items": [{"product_id": one, "quantity": 1, "price": 5000} for one in products]}

    assert named(ask(api, "PRODUCTS", order=order(shoe))) == [discounted]
    assert named(ask(api, "PRODUCTS", order=order(hat))) == [required]
    assert named(ask(api, "PRODUCTS", order=order(hat, shoe))) == [required, discounted]
    assert named(ask(api, "PRODUCTS_DISCOUNT", order=order(hat, shoe))) == [discounted]
    by_customer = ask(api, "PRODUCTS_BY_CUSTOMER", order=order(hat), customer={"source_id": "x"})
    assert named(by_customer) == [required]
    assert named(ask(api, "PRODUCTS_DISCOUNT_BY_CUSTOMER", order=order(hat))) == []
    refused = api.call("POST", "/v1/qualifications", {"scenario": "PRODUCTS"})
    assert (refused.status, "order" in refused.json["details"]) == (400, True)


def test_stacks_alone(api: Api) -> None:
    sale = promotion(api)
    ten, twenty = tier(api, sale, 10), tier(api, sale, 20)
    path = f"/v1/promotions/{sale['id']}/stacks"
    stack = api.must("POST", path, {"name": "Both", "tiers": {"ids": [ten, twenty]}})["id"]
    assert named(ask(api, "PROMOTION_STACKS")) == [stack]


def test_what_is_used_up_or_held_is_not_offered(api: Api) -> None:
    code, held = api.voucher(quantity=1), api.voucher(quantity=1)
    assert set(named(ask(api))) == {code, held}
    assert api.redeem(code).status == 200
    body = {
        "redeemables": [{"object": "voucher", "id": held}],
        "order": {"amount": 1000},
        "session": {"type": "LOCK"},
    }
    assert api.must("POST", "/v1/validations", body)["valid"] is True
    assert named(ask(api)) == []


def test_bad_input_is_named(api: Api, system: System) -> None:
    for body, prop in (
        ({"scenario": "MINE"}, "scenario"),
        ({"options": {"limit": 51}}, "options.limit"),
        ({"options": {"limit": 0}}, "options.limit"),
        ({"options": {"starting_after": "soon"}}, "options.starting_after"),
        ({"options": {"sorting_rule": "BEST"}}, "options.sorting_rule"),
        ({"options": {"expand": ["all"]}}, "options.expand[0]"),
        ({"options": {"filters": {"colour": {"conditions": {"$is": ["red"]}}}}}, "filters.colour"),
        ({"options": {"filters": {"code": {"conditions": {"$same": ["x"]}}}}}, "$same"),
        ({"order": {"items": [{"quantity": -1}]}}, "order.items"),
    ):
        answer = api.call("POST", "/v1/qualifications", body)
        assert (answer.status, answer.key) == (400, "invalid_payload"), (body, answer.json)
        assert prop in answer.json["details"], answer.json
    other = system.project()
    api.voucher()
    assert named(ask(other)) == []
