"""What a redemption leaves behind: messages and bytes on Kafka, transactions and bytes in Postgres.

``python -m bench footprint``; docs/scaling.md does its sums with these figures.
"""

import asyncio
from collections import Counter
from typing import NamedTuple

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from bench.load import Client, make_codes, stack
from contracts import topics
from runtime import admin
from runtime.settings import Settings

REDEMPTIONS = 2_000
CALLERS = 16
SETTLE_S = 5.0
"""Until nothing is committed for so long, the aftermath goes on."""


class Footprint(NamedTuple):
    """Per redemption."""

    messages: dict[str, float]
    kafka_bytes: dict[str, float]
    transactions: float
    postgres_bytes: dict[str, float]


async def measure(client: Client, settings: Settings) -> Footprint:
    """Redeem, each time another customer's new order, and count what is there more than before."""
    campaign, _ = await make_codes(client, 1_000)
    listed = await client.must("GET", f"/v1/vouchers?campaign_id={campaign}&limit=100")
    codes = [voucher["code"] for voucher in listed["vouchers"]]
    connection = await asyncpg.connect(settings.database_url)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await consumer.start()
    try:
        await _settled(connection)
        sizes, commits = await _sizes(connection), await _commits(connection)
        ends = await _ends(settings)
        await _redeem(client, codes)
        await _settled(connection)
        commits = await _commits(connection) - commits
        after = await _sizes(connection)
        messages, size = await _since(consumer, ends, await _ends(settings))
    finally:
        await consumer.stop()
        await connection.close()
    return Footprint(
        _each(messages),
        _each(size),
        commits / REDEMPTIONS,
        _each(Counter({name: after[name] - sizes.get(name, 0) for name in after})),
    )


async def _redeem(client: Client, codes: list[str]) -> None:
    todo = iter(range(REDEMPTIONS))

    async def caller() -> None:
        for number in todo:
            await client.must("POST", "/v1/redemptions", stack(codes[number % len(codes)], number))

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


def _each(counts: Counter[str]) -> dict[str, float]:
    return {name: count / REDEMPTIONS for name, count in counts.most_common() if count}


async def _settled(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    before = -1
    while (now := await _events(connection)) != before:
        before = now
        await asyncio.sleep(SETTLE_S)


async def _events(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    """Return how far the logs of all services are."""
    total = 0
    for service in topics.SERVICES:
        sql = f"SELECT coalesce(max(position), 0) FROM {service}.events"
        total += await connection.fetchval(sql)
    return total


async def _commits(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    done: int = await connection.fetchval(
        "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    )
    return done


async def _sizes(connection: "asyncpg.Connection[asyncpg.Record]") -> Counter[str]:
    rows = await connection.fetch(
        """
        SELECT n.nspname AS name, sum(pg_total_relation_size(c.oid)) AS bytes
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname = ANY($1) GROUP BY n.nspname
        """,
        list(topics.SERVICES),
    )
    return Counter({row["name"]: int(row["bytes"]) for row in rows})


async def _ends(settings: Settings) -> dict[TopicPartition, int]:
    found = await admin.topic_ends(settings, sorted(topics.ALL))
    return {TopicPartition(*place): end for place, end in found.items()}


async def _since(
    consumer: AIOKafkaConsumer,
    begins: dict[TopicPartition, int],
    ends: dict[TopicPartition, int],
) -> tuple[Counter[str], Counter[str]]:
    """Count the records between, and the bytes of their keys, values and headers."""
    todo = {place for place, end in ends.items() if end > begins.get(place, 0)}
    consumer.assign(list(todo))
    for place in todo:
        consumer.seek(place, begins.get(place, 0))
    messages: Counter[str] = Counter()
    size: Counter[str] = Counter()
    while todo:
        for place, records in (await consumer.getmany(timeout_ms=1_000)).items():
            fresh = [record for record in records if record.offset < ends[place]]
            messages[place.topic] += len(fresh)
            size[place.topic] += sum(_bytes(record) for record in fresh)
            if records[-1].offset >= ends[place] - 1:
                todo.discard(place)
    return messages, size


def _bytes(record: ConsumerRecord) -> int:
    headers = sum(len(name) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def show(found: Footprint) -> None:
    """Print it."""
    print(f"{'topic':<26}{'messages':>10}{'bytes':>10}  per redemption")
    for name, count in found.messages.items():
        print(f"{name:<26}{count:>10.2f}{found.kafka_bytes[name]:>10.0f}")
    print(
        f"{'all':<26}{sum(found.messages.values()):>10.2f}{sum(found.kafka_bytes.values()):>10.0f}"
    )
    print(f"\n{'schema':<26}{'bytes':>10}  per redemption")
    for name, count in found.postgres_bytes.items():
        print(f"{name:<26}{count:>10.0f}")
    print(f"{'all':<26}{sum(found.postgres_bytes.values()):>10.0f}")
    print(f"\ntransactions per redemption: {found.transactions:.1f}")
