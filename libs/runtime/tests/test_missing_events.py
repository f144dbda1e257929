"""An event that is in its owner's log and not in the topic stops its partition loudly (R20)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import counter_service as counter
import httpx
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from counter_service import Count
from prometheus_client import REGISTRY

from contracts import topics
from contracts.messages import Envelope
from runtime import admin, event_store
from runtime.bus import KafkaBus, Outgoing
from runtime.consumer import ProjectionConsumer
from runtime.database import connect
from runtime.relay import Cursor, chained, read_cursor
from runtime.service import Service
from runtime.settings import Settings

NOTHING = Cursor(0, {})


def rows(*places: tuple[int, int]) -> list[Any]:
    return [{"topic": "catalog.events", "partition": n, "position": p} for n, p in places]


def test_each_event_names_the_one_before_it_in_its_partition() -> None:
    previous, cursor = chained(rows((0, 3), (1, 4), (0, 7)), NOTHING)
    assert previous == [0, 0, 3]
    assert cursor == Cursor(7, {"catalog.events/0": 7, "catalog.events/1": 4})
    previous, cursor = chained(rows((1, 9)), cursor)
    assert (previous, cursor.position) == ([4], 9)


async def until(look: Callable[[], Awaitable[bool]], what: str, timeout_s: float = 60) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            while not await look():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {timeout_s} s: {what}") from None


async def count(gateway: Service, name: str) -> None:
    reply = await gateway.rpc.call("catalog.commands", name, Count(name=name, by=1), project_id="p")
    assert reply.status == 200


async def totals(catalog: Service) -> dict[str, int]:
    async with catalog.pool.acquire() as connection:
        found = await connection.fetch("SELECT name, total FROM counters")
    return {row["name"]: row["total"] for row in found}


async def is_ready(catalog: Service) -> tuple[int, str]:
    async with httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{catalog.health_port}/health/ready"
        answer = await client.get(url)
    return answer.status_code, answer.json().get("reason", "")


def missing_partitions() -> float | None:
    name = "tessera_missing_events_partitions"
    return REGISTRY.get_sample_value(name, {"consumer": "projection"})


class Leaky:
    """A bus that loses one event of a partition, as no broker should, and delivers what follows."""

    def __init__(self, bus: KafkaBus, name: str) -> None:
        self._bus, self._name = bus, name
        self.lost: list[Outgoing] = []

    async def send(self, records: Sequence[Outgoing]) -> None:
        await self._bus.send(records)

    async def send_and_wait(self, records: Sequence[Outgoing]) -> None:
        kept = [one for one in records if f'"name":"{self._name}"'.encode() not in one.value]
        self.lost += [one for one in records if one not in kept]
        await self._bus.send_and_wait(kept)


def names_of_partition(number: int, count_: int, settings: Settings) -> list[str]:
    """Return names of counters whose streams share a partition."""
    every = (f"n{index}" for index in range(10_000))
    partitions = settings.event_partitions
    found = (
        name
        for name in every
        if event_store.partition_of("p", f"counter-{name}", partitions) == number
    )
    return [next(found) for _ in range(count_)]


@pytest.mark.integration
async def test_a_lost_event_stops_its_partition_until_it_is_published_again(
    catalog: Service,
    gateway: Service,
    kafka_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admin, "build_service", lambda name, given: counter.build(given))
    monkeypatch.setattr(topics, "SERVICES", ("catalog", "gateway"))
    first, lost, after, last = names_of_partition(1, 4, kafka_settings)
    [elsewhere] = names_of_partition(0, 1, kafka_settings)
    assert catalog.relay is not None
    assert isinstance(catalog.bus, KafkaBus)
    leaky = Leaky(catalog.bus, lost)
    monkeypatch.setattr(catalog.relay, "_bus", leaky)
    for name in (first, lost, after, elsewhere):
        await count(gateway, name)

    async def stands_still() -> bool:
        return (await is_ready(catalog))[0] == 503

    await until(stands_still, "the service says that it is not ready")
    assert len(leaky.lost) == 1
    position = Envelope.from_headers(leaky.lost[0].headers).position
    _, reason = await is_ready(catalog)
    assert f"projection: missing in catalog.events/1: position {position} after" in reason
    assert missing_partitions() == 1

    async def others_go_on() -> bool:
        return await totals(catalog) == {first: 1, elsewhere: 1}

    await until(others_go_on, "the other partition goes on, this one waits")
    await count(gateway, last)
    await admin.republish(kafka_settings, ["catalog"])
    await count(gateway, first)

    async def all_there() -> bool:
        expected = {first: 2, lost: 1, after: 1, last: 1, elsewhere: 1}
        return await totals(catalog) == expected

    await until(all_there, "everything has come, once")
    assert (await is_ready(catalog))[0] == 200
    assert missing_partitions() == 0


@pytest.mark.integration
async def test_records_that_were_deleted_before_they_were_read_are_missed(
    catalog: Service, gateway: Service, kafka_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "SERVICES", ("catalog", "gateway"))
    names = names_of_partition(1, 4, kafka_settings)
    for name in names:
        await count(gateway, name)

    async def shows_all() -> bool:
        return await totals(catalog) == dict.fromkeys(names, 1)

    await until(shows_all, "the projection")
    async with catalog.pool.acquire() as connection:
        await connection.execute("DELETE FROM counters WHERE name <> $1", names[0])
        first = await connection.fetchval("SELECT min(position) FROM events")
    await catalog.stop()
    connection = await connect(kafka_settings, "catalog")
    await connection.execute(
        """
        UPDATE consumer_offsets SET next_offset = 1, position = $1
        WHERE consumer = 'projection' AND partition = 1
        """,
        first,
    )
    await connection.close()
    await delete_records(kafka_settings, "catalog.events", 1, before=3)
    again = counter.build(kafka_settings)
    starting = asyncio.create_task(again.start())
    try:
        projection = again.consumers[-1]
        assert isinstance(projection, ProjectionConsumer)

        async def stands_still() -> bool:
            return list(projection.missing) == [("catalog.events", 1)]

        await until(stands_still, "two of three are missing")
        assert await totals(again) == {names[0]: 1}
        assert not starting.done(), "not ready"
        await admin.republish(kafka_settings, ["catalog"])

        async def has_all() -> bool:
            return await totals(again) == dict.fromkeys(names, 1)

        await until(has_all, "they came")
        await asyncio.wait_for(starting, 30)
        assert not projection.missing
    finally:
        await again.stop()


async def delete_records(settings: Settings, topic: str, number: int, *, before: int) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await client.start()
    try:
        place = TopicPartition(f"{settings.topic_prefix}{topic}", number)
        await client.delete_records({place: RecordsToDelete(before_offset=before)})
    finally:
        await client.close()


@pytest.mark.integration
async def test_who_is_behind_misses_nothing_when_the_log_is_published_beside_new_events(
    catalog: Service, gateway: Service, kafka_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "SERVICES", ("catalog", "gateway"))
    names = names_of_partition(1, 30, kafka_settings)
    stood_still: list[object] = []
    projection = catalog.consumers[-1]
    assert isinstance(projection, ProjectionConsumer)
    monkeypatch.setattr(projection, "_stand_still", stood_still.append)
    async with catalog.pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("LOCK TABLE counters")
        for name in names[:10]:
            await count(gateway, name)
        set_back = admin._set_back

        async def set_back_among_new_events(settings: Settings, ends: Any) -> None:
            await set_back(settings, ends)
            for name in names[10:20]:
                await count(gateway, name)
            await until(has_had_its_chance, "the relay publishes them, unless it has stepped down")

        async def has_had_its_chance() -> bool:
            relay = catalog.relay
            assert relay is not None
            sql = "SELECT position = (SELECT max(position) FROM events) FROM relay_cursor"
            return not relay._is_leading or bool(await blocker.fetchval(sql))

        monkeypatch.setattr(admin, "_set_back", set_back_among_new_events)
        await admin.republish(kafka_settings, ["catalog"])
        for name in names[20:]:
            await count(gateway, name)

    async def has_all() -> bool:
        return await totals(catalog) == dict.fromkeys(names, 1)

    await until(has_all, "all of them, once")
    assert not stood_still


@pytest.mark.integration
async def test_a_log_from_before_is_asked_for_the_last_positions(
    catalog: Service, gateway: Service, kafka_settings: Settings
) -> None:
    first, second = names_of_partition(1, 2, kafka_settings)
    for name in (first, second):
        await count(gateway, name)
    connection = await connect(kafka_settings, "catalog")
    try:

        async def is_published() -> bool:
            return (await read_cursor(connection)).position == 2

        await until(is_published, "both are published")
        told = await read_cursor(connection)
        await connection.execute("UPDATE relay_cursor SET published = NULL")
        assert await read_cursor(connection) == told == Cursor(2, {"catalog.events/1": 2})
    finally:
        await connection.close()
