"""``python -m runtime.admin setup | republish | rebuild | replay-dead-letters [service …]``.

``discard-dead-letters --because TEXT [service …]`` gives up what a replay cannot handle. What an
operator does to the running system, with the administrator's connection.
"""

import argparse
import asyncio
import hashlib
import importlib
import importlib.util
import sys
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.errors import TopicAlreadyExistsError

from contracts import topics
from runtime import clock, migrate, read_model
from runtime.batches import Record
from runtime.bus import KafkaBus
from runtime.consumer import ProjectionConsumer
from runtime.crash_points import crash_point
from runtime.database import Connection, connect, open_pool
from runtime.event_store import RELAY_LOCK
from runtime.inbox import Consumer, unpack_headers
from runtime.read_model import Table
from runtime.relay import STEP_DOWN, WOKEN, Cursor, Relay
from runtime.requests import RequestConsumer
from runtime.rpc import REPLY_PARTITIONS
from runtime.service import Service
from runtime.settings import Settings

DAY_MS = 86_400_000
TOPICS_GONE_S = 60.0
ONWARD = set(topics.ALL) - {topics.GATEWAY_REPLIES}
ACTIONS = ["setup", "republish", "rebuild", "replay-dead-letters", "discard-dead-letters"]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def build_service(name: str, settings: Settings) -> Service:
    """Return the service as its own ``app.build`` wires it."""
    module: Any = importlib.import_module(f"{name}.app")
    service: Service = module.build(service_settings(name, settings))
    return service


def service_settings(name: str, settings: Settings) -> Settings:
    """Return the settings class of the service, with the values of ``settings``."""
    if importlib.util.find_spec(f"{name}.settings") is None:
        return settings
    module: Any = importlib.import_module(f"{name}.settings")
    own: type[Settings] = getattr(module, "Settings", Settings)
    return own(**settings.model_dump())


async def setup(settings: Settings, services: list[str]) -> None:
    """Create roles, schemas, tables and topics; harmless when they are there."""
    administrator = await asyncpg.connect(settings.database_url)
    try:
        for name in services:
            await migrate.create_role_and_schema(administrator, settings, name)
    finally:
        await administrator.close()
    for name in services:
        ran = await migrate_service(build_service(name, settings))
        _say(f"schema {name}: {', '.join(ran) or 'up to date'}")
    created = await create_topics(settings, list(topics.ALL))
    _say(f"topics: {created} created, {len(topics.ALL) - created} there already")


async def migrate_service(service: Service) -> list[str]:
    """Run the runtime's migrations and the service's own."""
    connection = await connect(service.settings, service.name)
    try:
        own = [service.migrations] if service.migrations is not None else []
        return await migrate.migrate(connection, [migrate.RUNTIME_MIGRATIONS, *own])
    finally:
        await connection.close()


async def create_topics(settings: Settings, names: list[str]) -> int:
    """Create the topics that are missing; returns how many."""
    client = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await client.start()
    try:
        present = set(await client.list_topics())
        missing = [name for name in names if settings.topic_prefix + name not in present]
        if not missing:
            return 0
        answer = await client.create_topics([_new_topic(settings, name) for name in missing])
        for name, code, *_ in answer.topic_errors:
            if code not in {0, TopicAlreadyExistsError.errno}:
                message = f"topic {name} could not be created (error {code})"
                raise RuntimeError(message)
        return len(missing)
    finally:
        await client.close()


async def delete_topics(settings: Settings, names: list[str]) -> int:
    """Delete topics with all that is in them, and wait until they are gone; returns how many."""
    prefix = settings.topic_prefix
    client = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await client.start()
    try:
        wanted = {prefix + name for name in names}
        present = wanted & set(await client.list_topics())
        if present:
            await client.delete_topics(sorted(present))
        async with asyncio.timeout(TOPICS_GONE_S):
            while wanted & set(await client.list_topics()):
                await asyncio.sleep(0.2)
        return len(present)
    finally:
        await client.close()


async def topic_ends(settings: Settings, names: list[str]) -> dict[tuple[str, int], int]:
    """Return where each partition of the topics ends: 0 for those that are not there."""
    prefix = settings.topic_prefix
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await consumer.start()
    try:
        present = await consumer.topics()
        places = [
            TopicPartition(prefix + name, number)
            for name in names
            if prefix + name in present
            for number in range(partition_count(settings, name))
        ]
        ends = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    found = {(name, part): 0 for name in names for part in range(partition_count(settings, name))}
    return found | {(at.topic.removeprefix(prefix), at.partition): end for at, end in ends.items()}


def partition_count(settings: Settings, name: str) -> int:
    """Return how many partitions a topic has."""
    return REPLY_PARTITIONS if name == topics.GATEWAY_REPLIES else settings.event_partitions


def _new_topic(settings: Settings, name: str) -> NewTopic:
    is_log = name.endswith(".events")
    is_reply = name == topics.GATEWAY_REPLIES
    retention_ms = -1 if is_log else DAY_MS if is_reply else 7 * DAY_MS
    return NewTopic(
        settings.topic_prefix + name,
        partition_count(settings, name),
        settings.replication_factor,
        topic_configs={
            "retention.ms": str(retention_ms),
            "max.message.bytes": str(8 * 1024 * 1024),
        },
    )


async def republish(settings: Settings, services: list[str]) -> None:
    """Empty the services' topics and publish their logs again, one service after the other.

    Meanwhile nobody else publishes for the service: an event of now among those of then would look like
    a gap to whoever is behind. Consumers go on where they were: they know the position of the last
    event they applied.
    """
    bus = KafkaBus(settings)
    await bus.start()
    for name in (name for name in services if name != "engine"):
        connection = await connect(settings, name)
        try:
            await _take_over(settings, name, connection)
            ends = await _empty_topics(settings, [topics.events(name)])
            await _set_back(settings, ends)
            count = await _publish_log(settings, name, bus, connection)
        finally:
            await connection.close()
        _say(f"{name}: {count} events published again")
    await bus.stop()


async def _take_over(settings: Settings, name: str, connection: Connection) -> None:
    """Ask the relay to step down, and become the one that publishes, until the connection is closed."""
    lock = "SELECT pg_advisory_lock($1, hashtext(current_schema()))"
    waiting = asyncio.ensure_future(connection.execute(lock, RELAY_LOCK))
    other = await connect(settings, name)
    try:
        while not waiting.done():
            await other.execute("SELECT pg_notify($1, $2)", WOKEN, f"{STEP_DOWN} {name}")
            await asyncio.wait({waiting}, timeout=0.5)
        await waiting
    finally:
        await other.close()


async def _set_back(settings: Settings, ends: dict[tuple[str, int], int]) -> None:
    """Let readers whose topic was lost with its broker start at zero again."""
    for reader in topics.SERVICES:
        connection = await connect(settings, reader)
        await connection.execute(
            """
            UPDATE consumer_offsets o SET next_offset = e.next_offset
            FROM unnest($1::text[], $2::int[], $3::bigint[]) AS e(topic, partition, next_offset)
            WHERE o.topic = e.topic AND o.partition = e.partition AND o.next_offset > e.next_offset
            """,
            [topic for topic, _ in ends],
            [partition for _, partition in ends],
            list(ends.values()),
        )
        await connection.close()


async def _empty_topics(settings: Settings, names: list[str]) -> dict[tuple[str, int], int]:
    """Delete all records; returns where the partitions end."""
    prefix = settings.topic_prefix
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)
    client = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await consumer.start()
    await client.start()
    try:
        places = [
            TopicPartition(prefix + name, number)
            for name in names
            for number in range(partition_count(settings, name))
        ]
        ends = await consumer.end_offsets(places)
        await client.delete_records(
            {place: RecordsToDelete(before_offset=end) for place, end in ends.items() if end > 0}
        )
    finally:
        await client.close()
        await consumer.stop()
    return {(place.topic.removeprefix(prefix), place.partition): end for place, end in ends.items()}


async def _publish_log(settings: Settings, name: str, bus: KafkaBus, connection: Connection) -> int:
    relay = Relay(settings, name, bus)
    end = await connection.fetchval("SELECT coalesce(max(position), 0) FROM events")
    cursor = Cursor(0, {})
    while cursor.position < end:
        cursor = await relay.publish_next(connection, cursor)
    count: int = await connection.fetchval("SELECT count(*) FROM events")
    return count


async def rebuild(settings: Settings, services: list[str]) -> bool:
    """Drop the read models and let the running services fold the logs again.

    Returns whether every table is byte for byte what it was.
    """
    is_equal = True
    for name in services:
        service = build_service(name, settings)
        for consumer in service.consumers:
            if isinstance(consumer, ProjectionConsumer):
                is_equal &= await _rebuild_one(settings, name, consumer)
    return is_equal


async def _rebuild_one(settings: Settings, name: str, consumer: ProjectionConsumer) -> bool:
    connection = await connect(settings, name)
    tables = list(consumer.projection.tables.values())
    before = {table.name: await digest(connection, table) for table in tables}
    targets = await connection.fetch(
        "SELECT topic, partition, position FROM consumer_offsets WHERE consumer = $1", consumer.name
    )
    await read_model.set_back(connection, consumer.projection, consumer.name)
    crash_point("mid_rebuild")
    await until_reached(connection, consumer.name, targets)
    is_equal = True
    for table in tables:
        after = await digest(connection, table)
        is_same = after == before[table.name]
        is_equal &= is_same
        _say(
            f"{name}.{table.name}: {after[0]} rows, sha256 {after[1][:16]}"
            + (" (equal)" if is_same else f" DIFFERS from {before[table.name]}")
        )
    await connection.close()
    return is_equal


async def until_reached(connection: Connection, consumer: str, targets: Any) -> None:
    """Wait until a consumer has applied what it had applied before."""
    for _ in range(6000):
        rows = await connection.fetch(
            "SELECT topic, partition, position FROM consumer_offsets WHERE consumer = $1", consumer
        )
        now = {(row["topic"], row["partition"]): row["position"] for row in rows}
        if all(now[row["topic"], row["partition"]] >= row["position"] for row in targets):
            return
        await asyncio.sleep(0.1)
    message = f"{consumer} did not come back in ten minutes"
    raise RuntimeError(message)


async def digest(connection: Connection, table: Table) -> tuple[int, str]:
    """Return the number of rows and the SHA-256 of all of them in key order."""
    result = hashlib.sha256()
    count = 0
    columns = ", ".join(table.all_columns)
    sql = f"SELECT row({columns})::text AS text FROM {table.name} ORDER BY {', '.join(table.key)}"  # noqa: S608
    async with connection.transaction():
        async for record in connection.cursor(sql):
            result.update(record["text"].encode())
            count += 1
    return count, result.hexdigest()


async def replay_dead_letters(settings: Settings, services: list[str], because: str = "") -> int:
    """Handle dead letters again, in order; returns how many are left.

    With a reason, those that cannot be handled are given up, and what was held behind them is
    handled. Nothing is forgotten: they lie in ``discarded_letters``. An event that is in its owner's
    log and was discarded shows as a difference in the audit.
    """
    left = 0
    bus = KafkaBus(settings)
    await bus.start()
    for name in services:
        service = build_service(name, settings)
        service.bus = bus
        left += await replay_service(service, because)
        if any(isinstance(one, RequestConsumer) for one in service.consumers):
            _say(
                f"{name}: requests are never replayed: who asked has long been answered or has given"
                f" up, and nothing was to change; their bytes are on {topics.dead_letters(name)}"
            )
    await bus.stop()
    return left


async def replay_service(service: Service, because: str = "") -> int:
    """Replay one service's dead letters; returns how many are left. ``service.bus`` sends replies."""
    service.pool = await open_pool(service.settings, service.name)
    consumers = {one.name: one for one in service.consumers if isinstance(one, Consumer)}
    try:
        async with service.pool.acquire() as connection:
            handled, discarded = await _replay_all(connection, consumers, because)
            remaining: int = await connection.fetchval("SELECT count(*) FROM dead_letters")
    finally:
        await service.pool.close()
    _say(f"{service.name}: {handled} dead letters handled, {discarded} discarded, {remaining} left")
    return remaining


async def _replay_all(
    connection: Connection, consumers: dict[str, Consumer], because: str
) -> tuple[int, int]:
    """Replay until a round does nothing: events go on arriving behind a held stream."""
    handled = discarded = 0
    while True:
        ids = await connection.fetch("SELECT id FROM dead_letters ORDER BY id LIMIT 10000")
        stuck: set[tuple[str, str, str]] = set()
        before = handled + discarded
        for (letter_id,) in ids:
            # One at a time: a letter may be as large as a record.
            row = await connection.fetchrow("SELECT * FROM dead_letters WHERE id = $1", letter_id)
            consumer = consumers.get(row["consumer"]) if row is not None else None
            if row is None or consumer is None:
                continue
            stream = (row["consumer"], row["project_id"], row["stream_id"])
            if consumer.reads_events and stream in stuck:
                continue
            if await _replay_one(connection, consumer, row):
                handled += 1
            elif because:
                await _discard(connection, letter_id, because)
                discarded += 1
            else:
                stuck.add(stream)
        if handled + discarded == before:
            return handled, discarded


async def _discard(connection: Connection, letter_id: int, because: str) -> None:
    await connection.execute(
        """
        WITH gone AS (DELETE FROM dead_letters WHERE id = $1 RETURNING *)
        INSERT INTO discarded_letters
        SELECT id, project_id, consumer, topic, partition, record_offset, stream_id, reason, key,
               headers, value, stored_at, $2, $3 FROM gone
        """,
        letter_id,
        clock.now(),
        because,
    )


async def _replay_one(connection: Connection, consumer: Consumer, row: asyncpg.Record) -> bool:
    record = Record(
        row["topic"],
        row["partition"],
        row["record_offset"],
        row["key"],
        row["value"],
        unpack_headers(row["headers"]),
    )
    try:
        async with connection.transaction():
            is_here = await connection.fetchval(
                "DELETE FROM dead_letters WHERE id = $1 RETURNING true", row["id"]
            )
            if not is_here:
                return True  # another operator's command has handled it
            outcome = await consumer.replay(connection, record)
    except Exception as error:  # noqa: BLE001 - told to the operator; the letter stays
        _say(f"  {row['topic']}/{row['partition']}/{row['record_offset']}: {error!r:.500}")
        # One that was only held back, and fails now that it is its turn, is itself at fault.
        await connection.execute(
            "UPDATE dead_letters SET status = 'failed', reason = $2 WHERE id = $1 AND status = 'held'",
            row["id"],
            repr(error).replace("\x00", "\ufffd")[:2000],
        )
        return False
    # A reply finds nobody waiting any more, and may be addressed to nowhere; but a request that is
    # passed on has its effect elsewhere.
    onward = [one for one in outcome.sends if one.topic in ONWARD]
    await consumer.host.bus.send_and_wait(onward)
    return True


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m runtime.admin", description=__doc__)
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("services", nargs="*", help="default: all")
    parser.add_argument("--because", default="", help="why dead letters are discarded")
    arguments = parser.parse_intermixed_args()
    settings = Settings()
    chosen = arguments.services or list(topics.SERVICES)
    unknown = set(chosen) - set(topics.SERVICES)
    if unknown:
        parser.error(f"no such service: {', '.join(sorted(unknown))}")
    if arguments.action == "setup":
        asyncio.run(setup(settings, chosen))
    elif arguments.action == "republish":
        asyncio.run(republish(settings, chosen))
    elif arguments.action == "rebuild":
        sys.exit(0 if asyncio.run(rebuild(settings, chosen)) else 1)
    elif arguments.action == "discard-dead-letters":
        if not arguments.because:
            parser.error("--because is missing: a later reader wants to know")
        sys.exit(1 if asyncio.run(replay_dead_letters(settings, chosen, arguments.because)) else 0)
    else:
        sys.exit(1 if asyncio.run(replay_dead_letters(settings, chosen)) else 0)


if __name__ == "__main__":
    main()
