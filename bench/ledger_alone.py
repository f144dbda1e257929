"""The ledger by itself, beside a bare batched append of the rows that it writes.

Redemptions wait in Kafka, as many as there are; a ledger process of its own, with a database and topics of
its own, works them off. Counted is from its first reply to its last. ``python -m bench.ledger_alone`` runs
this measure alone; ``PROFILE=file`` lets py-spy watch the ledger meanwhile.
"""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench import hops
from contracts import ids, topics
from contracts.engine import StackRequest
from contracts.errors import ErrorBody
from contracts.ledger import Plan, PlannedRedemption, Posting, Redeem
from contracts.messages import Envelope
from demo.shop import read_env
from runtime import admin, clock, migrate
from runtime.bus import KafkaBus, outgoing
from runtime.ids import new_id
from runtime.settings import Settings

ROOT = Path(__file__).parent.parent
COMMANDS = 20_000
CODES = 5_000
BATCH = 500
PROJECT = "proj_bench"
QUIET_S = 60.0
"""A ledger that replies nothing for so long has failed."""


async def measure(kafka: str, database_url: str, codes: int, count: int = COMMANDS) -> float:
    """Return redemptions per second, from Kafka to committed and replied, over so many codes."""
    database = await hops.bench_database(database_url)
    settings = Settings(
        database_url=database,
        kafka_bootstrap_servers=kafka,
        topic_prefix=f"bench{secrets.token_hex(4)}.",
    )
    administrator = await asyncpg.connect(database)
    await migrate.create_role_and_schema(administrator, settings, "ledger")
    await administrator.close()
    await admin.migrate_service(admin.build_service("ledger", settings))
    await admin.create_topics(settings, list(topics.ALL))
    await _produce(settings, codes, count)
    process = _start(settings)
    try:
        return await _count_replies(settings, count)
    finally:
        # Its group: py-spy writes what it saw on this signal alone, and leaves the ledger running.
        os.killpg(process.pid, signal.SIGINT)
        process.wait()


def _start(settings: Settings) -> "subprocess.Popen[bytes]":
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "TOPIC_PREFIX": settings.topic_prefix,
        "LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "ledger"]
    if os.environ.get("PROFILE"):
        spy = ["py-spy", "record", "--format", "raw", "--nonblocking", "--rate", "200"]
        command = [*spy, "--output", os.environ["PROFILE"], "--", *command]
    return subprocess.Popen(command, cwd=ROOT, env=environment, process_group=0)


async def _produce(settings: Settings, codes: int, count: int) -> None:
    bus = KafkaBus(settings)
    await bus.start()
    records = []
    for number in range(count):
        voucher_id = ids.voucher_id(PROJECT, f"CODE-{number % codes}")
        command = Redeem(plan=_plan(voucher_id, number))
        envelope = Envelope(
            id=new_id("msg"),
            type=command.TYPE,
            source="bench",
            time=clock.now(),
            project_id=PROJECT,
            subject=str(number),
            reply_to=topics.GATEWAY_REPLIES,
            reply_partition=0,
            idempotency_key=f"key-{number}",
            fingerprint="f" * 64,
        )
        topic = topics.commands("ledger")
        records.append(outgoing(topic, f"{PROJECT}/{voucher_id}", command, envelope))
        if len(records) == BATCH:
            await bus.send_and_wait(records)
            records = []
    await bus.send_and_wait(records)
    await bus.stop()


def _plan(voucher_id: str, number: int) -> Plan:
    """Return a plan as the engine makes it for a cart of two lines and one code."""
    lines = [
        {"product_id": f"prod_{n}", "quantity": n, "price": 4000, "amount": 4000 * n}
        for n in (1, 2)
    ]
    order_id = ids.order_id(PROJECT, f"order-{number}")
    order = {
        "id": order_id,
        "source_id": f"order-{number}",
        "amount": 12_000,
        "discount_amount": 1_200,
        "total_discount_amount": 1_200,
        "total_amount": 10_800,
        "status": "PAID",
        "items": lines,
    }
    customer = {"id": ids.customer_id(PROJECT, "anna"), "object": "customer", "source_id": "anna"}
    discount = {"type": "PERCENT", "percent_off": 10, "effect": "APPLY_TO_ORDER"}
    posting = Posting(
        account=f"uses/{voucher_id}",
        contra=f"order/{order_id}",
        unit="use",
        amount=1,
        limit=10 * COMMANDS,
        limit_version=1,
        error=ErrorBody(code=400, key="quantity_exceeded", message="quantity exceeded"),
    )
    redemption = PlannedRedemption(
        redemption_id=new_id("r"),
        redeemable={"object": "voucher", "id": voucher_id},
        related_object_type="voucher",
        related_object_id=voucher_id,
        voucher={
            "id": voucher_id,
            "code": voucher_id,
            "type": "DISCOUNT_VOUCHER",
            "discount": discount,
        },
        discount_amount=1_200,
        result={"discount": discount},
        order=order,
        postings=[posting],
    )
    return Plan(
        stack=StackRequest(redeemables=[redemption.redeemable], order=order),
        planned_at=clock.now(),
        customer=customer,
        order=order,
        order_version=0,
        redemptions=[redemption],
        failed_redemption_id=new_id("rf"),
    )


async def _count_replies(settings: Settings, count: int) -> float:
    place = TopicPartition(settings.topic_prefix + topics.GATEWAY_REPLIES, 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    consumer.assign([place])
    try:
        first = await asyncio.wait_for(consumer.getmany(place, timeout_ms=60_000), QUIET_S)
        started = time.perf_counter()
        before = done = len(first.get(place, []))
        while done < count:
            found = await asyncio.wait_for(consumer.getmany(place, timeout_ms=60_000), QUIET_S)
            records = found.get(place, [])
            assert records, "the ledger has stopped to reply"
            assert all(json.loads(record.value)["status"] == 200 for record in records[:10])
            done += len(records)
        return (done - before) / (time.perf_counter() - started)
    finally:
        await consumer.stop()


# -- the reference ---------------------------------------------------------------------------------

TABLES = """
DROP TABLE IF EXISTS bare_events, bare_replies, bare_accounts;
CREATE TABLE bare_events (project_id text, stream_id text, stream_version int,
    position bigint GENERATED ALWAYS AS IDENTITY, type text, data json, hash bytea,
    occurred_at timestamptz, PRIMARY KEY (project_id, stream_id, stream_version));
CREATE UNIQUE INDEX ON bare_events (position);
CREATE TABLE bare_replies (project_id text, key text, reply json, created_at timestamptz,
    PRIMARY KEY (project_id, key));
CREATE TABLE bare_accounts (project_id text, account text, used bigint,
    PRIMARY KEY (project_id, account)) WITH (fillfactor = 50);
"""


async def bare_append(database_url: str, count: int = COMMANDS) -> float:
    """Return the redemptions per second whose rows a bare connection appends in batches.

    The rows of one: its event, its reply, its order's new account, its code's account changed.
    """
    connection = await asyncpg.connect(database_url)
    await connection.execute(TABLES)
    names = [f"uses/{ids.voucher_id(PROJECT, f'CODE-{n}')}" for n in range(CODES)]
    await connection.execute(
        "INSERT INTO bare_accounts SELECT 'p', name, 0 FROM unnest($1::text[]) AS g(name)", names
    )
    plan = _plan(ids.voucher_id(PROJECT, "CODE"), 0)
    text = plan.model_dump_json(exclude={"stack"}, exclude_none=True)
    started = time.perf_counter()
    for numbers in _batches(count):
        async with connection.transaction():
            await _append(connection, numbers, text, names)
    took = time.perf_counter() - started
    await connection.close()
    return count / took


def _batches(count: int) -> Iterator[list[int]]:
    for first in range(0, count, BATCH):
        yield list(range(first, min(first + BATCH, count)))


async def _append(connection: Any, numbers: list[int], text: str, names: list[str]) -> None:
    streams = [f"redemption-r_{number:024}" for number in numbers]
    now = clock.now()
    await connection.execute(
        """
        UPDATE bare_accounts a SET used = used + 1
        FROM unnest($1::text[]) AS g(account) WHERE a.project_id = 'p' AND a.account = g.account
        """,
        [names[number % CODES] for number in numbers],
    )
    await connection.execute(
        "INSERT INTO bare_accounts SELECT 'p', name, 1 FROM unnest($1::text[]) AS g(name)",
        [f"order/ord_{number:024}" for number in numbers],
    )
    await connection.execute(
        """
        INSERT INTO bare_events (project_id, stream_id, stream_version, type, data, hash, occurred_at)
        SELECT 'p', stream, 1, 'ledger.redemption-succeeded.v1', data::json, $3, $4
        FROM unnest($1::text[], $2::text[]) AS g(stream, data)
        """,
        streams,
        [text] * len(numbers),
        b"h" * 32,
        now,
    )
    await connection.execute(
        """
        INSERT INTO bare_replies
        SELECT 'p', key, reply::json, $3 FROM unnest($1::text[], $2::text[]) AS g(key, reply)
        """,
        [f"key-{number}" for number in numbers],
        [text] * len(numbers),
        now,
    )


async def main() -> None:
    """Run this measure alone against the running Kafka and Postgres."""
    env = read_env()
    kafka, database = env["KAFKA_BOOTSTRAP_SERVERS"], env["DATABASE_URL"]
    bare = await bare_append(await hops.bench_database(database))
    spread = await measure(kafka, database, CODES)
    hot = await measure(kafka, database, 1)
    print(f"bare append      {bare:8.0f} /s")
    print(f"ledger, spread   {spread:8.0f} /s   {spread / bare:.2f} of bare (aim 0.5)")
    print(f"ledger, one code {hot:8.0f} /s   {hot / spread:.2f} of spread (aim 0.8)")


if __name__ == "__main__":
    uvloop.run(main())
