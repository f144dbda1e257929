"""Every operation of the API once, on a running system; every 2xx body is checked against
``openapi.json`` and read by the official client's strict models (see ``tests/system.py``)."""

import uuid

import pytest

from tests.system import Api, System, cart, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def test_customers(api: Api) -> None:
    source_id = unique("cust")
    made = api.must(
        "POST",
        "/v1/customers",
        {
            "source_id": source_id,
            "name": "Ada",
            "email": "ada@shop.example",
            "metadata": {"tier": "vip"},
        },
    )
    assert made["id"].startswith("cust_")
    assert api.must("GET", f"/v1/customers/{source_id}")["id"] == made["id"]
    assert api.must("GET", f"/v1/customers/{made['id']}")["name"] == "Ada"
    changed = api.must(
        "PUT", f"/v1/customers/{source_id}", {"name": "Ada L.", "metadata": {"age": 36}}
    )
    assert (changed["name"], changed["metadata"]) == ("Ada L.", {"tier": "vip", "age": 36})
    again = api.must("POST", "/v1/customers", {"source_id": source_id, "phone": "+491"})
    assert (again["id"], again["name"], again["phone"]) == (made["id"], "Ada L.", "+491")
    api.must("POST", "/v1/customers", {"source_id": unique("other"), "email": "o@shop.example"})
    listed = api.must("GET", "/v1/customers?limit=1&order=-created_at")
    assert (listed["total"], len(listed["customers"])) == (2, 1)
    found = api.must("GET", "/v1/customers?email=ada@shop.example")
    assert [one["id"] for one in found["customers"]] == [made["id"]]
    found = api.must("GET", "/v1/customers?filters[metadata.tier][conditions][$is][0]=vip")
    assert [one["id"] for one in found["customers"]] == [made["id"]]


def test_segments(api: Api) -> None:
    one = api.must("POST", "/v1/customers", {"source_id": "s1", "metadata": {"tier": "vip"}})
    api.must("POST", "/v1/customers", {"source_id": "s2", "metadata": {"tier": "regular"}})
    static = api.must(
        "POST", "/v1/segments", {"name": "Listed", "type": "static", "customers": [one["id"]]}
    )
    vips = api.must(
        "POST",
        "/v1/segments",
        {
            "name": "VIPs",
            "type": "auto-update",
            "filter": {"junction": "and", "metadata.tier": {"conditions": {"$is": ["vip"]}}},
        },
    )
    assert api.must("GET", f"/v1/segments/{static['id']}")["name"] == "Listed"
    assert api.must("GET", "/v1/segments")["total"] == 2
    for segment in (static, vips):
        path = f"/v1/customers?segment_id={segment['id']}"
        wait_until(lambda path=path: api.must("GET", path)["total"] == 1, "the member")


def test_products_and_skus(api: Api) -> None:
    product = api.must("POST", "/v1/products", {"source_id": "shoe", "name": "Shoe", "price": 9900})
    sku = api.must(
        "POST",
        f"/v1/products/{product['id']}/skus",
        {"source_id": "shoe-42", "sku": "42", "price": 9900},
    )
    assert api.must("GET", "/v1/products/shoe")["skus"]["total"] == 1
    assert api.must("GET", "/v1/skus/shoe-42")["product_id"] == product["id"]
    assert api.must("GET", "/v1/products/shoe/skus")["total"] == 1
    assert api.must("GET", f"/v1/products/shoe/skus/{sku['id']}")["sku"] == "42"
    assert api.must("PUT", "/v1/products/shoe", {"price": 8900})["price"] == 8900
    assert api.must("PUT", f"/v1/products/shoe/skus/{sku['id']}", {"sku": "43"})["sku"] == "43"
    assert api.must("GET", "/v1/products")["total"] == 1


def test_orders(api: Api) -> None:
    source_id = unique("order")
    made = api.must(
        "POST",
        "/v1/orders",
        {
            "source_id": source_id,
            "customer": {"source_id": "buyer", "name": "Ben"},
            "items": [
                {"source_id": "p", "related_object": "product", "quantity": 2, "price": 1500}
            ],
        },
    )
    assert (made["amount"], made["status"]) == (3000, "CREATED")
    assert api.must("GET", "/v1/customers/buyer")["name"] == "Ben"
    assert api.must("PUT", f"/v1/orders/{source_id}", {"status": "PAID"})["status"] == "PAID"
    assert api.must("GET", f"/v1/orders/{made['id']}")["status"] == "PAID"
    assert api.must("GET", "/v1/orders?limit=5")["total"] == 1


def test_campaigns_and_codes(api: Api) -> None:
    name = unique("Sale")
    campaign = api.must(
        "POST",
        "/v1/campaigns",
        {
            "name": name,
            "campaign_type": "DISCOUNT_COUPONS",
            "type": "STATIC",
            "vouchers_count": 25,
            "voucher": {
                "type": "DISCOUNT_VOUCHER",
                "discount": {"type": "PERCENT", "percent_off": 10, "effect": "APPLY_TO_ORDER"},
                "code_config": {"pattern": "S-######"},
            },
        },
    )
    path = f"/v1/campaigns/{campaign['id']}"
    wait_until(lambda: api.must("GET", path)["vouchers_generation_status"] == "DONE", "codes")
    assert api.must("GET", path)["vouchers_count"] == 25
    actions = api.must("GET", "/v1/async-actions")["async_actions"]
    assert api.must("GET", f"/v1/async-actions/{actions[0]['id']}")["status"] == "DONE"
    assert api.must("GET", f"/v1/campaigns/{name}")["id"] == campaign["id"]
    assert api.must("GET", "/v1/campaigns")["total"] == 1
    assert api.must("PUT", path, {"description": "Ten off"})["description"] == "Ten off"
    one = api.must("POST", f"{path}/vouchers", {})
    assert one["campaign_id"] == campaign["id"]
    many = api.call("POST", f"{path}/vouchers?vouchers_count=5", {})
    assert many.status == 202
    begun = api.must("GET", f"/v1/async-actions/{many.json['async_action_id']}")
    assert begun["request_id"] == many.headers["x-request-id"]
    assert api.must("POST", f"{path}/vouchers/MYOWN", {})["code"] == "MYOWN"
    wait_until(lambda: api.must("GET", path)["vouchers_count"] == 32, "all codes counted")
    listed = api.must("GET", f"/v1/vouchers?campaign_id={campaign['id']}&limit=100&order=code")
    assert (listed["total"], len({v["code"] for v in listed["vouchers"]})) == (32, 32)
    assert api.must("POST", f"{path}/disable", {}) == {}
    assert api.must("GET", path)["active"] is False
    assert api.redeem("MYOWN").status == 400
    api.must("POST", f"{path}/enable", {})
    assert api.redeem("MYOWN").status == 200
    wait_until(lambda: api.must("GET", f"{path}/summary")["redemptions_succeeded"] == 1, "summary")
    assert api.must("GET", f"{path}/summary")["discounted_amount"] == 200


def test_vouchers(api: Api) -> None:
    code = api.voucher(quantity=3)
    voucher = api.must("GET", f"/v1/vouchers/{code}")
    assert api.must("GET", f"/v1/vouchers/{voucher['id']}")["code"] == code
    changed = api.must("PUT", f"/v1/vouchers/{code}", {"metadata": {"source": "test"}})
    assert changed["metadata"] == {"source": "test"}
    assert api.must("POST", f"/v1/vouchers/{code}/disable", {})["active"] is False
    assert api.redeem(code).key == "voucher_disabled"
    assert api.must("POST", f"/v1/vouchers/{code}/enable", {})["active"] is True
    drawn = api.must(
        "POST",
        "/v1/vouchers",
        {
            "type": "GIFT_VOUCHER",
            "gift": {"amount": 1000, "effect": "APPLY_TO_ORDER"},
            "code_config": {"length": 12},
        },
    )
    assert len(drawn["code"]) == 12
    assert api.must("GET", "/v1/vouchers")["total"] == 2


def test_gift_card_s_balance(api: Api) -> None:
    card = api.must("POST", "/v1/vouchers/GIFT", {"type": "GIFT_VOUCHER", "gift": {"amount": 1000}})
    assert card["gift"]["balance"] == 1000
    added = api.must("POST", "/v1/vouchers/GIFT/balance", {"amount": 500})
    assert added["balance"] == 1500
    assert api.must("GET", "/v1/vouchers/GIFT")["gift"]["balance"] == 1500
    assert api.redeem("GIFT", amount=400).status == 200
    assert api.must("GET", "/v1/vouchers/GIFT")["gift"]["balance"] == 1100
    refused = api.call("POST", "/v1/vouchers/GIFT/balance", {"amount": -1101})
    assert (refused.status, "amount" in refused.json["details"]) == (400, True)
    kinds = [one["type"] for one in api.must("GET", "/v1/vouchers/GIFT/transactions")["data"]]
    assert kinds == ["CREDITS_REDEMPTION", "CREDITS_ADDITION"]


def test_redemptions_and_rollbacks(api: Api) -> None:
    first, second = api.voucher(quantity=1), api.voucher(quantity=5)
    validation = api.must("POST", "/v1/validations", cart(first, second))
    assert validation["valid"] is True
    assert validation["order"]["total_amount"] == 1800
    stack = api.redeem(first, second, customer="c1").json
    parent = stack["parent_redemption"]["id"]
    assert len(stack["redemptions"]) == 2
    refused = api.redeem(first, second)
    assert (refused.status, refused.key) == (400, "quantity_exceeded")
    assert api.must("GET", f"/v1/redemptions/{parent}")["related_object_type"] == "redemption"
    kept = api.must("GET", f"/v1/redemptions/{refused.json['resource_id']}")
    order = kept["order"]
    assert (kept["result"], order["status"], order["total_amount"]) == ("FAILURE", "CREATED", 2000)
    assert "id" not in order, "nobody has stored it"
    assert "discount_amount" not in order
    child = api.call("POST", f"/v1/redemptions/{stack['redemptions'][0]['id']}/rollback", {})
    assert (child.status, child.key) == (400, "invalid_redemption_parent")
    back = api.must("POST", f"/v1/redemptions/{parent}/rollbacks", {"reason": "changed mind"})
    assert len(back["rollbacks"]) == 2
    again = api.call("POST", f"/v1/redemptions/{parent}/rollbacks", {})
    assert (again.status, again.key) == (400, "already_rolled_back")
    assert api.must("GET", f"/v1/redemptions/{parent}")["status"] == "ROLLED_BACK"
    single = api.redeem(second).json["redemptions"][0]["id"]
    assert api.must("POST", f"/v1/redemptions/{single}/rollback", {})["redemption"] == single
    listed = api.must("GET", "/v1/redemptions?limit=100")
    assert listed["total"] == len(listed["redemptions"])
    assert api.must("GET", "/v1/redemptions?result=Failure")["total"] == 3
    entries = api.must("GET", f"/v1/vouchers/{second}/redemption")
    assert entries["redeemed_quantity"] == 0
    assert api.must("GET", "/v1/redemptions?customer=c1")["total"] > 0


def test_validation_rules(api: Api) -> None:
    rule = api.must(
        "POST",
        "/v1/validation-rules",
        {
            "name": unique("rule"),
            "rules": {
                "1": {"name": "order.amount", "conditions": {"$more_than": [5000]}},
                "logic": "1",
            },
            "error": {"message": "Only above 50"},
        },
    )
    code = api.voucher()
    made = api.must("POST", f"/v1/validation-rules/{rule['id']}/assignments", {"voucher": code})
    assert made["rule_id"] == rule["id"]
    assert api.must("GET", f"/v1/validation-rules/{rule['id']}")["assignments_count"] == 1
    assert api.must("GET", "/v1/validation-rules")["total"] == 1
    assert api.must("GET", f"/v1/validation-rules/{rule['id']}/assignments")["total"] == 1
    assert api.must("GET", "/v1/validation-rules-assignments")["total"] == 1
    refused = api.redeem(code, amount=5000)
    assert (refused.status, refused.json["error"]["message"]) == (400, "Only above 50")
    assert api.must("POST", "/v1/validations", cart(code, amount=5000))["valid"] is False
    assert api.redeem(code, amount=5001).status == 200


def test_publications(api: Api) -> None:
    campaign = api.must(
        "POST",
        "/v1/campaigns",
        {
            "name": unique("Unique"),
            "campaign_type": "DISCOUNT_COUPONS",
            "type": "STATIC",
            "vouchers_count": 2,
            "voucher": {
                "type": "DISCOUNT_VOUCHER",
                "discount": {"type": "AMOUNT", "amount_off": 500, "effect": "APPLY_TO_ORDER"},
            },
        },
    )
    path = f"/v1/campaigns/{campaign['id']}"
    wait_until(lambda: api.must("GET", path)["vouchers_count"] == 2, "codes")
    codes = set()
    for name in ("p1", "p2"):
        body = {"campaign": {"name": campaign["name"]}, "customer": {"source_id": name}}
        published = wait_until(
            lambda body=body: (
                (a := api.call("POST", "/v1/publications", body)).status == 200 and a.json
            ),
            "publication",
        )
        codes.add(published["voucher"]["code"])
    assert len(codes) == 2
    refused = api.call(
        "POST",
        "/v1/publications",
        {"campaign": {"name": campaign["name"]}, "customer": {"source_id": "p3"}},
    )
    assert refused.status == 400
    assert api.must("GET", "/v1/publications?result=SUCCESS")["total"] == 2
    held = api.must("GET", "/v1/vouchers?customer=p1")
    assert held["total"] == 1
    assert held["vouchers"][0]["publish"]["count"] == 1


def test_events_and_management(system: System, api: Api) -> None:
    told = api.must(
        "POST",
        "/v1/events",
        {"event": "cart.viewed", "customer": {"source_id": "viewer"}, "metadata": {"n": 1}},
    )
    assert told["type"] == "cart.viewed"
    assert api.must("GET", "/v1/customers/viewer")["source_id"] == "viewer"
    management = system.management()
    assert (
        management.must("GET", f"/management/v1/projects/{api.project_id}")["id"] == api.project_id
    )
    total = management.must("GET", "/management/v1/projects?limit=1")["total"]
    last = -(-total // 100)  # The newest is the last; a system that is kept has many.
    listed = management.must("GET", f"/management/v1/projects?limit=100&page={last}")
    assert api.project_id in {one["id"] for one in listed["data"]}
    hooks = f"/management/v1/projects/{api.project_id}/webhooks"
    made = management.must(
        "POST", hooks, {"target_url": "http://127.0.0.1:9/x", "events": ["redemption.succeeded"]}
    )
    assert management.must("GET", hooks)["total"] == 1
    assert management.must("GET", f"{hooks}/{made['id']}")["target_url"] == "http://127.0.0.1:9/x"
    changed = management.must("PUT", f"{hooks}/{made['id']}", {"active": False})
    assert changed["active"] is False
    assert management.call("DELETE", f"{hooks}/{made['id']}").status == 204
    assert management.call("GET", f"{hooks}/{made['id']}").status == 404


def test_distributions(api: Api) -> None:
    body = {
        "name": "Abandoned",
        "trigger": {"type": "customer.custom_event", "custom_event": {"name": "cart.abandoned"}},
        "message": {"channel": "email", "subject": "Hello", "text": "Hi {{ customer.name }}"},
        "active": False,
    }
    made = api.must("POST", "/v1/distributions", body)
    assert api.must("GET", f"/v1/distributions/{made['id']}")["name"] == "Abandoned"
    assert api.must("PUT", f"/v1/distributions/{made['id']}", {"name": "Carts"})["name"] == "Carts"
    assert api.must("GET", "/v1/distributions")["total"] == 1
    assert api.must("GET", "/v1/webhook-deliveries")["total"] == 0


def test_client_side_key(system: System, api: Api) -> None:
    key = api.made["client_side_key"]
    client = Api(
        system.env["TESSERA_URL"],
        {
            "X-Client-Application-Id": key["app_id"],
            "X-Client-Token": key["app_token"],
            "Origin": "https://shop.example",
        },
        api.project_id,
    )
    code = api.voucher(quantity=1)
    assert client.must("POST", "/client/v1/validations", cart(code))["valid"] is True
    assert client.call("POST", "/client/v1/redemptions", cart(code)).status == 200
    assert client.call("POST", "/v1/redemptions", cart(code)).status == 401
