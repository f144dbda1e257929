"""R15: position order is commit order, so the relay, which tails the log, misses nothing.

With its negative control: the same writers without the lock must lose events, else this test could
not notice a loss. Both end with the audit of the log they wrote.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest
import pytest_asyncio

from runtime import audit, clock, event_store, migrate
from runtime.bus import Outgoing
from runtime.database import connect, prepare_connection
from runtime.event_store import StoredEvent
from runtime.relay import Relay
from runtime.settings import Settings
from tests.chaos.kit import report

pytestmark = pytest.mark.chaos

WRITERS = 16
TRANSACTIONS = 60
EVENTS = 20
ALL = WRITERS * TRANSACTIONS * EVENTS
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


class Recorder:
    """A bus that keeps what the relay publishes."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    async def send(self, records: Sequence[Outgoing]) -> None:
        raise AssertionError("a relay waits for the broker")

    async def send_and_wait(self, records: Sequence[Outgoing]) -> None:
        for record in records:
            headers = dict(record.headers)
            self.seen.append((headers["ce_stream"].decode(), int(headers["ce_streamversion"])))


async def test_the_relay_misses_nothing_and_keeps_streams_in_order(settings: Settings) -> None:
    bus = Recorder()
    relay = asyncio.create_task(Relay(settings, "catalog", bus).run())
    await _write(settings, is_locked=True)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(60):
            while len(bus.seen) < ALL:
                await asyncio.sleep(0.05)
    _is_whole_and_in_order(bus.seen)
    await asyncio.sleep(0.2)  # the cursor is saved after the last batch was sent
    relay.cancel()
    report("R15", writers=WRITERS, events=ALL, lost=0)
    assert await _audit(settings) == []


async def test_a_tail_of_the_log_misses_nothing_and_keeps_streams_in_order(
    settings: Settings,
) -> None:
    _is_whole_and_in_order(await _write_and_tail(settings, is_locked=True))
    assert [one for one in await _audit(settings) if "published" not in one] == []


async def test_without_the_lock_a_tail_does_miss_events(settings: Settings) -> None:
    for _ in range(5):
        seen = await _write_and_tail(settings, is_locked=False)
        if len(seen) < ALL:
            return
        connection = await connect(settings, "catalog")
        await connection.execute("TRUNCATE events")
        await connection.close()
    pytest.fail("naive polling missed nothing: this test cannot bite")


def _is_whole_and_in_order(seen: list[tuple[str, int]]) -> None:
    assert len(seen) == ALL, f"{ALL - len(seen)} events missed"
    versions: dict[str, int] = {}
    for stream, version in seen:
        assert version == versions.get(stream, 0) + 1, f"{stream} out of order"
        versions[stream] = version


async def _audit(settings: Settings) -> list[str]:
    connection = await connect(settings, "catalog")
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = await audit.check_log(connection, "catalog")
        found += await audit.check_relay(connection, "catalog")
    await connection.close()
    return found


async def _write_and_tail(settings: Settings, *, is_locked: bool) -> list[tuple[str, int]]:
    done = asyncio.Event()
    tail = asyncio.create_task(_tail(settings, done))
    await _write(settings, is_locked=is_locked)
    done.set()
    return await tail


async def _write(settings: Settings, *, is_locked: bool) -> None:
    chance = random.Random(15)
    await asyncio.gather(
        *(
            _writer(settings, f"stream-{number}", chance.random(), is_locked)
            for number in range(WRITERS)
        )
    )


async def _writer(settings: Settings, stream: str, seed: float, is_locked: bool) -> None:
    chance = random.Random(seed)
    connection = await connect(settings, "catalog")
    await prepare_connection(connection)
    events: list[StoredEvent] = []
    for number in range(TRANSACTIONS):
        previous = events[-1].hash if events else b""
        events = []
        for version in range(number * EVENTS + 1, (number + 1) * EVENTS + 1):
            events.append(_event(stream, version, previous))
            previous = events[-1].hash
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


def _event(stream: str, version: int, previous: bytes) -> StoredEvent:
    event_id = f"ev_{stream}_{version}"
    return StoredEvent(
        project_id="p1",
        stream_id=stream,
        stream_version=version,
        event_id=event_id,
        type="test.v1",
        topic="catalog.events",
        partition=0,
        data="{}",
        hash=event_store.chain_hash(previous, event_id, "test.v1", version, "{}"),
        occurred_at=clock.now(),
        correlation_id="",
        causation_id="",
    )
