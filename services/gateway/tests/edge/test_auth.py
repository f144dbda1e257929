"""Who may call what, what is kept of keys, how often, and from which page."""

from typing import Any

import pytest

from contracts.messages import Reply
from gateway.auth import ApiKey, Rates, TooManyRequests
from gateway.http import OPERATIONS
from services.gateway.tests.edge.front import Front, assert_refused
from services.gateway.tests.edge.test_bad_input import path_of

SEEN = {"redeemables": [{"object": "voucher", "id": "X"}]}


@pytest.mark.integration
async def test_no_operation_works_without_keys_or_with_those_of_another_kind(front: Front) -> None:
    keys = await front.project()
    management = await front.management()
    client = {**keys.client, "Origin": "https://shop.example"}
    wrong = {
        "server": [{}, client, management, {**keys.server, "X-App-Token": "x"}],
        "client": [{}, keys.server, management, {**client, "X-Client-Token": "x"}],
        "management": [{}, keys.server, client, {**management, "X-Management-Token": "x"}],
    }
    for one in OPERATIONS:
        for headers in wrong[one.auth]:
            answer = await front.send(one.method, path_of(one, keys.project_id), headers, {})
            assert_refused(answer, 401, "unauthorized")
    assert front.services.asked == []


@pytest.mark.integration
async def test_a_key_in_the_headers_of_another_kind_is_refused(front: Front) -> None:
    keys = await front.project()
    as_management = {
        "X-Management-Id": keys.server["X-App-Id"],
        "X-Management-Token": keys.server["X-App-Token"],
    }
    answer = await front.send("GET", "/management/v1/projects", as_management)
    assert_refused(answer, 401, "unauthorized")
    as_server = {
        "X-App-Id": keys.client["X-Client-Application-Id"],
        "X-App-Token": keys.client["X-Client-Token"],
    }
    assert_refused(await front.send("GET", "/v1/customers", as_server), 401, "unauthorized")


@pytest.mark.integration
async def test_tokens_of_two_projects_do_not_mix(front: Front) -> None:
    one, other = await front.project(), await front.project()
    mixed = {**one.server, "X-App-Token": other.server["X-App-Token"]}
    assert_refused(await front.send("GET", "/v1/customers", mixed), 401, "unauthorized")
    assert (await front.send("GET", "/v1/customers", one.server)).status == 200


@pytest.mark.integration
async def test_only_hashes_of_tokens_are_kept(front: Front) -> None:
    keys = await front.project()
    management = await front.management()
    kept = ""
    for table in ("api_keys", "events", "aggregates", "projects", "idempotency_keys"):
        kept += repr(await front.harness.rows(table))
    assert keys.server["X-App-Id"] in kept
    for token in (
        keys.server["X-App-Token"],
        keys.client["X-Client-Token"],
        management["X-Management-Token"],
    ):
        assert token not in kept


@pytest.mark.integration
async def test_the_origin_of_a_page_must_be_listed(front: Front) -> None:
    keys = await front.project(client_trusted_domains=["https://shop.example"])
    front.services.play["engine.validate-stack.v1"] = lambda _: Reply(body={"valid": True})
    path = "/client/v1/validations"
    good = await front.send("POST", path, keys.client, SEEN, Origin="https://shop.example")
    assert good.status == 200
    assert good.headers["access-control-allow-origin"] == "https://shop.example"
    for origin in ("https://evil.example", "https://shop.example.evil.example", "null", "*"):
        answer = await front.send("POST", path, keys.client, SEEN, Origin=origin)
        assert_refused(answer, 401, "unauthorized", "origin")
        assert "access-control-allow-origin" not in answer.headers
    assert_refused(await front.send("POST", path, keys.client, SEEN), 401, "unauthorized")
    assert len(front.services.asked) == 1


@pytest.mark.integration
async def test_a_browser_may_ask_first(front: Front) -> None:
    answer = await front.send("OPTIONS", "/client/v1/validations", Origin="https://shop.example")
    assert answer.status == 204
    assert answer.content == b""
    assert "X-Client-Token" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"


@pytest.mark.integration
async def test_a_proved_key_needs_no_database_and_outlives_it(front: Front) -> None:
    keys, other = await front.project(), await front.project()
    front.services.play["engine.validate-stack.v1"] = lambda _: Reply(body={"valid": True})
    assert (await front.send("POST", "/v1/validations", keys.server, SEEN)).status == 200
    await front.service.pool.close()
    front.api._gateway.keys._cache_s = 0  # known, but to be read again
    for _ in range(2):
        answer = await front.send("POST", "/v1/validations", keys.server, SEEN)
        assert (answer.status, answer.json) == (200, {"valid": True})
    answer = await front.send("POST", "/v1/validations", other.server, SEEN)
    assert_refused(answer, 503, "service_unavailable")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.integration
async def test_a_projects_rate_is_its_own(front: Front) -> None:
    slow, fast = await front.project(rate_per_minute=2), await front.project()
    for remaining in ("1", "0"):
        answer = await front.send("GET", "/v1/customers", slow.server)
        assert answer.status == 200
        assert answer.headers["x-rate-limit-limit"] == "2"
        assert answer.headers["x-rate-limit-remaining"] == remaining
        assert int(answer.headers["x-rate-limit-retry"]) > 0
    answer = await front.send("GET", "/v1/customers", slow.server)
    assert_refused(answer, 429, "too_many_requests")
    assert answer.json["message"] == "Too many requests hit the API too quickly."
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert answer.headers["x-rate-limit-type"] == "api_calls"
    assert (await front.send("GET", "/v1/customers", fast.server)).status == 200


def key_of(rate: int | None) -> ApiKey:
    return ApiKey("app", "key_1", "server", "proj_1", "hash", {"rate_per_minute": rate})


def test_the_bucket_fills_evenly() -> None:
    now = 100.0
    rates = Rates(1000, now=lambda: now)
    for _ in range(60):
        rates.take(key_of(60), [])
    with pytest.raises(TooManyRequests) as caught:
        rates.take(key_of(60), [])
    assert caught.value.retry_after_s == 1
    now += 0.5
    with pytest.raises(TooManyRequests):
        rates.take(key_of(60), [])
    now += 0.5
    headers: list[Any] = []
    rates.take(key_of(60), headers)
    assert dict(headers)[b"x-rate-limit-remaining"] == b"0"
    now += 10_000
    rates.take(key_of(60), headers := [])
    assert dict(headers)[b"x-rate-limit-remaining"] == b"59"


def test_the_default_rate_stands_in() -> None:
    headers: list[Any] = []
    Rates(1000, now=lambda: 0.0).take(key_of(None), headers)
    assert dict(headers)[b"x-rate-limit-limit"] == b"1000"
