"""How fast the gateway's read models are made again, beside a bare consumer that only copies the records.

``python -m bench rebuild`` runs this measure alone, on whatever the running system's topics hold.
"""

import time
from typing import NamedTuple

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from runtime import admin, read_model
from runtime.consumer import ProjectionConsumer
from runtime.settings import Settings

BATCH = 500
"""Records of one transaction, as many as a service takes."""
TABLE = """
DROP TABLE IF EXISTS bare_records;
CREATE TABLE bare_records (topic text, partition int, record_offset bigint, key bytea, value bytea,
                           PRIMARY KEY (topic, partition, record_offset))
"""


class Rates(NamedTuple):
    """Events per second, and how many events there were."""

    rebuilt: float
    bare: float
    events: int


async def measure(settings: Settings, bench_database: str) -> Rates:
    """Copy the topics' records, then let the running gateway fold them again."""
    service = admin.build_service("gateway", settings)
    [consumer] = [one for one in service.consumers if isinstance(one, ProjectionConsumer)]
    copied, bare_s = await _bare(settings, bench_database, consumer.topics)
    connection = await asyncpg.connect(
        settings.database_url, server_settings={"search_path": service.name}
    )
    targets = await connection.fetch(
        "SELECT topic, partition, position FROM consumer_offsets WHERE consumer = $1", consumer.name
    )
    await read_model.set_back(connection, consumer.projection, consumer.name)
    started = time.perf_counter()
    await admin.until_reached(connection, consumer.name, targets)
    rebuild_s = time.perf_counter() - started
    await connection.close()
    return Rates(copied / rebuild_s, copied / bare_s, copied)


async def _bare(settings: Settings, database: str, topics: list[str]) -> tuple[int, float]:
    """Return how many records were copied, and the seconds that it took."""
    connection = await asyncpg.connect(database)
    await connection.execute(TABLE)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    await consumer.start()
    prefix = settings.topic_prefix
    places = [
        TopicPartition(prefix + topic, number)
        for topic in topics
        for number in range(settings.event_partitions)
    ]
    consumer.assign(places)
    await consumer.seek_to_beginning(*places)
    begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    left = {place for place in places if begins[place] < ends[place]}
    count = 0
    started = time.perf_counter()
    while left:
        found = await consumer.getmany(timeout_ms=1_000, max_records=BATCH)
        records = [
            (one.topic, one.partition, one.offset, one.key, one.value)
            for batch in found.values()
            for one in batch
        ]
        await connection.copy_records_to_table("bare_records", records=records)
        count += len(records)
        left -= {place for place, batch in found.items() if batch[-1].offset + 1 >= ends[place]}
    took_s = time.perf_counter() - started
    await consumer.stop()
    await connection.close()
    return count, took_s
