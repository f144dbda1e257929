"""The log of one service: the only place that writes events.

Positions are drawn after an advisory lock that is held until the commit, so position order is commit
order and a reader that asks for "position > cursor" misses nothing. Measured: stack figures in
docs/adr/0001-event-log.md.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from zlib import crc32

import asyncpg

from contracts.messages import NOT_TOLD, Envelope
from runtime.database import Connection

APPEND_LOCK = 1
RELAY_LOCK = 2


class StoredEvent(NamedTuple):
    """An event as it stands in the log; ``data`` is the exact text that is published."""

    project_id: str
    stream_id: str
    stream_version: int
    event_id: str
    type: str
    topic: str
    partition: int
    data: str
    hash: bytes
    occurred_at: datetime
    correlation_id: str
    causation_id: str


def partition_of(project_id: str, stream_id: str, partitions: int) -> int:
    """Return the partition of a stream; stored with each event, so it never moves."""
    return crc32(f"{project_id}/{stream_id}".encode()) % partitions


def chain_hash(previous: bytes, event_id: str, type_name: str, version: int, data: str) -> bytes:
    """Return the SHA-256 that ties an event to the one before it in its stream."""
    text = f"{event_id}\x1f{type_name}\x1f{version}\x1f{data}"
    return hashlib.sha256(previous + text.encode()).digest()


async def append(connection: Connection, events: Sequence[StoredEvent]) -> list[int]:
    """Append; returns the positions. Raises ``UniqueViolationError`` when a version is taken.

    Must be the last statements of the transaction: from here on all writers of the service wait.
    """
    assert events, "nothing to append"
    rows = await connection.fetch(
        """
        WITH lock AS MATERIALIZED (SELECT pg_advisory_xact_lock($1, hashtext(current_schema())))
        INSERT INTO events (project_id, stream_id, stream_version, event_id, type, topic, partition,
                            data, hash, occurred_at, correlation_id, causation_id)
        SELECT e.project_id, e.stream_id, e.stream_version, e.event_id, e.type, e.topic, e.partition,
               e.data::json, e.hash, e.occurred_at, e.correlation_id, e.causation_id
        FROM lock, unnest($2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[],
                          $8::int[], $9::text[], $10::bytea[], $11::timestamptz[], $12::text[],
                          $13::text[]) WITH ORDINALITY
             AS e(project_id, stream_id, stream_version, event_id, type, topic, partition, data,
                  hash, occurred_at, correlation_id, causation_id, n)
        ORDER BY e.n
        RETURNING position
        """,
        APPEND_LOCK,
        *(list(column) for column in zip(*events, strict=True)),
    )
    positions = [row["position"] for row in rows]
    assert len(positions) == len(events), "every event has its position"
    return positions


async def read_after(connection: Connection, position: int, limit: int) -> list[asyncpg.Record]:
    """Return the next events of the log in commit order."""
    return await connection.fetch(
        "SELECT * FROM events WHERE position > $1 ORDER BY position LIMIT $2", position, limit
    )


async def places_of(
    connection: Connection, versions: Mapping[tuple[str, str], int]
) -> dict[tuple[str, str], tuple[int, int]]:
    """Return (partition, position) of the events of these versions, by project and stream."""
    rows = await connection.fetch(
        """
        SELECT e.project_id, e.stream_id, e.partition, e.position
        FROM unnest($1::text[], $2::text[], $3::int[]) AS k(project_id, stream_id, stream_version)
        JOIN events e USING (project_id, stream_id, stream_version)
        """,
        [project_id for project_id, _ in versions],
        [stream for _, stream in versions],
        list(versions.values()),
    )
    return {
        (row["project_id"], row["stream_id"]): (row["partition"], row["position"]) for row in rows
    }


def envelope_of(row: asyncpg.Record, service: str, previous_position: int = NOT_TOLD) -> Envelope:
    """Return the envelope under which a stored event is published."""
    return Envelope(
        id=row["event_id"],
        type=row["type"],
        source=service,
        time=row["occurred_at"],
        project_id=row["project_id"],
        subject=row["stream_id"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        stream=row["stream_id"],
        stream_version=row["stream_version"],
        position=row["position"],
        previous_position=previous_position,
    )
