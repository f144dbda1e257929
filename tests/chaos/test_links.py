"""R12, R27: links that delay, reset, swallow or only seem to be there, with TCP proxies in between.

Services talk over Kafka only, so a service's links are those to Kafka and to Postgres: whatever happens
between gateway and ledger, or between the engine and the campaigns' events, happens to one of them.
"""

import asyncio
import os
import time
import uuid
from collections.abc import Callable

import httpx
import pytest

from tests.chaos.journal import CALL_S, Journal, Load, judge
from tests.chaos.kit import is_ready, report, say
from tests.chaos.proxy import Links, Proxy, proxied
from tests.system import Api, System, cart, run, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SEED = int(os.environ.get("CHAOS_SEED", "27"))
FAULT_S = float(os.environ.get("CHAOS_R27_S", "5"))
RECOVERED_S = 90
"""Whoever waits for it fails after this; what it took is reported, and is ten seconds when idle."""
R12_TRIALS = int(os.environ.get("CHAOS_R12_TRIALS", "200"))
LINKS = [
    ("ledger", "postgres"),
    ("ledger", "kafka"),
    ("engine", "kafka"),
    ("gateway", "kafka"),
    ("gateway", "postgres"),
    ("campaigns", "postgres"),
]
FAULTS = ("both ways", "to it", "from it", "half open", "reset", "slow")


def _break(link: Proxy, fault: str) -> float:
    """Bring the fault about; returns for how long it is to stay."""
    if fault == "both ways":
        link.blackhole()
        return FAULT_S
    if fault in {"to it", "from it"}:
        link.blackhole(up=fault == "to it", down=fault == "from it")
        return FAULT_S / 2
    if fault == "half open":
        link.half_open()
    elif fault == "reset":
        link.reset()
    else:
        link.delay(0.1)
        link.throttle(200_000)
        return FAULT_S / 2
    return 0.0


@pytest.mark.full
@pytest.mark.parametrize(("service", "end"), LINKS)
def test_r27_a_link_that_swallows_what_it_is_given(system: System, service: str, end: str) -> None:
    check = f"R27-{service}-{end}"
    journal = Journal(check, SEED)
    say(f"{check}: seed {SEED}, journal {journal.path}")
    took = {}
    with proxied(system, service) as links:
        with Load(system.project(), journal, SEED) as load:
            load.wait_for_calls(10)
            goes_on = _writes_of(service, load)
            for fault in FAULTS:
                took[fault] = _one(links, end, goes_on, fault)
                say(f"{check}: {fault}, well again after {took[fault]:.1f} s")
            load.wait_for_calls(10)
        assert system.deaths == 0, f"{service} died of its link"
    wait_until(lambda: is_ready(system, service), f"{service} on its own again", 90)
    slowest = max(took.values())
    report(check, **judge(system, load, check), faults=len(FAULTS), recovered_s=round(slowest, 1))


def _writes_of(service: str, load: Load) -> Callable[[float], bool]:
    """Return what says whether something that the service does has gone through since an instant."""
    if service != "campaigns":
        return lambda healed: any(call.began > healed for call in load.journal.of("redeem", "ok"))
    campaign = load.api.must("POST", "/v1/campaigns", CAMPAIGN | {"name": uuid.uuid4().hex})["id"]

    def is_changed(healed: float) -> bool:
        began = time.monotonic()
        body = {"metadata": {"n": uuid.uuid4().hex}}
        answer = load.api.call("PUT", f"/v1/campaigns/{campaign}", body)
        took_s = time.monotonic() - began
        assert answer.status in {200, 503}, answer.json
        assert took_s < CALL_S, f"an answer took {took_s:.1f} s"
        return answer.status == 200 and began > healed

    return is_changed


CAMPAIGN = {
    "campaign_type": "DISCOUNT_COUPONS",
    "type": "STATIC",
    "vouchers_count": 1,
    "voucher": {
        "type": "DISCOUNT_VOUCHER",
        "discount": {"type": "AMOUNT", "amount_off": 100, "effect": "APPLY_TO_ORDER"},
    },
}


def _one(links: Links, end: str, goes_on: Callable[[float], bool], fault: str) -> float:
    """Break the link and heal it; returns how long it then took until work went through again."""
    link: Proxy = getattr(links, end)
    stays_s = _break(link, fault)
    # The fault itself: nothing to wait for but its end.
    time.sleep(stays_s)
    link.heal()
    healed = time.monotonic()
    wait_until(lambda: goes_on(healed), f"work after {fault}", RECOVERED_S)
    return time.monotonic() - healed


def test_r12_answers_cut_by_the_network_are_found_again(system: System, api: Api) -> None:
    """The connection is reset when the answer is on its way: the effect is there, the client not told."""
    code = api.voucher(quantity=None)
    requests = [(cart(code), uuid.uuid4().hex) for _ in range(R12_TRIALS)]
    gateway = int(api.url.rpartition(":")[2])
    with Proxy(gateway) as link:
        link.cut_replies()
        told = run(_all_cut(api, f"http://127.0.0.1:{link.port}", requests))
        cut = link.resets
    assert told == 0, "no client got an answer"
    assert cut >= R12_TRIALS
    named = [("POST", "/v1/redemptions", body, key) for body, key in requests]
    answers = run(api.at_once(named, retries=100))
    assert {answer.status for answer in answers} == {200}
    assert {answer.headers.get("idempotency-replayed") for answer in answers} == {"true"}
    again = run(api.at_once(named, retries=20))
    assert [answer.json for answer in again] == [answer.json for answer in answers]
    redeemed = api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"]
    assert redeemed == R12_TRIALS
    assert "audit: clean" in system.audit()
    report("R12-network", answers_cut=cut, lost=0)


async def _all_cut(api: Api, url: str, requests: list[tuple[dict[str, object], str]]) -> int:
    """Send every request until its answer was cut; returns how many got one."""
    room = asyncio.Semaphore(20)

    async def send(body: dict[str, object], key: str) -> int:
        async with room, httpx.AsyncClient(base_url=url, headers=api.headers) as client:
            try:
                headers = {"Idempotency-Key": key}
                await client.post("/v1/redemptions", json=body, headers=headers, timeout=CALL_S)
            except httpx.TransportError:
                return 0
            return 1

    return sum(await asyncio.gather(*(send(*request) for request in requests)))
