"""What is true of every service's log and aggregates, proved by folding the log again.

Each check returns findings: sentences that name the row at fault. No finding, no fault. Read-only,
in one snapshot, so that it may run beside a working system.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import asyncpg
from pydantic import BaseModel, ValidationError

from contracts.errors import JsonObject
from contracts.messages import TYPES, Envelope, Event
from contracts.upcasting import newest
from runtime.aggregate import AGGREGATES, Aggregate
from runtime.database import Connection
from runtime.event_store import chain_hash, envelope_of
from runtime.read_model import Projection, Table, fold_in_memory, parse_event

EVENTS_A_TELLING = 10_000
FINDINGS_MAX = 100
"""Findings of one check; more do not help to find the cause."""


async def read_log(connection: Connection, schema: str) -> AsyncIterator[asyncpg.Record]:
    """Yield every event of a service's log in commit order; inside a transaction."""
    assert schema.isidentifier(), "the schema's name is written into SQL"
    async for row in connection.cursor(
        f"SELECT * FROM {schema}.events ORDER BY position", prefetch=1000
    ):
        yield row


async def check_log(
    connection: Connection, schema: str, tell: Callable[[int], None] | None = None
) -> list[str]:
    """Check versions, hash chains, and that every aggregate is the fold of its stream.

    ``tell`` is called now and then with the number of events that were read.
    """
    findings: list[str] = []
    versions: dict[tuple[str, str], tuple[int, bytes]] = {}
    states: dict[tuple[str, str], BaseModel] = {}
    position = count = 0
    async for row in read_log(connection, schema):
        count += 1
        if tell is not None and count % EVENTS_A_TELLING == 0:
            tell(count)
        stream = (row["project_id"], row["stream_id"])
        version, previous = versions.get(stream, (0, b""))
        where = (
            f"{schema}: {row['stream_id']} version {row['stream_version']} in {row['project_id']}"
        )
        if row["stream_version"] != version + 1:
            findings.append(f"{where}: version {version + 1} is missing before it")
        expected = chain_hash(
            previous, row["event_id"], row["type"], row["stream_version"], row["data"]
        )
        if row["hash"] != expected:
            findings.append(
                f"{where}: the hash does not match, the event or one before was altered"
            )
        if row["position"] <= position:
            findings.append(f"{where}: position {row['position']} after {position}")
        position = row["position"]
        versions[stream] = (row["stream_version"], row["hash"])
        aggregate = aggregate_of(schema, row["stream_id"])
        if aggregate is not None:
            event = parse_event(row["type"], row["data"])
            states[stream] = aggregate.evolve(states.get(stream), event)
        if len(findings) >= FINDINGS_MAX:
            return findings
    findings += await _compare_aggregates(connection, schema, versions, states)
    return findings[:FINDINGS_MAX]


def aggregate_of(service: str, stream_id: str) -> Aggregate[Any] | None:
    """Return the aggregate whose stream this is; the longest name wins."""
    found = [
        aggregate
        for (owner, name), aggregate in AGGREGATES.items()
        if owner == service and stream_id.startswith(f"{name}-")
    ]
    return max(found, key=lambda aggregate: len(aggregate.name), default=None)


async def _compare_aggregates(
    connection: Connection,
    schema: str,
    versions: dict[tuple[str, str], tuple[int, bytes]],
    states: dict[tuple[str, str], BaseModel],
) -> list[str]:
    findings = []
    left = set(states)
    async for row in connection.cursor(f"SELECT * FROM {schema}.aggregates", prefetch=1000):
        stream = (row["project_id"], row["stream_id"])
        left.discard(stream)
        where = f"{schema}: aggregate {row['stream_id']} in {row['project_id']}"
        if stream not in states:
            findings.append(f"{where}: its log has no events")
        elif not is_same(row["state"], states[stream]):
            findings.append(f"{where}: differs from the fold of its events")
        elif (row["version"], row["hash"]) != versions[stream]:
            findings.append(f"{where}: version or hash differ from its last event's")
    findings += [f"{schema}: aggregate {name} in {project} is missing" for project, name in left]
    return findings


def is_same(stored: JsonObject, state: BaseModel) -> bool:
    """Whether a stored state is this one; what an older version did not know of has its default."""
    told = state.model_dump(mode="json")
    if stored == told:
        return True
    try:
        read = type(state).model_validate(stored).model_dump(mode="json")
    except ValidationError:
        return False
    return stored.keys() <= read.keys() and read == told


async def check_relay(connection: Connection, schema: str) -> list[str]:
    """Check that nothing waits to be published and nothing lies among the dead letters."""
    behind = await connection.fetchval(
        f"SELECT count(*) FROM {schema}.events e, {schema}.relay_cursor c WHERE e.position > c.position"
    )
    dead = await connection.fetchval(f"SELECT count(*) FROM {schema}.dead_letters")
    findings = []
    if behind:
        findings.append(f"{schema}: {behind} events are not yet published")
    if dead:
        findings.append(f"{schema}: {dead} dead letters")
    return findings


async def all_events(
    connection: Connection, schemas: Iterable[str]
) -> list[tuple[Event, Envelope]]:
    """Return the events of several logs, each log in its order."""
    found = []
    for schema in schemas:
        async for row in read_log(connection, schema):
            if newest(row["type"]) in TYPES and row["topic"] == f"{schema}.events":
                found.append((parse_event(row["type"], row["data"]), envelope_of(row, schema)))
    return found


async def compare(
    connection: Connection,
    schema: str,
    projection: Projection,
    events: Iterable[tuple[Event, Envelope]],
) -> list[str]:
    """Fold the events in memory and compare every row of the projection's tables."""
    expected = fold_in_memory(projection, events)
    findings: list[str] = []
    for name, table in projection.tables.items():
        findings += await _compare_table(connection, schema, table, expected[name])
    return findings[:FINDINGS_MAX]


async def _compare_table(
    connection: Connection,
    schema: str,
    table: Table,
    expected: dict[tuple[Any, ...], dict[str, Any]],
) -> list[str]:
    findings = []
    left = set(expected)
    columns = ", ".join(table.all_columns)
    async for row in connection.cursor(
        f"SELECT {columns} FROM {schema}.{table.name}", prefetch=1000
    ):
        key = tuple(row[column] for column in table.key)
        left.discard(key)
        wanted = expected.get(key)
        where = f"{schema}.{table.name} {'/'.join(map(str, key))}"
        if wanted is None:
            findings.append(f"{where}: no event made this row")
            continue
        for column in table.columns:
            if row[column] != wanted[column]:
                findings.append(
                    f"{where}: {column} is {row[column]!r:.200}, the log says {wanted[column]!r:.200}"
                )
        if len(findings) >= FINDINGS_MAX:
            return findings
    return findings + [f"{schema}.{table.name} {'/'.join(map(str, key))}: missing" for key in left]
