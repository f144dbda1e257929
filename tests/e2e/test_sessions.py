"""A shopper's session holds a code until the order is placed, canceled, or its time is up."""

import uuid
from typing import Any

import pytest

from tests.system import Api, System, cart, run, wait_until

pytestmark = pytest.mark.e2e


def locking(
    code: str, *more: str, key: str = "", order: str = "", **session: Any
) -> dict[str, Any]:
    """Return a validation that holds the codes."""
    body = cart(code, *more)
    if order:
        body["order"]["source_id"] = order
    body["session"] = {"type": "LOCK", **({"key": key} if key else {}), **session}
    return body


def is_free(api: Api, code: str) -> bool:
    """Whether somebody else could use the code now."""
    return bool(api.must("POST", "/v1/validations", cart(code))["valid"])


def test_a_lock_is_seen_by_others_at_once_and_used_by_its_session(api: Api) -> None:
    code = api.voucher(quantity=1)
    locked = api.must("POST", "/v1/validations", locking(code))
    session = locked["session"]
    assert session["key"].startswith("ssn_")
    assert (session["type"], session["ttl"], session["ttl_unit"]) == ("LOCK", 7, "DAYS")
    refused = api.must("POST", "/v1/validations", cart(code))
    assert refused["valid"] is False
    assert refused["redeemables"][0]["result"]["error"]["key"] == "quantity_exceeded"
    other = api.redeem(code)
    assert (other.status, other.key) == (400, "quantity_exceeded")
    again = api.must("POST", "/v1/validations", locking(code, key=session["key"]))
    assert again["valid"] is True
    redeemed = api.must(
        "POST",
        "/v1/redemptions",
        {**cart(code), "session": {"type": "LOCK", "key": session["key"]}},
    )
    assert redeemed["redemptions"][0]["session"]["key"] == session["key"]
    assert api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"] == 1
    gone = api.call("DELETE", f"/v1/vouchers/{code}/sessions/{session['key']}")
    assert (gone.status, gone.json["resource_type"]) == (404, "session")


def test_a_lock_is_released_by_hand_once(system: System, api: Api) -> None:
    code = api.voucher(quantity=1)
    key = api.must("POST", "/v1/validations", locking(code))["session"]["key"]
    other = system.project()
    other.voucher(quantity=1, code=code)
    assert other.call("DELETE", f"/v1/vouchers/{code}/sessions/{key}").status == 404
    assert not is_free(api, code)
    assert (
        api.call("DELETE", f"/v1/vouchers/nobody/sessions/{key}").json["resource_type"] == "voucher"
    )
    released = api.call("DELETE", f"/v1/vouchers/{code}/sessions/{key}")
    assert (released.status, released.json) == (204, None)
    assert is_free(api, code)
    assert api.call("DELETE", f"/v1/vouchers/{code}/sessions/{key}").status == 404


def test_a_new_validation_with_the_key_replaces_what_was_held(api: Api) -> None:
    first, second = api.voucher(quantity=1), api.voucher(quantity=1)
    key = api.must("POST", "/v1/validations", locking(first))["session"]["key"]
    api.must("POST", "/v1/validations", locking(second, key=key))
    # The second request does not name what the first one held, so nobody waits for its release.
    wait_until(lambda: is_free(api, first), "what was held before is given back")
    assert not is_free(api, second)
    exhausted = api.voucher(quantity=1)
    assert api.redeem(exhausted).status == 200
    failed = api.must("POST", "/v1/validations", locking(exhausted, second, key=key))
    assert failed["valid"] is False
    assert "session" not in failed
    assert not is_free(api, second), "a validation that fails leaves the session as it was"


def test_a_card_s_credits_are_held_and_shown(api: Api) -> None:
    code = f"G-{uuid.uuid4().hex[:10]}"
    api.must("POST", f"/v1/vouchers/{code}", {"type": "GIFT_VOUCHER", "gift": {"amount": 5000}})
    body = locking(code)
    body["redeemables"][0]["gift"] = {"credits": 1500}
    key = api.must("POST", "/v1/validations", body)["session"]["key"]
    assert api.must("GET", f"/v1/vouchers/{code}")["gift"]["balance"] == 3500
    seen = api.must("POST", "/v1/validations", cart(code, amount=9000))
    assert seen["redeemables"][0]["result"]["gift"]["credits"] == 3500
    taken = api.must("POST", "/v1/redemptions", cart(code, amount=9000))
    assert taken["order"]["total_amount"] == 5500
    mine = {**cart(code, amount=9000), "session": {"type": "LOCK", "key": key}}
    assert api.must("POST", "/v1/redemptions", mine)["order"]["total_amount"] == 7500
    assert api.must("GET", f"/v1/vouchers/{code}")["gift"]["balance"] == 0


def test_a_lock_ends_with_its_time(api: Api) -> None:
    code = api.voucher(quantity=1)
    short = api.must("POST", "/v1/validations", locking(code, ttl=1500, ttl_unit="MILLISECONDS"))
    assert short["session"]["ttl_unit"] == "MILLISECONDS"
    assert not is_free(api, code)
    wait_until(lambda: is_free(api, code), "the lock has expired")
    gone = api.call("DELETE", f"/v1/vouchers/{code}/sessions/{short['session']['key']}")
    assert gone.status == 404


def test_a_canceled_order_gives_its_lock_back(api: Api) -> None:
    code, other = api.voucher(quantity=1), api.voucher(quantity=1)
    order = f"o-{uuid.uuid4().hex}"
    api.must("POST", "/v1/validations", locking(code, order=order))
    api.must("POST", "/v1/validations", locking(other))
    api.must("POST", "/v1/orders", {"source_id": order, "amount": 2000, "status": "CANCELED"})
    wait_until(lambda: is_free(api, code), "the canceled order's lock is given back")
    assert not is_free(api, other)


def test_the_same_request_holds_once_and_has_one_answer(api: Api) -> None:
    code = api.voucher(quantity=3)
    body, key = locking(code), uuid.uuid4().hex
    requests = [("POST", "/v1/validations", body, key) for _ in range(8)]
    answers = run(api.at_once(requests, retries=40))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["session"]["key"] for answer in answers}) == 1
    free = [api.must("POST", "/v1/validations", locking(code))["valid"] for _ in range(3)]
    assert free == [True, True, False]
    changed = api.call("POST", "/v1/validations", locking(code), key=key)
    assert (changed.status, changed.key) == (409, "idempotency_key_reused")


def test_a_customer_has_a_limited_number_of_sessions(api: Api) -> None:
    code = api.voucher(quantity=None)
    customer = f"c-{uuid.uuid4().hex[:8]}"

    def lock(who: str) -> Any:
        body = locking(code)
        body["customer"] = {"source_id": who}
        return api.call("POST", "/v1/validations", body)

    held = [lock(customer) for _ in range(20)]
    assert {answer.status for answer in held} == {200}
    refused = lock(customer)
    assert (refused.status, refused.key) == (400, "too_many_sessions")
    assert lock(f"{customer}-2").status == 200
    key = held[0].json["session"]["key"]
    assert api.call("DELETE", f"/v1/vouchers/{code}/sessions/{key}").status == 204
    assert lock(customer).status == 200


@pytest.mark.parametrize(
    ("session", "prop"),
    [
        ({"type": "RESERVE"}, "session.type"),
        ({"ttl": 0}, "session.ttl"),
        ({"ttl": 8, "ttl_unit": "DAYS"}, "session.ttl"),
        ({"ttl_unit": "WEEKS"}, "session.ttl_unit"),
        ({"key": "x" * 201}, "session.key"),
    ],
)
def test_a_wrong_session_is_refused_by_name(api: Api, session: dict[str, Any], prop: str) -> None:
    code = api.voucher(quantity=1)
    for path in ("/v1/validations", "/v1/redemptions"):
        refused = api.call("POST", path, {**cart(code), "session": session})
        assert (refused.status, refused.key) == (400, "invalid_payload")
        assert prop in refused.json["details"]
    assert is_free(api, code)


def test_a_validation_without_a_session_writes_nothing(api: Api) -> None:
    code = api.voucher(quantity=1)
    answer = api.call("POST", "/v1/validations", cart(code))
    assert "x-tessera-positions" not in answer.headers
    assert is_free(api, code)


def test_one_voucher_and_one_tier_are_held_by_the_calls_of_before_stacks(api: Api) -> None:
    code, seen = api.voucher(quantity=1), api.voucher(quantity=1)
    body = {"order": {"amount": 2000}, "session": {"type": "LOCK"}}
    held = api.must("POST", f"/v1/vouchers/{code}/validate", body)
    assert held["session"]["key"].startswith("ssn_")
    assert not is_free(api, code)
    assert (
        api.call("DELETE", f"/v1/vouchers/{code}/sessions/{held['session']['key']}").status == 204
    )
    assert is_free(api, code)
    client_key = api.made["client_side_key"]
    headers = {
        "X-Client-Application-Id": client_key["app_id"],
        "X-Client-Token": client_key["app_token"],
        "Origin": "https://shop.example",
    }
    browser = Api(api.url, headers, api.project_id)
    query = f"code={seen}&amount=2000&session_type=LOCK&session_ttl=5&session_ttl_unit=MINUTES"
    told = browser.must("GET", f"/client/v1/validate?{query}")["session"]
    assert (told["ttl"], told["ttl_unit"], told["key"][:4]) == (5, "MINUTES", "ssn_")
    assert not is_free(api, seen)


def once_each(api: Api) -> str:
    """Return the id of a promotion tier that a customer gets once."""
    rule = {"name": "redemption.count.per_customer", "conditions": {"$less_than_or_equal": [1]}}
    rules = {"name": "Once each", "rules": {"1": rule, "logic": "1"}}
    made = api.must("POST", "/v1/validation-rules", rules)
    name = f"Sale-{uuid.uuid4().hex[:8]}"
    campaign = api.must("POST", "/v1/campaigns", {"name": name, "campaign_type": "PROMOTION"})
    discount = {"type": "PERCENT", "percent_off": 10, "effect": "APPLY_TO_ORDER"}
    body = {"name": name, "action": {"discount": discount}, "validation_rules": [made["id"]]}
    return str(api.must("POST", f"/v1/promotions/{campaign['id']}/tiers", body)["id"])


def test_a_promotion_tier_is_held_for_its_customer(api: Api) -> None:
    tier = once_each(api)
    path = f"/v1/promotions/tiers/{tier}/validation"
    anna, bert = f"anna-{uuid.uuid4().hex[:8]}", f"bert-{uuid.uuid4().hex[:8]}"

    def ask(who: str, **more: Any) -> Any:
        body = {"customer": {"source_id": who}, "order": {"amount": 2000}, **more}
        return api.must("POST", path, body)

    held = ask(anna, session={"type": "LOCK"})
    assert held["session"]["key"].startswith("ssn_")
    wait_until(lambda: not ask(anna)["valid"], "what the session holds is gone for anna")
    assert ask(bert)["valid"] is True
    assert ask(anna, session=held["session"])["valid"] is True, "its own session has it"
    body = {
        "redeemables": [{"object": "promotion_tier", "id": tier}],
        "customer": {"source_id": anna},
        "order": {"amount": 2000},
        "session": held["session"],
    }
    assert api.must("POST", "/v1/redemptions", body)["redemptions"][0]["result"] == "SUCCESS"
    refused = api.call("POST", "/v1/redemptions", {**body, "session": None})
    assert (refused.status, refused.key) == (400, "redemption_rules_violated")


def test_looking_for_promotions_holds_none(api: Api) -> None:
    tier = once_each(api)
    body = {"customer": {"source_id": f"c-{uuid.uuid4().hex[:8]}"}, "order": {"amount": 2000}}
    asked = api.call("POST", "/v1/promotions/validation", {**body, "session": {"type": "LOCK"}})
    [found] = asked.json["promotions"]
    assert (found["id"], "session" in found) == (tier, False)
    assert "x-tessera-positions" not in asked.headers
