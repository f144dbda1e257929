"""An operator sets what a project may do, and takes it away again."""

import uuid
from typing import Any

import pytest

from tests.system import Api, System, cart, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def made(system: System, **more: Any) -> tuple[Api, Api, str]:
    """Return a new project by its server key and its client-side key, and its address."""
    body = {"name": "Set", "timezone": "Europe/Berlin", "currency": "EUR", **more}
    project = system.management().must("POST", "/management/v1/projects", body)
    server, client = project["server_side_key"], project["client_side_key"]
    url = system.env["TESSERA_URL"]
    pages = {
        "X-Client-Application-Id": client["app_id"],
        "X-Client-Token": client["app_token"],
        "Origin": "https://shop.example",
    }
    keys = {"X-App-Id": server["app_id"], "X-App-Token": server["app_token"]}
    path = f"/management/v1/projects/{project['id']}"
    return Api(url, keys, project["id"]), Api(url, pages, project["id"]), path


def test_a_rate_is_kept_told_and_changed(system: System) -> None:
    api, _, path = made(system, rate_per_minute=3)
    answers = [api.call("GET", "/v1/customers") for _ in range(4)]
    assert [one.status for one in answers] == [200, 200, 200, 429]
    assert [one.headers["x-rate-limit-limit"] for one in answers] == ["3"] * 4
    left = [one.headers["x-rate-limit-remaining"] for one in answers]
    assert left == ["2", "1", "0", "0"]
    refused = answers[-1]
    assert refused.json["message"] == "Too many requests hit the API too quickly."
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert refused.headers["x-rate-limit-type"] == "api_calls"
    changed = system.management().must("PUT", path, {"rate_per_minute": 60_000})
    assert changed["rate_per_minute"] == 60_000
    answer = wait_until(
        lambda: (now := api.call("GET", "/v1/customers")).status == 200 and now, "the new rate"
    )
    assert answer.headers["x-rate-limit-limit"] == "60000"


def test_switches_of_the_client_side_key(system: System) -> None:
    api, client, path = made(system)
    management = system.management()
    code = api.voucher()
    assert client.call("POST", "/client/v1/redemptions", cart(code)).status == 200
    body = {"client_redeem_enabled": False, "client_trusted_domains": ["https://shop.example"]}
    management.must("PUT", path, body)

    def is_switched_off() -> bool:
        return client.call("POST", "/client/v1/redemptions", cart(code)).status == 403

    wait_until(is_switched_off, "the switch")
    refused = client.call("POST", "/client/v1/redemptions", cart(code))
    assert (refused.key, "client_redeem_enabled" in refused.json["details"]) == ("forbidden", True)
    assert client.must("POST", "/client/v1/validations", cart(code))["valid"] is True
    assert client.call("POST", f"/client/v1/redeem?code={code}", {}).key == "forbidden"
    assert api.redeem(code).status == 200
    given = {"customer": {"source_id": "ann"}, "voucher": api.voucher()}
    assert client.call("POST", "/client/v1/publish", given).key == "forbidden"
    management.must("PUT", path, {"client_publish_enabled": True})
    wait_until(
        lambda: client.call("POST", "/client/v1/publish", given).status == 200, "the other switch"
    )
    other = {**client.headers, "Origin": "https://other.example"}
    elsewhere = client.call("POST", "/client/v1/validations", cart(code), headers=other)
    assert (elsewhere.status, elsewhere.key) == (401, "unauthorized")
    shown = management.must("GET", path)
    assert shown["client_redeem_enabled"] is False
    assert shown["client_trusted_domains"] == ["https://shop.example"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timezone", "Mars/Olympus"),
        ("cluster_id", "eu1"),
        ("case_sensitive_codes", False),
        ("webhooks_callout_notifications", {"webhooks": {"email": True}}),
    ],
)
def test_what_cannot_be_is_refused_by_name(system: System, name: str, value: Any) -> None:
    _, _, path = made(system)
    method, body = "PUT", {name: value}
    if name == "cluster_id":
        method, path = "POST", "/management/v1/projects"
        body |= {"name": "X", "timezone": "UTC", "currency": "EUR"}
    refused = system.management().call(method, path, body)
    assert (refused.status, refused.key) == (400, "invalid_payload")
    assert refused.json["details"].startswith(name)


def test_a_deleted_project_is_gone(system: System) -> None:
    api, client, path = made(system)
    management = system.management()
    code = api.voucher()
    hook = {"target_url": "http://127.0.0.1:9/x", "events": ["redemption.succeeded"]}
    management.must("POST", f"{path}/webhooks", hook)
    assert management.call("DELETE", path).status == 204
    wait_until(lambda: api.call("GET", "/v1/vouchers").status == 401, "keys refused")
    assert api.redeem(code).status == 401
    assert client.call("POST", "/client/v1/validations", cart(code)).status == 401
    for method, at in (("GET", path), ("PUT", path), ("DELETE", path), ("GET", f"{path}/webhooks")):
        assert management.call(method, at, {}).status == 404
    listed = management.must("GET", "/management/v1/projects")["data"]
    assert api.project_id not in {one["id"] for one in listed}


def test_codes_in_any_case(system: System) -> None:
    api, _, _ = made(system, case_sensitive_codes=False)
    api.voucher(code="Summer-10", quantity=1)
    assert api.must("GET", "/v1/vouchers/SUMMER-10")["code"] == "Summer-10"
    assert api.must("GET", "/v1/vouchers?code=summer-10")["total"] == 1
    body = {"type": "GIFT_VOUCHER", "gift": {"amount": 1}}
    taken = api.call("POST", "/v1/vouchers/summer-10", body)
    assert (taken.status, taken.key) == (409, "duplicate_found")
    published = api.must(
        "POST", "/v1/publications", {"voucher": "SUMMER-10", "customer": {"source_id": "ada"}}
    )
    assert published["voucher"]["code"] == "Summer-10"
    twice = api.must("POST", "/v1/validations", cart("summer-10", "SUMMER-10"))
    assert twice["valid"] is False
    assert api.redeem("sUMMER-10").status == 200
    assert api.redeem("Summer-10").key == "quantity_exceeded"
    changed = api.must("PUT", "/v1/vouchers/SUMMER-10", {"metadata": {"a": 1}})
    assert (changed["code"], changed["redemption"]["redeemed_quantity"]) == ("Summer-10", 1)
    config = {"charset": "aAbB", "length": 2}
    campaign = {
        "name": f"Small {uuid.uuid4().hex[:6]}",
        "vouchers_count": 4,
        "voucher": {**body, "code_config": config},
    }
    made_campaign = api.must("POST", "/v1/campaigns", campaign)
    at = f"/v1/campaigns/{made_campaign['id']}"
    wait_until(lambda: api.must("GET", at)["vouchers_count"] == 4, "all four codes")
    listed = api.must("GET", f"/v1/vouchers?campaign_id={made_campaign['id']}")["vouchers"]
    assert {one["code"] for one in listed} == {"aa", "ab", "ba", "bb"}
    exact, _, _ = made(system)
    exact.voucher(code="Summer-10")
    assert exact.call("GET", "/v1/vouchers/SUMMER-10").status == 404
