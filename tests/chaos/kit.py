"""What the fault tests share: plain Kafka, the services' tables, metrics and processes."""

import json
import os
import platform
import re
import signal
import sys
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from contracts import topics
from runtime import admin
from runtime.settings import Settings
from tessera_stack import services
from tests.system import ROOT, System, run, wait_until


def say(text: str) -> None:
    """Print a line of the run: seeds, counts, what was killed."""
    sys.stdout.write(f"\n{text}\n")


class Reader(NamedTuple):
    """A consumer of the running system and one topic that it reads."""

    service: str
    consumer: Any
    topic: str

    @property
    def name(self) -> str:
        return f"{self.service}.{self.consumer.name} at {self.topic}"


@cache
def readers() -> list[Reader]:
    """Return every consumer and topic, as the services' own wiring has them."""
    return [
        Reader(name, consumer, topic)
        for name in topics.SERVICES
        for consumer in admin.build_service(name, Settings()).consumers
        for topic in consumer.topics
    ]


class Sent(NamedTuple):
    """A record as it was produced, and where it ended up."""

    topic: str
    partition: int
    offset: int
    value: bytes | None


async def produce(
    system: System, records: Sequence[tuple[str, bytes | None, Sequence[tuple[str, bytes]]]]
) -> list[Sent]:
    """Send ``(topic, value, headers)`` to the first partition of each topic."""
    producer = AIOKafkaProducer(
        bootstrap_servers=system.env["KAFKA_BOOTSTRAP_SERVERS"], max_request_size=7 * 1024 * 1024
    )
    await producer.start()
    try:
        futures = [
            await producer.send(
                topic, value, key=uuid.uuid4().bytes, headers=list(headers), partition=0
            )
            for topic, value, headers in records
        ]
        told = [await future for future in futures]
    finally:
        await producer.stop()
    return [
        Sent(topic, at.partition, at.offset, value)
        for (topic, value, _), at in zip(records, told, strict=True)
    ]


async def end_of(system: System, topic: str) -> dict[TopicPartition, int]:
    """Return where the topic's partitions end."""
    consumer = AIOKafkaConsumer(bootstrap_servers=system.env["KAFKA_BOOTSTRAP_SERVERS"])
    await consumer.start()
    try:
        places = [TopicPartition(topic, n) for n in range(Settings().event_partitions)]
        return dict(await consumer.end_offsets(places))
    finally:
        await consumer.stop()


async def read_from(system: System, start: dict[TopicPartition, int]) -> list[Any]:
    """Return what was written to the partitions since they ended there."""
    consumer = AIOKafkaConsumer(bootstrap_servers=system.env["KAFKA_BOOTSTRAP_SERVERS"])
    await consumer.start()
    try:
        consumer.assign(list(start))
        ends = await consumer.end_offsets(list(start))
        for place, offset in start.items():
            consumer.seek(place, offset)
        found: list[Any] = []
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
        return found
    finally:
        await consumer.stop()


async def _rows(system: System, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(system.env["DATABASE_URL"])
    try:
        return await connection.fetch(sql, *arguments)
    finally:
        await connection.close()


def rows(system: System, sql: str, *arguments: Any) -> list[asyncpg.Record]:
    """Run a statement with the administrator's rights."""
    found: list[asyncpg.Record] = run(_rows(system, sql, arguments))
    return found


def metric(system: System, process: str, name: str, **labels: str) -> float:
    """Return the sum of a process's samples of a metric that have these labels."""
    port = system.state.read()["health"][process]
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    total = 0.0
    for line in text.splitlines():
        match = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
        told = dict(re.findall(r'(\w+)="([^"]*)"', match[1] or "")) if match else {}
        if match and all(told.get(label) == value for label, value in labels.items()):
            total += float(match[2])
    return total


def pid_of(system: System, service: str) -> int:
    """Return the process of a service; 0 while it is being started again."""
    mark = f"TESSERA_STACK_DIR={system.state.directory}\0".encode()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            if words[1:3] == [b"-m", service.encode()] and mark in (path / "environ").read_bytes():
                return int(path.name)
        except OSError:
            continue
    return 0


def send_signal(system: System, service: str, number: int) -> bool:
    """Send a signal to a service's process; returns whether it was running."""
    pid = pid_of(system, service)
    if pid:
        os.kill(pid, number)
    return pid != 0


def crash_postgres(system: System) -> None:
    """Stop Postgres as a power cut would, and start it again."""
    status = Path(f"/proc/{any_backend(system)}/stat").read_text()
    postmaster = int(status.rpartition(")")[2].split()[1])
    os.kill(postmaster, signal.SIGQUIT)
    wait_until(lambda: not Path(f"/proc/{postmaster}").exists(), "Postgres down", 30)
    assert system.infra, "started again"


def any_backend(system: System) -> int:
    """Return the process of one of the services' sessions."""
    sql = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'tessera-%' LIMIT 1"
    return int(rows(system, sql)[0]["pid"])


def is_ready(system: System, service: str) -> bool:
    """Whether the service says that it takes work."""
    return services.is_ready(system.state.read()["health"][service])


def load_factor() -> float:
    """How much slower than idle this machine is: deadlines are for an idle one."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


REPORT = ROOT / os.environ.get("CHAOS_REPORT", ".local/chaos-report.json")
"""``make chaos`` sets it to ``tests/chaos/report.json``, which docs/reliability.md is made from."""


def report(check: str, **facts: Any) -> None:
    """Keep the figures of a check, beside the machine that they are from."""
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(REPORT.read_text()) if REPORT.exists() else {"checks": {}}
    kept["machine"] = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    kept["checks"][check] = {
        **facts,
        "load_per_core": round(load_factor(), 1),
        "form": os.environ.get("CHAOS_FORM", "short"),
        "day": datetime.now(UTC).date().isoformat(),
    }
    REPORT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
