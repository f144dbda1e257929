"""The relay wakes when its own process appends, and when a sister process does."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest
import pytest_asyncio

from runtime import clock, event_store, migrate
from runtime.bus import Outgoing
from runtime.database import connect
from runtime.event_store import StoredEvent
from runtime.relay import Relay
from runtime.settings import Settings

pytestmark = pytest.mark.integration
NEVER_S = 3600.0


class Sent:
    """A bus that keeps what is published."""

    def __init__(self) -> None:
        self.records: asyncio.Queue[Outgoing] = asyncio.Queue()

    async def send(self, records: Sequence[Outgoing]) -> None:
        raise NotImplementedError

    async def send_and_wait(self, records: Sequence[Outgoing]) -> None:
        for record in records:
            self.records.put_nowait(record)


@pytest_asyncio.fixture
async def settings(leased_settings: Settings) -> AsyncIterator[Settings]:
    administrator = await asyncpg.connect(leased_settings.database_url)
    await migrate.create_role_and_schema(administrator, leased_settings, "catalog")
    await administrator.close()
    connection = await connect(leased_settings, "catalog")
    await migrate.migrate(connection, [migrate.RUNTIME_MIGRATIONS])
    await connection.close()
    yield leased_settings.model_copy(update={"relay_poll_s": NEVER_S})


async def append(settings: Settings, version: int) -> None:
    connection = await connect(settings, "catalog")
    named = ("p1", "s-1", version, f"ev_{version}", "t.v1", "catalog.events", 0, "{}", b"")
    async with connection.transaction():
        await event_store.append(connection, [StoredEvent(*named, clock.now(), "", "")])
    await connection.close()


async def test_a_relay_that_hardly_ever_looks_is_told(settings: Settings) -> None:
    bus = Sent()
    relays = [Relay(settings, "catalog", bus) for _ in range(2)]
    running = [asyncio.create_task(relay.run()) for relay in relays]
    await append(settings, 1)
    async with asyncio.timeout(30):
        for relay in relays:  # Whichever leads: it may have looked before the event was there.
            relay.wake()
        await bus.records.get()
        for version, appender in enumerate((*relays, *relays), 2):
            await append(settings, version)
            appender.wake()
            await bus.records.get()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert bus.records.empty()
