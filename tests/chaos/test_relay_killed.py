"""R16: a relay that dies between sending and saving its cursor loses nothing."""

import asyncio
import os
import secrets
import signal
import sys
from collections import Counter

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer

from runtime import admin, audit, clock, event_store, limits, migrate
from runtime.database import connect
from runtime.event_store import StoredEvent
from runtime.settings import Settings
from runtime.testing.servers import Servers
from tests.chaos.kit import report, say

KILLS = int(os.environ.get("CHAOS_R16_KILLS", "20"))
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180 + 10 * KILLS)]
EVENTS = 3_000
RELAY = """
import asyncio
from runtime.bus import KafkaBus
from runtime.relay import Relay
from runtime.settings import Settings

async def main():
    settings = Settings()
    bus = KafkaBus(settings)
    await bus.start()
    await Relay(settings, "catalog", bus).run()

asyncio.run(main())
"""


async def test_nothing_is_lost_and_little_is_repeated(
    leased_settings: Settings, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RELAY_EVENTS_MAX", 1000)
    settings = leased_settings.model_copy(
        update={
            "kafka_bootstrap_servers": servers.kafka_bootstrap_servers,
            "topic_prefix": f"t{secrets.token_hex(4)}.",
        }
    )
    await _prepare(settings)
    for _ in range(KILLS):
        assert await _run_relay(settings, "relay_after_send") == -signal.SIGKILL
        await _append(settings, EVENTS // KILLS)
    survivor = await _start_relay(settings, "")
    seen = await _read_topic(settings, EVENTS)
    survivor.kill()
    await survivor.wait()
    assert set(seen) == set(range(1, EVENTS + 1)), "every event arrived"
    assert max(seen.values()) <= KILLS + 1
    repeated = sum(seen.values()) - EVENTS
    assert 0 < repeated <= KILLS * limits.RELAY_EVENTS_MAX, "the kills hit after a send"
    assert await _audit(settings) == []
    report("R16", kills=KILLS, events=EVENTS, repeated=repeated, lost=0)
    say(f"R16: {KILLS} kills between sending and saving, {repeated} events repeated, none lost")


async def _audit(settings: Settings) -> list[str]:
    connection = await connect(settings, "catalog")
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = await audit.check_log(connection, "catalog")
    assert await connection.fetchval("SELECT count(*) FROM events") == EVENTS
    await connection.close()
    return found


async def _prepare(settings: Settings) -> None:
    administrator = await asyncpg.connect(settings.database_url)
    await migrate.create_role_and_schema(administrator, settings, "catalog")
    await administrator.close()
    connection = await connect(settings, "catalog")
    await migrate.migrate(connection, [migrate.RUNTIME_MIGRATIONS])
    await connection.close()
    await admin.create_topics(settings, ["catalog.events"])
    # One batch waits from the start, so that the first relay has something to die over.
    await _append(settings, 1)


async def _append(settings: Settings, count: int) -> None:
    connection = await connect(settings, "catalog")
    first = await connection.fetchval("SELECT count(*) + 1 FROM events")
    now = clock.now()
    previous = await connection.fetchval("SELECT hash FROM events ORDER BY position DESC LIMIT 1")
    events = []
    for v in range(first, min(first + count, EVENTS + 1)):
        name = f"ev_{v}"
        previous = event_store.chain_hash(previous or b"", name, "t.v1", v, "{}")
        events.append(
            StoredEvent(
                "p1", "s", v, name, "t.v1", "catalog.events", 0, "{}", previous, now, "", ""
            )
        )
    if events:
        async with connection.transaction():
            await event_store.append(connection, events)
    await connection.close()


async def _start_relay(settings: Settings, crash_at: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RELAY,
        env={
            **os.environ,
            "DATABASE_URL": settings.database_url,
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
            "TOPIC_PREFIX": settings.topic_prefix,
            "CRASH_AT": crash_at,
        },
    )


async def _run_relay(settings: Settings, crash_at: str) -> int:
    process = await _start_relay(settings, crash_at)
    return await asyncio.wait_for(process.wait(), 30)


async def _read_topic(settings: Settings, wanted: int) -> Counter[int]:
    consumer = AIOKafkaConsumer(
        f"{settings.topic_prefix}catalog.events",
        bootstrap_servers=settings.kafka_bootstrap_servers,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    seen: Counter[int] = Counter()
    newest = 0
    async with asyncio.timeout(60):
        while len(seen) < wanted:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    version = int(dict(record.headers)["ce_streamversion"])
                    assert version <= newest + 1, "a gap in the stream"
                    newest = max(newest, version)
                    seen[version] += 1
    await consumer.stop()
    return seen
