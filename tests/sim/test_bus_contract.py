"""What our code leans on of Kafka, checked on Kafka and on the topics of the simulation alike."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts import topics
from runtime import admin
from runtime.bus import Bus, KafkaBus, Outgoing
from runtime.settings import Settings
from runtime.testing.servers import Servers
from tests.sim.bus import Fetcher, ProcessBus, Topics, partitions_of

TOPIC = topics.events("ledger")
PARTITIONS = 4
WAIT_S = 30
Got = tuple[int, int, bytes, bytes]
"""Partition, offset, key and value."""


class Broker(NamedTuple):
    bus: Bus
    read_from: Callable[[int, int], Any]
    """Reads the topic from an offset on in every partition, until so many records have come."""


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    if request.param == "memory":
        yield _memory()
        return
    servers: Servers = request.getfixturevalue("servers")
    settings = Settings(
        kafka_bootstrap_servers=servers.kafka_bootstrap_servers,
        topic_prefix=f"t{secrets.token_hex(4)}.",
        event_partitions=PARTITIONS,
    )
    await admin.create_topics(settings, [TOPIC])
    bus = KafkaBus(settings)
    await bus._producer.start()
    yield Broker(bus, lambda offset, count: _read_kafka(settings, offset, count))
    await bus.stop()


def _memory() -> Broker:
    loop = asyncio.get_running_loop()
    kept = Topics(PARTITIONS, loop.time, lambda: 0.0)

    async def no_pace() -> None:
        return None

    async def read(offset: int, count: int) -> list[Got]:
        fetcher = Fetcher(kept)
        fetcher.assigned = set(partitions_of([TOPIC], PARTITIONS))
        for number in range(PARTITIONS):
            fetcher.seek(TopicPartition(TOPIC, number), offset)
        got: list[Got] = []
        async with asyncio.timeout(WAIT_S):
            while len(got) < count:
                found = fetcher.getmany(lambda: 2)
                got += [
                    (one.partition, one.offset, one.key or b"", one.value or b"") for one in found
                ]
                await asyncio.sleep(0)
        return got

    return Broker(ProcessBus(kept, no_pace, lambda _: False), read)


async def _read_kafka(settings: Settings, offset: int, count: int) -> list[Got]:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await consumer.start()
    places = [TopicPartition(settings.topic_prefix + TOPIC, n) for n in range(PARTITIONS)]
    consumer.assign(places)
    for place in places:
        consumer.seek(place, offset)
    got: list[Got] = []
    async with asyncio.timeout(WAIT_S):
        while len(got) < count:
            for found in (await consumer.getmany(timeout_ms=100)).values():
                got += [(one.partition, one.offset, one.key, one.value) for one in found]
    await consumer.stop()
    return got


def _sends(keys: Sequence[str], partition: int | None = None) -> list[Outgoing]:
    return [
        Outgoing(TOPIC, key, str(number).encode(), [], partition) for number, key in enumerate(keys)
    ]


async def test_records_of_one_key_keep_their_order_in_one_partition(broker: Broker) -> None:
    await broker.bus.send_and_wait(_sends(["a", "b", "c"] * 10))
    got = await broker.read_from(0, 30)
    for key in (b"a", b"b", b"c"):
        mine = [one for one in got if one[2] == key]
        assert len({partition for partition, *_ in mine}) == 1
        assert [int(value) for *_, value in mine] == sorted(int(value) for *_, value in mine)
        assert len(mine) == 10


async def test_a_partition_that_is_named_is_the_one(broker: Broker) -> None:
    await broker.bus.send_and_wait(_sends(["a", "b", "c", "d"], 2))
    got = await broker.read_from(0, 4)
    assert [(one[0], one[1]) for one in got] == [(2, 0), (2, 1), (2, 2), (2, 3)]


async def test_what_was_read_is_read_again_from_where_one_likes(broker: Broker) -> None:
    await broker.bus.send_and_wait(_sends(["a"] * 5, 1))
    assert await broker.read_from(0, 5) == await broker.read_from(0, 5)
    assert [int(one[3]) for one in await broker.read_from(3, 2)] == [3, 4]


async def test_what_is_sent_twice_stands_there_twice(broker: Broker) -> None:
    for _ in range(2):
        await broker.bus.send_and_wait(_sends(["a"], 0))
    assert [one[1] for one in await broker.read_from(0, 2)] == [0, 1]
