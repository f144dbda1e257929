"""A shop hands out codes: a named one, the same one again, several at once."""

import uuid
from typing import Any

import pytest

from tests.system import Api, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture
def campaign(api: Api) -> Any:
    body = {
        "name": f"Handed out {uuid.uuid4().hex[:8]}",
        "campaign_type": "DISCOUNT_COUPONS",
        "type": "STATIC",
        "vouchers_count": 30,
        "voucher": {
            "type": "DISCOUNT_VOUCHER",
            "discount": {"type": "AMOUNT", "amount_off": 100, "effect": "APPLY_TO_ORDER"},
        },
    }
    made = api.must("POST", "/v1/campaigns", body)
    path = f"/v1/campaigns/{made['id']}"
    return wait_until(
        lambda: (now := api.must("GET", path))["vouchers_count"] == 30 and now, "codes"
    )


def publish(api: Api, query: str = "", **body: Any) -> Any:
    return api.must("POST", f"/v1/publications{query}", body)


def test_a_named_voucher_on_a_channel(api: Api) -> None:
    code = api.voucher(code="NAMED")
    made = publish(api, voucher=code, customer={"source_id": "ada"}, channel="newsletter")
    assert made["voucher"]["code"] == "NAMED"
    [listed] = api.must("GET", "/v1/publications?voucher=NAMED")["publications"]
    assert (listed["id"], listed["channel"]) == (made["id"], "newsletter")
    refused = api.call(
        "POST", "/v1/publications", {"voucher": "NOBODY", "customer": {"source_id": "ada"}}
    )
    assert (refused.status, refused.key) == (404, "not_found")


def test_joining_once_gives_the_same_code_again(api: Api, campaign: Any) -> None:
    named = {"name": campaign["name"]}
    ada = {"source_id": "ada"}
    first = publish(api, "?join_once=true", campaign=named, customer=ada)
    again = publish(api, "?join_once=true", campaign=named, customer=ada)
    assert again["voucher"]["code"] == first["voucher"]["code"]
    other = publish(api, "?join_once=true", campaign=named, customer={"source_id": "bob"})
    assert other["voucher"]["code"] != first["voucher"]["code"]
    more = publish(api, "?join_once=false", campaign=named, customer=ada)
    assert more["voucher"]["code"] not in {first["voucher"]["code"], other["voucher"]["code"]}


def test_a_source_id_is_one_publication(api: Api, campaign: Any) -> None:
    named = {"name": campaign["name"]}
    first = publish(api, campaign=named, customer={"source_id": "ada"}, source_id="mail-1")
    again = publish(api, campaign=named, customer={"source_id": "ada"}, source_id="mail-1")
    assert (again["id"], again["voucher"]["code"]) == (first["id"], first["voucher"]["code"])
    body = {"campaign": named, "customer": {"source_id": "bob"}, "source_id": "mail-1"}
    refused = api.call("POST", "/v1/publications", body)
    assert (refused.status, refused.key) == (400, "duplicate_source_id")
    assert api.must("GET", "/v1/publications?source_id=mail-1")["total"] == 1


def test_several_codes_at_once(api: Api, campaign: Any) -> None:
    many = {"name": campaign["name"], "count": 21}
    made = publish(api, campaign=many, customer={"source_id": "ada"})
    assert len(set(made["vouchers"])) == 21
    assert len(made["vouchers_id"]) == 21
    body = {"campaign": {**many, "count": 51}, "customer": {"source_id": "ada"}}
    refused = api.call("POST", "/v1/publications", body)
    assert (refused.status, refused.key) == (400, "invalid_payload")
    assert "from 1 to 50" in refused.json["details"]
