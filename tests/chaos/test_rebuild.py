"""R23: read models are dropped and made again while clients write, and read what they have written."""

import asyncio
import json
import os
import threading
import time
import uuid
from collections import Counter
from typing import Any, Self

import asyncpg
import pytest

from contracts import topics
from runtime import admin, read_model
from runtime.consumer import ProjectionConsumer
from runtime.settings import Settings
from tests.chaos.kit import produce, report, rows, say
from tests.system import Api, System, run, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.full, pytest.mark.timeout(900)]

EVENTS = int(os.environ.get("CHAOS_R23_EVENTS", "5000"))
REBUILD_S_MAX = 300
"""The promise is a minute for a hundred thousand on an idle machine; what it took is reported."""


class Buyer:
    """Redeems a code that nobody else uses, and reads after each redemption how often it was used."""

    def __init__(self, api: Api) -> None:
        self.answers: Counter[str] = Counter()
        self.stale: list[str] = []
        self._api, self._code = api, api.voucher(quantity=None)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self.answers["shown"] > 3, "the buyer is served")
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _go_on(self) -> None:
        done = 0
        while not self._stopped.wait(0.05):
            key = uuid.uuid4().hex
            while self._api.redeem(self._code, key=key).status != 200:
                self.answers["again"] += 1
            done += 1
            shown = self._api.call("GET", f"/v1/vouchers/{self._code}")
            if shown.status == 503:
                self.answers["asked to wait"] += 1
                continue
            used = shown.json["redemption"]["redeemed_quantity"] if shown.status == 200 else -1
            self.answers["shown" if used == done else "stale"] += 1
            if used != done:
                self.stale.append(f"{shown.status}: {used} after {done}")


def _many_customers(system: System, api: Api, count: int) -> None:
    """Let an upstream system tell of customers, so that there is something to rebuild."""
    header = [("ce_project", api.project_id.encode())]
    records = [
        (topics.INTAKE_CUSTOMERS, json.dumps({"source_id": f"up-{n}"}).encode(), header)
        for n in range(count)
    ]
    run(produce(system, records))
    sql = "SELECT count(*) AS n FROM customers.events WHERE project_id = $1"
    wait_until(lambda: rows(system, sql, api.project_id)[0]["n"] >= count, "customers", 600)


def test_r23_a_rebuild_beside_readers_is_equal_and_shows_nothing_stale(
    system: System, api: Api
) -> None:
    _many_customers(system, api, EVENTS)
    assert "audit: clean" in system.audit()
    with Buyer(api) as buyer:
        took_s, events = run(_rebuild(system))
        wait_until(lambda: buyer.answers.total() > 20, "the buyer goes on", 60)
    say(f"R23: {events} events in {took_s:.1f} s; the buyer: {dict(buyer.answers)}")
    assert not buyer.stale, buyer.stale[:5]
    assert events >= EVENTS
    assert "audit: clean" in system.audit(), "every row is what the log says"
    report("R23", events=events, rebuild_s=round(took_s, 1), reads=dict(buyer.answers), lost=0)


async def _rebuild(system: System) -> tuple[float, int]:
    """Drop the gateway's read models; returns the seconds until they had what they had, and of how much."""
    service = admin.build_service("gateway", Settings())
    [consumer] = [one for one in service.consumers if isinstance(one, ProjectionConsumer)]
    connection: Any = await asyncpg.connect(
        system.env["DATABASE_URL"], server_settings={"search_path": "gateway"}
    )
    targets = await connection.fetch(
        "SELECT topic, partition, position FROM consumer_offsets WHERE consumer = $1", consumer.name
    )
    await read_model.set_back(connection, consumer.projection, consumer.name)
    started = time.monotonic()
    async with asyncio.timeout(REBUILD_S_MAX):
        await admin.until_reached(connection, consumer.name, targets)
    took_s = time.monotonic() - started
    sources = {topic.partition(".")[0] for topic in consumer.topics}
    counts = [await connection.fetchval(f"SELECT count(*) FROM {one}.events") for one in sources]
    await connection.close()
    return took_s, sum(counts)
