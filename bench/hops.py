"""The references: bare Kafka hops with a bare Postgres commit, pgbench, and a bare COPY.

``python -m bench.hops <role> …`` is one hop, a process of its own as each service is.
"""

import asyncio
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

BODY = b"x" * 1000


async def measure_hops(
    bootstrap: str, database_url: str, hops: int, rounds: int, *, commits: bool
) -> list[float]:
    """Return the milliseconds of ``rounds`` trips over ``hops`` bare hops, one at a time.

    A trip goes from this process through ``hops - 1`` others and back; with ``commits`` the last of
    them inserts and commits one row on the way.
    """
    prefix = f"bench-{secrets.token_hex(4)}-"
    names = [f"{prefix}{number}" for number in range(hops)]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1) for name in names])
    others = []
    for number in range(hops - 1):
        dsn = database_url if commits and number == hops - 2 else ""
        command = [
            sys.executable,
            "-m",
            "bench.hops",
            bootstrap,
            names[number],
            names[number + 1],
            dsn,
        ]
        others.append(subprocess.Popen(command, cwd=Path(__file__).parent.parent))  # noqa: ASYNC220
    consumer = AIOKafkaConsumer(
        names[-1], bootstrap_servers=bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=50
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await consumer.start()
    await producer.start()
    try:
        return await _trips(consumer, producer, names[0], rounds)
    finally:
        for process in others:
            process.kill()
        await consumer.stop()
        await producer.stop()
        await admin.delete_topics(names)
        await admin.close()


async def _trips(
    consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, first: str, rounds: int
) -> list[float]:
    times = []
    for number in range(rounds + 50):
        started = time.perf_counter()
        await producer.send(first, BODY)
        await asyncio.wait_for(consumer.getone(), 30)
        if number >= 50:  # the first trips wait for the other processes and warm up
            times.append((time.perf_counter() - started) * 1000)
    return times


async def hop(bootstrap: str, source: str, target: str, dsn: str) -> None:
    """Pass every record on; with a ``dsn`` commit one row first."""
    consumer = AIOKafkaConsumer(
        source, bootstrap_servers=bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=50
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await consumer.start()
    await producer.start()
    write = await _writer(dsn) if dsn else None
    async for record in consumer:
        if write is not None:
            await write(record.value)
        await producer.send(target, record.value)


async def _writer(dsn: str) -> Callable[[bytes], Awaitable[object]]:
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE IF NOT EXISTS bench_hops (id bigserial, body bytea)")

    async def write(body: bytes) -> object:
        return await connection.execute("INSERT INTO bench_hops (body) VALUES ($1)", body)

    return write


def pgbench(database_url: str, seconds: int = 10) -> float:
    """Return the transactions per second of pgbench's standard script with 8 clients."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
    program = str(binaries[-1]) if binaries else "pgbench"
    parts = urlsplit(database_url)
    environment = {**os.environ, "PGPASSWORD": parts.password or ""}
    login = ["-h", str(parts.hostname), "-p", str(parts.port), "-U", str(parts.username)]
    subprocess.run(
        [program, "-i", "-q", "-s", "10", *login, "bench"],
        env=environment,
        check=True,
        capture_output=True,
    )
    done = subprocess.run(
        [program, "-c", "8", "-j", "2", "-T", str(seconds), *login, "bench"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    assert found, done.stdout
    return float(found[1])


async def bench_database(database_url: str) -> str:
    """Return the address of an empty database of its own, so that no figure meets our tables."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP DATABASE IF EXISTS bench WITH (FORCE)")
    await connection.execute("CREATE DATABASE bench")
    await connection.close()
    return urlunsplit(urlsplit(database_url)._replace(path="/bench"))


async def bare_copy(database_url: str, count: int) -> float:
    """Return the rows per second of a COPY of codes into a table with a key and an index."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        """
        DROP TABLE IF EXISTS bench_codes;
        CREATE TABLE bench_codes (project_id text, code text, voucher_id text, campaign_id text,
                                  PRIMARY KEY (project_id, code));
        CREATE INDEX ON bench_codes (project_id, campaign_id, code);
        """
    )
    rows = [
        ("proj_1", f"AUTUMN-{secrets.token_hex(6)}-{n}", f"v_{secrets.token_hex(12)}", "camp_1")
        for n in range(count)
    ]
    started = time.perf_counter()
    await connection.copy_records_to_table("bench_codes", records=rows)
    took = time.perf_counter() - started
    await connection.close()
    return count / took


if __name__ == "__main__":
    uvloop.run(hop(*sys.argv[1:5]))
