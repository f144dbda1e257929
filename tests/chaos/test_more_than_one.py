"""R22: two ledgers, two engines, two gateways. One of each is killed, or paused for longer than its session
lasts; the other takes over, and the one that comes back applies nothing twice. Then a rolling restart
without a failed request.
"""

import asyncio
import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any, Self

import httpx
import pytest

from runtime.event_store import RELAY_LOCK
from tessera_stack import services
from tests.chaos.journal import Journal, Load, judge
from tests.chaos.kit import is_ready, metric, report, rows, say
from tests.system import Api, System, cart, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.full, pytest.mark.timeout(900)]

SEED = int(os.environ.get("CHAOS_SEED", "22"))
PAUSE_S = float(os.environ.get("CHAOS_R22_S", "25"))
"""Longer than a member's session with the broker, and than Postgres waits for a silent process."""
SCALED = ("ledger", "engine", "gateway")
REJOIN_S = 60


@pytest.fixture(scope="module")
def urls(system: System) -> Iterator[list[str]]:
    with system.scaled(**dict.fromkeys(SCALED, 2)) as gateways:
        assert len(gateways) == 2
        yield gateways


def _pid(system: System, name: str) -> int:
    told = services._control(system.state, "pid", name, quiet=True).stdout.strip()
    return int(told) if told.isdigit() else 0


def _one(system: System, sql: str) -> int:
    return int(rows(system, sql)[0][0])


def _relays(system: System) -> dict[str, int]:
    """Return how many processes hold each service's relay lock."""
    found = rows(
        system,
        """
        SELECT n.nspname AS service, count(*) AS leaders
        FROM pg_locks l JOIN pg_namespace n ON l.objid = hashtext(n.nspname)::bigint & 4294967295
        WHERE l.locktype = 'advisory' AND l.classid = $1 AND l.granted GROUP BY n.nspname
        """,
        RELAY_LOCK,
    )
    return {row["service"]: row["leaders"] for row in found}


def _all_see(load: Load, gateways: list[str]) -> None:
    """Wait until every gateway and engine knows the codes: whoever wrote them is not asked here."""
    for url in gateways:
        api = Api(url, load.api.headers, load.api.project_id)
        for code in [*load.limited, *load.endless, *load.cards]:
            wait_until(
                lambda api=api, code=code: (
                    (told := api.call("POST", "/v1/validations", cart(code))).status == 200
                    and told.json["valid"]
                ),
                f"{code} at {url}",
            )


@pytest.mark.parametrize("service", SCALED)
def test_r22_one_of_two_is_killed_and_paused(system: System, urls: list[str], service: str) -> None:
    check = f"R22-{service}"
    journal = Journal(check, SEED)
    say(f"{check}: seed {SEED}, journal {journal.path}")
    load = Load(system.project(), journal, SEED, urls=urls, may_hang=service == "gateway")
    _all_see(load, urls)
    names = [service, f"{service}-2"]
    with load:
        load.wait_for_calls(10)
        for name in names:
            os.kill(_pid(system, name), signal.SIGKILL)
            load.wait_for_calls(20)
            wait_until(lambda name=name: is_ready(system, name), f"{name} ready again", 90)
        for name in names:
            _pause(system, load, name)
    facts = judge(system, load, check)
    assert all(count == 1 for count in _relays(system).values()), _relays(system)
    report(check, **facts, kills=2, pauses=2, pause_s=PAUSE_S)


def _pause(system: System, load: Load, name: str) -> None:
    pid = _pid(system, name)
    before = metric(system, name, "tessera_batch_records_count")
    os.kill(pid, signal.SIGSTOP)
    try:
        paused = time.monotonic()
        load.wait_for_calls(10, PAUSE_S)
        if name.partition("-")[0] == "ledger":
            head = _one(system, "SELECT max(position) FROM ledger.events")
            wait_until(
                lambda: _one(system, "SELECT position FROM ledger.relay_cursor") >= head,
                "somebody publishes, also when the relay is the one that is paused",
                PAUSE_S,
            )
        # The pause is the fault itself: nothing to wait for but its end.
        time.sleep(max(0.0, PAUSE_S - (time.monotonic() - paused)))
        in_pause = sum(call.ended > paused for call in load.journal.calls)
    finally:
        os.kill(pid, signal.SIGCONT)
    resumed = time.monotonic()
    say(f"{name} paused for {PAUSE_S:.0f} s; {in_pause} calls ended meanwhile")
    assert in_pause > 0, "the other one did the work"
    wait_until(
        lambda: (
            is_ready(system, name) and metric(system, name, "tessera_batch_records_count") > before
        ),
        f"{name} takes part again",
        REJOIN_S,
    )
    say(f"{name} takes part again {time.monotonic() - resumed:.1f} s after its pause")


def test_each_service_has_one_relay(system: System, urls: list[str]) -> None:
    assert urls
    expected = {name: 1 for name in services.SERVICES if name != "engine"}
    wait_until(lambda: _relays(system) == expected, "one relay each")


class Shop:
    """Redeems and validates without a pause, one connection a request, as a load balancer's client.

    A gateway that takes no connection is passed over; everything else must be answered definitely.
    """

    def __init__(self, api: Api, urls: list[str], code: str) -> None:
        self._api, self._urls, self._code = api, urls, code
        self.answers: Counter[str] = Counter()
        self.passed_over = 0
        self.slowest_s = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self.answers.total() > 20, "the shop is open")
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join()

    async def _serve(self) -> None:
        await asyncio.gather(*(self._customer(number) for number in range(6)))

    async def _customer(self, number: int) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(
            headers=self._api.headers, timeout=30, limits=limits
        ) as client:
            turn = number
            while not self._stopped.is_set():
                turn += 1
                await self._ask(client, turn)
                await asyncio.sleep(0.1)

    async def _ask(self, client: httpx.AsyncClient, turn: int) -> None:
        path = "/v1/redemptions" if turn % 3 else "/v1/validations"
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        began = time.monotonic()
        for attempt in range(100):
            url = self._urls[(turn + attempt) % len(self._urls)] + path
            try:
                answer = await client.post(url, json=cart(self._code), headers=headers)
            except httpx.ConnectError:
                self.passed_over += 1
                await asyncio.sleep(0.02)
                continue
            except httpx.TransportError as error:
                self.answers[type(error).__name__] += 1
                return
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self.answers[_told(answer)] += 1
            return
        self.answers["no gateway"] += 1


def _told(answer: httpx.Response) -> str:
    body: Any = answer.json()
    is_done = answer.status_code == 200 and body.get("valid", True)
    return "ok" if is_done else f"{answer.status_code} {body.get('key', 'not valid')}"


def test_a_rolling_restart_fails_no_request(system: System, urls: list[str]) -> None:
    api = system.project()
    code = api.voucher(quantity=None)
    for url in urls:
        other = Api(url, api.headers, api.project_id)
        wait_until(
            lambda other=other: (
                (told := other.call("POST", "/v1/validations", cart(code))).status == 200
                and told.json["valid"]
            ),
            f"{code} at {url}",
        )
    pids = {name: _pid(system, name) for name in system.state.read()["health"]}
    with Shop(api, urls, code) as shop:
        system.restart()
        wait_until(lambda: shop.answers.total() > 100, "the shop stays open")
    after = {name: _pid(system, name) for name in pids}
    assert all(after[name] != pid for name, pid in pids.items()), "all were restarted"
    say(
        f"rolling restart of {len(pids)} processes: {dict(shop.answers)}, slowest"
        f" {shop.slowest_s:.1f} s, {shop.passed_over} connections refused"
    )
    assert set(shop.answers) == {"ok"}, shop.answers
    report(
        "rolling restart",
        requests=shop.answers["ok"],
        failed=0,
        slowest_s=round(shop.slowest_s, 1),
    )
    assert "audit: clean" in system.audit()
