"""R01, R02, R10, R11, R12 in their short forms. Each ends with a clean audit."""

import threading
import time
import uuid
from collections import Counter

import pytest

from tests.system import Api, System, cart, run

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def audited(system: System) -> object:
    yield
    assert "audit: clean" in system.audit()


def test_r01_one_use_two_hundred_clients_and_a_ledger_that_dies(system: System, api: Api) -> None:
    code = api.voucher(quantity=1)
    requests = [("POST", "/v1/redemptions", cart(code), uuid.uuid4().hex) for _ in range(200)]
    stop = threading.Event()
    kills = 0

    def kill_again_and_again() -> None:
        nonlocal kills
        while not stop.wait(0.7 if kills == 0 else 2.5):
            system.kill("ledger")
            kills += 1

    killer = threading.Thread(target=kill_again_and_again)
    killer.start()
    try:
        answers = run(api.at_once(requests, retries=200))
        # The burst may be over before the first kill: go on until at least two have hit.
        while kills < 2:
            answers += run(
                api.at_once(
                    [(m, p, cart(code), uuid.uuid4().hex) for m, p, *_ in requests[:20]],
                    retries=200,
                )
            )
    finally:
        stop.set()
        killer.join()
    outcome = Counter((answer.status, answer.key) for answer in answers)
    assert outcome[200, ""] == 1, outcome
    assert set(outcome) == {(200, ""), (400, "quantity_exceeded")}, outcome
    found = api.must("GET", f"/v1/vouchers/{code}")
    assert found["redemption"]["redeemed_quantity"] == 1


def test_r02_a_hundred_uses_five_hundred_clients_and_no_fault(api: Api) -> None:
    code = api.voucher(quantity=100)
    requests = [("POST", "/v1/redemptions", cart(code), uuid.uuid4().hex) for _ in range(500)]
    started = time.monotonic()
    answers = run(api.at_once(requests, retries=10))
    took = time.monotonic() - started
    outcome = Counter((answer.status, answer.key) for answer in answers)
    assert outcome == {(200, ""): 100, (400, "quantity_exceeded"): 400}
    assert took < 60
    found = api.must("GET", f"/v1/vouchers/{code}")
    assert found["redemption"]["redeemed_quantity"] == 100


def test_r10_the_same_key_at_once_has_one_effect_and_one_answer(api: Api) -> None:
    code = api.voucher(quantity=None)
    bodies = {uuid.uuid4().hex: cart(code) for _ in range(20)}
    requests = [
        ("POST", "/v1/redemptions", body, key) for key, body in bodies.items() for _ in range(25)
    ]
    answers = run(api.at_once(requests, retries=40))
    by_key: dict[str, set[str]] = {}
    for (_, _, _, key), answer in zip(requests, answers, strict=True):
        assert answer.status == 200, answer.json
        by_key.setdefault(key, set()).add(answer.json["redemptions"][0]["id"])
    assert all(len(ids) == 1 for ids in by_key.values())
    assert len({next(iter(ids)) for ids in by_key.values()}) == 20
    assert api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"] == 20


def test_r11_a_key_belongs_to_one_request_of_one_project(system: System, api: Api) -> None:
    code = api.voucher(quantity=None)
    key = uuid.uuid4().hex
    body = cart(code)
    assert api.call("POST", "/v1/redemptions", body, key=key).status == 200
    other_body = api.call("POST", "/v1/redemptions", cart(code), key=key)
    assert (other_body.status, other_body.key) == (409, "idempotency_key_reused")
    other_endpoint = api.call("POST", "/v1/customers", {"source_id": "x"}, key=key)
    assert (other_endpoint.status, other_endpoint.key) == (409, "idempotency_key_reused")
    assert api.call("GET", "/v1/customers/x").status == 404
    assert api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"] == 1
    other = system.project()
    other.voucher(quantity=None, code=code)
    assert other.call("POST", "/v1/redemptions", body, key=key).status == 200


def test_r12_a_reply_cut_after_the_commit_is_found_again(system: System, api: Api) -> None:
    code = api.voucher(quantity=None)
    bodies = [cart(code) for _ in range(12)]
    keys = [uuid.uuid4().hex for _ in bodies]
    with system.instead_of("ledger", CRASH_AT="before_reply:2"):
        answers = [
            run(api.at_once([("POST", "/v1/redemptions", body, key)], retries=100))[0]
            for body, key in zip(bodies, keys, strict=True)
        ]
    assert system.deaths >= 3, "the ledger died before its replies"
    assert [answer.status for answer in answers] == [200] * len(bodies)
    again = [
        api.call("POST", "/v1/redemptions", body, key=key)
        for body, key in zip(bodies, keys, strict=True)
    ]
    assert [a.json["redemptions"][0]["id"] for a in again] == [
        a.json["redemptions"][0]["id"] for a in answers
    ]
    assert api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"] == 12
