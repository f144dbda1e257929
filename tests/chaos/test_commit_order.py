"""R15: position order is commit order, so whoever tails the log misses nothing.

With its negative control: the same writers without the lock must lose events, else this test could
not notice a loss.
"""

import asyncio
import random
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from runtime import clock, event_store, migrate
from runtime.database import connect, prepare_connection
from runtime.event_store import StoredEvent
from runtime.settings import Settings

pytestmark = pytest.mark.chaos

WRITERS = 16
TRANSACTIONS = 60
EVENTS = 20
UNLOCKED = """
    INSERT INTO events (project_id, stream_id, stream_version, event_id, type, topic, partition,
                        data, hash, occurred_at, correlation_id, causation_id)
    SELECT project_id, stream_id, stream_version, event_id, type, topic, partition, data::json, hash,
           occurred_at, correlation_id, causation_id
    FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::int[],
                $8::text[], $9::bytea[], $10::timestamptz[], $11::text[], $12::text[])
         AS e(project_id, stream_id, stream_version, event_id, type, topic, partition, data, hash,
              occurred_at, correlation_id, causation_id)
"""


@pytest_asyncio.fixture
async def settings(leased_settings: Settings) -> AsyncIterator[Settings]:
    administrator = await asyncpg.connect(leased_settings.database_url)
    await migrate.create_role_and_schema(administrator, leased_settings, "catalog")
    await administrator.close()
    connection = await connect(leased_settings, "catalog")
    await migrate.migrate(connection, [migrate.RUNTIME_MIGRATIONS])
    await connection.close()
    yield leased_settings


async def test_a_tail_of_the_log_misses_nothing_and_keeps_streams_in_order(
    settings: Settings,
) -> None:
    seen = await _write_and_tail(settings, is_locked=True)
    assert len(seen) == WRITERS * TRANSACTIONS * EVENTS
    versions: dict[str, int] = {}
    for stream, version in seen:
        assert version == versions.get(stream, 0) + 1, f"{stream} out of order"
        versions[stream] = version


async def test_without_the_lock_a_tail_does_miss_events(settings: Settings) -> None:
    for _ in range(5):
        seen = await _write_and_tail(settings, is_locked=False)
        if len(seen) < WRITERS * TRANSACTIONS * EVENTS:
            return
        connection = await connect(settings, "catalog")
        await connection.execute("TRUNCATE events")
        await connection.close()
    pytest.fail("naive polling missed nothing: this test cannot bite")


async def _write_and_tail(settings: Settings, *, is_locked: bool) -> list[tuple[str, int]]:
    chance = random.Random(15)
    done = asyncio.Event()
    tail = asyncio.create_task(_tail(settings, done))
    await asyncio.gather(
        *(
            _writer(settings, f"stream-{number}", chance.random(), is_locked)
            for number in range(WRITERS)
        )
    )
    done.set()
    return await tail


async def _writer(settings: Settings, stream: str, seed: float, is_locked: bool) -> None:
    chance = random.Random(seed)
    connection = await connect(settings, "catalog")
    await prepare_connection(connection)
    for number in range(TRANSACTIONS):
        events = [_event(stream, number * EVENTS + n + 1) for n in range(EVENTS)]
        async with connection.transaction():
            if is_locked:
                await asyncio.sleep(chance.random() * 0.01)
                await event_store.append(connection, events)
            else:
                columns = [list(column) for column in zip(*events, strict=True)]
                await connection.execute(UNLOCKED, *columns)
            if chance.random() < 0.2:
                await asyncio.sleep(chance.random() * 0.02)
    await connection.close()


async def _tail(settings: Settings, done: asyncio.Event) -> list[tuple[str, int]]:
    connection = await connect(settings, "catalog")
    seen = []
    cursor = 0
    while True:
        is_last = done.is_set()
        rows = await event_store.read_after(connection, cursor, 1000)
        seen += [(row["stream_id"], row["stream_version"]) for row in rows]
        if rows:
            cursor = rows[-1]["position"]
        elif is_last:
            await connection.close()
            return seen
        else:
            await asyncio.sleep(0.002)


def _event(stream: str, version: int) -> StoredEvent:
    return StoredEvent(
        project_id="p1",
        stream_id=stream,
        stream_version=version,
        event_id=f"ev_{stream}_{version}",
        type="test.v1",
        topic="catalog.events",
        partition=0,
        data="{}",
        hash=b"",
        occurred_at=clock.now(),
        correlation_id="",
        causation_id="",
    )
