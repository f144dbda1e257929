"""The log's append beside recorders of the ``eventsourcing`` library: ``python -m bench.recorder``.

The same body to new streams, one transaction per batch, medians. The library's SQLite file stands in
for its Postgres recorder, whose driver is not among ours (docs/adr/0001-event-log.md).
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import uvloop
from eventsourcing.persistence import StoredEvent as LibraryEvent
from eventsourcing.popo import POPOApplicationRecorder
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from bench import machine
from demo.shop import ROOT, read_env
from runtime import clock, event_store, ids
from runtime.database import Connection, prepare_connection
from runtime.migrate import RUNTIME_MIGRATIONS

TYPE = "ledger.redemption-succeeded.v1"
BODY = (ROOT / f"libs/contracts/tests/golden/{TYPE}.json").read_text()
BATCHES, ROUNDS, SECONDS = (1, 100), 3, 1.5


def library_rate(insert: Callable[[list[LibraryEvent]], object], size: int) -> float:
    """Return the events per second of a recorder of the library."""
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        insert([LibraryEvent(uuid4(), 1, TYPE, BODY.encode()) for _ in range(size)])
        done += size
    return done / (time.perf_counter() - started)


def stored() -> event_store.StoredEvent:
    """Return one event as a unit stages it, its hash included."""
    stream, event_id = ids.new_id("redemption"), ids.new_id("ev")
    place = event_store.partition_of("proj_1", stream, 4)
    chained = event_store.chain_hash(b"", event_id, TYPE, 1, BODY)
    named = ("proj_1", stream, 1, event_id, TYPE, "ledger.events", place, BODY, chained)
    return event_store.StoredEvent(*named, clock.now(), "correlation", "causation")


async def own_rate(connection: Connection, size: int) -> float:
    """Return the events per second of ``runtime.event_store.append``."""
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        async with connection.transaction():
            await event_store.append(connection, [stored() for _ in range(size)])
        done += size
    return done / (time.perf_counter() - started)


async def main() -> None:
    """Measure in a database of its own on the running system's server; print a table."""
    server, name = read_env()["DATABASE_URL"], f"recorder_{uuid4().hex[:8]}"
    administrator = await asyncpg.connect(server)
    await administrator.execute(f"CREATE DATABASE {name}")
    connection = await asyncpg.connect(urlunsplit(urlsplit(server)._replace(path=f"/{name}")))
    await prepare_connection(connection)
    await connection.execute((RUNTIME_MIGRATIONS / "0001_runtime.sql").read_text())
    print(f"{machine.describe()}; {len(BODY)} bytes an event; events per second")
    with tempfile.TemporaryDirectory() as directory:
        file = SQLiteApplicationRecorder(SQLiteDatastore(f"{directory}/events.db"))
        file.create_table()
        for size in BATCHES:
            memory = [library_rate(POPOApplicationRecorder().insert_events, size)]
            lite = [library_rate(file.insert_events, size) for _ in range(ROUNDS)]
            own = [await own_rate(connection, size) for _ in range(ROUNDS)]
            for label, rates in (("memory", memory), ("SQLite file", lite), ("own", own)):
                print(f"{size:4} a transaction  {label:12} {statistics.median(rates):10,.0f}")
    await connection.close()
    await administrator.execute(f"DROP DATABASE {name}")


if __name__ == "__main__":
    uvloop.run(main())
