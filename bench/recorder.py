"""Our append beside the recorders of the ``eventsourcing`` library, on one server with equal batches.

``python -m bench.recorder [seconds per case]`` prints the table of docs/adr/0001-event-log.md. Events
are redemptions as the ledger writes them. Also measured: what compressing them brings.
"""

import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
import uvloop
from eventsourcing.persistence import ApplicationRecorder, StoredEvent
from eventsourcing.popo import POPOApplicationRecorder
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from bench import machine
from contracts.ledger import RedemptionSucceeded
from contracts.samples import sample
from runtime import clock, event_store, migrate
from runtime.database import connect
from runtime.settings import Settings
from runtime.testing.servers import start_servers

DATA = sample(RedemptionSucceeded).to_json()
BATCHES = (1, 100)
WRITERS = (1, 8)
ROUNDS = 5
SAMPLES = 2_000


def main() -> None:
    """Print events per second of every recorder."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    servers = start_servers(with_kafka=False)
    print(f"Machine: {machine.describe()}; one event is {len(DATA)} bytes")
    print(f"{'recorder':<34} {'writers':>7} {'batch':>6} {'best':>9} {'median':>9}  events/s")
    name = f"bench_{uuid.uuid4().hex[:8]}"
    settings = Settings(database_url=_with_database(servers.database_url, name))
    try:
        uvloop.run(_administer(servers.database_url, f"CREATE DATABASE {name}"))
        _measure_all(settings, seconds)
    finally:
        uvloop.run(_administer(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)"))
        uvloop.run(_administer(servers.database_url, f"DROP ROLE IF EXISTS {name}_ledger"))
        servers.stop()
    _compression()


def _measure_all(settings: Settings, seconds: float) -> None:
    """Measure the cases in turn, so that a busy moment of the machine hits all of them."""
    uvloop.run(_make_schema(settings))
    datastore = _datastore(settings)
    postgres = PostgresApplicationRecorder(datastore, events_table_name="es_events")
    postgres.create_table()
    popo = POPOApplicationRecorder()
    rates: dict[tuple[str, int, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        sqlite = SQLiteApplicationRecorder(SQLiteDatastore(str(Path(directory) / "events.db")))
        sqlite.create_table()
        for _ in range(ROUNDS):
            for writers, batch in itertools.product(WRITERS, BATCHES):
                case = (writers, batch)
                found = rates.setdefault(("runtime.event_store.append", *case), [])
                found.append(uvloop.run(_ours(settings, *case, seconds)))
                found = rates.setdefault(("PostgresApplicationRecorder", *case), [])
                found.append(_es(postgres, *case, seconds))
            for batch in BATCHES:
                found = rates.setdefault(("SQLiteApplicationRecorder (file)", 1, batch), [])
                found.append(_es(sqlite, 1, batch, seconds))
                found = rates.setdefault(("POPOApplicationRecorder (memory)", 1, batch), [])
                found.append(_es(popo, 1, batch, seconds))
    datastore.close()
    for (name, writers, batch), found in rates.items():
        best, median = max(found), statistics.median(found)
        print(f"{name:<34} {writers:>7} {batch:>6} {best:>9,.0f} {median:>9,.0f}")


# -- ours ---------------------------------------------------------------------------------------


async def _administer(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(sql)
    await connection.close()


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


async def _make_schema(settings: Settings) -> None:
    administrator = await asyncpg.connect(settings.database_url)
    await migrate.create_role_and_schema(administrator, settings, "ledger")
    await administrator.close()
    connection = await connect(settings, "ledger")
    await migrate.migrate(connection, [migrate.RUNTIME_MIGRATIONS])
    await connection.close()


async def _ours(settings: Settings, writers: int, batch: int, seconds: float) -> float:
    until = time.monotonic() + seconds
    started = time.monotonic()
    counts = await asyncio.gather(
        *(_write(settings, f"redemption-{uuid.uuid4()}", batch, until) for _ in range(writers))
    )
    return sum(counts) / (time.monotonic() - started)


async def _write(settings: Settings, stream: str, batch: int, until: float) -> int:
    connection = await connect(settings, "ledger")
    text = DATA.decode()
    version = 0
    previous = b""
    while time.monotonic() < until:
        events = []
        for _ in range(batch):
            version += 1
            event_id = f"ev_{version}"
            previous = event_store.chain_hash(
                previous, event_id, RedemptionSucceeded.TYPE, version, text
            )
            events.append(
                event_store.StoredEvent(
                    project_id="proj_bench",
                    stream_id=stream,
                    stream_version=version,
                    event_id=event_id,
                    type=RedemptionSucceeded.TYPE,
                    topic="ledger.events",
                    partition=0,
                    data=text,
                    hash=previous,
                    occurred_at=clock.now(),
                    correlation_id="req_bench",
                    causation_id="msg_bench",
                )
            )
        async with connection.transaction():
            await event_store.append(connection, events)
    await connection.close()
    return version


# -- the library's ------------------------------------------------------------------------------


def _datastore(settings: Settings) -> PostgresDatastore:
    url = urlsplit(settings.database_url)
    return PostgresDatastore(
        url.path.lstrip("/"),
        url.hostname or "127.0.0.1",
        url.port or 5432,
        unquote(url.username or ""),
        unquote(url.password or ""),
        pool_size=max(WRITERS),
    )


def _es(recorder: ApplicationRecorder, writers: int, batch: int, seconds: float) -> float:
    counts = [0] * writers
    until = time.monotonic() + seconds
    started = time.monotonic()

    def write(index: int) -> None:
        stream = uuid.uuid4()
        version = 0
        while time.monotonic() < until:
            events = [
                StoredEvent(stream, version + n + 1, RedemptionSucceeded.TYPE, DATA)
                for n in range(batch)
            ]
            recorder.insert_events(events)
            version += batch
        counts[index] = version

    threads = [threading.Thread(target=write, args=(index,)) for index in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - started)


# -- compression --------------------------------------------------------------------------------


def _compression() -> None:
    packed = zlib.compress(DATA)
    print(
        f"\nzlib: {len(DATA)} → {len(packed)} bytes; compress {_us(zlib.compress, DATA):.0f} µs,"
        f" decompress {_us(zlib.decompress, packed):.0f} µs, read as JSON {_us(json.loads, DATA):.0f} µs"
    )


def _us(work: Callable[[Any], Any], argument: Any) -> float:
    started = time.perf_counter()
    for _ in range(SAMPLES):
        work(argument)
    return (time.perf_counter() - started) / SAMPLES * 1e6


if __name__ == "__main__":
    main()
