"""The topics against the logs: every published event is in its topic, as it is in the log, and no other.

An event that was altered or deleted in the log, even the last of its stream, is still in the topic as it was;
one that is in the topic and in no log was put there by somebody else. Both are read side by side, a partition
at a time, so that neither has to fit into memory; a record that comes again is passed over.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts import topics
from contracts.messages import Envelope
from runtime.audit import FINDINGS_MAX
from runtime.database import Connection
from runtime.settings import Settings

PREFETCH = 1_000
FETCH_WAIT_MS = 10
"""A fetch of the partition before, which has nothing more, shall not hold up the one of the next."""
QUIET_MS = 20_000
"""A broker that has records and gives none for so long has failed."""


class Published(NamedTuple):
    """An event as it is in the topic."""

    position: int
    event_id: str
    stream: str
    version: int
    project: str
    data: bytes


async def check_topic(connection: Connection, settings: Settings, service: str) -> list[str]:
    """Compare a service's log with its topic; inside a transaction, whose snapshot is the older one."""
    cursor = await connection.fetchval(f"SELECT position FROM {service}.relay_cursor")
    # Up to the cursor everything is published, so also what is no longer in the log.
    newest = max(
        cursor, await connection.fetchval(f"SELECT max(position) FROM {service}.events") or 0
    )
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        max_partition_fetch_bytes=8 * 1024 * 1024,
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    await consumer.start()
    findings: list[str] = []
    try:
        for number in range(settings.event_partitions):
            name = settings.topic_prefix + topics.events(service)
            place = TopicPartition(name, number)
            findings += await _compare(connection, service, consumer, place, cursor, newest)
    finally:
        await consumer.stop()
    return findings[:FINDINGS_MAX]


async def _compare(
    connection: Connection,
    service: str,
    consumer: AIOKafkaConsumer,
    place: TopicPartition,
    cursor: int,
    newest: int,
) -> list[str]:
    """Walk along log and topic of one partition."""
    where = f"{service}.events/{place.partition}"
    findings: list[str] = []
    log = _log(connection, service, place.partition)
    expected = await anext(log, None)
    async for found in _topic(consumer, place):
        while expected is not None and expected["position"] < found.position:
            if expected["position"] <= cursor:
                findings.append(f"{where}: {_named(expected)} is in the log and not in the topic")
            expected = await anext(log, None)
        if found.position > newest:
            continue
        told = (
            f"position {found.position}, {found.stream} version {found.version} in {found.project}"
        )
        if expected is None or expected["position"] > found.position:
            findings.append(f"{where}: {told} is in the topic and not in the log: it was deleted")
            continue
        same = (expected["event_id"], expected["data"].encode()) == (found.event_id, found.data)
        if not same:
            findings.append(f"{where}: {told} is not in the topic as it is in the log")
        expected = await anext(log, None)
        if len(findings) >= FINDINGS_MAX:
            break
    while expected is not None and expected["position"] <= cursor and len(findings) < FINDINGS_MAX:
        findings.append(f"{where}: {_named(expected)} is in the log and not in the topic")
        expected = await anext(log, None)
    return findings


def _named(row: asyncpg.Record) -> str:
    return (
        f"position {row['position']}, {row['stream_id']} version {row['stream_version']}"
        f" in {row['project_id']}"
    )


async def _log(
    connection: Connection, service: str, partition: int
) -> AsyncIterator[asyncpg.Record]:
    sql = f"""
        SELECT position, event_id, project_id, stream_id, stream_version, data
        FROM {service}.events WHERE partition = $1 AND topic = $2 ORDER BY position
        """
    topic = topics.events(service)
    async for row in connection.cursor(sql, partition, topic, prefetch=PREFETCH):
        yield row


async def _topic(consumer: AIOKafkaConsumer, place: TopicPartition) -> AsyncIterator[Published]:
    """Yield the partition's events in the order of their positions, each once; ends where it ends now."""
    consumer.assign([place])
    at = (await consumer.beginning_offsets([place]))[place]
    end = (await consumer.end_offsets([place]))[place]
    consumer.seek(place, at)
    newest = 0
    while at < end:
        batch = (await consumer.getmany(place, timeout_ms=QUIET_MS, max_records=PREFETCH)).get(
            place
        )
        if not batch:
            message = f"{place.topic}/{place.partition} gives nothing at offset {at} of {end}"
            raise TimeoutError(message)
        for record in batch:
            at = record.offset + 1
            found = _published(record)
            if found is not None and found.position > newest and record.offset < end:
                newest = found.position
                yield found


def _published(record: object) -> Published | None:
    """Read the record; what is no event of a log, consumers keep as a dead letter and tell of it."""
    value, headers = getattr(record, "value", None), getattr(record, "headers", ())
    try:
        envelope = Envelope.from_headers(headers)
    except (ValueError, UnicodeDecodeError):
        return None
    if value is None or not envelope.position:
        return None
    return Published(
        envelope.position,
        envelope.id,
        envelope.stream,
        envelope.stream_version,
        envelope.project_id,
        value,
    )
