"""``make audit``: fold every log again and compare every balance, aggregate, read model and topic.

Waits until relays and projections have caught up, then reads each service in one snapshot, beside the running
system, and says how far it is. Exits 1 with a sentence for every difference.
"""

import asyncio
import importlib
import importlib.util
import sys
import time
from typing import Any

import asyncpg

from contracts import topics
from runtime import admin, audit
from runtime.consumer import ProjectionConsumer
from runtime.database import Connection, prepare_connection
from runtime.inbox import Consumer
from runtime.settings import Settings
from tools.topic_audit import check_topic

CATCH_UP_S = 60
PROGRESS_S = 5.0
"""How often a long check says how far it is."""


class Progress:
    """Tells on the error output, so that what is found stands alone on the other."""

    def __init__(self, service: str, count: int) -> None:
        self._service, self._count = service, count
        self._told_at = time.monotonic()

    def __call__(self, done: int) -> None:
        """Say how far the check is, unless it has just been said."""
        if time.monotonic() - self._told_at > PROGRESS_S:
            self._told_at = time.monotonic()
            print(f"· {self._service}: {done} of {self._count} events read", file=sys.stderr)


async def main() -> int:
    """Check every service; returns the exit code."""
    settings = Settings()
    connection = await asyncpg.connect(settings.database_url, server_settings={"jit": "off"})
    await prepare_connection(connection)
    services = {name: admin.build_service(name, settings) for name in topics.SERVICES}
    behind = await _catch_up(connection, services)
    findings = [f"after {CATCH_UP_S} s still behind: {one}" for one in behind]
    for name in topics.SERVICES:
        started = time.monotonic()
        found, told = await _check_service(connection, name, services[name])
        findings += found
        verdict = "clean" if not found else f"{len(found)} findings"
        print(f"{name:<13} {told:>9} events  {verdict}  ({time.monotonic() - started:.1f} s)")
    await connection.close()
    for finding in findings:
        print(f"✗ {finding}")
    print("audit: clean" if not findings else f"audit: {len(findings)} findings")
    return 1 if findings else 0


async def _check_service(connection: Connection, name: str, service: Any) -> tuple[list[str], int]:
    findings: list[str] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        count = await connection.fetchval(f"SELECT count(*) FROM {name}.events")
        findings += await audit.check_log(connection, name, Progress(name, int(count)))
        findings += await audit.check_relay(connection, name)
        if name != "engine":
            findings += await check_topic(connection, service.settings, name)
        for consumer in service.consumers:
            if isinstance(consumer, ProjectionConsumer):
                logs = [topic.partition(".")[0] for topic in consumer.topics]
                events = await audit.all_events(connection, logs)
                findings += await audit.compare(connection, name, consumer.projection, events)
        if importlib.util.find_spec(f"{name}.audit") is not None:
            await connection.execute(f"SET LOCAL search_path TO {name}")
            module: Any = importlib.import_module(f"{name}.audit")
            findings += await module.audit(connection)
    return findings, int(count)


async def _catch_up(connection: Connection, services: dict[str, Any]) -> list[str]:
    deadline = time.monotonic() + CATCH_UP_S
    while True:
        behind = await _behind(connection, services)
        if not behind or time.monotonic() > deadline:
            return behind
        await asyncio.sleep(0.2)


async def _behind(connection: Connection, services: dict[str, Any]) -> list[str]:
    behind = []
    for name in topics.SERVICES:
        behind += [one for one in await audit.check_relay(connection, name) if "published" in one]
    for name, service in services.items():
        for consumer in service.consumers:
            if not (isinstance(consumer, Consumer) and consumer.reads_events):
                continue
            for topic in consumer.topics:
                source = topic.partition(".")[0]
                rows = await connection.fetch(
                    f"""
                    SELECT e.partition, max(e.position) AS newest, coalesce(max(o.position), 0) AS done
                    FROM {source}.events e LEFT JOIN {name}.consumer_offsets o
                      ON o.consumer = $1 AND o.topic = $2 AND o.partition = e.partition
                    WHERE e.topic = $2 GROUP BY e.partition
                    """,
                    consumer.name,
                    topic,
                )
                behind += [
                    f"{name}.{consumer.name} at {topic}/{row['partition']}: {row['done']} of {row['newest']}"
                    for row in rows
                    if row["done"] < row["newest"]
                ]
    return behind


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
