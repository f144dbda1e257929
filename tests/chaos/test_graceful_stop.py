"""R25: SIGTERM with sixty requests in flight. All are answered, nothing is left unpublished.

The ten seconds count from when the lock is released that keeps the requests in flight.
"""

import asyncio
import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from tessera_stack import services
from tests.chaos.kit import report
from tests.system import Api, System, cart, run, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

IN_FLIGHT = 60
EXIT_S = 10


class Lock:
    """An exclusive lock on the ledger's accounts: whoever redeems waits until it is released."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._taken, self._free = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._hold()))
        self._thread.start()
        assert self._taken.wait(30), "the lock was not granted"

    async def _hold(self) -> None:
        connection = await asyncpg.connect(self._url)
        async with connection.transaction():
            await connection.execute("LOCK TABLE ledger.accounts IN ACCESS EXCLUSIVE MODE")
            self._taken.set()
            await asyncio.to_thread(self._free.wait)
        await connection.close()

    def release(self) -> None:
        """Let them go on."""
        self._free.set()
        self._thread.join()


class Burst:
    """Redemptions sent at once from a thread of their own."""

    def __init__(self, api: Api, code: str, *, retries: int) -> None:
        self.requests = [
            ("POST", "/v1/redemptions", cart(code), uuid.uuid4().hex) for _ in range(IN_FLIGHT)
        ]
        self.answers: list[object] = []
        self._thread = threading.Thread(
            target=lambda: self.answers.extend(run(api.at_once(self.requests, retries=retries)))
        )
        self._thread.start()

    def statuses(self) -> list[int]:
        """Wait for all answers."""
        self._thread.join(120)
        return [answer.status for answer in self.answers]  # type: ignore[attr-defined]


@pytest.fixture
def lock(system: System) -> Iterator[Lock]:
    held = Lock(system.infra.database_url)
    yield held
    held.release()


def _query(system: System, sql: str) -> int:
    async def ask() -> int:
        connection = await asyncpg.connect(system.infra.database_url)
        try:
            return int(await connection.fetchval(sql))
        finally:
            await connection.close()

    return asyncio.run(ask())


def _ledger_waits(system: System) -> bool:
    return bool(
        _query(
            system,
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND application_name = 'tessera-ledger'",
        )
    )


def _unpublished(system: System) -> int:
    return _query(
        system,
        "SELECT (SELECT max(position) FROM ledger.events) - (SELECT position FROM ledger.relay_cursor)",
    )


def _in_flight(system: System) -> int:
    url = f"http://127.0.0.1:{system.state.read()['health']['gateway']}/metrics"
    for line in httpx.get(url, timeout=10).text.splitlines():
        if line.startswith("tessera_http_in_flight "):
            return int(float(line.split()[1]))
    return 0


def _is_refused(address: tuple[str, int]) -> bool:
    try:
        with contextlib.closing(socket.create_connection(address, timeout=5)):
            return False
    except ConnectionRefusedError:
        return True


def _pid(system: System, service: str) -> int:
    return int(services._control(system.state, "pid", service, quiet=True).stdout)


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_gateway_answers_all_and_takes_no_more(system: System, api: Api, lock: Lock) -> None:
    code = api.voucher(quantity=None)
    burst = Burst(api, code, retries=0)
    wait_until(lambda: _in_flight(system) >= IN_FLIGHT, "sixty in flight")
    url = urlsplit(system.env["TESSERA_URL"])
    address = (url.hostname or "127.0.0.1", url.port or 80)
    assert not _is_refused(address)
    pid = _pid(system, "gateway")
    stopping = threading.Thread(target=lambda: system.pause("gateway"))
    stopping.start()
    try:
        wait_until(lambda: _is_refused(address), "new connections refused")
        assert not _is_gone(pid), "refused while the old ones are still being answered"
        began = time.monotonic()
        lock.release()
        wait_until(lambda: _is_gone(pid), "the gateway's end")
        took = time.monotonic() - began
        # On a machine this busy the lock may have outlasted the deadline of some; none is left hanging.
        assert set(burst.statuses()) <= {200, 503}
    finally:
        stopping.join()
        system.resume("gateway")
    assert took <= EXIT_S, f"stopped after {took:.1f} s"
    again = run(api.at_once(burst.requests, retries=100))
    assert [answer.status for answer in again] == [200] * IN_FLIGHT
    report("R25-gateway", in_flight=IN_FLIGHT, exit_s=round(took, 1), lost=0)
    wait_until(lambda: _redeemed(api, code) == IN_FLIGHT, "sixty events reached the read model")
    assert "audit: clean" in system.audit()


def test_the_ledger_ends_its_batch_and_publishes_it(system: System, api: Api, lock: Lock) -> None:
    code = api.voucher(quantity=None)
    burst = Burst(api, code, retries=100)
    wait_until(lambda: _ledger_waits(system), "a batch that waits for the lock")
    wait_until(lambda: _in_flight(system) >= IN_FLIGHT, "sixty in flight")
    before = _query(system, "SELECT max(position) FROM ledger.events")
    pid = _pid(system, "ledger")
    stopping = threading.Thread(target=lambda: system.pause("ledger"))
    stopping.start()
    try:
        wait_until(lambda: not _is_ready(system, "ledger"), "the ledger says it is stopping")
        began = time.monotonic()
        lock.release()
        wait_until(lambda: _is_gone(pid), "the ledger's end")
        took = time.monotonic() - began
        stopping.join()
        assert _query(system, "SELECT max(position) FROM ledger.events") > before
        assert _unpublished(system) == 0, "what was committed was published before the end"
    finally:
        stopping.join()
        system.resume("ledger")
    assert took <= EXIT_S, f"stopped after {took:.1f} s"
    assert burst.statuses() == [200] * IN_FLIGHT
    report("R25-ledger", in_flight=IN_FLIGHT, exit_s=round(took, 1), lost=0)
    wait_until(lambda: _redeemed(api, code) == IN_FLIGHT, "sixty events reached the read model")
    assert "audit: clean" in system.audit()


def _redeemed(api: Api, code: str) -> int:
    return int(api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"])


def _is_ready(system: System, service: str) -> bool:
    return services.is_ready(system.state.read()["health"][service])
