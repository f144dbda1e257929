"""A customer whom a redemption or a publication names is there at once, though another service makes it."""

import uuid

import pytest

from tests.system import Api, System, cart, wait_until

pytestmark = pytest.mark.e2e

TIMES = 15
"""One read might be lucky; so many are not."""


def somebody() -> str:
    return f"c-{uuid.uuid4().hex[:10]}"


def test_a_redemption_s_customer_is_there_at_once(system: System, api: Api) -> None:
    code, other = api.voucher(quantity=None), system.project()
    for _ in range(TIMES):
        who = somebody()
        redeemed = api.redeem(code, customer=who)
        assert redeemed.status == 200
        found = api.must("GET", f"/v1/customers/{who}")
        assert found["source_id"] == who
        assert found["summary"]["redemptions"]["total_redeemed"] == 1
        assert found["id"] == redeemed.json["redemptions"][0]["customer_id"]
        assert other.call("GET", f"/v1/customers/{who}").status == 404


def test_it_can_be_changed_at_once(api: Api) -> None:
    code = api.voucher(quantity=None)
    for number in range(TIMES):
        redeemed = api.redeem(code, customer=somebody())
        name = redeemed.json["redemptions"][0]["customer_id"]
        changed = api.must("PUT", f"/v1/customers/{name}", {"name": f"Anna {number}"})
        assert changed["name"] == f"Anna {number}"


def test_a_customer_without_a_name_of_the_shop_s_is_found_by_its_id(api: Api) -> None:
    code = api.voucher(quantity=None)
    for _ in range(TIMES):
        body = {**cart(code), "customer": {"email": "anna@example.com"}}
        made = api.must("POST", "/v1/redemptions", body)["redemptions"][0]["customer_id"]
        assert api.must("GET", f"/v1/customers/{made}")["email"] == "anna@example.com"


def test_nobody_waits_for_the_customer_of_a_refused_redemption(api: Api) -> None:
    used = api.voucher(quantity=1)
    assert api.redeem(used).status == 200
    who = somebody()
    assert api.redeem(used, customer=who).status == 400
    assert api.call("GET", f"/v1/customers/{who}").status == 404
    assert api.call("PUT", f"/v1/customers/{who}", {"name": "Anna"}).status == 404


def test_a_publication_s_customer_is_there_at_once(api: Api) -> None:
    campaign = {
        "name": f"Given {uuid.uuid4().hex[:8]}",
        "campaign_type": "DISCOUNT_COUPONS",
        "type": "AUTO_UPDATE",
        "vouchers_count": TIMES,
        "voucher": {"type": "DISCOUNT_VOUCHER", "discount": {"type": "AMOUNT", "amount_off": 100}},
    }
    made = api.must("POST", "/v1/campaigns", campaign)
    path = f"/v1/campaigns/{made['id']}"
    wait_until(
        lambda: api.must("GET", path)["vouchers_generation_status"] == "DONE", "codes are made"
    )
    for _ in range(TIMES):
        who = somebody()
        body = {"campaign": {"name": made["name"]}, "customer": {"source_id": who}}
        api.must("POST", "/v1/publications", body)
        assert api.must("GET", f"/v1/customers/{who}")["source_id"] == who
