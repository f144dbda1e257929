"""R01, R02, R10, R11, R12: one effect per request and never one too many, whatever dies meanwhile.

Each ends with a clean audit. Seeds are fixed for the gate, so that a failure repeats; the full form
(``make chaos``) draws its own and prints them.
"""

import asyncio
import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import httpx
import pytest

from tests.chaos.kit import is_ready, load_factor, report, rows, say, send_signal
from tests.system import Answer, Api, Callers, Json, Request, System, cart, run, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

SEEDS = [int(seed) for seed in os.environ.get("CHAOS_SEEDS", "1,2,3").split(",")]
AT_ONCE = 200


@pytest.fixture(autouse=True)
def audited(system: System) -> Iterator[None]:
    yield
    assert "audit: clean" in system.audit()


def _redemptions(code: str, count: int) -> list[Request]:
    return [("POST", "/v1/redemptions", cart(code), uuid.uuid4().hex) for _ in range(count)]


class Killer:
    """Kills a service inside a burst: not before it began to work, and while answers are missing."""

    def __init__(
        self, system: System, service: str, seed: int, is_over: Callable[[], bool]
    ) -> None:
        self.kills = 0
        self._system, self._service, self._is_over = system, service, is_over
        self._chance = random.Random(seed)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join()
        wait_until(lambda: is_ready(self._system, self._service), f"{self._service} again", 90)

    def _pause_s(self) -> float:
        return self._chance.random() * (0.05 if self.kills == 0 else 0.4)

    def _go_on(self) -> None:
        # The burst waits before a stopped process, so the first kill cannot come too late.
        send_signal(self._system, self._service, signal.SIGSTOP)
        self._stopped.wait(1.0)
        send_signal(self._system, self._service, signal.SIGCONT)
        # The first kill comes at once and the second while the service is starting again, when all that
        # is left must wait: a quick machine would else have answered everything between two kills.
        while not self._stopped.wait(self._pause_s()) and not self._is_over():
            if not send_signal(self._system, self._service, signal.SIGKILL):
                continue
            self.kills += 1
            while (
                self.kills > 1
                and not is_ready(self._system, self._service)
                and not self._stopped.is_set()
            ):
                self._stopped.wait(0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_r01_one_use_two_hundred_clients_and_a_ledger_that_dies(
    system: System, api: Api, seed: int
) -> None:
    code = api.voucher(quantity=1)
    answers: list[Answer] = []
    with Killer(system, "ledger", seed, lambda: len(answers) >= 200) as killer:
        run(_until_definite(api, _redemptions(code, 200), answers))
    say(f"R01: seed {seed}, {killer.kills} kills inside the burst")
    assert killer.kills >= 2, "the ledger died while the burst was on"
    outcome = Counter((answer.status, answer.key) for answer in answers)
    assert outcome == {(200, ""): 1, (400, "quantity_exceeded"): 199}, outcome
    found = api.must("GET", f"/v1/vouchers/{code}")
    assert found["redemption"]["redeemed_quantity"] == 1
    report(f"R01-{seed}", seed=seed, clients=200, kills=killer.kills, lost=0)


def test_r02_a_hundred_uses_five_hundred_clients_and_no_fault(system: System, api: Api) -> None:
    code = api.voucher(quantity=100)
    answers: list[Answer] = []
    took = run(_until_definite(api, _redemptions(code, 500), answers))
    outcome = Counter((answer.status, answer.key) for answer in answers)
    assert outcome == {(200, ""): 100, (400, "quantity_exceeded"): 400}
    p99 = sorted(took)[int(len(took) * 0.99)]
    say(f"R02: p99 {p99:.2f} s at a load of {load_factor():.1f} per core")
    assert p99 <= 30, "two seconds are promised on a quiet machine: the report shows what it was"
    log = rows(
        system,
        "SELECT type FROM ledger.events WHERE project_id = $1 ORDER BY position",
        api.project_id,
    )
    kinds = [row["type"].partition(".")[2] for row in log]
    first_refusal = kinds.index("redemption-failed.v1")
    assert kinds[:first_refusal].count("redemption-succeeded.v1") == 100, "refused too early"
    assert kinds.count("redemption-failed.v1") == 400
    found = api.must("GET", f"/v1/vouchers/{code}")
    assert found["redemption"]["redeemed_quantity"] == 100
    report("R02", clients=500, p99_s=round(p99, 2), lost=0)


R10_KEYS, R10_TIMES = 200, 50
R10_S = float(os.environ.get("CHAOS_R10_S", "30"))


def test_r10_the_same_key_at_once_has_one_effect_and_one_answer(api: Api) -> None:
    code = api.voucher(quantity=None)
    started, keys = time.monotonic(), 0
    while keys < R10_KEYS and time.monotonic() - started < R10_S:
        wave = [request for request in _redemptions(code, 10) for _ in range(R10_TIMES)]
        answers: dict[str, list[Answer]] = {}
        for request, answer in zip(wave, run(api.at_once(wave, retries=60)), strict=True):
            answers.setdefault(request[3], []).append(answer)
        for same in answers.values():
            assert [answer.status for answer in same] == [200] * R10_TIMES
            assert all(answer.json == same[0].json for answer in same), "one key, two answers"
            replayed = [answer.headers.get("idempotency-replayed") == "true" for answer in same]
            assert replayed.count(False) <= 1, "only the first answer is no replay"
        keys += len(answers)
    say(f"R10: {keys} keys, each {R10_TIMES} times at once")
    assert keys >= 20
    assert api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"] == keys
    report("R10", keys=keys, times=R10_TIMES, lost=0)


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
    report("R11", requests=4, lost=0)


R12_TRIALS = int(os.environ.get("CHAOS_R12_TRIALS", "200")) // 2


def test_r12_a_reply_cut_after_the_commit_is_found_again(system: System, api: Api) -> None:
    code = api.voucher(quantity=None)
    requests = _redemptions(code, 12)
    with system.instead_of("ledger", CRASH_AT="before_reply:2"):
        first = [run(api.at_once([request], retries=100))[0] for request in requests]
    assert system.deaths >= 3, "the ledger died before its replies"
    assert {answer.status for answer in first} == {200}
    again = run(api.at_once(requests, retries=20))
    assert [answer.json for answer in again] == [answer.json for answer in first]
    assert api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"] == 12


@pytest.mark.full
def test_r12_replies_cut_between_ledger_and_gateway_are_found_again(
    system: System, api: Api
) -> None:
    """The ledger dies after the commit and before the replies of a whole batch."""
    code = api.voucher(quantity=None)
    cut, sent = 0, 0
    with system.instead_of("ledger", CRASH_AT="before_reply:2"):
        while cut < R12_TRIALS and sent < 5 * R12_TRIALS:
            requests = _redemptions(code, 60)
            sent += len(requests)
            first = run(api.at_once(requests, retries=200))
            assert {answer.status for answer in first} == {200}
            # Whoever was told a replay had lost the first reply, and found it by its key.
            cut += sum("idempotency-replayed" in answer.headers for answer in first)
    again = run(api.at_once(requests, retries=20))
    assert [answer.json for answer in again] == [answer.json for answer in first]
    say(f"R12: {cut} replies cut by {system.deaths} deaths in {sent} requests, all found again")
    assert system.deaths >= 1
    assert cut >= R12_TRIALS
    assert api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"] == sent
    report("R12-ledger", replies_cut=cut, kills=system.deaths, lost=0)


@pytest.mark.full
def test_r12_connections_cut_between_client_and_gateway_find_their_answer(api: Api) -> None:
    """The client's connection is reset at a random moment after it has sent its request."""
    code = api.voucher(quantity=None)
    requests = _redemptions(code, R12_TRIALS)
    run(_cut_all(api, requests, random.Random(12)))
    answers = _in_waves(api, requests)
    assert {answer.status for answer in answers} == {200}
    replayed = sum("idempotency-replayed" in answer.headers for answer in answers)
    say(f"R12: {len(requests)} connections cut; {replayed} redemptions had been done by then")
    again = _in_waves(api, requests)
    assert [answer.json for answer in again] == [answer.json for answer in answers]
    assert replayed > 0, "some connections were cut after the commit"
    redeemed = api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"]
    assert redeemed == len(requests)
    report("R12-client", connections_cut=len(requests), found_done=replayed, lost=0)


# -- clients --------------------------------------------------------------------------------------


@contextmanager
def _client(api: Api, connections: int) -> Iterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=None)
    yield httpx.AsyncClient(base_url=api.url, headers=api.headers, timeout=60, limits=limits)


async def _until_definite(api: Api, requests: list[Request], answers: list[Answer]) -> list[float]:
    """Send all at once, each until its answer is definite; returns what each took."""

    async def send(callers: Callers, request: Request) -> float:
        started = time.monotonic()
        while time.monotonic() - started < 180:
            answer = await callers.ask(request)
            if answer is not None and answer.is_definite:
                answers.append(answer)
                return time.monotonic() - started
            assert answer is None or "retry-after" in answer.headers
            await asyncio.sleep(0.2)
        raise AssertionError(f"no definite answer: {request}")

    async with api.callers(len(requests)) as callers:
        return list(await asyncio.gather(*(send(callers, one) for one in requests)))


def _in_waves(api: Api, requests: list[Request]) -> list[Answer]:
    """Send all, no more at once than the gateway takes, each until its answer is definite."""
    answers: list[Answer] = []
    for start in range(0, len(requests), AT_ONCE):
        answers += run(api.at_once(requests[start : start + AT_ONCE], retries=100))
    return answers


async def _cut_all(api: Api, requests: list[Request], chance: random.Random) -> None:
    """Send each request and reset its connection a moment later, its answer unread."""

    async def cut(request: Request, after_s: float) -> Any:
        method, path, body, key = request
        with _client(api, 1) as client:
            async with client:
                sending = client.request(method, path, json=body, headers={"Idempotency-Key": key})
                try:
                    return await asyncio.wait_for(sending, after_s)
                except (TimeoutError, httpx.TransportError):
                    return None

    for start in range(0, len(requests), 10):
        await asyncio.gather(
            *(cut(one, 0.005 + chance.random() * 0.3) for one in requests[start : start + 10])
        )


R06_REDEMPTIONS = int(os.environ.get("CHAOS_R06_REDEMPTIONS", "100"))
R06_CREDITS = 2_000 * R06_REDEMPTIONS


@pytest.mark.full
def test_r06_each_redemption_is_given_back_once_however_often_it_is_asked(api: Api) -> None:
    code, card = api.voucher(quantity=R06_REDEMPTIONS), f"G-{uuid.uuid4().hex[:10]}"
    gift = {"type": "GIFT_VOUCHER", "gift": {"amount": R06_CREDITS, "effect": "APPLY_TO_ORDER"}}
    api.must("POST", f"/v1/vouchers/{card}", gift)
    stacks = [
        ("POST", "/v1/redemptions", cart(code, card), uuid.uuid4().hex)
        for _ in range(R06_REDEMPTIONS)
    ]
    made = _in_waves(api, stacks)
    assert {answer.status for answer in made} == {200}
    spent = R06_CREDITS - api.must("GET", f"/v1/vouchers/{card}")["gift"]["balance"]
    assert spent == R06_REDEMPTIONS * 1_900
    back: list[Request] = [
        (
            "POST",
            f"/v1/redemptions/{answer.json['parent_redemption']['id']}/rollbacks",
            {},
            uuid.uuid4().hex,
        )
        for answer in made
        for _ in range(2)
    ]
    random.Random(6).shuffle(back)
    outcome = Counter((one.status, one.key) for one in _in_waves(api, back))
    assert outcome == {
        (200, ""): R06_REDEMPTIONS,
        (400, "already_rolled_back"): R06_REDEMPTIONS,
    }
    assert api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"] == 0
    assert api.must("GET", f"/v1/vouchers/{card}")["gift"]["balance"] == R06_CREDITS
    report("R06", redemptions=R06_REDEMPTIONS, asked=len(back), lost=0)


@pytest.mark.full
def test_r04_fifty_codes_share_a_budget_and_a_customer_has_one(system: System, api: Api) -> None:
    """A budget of 20.00 and codes of 1.00: twenty uses, however many codes and clients there are."""
    rules = {
        "1": {"name": "campaign.orders.amount_discounted", "conditions": {"$less_than": [2_001]}},
        "2": {
            "name": "campaign.redemptions.customers_count",
            "conditions": {"$less_than_or_equal": [1]},
        },
    }
    codes = _campaign_codes(api, 50, rules)
    ours = [
        ("POST", "/v1/redemptions", cart(code, customer="one"), uuid.uuid4().hex) for code in codes
    ]
    outcome = Counter(one.status for one in run(api.at_once(ours, retries=60)))
    assert outcome == {200: 1, 400: 49}, "one customer has one use of the campaign"
    others = [
        ("POST", "/v1/redemptions", cart(code), uuid.uuid4().hex) for code in codes for _ in "ab"
    ]
    outcome = Counter(one.status for one in run(api.at_once(others, retries=60)))
    assert outcome == {200: 19, 400: 81}, "the budget is spent to the cent and no further"
    sql = "SELECT account, used, limit_amount FROM ledger.accounts WHERE project_id = $1"
    for row in rows(system, sql, api.project_id):
        if row["account"].startswith("campaign-discount/"):
            assert (row["used"], row["limit_amount"]) == (2_000, 2_000)
    report("R04", clients=150, lost=0)


def _campaign_codes(api: Api, count: int, rules: Json) -> list[str]:
    rules["logic"] = "1 and 2"
    rule = api.must("POST", "/v1/validation-rules", {"name": "shared", "rules": rules})
    discount = {"type": "AMOUNT", "amount_off": 100, "effect": "APPLY_TO_ORDER"}
    campaign = {
        "name": f"Shared {uuid.uuid4().hex[:6]}",
        "campaign_type": "DISCOUNT_COUPONS",
        "type": "STATIC",
        "vouchers_count": count,
        "validation_rules": [rule["id"]],
        "voucher": {"type": "DISCOUNT_VOUCHER", "discount": discount},
    }
    made = api.must("POST", "/v1/campaigns", campaign)
    path = f"/v1/vouchers?campaign_id={made['id']}&limit=100"
    listed = wait_until(
        lambda: (found := api.must("GET", path))["total"] == count and found, "codes", 60
    )
    return [voucher["code"] for voucher in listed["vouchers"]]
